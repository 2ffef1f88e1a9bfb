"""The judge of policies itself, held against what AWS documents about each element, operator and kind of policy."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.infra.iam_simulator import Context, Decision, NotUnderstood, Policy, Principal, Request, Trust, Verdict

ME = "arn:aws:iam::123456789012:role/me"
THERE = "arn:aws:iam::123456789012:role/there"
BUCKET = "arn:aws:s3:::harbour"


def policy(*statements: dict[str, Any]) -> Policy:
    return Policy.of({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def judge(request: Request, *statements: dict[str, Any], boundary: Policy | None = None) -> Decision:
    return Principal(ME, (policy(*statements),), boundary).may(request)


def fits(operator: str, wanted: Any, given: Any, key: str = "a:key") -> bool:
    """Whether an Allow under one condition speaks of a request with that value; None: the request lacks the key."""
    context = {} if given is None else {key: given}
    return judge(Request("s3:GetObject", "*", context), allow(Condition={operator: {key: wanted}})).allowed


# --- actions and resources --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("s3:GetObject", "s3:GetObject", True),
        ("S3:getobject", "s3:GetObject", True),
        ("s3:Get*", "s3:GetObject", True),
        ("s3:Get*", "s3:PutObject", False),
        ("s3:GetObject", "s3:GetObjectVersion", False),
        ("s3:Get?bject", "s3:GetObject", True),
        ("s3:*", "sns:Publish", False),
        ("*", "sns:Publish", True),
        ("s3.GetObject", "s3:GetObject", False),
    ],
)
def test_actions_are_compared_without_case_and_with_wildcards(pattern: str, action: str, expected: bool):
    assert judge(Request(action), allow(pattern)).allowed is expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        (f"{BUCKET}/*", f"{BUCKET}/a/b:c", True),
        (f"{BUCKET}/*", BUCKET, False),
        (f"{BUCKET}/*", f"{BUCKET}-two/a", False),
        (f"{BUCKET}/A", f"{BUCKET}/a", False),
        (f"{BUCKET}/?", f"{BUCKET}/ab", False),
        ("*", f"{BUCKET}/a", True),
        (f"{BUCKET}/a.c", f"{BUCKET}/abc", False),
    ],
)
def test_resources_are_compared_with_case_and_wildcards_cross_slashes(pattern: str, resource: str, expected: bool):
    assert judge(Request("s3:GetObject", resource), allow("s3:*", pattern)).allowed is expected


def test_not_action_and_not_resource_speak_of_everything_else():
    but_iam = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    assert judge(Request("s3:GetObject"), but_iam).allowed
    assert not judge(Request("iam:GetRole"), but_iam).allowed
    elsewhere = {"Effect": "Deny", "Action": "*", "NotResource": [f"{BUCKET}/*", BUCKET]}
    assert judge(Request("s3:GetObject", f"{BUCKET}/a"), allow(), elsewhere).allowed
    assert judge(Request("s3:GetObject", "arn:aws:s3:::other/a"), allow(), elsewhere).verdict is Verdict.DENIED


# --- who wins ---------------------------------------------------------------------------------------------------------


def test_nothing_is_allowed_that_no_statement_allows():
    assert judge(Request("s3:GetObject"), allow("s3:PutObject")) == Decision(Verdict.NOT_ALLOWED)
    assert Principal(ME).may(Request("s3:GetObject")) == Decision(Verdict.NOT_ALLOWED)


def test_a_deny_wins_wherever_it_stands_and_is_named():
    refused = deny("s3:*", Sid="Never")
    assert judge(Request("s3:GetObject"), allow(), refused) == Decision(Verdict.DENIED, "Never")
    assert judge(Request("s3:GetObject"), refused, allow()).by == "Never"
    asker = Principal(ME, (policy(allow()), policy(refused)))
    assert asker.may(Request("s3:GetObject")).verdict is Verdict.DENIED


def test_a_boundary_limits_and_never_grants():
    bounds = policy(allow("s3:*"))
    assert judge(Request("s3:GetObject"), allow(), boundary=bounds).allowed
    assert judge(Request("iam:GetRole"), allow(), boundary=bounds) == Decision(Verdict.NOT_ALLOWED)
    assert judge(Request("s3:GetObject"), allow("sns:*"), boundary=bounds) == Decision(Verdict.NOT_ALLOWED)
    assert judge(Request("s3:GetObject"), allow(), boundary=policy(allow(), deny("s3:*"))).verdict is Verdict.DENIED


ACTIONS = st.sampled_from(["s3:GetObject", "s3:PutObject", "iam:GetRole", "sns:Publish"])
PATTERNS = st.sampled_from(["*", "s3:*", "s3:Get*", "iam:*", "sns:Publish"])
STATEMENTS = st.lists(st.builds(lambda effect, a: effect(a), st.sampled_from([allow, deny]), PATTERNS), max_size=5)


@given(ACTIONS, STATEMENTS, STATEMENTS)
def test_whatever_the_policies_more_denies_and_boundaries_never_allow_more(
    action: str, own: list[dict[str, Any]], bounds: list[dict[str, Any]]
):
    request = Request(action)
    plain = judge(request, *own)
    assert not judge(request, *own, deny()).allowed
    assert judge(request, *own, boundary=policy(*bounds)).allowed <= plain.allowed
    assert judge(request, *reversed(own)).verdict is plain.verdict


# --- conditions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "wanted", "given", "expected"),
    [
        ("StringEquals", "main", "main", True),
        ("StringEquals", "main", "Main", False),
        ("StringEquals", "ma*", "main", False),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("StringEqualsIgnoreCase", "Main", "mAIN", True),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", "a", "a", False),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", "a", None, True),
        ("StringLike", "refs/heads/*", "refs/heads/main", True),
        ("StringLike", "refs/heads/*", "refs/tags/main", False),
        ("StringLike", "*", None, False),
        ("StringNotLike", "refs/heads/*", "refs/tags/v1", True),
        ("ArnLike", "arn:aws:iam::123456789012:role/*-instance", "arn:aws:iam::123456789012:role/a-instance", True),
        ("ArnLike", "arn:aws:iam::*:role/a", "arn:aws:iam::123456789012:role/a", True),
        ("ArnLike", "arn:*:role/a", "arn:aws:iam::123456789012:role/a", False),
        ("ArnEquals", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::123456789012:role/a", True),
        ("ArnNotLike", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::123456789012:user/a", True),
        ("ArnLike", "arn:aws:iam::123456789012:role/a", "not an arn", False),
        ("Bool", "true", True, True),
        ("Bool", True, "true", True),
        ("Bool", "true", False, False),
        ("Bool", "true", None, False),
        ("Bool", "false", None, False),
        ("BoolIfExists", "true", None, True),
        ("BoolIfExists", "true", False, False),
        ("Null", "true", None, True),
        ("Null", "true", "there", False),
        ("Null", "false", "there", True),
        ("Null", False, None, False),
        ("NumericLessThan", "3600", "10", True),
        ("NumericLessThan", "3600", "3600", False),
        ("NumericLessThanEquals", "3600", "3600", True),
        ("NumericGreaterThan", "9", "10", True),
        ("NumericGreaterThanEquals", "10", "9", False),
        ("NumericEquals", "10", "10.0", True),
        ("NumericNotEquals", "10", "11", True),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
        ("IpAddress", "10.0.0.0/8", "11.1.2.3", False),
        ("NotIpAddress", "10.0.0.0/8", "11.1.2.3", True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", "a", None, True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c"], False),
        ("ForAnyValue:StringEquals", "a", None, False),
        ("ForAllValues:StringNotEquals", "a", ["b", "c"], True),
        ("ForAllValues:StringNotEquals", "a", ["b", "a"], False),
    ],
)
def test_each_operator_holds_as_documented(operator: str, wanted: Any, given: Any, expected: bool):
    assert fits(operator, wanted, given) is expected


def test_all_conditions_must_hold_and_keys_have_no_case():
    both = allow(
        Condition={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}, "Bool": {"aws:SecureTransport": "true"}}
    )
    good: Context = {"AWS:requestedregion": "eu-west-1", "aws:securetransport": True}
    assert judge(Request("s3:GetObject", "*", good), both).allowed
    assert not judge(Request("s3:GetObject", "*", {**good, "aws:securetransport": False}), both).allowed
    assert not judge(Request("s3:GetObject", "*", {"aws:securetransport": True}), both).allowed


def test_a_condition_of_a_deny_lets_go_where_it_does_not_hold():
    without_tag = deny("ec2:*", Condition={"StringNotEquals": {"aws:ResourceTag/Project": "ours"}})
    assert judge(Request("ec2:StopInstances", "*", {"aws:ResourceTag/Project": "ours"}), allow(), without_tag).allowed
    assert not judge(Request("ec2:StopInstances"), allow(), without_tag).allowed


# --- variables --------------------------------------------------------------------------------------------------------


def test_variables_stand_for_the_requests_own_values():
    own = allow("s3:*", f"{BUCKET}/${{aws:username}}/*")
    assert judge(Request("s3:GetObject", f"{BUCKET}/ada/x", {"aws:username": "ada"}), own).allowed
    assert not judge(Request("s3:GetObject", f"{BUCKET}/grace/x", {"aws:username": "ada"}), own).allowed
    assert not judge(Request("s3:GetObject", f"{BUCKET}//x"), own).allowed, "a variable that is not known fits nothing"


def test_a_value_with_a_wildcard_is_only_text():
    own = allow("s3:*", f"{BUCKET}/${{aws:username}}/*")
    assert not judge(Request("s3:GetObject", f"{BUCKET}/grace/x", {"aws:username": "*"}), own).allowed
    assert fits("StringLike", "${*}", "*") and not fits("StringLike", "${*}", "anything")


def test_a_variable_may_have_a_default_and_stand_in_an_equality():
    own = allow("s3:*", f"{BUCKET}/${{aws:PrincipalTag/team, 'nobody'}}/*")
    assert judge(Request("s3:GetObject", f"{BUCKET}/nobody/x"), own).allowed
    mine = allow(Condition={"StringEquals": {"ssm:owner": "${aws:userid}"}})
    assert judge(Request("a:B", "*", {"ssm:owner": "ada", "aws:userid": "ada"}), mine).allowed
    assert not judge(Request("a:B", "*", {"ssm:owner": "ada", "aws:userid": "grace"}), mine).allowed
    assert not judge(Request("a:B", "*", {"ssm:owner": "ada"}), mine).allowed


# --- trust ------------------------------------------------------------------------------------------------------------


def trust(principal: Any, action: str = "sts:AssumeRole", **more: Any) -> Trust:
    return Trust(THERE, policy({"Effect": "Allow", "Action": action, "Principal": principal, **more}))


MAY_TAKE = policy(allow("sts:AssumeRole", THERE))
CALLER = Principal(ME, (MAY_TAKE,))


def test_a_trust_that_names_the_role_is_enough_within_the_account():
    assert trust({"AWS": ME}).lets(Principal(ME)).allowed
    assert not trust({"AWS": ME}).lets(Principal(f"{ME}-too")).allowed


def test_a_trust_that_names_the_account_needs_the_callers_own_policy_too():
    account = trust({"AWS": "arn:aws:iam::123456789012:root"})
    assert account.lets(CALLER).allowed
    assert account.lets(Principal(ME)) == Decision(Verdict.NOT_ALLOWED)
    assert not account.lets(Principal(ME, (MAY_TAKE,), policy(allow("s3:*")))).allowed
    assert trust({"AWS": "123456789012"}).lets(CALLER).allowed


def test_from_another_account_both_sides_are_needed():
    stranger = "arn:aws:iam::999999999999:role/stranger"
    assert trust({"AWS": stranger}).lets(Principal(stranger, (MAY_TAKE,))).allowed
    assert not trust({"AWS": stranger}).lets(Principal(stranger)).allowed
    assert not trust({"AWS": ME}).lets(Principal(stranger, (MAY_TAKE,))).allowed


def test_a_deny_of_the_callers_counts_though_the_trust_names_it():
    assert trust({"AWS": ME}).lets(Principal(ME, (policy(deny("sts:*")),))).verdict is Verdict.DENIED


def test_a_deny_in_the_trust_counts_and_must_speak_of_the_caller():
    both = Trust(
        THERE,
        policy(
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "123456789012"}},
            {"Effect": "Deny", "Action": "sts:AssumeRole", "Principal": {"AWS": ME}, "Sid": "NotMe"},
        ),
    )
    assert both.lets(CALLER) == Decision(Verdict.DENIED, "NotMe")
    assert both.lets(Principal(f"{ME}-too", (MAY_TAKE,))).allowed


def test_the_condition_of_a_trust_knows_who_asks():
    named = trust(
        {"AWS": "123456789012"}, Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/m?"}}
    )
    assert named.lets(CALLER).allowed
    assert not named.lets(Principal(f"{ME}-too", (MAY_TAKE,))).allowed


def test_kinds_of_principals_do_not_stand_in_for_each_other():
    services = trust({"Service": "ec2.amazonaws.com"})
    assert services.lets(Principal("ec2.amazonaws.com", kind="Service")).allowed
    assert not services.lets(Principal("ec2.amazonaws.com", kind="Federated")).allowed
    assert not services.lets(CALLER).allowed


def test_another_way_of_taking_a_role_is_another_action():
    token = trust({"Federated": "provider"}, "sts:AssumeRoleWithWebIdentity")
    caller = Principal("provider", kind="Federated")
    assert token.lets(caller, "sts:AssumeRoleWithWebIdentity").allowed
    assert not token.lets(caller, "sts:AssumeRole").allowed


# --- what is not judged -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"Version": "2008-10-17", "Statement": [allow()]},
        {"Statement": [allow()]},
        {"Version": "2012-10-17", "Statement": [allow()], "Extra": 1},
        {"Version": "2012-10-17", "Statement": [{**allow(), "NotPrincipal": "*"}]},
        {"Version": "2012-10-17", "Statement": [{**allow(), "effect": "Allow"}]},
        {"Version": "2012-10-17", "Statement": [{**allow(), "Effect": "allow"}]},
        {"Version": "2012-10-17", "Statement": [{**allow(), "NotAction": "iam:*"}]},
        {"Version": "2012-10-17", "Statement": [{**allow(), "NotResource": "*"}]},
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*"}]},
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*"}]},
        {"Version": "2012-10-17", "Statement": [allow(Condition={"StringEqual": {"a": "b"}})]},
        {"Version": "2012-10-17", "Statement": [allow(Condition={"DateLessThan": {"a": "b"}})]},
        {"Version": "2012-10-17", "Statement": [allow(Condition={"ForSomeValues:StringLike": {"a": "b"}})]},
    ],
)
def test_a_policy_with_something_unknown_is_not_judged(document: dict[str, Any]):
    with pytest.raises(NotUnderstood):
        Policy.of(document)


def test_a_request_that_aws_would_not_make_is_not_judged():
    with pytest.raises(NotUnderstood, match="several values"):
        fits("StringEquals", "a", ["a", "b"])
    with pytest.raises(NotUnderstood, match="wildcard within a principal"):
        trust({"AWS": "arn:aws:iam::123456789012:role/*"}).lets(CALLER)
    with pytest.raises(NotUnderstood, match="variable within an ARN"):
        fits("ArnLike", "arn:aws:iam::1:role/${aws:username}", ME)

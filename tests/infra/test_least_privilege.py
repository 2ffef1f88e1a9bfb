"""Least privilege: the policies that Terraform really makes, judged as AWS judges them, sentence by sentence."""

import ast
import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import Any

import boto3
import pytest
from botocore.session import get_session

from bot.settings import AwsSettings
from tests.infra.cloud import Account
from tests.infra.conftest import Stopwatch
from tests.infra.iam_simulator import Decision, Policy, Principal, Request
from tests.infra.identities import ACCOUNT, DOCUMENT_ARNS, IAM, PROVIDER, Documents, documents, plan_identities
from tests.infra.rights import GIVEN_EVERYTHING, PARAMETERS, RIGHTS, WITHOUT_BOUNDARY, Right
from tests.infra.takings import BY_TOKEN, CLAIM, EVERYTHING, MAIN, NEW_FORM, OLD_FORM, TAKINGS, Taking
from tests.infra.terraform import INFRA, REGION, ROOT, need

need()

CLIENTS = (ROOT / "bot" / "clients" / "aws.py", ROOT / "bot" / "clients" / "aws_account.py")
NEEDS_NO_RIGHT = {"sts:GetCallerIdentity"}
MANAGED_POLICY_MAX, INLINE_OF_A_ROLE_MAX, TRUST_MAX = 6_144, 10_240, 2_048
"""IAM's limits in characters, white space not counted (IAM User Guide, "IAM and AWS STS quotas", 2026)."""

SERVICE_OF = {"elasticloadbalancing": "elbv2"}
NO_CALL = re.compile(
    r"\*|(ec2messages|ssmmessages|organizations):.*|ssm:(ListInstanceAssociations|UpdateInstanceInformation)|iam:PassRole|budgets:ViewBudget|logs:(Create|Delete)LogDelivery"
    r"|s3:(GetObjectVersion|DeleteObjectVersion|ListBucket|ListBucketVersions|(Get|Put)(Encryption|Lifecycle)Configuration"
    r"|Get(Accelerate|Replication)Configuration)"
)
"""Rights that are not named like a call of the SDK (Service Authorization Reference, 2026)."""
FENCED = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\baws (ecr|ssm|s3|s3api|sts|cloudwatch|logs|ec2|kms|secretsmanager) (\"?\$?[a-z][a-z-]*\"?)")
RIGHTS_OF_COMMANDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("cloudwatch", "put-metric-data"): ("cloudwatch:PutMetricData",),
    ("ecr", "get-login-password"): ("ecr:GetAuthorizationToken",),
    ("s3", "cp"): ("s3:GetObject",),
    ("s3api", '"$operation"'): ("s3:GetObject", "s3:PutObject", "s3:ListBucket"),
    ("s3api", "get-object"): ("s3:GetObject",),
    ("ssm", "get-parameter"): ("ssm:GetParameter",),
    ("ssm", "get-parameters-by-path"): ("ssm:GetParametersByPath",),
    ("ssm", "put-parameter"): ("ssm:PutParameter",),
    ("sts", "get-caller-identity"): (),
}
Roles = Mapping[str, Documents]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, stopwatch: Stopwatch) -> Iterator[dict[str, Any]]:
    work = tmp_path_factory.mktemp("identities")
    account = Account(work / "account")
    account.open()
    try:
        with stopwatch.step("plan of the identities"):
            yield plan_identities(work, account.url)
    finally:
        account.close()


@pytest.fixture(scope="module")
def roles(plan: dict[str, Any]) -> Roles:
    return documents(plan)


def asker(roles: Roles, who: str) -> Principal:
    """The role as one who asks; "given everything": with a policy beside its own that allows all."""
    role = roles[named(who)].principal()
    if who.endswith(GIVEN_EVERYTHING):
        return replace(role, policies=(*role.policies, EVERYTHING))
    return replace(role, boundary=None) if who.endswith(WITHOUT_BOUNDARY) else role


def named(who: str) -> str:
    return who.removesuffix(GIVEN_EVERYTHING).removesuffix(WITHOUT_BOUNDARY)


def judged(roles: Roles, right: Right) -> Decision:
    return asker(roles, right.who).may(Request(right.action, right.resource, right.context))


def taken(roles: Roles, taking: Taking) -> Decision:
    caller = taking.caller if isinstance(taking.caller, Principal) else roles[taking.caller].principal()
    return roles[taking.role].role().lets(caller, taking.action, taking.context)


# --- the sentences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("right", RIGHTS, ids=[one.sentence for one in RIGHTS])
def test_each_role_may_what_it_is_for_and_nothing_else(roles: Roles, right: Right):
    decision = judged(roles, right)
    assert decision.allowed is right.granted, f"{right.sentence}: it is {decision.verdict} ({decision.by})"


@pytest.mark.parametrize("taking", TAKINGS, ids=[one.sentence for one in TAKINGS])
def test_each_role_is_taken_by_whom_it_is_for_and_nobody_else(roles: Roles, taking: Taking):
    decision = taken(roles, taking)
    assert decision.allowed is taking.granted, f"{taking.sentence}: it is {decision.verdict} ({decision.by})"


def test_no_sentence_stands_twice():
    said = [*(one.sentence for one in RIGHTS), *(one.sentence for one in TAKINGS)]
    assert [one for one in said if said.count(one) > 1] == []


# --- what must hold word for word -------------------------------------------------------------------------------------


def test_the_build_role_trusts_two_subjects_letter_by_letter(roles: Roles):
    (statement,) = json.loads(roles["build"].trust)["Statement"]
    assert statement == {
        "Sid": "ThisRepositorysBranch",
        "Effect": "Allow",
        "Action": BY_TOKEN,
        "Principal": {"Federated": PROVIDER},
        "Condition": {
            "StringEquals": {
                f"{CLAIM}:aud": "sts.amazonaws.com",
                f"{CLAIM}:sub": [f"{OLD_FORM}:{MAIN}", f"{NEW_FORM}:{MAIN}"],
            }
        },
    }


def test_the_bot_may_exactly_the_calls_that_its_source_makes(roles: Roles):
    asked = set(chain.from_iterable(calls_of(path.read_text()) for path in CLIENTS)) - NEEDS_NO_RIGHT
    assert asked == roles["bot"].granted() - {"sts:AssumeRole"}


def test_the_bots_calls_are_found_in_its_source():
    """The reading of the source, so that the test above cannot pass by finding nothing."""
    source = (
        "with self._asking('sts') as sts:\n    sts.get_caller_identity()\n"
        "with self._calling('ecr', writing=True) as ecr:\n    await ecr.put_image()\n"
        "with self._asking('ssm') as ssm:\n    ssm.get_paginator('list_commands').paginate()\n    ssm.exceptions.Gone\n"
    )
    assert set(calls_of(source)) == {"sts:GetCallerIdentity", "ecr:PutImage", "ssm:ListCommands"}


def test_the_bot_may_send_the_documents_that_its_settings_name_and_no_other(roles: Roles):
    named = {AwsSettings.model_fields[key].default for key in ("deploy_document", "status_document")}
    bot = roles["bot"].principal()
    sent = {name for name, arn in DOCUMENT_ARNS.items() if bot.may(Request("ssm:SendCommand", arn)).allowed}
    assert sent == named


def test_the_policy_in_the_readme_grants_what_the_role_does_and_no_more():
    """Whoever sets the bot up by hand copies it: the same sentences hold, but for the roles of Terraform."""
    text = next(block for block in FENCED.findall((ROOT / "README.md").read_text()) if "ssm:SendCommand" in block)
    by_hand = Principal(f"{IAM}:role/by-hand", (Policy.of(text.replace("REGION", REGION).replace("ACCOUNT", ACCOUNT)),))
    held = [one for one in RIGHTS if one.who == "bot" and not (one.granted and one.action == "sts:AssumeRole")]
    wrong = [
        one.sentence
        for one in held
        if by_hand.may(Request(one.action, one.resource, one.context)).allowed is not one.granted
    ]
    assert held
    assert wrong == []


def test_a_host_may_every_call_that_its_scripts_make(roles: Roles):
    scripts = [path for path in (INFRA / "host").iterdir() if path.is_file() and path.suffix != ".md"]
    called = set(chain.from_iterable(COMMAND.findall(path.read_text()) for path in scripts))
    assert called >= {("ecr", "get-login-password"), ("ssm", "get-parameters-by-path")}, "the scripts were not read"
    assert called - set(RIGHTS_OF_COMMANDS) == set(), "say here which right the new call needs"
    needed = set(chain.from_iterable(RIGHTS_OF_COMMANDS[one] for one in called))
    assert needed <= roles["dev"].granted()


def test_a_host_with_the_managed_policy_of_the_agent_still_cannot_read_anothers_secret(roles: Roles):
    """AmazonSSMManagedInstanceCore reads every parameter: that is why it is not attached, and why the Deny stands."""
    core = Policy.of(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:GetParameters"], "Resource": "*"}],
        }
    )
    bare = Principal(roles["dev"].arn, (core,))
    host = roles["dev"].principal()
    theirs = Request("ssm:GetParameter", f"{PARAMETERS}/prod/app/TOKEN")
    assert bare.may(theirs).allowed
    assert replace(host, policies=(*host.policies, core)).may(theirs).by == "NoParametersOfOthers"


def test_every_role_of_an_environment_stands_inside_the_boundary(roles: Roles):
    """Each modules' role takes the boundary that the apply role demands."""
    without = [
        f"{path.relative_to(INFRA)}: {name}"
        for path in sorted((INFRA / "modules").glob("*/*.tf"))
        if path.parent.name not in {"identity", "guardrails", "state_replica"}  # control's, applied by a person
        for name, block in re.findall(r'^resource "aws_iam_role" "(\w+)" \{\n(.*?)^\}', path.read_text(), re.M | re.S)
        if "permissions_boundary" not in block
    ]
    assert set(without) <= {"modules/backup/main.tf: replication"}, "control's own, too: it copies the state"
    assert all(roles[name].boundary for name in ("apply", "dev", "prod"))


def test_there_are_no_users_and_no_keys_that_last():
    kinds = {
        kind
        for path in INFRA.rglob("*.tf")
        for kind in re.findall(r'^resource "(aws_iam_\w+)"', path.read_text(), re.MULTILINE)
    }
    assert kinds, "no IAM resources were found at all"
    assert not {kind for kind in kinds if kind.startswith(("aws_iam_user", "aws_iam_access_key", "aws_iam_group"))}


def test_nothing_is_granted_by_exclusion_or_by_a_bare_star(roles: Roles):
    loose = [
        f"{name}: {statement.get('Sid')}"
        for name, text in policies_of(roles)
        for statement in statements(text)
        if statement["Effect"] == "Allow"
        if "NotAction" in statement or "NotResource" in statement or "*" in actions(statement)
        if statement.get("Sid") != "WhatItsPoliciesGrant"  # a boundary grants nothing by itself
    ]
    assert loose == []


def test_every_action_is_one_that_aws_knows(roles: Roles):
    """A misspelt action allows nothing, and denies nothing either."""
    named_actions = {action for _, text in policies_of(roles) for one in statements(text) for action in actions(one)}
    assert sorted(action for action in named_actions if not known(action)) == []
    assert not known("ssm:SendComand")
    assert not known("ssm:Sned*")


def test_policies_are_within_the_limits_of_iam(roles: Roles):
    for role in roles.values():
        assert length(role.trust) <= TRUST_MAX
        assert sum(map(length, role.inline.values())) <= INLINE_OF_A_ROLE_MAX
        managed = [text for text in texts_of(role) if text not in role.inline.values()]
        assert all(length(text) <= MANAGED_POLICY_MAX for text in managed), role.arn


# --- every clause matters ---------------------------------------------------------------------------------------------


MAKES_NO_DIFFERENCE = {
    "ReadOwnParameters on every resource": "NoParametersOfOthers denies what is not the host's own",
}


def test_every_clause_that_is_left_out_or_widened_is_noticed(roles: Roles):
    """Whoever weakens a policy by one clause, or takes one away, makes at least one sentence untrue."""
    unnoticed, tried = [], 0
    for what, changed_roles in mutants(roles):
        tried += 1
        world = {**roles, **changed_roles}
        rights = (one for one in RIGHTS if named(one.who) in changed_roles)
        takings = (one for one in TAKINGS if any(name in (one.role, one.caller) for name in changed_roles))
        if all(judged(world, one).allowed is one.granted for one in rights) and all(
            taken(world, one).allowed is one.granted for one in takings
        ):
            unnoticed.append(what)
    assert [one for one in unnoticed if one not in MAKES_NO_DIFFERENCE] == []
    assert tried > 100


# --- reading ----------------------------------------------------------------------------------------------------------


def calls_of(source: str) -> Iterator[str]:
    """The AWS actions of the calls on `with self._asking("ssm") as ssm` and its like."""
    for block in ast.walk(ast.parse(source)):
        if not isinstance(block, ast.With | ast.AsyncWith):
            continue
        opened = block.items[0]
        if not (isinstance(opened.context_expr, ast.Call) and isinstance(opened.optional_vars, ast.Name)):
            continue
        service = ast.literal_eval(opened.context_expr.args[0])
        names = boto3.client(service, region_name=REGION).meta.method_to_api_mapping
        for node in ast.walk(block):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                target = node.func.value
                if isinstance(target, ast.Name) and target.id == opened.optional_vars.id:
                    method = node.func.attr
                    method = ast.literal_eval(node.args[0]) if method == "get_paginator" else method
                    yield f"{service}:{names[method]}"


def known(action: str) -> bool:
    """Whether the SDK has such a call, or one that the wildcard fits."""
    if NO_CALL.fullmatch(action):
        return True
    service, _, name = action.partition(":")
    return bool(fnmatch.filter(calls_at(SERVICE_OF.get(service, service)), name))


@cache
def calls_at(service: str) -> tuple[str, ...]:
    return tuple(get_session().get_service_model(service).operation_names)


def statements(text: str) -> list[dict[str, Any]]:
    found = json.loads(text)["Statement"]
    return found if isinstance(found, list) else [found]


def actions(statement: Mapping[str, Any]) -> list[str]:
    found = statement.get("Action", [])
    return [found] if isinstance(found, str) else list(found)


def policies_of(roles: Roles) -> Iterator[tuple[str, str]]:
    for name, role in roles.items():
        yield from ((f"{name}/{policy}", text) for policy, text in (*role.inline.items(), *role.attached.items()))
        if role.boundary:
            yield role.boundary


def length(text: str) -> int:
    return len(re.sub(r"\s", "", text))


def mutants(roles: Roles) -> Iterator[tuple[str, dict[str, Documents]]]:
    """One clause changed, in every role that holds that policy; the roles that differ then."""
    for name, role in roles.items():
        yield from ((f"{name}: {what}", {name: replace(role, trust=other)}) for what, other in changed(role.trust))
    for text in {text: None for _, text in policies_of(roles)}:
        holders = {name: role for name, role in roles.items() if text in texts_of(role)}
        for what, other in changed(text):
            yield what, {name: with_other(role, text, other) for name, role in holders.items()}


def texts_of(role: Documents) -> list[str]:
    return [*role.inline.values(), *role.attached.values(), *([role.boundary[1]] if role.boundary else [])]


def with_other(role: Documents, text: str, other: str) -> Documents:
    def swap(policies: Mapping[str, str]) -> dict[str, str]:
        return {name: other if one == text else one for name, one in policies.items()}

    boundary = (role.boundary[0], other) if role.boundary and role.boundary[1] == text else role.boundary
    return replace(role, inline=swap(role.inline), attached=swap(role.attached), boundary=boundary)


def changed(text: str) -> Iterator[tuple[str, str]]:
    """A policy without one statement, with one condition less, or with one statement on every resource."""
    whole = json.loads(text)
    for at, statement in enumerate(statements(text)):
        sid = statement["Sid"]
        if len(statements(text)) > 1:
            yield f"without {sid}", edited(whole, at, None)
        if statement["Effect"] == "Allow" and statement.get("Resource", "*") != "*":
            yield f"{sid} on every resource", edited(whole, at, {**statement, "Resource": "*"})
        for operator, keys in statement.get("Condition", {}).items():
            for key in keys:
                condition = deepcopy(statement["Condition"])
                del condition[operator][key]
                yield f"{sid} without {key}", edited(whole, at, {**statement, "Condition": condition})


def edited(whole: Mapping[str, Any], at: int, statement: Mapping[str, Any] | None) -> str:
    listed = whole["Statement"] if isinstance(whole["Statement"], list) else [whole["Statement"]]
    left = [*listed[:at], *([statement] if statement else []), *listed[at + 1 :]]
    return json.dumps({**whole, "Statement": left})

"""The policy as a table: who may do what, where, and what it says to those who may not."""

from itertools import product

import pytest

from bot.policy import (
    ANYBODY,
    AT_ONCE,
    CONFIGURABLE,
    CONTROL,
    RUNS,
    Action,
    Actor,
    Facts,
    PolicyRow,
    admission,
    authorise,
    places,
    rights,
    row_of,
    seeded_rows,
)
from tests.unit.engine_room import DEV, GUEST, OWNER, SRE

ROWS = seeded_rows()
STRANGER = Actor("777", 777, frozenset({"sre"}), known=False)
OWNER_ONLY = Actor("boss", 9, frozenset({"owner"}))
ROLLOUTS = frozenset({Action.DEPLOY, Action.ROLLBACK})
OVER_OPERATIONS = frozenset(
    {
        Action.OPERATION_APPROVE,
        Action.OPERATION_DENY,
        Action.OPERATION_CANCEL,
        Action.OPERATION_CLOSE,
        Action.OPERATION_RESUME,
        Action.OPERATION_WITHDRAW,
    }
)


@pytest.mark.parametrize("actor", [DEV, SRE, OWNER], ids=lambda actor: actor.name)
@pytest.mark.parametrize("action", sorted(ROLLOUTS))
def test_dev_takes_devs_and_sres_without_anybody_else(actor: Actor, action: Action) -> None:
    decision = authorise(ROWS, actor, action, "dev")
    assert decision.allowed
    assert decision.quorum == 0
    assert "nobody else has to agree" in decision.reason


@pytest.mark.parametrize("actor", [DEV, SRE], ids=lambda actor: actor.name)
@pytest.mark.parametrize("action", sorted(ROLLOUTS))
def test_prod_takes_devs_and_sres_with_one_sre(actor: Actor, action: Action) -> None:
    decision = authorise(ROWS, actor, action, "prod")
    assert decision.allowed
    assert (decision.quorum, decision.approvers) == (1, ("sre",))
    assert "1 of sre must approve, not the requester" in decision.reason


def test_an_sre_alone_may_roll_prod_back_to_a_version_verified_there() -> None:
    verified = Facts(requester="sre", verified_rollback=True)
    assert authorise(ROWS, SRE, Action.ROLLBACK, "prod", verified).quorum == 0
    assert authorise(ROWS, DEV, Action.ROLLBACK, "prod", verified).quorum == 1
    assert authorise(ROWS, SRE, Action.ROLLBACK, "prod", Facts(requester="sre")).quorum == 1
    assert authorise(ROWS, SRE, Action.DEPLOY, "prod", verified).quorum == 1


@pytest.mark.parametrize(("actor", "action", "environment"), [
    *product([GUEST, OWNER_ONLY], sorted(ROLLOUTS), ["dev", "prod"]),
    *product([DEV, SRE, OWNER], sorted(RUNS), ["staging", "*", ""]),
    *product([GUEST, DEV], [Action.RELOAD], [CONTROL]),
    *product([GUEST], [Action.AUDIT_VIEW], ["*"]),
    *product([GUEST], [Action.STATUS_VIEW, Action.OPERATION_VIEW], ["dev", "prod", "*"]),
    *product([GUEST], sorted(AT_ONCE), ["dev", "prod", "*", ""]),
    *product([GUEST], [Action.ALERT_VIEW, Action.METRICS_VIEW, Action.METRICS_QUERY], ["dev", "prod", "*", ""]),
    *product([DEV], [Action.SILENCE_WRITE], ["prod", "*", ""]),
    *product([DEV], [Action.ONCALL_WRITE, Action.METRICS_QUERY], ["dev", "prod", "*", ""]),
], ids=str)  # fmt: skip
def test_whoever_no_rule_names_is_refused_with_the_rule_and_a_way(
    actor: Actor, action: Action, environment: str
) -> None:
    decision = authorise(ROWS, actor, action, environment)
    assert not decision.allowed
    assert decision.quorum == 0
    assert action.value in decision.reason
    assert decision.rule.startswith(action.value)
    assert decision.hint.endswith(".")


@pytest.mark.parametrize("actor", [DEV, SRE, OWNER_ONLY], ids=lambda actor: actor.name)
@pytest.mark.parametrize("action", [Action.STATUS_VIEW, Action.OPERATION_VIEW, Action.ALERT_VIEW, Action.METRICS_VIEW])
@pytest.mark.parametrize("environment", ["dev", "prod", "elsewhere", "*", ""])
def test_everybody_with_a_role_may_look(actor: Actor, action: Action, environment: str) -> None:
    assert authorise(ROWS, actor, action, environment).allowed


@pytest.mark.parametrize(("actor", "action", "environment"), [
    *product([DEV, SRE, OWNER, OWNER_ONLY], [Action.ALERT_ACK], ["dev", "prod", ""]),
    *product([SRE, OWNER, OWNER_ONLY], [Action.SILENCE_WRITE, Action.ONCALL_WRITE], ["dev", "prod", ""]),
    *product([SRE, OWNER_ONLY], [Action.METRICS_QUERY], ["prod", "*"]),
    (DEV, Action.SILENCE_WRITE, "dev"),
], ids=str)  # fmt: skip
def test_who_stands_watch_acts_at_once(actor: Actor, action: Action, environment: str) -> None:
    decision = authorise(ROWS, actor, action, environment)
    assert decision.allowed
    assert decision.quorum == 0


@pytest.mark.parametrize("action", sorted(AT_ONCE))
def test_a_rule_that_wants_an_approval_of_what_happens_at_once_lets_nobody_do_it(action: Action) -> None:
    row = PolicyRow(action, "*", requesters=("sre",), approvers=("sre",), quorum=1)
    refused = authorise((row,), SRE, action, "prod")
    assert not refused.allowed
    assert "can wait for none" in refused.reason


def test_everybody_may_ask_about_themselves() -> None:
    for actor in (GUEST, STRANGER, DEV):
        assert authorise(ROWS, actor, Action.SELF_VIEW, "*").allowed
        assert authorise((), actor, Action.SELF_VIEW, "*").allowed


def test_an_empty_policy_lets_nobody_do_anything_else() -> None:
    for actor, action in product([DEV, SRE, OWNER], sorted(set(Action) - {Action.SELF_VIEW})):
        assert not authorise((), actor, action, "dev", Facts(requester="dev", subject=Action.DEPLOY)).allowed


def test_an_account_that_the_configuration_does_not_name_changes_nothing() -> None:
    for action in (*ROLLOUTS, *OVER_OPERATIONS, *AT_ONCE):
        decision = authorise(ROWS, STRANGER, action, "prod", Facts(requester="dev", subject=Action.DEPLOY))
        assert not decision.allowed
        assert "people table" in decision.hint
    assert authorise(ROWS, STRANGER, Action.STATUS_VIEW, "prod").allowed


OF_DEV = Facts(requester="dev", subject=Action.DEPLOY)
OF_SRE = Facts(requester="sre", subject=Action.DEPLOY)


@pytest.mark.parametrize(("actor", "facts", "allowed", "says"), [
    (SRE, OF_DEV, True, "sre may approve"),
    (OWNER, OF_DEV, True, "sre may approve"),
    (DEV, OF_DEV, False, "you are dev"),
    (GUEST, OF_DEV, False, "you hold no role here"),
    (SRE, OF_SRE, False, "you asked for this yourself"),
    (OWNER, OF_SRE, True, "sre may approve"),
    (SRE, Facts(requester="dev"), False, "no such rule"),
])  # fmt: skip
def test_prod_is_approved_by_an_sre_who_did_not_ask(actor: Actor, facts: Facts, allowed: bool, says: str) -> None:
    decision = authorise(ROWS, actor, Action.OPERATION_APPROVE, "prod", facts)
    assert decision.allowed is allowed
    assert says in decision.reason


@pytest.mark.parametrize("action", sorted(OVER_OPERATIONS - {Action.OPERATION_APPROVE, Action.OPERATION_WITHDRAW}))
def test_requester_and_approvers_may_stop_it_and_nobody_else(action: Action) -> None:
    assert authorise(ROWS, DEV, action, "prod", OF_DEV).allowed
    assert authorise(ROWS, SRE, action, "prod", OF_DEV).allowed
    other = Actor("dev2", 2, frozenset({"dev"}))
    refused = authorise(ROWS, other, action, "prod", OF_DEV)
    assert not refused.allowed
    assert "the requester (dev) or sre may do that" in refused.reason
    assert refused.hint == "Ask dev to do it."


def test_where_nobody_approves_everybody_who_may_ask_may_stop_it() -> None:
    for actor in (DEV, SRE, Actor("dev2", 2, frozenset({"dev"}))):
        assert authorise(ROWS, actor, Action.OPERATION_CANCEL, "dev", OF_DEV).allowed
    assert not authorise(ROWS, GUEST, Action.OPERATION_CANCEL, "dev", OF_DEV).allowed


def test_a_requester_who_lost_every_role_may_still_cancel() -> None:
    lost = Actor("dev", 1, frozenset())
    assert authorise(ROWS, lost, Action.OPERATION_CANCEL, "prod", OF_DEV).allowed
    assert authorise(ROWS, lost, Action.OPERATION_CLOSE, "prod", OF_DEV).allowed


def test_letting_something_run_again_takes_the_right_to_ask_for_it() -> None:
    lost = Actor("dev", 1, frozenset())
    assert not authorise(ROWS, lost, Action.OPERATION_RESUME, "prod", OF_DEV).allowed
    assert authorise(ROWS, DEV, Action.OPERATION_RESUME, "prod", OF_DEV).allowed
    assert authorise(ROWS, SRE, Action.OPERATION_RESUME, "prod", OF_DEV).allowed


def test_self_approval_is_a_matter_of_the_row() -> None:
    row = PolicyRow(Action.DEPLOY, "prod", ("sre",), approvers=("sre",), quorum=1, self_approval=True)
    decision = authorise((row,), SRE, Action.OPERATION_APPROVE, "prod", OF_SRE)
    assert decision.allowed


def test_a_named_environment_speaks_before_the_star_wherever_it_is_written() -> None:
    star = PolicyRow(Action.DEPLOY, "*", ("dev",))
    prod = PolicyRow(Action.DEPLOY, "prod", ("sre",))
    for rows in ((star, prod), (prod, star)):
        assert row_of(rows, Action.DEPLOY, "prod") is prod
        assert row_of(rows, Action.DEPLOY, "dev") is star
        assert not authorise(rows, DEV, Action.DEPLOY, "prod").allowed


def test_empty_lists_of_roles_mean_nobody() -> None:
    nobody = PolicyRow(Action.DEPLOY, "prod", ())
    assert not authorise((nobody,), SRE, Action.DEPLOY, "prod").allowed
    unapprovable = PolicyRow(Action.DEPLOY, "prod", ("dev",), approvers=(), quorum=1)
    refused = authorise((unapprovable,), DEV, Action.DEPLOY, "prod")
    assert not refused.allowed
    assert "names nobody who may" in refused.reason
    assert not authorise((unapprovable,), SRE, Action.OPERATION_APPROVE, "prod", OF_DEV).allowed


def test_a_star_among_the_requesters_takes_no_guest() -> None:
    row = PolicyRow(Action.DEPLOY, "dev", ("*",))
    assert authorise((row,), OWNER_ONLY, Action.DEPLOY, "dev").allowed
    assert not authorise((row,), GUEST, Action.DEPLOY, "dev").allowed


def test_whoever_has_voted_may_take_the_vote_back_even_without_the_role() -> None:
    lost = Actor("sre", 3, frozenset())
    assert authorise(ROWS, lost, Action.OPERATION_WITHDRAW, "prod", OF_DEV).allowed
    assert not authorise(ROWS, STRANGER, Action.OPERATION_WITHDRAW, "prod", OF_DEV).allowed
    assert not authorise(ROWS, SRE, Action.OPERATION_WITHDRAW, "staging", OF_DEV).allowed


def test_the_bot_itself_takes_two_others_to_reload() -> None:
    asked = authorise(ROWS, OWNER, Action.RELOAD, CONTROL)
    assert asked.allowed
    assert (asked.quorum, asked.approvers) == (2, ("owner", "sre"))
    of_owner = Facts(requester="owner", subject=Action.RELOAD)
    assert authorise(ROWS, SRE, Action.OPERATION_APPROVE, CONTROL, of_owner).allowed
    assert not authorise(ROWS, OWNER, Action.OPERATION_APPROVE, CONTROL, of_owner).allowed
    assert not authorise(ROWS, DEV, Action.OPERATION_APPROVE, CONTROL, of_owner).allowed


def test_each_action_has_the_places_where_it_can_be_asked_for() -> None:
    assert places(Action.RELOAD, ["dev", "prod"]) == (CONTROL,)
    assert places(Action.DEPLOY, ["dev", "prod"]) == ("dev", "prod")
    assert places(Action.AUDIT_VIEW, ["dev", "prod"]) == ("*",)


def test_rights_decides_every_configurable_action_wherever_it_can_be_asked_for() -> None:
    table = list(rights(ROWS, SRE, ["dev", "prod"]))
    asked = [(action, place) for action, place, _ in table if action in CONFIGURABLE]
    assert sorted(asked) == sorted(
        (action, place) for action in CONFIGURABLE for place in places(action, ["dev", "prod"], ROWS)
    )
    for action, place, decision in table:
        if action in CONFIGURABLE:
            assert decision == authorise(ROWS, SRE, action, place)


def test_rights_says_what_one_may_approve() -> None:
    of = {
        actor.name: {d.rule: d.allowed for a, _, d in rights(ROWS, actor, ["dev", "prod"]) if a not in CONFIGURABLE}
        for actor in (SRE, DEV)
    }
    approvals = ("deploy:run in prod", "rollback:run in prod", "reload:run in control")
    assert of["sre"] == {f"operation:approve of {rule}": True for rule in approvals}
    assert of["dev"] == {f"operation:approve of {rule}": False for rule in approvals}


def test_a_wish_for_any_place_goes_where_it_is_granted_and_else_hears_of_a_rule_that_there_is() -> None:
    view = Action.STATUS_VIEW
    dev = PolicyRow(view, "dev", requesters=("dev",))
    prod = PolicyRow(view, "prod", requesters=("sre",))
    rows = (prod, dev)
    assert admission(rows, DEV, view, ANYBODY) == authorise(rows, DEV, view, "dev")
    assert admission(rows, SRE, view, ANYBODY) == authorise(rows, SRE, view, "prod")
    assert admission(rows, DEV, view, "prod") == authorise(rows, DEV, view, "prod")
    refused = admission(rows, GUEST, view, ANYBODY)
    assert refused == authorise(rows, GUEST, view, "prod")
    assert not refused.allowed and refused.row == prod
    everywhere = PolicyRow(view, ANYBODY, requesters=("owner",))
    assert admission((everywhere, dev), GUEST, view, ANYBODY).row == everywhere
    assert admission((everywhere, dev), DEV, view, ANYBODY).row == dev
    other = PolicyRow(Action.AUDIT_VIEW, "dev", requesters=("dev",))
    assert admission((other,), DEV, view, ANYBODY) == authorise((other,), DEV, view, ANYBODY)
    assert admission((), DEV, view, ANYBODY).row is None
    assert admission(iter(rows), GUEST, view, ANYBODY) == refused

"""Every decision of the policy, word by word: who may do what to whose operation, and what everybody else is told."""

from itertools import product

from bot.policy import (
    CONTROL,
    Action,
    Actor,
    Decision,
    Facts,
    PolicyRow,
    authorise,
    places,
    rights,
    row_of,
    seeded_rows,
    who,
)
from tests.unit.golden import expect

ACTORS = (
    Actor("dev", 1, frozenset({"dev"})),
    Actor("sre", 3, frozenset({"sre"})),
    Actor("owner", 5, frozenset({"owner", "sre"})),
    Actor("guest", 6, frozenset()),
    Actor("777", 777, frozenset({"sre", "dev", "owner"}), known=False),
)
ODD_ROWS = (
    PolicyRow(Action.DEPLOY, "dev", requesters=()),
    PolicyRow(Action.DEPLOY, "prod", requesters=("*",), approvers=(), quorum=1),
    PolicyRow(Action.ROLLBACK, "prod", requesters=("dev", "sre"), approvers=("*",), quorum=2, self_approval=True,
              expires_s=60),
    PolicyRow(Action.ROLLBACK, "*", requesters=("sre",), approvers=("owner", "sre"), quorum=1, verified_alone=True),
    PolicyRow(Action.STATUS_VIEW, "prod", requesters=("sre",)),
)  # fmt: skip
SUBJECTS = (None, Action.DEPLOY, Action.ROLLBACK)


def told(decision: Decision) -> str:
    """All of a decision but the row itself."""
    verdict = "yes" if decision.allowed else "NO"
    facts = f"quorum {decision.quorum}, approvers {'+'.join(decision.approvers) or '-'}, {decision.expires_s} s"
    row = decision.row.rule if decision.row else "no row"
    return f"{verdict} | {facts} | {row} | {decision.rule}\n      {decision.reason}\n      hint: {decision.hint or '-'}"


def test_every_decision_of_the_seeded_policy_and_of_an_odd_one() -> None:
    heads_by_answer: dict[str, list[str]] = {}
    for name, rows in (("seeded", seeded_rows()), ("odd", ODD_ROWS)):
        for action, actor in product(sorted(Action), ACTORS):
            over_an_operation = action.startswith("operation:") and action is not Action.OPERATION_VIEW
            subjects = SUBJECTS if over_an_operation else (None,)
            requesters = ("dev", "sre") if over_an_operation else ("dev",)
            verified = (True, False) if action is Action.ROLLBACK else (False,)
            places_of = (CONTROL,) if action is Action.RELOAD else ("dev", "prod")
            for environment, subject, requester, lately in product(places_of, subjects, requesters, verified):
                facts = Facts(requester=requester, verified_rollback=lately, subject=subject)
                decision = authorise(rows, actor, action, environment, facts)
                about = f" {subject or '-'}~{requester or '-'}" if over_an_operation else " verified" if lately else ""
                heads = heads_by_answer.setdefault(f"{name} {action}\n   {told(decision)}", [])
                heads.append(f"{actor.name}@{environment}{about}")
    expect("policy.txt", "\n".join(f"{answer}\n   = {'; '.join(heads)}\n" for answer, heads in heads_by_answer.items()))


def test_every_right_of_every_actor() -> None:
    lines = [
        f"{actor.name}: {action} in {environment}: {told(decision)}"
        for actor in ACTORS
        for action, environment, decision in rights(seeded_rows(), actor, ("dev", "prod", CONTROL))
    ]
    expect("rights.txt", "\n".join(lines) + "\n")


def test_where_something_can_be_asked_for() -> None:
    found = {action: places(action, ("dev", "prod")) for action in Action}
    assert found == {
        action: ("dev", "prod") if action in (Action.DEPLOY, Action.ROLLBACK)
        else (CONTROL,) if action is Action.RELOAD else ("*",)
        for action in Action
    }  # fmt: skip


def test_the_first_written_speaks_among_equals() -> None:
    first, second = PolicyRow(Action.DEPLOY, "prod", ("dev",)), PolicyRow(Action.DEPLOY, "prod", ("sre",))
    assert row_of((first, second), Action.DEPLOY, "prod") is first
    assert row_of((second, first), Action.DEPLOY, "prod") is second
    assert row_of((first,), Action.DEPLOY, "dev") is None


def test_roles_as_people_say_them() -> None:
    assert [who(()), who(("a",)), who(("a", "b")), who(("a", "*"))] == [
        "nobody", "a", "a or b", "everybody with a role",
    ]  # fmt: skip

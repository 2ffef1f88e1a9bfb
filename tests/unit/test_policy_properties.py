"""What holds for every policy that anybody may write, not only for the seeded one."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.ops.rules import Rules
from bot.policy import (
    ANYBODY,
    AT_ONCE,
    CONFIGURABLE,
    RUNS,
    Action,
    Actor,
    Facts,
    PolicyRow,
    admission,
    authorise,
    sight,
)

ROLES = ("dev", "sre", "owner")
ENVIRONMENTS = ("dev", "prod", ANYBODY)
OVER = sorted(set(Action) - CONFIGURABLE - {Action.SELF_VIEW})

named = st.lists(st.sampled_from([*ROLES, ANYBODY]), max_size=3, unique=True).map(tuple)
rows = st.lists(
    st.builds(
        PolicyRow,
        action=st.sampled_from(sorted(CONFIGURABLE)),
        environment=st.sampled_from(ENVIRONMENTS),
        requesters=named,
        approvers=st.lists(st.sampled_from(ROLES), max_size=3, unique=True).map(tuple),
        quorum=st.integers(0, 3),
        self_approval=st.booleans(),
        expires_s=st.integers(60, 86400),
        verified_alone=st.booleans(),
    ),
    max_size=6,
).map(tuple)
actors = st.builds(
    Actor,
    name=st.sampled_from(["dev", "sre", "owner"]),
    discord_id=st.none(),
    roles=st.frozensets(st.sampled_from(ROLES)),
    known=st.booleans(),
)
actions = st.sampled_from(sorted(Action))
places = st.sampled_from(["dev", "prod", "staging"])
facts = st.builds(
    Facts,
    requester=st.sampled_from(["", "dev", "sre"]),
    verified_rollback=st.booleans(),
    subject=st.none() | st.sampled_from(sorted(RUNS)),
)


@given(rows, actors, actions, places, facts)
def test_every_decision_has_a_reason_and_every_refusal_a_way(
    table: tuple[PolicyRow, ...], actor: Actor, action: Action, place: str, about: Facts
) -> None:
    decision = authorise(table, actor, action, place, about)
    assert decision.reason.endswith(".")
    assert decision.rule
    assert decision.allowed or decision.hint.endswith(".")
    assert decision.allowed or decision.quorum == 0


@given(rows, actors, actions, places, facts)
def test_without_any_role_nobody_starts_approves_or_looks(
    table: tuple[PolicyRow, ...], actor: Actor, action: Action, place: str, about: Facts
) -> None:
    bare = replace(actor, roles=frozenset())
    own_word = {Action.SELF_VIEW, Action.OPERATION_WITHDRAW}
    decision = authorise(table, bare, action, place, about)
    if action not in own_word and not (action in OVER and bare.name == about.requester):
        assert not decision.allowed
    if action in (Action.OPERATION_APPROVE, Action.OPERATION_RESUME):
        assert not decision.allowed


@given(rows, actors, actions, places, facts)
def test_who_is_no_person_of_the_configuration_changes_nothing(
    table: tuple[PolicyRow, ...], actor: Actor, action: Action, place: str, about: Facts
) -> None:
    stranger = replace(actor, known=False)
    if action in RUNS | AT_ONCE or action in OVER:
        assert not authorise(table, stranger, action, place, about).allowed


@given(rows, actors, places, facts)
def test_nobody_approves_the_own_request_unless_the_row_says_so(
    table: tuple[PolicyRow, ...], actor: Actor, place: str, about: Facts
) -> None:
    decision = authorise(table, actor, Action.OPERATION_APPROVE, place, replace(about, requester=actor.name))
    assert not decision.allowed or (decision.row is not None and decision.row.self_approval)


@given(rows, actors, st.sampled_from(sorted(RUNS)), places, facts)
def test_only_an_approver_with_a_verified_version_escapes_the_quorum(
    table: tuple[PolicyRow, ...], actor: Actor, action: Action, place: str, about: Facts
) -> None:
    decision = authorise(table, actor, action, place, about)
    if not decision.allowed:
        return
    assert decision.row is not None
    row = decision.row
    alone = row.verified_alone and about.verified_rollback and bool(actor.roles & set(row.approvers))
    assert decision.quorum == (0 if alone else row.quorum)
    assert decision.quorum == 0 or row.approvers


@given(rows, actors, st.sampled_from(sorted(AT_ONCE)), places)
def test_what_happens_at_once_waits_for_nobody(
    table: tuple[PolicyRow, ...], actor: Actor, action: Action, place: str
) -> None:
    decision = authorise(table, actor, action, place)
    assert decision.quorum == 0
    assert not (decision.allowed and decision.row is not None and decision.row.quorum)


@given(rows, actors, actions, places, facts)
def test_a_decision_comes_from_a_row_of_that_place_or_is_a_refusal(
    table: tuple[PolicyRow, ...], actor: Actor, action: Action, place: str, about: Facts
) -> None:
    decision = authorise(table, actor, action, place, about)
    wanted = action if action in CONFIGURABLE else about.subject
    fitting = [row for row in table if row.action is wanted and row.environment in (place, ANYBODY)]
    exact = [row for row in fitting if row.environment == place]
    if decision.row is not None:
        assert decision.row == (exact or fitting)[0]
    elif action is not Action.SELF_VIEW:
        assert not decision.allowed
        assert not fitting


@given(rows, st.sampled_from(["deploy", "rollback"]), places)
def test_a_changed_row_changes_the_digest_and_another_row_does_not(
    table: tuple[PolicyRow, ...], kind: str, place: str
) -> None:
    content = {"commit": "c" * 40}
    before = Rules(table).digest(kind, place, "dev", content)
    row = next((r for r in table if r.action == f"{kind}:run" and r.environment == place), None)
    if row is not None:
        changed = tuple(replace(r, quorum=r.quorum + 1) if r is row else r for r in table)
        assert Rules(changed).digest(kind, place, "dev", content) != before
    others = tuple(r for r in table if r.action == f"{kind}:run")
    assert Rules(others).digest(kind, place, "dev", content) == before
    assert Rules(table).digest(kind, place, "sre", content) != before


@given(rows, actors, st.sampled_from(sorted(CONFIGURABLE - RUNS)))
def test_one_sees_exactly_what_each_environment_s_own_rule_grants(
    table: tuple[PolicyRow, ...], actor: Actor, action: Action
) -> None:
    seen = sight(table, actor, action)
    for place in ("dev", "prod", "staging", "", ANYBODY):
        assert seen.covers(place) is authorise(table, actor, action, place).allowed
        assert seen.rest.covers(place) is not seen.covers(place)
    assert seen.whole is all(seen.covers(place) for place in ("dev", "prod", "staging"))


@given(rows, actors, st.sampled_from(sorted(CONFIGURABLE - RUNS)))
def test_a_door_lets_begin_whoever_may_look_anywhere_and_nobody_else(
    table: tuple[PolicyRow, ...], actor: Actor, action: Action
) -> None:
    everywhere = ("dev", "prod", ANYBODY)
    anywhere = any(authorise(table, actor, action, place).allowed for place in everywhere)
    decision = admission(table, actor, action, ANYBODY)
    assert decision.allowed is anywhere
    if not anywhere:
        assert decision in [authorise(table, actor, action, place) for place in everywhere]
        assert (decision.row is not None) is any(row.action == action for row in table)
    for place in ("dev", "prod", "staging"):
        assert admission(table, actor, action, place) == authorise(table, actor, action, place)

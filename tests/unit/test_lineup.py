"""Whose turn it is, without a database."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bot.ops.lineup import Standing, line_up
from bot.ops.model import Status


def standing(
    number: int,
    *locks: str,
    status: Status = Status.APPROVED,
    step: str = "",
    kind: str = "deploy",
    takes_over: tuple[int, ...] = (),
) -> Standing:
    return Standing(number, kind, "app", "dev", "dev", status, locks, "", step, "", None, None, takes_over)


def test_the_first_starts_and_the_rest_stand_behind_it() -> None:
    first, second, third = (standing(number, "dev/app") for number in (1, 2, 3))
    turns = line_up([first, second, third], {}, begun=frozenset(), free_slots=8)
    assert [turn.starts for turn in turns] == [True, False, False]
    assert turns[1].waiting_for == "2nd behind #1 (deploy of app to dev, started by dev): about to start"
    assert turns[2].waiting_for.startswith("3rd behind #1 ")


def test_the_holder_is_named_with_what_it_does() -> None:
    holder = standing(183, "dev/app", status=Status.RUNNING, step="Pull")
    (turn,) = line_up([standing(184, "dev/app")], {"dev/app": holder}, begun=frozenset(), free_slots=8)
    assert turn.waiting_for == "2nd behind #183 (deploy of app to dev, started by dev): Pull"


def test_a_holder_that_is_held_back_says_why_and_how_to_end_that() -> None:
    held = replace(
        standing(183, "dev/app", status=Status.RUNNING, step="Build"),
        startable_since=datetime(2026, 8, 1, tzinfo=UTC),
        waiting_for="a check before it goes on: Discord cannot be reached.",
    )
    (turn,) = line_up([standing(184, "dev/app")], {"dev/app": held}, begun=frozenset(), free_slots=8)
    assert turn.waiting_for == (
        "2nd behind #183 (deploy of app to dev, started by dev): held back: a check before it goes on: Discord cannot "
        "be reached; cancel #183, or wait until it is interrupted"
    )


def test_an_interrupted_holder_says_that_it_waits_for_a_person() -> None:
    holder = standing(183, "dev/app", status=Status.INTERRUPTED)
    (turn,) = line_up([standing(184, "dev/app")], {"dev/app": holder}, begun=frozenset(), free_slots=8)
    assert "keeps its locks until somebody resumes or closes it" in turn.waiting_for


def test_one_that_wants_many_locks_is_not_overtaken_on_any_of_them() -> None:
    holder = standing(1, "a", status=Status.RUNNING)
    wide, narrow, other = standing(2, "a", "b"), standing(3, "b"), standing(4, "c")
    turns = {
        turn.operation.id: turn
        for turn in line_up([wide, narrow, other], {"a": holder}, begun=frozenset(), free_slots=8)
    }
    assert not turns[2].starts
    assert not turns[3].starts
    assert turns[3].waiting_for.startswith("2nd behind #2 ")
    assert turns[4].starts


def test_slots_are_given_in_order_and_the_wait_for_one_is_said() -> None:
    turns = line_up([standing(n, f"lock{n}") for n in (1, 2, 3)], {}, begun=frozenset(), free_slots=2)
    assert [turn.starts for turn in turns] == [True, True, False]
    assert "free slot" in turns[2].waiting_for


def test_what_is_being_checked_keeps_its_place_and_is_not_begun_twice() -> None:
    turns = line_up([standing(1, "a"), standing(2, "a")], {}, begun=frozenset({1}), free_slots=8)
    assert [(turn.operation.id, turn.starts) for turn in turns] == [(2, False)]


def test_what_cannot_be_checked_now_is_not_overtaken_by_a_newer_deploy() -> None:
    turns = line_up([standing(1, "a"), standing(2, "a")], {}, begun=frozenset(), free_slots=8, held_back=frozenset({1}))
    assert [(turn.operation.id, turn.starts) for turn in turns] == [(2, False)]
    assert turns[0].waiting_for.startswith("2nd behind #1 ")


def test_a_rollback_does_not_wait_for_what_cannot_be_checked_now() -> None:
    waiting = [standing(1, "a"), standing(2, "a", kind="rollback")]
    turns = line_up(waiting, {}, begun=frozenset(), free_slots=8, held_back=frozenset({1}))
    assert [(turn.operation.id, turn.starts) for turn in turns] == [(2, True)]


LOST = standing(183, "dev/app", status=Status.INTERRUPTED)


def test_what_takes_the_locks_over_passes_the_holder_and_those_who_wait_behind_it() -> None:
    waiting = [standing(184, "dev/app"), standing(185, "dev/app", kind="rollback", takes_over=(183,))]
    turns = line_up(waiting, {"dev/app": LOST}, begun=frozenset(), free_slots=8)
    assert [(turn.operation.id, turn.starts) for turn in turns] == [(184, False), (185, True)]


def test_what_takes_the_locks_over_does_not_pass_one_that_is_being_checked() -> None:
    waiting = [standing(184, "dev/app"), standing(185, "dev/app", kind="rollback", takes_over=(183,))]
    (turn,) = line_up(waiting, {"dev/app": LOST}, begun=frozenset({184}), free_slots=8)
    assert not turn.starts
    assert turn.waiting_for.startswith("2nd behind #184 ")


def test_nothing_is_taken_over_from_another_one_or_from_one_that_runs_again() -> None:
    runs = standing(183, "dev/app", status=Status.RUNNING, step="Pull")
    for holder, takes_over in ((LOST, (182,)), (runs, (183,))):
        waiting = [standing(184, "dev/app"), standing(185, "dev/app", kind="rollback", takes_over=takes_over)]
        turns = line_up(waiting, {"dev/app": holder}, begun=frozenset(), free_slots=8)
        assert [turn.starts for turn in turns] == [False, False]
        assert turns[1].waiting_for.startswith("3rd behind #183 ")


def test_a_rollback_behind_one_that_was_interrupted_since_hears_the_way_out() -> None:
    (turn,) = line_up([standing(184, "dev/app", kind="rollback")], {"dev/app": LOST}, begun=frozenset(), free_slots=8)
    assert "a rollback that is asked for now takes its locks over" in turn.waiting_for


@given(st.lists(st.sets(st.sampled_from("abcd"), max_size=3), max_size=8), st.sets(st.sampled_from("abcd"), max_size=2))
def test_no_two_that_start_share_a_lock_and_nobody_overtakes(wanted: list[set[str]], held: set[str]) -> None:
    waiting = [standing(number, *sorted(locks)) for number, locks in enumerate(wanted, 1)]
    holder = standing(99, *held, status=Status.RUNNING)
    turns = line_up(waiting, dict.fromkeys(held, holder), begun=frozenset(), free_slots=100)
    seen = set(held)
    for turn in turns:
        assert turn.starts == seen.isdisjoint(turn.operation.locks)
        seen |= set(turn.operation.locks)

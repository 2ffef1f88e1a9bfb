"""An operation's card in every status: what it must say, what can be pressed, and that it keeps Discord's limits."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import discord
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.ops.model import Operation, Status, Step, Verdict, Vote
from bot.policy import Door
from bot.ui.card import (
    CardSight,
    Press,
    Sheet,
    card,
    drawn_as,
    fingerprint,
    headline,
    notice,
    offers,
    outcome_line,
    redacted,
)
from bot.ui.card_lines import face_of
from bot.ui.details import details_text, log_text
from bot.ui.text import DISPLAY_LIMIT

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
COMMIT, BEFORE = "4f1c2a9" + "0" * 33, "9a2e07d" + "0" * 33
PENDING = Operation(
    id=184, kind="deploy", environment="prod", service="app", target="4f1c2a9",
    params={"service": "app", "ref": "main"},
    plan={"commit": COMMIT, "replaces": {"commit": BEFORE, "image": "x"}, "image_tag": "fp-0123456789abcdef"},
    shown={
        "title": "Fix cart rounding", "author": "harbour-dev", "branch": "main", "branch_ahead": 2,
        "commits": [{"sha": "4f1c2a9", "title": "Fix cart rounding", "author": "harbour-dev", "pr": 12}],
        "commits_total": 1, "ci": {"state": "success", "passed": 14, "total": 14, "failing": []}, "image_ready": True,
        "ran_in": {"environment": "dev", "since": "2026-08-01T09:00:00+00:00"},
        "replaces_since": "2026-07-30T12:00:00+00:00", "replaces_known": "live", "url": "http://app.example",
    },
    locks=("prod/app",), digest="7c41ee" + "0" * 58, requester="dev", status=Status.PENDING, quorum=1,
    approver_roles=("sre",), policy_reason="Rule deploy:run in prod.", request_key="k", parent_id=None, waiting_for="",
    reason="", steps=(), log_tail="", checkpoint={}, result={}, created_at=NOW, expires_at=NOW + timedelta(hours=8),
    approved_at=None, started_at=None, ended_at=None, cancel_requested_at=None, cancel_requested_by="", seeded=False,
)  # fmt: skip
STEPS = (
    Step("Build", "ok", "reused image", 1),
    Step("Pull", "ok", "", 6),
    Step("Healthy", "running", "2/3 checks", 12),
)
RESULT = {
    "commit": COMMIT, "url": "http://app.example:8080", "built_from": COMMIT, "reused_image": True,
    "previous": {"commit": BEFORE, "image": "x"}, "health": {"status": "ok"},
}  # fmt: skip
APPROVAL = Vote(184, "sre", Verdict.APPROVE, PENDING.digest, "", NOW)


def in_status(status: Status, **changes: Any) -> Operation:
    """The sample operation as it would stand in that status."""
    more: dict[str, Any] = {"status": status}
    if status in (Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.INTERRUPTED):
        more |= {"started_at": NOW, "steps": STEPS, "approved_at": NOW}
    if status in (Status.SUCCEEDED, Status.FAILED):
        more["ended_at"] = NOW + timedelta(seconds=58)
    if status is Status.SUCCEEDED:
        more["result"] = RESULT
    if status is Status.FAILED:
        more |= {"reason": "The rollout failed: /readyz 503 for 30 s.", "log_tail": "start\nKeyError: 'STRIPE_KEY'"}
    return replace(PENDING, **(more | changes))


def drawn(operation: Operation, votes: tuple[Vote, ...] = (), *, hosts: tuple[str, ...] = ()) -> Sheet:
    handles = {press: f"handle-{press.name.lower()}" for press in Press}
    return card(CardSight(operation, votes, handles, hosts, self_approval=False))


def items(sheet: Sheet) -> list[discord.ui.Item[Any]]:
    return list(sheet.walk_children())


def text_of(sheet: Sheet) -> str:
    return "\n".join(item.content for item in items(sheet) if isinstance(item, discord.ui.TextDisplay))


def labels(sheet: Sheet) -> Iterator[str]:
    for item in items(sheet):
        if isinstance(item, discord.ui.Button):
            yield str(item.label)
        if isinstance(item, discord.ui.Select):
            yield from (option.label for option in item.options)


@pytest.mark.parametrize("status", list(Status))
async def test_every_card_says_what_where_who_and_how_it_stands(status: Status) -> None:
    operation = in_status(status)
    text = text_of(drawn(operation))
    for needed in (face_of(operation).word, "app", "prod", "4f1c2a9", "#184", "dev", "digest 7c41ee"):
        assert needed in text


async def test_a_request_shows_what_would_change_and_who_must_agree() -> None:
    text = text_of(drawn(in_status(Status.PENDING)))
    for needed in ("> Fix cart rounding", "replaces 9a2e07d", "CI ok 14/14", "image ready", "needs 1 sre, not dev",
                   "runs in dev", "main is 2 ahead"):  # fmt: skip
        assert needed in text


async def test_commits_that_do_not_fit_are_counted_not_hidden() -> None:
    commits = [{"sha": f"{n:07x}", "title": f"change {n}", "author": "a", "pr": None} for n in range(20)]
    shown = {**PENDING.shown, "commits": commits, "commits_total": 57}
    text = text_of(drawn(in_status(Status.PENDING, shown=shown)))
    assert "and 53 more commits" in text
    assert "only 20 of 57 are listed" in details_text(in_status(Status.PENDING, shown=shown), 3900)


async def test_a_running_card_shows_the_steps_done_and_those_to_come() -> None:
    text = text_of(drawn(in_status(Status.RUNNING), (APPROVAL,)))
    assert "ok Build · reused image" in text
    assert "→ Healthy · 2/3 checks · 12 s" in text
    assert "… Switch, Drain, Verify" in text
    assert "9a2e07d still serves" in text
    assert "approved sre" in text


async def test_an_approved_operation_behind_another_is_queued_and_says_behind_whom() -> None:
    waiting = in_status(Status.APPROVED, waiting_for="2nd behind #183 (deploy of app to prod, started by dev): Pull")
    text = text_of(drawn(waiting))
    assert "DEPLOY queued" in text
    assert "behind #183" in text


async def test_success_names_the_address_the_duration_and_where_the_image_came_from() -> None:
    text = text_of(drawn(in_status(Status.SUCCEEDED), (APPROVAL,)))
    for needed in ("live, checked", "http://app.example:8080", "58 s", "reused image, built from 4f1c2a9", "9a2e07d"):
        assert needed in text


async def test_failure_says_that_it_is_not_live_why_and_what_was_not_done() -> None:
    text = text_of(drawn(in_status(Status.FAILED)))
    for needed in ("NOT LIVE", "/readyz 503", "> KeyError: 'STRIPE_KEY'", "did: Build, Pull", "did not: Healthy"):
        assert needed in text


async def test_the_end_of_a_build_log_shows_the_error_and_not_the_runners_marks() -> None:
    at = "2026-11-23T06:42:17.2589460Z "
    log = f"{at}##[group]Build image\n{at}ERROR: no such file\n{at}##[error]exit code 1.\n{at}##[endgroup]"
    text = text_of(drawn(in_status(Status.FAILED, log_tail=log)))
    assert "> ERROR: no such file\n> error: exit code 1." in text
    assert "group" not in text


async def test_a_cancel_that_is_not_verified_yet_says_so_and_cannot_be_asked_twice() -> None:
    asked = in_status(Status.RUNNING, cancel_requested_at=NOW, cancel_requested_by="dev")
    sheet = drawn(asked)
    assert "dev asked to cancel" in text_of(sheet)
    assert "Cancel" not in list(labels(sheet))


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (Status.PENDING, ["Approve", "Deny…", "Use newest", "Cancel", "Details"]),
        (Status.APPROVED, ["Cancel", "Use newest", "Details"]),
        (Status.RUNNING, ["Cancel", "Log"]),
        (Status.SUCCEEDED, ["Roll back to 9a2e07d…", "Log"]),
        (Status.FAILED, ["Log", "Retry…"]),
        (Status.DENIED, []),
        (Status.EXPIRED, ["Ask again…"]),
        (Status.CANCELLED, ["Ask again…"]),
        (Status.STALE, ["Ask again…"]),
        (Status.INTERRUPTED, ["Look again", "Close, free lock…", "Roll back…", "Log"]),
    ],
)
async def test_what_can_be_pressed_follows_the_status(status: Status, wanted: list[str]) -> None:
    assert list(labels(drawn(in_status(status)))) == wanted


@pytest.mark.parametrize("status", list(Status))
async def test_at_most_three_buttons_stand_beside_each_other(status: Status) -> None:
    for item in items(drawn(in_status(status), hosts=("app.example",))):
        if isinstance(item, discord.ui.ActionRow):
            assert len(item.children) <= 3


async def test_an_address_is_a_button_only_where_the_configuration_names_its_host() -> None:
    assert "Open" in list(labels(drawn(in_status(Status.SUCCEEDED), hosts=("app.example",))))
    assert "Open" not in list(labels(drawn(in_status(Status.SUCCEEDED), hosts=("example",))))


@pytest.mark.parametrize("status", list(Status))
async def test_no_view_is_left_in_memory(status: Status) -> None:
    assert drawn(in_status(status)).is_finished()


async def test_the_same_rows_give_the_same_card() -> None:
    assert fingerprint(drawn(in_status(Status.RUNNING))) == fingerprint(drawn(in_status(Status.RUNNING)))
    assert fingerprint(drawn(in_status(Status.RUNNING))) != fingerprint(drawn(in_status(Status.PENDING)))


@settings(max_examples=60, deadline=None)
@given(foreign=st.text(min_size=0, max_size=4000), status=st.sampled_from(list(Status)))
async def test_hostile_text_breaks_neither_the_limits_nor_the_layout(foreign: str, status: Status) -> None:
    commits = [{"sha": "1" * 7, "title": foreign, "author": foreign, "pr": 1}] * 20
    shown = {**PENDING.shown, "title": foreign, "author": foreign, "branch": foreign, "commits": commits}
    steps = tuple(Step(name, "running", foreign, 1) for name in ("Build", "Pull", "Start"))
    hostile = in_status(status, shown=shown, reason=foreign, log_tail=foreign, waiting_for=foreign, steps=steps)
    sheet = drawn(hostile)
    text = text_of(sheet)
    assert sheet.content_length() <= DISPLAY_LIMIT
    assert len(items(sheet)) <= 40
    assert "@everyone" not in text
    assert all(len(label) <= 100 for label in labels(sheet))
    assert len(log_text(hostile, 3900)) <= 3900
    assert len(details_text(hostile, 3900)) <= 3900


async def test_the_line_that_pings_says_all_that_is_needed_by_itself() -> None:
    line = headline(in_status(Status.PENDING))
    for needed in ("DEPLOY waiting", "#184", "app > prod", "4f1c2a9", "dev", "needs 1 sre"):
        assert needed in line


async def test_the_outcome_line_says_how_it_ended_and_why() -> None:
    assert outcome_line(in_status(Status.FAILED)) == (
        "#184 deploy failed: app > prod · 4f1c2a9. The rollout failed: /readyz 503 for 30 s."
    )


async def test_secrets_are_taken_out_of_every_text_of_a_sheet() -> None:
    sheet = redacted(notice("token hunter22 here"), lambda text: text.replace("hunter22", "[redacted]"))
    assert text_of(sheet) == "token [redacted] here"


@pytest.mark.parametrize("status", list(Status))
def test_every_offer_of_a_card_can_be_drawn_as_a_button_or_entry(status: Status) -> None:
    assert set(offers(in_status(status))) <= set(Press)


# ---- doors, roles, locks, and operations that are no version -------------------------------------------------------


def test_a_card_says_at_which_door_it_was_asked_for_and_when_roles_could_not_be_confirmed() -> None:
    asked = in_status(Status.RUNNING, door=Door.COMMAND_LINE, roles_confirmed=False)
    text = text_of(drawn(asked))
    assert "asked dev at the command line" in text
    assert "roles not confirmed" in text
    usual = text_of(drawn(in_status(Status.RUNNING)))
    assert "command line" not in usual and "not confirmed" not in usual


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status.PENDING, "main is 2 ahead (5a5a5a5)"),
        (Status.RUNNING, "main was 2 ahead (5a5a5a5)"),
        (Status.SUCCEEDED, "main was 2 ahead (5a5a5a5)"),
    ],
)
def test_a_card_says_how_far_the_branch_has_moved_on_beyond_the_pinned_commit(status: Status, said: str) -> None:
    shown = {**PENDING.shown, "newest": {"sha": "5a5a5a5" * 5, "title": "Later"}}
    assert said in text_of(drawn(in_status(status, shown=shown)))
    assert " ahead" not in text_of(drawn(in_status(status, shown={**PENDING.shown, "branch_ahead": 0})))


def test_a_rollback_that_takes_locks_over_names_whose_and_what_the_host_answers() -> None:
    shown = {
        "takes_over": [{"id": 183, "kind": "deploy", "target": "4f1c2a9", "requester": "dev", "reason": "?"}],
        "answers": {"commit": BEFORE, "known": "live", "healthy": False},
    }
    text = text_of(drawn(in_status(Status.PENDING, kind="rollback", shown=shown, takes_over=(183,))))
    assert "takes over the lock of #183, which is interrupted (deploy of 4f1c2a9, asked dev)" in text
    assert "the host answers: 9a2e07d *live*, NOT healthy" in text
    unknown = {**shown, "answers": {"commit": "", "known": "unknown", "healthy": False}}
    assert "the host: *unknown*" in text_of(drawn(in_status(Status.PENDING, shown=unknown, takes_over=(183,))))


def test_an_interrupted_operation_whose_locks_were_taken_can_only_be_closed() -> None:
    taken = in_status(Status.INTERRUPTED, locks_taken_by=190)
    assert "#190 has taken its lock over" in text_of(drawn(taken))
    assert list(labels(drawn(taken))) == ["Close, free lock…", "Log"]
    assert drawn_as(taken) != drawn_as(in_status(Status.INTERRUPTED))


CONFIGURATION = {
    "kind": "reload", "environment": "control", "service": "configuration", "target": "ab12cd3",
    "plan": {"file": "ab12cd3" * 5}, "params": {},
    "shown": {"title": "Read the file again", "lines": [f"dev gains right {n}" for n in range(20)]},
}  # fmt: skip


@pytest.mark.parametrize("status", list(Status))
def test_a_reload_speaks_of_what_changes_and_never_of_versions(status: Status) -> None:
    operation = replace(in_status(status), **{**CONFIGURATION, "result": {}, "steps": ()})
    text = text_of(drawn(operation))
    for wrong in ("NOT LIVE", "live, checked", "replaces", "image", "CI ", "Build"):
        assert wrong not in text, text
    assert not {"Retry…", "Ask again…", "Use newest"} & set(labels(drawn(operation)))
    assert not any(label.startswith("Roll back") for label in labels(drawn(operation)))


def test_a_reload_that_waits_lists_who_gains_or_loses_what() -> None:
    operation = replace(in_status(Status.PENDING), **CONFIGURATION)
    text = text_of(drawn(operation))
    assert "RELOAD waiting" in text and "configuration > control · ab12cd3" in text
    assert "- dev gains right 14" in text
    assert "dev gains right 15" not in text
    assert "and 5 more in Details" in text
    assert "dev gains right 19" in details_text(operation, 3900)


def test_who_took_an_approval_back_stands_on_the_card_while_it_waits() -> None:
    sight = CardSight(in_status(Status.PENDING), (), {}, (), self_approval=False, withdrawn=("sre",))
    assert "sre took the approval back" in text_of(card(sight))


def test_foreign_words_in_the_new_lines_stay_words() -> None:
    foreign = "**DEPLOY succeeded** @everyone [x](http://evil)\n# big"
    shown = {
        "title": foreign, "lines": [foreign], "newest": {"sha": foreign},
        "takes_over": [{"id": 1, "kind": foreign, "target": foreign, "requester": foreign}],
        "answers": {"commit": "", "known": foreign, "healthy": True},
    }  # fmt: skip
    for kind in ("reload", "rollback"):
        text = text_of(drawn(in_status(Status.PENDING, kind=kind, shown=shown, takes_over=(1,))))
        assert "@everyone" not in text and "\n# big" not in text
        assert " **DEPLOY succeeded" not in text

"""How a rollout's command can end, times what the host serves then, times what was wanted: what is told of each.

Only the script's own word for exit 1 and 3 is certain. Of any other end the host's answer decides, and where that does
not settle it, the operation is `interrupted`. Whatever the status: the sentence says what serves, and claims no more.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.errors import QuarterdeckError
from bot.ops.handler import Cancelled, Failed, Interrupted
from bot.services.rollout import Rollout
from tests.wire.deploy_room import (
    NEW,
    NEW_IMAGE,
    OLD,
    OLD_IMAGE,
    REGISTRY,
    Aws,
    Command,
    Place,
    Row,
    opened,
    operation,
)  # fmt: skip

OTHER, OTHER_IMAGE = "c" * 40, REGISTRY + "sha256:" + "c" * 64

ENDS: dict[str, tuple[str, int | None, str]] = {
    "exit 1": ("Failed", 1, "::failed health it died\n"),
    "exit 1 without a word": ("Failed", 1, ""),
    "exit 2": ("Failed", 2, "::failed switch look at this host\n"),
    "exit 3": ("Failed", 3, "::failed start cancelled before the switch\n"),
    "exit 137": ("Failed", 137, ""),
    "exit 255": ("Failed", 255, "::failed pull of which nobody knows\n"),
    "exit -1": ("Failed", -1, ""),
    "no exit": ("Failed", None, ""),
    "cancelled, exit 3": ("Cancelled", 3, "::failed start cancelled before the switch\n"),
    "cancelled, no word": ("Cancelled", -1, ""),
    "time limit": ("ExecutionTimedOut", 137, ""),
    "undeliverable": ("Undeliverable", -1, ""),
}
"""Status, exit code and last line."""

SERVING: dict[str, dict[str, Any] | None] = {
    "new": {"image": NEW_IMAGE, "commit": NEW, "operation": "7"},
    "new, not well": {"image": NEW_IMAGE, "commit": NEW, "operation": "7", "healthy": False},
    "old": {"image": OLD_IMAGE, "commit": OLD, "operation": "6"},
    "old, not well": {"image": OLD_IMAGE, "commit": OLD, "operation": "6", "healthy": False},
    "other": {"image": OTHER_IMAGE, "commit": OTHER, "operation": "6"},
    "nothing": {"image": "", "commit": "", "operation": "", "healthy": False},
    "not seen": None,
}

OK, FAILED, CANCELLED, LOOK = "serves", "failed", "cancelled", "interrupted"
CERTAIN = {
    "new": LOOK, "new, not well": LOOK, "old": FAILED, "old, not well": FAILED, "other": FAILED, "nothing": FAILED,
    "not seen": FAILED,
}  # fmt: skip
OPEN = {
    "new": OK, "new, not well": OK, "old": FAILED, "old, not well": LOOK, "other": LOOK, "nothing": LOOK,
    "not seen": LOOK,
}  # fmt: skip
HELPLESS = dict.fromkeys(SERVING, LOOK)
CERTAIN_STOP = {
    "new": LOOK, "new, not well": LOOK, "old": CANCELLED, "old, not well": CANCELLED, "other": CANCELLED,
    "nothing": LOOK, "not seen": CANCELLED,
}  # fmt: skip
OPEN_STOP = {**OPEN, "old": CANCELLED}

PLAIN = {
    "exit 1": CERTAIN, "exit 1 without a word": OPEN, "exit 2": HELPLESS, "exit 3": CERTAIN, "exit 137": OPEN,
    "exit 255": OPEN, "exit -1": OPEN, "no exit": OPEN, "cancelled, exit 3": CERTAIN, "cancelled, no word": OPEN,
    "time limit": OPEN, "undeliverable": OPEN,
}  # fmt: skip
ASKED_TO_STOP = {
    "exit 1": CERTAIN, "exit 1 without a word": OPEN, "exit 2": HELPLESS, "exit 3": CERTAIN_STOP,
    "exit 137": OPEN_STOP, "exit 255": OPEN_STOP, "exit -1": OPEN_STOP, "no exit": OPEN_STOP,
    "cancelled, exit 3": CERTAIN_STOP, "cancelled, no word": OPEN_STOP, "time limit": OPEN_STOP,
    "undeliverable": OPEN_STOP,
}  # fmt: skip

BACK, STAYED = "back", "stayed"
CERTAIN_BACK = {
    "new": STAYED, "new, not well": STAYED, "old": LOOK, "old, not well": LOOK, "other": LOOK, "nothing": LOOK,
    "not seen": STAYED,
}  # fmt: skip
OPEN_BACK = {
    "new": STAYED, "new, not well": STAYED, "old": BACK, "old, not well": LOOK, "other": LOOK, "nothing": LOOK,
    "not seen": LOOK,
}  # fmt: skip


def words(serves: str, *, certain: bool, before: str) -> tuple[str, ...]:
    """What must be said where a command did not bring what it should."""
    if serves == "not seen":
        return (f"By the script's own word {before[:7]} serves as before",) if certain else ("cannot be seen",)
    if serves == "nothing":
        return (f"Nothing serves now; before it was {before[:7]}.",)
    if serves == "other":
        return (f"{OTHER[:7]} serves now", f"nor the one which served before ({before[:7]})")
    commit = NEW if serves.startswith("new") else OLD
    told = (f"{commit[:7]} still serves",) if commit == before else (f"The host answers that {commit[:7]} serves",)
    return (*told, "not healthy") if serves.endswith("not well") else told


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    async with opened(monkeypatch) as opened_place:
        yield opened_place


def rollout_of(place: Place) -> Rollout:
    return Rollout(place.settings, place.aws_client, place.versions)


def serves(place: Place, what: str) -> None:
    answer = SERVING[what]
    place.aws.seen = answer is not None
    place.aws.serving = answer or {}


def ends(place: Place, row: Row, how: str, *, asked: bool = False) -> None:
    """The next rollout ends like that: by itself, or at the cancel that is asked for while it goes on."""

    def end(_aws: Aws, command: Command) -> None:
        command.status, command.code, command.output = ENDS[how]

    def wait_for_cancel(_aws: Aws, _command: Command) -> None:
        row.cancel_requested.set()

    place.aws.carry_out = wait_for_cancel if asked else end
    place.aws.at_cancel = end


def told(error: QuarterdeckError) -> str:
    kinds = {Failed: FAILED, Cancelled: CANCELLED, Interrupted: LOOK}
    return kinds[type(error)]


async def _put(place: Place, how: str, what: str, *, asked: bool) -> None:
    expected = (ASKED_TO_STOP if asked else PLAIN)[how][what]
    row = place.row()
    serves(place, what)
    ends(place, row, how, asked=asked)
    try:
        said = await rollout_of(place).put(row, NEW_IMAGE, NEW)
    except QuarterdeckError as error:
        got, text = told(error), str(error)
        certain = "::failed" in ENDS[how][2] and ENDS[how][1] in (1, 3)
        for needed in words(what, certain=certain, before=OLD):
            assert needed in text, f"{what}: {text}"
        assert ("NOT LIVE: " in text) == (got == FAILED), f"{what}: {text}"
        assert "as before" not in text or what == "not seen", f"{what}: {text}"
    else:
        got = OK
        assert said["image"] == NEW_IMAGE
        assert any("too late" in note for note in row.notes) == asked
        assert any("serves" in note for note in row.notes)
    assert got == expected, what


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("asked", [False, True], ids=["by itself", "asked to stop"])
async def test_each_end_is_told_by_what_serves(place: Place, how: str, asked: bool) -> None:
    for what in SERVING:
        await _put(place, how, what, asked=asked)


@pytest.mark.parametrize("how", ENDS)
async def test_each_end_of_the_way_back_is_told_by_what_serves(place: Place, how: str) -> None:
    certain = PLAIN[how] is CERTAIN
    table = CERTAIN_BACK if certain else HELPLESS if how == "exit 2" else OPEN_BACK
    for what in SERVING:
        row = place.row()
        serves(place, what)
        ends(place, row, how)
        try:
            got = BACK if await rollout_of(place).put_back(row, OLD_IMAGE, OLD) else STAYED
        except Interrupted as error:
            got = LOOK
            for needed in words(what, certain=certain, before=NEW):
                assert needed in str(error), f"{what}: {error}"
        assert got == table[what], what


# ---- what served before ----------------------------------------------------------------------------------------------


UNKNOWN_BEFORE = "Nothing serves now; what served before was not known"
SCRIPTS_WORD = "Nothing serves, as before by the script's own word"


@pytest.mark.parametrize(
    ("how", "asked", "end", "sentence"),
    [
        ("exit 1", False, Failed, SCRIPTS_WORD),
        ("exit 1", True, Failed, SCRIPTS_WORD),
        ("cancelled, exit 3", False, Failed, SCRIPTS_WORD),
        ("cancelled, exit 3", True, Cancelled, SCRIPTS_WORD),
        ("exit 137", False, Interrupted, UNKNOWN_BEFORE),
        ("exit 137", True, Interrupted, UNKNOWN_BEFORE),
        ("cancelled, no word", True, Interrupted, UNKNOWN_BEFORE),
        ("time limit", False, Interrupted, UNKNOWN_BEFORE),
    ],
)
async def test_where_it_was_not_known_what_served_before_only_the_script_can_say_that_nothing_is_lost(
    place: Place, how: str, asked: bool, end: type[Exception], sentence: str
) -> None:
    row = place.row(replaces=None)
    serves(place, "nothing")
    ends(place, row, how, asked=asked)
    with pytest.raises(end, match=sentence):
        await rollout_of(place).put(row, NEW_IMAGE, NEW)


@pytest.mark.parametrize(("by", "end"), [("6", Failed), ("7", None)])
async def test_a_restart_of_the_same_version_has_not_come_about_because_that_version_serves(
    place: Place, by: str, end: type[Exception] | None
) -> None:
    row = place.row(replaces={"commit": NEW, "image": NEW_IMAGE})
    place.aws.serving = {"image": NEW_IMAGE, "commit": NEW, "operation": by}
    ends(place, row, "exit 137")
    if end is None:
        assert (await rollout_of(place).put(row, NEW_IMAGE, NEW))["commit"] == NEW
        return
    with pytest.raises(end, match=f"{NEW[:7]} still serves"):
        await rollout_of(place).put(row, NEW_IMAGE, NEW)


async def test_a_queued_one_replaces_what_came_to_serve_while_it_waited(place: Place) -> None:
    row = place.row()
    ended = row.operation.created_at + timedelta(minutes=1)
    result = {"commit": OTHER, "image": OTHER_IMAGE}
    place.past.deploys = [operation(id=6, result=result, ended_at=ended)]
    serves(place, "other")
    ends(place, row, "cancelled, no word", asked=True)
    with pytest.raises(Cancelled, match=f"{OTHER[:7]} still serves"):
        await rollout_of(place).put(row, NEW_IMAGE, NEW)
    again = place.row()
    place.past.deploys = [replace(place.past.deploys[0], ended_at=row.operation.created_at - timedelta(minutes=1))]
    ends(place, again, "cancelled, no word", asked=True)
    with pytest.raises(Interrupted, match=f"nor the one which served before \\({OLD[:7]}\\)"):
        await rollout_of(place).put(again, NEW_IMAGE, NEW)


# ---- a script that SSM has let go of ---------------------------------------------------------------------------------


def works_on(place: Place, busy: int, then: str) -> None:
    """The host says so many times that the script is still at work, then what has come of it."""
    asked = 0

    def answer(action: str) -> None:
        nonlocal asked
        if action == "SendCommand" and place.aws.rollouts:
            asked += 1
            place.aws.serving = {**(SERVING["old" if asked <= busy else then] or {}), "busy": asked <= busy}

    place.aws.fault = answer


@pytest.mark.parametrize("how", ["undeliverable", "time limit", "cancelled, no word"])
@pytest.mark.parametrize("asked", [False, True])
async def test_the_end_of_a_script_that_still_works_is_waited_for(place: Place, how: str, asked: bool) -> None:
    row = place.row()
    works_on(place, 2, "new")
    ends(place, row, how, asked=asked)
    said = await rollout_of(place).put(row, NEW_IMAGE, NEW)
    assert said["image"] == NEW_IMAGE
    assert any("The script still works on the host." in why for why in row.waits)
    assert row.operation.waiting_for == ""


@pytest.mark.parametrize("then", ["old", "new", "other", "nothing"])
@pytest.mark.parametrize("asked", [False, True])
async def test_a_script_that_works_for_too_long_is_not_told_as_an_end(
    place: Place, monkeypatch: pytest.MonkeyPatch, then: str, asked: bool
) -> None:
    monkeypatch.setattr("bot.services.rollout.AT_REST_WITHIN_S", 0.1)
    row = place.row()
    place.aws.serving = {**(SERVING[then] or {}), "busy": True}
    ends(place, row, "undeliverable", asked=asked)
    with pytest.raises(Interrupted, match=r"The script still works on the host\. Look at the host\."):
        await rollout_of(place).put(row, NEW_IMAGE, NEW)
    back = place.row()
    ends(place, back, "undeliverable")
    with pytest.raises(Interrupted, match="The script still works on the host"):
        await rollout_of(place).put_back(back, OLD_IMAGE, OLD)


async def test_the_scripts_own_word_waits_for_nobody(place: Place) -> None:
    row = place.row()
    place.aws.serving = {**(SERVING["old"] or {}), "busy": True}
    ends(place, row, "exit 1")
    with pytest.raises(Failed, match=f"{OLD[:7]} still serves\\.$"):
        await rollout_of(place).put(row, NEW_IMAGE, NEW)
    assert row.waits == []


# ---- the way back, told whole ----------------------------------------------------------------------------------------


async def test_a_way_back_that_left_the_host_in_disorder_says_why_it_was_gone_and_asks_a_human(place: Place) -> None:
    place.site.answer_with = lambda: None

    def only_forward(aws: Aws, command: Command) -> None:
        if command.parameters["Image"] == NEW_IMAGE:
            aws.roll_out(command)
        else:
            aws.fail(command, 2, "::failed switch look at this host\n")

    place.aws.carry_out = only_forward
    with pytest.raises(Interrupted, match=f"/health answers not at all.*Whether {OLD[:7]} serves again is not certain"):
        await place.rollback.run(place.row("rollback"))
    assert place.github.statuses[-1] == "error"


@pytest.mark.parametrize("status", ["Failed", "Success"])
@pytest.mark.parametrize("kind", ["deploy", "rollback"])
async def test_it_switches_back_to_what_served_when_it_started_though_the_host_did_not_say_what_that_was(
    place: Place, kind: str, status: str
) -> None:
    """A queued one: another operation came to its end first. Its command is cut off, or its last line lost."""
    row = place.row(kind)
    place.past.deploys = [
        operation(
            id=6,
            result={"commit": OTHER, "image": OTHER_IMAGE},
            ended_at=row.operation.created_at + timedelta(minutes=1),
        )
    ]
    place.aws.serving = {"image": OTHER_IMAGE, "commit": OTHER}
    place.site.answer_with = lambda: {"status": "ok", "commit": OTHER}

    def cut_off(aws: Aws, command: Command) -> None:
        aws.roll_out(command)
        if command.parameters["Image"] == NEW_IMAGE:
            command.output, command.status = "::step switch ok y\n", status
            command.code = 0 if status == "Success" else 137

    place.aws.carry_out = cut_off
    with pytest.raises(Failed, match=f"Switched back: {OTHER[:7]} serves again"):
        await (place.deploy if kind == "deploy" else place.rollback).run(row)
    assert [command.parameters["Image"] for command in place.aws.rollouts] == [NEW_IMAGE, OTHER_IMAGE]


async def test_without_an_address_the_hosts_word_on_health_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch, address=False) as place:

        def sick(aws: Aws, command: Command) -> None:
            aws.roll_out(command)
            aws.serving["healthy"] = command.parameters["Image"] != NEW_IMAGE

        place.aws.carry_out = sick
        with pytest.raises(Failed, match=f"{NEW[:7]} is not healthy. Switched back: {OLD[:7]} serves again"):
            await place.rollback.run(place.row("rollback"))


# ---- taken over before and after it has begun ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("saved", "begun"),
    [
        ({}, False),
        ({"request_id": "f" * 32, "dispatch_sent_at": 1, "run_id": 101, "image_digest": "sha256:0"}, False),
        ({"command_sent_at": None}, False),
        ({"command_sent_at": 1}, True),
        ({"command_sent_at": 1, "command_id": "1"}, True),
        ({"command_id": "1", "switch_back": {"commit": OLD}}, True),
    ],
)
async def test_it_has_begun_once_the_host_may_have_its_command(
    place: Place, saved: dict[str, object], begun: bool
) -> None:
    for handler, kind in ((place.deploy, "deploy"), (place.rollback, "rollback")):
        row = place.row(kind)
        await row.checkpoint(**saved)
        assert await handler.begun(row) is begun
    assert place.aws.commands == []


async def test_what_came_back_from_a_copy_looks_for_its_command_before_it_says_that_it_has_not_begun(
    place: Place,
) -> None:
    row = place.row()
    await row.checkpoint(restored_at="2026-08-01T12:00:00+00:00")
    assert not await place.deploy.begun(row)
    place.aws._sent({
        "DocumentName": "quarterdeck-deploy",
        "Comment": f"quarterdeck op {row.operation.id} {row.operation.digest[:16]}",
        "Parameters": {"Image": [NEW_IMAGE], "Commit": [NEW]},
    })  # fmt: skip
    assert await place.deploy.begun(row)
    assert row.operation.checkpoint["command_id"] == place.aws.rollouts[0].id


async def test_what_is_dropped_ends_its_record_on_github_and_says_what_is_left(place: Place) -> None:
    row = place.row()
    await row.checkpoint(deployment_id=77, dispatch_sent_at=1, run_id=101)
    left = await place.deploy.dropped(row, "The commit has left main.")
    assert left == "Nothing was rolled out; its build on GitHub was not stopped."
    await row.checkpoint(image_digest="sha256:0")
    assert await place.deploy.dropped(row, "The commit has left main.") == "Nothing was rolled out."
    assert await place.rollback.dropped(place.row("rollback"), "It already runs.") == "Nothing was rolled out."
    assert place.github.statuses == ["error", "error"]

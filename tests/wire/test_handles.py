"""Every button in every wrong moment: an honest private answer, and no effect.

The table is generated: each `Press` that there is, times each circumstance in which it must not count (or, where it
only shows something, must show it and do nothing more).
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bot.db.tables import cards, handles, operations
from bot.ops.model import Operation, Status, Verdict
from bot.sandbox import cast
from bot.ui.card import Press
from tests.wire.discord_world import ran
from tests.wire.front_room import OTHER_PLACES, FrontRoom, open_front_room

CIRCUMSTANCES = ("used", "superseded", *OTHER_PLACES, "role lost", "after expiry", "before the edit was recorded")
SHOWS = frozenset({Press.LOG, Press.DETAILS, Press.OLDER, Press.RETRY, Press.ROLL_BACK})
"""These never change a row by themselves: they show something, the last two with a question."""
INTERRUPTED = frozenset({Press.LOOK_AGAIN, Press.CLOSE})
END = {Press.LOG: "failed", Press.RETRY: "failed", Press.ROLL_BACK: "succeeded"}
ENDS = {"failed": Status.FAILED, "succeeded": Status.SUCCEEDED, "interrupted": Status.INTERRUPTED}
FITTING = {
    (Press.LOOK_AGAIN, "after expiry"),  # an interrupted operation waits until somebody looks
    (Press.CLOSE, "after expiry"),
    (Press.CONFIRM, "before the edit was recorded"),  # a question is noted with its first press: that one must count
}
"""The circumstances in which a press is in its right moment."""
CASES = [(press, moment) for press in Press for moment in CIRCUMSTANCES if (press, moment) not in FITTING]


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontRoom]:
    path: Path = tmp_path_factory.mktemp("front")
    async with open_front_room(path) as opened:
        yield opened


@dataclass(frozen=True)
class Button:
    """A button as it stands before somebody's eyes. `operation` is None for questions that belong to none yet."""

    press: Press
    handle: str
    message: int
    who: str
    operation: Operation | None


async def shown(room: FrontRoom, press: Press) -> Button:
    """Bring the button about, in the hands of somebody who may press it."""
    if press is Press.OLDER:
        return await page_of_history(room)
    if press is Press.CONFIRM:
        return await question(room)
    end = "interrupted" if press in INTERRUPTED else END.get(press, "")
    # dev needs nobody's approval, prod somebody's: what is to wait is asked for there
    operation = await room.ask("dev", "dev" if end else "prod", **({"end": end} if end else {}))
    if end:
        operation = await room.becomes(operation, ENDS[end])
    found = await room.drawn(operation)
    # In dev everybody who may ask may also end it, so the presser is another one than the requester.
    who = "sre" if press in (Press.APPROVE, Press.DENY, Press.CANCEL) or press in INTERRUPTED else "dev"
    return Button(press, found[press], await room.message_of(operation.card_key), who, operation)


async def page_of_history(room: FrontRoom) -> Button:
    while len(await room.house.engine.operations(service="app", limit=20)) < 10:
        await room.becomes(await room.ask("dev", "dev"), Status.SUCCEEDED)
    await ran(room.part, "history", "answered", user="dev", service="app")
    return private_button(room, Press.OLDER, "Older")


async def question(room: FrontRoom) -> Button:
    done = await room.becomes(await room.ask("dev", "dev", end="failed"), Status.FAILED)
    found = await room.drawn(done)
    await room.press("dev", await room.message_of(done.card_key), found[Press.RETRY])
    return private_button(room, Press.CONFIRM, "Ask again")


def private_button(room: FrontRoom, press: Press, label: str) -> Button:
    found = room.part.messages(channel="ops", user="dev", limit=100)["messages"]
    message = next(m for m in reversed(found) if any(c.get("label") == label for c in m["components"]))
    custom_id = next(c["custom_id"] for c in message["components"] if c.get("label") == label)
    return Button(press, custom_id.removeprefix("qd:"), int(message["id"]), "dev", None)


async def pressed(room: FrontRoom, button: Button, place: str = "") -> Any:
    return await room.press(button.who, button.message, button.handle, place=place)


async def moved_on(room: FrontRoom, button: Button) -> None:
    """Change what the button is about, by another way than the button."""
    operation, engine = button.operation, room.house.engine
    assert operation is not None
    sre2, dev = room.person("sre2"), room.person("dev")
    match operation.status:
        case Status.PENDING if button.press is Press.DETAILS:
            await engine.cancel(operation.id, dev)
        case Status.PENDING:
            await engine.vote(operation.id, sre2, Verdict.DENY, digest=operation.digest, reason="No.")
        case Status.INTERRUPTED:
            await engine.close(operation.id, dev, Status.FAILED, reason="Seen to.")


async def in_circumstance(room: FrontRoom, button: Button, circumstance: str) -> Any:
    """Bring the circumstance about, press, and undo what others would stumble over; rows before and the answer."""
    place = circumstance if circumstance in OTHER_PLACES else ""
    key = button.operation.card_key if button.operation else ""
    match circumstance:
        case "used":
            await pressed(room, button)
            await room.settled()
        case "superseded" if button.operation is None:  # a question or a page: somebody else presses it, on their own
            button = Button(button.press, button.handle, button.message, "dev2", None)
        case "superseded":
            await moved_on(room, button)
            if button.operation.status in (Status.FAILED, Status.SUCCEEDED):  # what is over is only drawn anew
                row = await room.house.handles.get(key)
                assert row is not None
                await room.house.handles.gone(row)
            await room.drawn(button.operation)
        case "role lost":
            room.part.set_roles(button.who, [])
        case "after expiry":
            await expire(room, button)
        case "before the edit was recorded" if button.operation is not None:
            room.part.faults.add("discord", "refuse", match="^PATCH .*/channels/")
            await moved_on(room, button)
        case "before the edit was recorded":
            await room.house.database.write(lambda db: unbound(db, button.handle))
    try:
        before = await room.rows()
        return before, await pressed(room, button, place)
    finally:
        room.part.faults.clear()
        if circumstance == "role lost":
            room.part.set_roles(button.who, list(next(p.roles for p in cast.PEOPLE if p.name == button.who)))


def unbound(db: Any, handle: str) -> None:
    """As if the message had not been noted yet."""
    db.execute(update(handles).where(handles.c.handle == handle).values(message_id=None)).close()


async def expire(room: FrontRoom, button: Button) -> None:
    """Let its time pass: the request's, or, for what is over and for questions, the button's own."""
    long_ago = datetime.now(UTC) - timedelta(days=30)
    operation = button.operation
    if operation is not None and operation.status is Status.PENDING:
        late = update(operations).where(operations.c.id == operation.id).values(expires_at=long_ago)
        await room.house.database.write(lambda db: db.execute(late).close())
        await room.becomes(operation, Status.EXPIRED)
        await room.drawn(operation)
        return
    old = update(handles).where(handles.c.handle == button.handle).values(created_at=long_ago)
    await room.house.database.write(lambda db: db.execute(old).close())


@pytest.mark.parametrize(("press", "circumstance"), CASES)
async def test_a_press_in_the_wrong_moment_is_answered_honestly_and_does_nothing(
    room: FrontRoom, press: Press, circumstance: str
) -> None:
    button = await shown(room, press)
    before, answer = await in_circumstance(room, button, circumstance)
    assert answer["state"] == "answered", answer
    assert answer["ephemeral"], answer
    assert len(answer["text"]) > 15
    assert await room.rows() == before
    unfit = circumstance in OTHER_PLACES or circumstance == "role lost" or press not in SHOWS
    if unfit and (press, circumstance) != (Press.CONFIRM, "used"):  # that one names the operation it has become
        assert "Refused" in answer["text"], answer["text"]


async def test_a_button_counts_although_its_post_has_not_been_noted_yet(room: FrontRoom) -> None:
    operation = await room.ask("dev", "prod")
    found = await room.drawn(operation)
    message = await room.message_of(operation.card_key)

    def forget(db: Any) -> None:
        db.execute(update(handles).where(handles.c.card_key == operation.card_key).values(message_id=None)).close()
        db.execute(update(cards).where(cards.c.key == operation.card_key).values(message_id=None)).close()

    await room.house.database.write(forget)
    answer = await room.press("sre", message, found[Press.APPROVE])
    assert f"You approved {operation.short_id}" in answer["text"]
    await room.becomes(operation, Status.SUCCEEDED)
    assert room.deploys.ran.count(operation.id) == 1


async def test_a_question_answered_twice_at_once_is_one_operation(room: FrontRoom) -> None:
    button = await question(room)
    before = {operation.id for operation in await room.house.engine.operations(limit=500)}
    answers = await asyncio.gather(pressed(room, button), pressed(room, button))
    [new] = {operation.id for operation in await room.house.engine.operations(limit=500)} - before
    assert all(f"#{new}" in answer["text"] for answer in answers)
    await room.settled()


async def test_a_handle_that_was_never_minted_here_is_said_to_be_unknown(room: FrontRoom) -> None:
    operation = await room.ask("dev", "prod")
    await room.drawn(operation)
    before = await room.rows()
    answer = await room.press("sre", await room.message_of(operation.card_key), "neverminted12345")
    assert "not known here" in answer["text"]
    assert await room.rows() == before


@pytest.mark.parametrize("custom_id", ["qd:", "zz:other", "qm:nothing-chosen", ""])
async def test_a_button_of_another_make_is_answered_too(room: FrontRoom, custom_id: str) -> None:
    operation = await room.ask("dev", "prod")
    await room.drawn(operation)
    before = await room.rows()
    answer = await room.press("sre", await room.message_of(operation.card_key), "", custom_id=custom_id)
    assert answer["state"] == "answered"
    assert custom_id.startswith("qm:") or "not known here" in answer["text"]
    assert await room.rows() == before


async def test_an_interrupted_operation_offers_a_rollback_which_is_one_of_its_own(room: FrontRoom) -> None:
    operation = await room.becomes(await room.ask("dev", "dev", end="interrupted"), Status.INTERRUPTED)
    found = await room.drawn(operation)
    await room.press("sre", await room.message_of(operation.card_key), found[Press.ROLL_BACK])
    shown = room.part.messages(channel="ops", user="sre", limit=100)["messages"]
    question = next(m for m in reversed(shown) if any(c.get("label") == "Roll back" for c in m["components"]))
    assert "ROLLBACK" in question["text"]
    assert "It becomes an operation of its own." in question["text"]
    custom_id = next(c["custom_id"] for c in question["components"] if c.get("label") == "Roll back")
    answer = await room.press("sre", int(question["id"]), custom_id.removeprefix("qd:"))
    [newest] = await room.house.engine.operations(kinds=("rollback",), limit=1)
    assert newest.short_id in answer["text"]
    assert (newest.parent_id, newest.requester) == (operation.id, "sre")
    assert newest.params["to"] == newest.plan["commit"], "a yes means the version that was shown"
    assert (await room.becomes(newest, Status.SUCCEEDED)).id in room.rollbacks.ran
    assert (await room.house.engine.operation(operation.id)).status is Status.INTERRUPTED

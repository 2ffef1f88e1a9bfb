"""/ops resume, close and withdraw: what they do to an operation, and what they say when they may not."""

import argparse
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bot.console.paper import Paper
from bot.console.session import Session
from bot.console.verdicts import close
from bot.db.tables import operations
from bot.ops.model import Operation, Status, Verdict
from bot.ui.card import Press
from tests.wire.discord_world import ran
from tests.wire.front_room import FrontRoom, open_front_room


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontRoom]:
    path: Path = tmp_path_factory.mktemp("front")
    async with open_front_room(path) as opened:
        yield opened


async def said(room: FrontRoom, user: str, command: str, operation: Operation, **options: Any) -> str:
    """The text of the private answer."""
    answer = await ran(room.part, command, "answered", user=user, operation=operation.short_id, **options)
    assert answer["ephemeral"]
    return str(answer["text"])


async def interrupted(room: FrontRoom, environment: str = "dev") -> Operation:
    operation = await room.ask("dev", environment, end="interrupted")
    if operation.status is Status.PENDING:
        await room.house.engine.vote(operation.id, room.person("sre"), Verdict.APPROVE, digest=operation.digest)
    return await room.becomes(operation, Status.INTERRUPTED)


async def test_an_interrupted_operation_is_resumed_by_those_who_may(room: FrontRoom) -> None:
    operation = await interrupted(room, "prod")
    assert "Refused" in await said(room, "guest", "ops resume", operation)
    assert "Refused" in await said(room, "dev2", "ops resume", operation)
    assert (await room.house.engine.operation(operation.id)).status is Status.INTERRUPTED
    assert "looks at the outside again" in await said(room, "sre2", "ops resume", operation)
    await room.becomes(operation, Status.SUCCEEDED)
    assert room.deploys.ran.count(operation.id) == room.deploys.resumed.count(operation.id) == 1
    assert "not interrupted" in await said(room, "sre2", "ops resume", operation)


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
async def test_an_interrupted_operation_is_closed_with_what_was_found(room: FrontRoom, outcome: str) -> None:
    operation = await interrupted(room)
    options = {} if outcome == "failed" else {"outcome": outcome}
    text = await said(room, "dev", "ops close", operation, reason="GitHub shows no run.", **options)
    assert f"You closed {operation.short_id} as {outcome}; its locks are free." in text
    closed = await room.house.engine.operation(operation.id)
    assert closed.status == outcome
    assert closed.reason == "dev closed it: GitHub shows no run."
    assert not [lock for lock in await room.house.engine.locks() if lock.operation_id == operation.id]


async def test_whoever_closes_what_lost_its_locks_is_not_told_that_they_are_free(room: FrontRoom) -> None:
    engine, store = room.house.engine, room.house.store
    for door in ("command", "button", "host"):
        operation, other = await interrupted(room), await room.ask("dev", "prod")
        change = {"locks_taken_by": other.id}
        taken = await room.house.database.write(
            lambda db, number=operation.id, change=change: store.change(db, number, (Status.INTERRUPTED,), **change)
        )
        engine.changed(taken)
        match door:
            case "command":
                text = await said(room, "dev", "ops close", operation, reason="Seen to.")
            case "button":
                handles = await room.drawn(operation)
                pressed = await room.press("dev", await room.message_of(operation.card_key), handles[Press.CLOSE])
                text = pressed["text"]
            case _:
                out = io.StringIO()
                options = argparse.Namespace(operation=operation.id, outcome="failed", reason="Seen to.")
                paper = Paper(room.house.redactor, out=out, err=out)
                await close(Session(room.house, room.person("dev"), paper, "ops close"), options)
                text = out.getvalue()
        assert f"You closed {operation.short_id} as failed; {other.short_id} has taken its locks over." in text, door
        await engine.cancel(other.id, room.person("dev"))


async def test_an_approval_is_taken_back_while_the_operation_waits_for_another(room: FrontRoom) -> None:
    blocker = await room.ask("dev", "prod", lock="same", end="interrupted")
    await room.house.engine.vote(blocker.id, room.person("sre"), Verdict.APPROVE, digest=blocker.digest)
    await room.becomes(blocker, Status.INTERRUPTED)
    operation = await room.ask("dev", "prod", lock="same")
    assert "nothing to take back" in await said(room, "sre2", "ops withdraw", operation)
    await room.house.engine.vote(operation.id, room.person("sre"), Verdict.APPROVE, digest=operation.digest)
    text = await said(room, "sre", "ops withdraw", operation)
    assert f"You withdrew your approval of {operation.short_id}; it is stale" in text
    stale = await room.house.engine.operation(operation.id)
    assert stale.status is Status.STALE
    assert "sre withdrew the approval before it started" in stale.reason
    assert room.deploys.ran.count(operation.id) == 0


async def test_the_card_says_who_took_an_approval_back(room: FrontRoom) -> None:
    operation = await room.ask("dev", "prod")
    two = update(operations).where(operations.c.id == operation.id).values(quorum=2)  # as a row would that wants two
    await room.house.database.write(lambda db: db.execute(two).close())
    await room.house.engine.vote(operation.id, room.person("sre"), Verdict.APPROVE, digest=operation.digest)
    text = await said(room, "sre", "ops withdraw", operation)
    assert "it waits for approval as if you had not voted" in text
    await room.drawn(operation)
    message = await room.message_of(operation.card_key)
    shown = next(m for m in room.part.messages(channel="ops", limit=100)["messages"] if int(m["id"]) == message)
    assert "sre took the approval back" in shown["text"]

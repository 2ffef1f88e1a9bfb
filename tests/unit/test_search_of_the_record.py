"""The record, searched: by actor, service, environment and time, of operations and of doors, in pages."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.ops.model import Status
from bot.ops.record import AuditFilter
from bot.policy import Door
from tests.unit.engine_room import DEV, GUEST, SRE, Room, open_room


async def told(room: Room, **wanted: object) -> list[tuple[str, str]]:
    """(name, actor) of what is found, oldest first."""
    found = await room.engine.audit(AuditFilter(**wanted))  # type: ignore[arg-type]
    return [(event.name, event.actor) for event in reversed(found)]


async def a_day(room: Room) -> None:
    """A deploy to dev, an hour later one to prod that sre approves, and a guest who tries both."""
    await room.ask(DEV, service="web")
    room.clock.advance(hours=1)
    asked = await room.ask(DEV, environment="prod")
    for environment in ("dev", "prod", "prod"):
        with pytest.raises(Refused):
            await room.ask(GUEST, environment=environment, service="app")
    await room.approve(asked, SRE)


async def test_each_field_narrows_and_all_together(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await a_day(room)
        assert len(await told(room)) == 7
        assert await told(room, actor="sre") == [("vote.approve", "sre"), ("operation.approved", "sre")]
        assert await told(room, service="web") == [("operation.requested", "dev"), ("operation.approved", "policy")]
        assert await told(room, environment="dev", actor="guest") == [("request.refused", "guest")]
        assert await told(room, environment="prod") == [
            ("operation.requested", "dev"),
            ("request.refused", "guest"),
            ("vote.approve", "sre"),
            ("operation.approved", "sre"),
        ]
        assert await told(room, service="app", environment="prod", actor="nobody") == []


async def test_an_event_of_an_operation_says_where_it_was(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await a_day(room)
        found = await room.engine.audit(AuditFilter(actor="sre"))
        assert {(event.environment, event.service) for event in found} == {("prod", "app")}


async def test_a_span_of_time_includes_its_beginning_and_not_its_end(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        start = room.clock.at
        await a_day(room)
        later = start + timedelta(hours=1)
        assert len(await told(room, since=later)) == 5
        assert len(await told(room, until=later)) == 2
        assert len(await told(room, since=start, until=later)) == 2
        assert await told(room, since=later + timedelta(seconds=1)) == []


async def test_pages_hold_everything_once(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await a_day(room)
        everything = [event.id for event in await room.engine.audit(AuditFilter())]
        pages, before = [], None
        while page := await room.engine.audit(AuditFilter(limit=3, before_id=before)):
            pages += [event.id for event in page]
            before = page[-1].id
        assert pages == everything == sorted(everything, reverse=True)


async def test_a_thousand_refused_presses_of_one_member_are_one_row_with_their_count(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        presses = (room.approve(asked, GUEST) for _ in range(1000))
        answers = await asyncio.gather(*presses, return_exceptions=True)
        assert all(isinstance(answer, Refused) for answer in answers)
        (event,) = await room.engine.audit(AuditFilter(actor="guest"))
        assert (event.name, event.count, event.environment) == ("vote.refused", 1000, "prod")


async def test_refusals_in_different_places_are_different_rows(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        for environment in ("dev", "prod", "dev"):
            data = {"rule": "catalog", "environment": environment}
            await room.engine.record("gate.refused", "guest", "Not here.", data)
        found = await room.engine.audit(AuditFilter(actor="guest"))
        assert sorted((event.environment, event.count) for event in found) == [("dev", 2), ("prod", 1)]


async def test_how_a_run_goes_on_is_told_only_when_it_is_asked_for(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.gate.set()
        await room.start()
        await room.becomes(await room.ask(), Status.SUCCEEDED)
        decided = [name for name, _ in await told(room)]
        assert decided == [
            "operation.requested", "operation.approved", "operation.running", "operation.succeeded",
        ]  # fmt: skip
        assert {"step.ok", "run.checkpointed"} < {name for name, _ in await told(room, progress=True)}


async def test_the_same_refusal_at_two_doors_is_two_rows(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        for door in (Door.DISCORD, Door.COMMAND_LINE, Door.COMMAND_LINE):
            with pytest.raises(Refused):
                await room.approve(asked, replace(GUEST, door=door))
        found = await room.engine.audit(AuditFilter(actor="guest"))
        assert sorted((event.data.get("door", ""), event.count) for event in found) == [("", 1), ("command line", 2)]


async def test_a_refusal_says_at_which_door_whatever_was_asked_for(tmp_path: Path) -> None:
    visitor = replace(GUEST, door=Door.COMMAND_LINE)
    async with open_room(tmp_path) as room:
        number = (await room.ask(environment="prod")).id
        for attempt in (
            room.engine.cancel(number, visitor),
            room.engine.withdraw(number, visitor),
            room.engine.resume(number, visitor),
            room.engine.close(number, visitor, Status.FAILED, reason="Looked."),
        ):
            with pytest.raises(Refused):
                await attempt
        found = await room.engine.audit(AuditFilter(actor="guest"))
        assert {event.name: event.data.get("door") for event in found} == dict.fromkeys(
            ("cancel.refused", "withdraw.refused", "resume.refused", "close.refused"), "command line"
        )


async def test_operations_come_in_pages_too(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        for _ in range(5):
            await room.ask()
        first = await room.engine.operations(limit=2)
        second = await room.engine.operations(limit=2, before_id=first[-1].id)
        assert [o.id for o in (*first, *second)] == [5, 4, 3, 2]

"""The rows behind cards and buttons: what is dirty, what a handle stands for, what the audit channel is told."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.db.cards import Priority, mark_dirty
from bot.db.tables import cards
from bot.ui.board_store import BoardStore, CardRow, Mint
from tests.unit.engine_room import OPS_CHANNEL, Room, open_room

AUDIT = 77
MINT = Mint("operation:1", generation=0, operation_id=None, digest="d" * 64, guild_id=1, channel_id=OPS_CHANNEL)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(tmp_path) as room:
        yield room


@pytest.fixture
def store(room: Room) -> BoardStore:
    return BoardStore(room.database)


async def mark(room: Room, key: str, priority: Priority) -> None:
    await room.database.write(lambda db: mark_dirty(db, key, OPS_CHANNEL, priority))


async def keys(room: Room, store: BoardStore) -> list[str]:
    return [row.key for row in await store.dirty(room.clock(), limit=10)]


async def only(room: Room, store: BoardStore) -> CardRow:
    [row] = await store.dirty(room.clock(), limit=10)
    return row


async def test_approvals_come_before_outcomes_and_those_before_progress(room: Room, store: BoardStore) -> None:
    await mark(room, "operation:1", Priority.PROGRESS)
    await mark(room, "operation:2", Priority.APPROVAL)
    await mark(room, "operation:3", Priority.OUTCOME)
    assert await keys(room, store) == ["operation:2", "operation:3", "operation:1"]


async def test_a_card_that_shows_the_newest_rows_is_not_dirty_until_they_change(room: Room, store: BoardStore) -> None:
    await mark(room, "operation:1", Priority.PROGRESS)
    row = await only(room, store)
    await mark(room, "operation:1", Priority.PROGRESS)  # changes while the older rows are being shown
    await store.posted(row, 500, room.clock(), shown=row.wanted)
    assert await keys(room, store) == ["operation:1"]
    await store.save("operation:1", shown=row.wanted + 1)
    assert await keys(room, store) == []


async def test_progress_pauses_between_edits_and_an_outcome_does_not_wait(room: Room, store: BoardStore) -> None:
    await mark(room, "operation:1", Priority.PROGRESS)
    await store.save("operation:1", not_before=room.clock() + timedelta(seconds=2))
    assert await keys(room, store) == []
    assert await store.next_due() == room.clock() + timedelta(seconds=2)
    await mark(room, "operation:1", Priority.OUTCOME)
    assert await keys(room, store) == ["operation:1"]


async def test_even_an_outcome_respects_the_back_off_after_a_failure(room: Room, store: BoardStore) -> None:
    await mark(room, "operation:1", Priority.OUTCOME)
    await store.save("operation:1", attempts=1, not_before=room.clock() + timedelta(seconds=8))
    assert await keys(room, store) == []
    room.clock.advance(seconds=8)
    assert await keys(room, store) == ["operation:1"]


async def test_a_message_that_is_gone_makes_the_card_dirty_and_its_buttons_old(room: Room, store: BoardStore) -> None:
    await mark(room, "operation:1", Priority.PROGRESS)
    old = (await store.mint(MINT, ["cancel"], room.clock()))["cancel"]
    await store.posted(await only(room, store), 500, room.clock(), shown=1, nonce="n")
    row = await store.get("operation:1")
    assert row is not None
    await store.gone(row)
    row = await only(room, store)
    assert (row.message_id, row.nonce) == (None, "")
    handle = await store.handle(old)
    assert handle is not None
    assert handle.generation < handle.current


async def test_the_same_message_is_wanted_beside_only_once(room: Room, store: BoardStore) -> None:
    await store.beside("outcome:1", OPS_CHANNEL)
    await store.posted(await only(room, store), 501, room.clock(), shown=1)
    await store.beside("outcome:1", OPS_CHANNEL)
    assert await keys(room, store) == []


# ---- handles -------------------------------------------------------------------------------------------------------


async def test_a_generation_keeps_its_handles_and_the_next_one_gets_others(room: Room, store: BoardStore) -> None:
    first = await store.mint(MINT, ["approve", "deny"], room.clock())
    assert await store.mint(MINT, ["approve", "deny"], room.clock()) == first
    second = await store.mint(Mint("operation:1", 1, None, "d" * 64, 1, OPS_CHANNEL), ["approve"], room.clock())
    assert second["approve"] not in first.values()
    assert len({*first.values()}) == 2


async def test_a_handle_is_bound_to_the_message_that_was_posted(room: Room, store: BoardStore) -> None:
    await mark(room, "operation:1", Priority.APPROVAL)
    minted = await store.mint(MINT, ["approve"], room.clock())
    await store.posted(await only(room, store), 500, room.clock(), shown=1)
    await store.bind(minted["approve"], 999)
    handle = await store.handle(minted["approve"])
    assert handle is not None
    assert handle.message_id == 500


async def test_a_handle_that_counts_once_is_used_by_whoever_is_first(room: Room, store: BoardStore) -> None:
    token = (await store.question(MINT, {"person": "dev"}, ["confirm"], room.clock()))["confirm"]
    assert await store.use(token, "dev", room.clock())
    assert not await store.use(token, "sre", room.clock())
    handle = await store.handle(token)
    assert handle is not None
    assert (handle.used_by, handle.asked) == ("dev", {"person": "dev"})


async def test_a_question_is_never_posted(room: Room, store: BoardStore) -> None:
    await store.question(MINT, {}, ["confirm"], room.clock())
    assert await keys(room, store) == []


async def test_an_unknown_handle_is_nothing(store: BoardStore) -> None:
    assert await store.handle("made-up-by-somebody") is None


# ---- the audit channel ---------------------------------------------------------------------------------------------


async def test_the_audit_channel_begins_with_what_happens_after_its_first_start(room: Room, store: BoardStore) -> None:
    await room.engine.record("door.refused", "guest", "before", {})
    await store.open_audit()
    await store.open_audit()
    assert not await store.audit_due(AUDIT, ["door.refused"], limit=5)
    await room.engine.record("door.refused", "guest", "after", {})
    assert await store.audit_due(AUDIT, ["door.refused"], limit=5)
    row = await only(room, store)
    assert (row.topic, row.channel_id, len(row.state["events"])) == ("audit", AUDIT, 1)


async def test_each_event_is_told_once_and_in_order_however_many_there_are(room: Room, store: BoardStore) -> None:
    await store.open_audit()
    for number in range(7):
        await room.engine.record("door.refused", "guest", f"refusal {number}", {})
    told: list[int] = []
    while await store.audit_due(AUDIT, ["door.refused"], limit=3):
        assert not await store.audit_due(AUDIT, ["door.refused"], limit=3), "one message is on its way"
        row = await only(room, store)
        told += row.state["events"]
        await store.drop(row.key)
    assert told == sorted(set(told))
    assert len(told) == 7


async def test_progress_is_not_told_to_the_audit_channel(room: Room, store: BoardStore) -> None:
    await store.open_audit()
    await room.engine.record("step.ok", "bot", "Pull", {})
    assert not await store.audit_due(AUDIT, ["door.refused"], limit=3)


async def test_a_card_in_another_channel_keeps_its_channel(room: Room, store: BoardStore) -> None:
    await mark(room, "operation:1", Priority.PROGRESS)
    await room.database.write(lambda db: db.execute(update(cards).values(message_id=5)).close())
    await room.database.write(lambda db: mark_dirty(db, "operation:1", 4242, Priority.OUTCOME))
    assert (await only(room, store)).channel_id == OPS_CHANNEL

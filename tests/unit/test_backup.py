"""Copies of the database: sound also while somebody writes, refused when they are not what was copied, and put back so
that nothing is done twice.
"""

import asyncio
import sqlite3
import stat
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from bot.db.backup import Copy, checksum_path, make_copy, verify
from bot.db.cards import Priority, mark_dirty
from bot.db.database import Database
from bot.db.opening import FileLock
from bot.db.tables import cards
from bot.errors import Unavailable
from bot.ops.engine import Engine
from bot.ops.model import Request, Status, Verdict
from bot.ops.store import Store
from bot.policy import PolicyRow, seeded_rows
from bot.services.restore import JUMP, Restored, restore, was_restored
from bot.ui.board_store import BoardStore, Mint
from tests.unit.engine_room import DEV, SRE, SRE2, Room, open_room

NAME = "quarterdeck.sqlite3"


def copied(tmp_path: Path) -> Copy:
    return make_copy(tmp_path / "state" / NAME, tmp_path / "copies" / "copy.sqlite3")


async def put_back(copy: Copy, tmp_path: Path, room: Room) -> tuple[Restored, Database, Engine, Store]:
    """The copy in a directory of its own, opened."""
    restored = await restore(copy.path, tmp_path / "elsewhere", by="os user root", now=room.clock)
    database = await Database.open(restored.database)
    store = Store(database, now=room.clock)
    return restored, database, Engine(store=store, registry=room.registry, policy=seeded_rows()), store


# ---- copying -------------------------------------------------------------------------------------------------------


async def test_a_copy_made_while_somebody_writes_is_one_moment_of_it(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "state" / NAME)
    written = 0

    def both_halves(pair: int, connection: Connection) -> None:
        for half in ("a", "b"):
            mark_dirty(connection, f"{half}:{pair:06}", 1, Priority.PROGRESS)

    async def write_on() -> None:
        nonlocal written
        while True:
            pair = written
            written += 1
            await database.write(partial(both_halves, pair))

    writer = asyncio.create_task(write_on())
    try:
        while written < 50:
            await asyncio.sleep(0.01)
        copy = await asyncio.to_thread(copied, tmp_path)
        at_the_end = written
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        await database.close()
    verify(copy.path)
    with sqlite3.connect(copy.path) as connection:
        keys = [row[0] for row in connection.execute("SELECT key FROM cards ORDER BY key")]
    connection.close()
    pairs = len(keys) // 2
    assert pairs + 1 >= 50
    assert pairs <= at_the_end
    assert keys == [f"{half}:{n:06}" for half in ("a", "b") for n in range(pairs)]


async def test_a_copy_is_one_file_for_its_owner_alone_with_its_checksum_beside_it(tmp_path: Path) -> None:
    await (await Database.open(tmp_path / "state" / NAME)).close()
    copy = copied(tmp_path)
    assert sorted(path.name for path in copy.path.parent.iterdir()) == ["copy.sqlite3", "copy.sqlite3.sha256"]
    assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600
    assert checksum_path(copy.path).read_text() == f"{copy.sha256}  copy.sqlite3\n"
    with pytest.raises(Unavailable, match="is there already"):
        copied(tmp_path)
    with pytest.raises(Unavailable, match="There is no database"):
        make_copy(tmp_path / "nowhere" / NAME, tmp_path / "other.sqlite3")


# ---- refusals ------------------------------------------------------------------------------------------------------


async def test_a_copy_that_was_changed_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    await (await Database.open(tmp_path / "state" / NAME)).close()
    copy = copied(tmp_path)
    whole = copy.path.read_bytes()
    copy.path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Unavailable, match="is not what was copied"):
        await restore(copy.path, tmp_path / "elsewhere")
    copy.path.write_bytes(whole)
    checksum_path(copy.path).unlink()
    with pytest.raises(Unavailable, match="cannot both be read"):
        await restore(copy.path, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


async def test_a_database_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    await (await Database.open(tmp_path / "state" / NAME)).close()
    copy = copied(tmp_path)
    before = (tmp_path / "state" / NAME).read_bytes()
    with pytest.raises(Unavailable, match="exists already"):
        await restore(copy.path, tmp_path / "state")
    assert (tmp_path / "state" / NAME).read_bytes() == before


async def test_nothing_is_restored_where_a_bot_lives(tmp_path: Path) -> None:
    await (await Database.open(tmp_path / "state" / NAME)).close()
    copy = copied(tmp_path)
    with FileLock.take(tmp_path / "elsewhere" / NAME), pytest.raises(Unavailable, match=r"A bot .* lives in"):
        await restore(copy.path, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere" / NAME).exists()


async def test_a_copy_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "state" / NAME)
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")).close())
    await database.close()
    copy = copied(tmp_path)
    with pytest.raises(Unavailable, match=r"newer Quarterdeck \(schema 9999") as error:
        await restore(copy.path, tmp_path / "elsewhere")
    assert str(copy.path) in str(error.value)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["quarterdeck.lock"]


# ---- what becomes of the rows --------------------------------------------------------------------------------------


async def test_what_was_approved_becomes_stale_and_what_was_open_is_marked(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        pending = await room.ask(environment="prod")
        approved = await room.ask()
        running = await room.ask(key="runs")
        await room.database.write(lambda c: room.store.transition(c, running.id, Status.RUNNING, actor="bot", text=""))
        await room.database.write(
            lambda c: room.store.change(c, running.id, (Status.RUNNING,), lease_owner="gone", checkpoint={"run_id": 5})
        )
        restored, database, engine, store = await put_back(copied(tmp_path), tmp_path, room)
        try:
            assert (restored.stale, restored.open) == ((approved.id,), (pending.id, running.id))
            ended = await engine.operation(approved.id)
            assert ended.status is Status.STALE
            assert "may have run since" in ended.reason
            assert not was_restored(ended)
            again = await engine.operation(running.id)
            assert (again.status, again.checkpoint["run_id"], was_restored(again)) == (Status.RUNNING, 5, True)
            scene = await database.read(store.scene)
            assert [standing.lease_owner for standing in scene.running] == [""]
            assert was_restored(await engine.operation(pending.id))
            told = (await engine.events())[0]
            assert (told.name, told.actor) == ("state.restored", "os user root")
        finally:
            await database.close()
        assert (await room.engine.operation(approved.id)).status is Status.APPROVED


async def test_votes_count_on_and_no_number_means_two_operations(tmp_path: Path) -> None:
    two = tuple(PolicyRow(**{**_row(row), "quorum": 2}) if row.quorum == 1 else row for row in seeded_rows())
    async with open_room(tmp_path, rows=two) as room:
        asked = await room.ask(environment="prod")
        await room.approve(asked)
        copy = copied(tmp_path)
        newest = max(event.id for event in await room.engine.events())
        later = await room.ask(environment="prod", key="later")
        _, database, _, store = await put_back(copy, tmp_path, room)
        engine = Engine(store=store, registry=room.registry, policy=two)
        try:
            assert [vote.person for vote in await engine.votes(asked.id)] == [SRE.name]
            done = await engine.vote(asked.id, SRE2, Verdict.APPROVE, digest=asked.digest)
            assert done.status is Status.APPROVED
            new = await engine.request(Request("after the restore", "deploy", "prod", {}), DEV)
            assert new.id == asked.id + JUMP + 1 > later.id
            assert min(event.id for event in await engine.events(new.id)) > newest + JUMP
        finally:
            await database.close()


def _row(row: PolicyRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in PolicyRow.__dataclass_fields__}


async def test_cards_are_looked_for_before_they_are_posted_and_their_handles_stay(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        shown, unposted = await room.ask(environment="prod"), await room.ask(environment="prod", key="b")
        board = BoardStore(room.database)
        now = datetime(2026, 8, 1, tzinfo=UTC)
        row = await board.get(shown.card_key)
        assert row is not None
        mint = Mint(shown.card_key, 0, shown.id, shown.digest, 1, 2)
        handles = await board.mint(mint, ["approve"], now)
        await board.posted(row, 77, now, shown=row.wanted, state={"generation": 0, "fingerprint": "f"})
        _, database, _, _ = await put_back(copied(tmp_path), tmp_path, room)
        try:
            there = BoardStore(database)
            card = await there.get(shown.card_key)
            assert card is not None
            assert card.wanted > card.shown
            assert (card.message_id, card.state["fingerprint"], card.state["generation"]) == (77, "", 0)
            assert await there.mint(mint, ["approve"], now) == handles
            assert (await there.handle(handles["approve"])) is not None
            doubted = await there.get(unposted.card_key)
            assert doubted is not None
            assert doubted.nonce
            assert datetime.fromisoformat(doubted.state["asked_at"]) < room.clock()
        finally:
            await database.close()


async def test_the_audit_channel_goes_on_with_the_restore(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await BoardStore(room.database).open_audit()
        await room.ask()
        _, database, engine, _ = await put_back(copied(tmp_path), tmp_path, room)
        try:
            names = ("operation.requested", "operation.stale", "state.restored")
            assert await BoardStore(database).audit_due(9, names, limit=10)
            statement = select(cards.c.state).where(cards.c.key.startswith("audit:"))
            (state,) = await database.read(lambda c: list(c.execute(statement).scalars()))
            told = {event.id: event.name for event in await engine.events()}
            assert [told[number] for number in state["events"]] == ["state.restored"]
        finally:
            await database.close()

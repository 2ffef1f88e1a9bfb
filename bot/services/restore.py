"""Putting a copy of the database back: into an empty state directory, and changed so that nothing is done twice.

A copy is a moment of the past; the world outside went on. What had been approved then may have run since, so it becomes
`stale`; what waited or ran is marked, and from then on looks for its own traces outside before it sends anything; new
numbers jump ahead, so that no number ever means two operations; messages whose posting was not yet noted are looked for
in their channels before they are posted.
"""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import DBAPIError

from bot.db import DATABASE_NAME
from bot.db.backup import digest_of_file, verify
from bot.db.database import Database
from bot.db.faults import as_ours
from bot.db.opening import FileLock, InUse, Role, bring_up_to_date, refuse_foreign, sqlite_engine
from bot.db.tables import cards, events, operations
from bot.errors import Unavailable
from bot.ops.model import FINAL, Operation, Status
from bot.ops.record import Now, utc_now
from bot.ops.sentences import moment
from bot.ops.store import Store

ACTOR = "restore"
RESTORED = "restored_at"
"""The mark in the checkpoint of an operation that was open in a restored copy."""
JUMP = 1000
"""So many numbers are left out, of operations as of events: those that were given after the copy was made."""
CURSOR_KEY = "audit-cursor"
DOUBTED = timedelta(hours=1)
"""So old a post counts at least: Discord has forgotten its nonce, and the board searches before it posts again."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back. `as_of` is the newest moment that the copy knows of."""

    database: Path
    as_of: datetime | None
    stale: tuple[int, ...]
    open: tuple[int, ...]


def was_restored(operation: Operation) -> bool:
    """Whether the operation was open in a copy that was put back: it may have done more since than its row says."""
    return RESTORED in operation.checkpoint


async def restore(copy: Path, state_dir: Path, *, by: str = ACTOR, now: Now = utc_now) -> Restored:
    """Put the copy into that directory, ready for a bot to go on from it. `by` is who does it, for the record.

    Raises:
        Unavailable: the copy is not sound or newer than this program, a bot lives there, or a database is there
            already. Nothing was restored.
    """
    await asyncio.to_thread(verify, copy)
    database = state_dir / DATABASE_NAME
    with _taken(database) as lock:
        for there in _files(database):
            if there.exists():
                raise Unavailable(
                    "database",
                    f"{there} exists already. Nothing was restored: name an empty directory, or move that file away.",
                )
        draft = database.with_name(f"restoring-{database.name}")
        try:
            _write_draft(copy, draft)
            restored = replace(await _amended(draft, copy, lock, by, now), database=database)
            draft.replace(database)
        except OSError as error:
            raise Unavailable("database", f"{state_dir} cannot be written ({error}). Nothing was restored.") from error
        finally:
            for left in _files(draft):
                left.unlink(missing_ok=True)
    return restored


def _files(database: Path) -> list[Path]:
    """The database's file and those that SQLite keeps beside it."""
    return [database.with_name(database.name + suffix) for suffix in ("", "-wal", "-shm")]


def _write_draft(copy: Path, draft: Path) -> None:
    draft.unlink(missing_ok=True)
    draft.touch(0o600)
    shutil.copyfile(copy, draft)


def _taken(database: Path) -> FileLock:
    try:
        return FileLock.take(database, Role.CARRIER)
    except InUse as error:
        who = error.holder.named if error.holder else "process"
        sentence = f"A {who} lives in {database.parent}."
        hint = "Nothing was restored: stop it, or name another directory."
        raise Unavailable("database", f"{sentence} {hint}") from error


async def _amended(draft: Path, copy: Path, lock: FileLock, by: str, now: Now) -> Restored:
    try:
        await asyncio.to_thread(_bring_up_to_date, draft)
        opened = await Database.open(draft, held=lock)
    except Unavailable as error:
        raise Unavailable("database", str(error).replace(str(draft), str(copy))) from error
    try:
        store = Store(opened, now=now)
        return await opened.write(lambda connection: _amend(connection, store, copy, by))
    finally:
        await opened.close()


def _bring_up_to_date(draft: Path) -> None:
    engine = sqlite_engine(draft)
    try:
        refuse_foreign(draft)
        bring_up_to_date(engine, draft, locked=True, keep_old=False)
    except DBAPIError as error:
        raise as_ours(error) from error
    finally:
        engine.dispose()


def _amend(connection: Connection, store: Store, copy: Path, by: str) -> Restored:
    now = store.now()
    as_of = connection.execute(select(func.max(events.c.at))).scalar()
    known = f"as of {moment(as_of)}" if as_of else "without any event"
    jumped = {table: _jump(connection, table) for table in ("operations", "events")}
    stale = _end_approved(connection, store, known)
    still_open = _mark_open(connection, now)
    _doubt_cards(connection, min(as_of or now, now - DOUBTED), (*stale, *still_open))
    text = (
        f"A copy {known} was put back. What happened after it is not in this record; new operations begin above "
        f"#{jumped['operations']}."
    )
    store.record(connection, "state.restored", by, text, data={"file": copy.name, "sha256": digest_of_file(copy)})
    newest = connection.execute(select(func.max(events.c.id))).scalar()
    _skip_told(connection, newest)
    return Restored(copy, as_of, tuple(stale), tuple(still_open))


def _jump(connection: Connection, table: str) -> int:
    """Leave out the numbers that may have been given since; the last number that may have been."""
    cursor = connection.connection.cursor()
    cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
    row = cursor.fetchone()
    last = (row[0] if row else 0) + JUMP
    cursor.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
    cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))
    return int(last)


def _end_approved(connection: Connection, store: Store, known: str) -> list[int]:
    """What was approved and had not started may have run since the copy: nobody can know, so it does not run."""
    why = (
        f"It was approved in a copy of the state {known}, which was put back: it may have run since. "
        "Look at what serves, and ask for it again."
    )
    found = connection.execute(select(operations.c.id).where(operations.c.status == Status.APPROVED)).scalars().all()
    for operation_id in found:
        store.moved(
            connection, operation_id, Status.STALE, actor=ACTOR, text=why, reason=why, ended_at=store.now(),
            waiting_for="",
        )  # fmt: skip
    return list(found)


def _mark_open(connection: Connection, now: datetime) -> list[int]:
    table = operations.c
    rows = connection.execute(
        select(table.id, table.checkpoint).where(table.status.not_in(tuple(FINAL))).order_by(table.id)
    ).all()
    for operation_id, checkpoint in rows:
        marked = {**checkpoint, RESTORED: now.isoformat()}
        free = {"checkpoint": marked, "lease_owner": "", "lease_until": None}
        connection.execute(update(operations).where(table.id == operation_id).values(**free))
    return [row[0] for row in rows]


def _doubt_cards(connection: Connection, since: datetime, operation_ids: tuple[int, ...]) -> None:
    """Have the board search for what it may have posted since, and draw anew what may show a later state."""
    asked_at = since.isoformat()
    for card in _rows(connection, cards.c.message_id.is_(None) & (cards.c.wanted > cards.c.shown)):
        state = {**card["state"], "asked_at": asked_at}
        _change_card(connection, card["key"], nonce=card["nonce"] or ACTOR, state=state, attempts=0, not_before=None)
    keys = [f"operation:{operation_id}" for operation_id in operation_ids]
    for card in _rows(connection, cards.c.key.in_(keys)):
        state = {**card["state"], "fingerprint": ""}
        _change_card(connection, card["key"], wanted=card["wanted"] + 1, state=state, attempts=0, not_before=None)


def _rows(connection: Connection, condition: Any) -> list[Mapping[str, Any]]:
    return [dict(row) for row in connection.execute(select(cards).where(condition)).mappings()]


def _change_card(connection: Connection, key: str, **values: Any) -> None:
    connection.execute(update(cards).where(cards.c.key == key).values(**values))


def _skip_told(connection: Connection, newest: int | None) -> None:
    """The audit channel goes on with this restore: what came before it in the copy has been told there, most likely."""
    statement = update(cards).where(cards.c.key == CURSOR_KEY)
    connection.execute(statement.values(state={"event": (newest or 1) - 1}))

"""The SQL of cards and handles: what the board must show and where it stands, and what a pressed button means.

A card is a row with a key: `operation:184` (its card), `outcome:184` and `reminder:184` (one-line pings beside it),
`audit:1042` (lines of the record), `question:<interaction>` (what somebody was asked privately; never posted),
`pinned:ops` and `pinned:<channel>` (the pinned boards, that of a channel of alerts by the channel's id), `alert:17`
(an alert group's card), `alertping:31` (a ping beside it), `pack:4` (the groups of a storm in one message; a member's
row then has the pack's message as its own).
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, delete, or_, select, update
from sqlalchemy.dialects import sqlite

from bot.db.cards import Priority, mark_dirty
from bot.db.database import Database
from bot.db.tables import cards, events, handles

T = TypeVar("T")
HANDLE_BYTES = 12
"""Random bytes of a handle: far too many to guess, few enough for a custom_id (100 characters)."""
CURSOR_KEY = "audit-cursor"
GATHERING = "alert:"
"""The keys of cards that are written with a pause before their first post."""


@dataclass(frozen=True, slots=True)
class CardRow:
    """A row of `cards`. `wanted` is the version that the rows had when this was read."""

    key: str
    channel_id: int
    message_id: int | None
    nonce: str
    wanted: int
    shown: int
    priority: int
    not_before: datetime | None
    attempts: int
    state: Mapping[str, Any]

    @property
    def topic(self) -> str:
        return self.key.partition(":")[0]

    @property
    def subject_id(self) -> int:
        return int(self.key.partition(":")[2])


@dataclass(frozen=True, slots=True)
class Handle:
    """What a button stands for. `generation` is the card's at minting, `current` the card's now."""

    handle: str
    operation_id: int | None
    card_key: str
    action: str
    digest: str
    generation: int
    guild_id: int
    channel_id: int
    message_id: int | None
    created_at: datetime
    used_by: str
    current: int
    asked: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mint:
    """For what handles are minted: one card in one generation, shown in one channel."""

    card_key: str
    generation: int
    operation_id: int | None
    digest: str
    guild_id: int
    channel_id: int


def row_of(row: RowMapping) -> CardRow:
    """The row as it was read."""
    return CardRow(**{name: row[name] for name in CardRow.__dataclass_fields__})


class BoardStore:
    """The SQL. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work)

    # ---- cards -------------------------------------------------------------------------------------------------

    async def dirty(self, now: datetime, *, limit: int) -> list[CardRow]:
        """Cards that do not show the newest rows, most urgent first, then oldest. What is not progress ignores the
        pause between two edits, but neither the back-off after a failure nor the pause in which a storm gathers.
        """
        c = cards.c
        gathers = c.message_id.is_(None) & c.key.startswith(GATHERING, autoescape=True)
        hurried = (c.priority < Priority.PROGRESS) & (c.attempts == 0) & ~gathers
        due = or_(c.not_before.is_(None), c.not_before <= now, hurried)
        statement = select(cards).where(c.wanted > c.shown, due).order_by(c.priority, c.posted_at, c.key).limit(limit)
        return await self._database.read(lambda db: [row_of(row) for row in db.execute(statement).mappings()])

    async def next_due(self) -> datetime | None:
        """When the next card that was put off may be tried."""
        c = cards.c
        statement = select(c.not_before).where(c.wanted > c.shown, c.not_before.is_not(None)).order_by(c.not_before)
        return await self._database.read(lambda db: db.execute(statement.limit(1)).scalar())

    async def get(self, key: str) -> CardRow | None:
        statement = select(cards).where(cards.c.key == key)

        def work(db: Connection) -> CardRow | None:
            row = db.execute(statement).mappings().one_or_none()
            return None if row is None else row_of(row)

        return await self._database.read(work)

    async def save(self, key: str, **values: Any) -> None:
        """Change columns of the card's row."""
        statement = update(cards).where(cards.c.key == key).values(**values)
        await self._database.write(lambda db: db.execute(statement).close())

    async def posted(
        self, row: CardRow, message_id: int, now: datetime, *, holds: Collection[str] = (),
        settles: Collection[str] = (), **values: Any,
    ) -> None:  # fmt: skip
        """Note where the card stands, and bind its handles to that message. `holds` are cards that stand within it,
        `settles` those that it has told for good.
        """

        def work(db: Connection) -> None:
            where = cards.c.key == row.key
            db.execute(update(cards).where(where).values(message_id=message_id, posted_at=now, **values))
            if holds:
                within = cards.c.key.in_(tuple(holds))
                db.execute(update(cards).where(within).values(message_id=message_id, posted_at=now))
            if settles:
                told = cards.c.key.in_(tuple(settles)) & cards.c.message_id.is_(None)
                done = {"message_id": message_id, "posted_at": now, "shown": cards.c.wanted}
                db.execute(update(cards).where(told).values(**done))
            unbound = (handles.c.card_key == row.key) & handles.c.message_id.is_(None)
            db.execute(update(handles).where(unbound).values(message_id=message_id))

        await self._database.write(work)

    async def hold(self, keys: Collection[str], message_id: int, now: datetime) -> None:
        """Note of cards that stand nowhere by themselves that they stand within that message."""
        homeless = cards.c.key.in_(tuple(keys)) & cards.c.message_id.is_(None)
        statement = update(cards).where(homeless).values(message_id=message_id, posted_at=now)
        await self._database.write(lambda db: db.execute(statement).close())

    async def gone(self, row: CardRow) -> None:
        """The message does not exist any more: the card is to be posted anew, and its buttons are superseded."""
        state = {**row.state, "generation": int(row.state.get("generation", 0)) + 1, "fingerprint": "", "picture": ""}
        await self.save(row.key, message_id=None, nonce="", shown=0, attempts=0, not_before=None, state=state)

    async def beside(self, key: str, channel_id: int, *, priority: Priority = Priority.OUTCOME) -> None:
        """Want one more message, once: a second call with the same key does nothing."""
        statement = sqlite.insert(cards).values(key=key, channel_id=channel_id, priority=int(priority), state={})
        await self._database.write(lambda db: db.execute(statement.on_conflict_do_nothing()).close())

    async def want(self, key: str, channel_id: int, priority: Priority) -> None:
        """Have that card brought up to date; one that does not exist yet is posted in that channel."""
        await self._database.write(lambda db: mark_dirty(db, key, channel_id, priority))

    async def want_again(self, keys: Collection[str]) -> None:
        """Have those of the cards that exist brought up to date."""
        statement = update(cards).where(cards.c.key.in_(tuple(keys))).values(wanted=cards.c.wanted + 1)
        await self._database.write(lambda db: db.execute(statement).close())

    async def of_topic(self, topic: str) -> list[CardRow]:
        """All cards of that kind."""
        statement = select(cards).where(cards.c.key.startswith(f"{topic}:", autoescape=True)).order_by(cards.c.key)
        return await self._database.read(lambda db: [row_of(row) for row in db.execute(statement).mappings()])

    async def unposted(self, prefix: str, channel_id: int, *, limit: int) -> list[CardRow]:
        """Cards of that kind that wait for their first post in that channel, the oldest keys first."""
        c = cards.c
        ours = c.key.startswith(prefix, autoescape=True) & (c.channel_id == channel_id)
        statement = select(cards).where(ours, c.message_id.is_(None), c.wanted > c.shown).limit(limit)
        found = await self._database.read(lambda db: [row_of(row) for row in db.execute(statement).mappings()])
        return sorted(found, key=lambda row: row.subject_id)

    async def dirty_keys(self) -> list[str]:
        """All cards that do not show the newest rows, due or not."""
        statement = select(cards.c.key).where(cards.c.wanted > cards.c.shown)
        return await self._database.read(lambda db: list(db.execute(statement).scalars()))

    async def forgive(self, until: datetime) -> None:
        """Discord is back: what was put off because it was away is due at once. `until` spares what waits longer."""
        c = cards.c
        statement = update(cards).where(c.wanted > c.shown, c.attempts > 0, c.not_before <= until)
        await self._database.write(lambda db: db.execute(statement.values(not_before=None)).close())

    async def drop(self, key: str) -> None:
        await self._database.write(lambda db: db.execute(delete(cards).where(cards.c.key == key)).close())

    # ---- the record --------------------------------------------------------------------------------------------

    async def open_audit(self) -> None:
        """Begin the audit channel at the events that will come: what was loaded before the first start is history."""

        def work(db: Connection) -> None:
            newest = db.execute(select(events.c.id).order_by(events.c.id.desc()).limit(1)).scalar() or 0
            values = {"key": CURSOR_KEY, "channel_id": 0, "priority": 99, "wanted": 0, "state": {"event": newest}}
            db.execute(sqlite.insert(cards).values(**values).on_conflict_do_nothing())

        await self._database.write(work)

    async def audit_due(self, channel_id: int, named: Iterable[str], *, limit: int) -> bool:
        """Turn the next events with those names into one message of the audit channel, unless one is still on its way.

        Cursor and message are written together, so that no event is told twice or left out.
        """
        wanted = tuple(named)

        def waiting(db: Connection) -> bool:
            on_its_way = select(cards.c.key).where(cards.c.key.startswith("audit:", autoescape=True)).limit(1)
            return db.execute(on_its_way).first() is None and bool(_after(db, wanted, limit))

        if not await self._database.read(waiting):
            return False

        def work(db: Connection) -> None:
            found = _after(db, wanted, limit)
            if not found:
                return
            card = {"key": f"audit:{found[0]}", "channel_id": channel_id, "priority": int(Priority.PROGRESS)}
            db.execute(sqlite.insert(cards).values(**card, state={"events": found}).on_conflict_do_nothing())
            db.execute(update(cards).where(cards.c.key == CURSOR_KEY).values(state={"event": found[-1]}))

        await self._database.write(work)
        return True

    # ---- handles -----------------------------------------------------------------------------------------------

    async def mint(
        self, mint: Mint, actions: Sequence[str], now: datetime, *, message_id: int | None = None
    ) -> dict[str, str]:
        """A handle for each action; those that this generation of the card has already are kept."""
        if not actions:
            return {}

        def existing(db: Connection) -> dict[str, str]:
            c = handles.c
            found = select(c.action, c.handle).where(c.card_key == mint.card_key, c.generation == mint.generation)
            return {action: handle for action, handle in db.execute(found) if action in actions}

        known = await self._database.read(existing)
        if len(known) == len(actions):
            return known

        def work(db: Connection) -> dict[str, str]:
            for action in actions:
                values = {
                    "handle": secrets.token_urlsafe(HANDLE_BYTES),
                    "operation_id": mint.operation_id,
                    "card_key": mint.card_key,
                    "action": action,
                    "digest": mint.digest,
                    "generation": mint.generation,
                    "guild_id": mint.guild_id,
                    "channel_id": mint.channel_id,
                    "message_id": message_id,
                    "created_at": now,
                }
                db.execute(sqlite.insert(handles).values(**values).on_conflict_do_nothing())
            return existing(db)

        return await self._database.write(work)

    async def handle(self, handle: str) -> Handle | None:
        """What that handle stands for; None: it was never minted here."""
        statement = (
            select(handles, cards.c.state).outerjoin(cards, cards.c.key == handles.c.card_key)
            .where(handles.c.handle == handle)
        )  # fmt: skip

        def work(db: Connection) -> Handle | None:
            row = db.execute(statement).mappings().one_or_none()
            if row is None:
                return None
            state = row["state"] or {}
            names = set(Handle.__dataclass_fields__) - {"current", "asked"}
            current = int(state.get("generation", row["generation"]))
            return Handle(**{name: row[name] for name in names}, current=current, asked=state.get("asked", {}))

        return await self._database.read(work)

    async def bind(self, handle: str, message_id: int) -> None:
        """Fill in the message on which the button was first seen; one that is bound already stays so."""
        statement = update(handles).where(handles.c.handle == handle, handles.c.message_id.is_(None))
        await self._database.write(lambda db: db.execute(statement.values(message_id=message_id)).close())

    async def use(self, handle: str, person: str, now: datetime) -> bool:
        """Use up a handle that counts once; False: somebody was faster."""
        statement = update(handles).where(handles.c.handle == handle, handles.c.used_at.is_(None))
        used = statement.values(used_at=now, used_by=person).returning(handles.c.handle)
        return await self._database.write(lambda db: db.execute(used).first() is not None)

    async def question(
        self, mint: Mint, asked: Mapping[str, Any], actions: Sequence[str], now: datetime
    ) -> dict[str, str]:
        """Write down what somebody is asked privately, with the handles of the answers."""
        row = {"key": mint.card_key, "channel_id": mint.channel_id, "priority": 99, "wanted": 0}
        statement = sqlite.insert(cards).values(**row, state={"asked": dict(asked), "generation": mint.generation})
        await self._database.write(lambda db: db.execute(statement.on_conflict_do_nothing()).close())
        return await self.mint(mint, actions, now)


def _after(db: Connection, named: Sequence[str], limit: int) -> list[int]:
    """The next events behind the cursor that belong into the audit channel."""
    cursor = db.execute(select(cards.c.state).where(cards.c.key == CURSOR_KEY)).scalar() or {}
    after = events.c.id > int(cursor.get("event", 0))
    statement = select(events.c.id).where(after, events.c.name.in_(named)).order_by(events.c.id).limit(limit)
    return list(db.execute(statement).scalars())


def utc_now() -> datetime:
    return datetime.now(UTC)

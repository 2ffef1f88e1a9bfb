"""A storm of alerts: more groups than a channel can show at once stand together in one compact message, a pack.

Which groups stand in which pack is written in rows (`pack:7` holds its members, each member's row names its pack), each
step in one transaction: a crash at any moment neither loses a group nor shows it twice. A member's later changes are
the pack's. When it has calmed down, the members that still fire get cards of their own again, and ping nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Text, cast, select, update
from sqlalchemy.dialects import sqlite

from bot.db.cards import Priority, mark_dirty
from bot.db.database import Database
from bot.db.tables import cards
from bot.ui.board_store import CardRow, row_of

FEW = 5
"""So many new groups get cards of their own: as many as a channel takes at once (5 messages in 5 s)."""
PACKED = 10
PACKED_MOST = 20
"""Where ten a message would not all be shown with what the channel takes now."""
GATHERED = timedelta(seconds=1)
"""So long a group waits at most for others that are on their way."""
CALM = timedelta(minutes=3)
"""No new pack for that long: the storm is over."""
SAME_STORM = timedelta(minutes=1)
"""Within it one push per role is enough for all the packs of a channel."""
MEMBER, PACK = "alert", "pack"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be done with the groups that wait. Neither: more are on their way, and these wait for them."""

    together: tuple[CardRow, ...] = ()
    alone: bool = False


def chosen(waiting: Sequence[CardRow], now: datetime, *, left: int, stormy: bool) -> Choice:
    """Which of the waiting groups of one channel to show in one message now.

    `left` is how many messages the channel takes now; `stormy`: groups were packed there a moment ago.
    """
    many = len(waiting)
    if many <= FEW and not (stormy and many > left):
        return Choice(alone=True)
    size = min(PACKED_MOST, max(PACKED, -(-many // max(1, left))))
    due = [row.not_before or now for row in waiting]
    awaited = max(due) > now and now - min(due) < GATHERED
    if many < size and awaited:
        return Choice()
    first = sorted(waiting, key=lambda row: (row.priority, row.not_before or now, row.subject_id))
    return Choice(together=tuple(first[:size]))


def may_be_packed(row: CardRow) -> bool:
    """Whether the row is of a group that stands nowhere, and surely so: one whose post was begun goes its own way."""
    ours = row.topic == MEMBER and row.message_id is None and not row.nonce
    return ours and not {"pack", "unfolded"} & row.state.keys()


def members(pack: CardRow) -> tuple[int, ...]:
    """The ids of the groups in that pack."""
    return tuple(int(number) for number in pack.state.get("members", ()))


def opened_at(pack: CardRow) -> datetime:
    """When it was packed."""
    return datetime.fromisoformat(str(pack.state["opened_at"]))


def grown_at(pack: CardRow) -> datetime:
    """When the newest of its groups came in."""
    return datetime.fromisoformat(str(pack.state.get("joined_at", pack.state["opened_at"])))


def pinged_lately(packs: Iterable[CardRow], channel_id: int, now: datetime) -> set[str]:
    """The roles that the posts of packs of this channel really pinged a moment ago."""
    ours = (row for row in packs if row.channel_id == channel_id and now - opened_at(row) < SAME_STORM)
    return {role for row in ours for role in _pinged(row)}


def beside(pack: CardRow, packs: Iterable[CardRow]) -> list[CardRow]:
    """The other packs of the same storm in its channel."""
    return [
        row for row in packs
        if row.key != pack.key and row.channel_id == pack.channel_id
        and abs(opened_at(row) - opened_at(pack)) < SAME_STORM
    ]  # fmt: skip


def to_ping(pack: CardRow, packs: Iterable[CardRow]) -> set[str]:
    """The roles that the pack's post pings: one push a storm is enough for each.

    It leaves a role to a pack that has pinged it, and to an older one that is on its way for the first time: one whose
    post has failed may stay away for long.
    """
    told: set[str] = set()
    for row in beside(pack, packs):
        told |= _pinged(row)
        if row.message_id is None and not row.attempts and row.subject_id < pack.subject_id:
            told |= set(row.state.get("roles", ()))
    return set(pack.state.get("roles", ())) - told


def _pinged(pack: CardRow) -> set[str]:
    return set(pack.state.get("told", ())) if pack.state.get("pinged") else set()


class Packs:
    """The SQL. Every method is one transaction."""

    def __init__(self, database: Database, *, calm: timedelta = CALM) -> None:
        self._database = database
        self._calm = calm

    async def waiting(self) -> dict[int, list[CardRow]]:
        """The groups that stand nowhere yet and may be packed, by channel; those that are not due are among them."""
        c = cards.c
        statement = select(cards).where(_topic(MEMBER), c.message_id.is_(None), c.wanted > c.shown)
        found: dict[int, list[CardRow]] = {}
        for row in await self._rows(statement):
            if may_be_packed(row):
                found.setdefault(row.channel_id, []).append(row)
        return found

    async def open(self) -> list[CardRow]:
        """The packs that have not been unfolded, newest first."""
        statement = select(cards).where(_topic(PACK), cast(cards.c.state, Text).contains('"open":true'))
        return sorted(await self._rows(statement), key=opened_at, reverse=True)

    async def pack(self, together: Sequence[CardRow], roles: Mapping[str, Iterable[str]], now: datetime) -> CardRow:
        """Put those groups into a new pack. `roles` are whom each of them pings, by its key.

        Which of these its post really pings is decided when it is posted.
        """
        channel_id, keys = together[0].channel_id, [row.key for row in together]

        def work(db: Connection) -> CardRow:
            packs = _read(db, select(cards).where(_topic(PACK)))
            wanted = {role for key in keys for role in roles.get(key, ())}
            key = f"{PACK}:{max((row.subject_id for row in packs), default=0) + 1}"
            state = {"members": [row.subject_id for row in together], "opened_at": now.astimezone(UTC).isoformat(),
                     "open": True, "roles": sorted(wanted)}  # fmt: skip
            # Before the single cards of the same urgency: one message for many.
            priority = min(row.priority for row in together) - 1
            values = {"key": key, "channel_id": channel_id, "priority": priority}
            db.execute(sqlite.insert(cards).values(**values, state=state))
            for row in together:
                _change(db, row, {"pack": key, "pinged": True}, shown=cards.c.wanted, not_before=None)
            return _read(db, select(cards).where(cards.c.key == key))[0]

        return await self._database.write(work)

    async def fold(self, changed: Sequence[CardRow]) -> None:
        """Make the changes of packed groups the changes of their packs."""

        def work(db: Connection) -> None:
            for row in changed:
                key = str(row.state["pack"])
                db.execute(update(cards).where(cards.c.key == row.key).values(shown=row.wanted, attempts=0))
                mark_dirty(db, key, row.channel_id, Priority(min(row.priority, Priority.OUTCOME)))
                for pack in _read(db, select(cards).where(cards.c.key == key)):
                    if not pack.state.get("open"):
                        _change(db, pack, {"open": True})

        await self._database.write(work)

    async def join(
        self, pack: CardRow, joining: Sequence[CardRow], roles: Mapping[str, Iterable[str]], now: datetime
    ) -> None:
        """Put those groups into a pack that there is: its post pings for them, too, its next edit only shows them."""

        def work(db: Connection) -> None:
            together = [*members(pack), *(row.subject_id for row in joining)]
            wanted = {role for row in joining for role in roles.get(row.key, ())}
            told = sorted(wanted.union(pack.state.get("roles", ())))
            _change(db, pack, {"members": together, "joined_at": now.astimezone(UTC).isoformat(), "roles": told})
            mark_dirty(db, pack.key, pack.channel_id, Priority.CRITICAL)
            for row in joining:
                _change(db, row, {"pack": pack.key, "pinged": True}, shown=cards.c.wanted, not_before=None)

        await self._database.write(work)

    def calm(self, packs: Sequence[CardRow], now: datetime) -> list[CardRow]:
        """Those of the open packs in whose channel the storm is over."""
        newest = {row.channel_id: grown_at(row) for row in sorted(packs, key=grown_at)}
        return [row for row in packs if now - newest[row.channel_id] >= self._calm]

    async def unfold(self, pack: CardRow, firing: Iterable[int]) -> None:
        """Give those of its groups cards of their own again, without a ping; the pack will say where they went."""
        keys = [f"{MEMBER}:{number}" for number in firing]

        def work(db: Connection) -> None:
            for row in _read(db, select(cards).where(cards.c.key.in_(keys))):
                if row.state.get("pack") == pack.key:
                    state = {name: value for name, value in row.state.items() if name != "pack"}
                    state |= {"unfolded": pack.key, "pinged": True, "fingerprint": "",
                              "generation": int(state.get("generation", 0)) + 1}  # fmt: skip
                    afresh = update(cards).where(cards.c.key == row.key).values(
                        message_id=None, nonce="", not_before=None, attempts=0,
                        wanted=row.wanted + 1, priority=int(Priority.BACKGROUND), state=state,
                    )  # fmt: skip
                    db.execute(afresh)
            _change(db, pack, {"open": False}, wanted=cards.c.wanted + 1)

        await self._database.write(work)

    async def standing(self, pack: CardRow) -> dict[int, CardRow]:
        """The rows of its members."""
        keys = [f"{MEMBER}:{number}" for number in members(pack)]
        found = await self._rows(select(cards).where(cards.c.key.in_(keys)))
        return {row.subject_id: row for row in found}

    async def _rows(self, statement: Any) -> list[CardRow]:
        return await self._database.read(lambda db: _read(db, statement))


def _topic(topic: str) -> Any:
    """The rows of one topic, by the primary key's order."""
    return cards.c.key.between(f"{topic}:", f"{topic}:~")


def _read(db: Connection, statement: Any) -> list[CardRow]:
    return [row_of(row) for row in db.execute(statement).mappings()]


def _change(db: Connection, row: CardRow, state: Mapping[str, Any], **values: Any) -> None:
    """Add to the row's state, and set columns."""
    newest = _read(db, select(cards).where(cards.c.key == row.key))[0].state
    db.execute(update(cards).where(cards.c.key == row.key).values(state={**newest, **state}, **values))

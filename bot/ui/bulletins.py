"""Messages that belong to no operation: what happened outside the bot, and how often a refusal has come again.

An announcement (`announcement:<run or commit>`) is posted once and never changed. A tally (`tally:<event>`) stands in
the audit channel beside a line that was told there and has been counted up since; it is kept equal to the count.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import sqlite

from bot.db.cards import Priority
from bot.db.database import Database
from bot.db.tables import cards, events
from bot.ops.model import Event
from bot.ops.rows import event_of
from bot.ui.card_lines import address, short
from bot.ui.text import escape, joined, stamp

TALLY = "tally"


def announcement_text(facts: Mapping[str, Any]) -> str:
    """What was seen, in two lines: what and by whom, then the foreign words alone."""
    who = f" by {escape(str(facts['actor']), 39)}" if facts.get("actor") else ""
    at = f"{escape(str(facts.get('branch', '')), 80)} at {short(str(facts.get('sha', '')))}"
    title = escape(str(facts.get("title", "")), 120)
    if facts["about"] == "build":
        url = str(facts.get("url", ""))
        head = f"**BUILD started outside the bot**{who}, of {at}"
        return joined([head, f"> {title}" if title else "", f"run {facts['run']} · {address(url)}"])
    failing = escape(", ".join(str(name) for name in facts.get("failing", ())), 300)
    closed = ", ".join(str(name) for name in facts.get("closed", ()))
    return joined(
        [
            f"**CHECKS red** on {at}: {failing}",
            f"> {title}{f' · commit{who}' if who else ''}" if title else "",
            f"{closed}: takes no deploy of it" if closed else "",
        ]
    )


def announcement_marker(facts: Mapping[str, Any]) -> re.Pattern[str]:
    """What finds the message again in the channel."""
    if facts["about"] == "build":
        return re.compile(rf"^\*\*BUILD [\s\S]*\brun {int(facts['run'])} ·")
    return re.compile(rf"^\*\*CHECKS red\*\* on .* at {re.escape(short(str(facts['sha'])))}:")


def tally_text(event: Event) -> str:
    """How often it has come by now, and when last."""
    times = f"**{event.count:,} times**, the last {stamp(event.at)}"
    head = f"**Again** `{event.id}` · {event.name} · {escape(event.actor, 40)} · {times}"
    return f"{head}\n> {escape(event.text, 200)}"


def tally_marker(event_id: int) -> re.Pattern[str]:
    return re.compile(rf"^\*\*Again\*\* `{event_id}` ")


class Tallies:
    """Which counts were told, and which have grown since."""

    def __init__(self, database: Database, *, channel_id: int) -> None:
        self._database = database
        self._channel_id = channel_id

    async def told(self, shown: Iterable[Event]) -> None:
        """Note the counts that the audit channel is about to show; lines that can never grow are left out."""
        ids = [event.id for event in shown]

        def work(connection: Connection) -> None:
            growing = select(events.c.id, events.c.count).where(events.c.id.in_(ids), events.c.fold.is_not(None))
            for event_id, count in connection.execute(growing).all():
                row = {"key": f"{TALLY}:{event_id}", "channel_id": self._channel_id, "priority": int(Priority.PROGRESS)}
                insert = sqlite.insert(cards).values(**row, wanted=0, state={"told": count})
                renewed = insert.on_conflict_do_update(index_elements=["key"], set_={"state": insert.excluded.state})
                connection.execute(renewed)

        await self._database.write(work)

    async def look(self) -> None:
        """Want the tally of every line that has grown since it was told."""
        if not await self._database.read(_grown):
            return

        def work(connection: Connection) -> None:
            keys = _grown(connection)
            connection.execute(update(cards).where(cards.c.key.in_(keys)).values(wanted=cards.c.wanted + 1))

        await self._database.write(work)

    async def event(self, event_id: int) -> Event | None:
        """The line as it stands now."""
        statement = select(events).where(events.c.id == event_id)

        def work(connection: Connection) -> Event | None:
            row = connection.execute(statement).mappings().one_or_none()
            return None if row is None else event_of(row)

        return await self._database.read(work)


def _grown(connection: Connection) -> list[str]:
    """The keys of tallies that show too little, and are not about to be drawn anyway."""
    tallies = select(cards.c.key, cards.c.state).where(
        cards.c.key.startswith(f"{TALLY}:", autoescape=True), cards.c.wanted == cards.c.shown
    )
    told = {int(key.partition(":")[2]): int(state.get("told", 0)) for key, state in connection.execute(tallies)}
    counts = connection.execute(select(events.c.id, events.c.count).where(events.c.id.in_(told))).all()
    return [f"{TALLY}:{event_id}" for event_id, count in counts if count > told[event_id]]

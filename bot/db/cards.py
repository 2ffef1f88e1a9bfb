"""How rows tell the board that a card is out of date. Here, so that the core needs no Discord."""

from datetime import datetime
from enum import IntEnum

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite

from bot.db.tables import cards


class Priority(IntEnum):
    """Which card is brought up to date first: the lower, the sooner."""

    APPROVAL = 10
    CRITICAL = 20
    OUTCOME = 30
    PROGRESS = 40
    BACKGROUND = 50


def _upsert() -> sqlite.Insert:
    insert = sqlite.insert(cards)
    return insert.on_conflict_do_update(
        index_elements=["key"],
        set_={"wanted": cards.c.wanted + 1, "priority": insert.excluded.priority},
    )


_MARK = _upsert()


def mark_dirty(
    connection: Connection, key: str, channel_id: int, priority: Priority, *, not_before: datetime | None = None
) -> None:
    """Say, within the transaction that changed its rows, that this card no longer shows the truth.

    A card that does not exist yet is created and will be posted in `channel_id`, not before that moment; one that
    exists keeps its channel and whatever it waits for.
    """
    values = {"key": key, "channel_id": channel_id, "priority": int(priority), "not_before": not_before}
    connection.execute(_MARK, values)

"""What this Discord remembers when the world is started again: messages, threads, commands, roles, in one SQLite file.

Every change is written at once. Speed comes from not waiting for the disk: a machine that loses its power may lose
the demo's last messages, and nothing else.
"""

import json
import sqlite3
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.sandbox.discord.errors import dumps

Json = dict[str, Any]

MESSAGES_CACHED = 2_000
EPHEMERALS_KEPT = 5_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, owner INTEGER, interaction INTEGER, edits INTEGER NOT NULL,
    pinned_at TEXT, pings TEXT NOT NULL, payload TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_of_channel ON messages (channel, id);
CREATE TABLE IF NOT EXISTS reactions (
    message INTEGER NOT NULL, emoji TEXT NOT NULL, user INTEGER NOT NULL, PRIMARY KEY (message, emoji, user)
);
CREATE TABLE IF NOT EXISTS threads (id INTEGER PRIMARY KEY, payload TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(slots=True)
class Message:
    """A message. `payload` is what Discord's API shows of it; `owner` the only member who may see an ephemeral one.

    `interaction` is the one whose token posted it. `pings` holds what it pinged when it was posted.
    """

    id: int
    channel: int
    payload: Json
    owner: int | None = None
    interaction: int | None = None
    edits: int = 0
    pinned_at: str | None = None
    pings: Json = field(default_factory=lambda: {"users": [], "roles": [], "everyone": False})

    @property
    def author(self) -> int:
        return int(self.payload["author"]["id"])

    @property
    def flags(self) -> int:
        return int(self.payload["flags"])


class Store:
    """The file, with the newest messages at hand."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(SCHEMA)
        self._cache: OrderedDict[int, Message] = OrderedDict()
        self._ephemerals = 0
        self._newest: dict[int, int] = dict(
            self._db.execute("SELECT channel, MAX(id) FROM messages WHERE owner IS NULL GROUP BY channel").fetchall()
        )
        self.threads: dict[int, Json] = {
            int(row[0]): json.loads(row[1]) for row in self._db.execute("SELECT id, payload FROM threads ORDER BY id")
        }

    def close(self) -> None:
        self._db.close()

    def newest_id(self) -> int:
        """The greatest id that was given to a message or a thread; 0 when there is none."""
        row = self._db.execute("SELECT MAX(id) FROM messages").fetchone()
        return max(int(row[0] or 0), max(self.threads, default=0))

    def move(self, origin: str) -> None:
        """Note the address under which files are served now: those in stored messages follow it from start to start."""
        old = self.document("origin")
        self.put_document("origin", origin)
        if old and old != origin:
            self._db.execute("UPDATE messages SET payload = replace(payload, ?, ?)", (f"{old}/cdn/", f"{origin}/cdn/"))
            self._cache.clear()

    # -- messages -----------------------------------------------------------------------------------------------------

    def put(self, message: Message) -> None:
        """Write a new or changed message."""
        self._remember(message)
        self._db.execute(
            "INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                message.id,
                message.channel,
                message.owner,
                message.interaction,
                message.edits,
                message.pinned_at,
                dumps(message.pings),
                dumps(message.payload),
            ),
        )
        if message.owner is not None:
            self._prune_ephemerals()
        elif message.id > self._newest.get(message.channel, 0):
            self._newest[message.channel] = message.id

    def message(self, message_id: int) -> Message | None:
        cached = self._cache.get(message_id)
        if cached is not None:
            self._cache.move_to_end(message_id)
            return cached
        row = self._db.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
        return None if row is None else self._remember(_message(row))

    def remove(self, message: Message) -> None:
        self._cache.pop(message.id, None)
        self._db.execute("DELETE FROM messages WHERE id = ?", (message.id,))
        self._db.execute("DELETE FROM reactions WHERE message = ?", (message.id,))

    def page(
        self,
        channel: int,
        *,
        after: int | None = None,
        before: int | None = None,
        viewer: int | None = None,
        limit: int,
        oldest: bool = False,
    ) -> list[Message]:
        """Messages of a place, newest first, or from the oldest on; ephemeral ones only of the viewer."""
        order = "ASC" if oldest else "DESC"
        rows = self._db.execute(
            "SELECT id FROM messages WHERE channel = ? AND id > ? AND id < ? AND (owner IS NULL OR owner = ?) "  # noqa: S608
            f"ORDER BY id {order} LIMIT ?",
            (channel, after or 0, before or 2**63 - 1, viewer, limit),
        ).fetchall()
        return [found for row in rows if (found := self.message(row[0])) is not None]

    def pinned(self, channel: int) -> list[Message]:
        """Pinned messages, the newest pin first."""
        rows = self._db.execute(
            "SELECT id FROM messages WHERE channel = ? AND pinned_at IS NOT NULL ORDER BY pinned_at DESC", (channel,)
        ).fetchall()
        return [found for row in rows if (found := self.message(row[0])) is not None]

    def newest_in(self, channel: int) -> int | None:
        """The newest public message that was ever posted there; it may be deleted since, as on Discord."""
        return self._newest.get(channel)

    def _remember(self, message: Message) -> Message:
        self._cache[message.id] = message
        if len(self._cache) > MESSAGES_CACHED:
            self._cache.popitem(last=False)
        return message

    def _prune_ephemerals(self) -> None:
        """Members cannot scroll back to ephemeral messages for ever; the oldest go."""
        self._ephemerals += 1
        if self._ephemerals % 500:
            return
        rows = self._db.execute(
            "DELETE FROM messages WHERE owner IS NOT NULL AND id <= "
            "(SELECT id FROM messages WHERE owner IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET ?) RETURNING id",
            (EPHEMERALS_KEPT,),
        ).fetchall()
        for row in rows:
            self._cache.pop(row[0], None)

    # -- reactions ----------------------------------------------------------------------------------------------------

    def reactions(self, message: int) -> dict[str, list[int]]:
        """Who reacted to a message, by emoji, the first kind first."""
        rows = self._db.execute("SELECT emoji, user FROM reactions WHERE message = ? ORDER BY rowid", (message,))
        found: dict[str, list[int]] = {}
        for emoji, user in rows:
            found.setdefault(emoji, []).append(user)
        return found

    def put_reaction(self, message: int, emoji: str, user: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO reactions VALUES (?, ?, ?)", (message, emoji, user))

    def remove_reactions(self, message: int, *, emoji: str | None = None, user: int | None = None) -> None:
        """Of one kind or all, of one person or all."""
        self._db.execute(
            "DELETE FROM reactions WHERE message = ?1 AND (?2 IS NULL OR emoji = ?2) AND (?3 IS NULL OR user = ?3)",
            (message, emoji, user),
        )

    # -- threads and documents ----------------------------------------------------------------------------------------

    def put_thread(self, payload: Json) -> None:
        self.threads[int(payload["id"])] = payload
        self._db.execute("INSERT OR REPLACE INTO threads VALUES (?, ?)", (int(payload["id"]), json.dumps(payload)))

    def remove_thread(self, thread: int) -> None:
        self.threads.pop(thread, None)
        self._db.execute("DELETE FROM threads WHERE id = ?", (thread,))
        self._db.execute("DELETE FROM messages WHERE channel = ?", (thread,))
        self._cache.clear()

    def document(self, name: str) -> Any:
        """A small document by its name; None when it was never written."""
        row = self._db.execute("SELECT value FROM documents WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put_document(self, name: str, value: object) -> None:
        self._db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", (name, json.dumps(value)))


def _message(row: tuple[Any, ...]) -> Message:
    number, channel, owner, interaction, edits, pinned_at, pings, payload = row
    return Message(number, channel, json.loads(payload), owner, interaction, edits, pinned_at, json.loads(pings))

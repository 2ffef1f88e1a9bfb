"""Copies of the database by schedule: into one directory, the newest few kept. Copying itself is `bot.db.backup`'s."""

import logging
from pathlib import Path

from bot.clients.threads import DaemonPool
from bot.db.backup import Copy, make_copy, name_at, prune
from bot.errors import Unavailable
from bot.ops.record import Now, utc_now

DEADLINE_S = 600.0

_log = logging.getLogger(__name__)


class Backups:
    """Makes the copies that the schedule asks for, of `database` into `directory`, and keeps the newest `keep`."""

    def __init__(self, database: Path, directory: Path, *, keep: int, now: Now = utc_now) -> None:
        self._database = database
        self._directory = directory
        self._keep = keep
        self._now = now
        # A thread of its own that nobody waits for: a copy under way must not keep the process from ending.
        self._pool = DaemonPool("backup", 1)

    async def make(self) -> Copy:
        """Make one copy now, then let go of the oldest ones that are too many.

        Raises:
            Unavailable: it could not be made, or not in time.
        """
        to = self._directory / name_at(self._now())

        def work() -> Copy:
            made = make_copy(self._database, to)
            prune(self._directory, keep=self._keep)
            return made

        try:
            made = await self._pool.call(work, deadline_s=DEADLINE_S)
        except TimeoutError as error:
            raise Unavailable("database", f"The copy to {to} is not done after {DEADLINE_S:.0f} s.") from error
        _log.info("a copy of the database was made", extra={"file": str(made.path), "size": made.size})
        return made

    def close(self) -> None:
        self._pool.close()

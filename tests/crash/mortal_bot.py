"""The bot, but mortal at will: the real program, which kills itself with SIGKILL at one named commit of its database.

`python -m tests.crash.mortal_bot run --config FILE` is started in place of `python -m bot`. It listens to SQLAlchemy's
public events and dies before or after the COMMIT that `instant.json` beside the configuration names, once. It also
shortens the pauses in which the bot waits for others, so that the table of all instants can be run in minutes. Nothing
else is changed, and production code knows nothing of this.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event

from tests.crash.instants import Commit, named

ORDER = "instant.json"
SHORTER: dict[str, dict[str, float]] = {
    "bot.services.patience": {"OUTAGE_PAUSE_S": 0.5, "LOOKUP_S": 2.0, "LOOKUP_PAUSE_S": 0.25},
    "bot.ops.executor": {"RETRY_S": 1.0},
    "bot.discord_bot": {"RETRY_LONGEST_S": 1.0},
    "bot.ui.board": {"LONGEST_PAUSE_S": 1.0},
}


class Deathbed:
    """Watches what each transaction writes, and ends the process at the commit that was ordered."""

    def __init__(self, order: Path) -> None:
        self._order = order
        self._written: dict[int, list[tuple[str, dict[str, Any]]]] = {}

    def watch(self) -> None:
        """Listen to every engine that will ever be made."""
        event.listen(sqlalchemy.Engine, "before_cursor_execute", self._executes)
        event.listen(sqlalchemy.Engine, "commit", self._commits)
        event.listen(sqlalchemy.Engine, "rollback", self._rolls_back)

    def _executes(
        self, connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        compiled = getattr(context, "compiled", None)
        table = getattr(getattr(compiled, "statement", None), "table", None)
        if table is not None and (context.isinsert or context.isupdate):
            written = self._written.setdefault(id(connection), [])
            written += [(table.name, dict(values)) for values in context.compiled_parameters]

    def _rolls_back(self, connection: Any) -> None:
        self._written.pop(id(connection), None)

    def _commits(self, connection: Any) -> None:
        written = self._written.pop(id(connection), [])
        if not written or not self._order.exists():
            return
        order = json.loads(self._order.read_text(encoding="utf-8"))
        trigger = named(order["instant"]).trigger
        assert isinstance(trigger, Commit)
        if not any(trigger.made_by(*write) for write in written):
            return
        self._order.unlink()
        if order["side"] == "after":
            connection.connection.dbapi_connection.commit()
        os.kill(os.getpid(), signal.SIGKILL)


def shorten() -> None:
    """Wait less for others.

    Raises:
        AttributeError: a pause of that name is no longer there.
    """
    for module, pauses in SHORTER.items():
        __import__(module)
        for name, seconds in pauses.items():
            getattr(sys.modules[module], name)
            setattr(sys.modules[module], name, seconds)


def main() -> int:
    """Be the bot."""
    from bot.__main__ import main as bot

    config = Path(sys.argv[sys.argv.index("--config") + 1])
    Deathbed(config.with_name(ORDER)).watch()
    shorten()
    return bot()


if __name__ == "__main__":
    sys.exit(main())

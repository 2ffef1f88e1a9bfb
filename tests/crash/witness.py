"""What really happened, read where it happened: the bot's rows, GitHub's own journal, the host's own command folders.

Nothing here asks the bot; a table that the bot could talk itself out of would prove nothing.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.story.world_driver import Json, World

OURS = "quarterdeck-deploy --environment"
"""What the script of a rollout says, and no other command's."""
BUILD = ".github/workflows/build-image.yml"


@dataclass(frozen=True, slots=True)
class Mark:
    """What there was before the case began."""

    runs: frozenset[int]
    rollouts: frozenset[str]
    requests: int
    message: str
    audit: str


class Witness:
    """Reads a world's files."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def mark(self) -> Mark:
        """Remember what there is now."""
        seen = [request["n"] for part in ("github", "aws") for request in await self._world.requests(part)]
        newest = [(await self._world.messages(channel))[-1:] for channel in ("ops", "audit")]
        ops, audit = (found[0].id if found else "0" for found in newest)
        return Mark(frozenset(self._runs()), frozenset(self._rollouts()), max(seen, default=0), ops, audit)

    # -- the outside ---------------------------------------------------------------------------------------------------

    def _runs(self) -> dict[int, Json]:
        journal = json.loads((self._world.home / "github" / "journal.json").read_text(encoding="utf-8"))
        return {int(number): run for number, run in journal["runs"].items() if run["path"] == BUILD}

    def runs(self, since: Mark) -> list[Json]:
        """The builds that GitHub has really begun since then."""
        return [run for number, run in self._runs().items() if number not in since.runs]

    def _rollouts(self) -> Iterator[str]:
        for script in (self._world.home / "aws" / "commands").glob("*/*/script.sh"):
            if OURS in script.read_text(encoding="utf-8"):
                yield script.parent.parent.name

    def rollouts(self, since: Mark) -> list[str]:
        """The rollouts that the host has really begun since then, by their commands' ids."""
        return [command for command in self._rollouts() if command not in since.rollouts]

    # -- the rows ------------------------------------------------------------------------------------------------------

    @property
    def _file(self) -> Path:
        return self._world.home / "state" / "quarterdeck.sqlite3"

    @contextmanager
    def _rows(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection

    def _all(self, statement: str, *values: object) -> list[dict[str, Any]]:
        with self._rows() as connection:
            return [dict(row) for row in connection.execute(statement, values)]

    def asked_by(self, interaction: str) -> int | None:
        """The number of the operation that an interaction asked for; None: it is not written."""
        found = self._all("SELECT id FROM operations WHERE request_key = ?", f"interaction:{interaction}")
        return int(found[0]["id"]) if found else None

    def operation(self, number: int) -> dict[str, Any]:
        return self._all("SELECT * FROM operations WHERE id = ?", number)[0]

    def votes(self, number: int) -> list[dict[str, Any]]:
        return self._all("SELECT * FROM votes WHERE operation_id = ?", number)

    def locks(self) -> list[int]:
        """The operations that hold a lock."""
        return [int(row["operation_id"]) for row in self._all("SELECT operation_id FROM locks")]

    def events(self, number: int) -> list[dict[str, Any]]:
        """The operation's events, oldest first."""
        return self._all("SELECT * FROM events WHERE operation_id = ? ORDER BY id", number)

    def saved(self, number: int, key: str) -> bool:
        """Whether the operation's checkpoint has that key."""
        return json.loads(self.operation(number)["checkpoint"]).get(key) is not None

    def let_expire(self, number: int) -> None:
        """Have the request's time be over, as if hours had passed."""
        with closing(sqlite3.connect(self._file, timeout=10, isolation_level=None)) as connection:
            connection.execute("UPDATE operations SET expires_at = created_at WHERE id = ?", (number,))

    # -- the channels --------------------------------------------------------------------------------------------------

    async def audited(self, since: Mark) -> dict[int, int]:
        """How often each event of the record stands in #audit since then."""
        lines = [
            int(number)
            for message in await self._world.messages("audit", after=since.audit)
            for number in re.findall(r"^`?(\d+)`? ", message.text, re.MULTILINE)
        ]
        return {number: lines.count(number) for number in lines}

"""The one way out to the terminal: nothing is printed with a secret or a control character in it."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from bot.console.plain import legible, plain
from bot.logs import Redactor
from bot.ops.model import Operation

_KEPT = (
    "id", "kind", "environment", "service", "target", "status", "requester", "door", "roles_confirmed", "digest",
    "quorum", "approver_roles", "waiting_for", "reason", "params", "plan", "steps", "result", "log_tail", "parent_id",
    "created_at", "expires_at", "approved_at", "started_at", "ended_at",
)  # fmt: skip
"""What scripts get of an operation; the rest of the row is machinery."""


class Paper:
    """Answers go to `out`, complaints to `err`; progress follows the answers, unless `as_json` keeps `out` clean."""

    def __init__(
        self, redactor: Redactor, *, as_json: bool = False, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self._redactor = redactor
        self.as_json = as_json
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    def say(self, text: str) -> None:
        """An answer of one or more lines, unless only JSON is wanted."""
        if not self.as_json:
            self._write(self._out, text)

    def show(self, markup: str) -> None:
        """A text that was made for Discord."""
        self.say(plain(markup, datetime.now(UTC)))

    def tell(self, text: str) -> None:
        """Progress: in the way of the answer for people, beside it for scripts."""
        self._write(self._err if self.as_json else self._out, text)

    def complain(self, text: str) -> None:
        self._write(self._err, text)

    def record(self, content: object) -> None:
        """The answer as JSON, if that is wanted."""
        if self.as_json:
            print(self._redactor.clean(as_json(content)), file=self._out, flush=True)

    def verbatim(self, text: str) -> None:
        """A document in its own format, with secrets taken out; on a terminal it is made harmless as well."""
        if self._out.isatty():
            self._write(self._out, text)
            return
        self._out.write(self._redactor.clean(text))
        self._out.flush()

    def _write(self, stream: TextIO, text: str) -> None:
        for line in self._redactor.clean(text).split("\n"):
            print(legible(line), file=stream)
        stream.flush()


def as_json(content: object) -> str:
    """One object, times as ISO 8601; non-ASCII is escaped, so that a terminal shows it and obeys nothing."""
    return json.dumps(content, default=_plain_value)


def _plain_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple | set | frozenset) else str(value)


def fields_of(operation: Operation) -> Mapping[str, Any]:
    """An operation for scripts."""
    row = asdict(operation)
    return {name: row[name] for name in _KEPT}

"""JSON logs, one object a line, that say which operation and whose doing it was; and the redaction of secrets.

The same `Redactor` cleans what goes out to Discord: a secret is kept out of every sink by the one list of them.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

REDACTED = "[redacted]"
SECRET_MIN = 6
"""Registered values shorter than this many characters would blot out ordinary words and are not looked for."""

_CONTEXT: ContextVar[Mapping[str, object]] = ContextVar("quarterdeck_log_context", default={})  # noqa: B039 - never changed in place
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# Shapes of tokens that are secret wherever they stand. Sources: GitHub's "token formats" and AWS' "unique identifiers"
# pages, Discord's reference on authentication and on interaction tokens (read 2026-08).
_SHAPES = tuple(
    re.compile(shape)
    for shape in (
        r"\b[MNO][A-Za-z0-9_-]{17,}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",  # Discord bot token
        r"\bgh[pousr]_[A-Za-z0-9]{20,}",  # GitHub tokens
        r"\bgithub_pat_[A-Za-z0-9_]{20,}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # AWS access key ids
        r"(?<=/interactions/)\d+/[A-Za-z0-9_-]{20,}",  # interaction tokens in URLs
        r"(?<=/webhooks/)\d+/[A-Za-z0-9_-]{20,}",
        r"(?i)(?<=authorization: )\S+(?: \S+)?",
        r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/=-]{8,}",
        r"(?i)(?<=\bbot )[A-Za-z0-9_-]{17,}\.[A-Za-z0-9._-]{20,}",
        r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",  # user and password in an address
        r"(?i)(?<=aws_secret_access_key[=:])\s*\S+",
        r"(?i)(?<=aws_session_token[=:])\s*\S+",
        r"(?i)(?<=X-Amz-Signature=)[0-9a-f]{16,}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    )
)


class Redactor:
    """Takes registered secrets and token-like strings out of text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.register(*secrets)

    def register(self, *secrets: str) -> None:
        """Know more secrets from now on; the longest are looked for first, so that none survives in part."""
        worth = {secret for secret in secrets if len(secret) >= SECRET_MIN}
        self._secrets = tuple(sorted({*self._secrets, *worth}, key=len, reverse=True))

    def clean(self, text: str) -> str:
        """The text with every secret replaced."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        for shape in _SHAPES:
            text = shape.sub(REDACTED, text)
        return text


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Write these fields (`operation_id`, `actor`) with every line logged inside, in this task and those it starts."""
    token = _CONTEXT.set({**_CONTEXT.get(), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


class JsonFormatter(logging.Formatter):
    """One line of JSON a record: time, level, logger, message, what is bound, what was given as `extra`, traceback."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_CONTEXT.get(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({key: self._plain(value) for key, value in line.items()}, ensure_ascii=False)

    def _plain(self, value: object) -> object:
        return value if value is None or isinstance(value, bool | int | float) else self._redactor.clean(str(value))


def configure(level: str, redactor: Redactor, stream: TextIO | None = None) -> None:
    """Send every logger's lines to `stream` (standard error) as JSON; what was configured before is replaced."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(redactor))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # These write tokens and bodies at their lower levels, and nobody needs each heartbeat.
    for noisy in ("discord", "apscheduler", "botocore", "aiobotocore", "github", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))

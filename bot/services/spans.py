"""Points in time as people type them: `24h`, `7d`, `2026-08-01`, `2026-08-01 12:30`. All in UTC."""

import re
from datetime import UTC, datetime, timedelta

from bot.errors import Refused

_AGO = re.compile(r"(\d{1,5})\s*(min|m|h|d|w)(?:\s+ago)?\Z")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment_of(typed: str, now: datetime) -> datetime | None:
    """The moment that was meant: so long before `now`, or a date (its midnight) or time; None for nothing typed.

    Raises:
        Refused: it is neither.
    """
    text = typed.strip().lower()
    if not text:
        return None
    try:
        if found := _AGO.match(text):
            return now - timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})
        at = datetime.fromisoformat(text.upper())
    except (ValueError, OverflowError):
        raise Refused(
            f"“{typed[:40]}” is no point in time.",
            hint="Write an age (90min, 24h, 7d) or a date (2026-08-01 12:30, UTC).",
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)

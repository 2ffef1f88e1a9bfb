"""Points in time and lengths as people type them: `24h`, `1d12h`, `2026-08-01 12:30`, `until 18:00`. All in UTC.

One room for what looks back (`moment_of`), for a length (`length_of`) and for what looks ahead (`end_of`), so that
every command and every form understands the same words and refuses the others in the same way.
"""

import re
from datetime import UTC, datetime, time, timedelta

from bot.errors import Refused

_AGO = re.compile(r"(\d{1,5})\s*(min|m|h|d|w)(?:\s+ago)?\Z")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"(\d{1,5})\s*(min|m|h|d|w)\s*")
_LENGTH = re.compile(rf"(?:for\s+|in\s+)?((?:{_PART.pattern})+)\Z")
_CLOCK = re.compile(r"(?:(mon|tue|wed|thu|fri|sat|sun|today|tomorrow)[a-z]*\s+)?(\d{1,2})(?::(\d{2}))?\Z")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=30)
LENGTH_HINT = "Write a length (90m, 2h, 1d12h) or an end (until 18:00, until fri 9:00, until 2026-08-01 12:30; UTC)."


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
    return _aware(at)


def length_of(typed: str) -> timedelta:
    """The length that was meant: `90m`, `2h`, `1d12h`, `1 w`.

    Raises:
        Refused: it is none.
    """
    found = _LENGTH.match(typed.strip().lower())
    if found is None:
        raise Refused(f"“{typed[:40]}” is no length of time.", hint="Write one like 90m, 2h, 1d or 1d12h.")
    return _sum(found.group(1))


def end_of(typed: str, now: datetime, *, shortest: timedelta = SHORTEST, longest: timedelta = LONGEST) -> datetime:
    """When something ends that begins at `now`: so long after it, or at a moment to come.

    A time of day without a date is the next one. `until` may be left out.

    Raises:
        Refused: it is no such moment, has passed, or is nearer than `shortest` or farther than `longest`.
    """
    at = _ahead(typed, now)
    if at <= now:
        raise Refused(f"“{typed[:40]}” has passed already: it is {now:%Y-%m-%d %H:%M} UTC now.", hint=LENGTH_HINT)
    if at - now < shortest:
        raise Refused(f"“{typed[:40]}” is too short: {_words(shortest)} at least.", hint=LENGTH_HINT)
    if at - now > longest:
        raise Refused(f"“{typed[:40]}” is too long: {_words(longest)} at most.", hint=LENGTH_HINT)
    return at


def start_of(typed: str, now: datetime, *, latest: timedelta = LONGEST) -> datetime:
    """When something begins: at once for nothing typed or `now`, else as `end_of` reads it.

    Raises:
        Refused: it is no such moment, has passed, or is farther than `latest`.
    """
    if typed.strip().lower() in ("", "now"):
        return now
    return end_of(typed, now, shortest=timedelta(0), longest=latest)


def _ahead(typed: str, now: datetime) -> datetime:
    text = re.sub(r"^(?:until|till|to|at|from)\s+", "", typed.strip().lower())
    text = re.sub(r"\s+(?:utc|z)\Z", "", text)
    try:
        if found := _LENGTH.match(text):
            return now + _sum(found.group(1))
        if clock := _CLOCK.match(text):
            return _next(clock, now)
        return _aware(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise Refused(f"“{typed[:40]}” is neither a length nor a point in time.", hint=LENGTH_HINT) from None


def _next(clock: re.Match[str], now: datetime) -> datetime:
    """The next moment of that time of day, on that day if one is named."""
    day, hour, minute = clock.group(1), int(clock.group(2)), clock.group(3)
    if day is None and minute is None:
        raise ValueError("a bare number says no unit")
    at = datetime.combine(now.date(), time(hour, int(minute or 0)), tzinfo=UTC)
    if day == "tomorrow":
        return at + timedelta(days=1)
    if day in _WEEKDAYS:
        at += timedelta(days=(_WEEKDAYS.index(day) - at.weekday()) % 7)
        return at if at > now else at + timedelta(days=7)
    return at if day == "today" or at > now else at + timedelta(days=1)


def _sum(text: str) -> timedelta:
    try:
        return sum((timedelta(**{_UNITS[unit]: int(many)}) for many, unit in _PART.findall(text)), timedelta())
    except OverflowError:
        raise Refused(f"“{text[:40]}” is longer than anything here lasts.", hint=LENGTH_HINT) from None


def _words(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 1440} d" if minutes % 1440 == 0 else f"{minutes // 60} h"


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)

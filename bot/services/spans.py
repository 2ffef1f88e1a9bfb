"""Points in time and lengths as people type them: `24h`, `1d12h`, `2026-08-01 12:30`, `until 18:00`.

One room for what looks back (`moment_of`), for a length (`length_of`) and for what looks ahead (`end_of`), so that
every command and every form understands the same words and refuses the others in the same way. A time without an offset
is meant in the zone that the configuration names, and whoever typed it is told so (`notes_of`).
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from bot.alert_settings import AlertSettings
from bot.errors import Refused

_AGO = re.compile(r"(\d{1,5})\s*(min|m|h|d|w)(?:\s+ago)?\Z")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"(\d{1,5})\s*(min|m|h|d|w)\s*")
_LENGTH = re.compile(rf"(?:for\s+|in\s+)?((?:{_PART.pattern})+)\Z")
_CLOCK = re.compile(
    r"(?:(mon|tue|wed|thu|fri|sat|sun|today|tomorrow)[a-z]*\s+)?(\d{1,2})(?::(\d{2}))?\s*"
    r"(utc|z|[+-]\d{2}:?\d{2})?\Z"
)
_OFFSET = re.compile(r"\s*(utc|z|[+-]\d{2}:?\d{2})\Z")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Meant:
    """A moment that somebody typed, and what they should know of how it was read."""

    at: datetime
    notes: tuple[str, ...] = ()


def zone_of(alerts: AlertSettings | None) -> tzinfo:
    """Where times without an offset are meant: in the zone of the rota; without a rota in UTC."""
    return ZoneInfo(alerts.oncall.zone) if alerts is not None and alerts.oncall is not None else UTC


def notes_of(*meant: Meant | None) -> str:
    """What is to be said of how they were read, each thing once; empty where nothing was assumed."""
    return " ".join(dict.fromkeys(note for one in meant if one is not None for note in one.notes))


def moment_of(typed: str, now: datetime, *, zone: tzinfo) -> Meant | None:
    """The moment that was meant: so long before `now`, or a date (its beginning) or time; None for nothing typed.

    Raises:
        Refused: it is neither, or the zone's clocks leave it out.
    """
    text = typed.strip().lower()
    if not text:
        return None
    try:
        if found := _AGO.match(text):
            return Meant(now - timedelta(**{_UNITS[found.group(2)]: int(found.group(1))}))
        return _dated(text, zone)
    except (ValueError, OverflowError):
        raise Refused(
            f"“{typed[:40]}” is no point in time.",
            hint="Write an age (90min, 24h, 7d) or a date (2026-08-01, 2026-08-01 12:30), which is read in "
            f"{zone} unless an offset stands behind it (2026-08-01 18:00Z).",
        ) from None


def length_of(typed: str) -> timedelta:
    """The length that was meant: `90m`, `2h`, `1d12h`, `1 w`.

    Raises:
        Refused: it is none.
    """
    found = _LENGTH.match(typed.strip().lower())
    if found is None:
        raise Refused(f"“{typed[:40]}” is no length of time.", hint="Write one like 90m, 2h, 1d or 1d12h.")
    return _sum(found.group(1))


def end_of(
    typed: str, now: datetime, *, zone: tzinfo, begins: datetime | None = None,
    shortest: timedelta = SHORTEST, longest: timedelta = LONGEST,
) -> Meant:  # fmt: skip
    """When something ends that begins at `begins`, or now: so long after it, or at a moment after it.

    A time of day without a date is the next one. `until` may be left out.

    Raises:
        Refused: it is no such moment, the zone's clocks leave it out, it has passed, or is nearer than `shortest` or
            farther than `longest`.
    """
    begin = now if begins is None else begins
    meant, hint = _ahead(typed, begin, zone, today=now), _hint(zone)
    if meant.at <= now:
        raise Refused(f"“{typed[:40]}” has passed already: it is {_shown(now, zone)} now.", hint=hint)
    if meant.at <= begin:
        raise Refused(f"“{typed[:40]}” is before it begins, at {_shown(begin, zone)}.", hint=hint)
    if meant.at - begin < shortest:
        raise Refused(f"“{typed[:40]}” is too short: {_words(shortest)} at least.", hint=hint)
    if meant.at - begin > longest:
        raise Refused(f"“{typed[:40]}” is too long: {_words(longest)} at most.", hint=hint)
    return meant


def start_of(typed: str, now: datetime, *, zone: tzinfo, latest: timedelta = LONGEST) -> Meant:
    """When something begins: at once for nothing typed or `now`, else as `end_of` reads it.

    Raises:
        Refused: it is no such moment, the zone's clocks leave it out, it has passed, or is farther than `latest`.
    """
    if typed.strip().lower() in ("", "now"):
        return Meant(now)
    return end_of(typed, now, zone=zone, shortest=timedelta(0), longest=latest)


def _ahead(typed: str, begin: datetime, zone: tzinfo, *, today: datetime) -> Meant:
    text = re.sub(r"^(?:until|till|to|at|from)\s+", "", typed.strip().lower())
    try:
        if found := _LENGTH.match(text):
            return Meant(begin + _sum(found.group(1)))
        if clock := _CLOCK.match(text):
            return _next(clock, begin, zone, today=today)
        return _dated(text, zone, after=begin)
    except (ValueError, OverflowError):
        raise Refused(f"“{typed[:40]}” is neither a length nor a point in time.", hint=_hint(zone)) from None


def _next(clock: re.Match[str], begin: datetime, zone: tzinfo, *, today: datetime) -> Meant:
    """The next moment of that time of day after `begin`, on that day if one is named: today is when it was typed."""
    day, hour, minute, offset = clock.group(1), int(clock.group(2)), clock.group(3), clock.group(4)
    if day is None and minute is None:
        raise ValueError("a bare number says no unit")
    where = _offset(offset) if offset else zone
    named = day in ("today", "tomorrow")
    on = (today if named else begin).astimezone(where).date()
    at = datetime.combine(on, time(hour, int(minute or 0)))
    if day == "tomorrow":
        at += timedelta(days=1)
    elif day in _WEEKDAYS:
        at += timedelta(days=(_WEEKDAYS.index(day) - at.weekday()) % 7)
    if not named and _has_passed(at, where, begin):
        at += timedelta(days=7 if day in _WEEKDAYS else 1)
    meant = _placed(at, where, after=begin)
    return Meant(meant.at) if offset else meant


def _has_passed(local: datetime, zone: tzinfo, begin: datetime) -> bool:
    """Whether the zone's clocks have shown that time for good, or have gone over it."""
    first, second = _both(local, zone)
    return begin.astimezone(zone).replace(tzinfo=None) >= local if first > second else second <= begin


def _dated(text: str, zone: tzinfo, *, after: datetime | None = None) -> Meant:
    """A date, which is its beginning, or a date with a time; an offset may stand behind either.

    Raises:
        ValueError: it is neither.
    """
    offset = _OFFSET.search(text)
    body = text[: offset.start()] if offset else text
    at = datetime.fromisoformat(body.upper())
    if offset and at.tzinfo is not None:
        raise ValueError("two offsets")
    if offset:
        at = at.replace(tzinfo=_offset(offset.group(1)))
    if at.tzinfo is not None:
        return Meant(at.astimezone(UTC))
    if not _is_date(body):
        return _placed(at, zone, after=after)
    return Meant(_both(at, zone)[0], (_assumed(zone),))


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


def _placed(local: datetime, zone: tzinfo, *, after: datetime | None = None) -> Meant:
    """What the zone's clocks showed as `local`. What they show twice is the first one, unless that is not `after`.

    Raises:
        Refused: they never show it.
    """
    first, second = _both(local, zone)
    if first > second:
        raise Refused(
            f"{local:%H:%M} on {local:%Y-%m-%d} does not exist in {zone}: the clocks go forward over it.",
            hint="Write a time before or after that, or one with Z or +02:00 behind it.",
        )
    if first == second:
        return Meant(first, (_assumed(zone),))
    twice = f"{local:%H:%M} comes twice on {local:%Y-%m-%d}, when the clocks go back:"
    if after is not None and first <= after:
        return Meant(second, (_assumed(zone), f"{twice} the second was taken, as the first has passed."))
    return Meant(first, (_assumed(zone), f"{twice} the first was taken."))


def _both(local: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """The moment by the offset that the zone has before it changes its clocks there, and by the one after it: equal but
    in the hour that comes twice (rising) and in the one that is left out (falling). SOURCE: PEP 495.
    """
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def _offset(text: str) -> tzinfo:
    found = UTC if text in ("utc", "z") else datetime.strptime(text.replace(":", ""), "%z").tzinfo
    if found is None:
        raise ValueError(f"no offset: {text!r}")
    return found


def _assumed(zone: tzinfo) -> str:
    return f"Read in {zone}; Z or +02:00 behind it says another."


def _hint(zone: tzinfo) -> str:
    return (
        "Write a length (90m, 2h, 1d12h) or an end (until 18:00, until fri 9:00, until 2026-08-01 12:30); "
        f"times are read in {zone}."
    )


def _shown(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} in {zone}"


def _sum(text: str) -> timedelta:
    try:
        return sum((timedelta(**{_UNITS[unit]: int(many)}) for many, unit in _PART.findall(text)), timedelta())
    except OverflowError:
        raise Refused(
            f"“{text[:40]}” is longer than anything here lasts.", hint="Write one like 90m, 2h or 1d12h."
        ) from None


def _words(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 1440} d" if minutes % 1440 == 0 else f"{minutes // 60} h"

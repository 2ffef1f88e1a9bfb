"""From the body of a webhook to a payload. Pure.

Alertmanager's webhook, version 4 (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config), as its
releases 0.25 to 0.34 really write it: an alert that fires ends in the year 1, fractions of a second have up to nine
digits, texts are raw. Long bodies are read alert by alert, so that no single call keeps other threads waiting.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bot.alerts.model import Alert, Labels, Payload, State
from bot.errors import Refused

VERSION = "4"
LONG_CHARS = 2**16
"""A longer body is read in steps."""
FINGERPRINT_MAX = 64
COUNT_MAX = 2**31 - 1

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_FRACTION = re.compile(r"\.(\d{1,6})\d*")
_ODD = re.compile(r"[\x00\ud800-\udfff]")
_FNV_OFFSET, _FNV_PRIME, _SEPARATOR = 14695981039346656037, 1099511628211, b"\xff"


class Malformed(Refused):
    """The body is not a webhook of Alertmanager's. `reason` is one of a few words: json, shape, version, time, key."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence, rule=reason)
        self.reason = reason


def parse(body: bytes) -> Payload:
    """Read the body of a webhook.

    Raises:
        Malformed: it is not one; nothing of it may be used.
    """
    document = _document(body)
    if not isinstance(document, dict):
        raise Malformed("The body is JSON, but no object.", "shape")
    version = document.get("version", VERSION)
    if version != VERSION:
        raise Malformed(
            f"The body says version {str(version)[:20]!r}; this program reads version {VERSION!r}.", "version"
        )
    group_key = document.get("groupKey")
    if not isinstance(group_key, str) or not group_key:
        raise Malformed("The body has no groupKey, so nobody can tell which group it is about.", "key")
    rows = document.get("alerts")
    if not isinstance(rows, list):
        raise Malformed("The body has no list of alerts.", "shape")
    try:
        return Payload(
            receiver=_cleaned(str(document.get("receiver") or "")),
            status=State(str(document.get("status"))),
            group_key=_cleaned(group_key),
            truncated=_count(document.get("truncatedAlerts")),
            group_labels=_texts(document.get("groupLabels")),
            common_labels=_texts(document.get("commonLabels")),
            common_annotations=_texts(document.get("commonAnnotations")),
            external_url=_cleaned(str(document.get("externalURL") or "")),
            alerts=tuple(row if isinstance(row, Alert) else _alert(row) for row in rows),
        )
    except (TypeError, ValueError) as error:
        raise Malformed(f"The body is not what Alertmanager writes: {str(error)[:200]}.", "shape") from None


def fingerprint_of(labels: Labels) -> str:
    """Alertmanager's fingerprint of these labels: FNV-1a over sorted names and values, each ended by 0xff.

    Source: `labelSetToFingerprint` in github.com/prometheus/common/model, signature.go.
    """
    value = _FNV_OFFSET
    for name in sorted(labels):
        for byte in name.encode() + _SEPARATOR + labels[name].encode() + _SEPARATOR:
            value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def common(maps: Iterable[Labels]) -> dict[str, str]:
    """What all of them share; of none, nothing."""
    found = iter(maps)
    shared = dict(next(found, {}))
    for each in found:
        if not shared:
            break
        for name in [name for name, value in shared.items() if each.get(name) != value]:
            del shared[name]
    return shared


def moment(text: object) -> datetime | None:
    """The time that Go wrote; None for its zero time, and for nothing at all.

    Raises:
        ValueError: it is no time, or one without a zone.
    """
    if not text:
        return None
    if not isinstance(text, str):
        raise ValueError(f"{str(text)[:40]!r} is no time")
    if text.startswith("0001-"):
        return None
    try:
        value = datetime.fromisoformat(_FRACTION.sub(lambda found: f".{found[1]:0<6}", text))
        if value.tzinfo is None:
            raise ValueError
        return value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is no time with a zone") from None


def _document(body: bytes) -> Any:
    try:
        text = body.decode()
        return json.loads(text) if len(text) <= LONG_CHARS else dict(_members(text))
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8.", "json") from None
    except RecursionError:
        raise Malformed("The body is nested too deeply.", "json") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"The body is not JSON: {error.msg} at character {error.pos}.", "json") from None


def _members(text: str) -> Iterator[tuple[str, Any]]:
    """The members of the object that this text is, its alerts read already."""

    def member(at: int) -> tuple[tuple[str, Any], int]:
        key, at = _DECODER.raw_decode(text, at)
        if not isinstance(key, str):
            raise json.JSONDecodeError("Expecting property name", text, at)
        at = _expect(text, at, ":")
        if key == "alerts" and text[at : at + 1] == "[":
            alerts: list[Alert] = []
            at = _each(text, at, "[", "]", partial(_DECODER.raw_decode, text), lambda row: alerts.append(_alert(row)))
            return (key, alerts), at
        value, at = _DECODER.raw_decode(text, at)
        return (key, value), at

    members: list[tuple[str, Any]] = []
    at = _each(text, _SPACE.match(text).end(), "{", "}", member, members.append)  # type: ignore[union-attr]
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    yield from members


def _each(
    text: str,
    at: int,
    opening: str,
    closing: str,
    read: Callable[[int], tuple[Any, int]],
    take: Callable[[Any], None],
) -> int:
    """Hand over each item between the brackets at `at`; where the text goes on after them."""
    at = _expect(text, at, opening)
    if text[at : at + 1] == closing:
        return _skip(text, at + 1)
    while True:
        item, at = read(at)
        take(item)
        at = _skip(text, at)
        if text[at : at + 1] == closing:
            return _skip(text, at + 1)
        at = _expect(text, at, ",")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, mark: str) -> int:
    """Where the text goes on after this mark, spaces around it left out."""
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, at)
    return _skip(text, at + 1)


def _alert(row: Any) -> Alert:
    if not isinstance(row, dict):
        raise Malformed("An alert is no object.", "shape")
    try:
        labels = _texts(row.get("labels"))
        starts_at, ends_at = moment(row.get("startsAt")), moment(row.get("endsAt"))
        state = State(str(row.get("status")))
        annotations = _texts(row.get("annotations"))
    except ValueError as error:
        raise Malformed(f"An alert is not what Alertmanager writes: {str(error)[:200]}.", "shape") from None
    if starts_at is None:
        raise Malformed("An alert has no start.", "time")
    given = row.get("fingerprint")
    known = isinstance(given, str) and 0 < len(given) <= FINGERPRINT_MAX
    return Alert(
        fingerprint=_cleaned(str(given)) if known else fingerprint_of(labels),
        labels=labels,
        annotations=annotations,
        starts_at=starts_at,
        # An end before the start says only that it has ended: whoever applies it knows when it was told.
        ends_at=None if state is State.FIRING else max(ends_at or starts_at, starts_at),
        generator_url=_cleaned(str(row.get("generatorURL") or "")),
    )


def _count(value: Any) -> int:
    """A number of alerts; nothing at all counts as none.

    Raises:
        ValueError: it is no number that could be one.
    """
    try:
        return min(max(0, int(value or 0)), COUNT_MAX)
    except OverflowError:
        raise ValueError(f"{str(value)[:40]!r} is no number of alerts") from None


def _texts(value: Any) -> dict[str, str]:
    """Labels or annotations; nothing at all counts as none.

    Raises:
        ValueError: something else stands there.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("labels or annotations are no object")
    for text in value.values():
        if not isinstance(text, str):
            raise ValueError("a label or annotation is no text")
    return {_cleaned(name): _cleaned(text) for name, text in value.items()}


def _cleaned(text: str) -> str:
    """Free of what no database takes: NUL, and halves of a surrogate pair."""
    return text if text.isascii() and "\x00" not in text else _ODD.sub("\ufffd", text)

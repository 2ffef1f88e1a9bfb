"""The audit and figures as files: CSV for spreadsheets, JSON lines for programs. Pure text: the doors send it.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula (OWASP, "CSV Injection", 2026), and the
record holds foreign text: such cells get an apostrophe in front. JSON lines are exact.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.ops.model import Event
from bot.services.plots import Curve

COLUMNS = ("id", "at", "name", "actor", "operation", "environment", "service", "count", "text", "data")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(events: Iterable[Event]) -> str:
    """One line an event below a heading; `at` is ISO 8601 in UTC, `data` is JSON."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for event in events:
        row = _row(event)
        row["data"] = json.dumps(row["data"], sort_keys=True, ensure_ascii=False)
        writer.writerow(_cell(row[name]) for name in COLUMNS)
    return out.getvalue()


def to_jsonl(events: Iterable[Event]) -> str:
    """One JSON object a line, with the columns as keys; ASCII, since many readers end a line at U+2028 too."""
    return "".join(json.dumps(_row(event)) + "\n" for event in events)


def curves_csv(curves: Sequence[Curve]) -> str:
    """Figures over time: a line a moment, a column a series; what is missing is empty, never 0. Times are in UTC."""
    values: dict[float, dict[int, float]] = {}
    for number, curve in enumerate(curves):
        for at, value in curve.points:
            values.setdefault(at, {})[number] = value
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["time", *(_cell(curve.name or "value") for curve in curves)])
    for at in sorted(values):
        row = values[at]
        moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        writer.writerow([moment, *(repr(row[n]) if n in row else "" for n in range(len(curves)))])
    return out.getvalue()


def _row(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": event.at.isoformat(),
        "name": event.name,
        "actor": event.actor,
        "operation": event.operation_id,
        "environment": event.environment,
        "service": event.service,
        "count": event.count,
        "text": event.text,
        "data": dict(event.data),
    }


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text

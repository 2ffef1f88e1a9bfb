"""The audit as a file: CSV for spreadsheets and JSON lines for programs. Pure text: what becomes of it is the doors'.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula (OWASP, "CSV Injection", 2026), and the
record holds foreign text: such cells get an apostrophe in front. JSON lines are exact.
"""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from bot.ops.model import Event

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

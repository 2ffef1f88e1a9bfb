"""The audit as a file, how to come by what it leaves out, and points in time as people type them."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.errors import Refused
from bot.ops.model import Event
from bot.services.export import COLUMNS, to_csv, to_jsonl
from bot.services.spans import moment_of
from bot.ui.pages import older_text

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
SAID = '=HYPERLINK("http://evil"), said\nhe'
REFUSED = Event(7, 184, "vote.refused", "dev", SAID, {"rule": "x", "n": 1}, 3, NOW, "prod", "app")


def test_every_column_is_in_the_file_and_commas_quotes_and_line_breaks_survive() -> None:
    [row] = csv.DictReader(io.StringIO(to_csv([REFUSED])))
    assert tuple(row) == COLUMNS
    assert row["text"] == "'" + REFUSED.text
    assert (row["id"], row["operation"], row["count"], row["environment"]) == ("7", "184", "3", "prod")
    assert row["at"] == "2026-08-01T12:00:00+00:00"
    assert json.loads(row["data"]) == {"rule": "x", "n": 1}


@pytest.mark.parametrize("first", list("=+-@\t\r"))
def test_no_cell_can_be_taken_for_a_formula(first: str) -> None:
    event = Event(1, None, "door.refused", first + "cmd", first + "cmd", {}, 1, NOW)
    [row] = csv.DictReader(io.StringIO(to_csv([event]), newline=""))
    assert row["actor"].startswith("'") and row["text"].startswith("'")
    assert row["operation"] == ""


def test_json_lines_are_exact() -> None:
    refused = replace(REFUSED, text=SAID + "\u2028\u0085 she said\u2029")
    [line] = to_jsonl([refused]).splitlines()
    assert json.loads(line)["text"] == refused.text
    assert set(json.loads(line)) == set(COLUMNS)


@pytest.mark.parametrize("microsecond", [0, 1, 500_000, 999_999])
def test_what_happened_in_the_second_of_the_oldest_line_is_in_the_next_file(microsecond: int) -> None:
    oldest = NOW.replace(microsecond=microsecond)
    typed = older_text(oldest).partition("until:")[2].removesuffix(".")
    until = moment_of(typed, NOW, zone=UTC)
    assert until is not None and oldest < until.at <= oldest + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("90 min ago", NOW - timedelta(minutes=90)),
        ("7D", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-07-01", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01 12:30", datetime(2026, 7, 1, 12, 30, tzinfo=UTC)),
        ("2026-07-01T12:30+02:00", datetime(2026, 7, 1, 10, 30, tzinfo=UTC)),
        ("  ", None),
    ],
)
def test_a_point_in_time_is_an_age_or_a_date(typed: str, meant: datetime | None) -> None:
    found = moment_of(typed, NOW, zone=UTC)
    assert (found.at if found else None) == meant


@pytest.mark.parametrize("typed", ["yesterday", "7", "-1h", "2026-13-01", "99999999d", "1e9h", "9" * 500 + "h"])
def test_anything_else_is_refused_with_what_to_write(typed: str) -> None:
    with pytest.raises(Refused) as refused:
        moment_of(typed, NOW, zone=UTC)
    assert "24h" in refused.value.hint


def test_an_age_beyond_all_calendars_is_refused() -> None:
    with pytest.raises(Refused):
        moment_of("99999w", datetime(100, 1, 1, tzinfo=UTC), zone=UTC)

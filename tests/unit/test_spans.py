"""Lengths and ends as people type them: what is understood, and how the rest is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.errors import Refused
from bot.services.spans import end_of, length_of, moment_of, start_of

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
"""A Monday."""


@pytest.mark.parametrize(("typed", "minutes"), [
    ("90m", 90), ("90min", 90), ("2h", 120), (" 2 H ", 120), ("1d", 1440), ("1d12h", 2160), ("1w", 10080),
    ("1h 30m", 90), ("for 4h", 240),
])  # fmt: skip
def test_a_length_is_a_number_and_a_unit_or_several(typed: str, minutes: int) -> None:
    assert length_of(typed) == timedelta(minutes=minutes)


@pytest.mark.parametrize("typed", ["", "h", "2", "2x", "-2h", "1.5h", "2h!", "two hours", "99999w99999w99999w" * 4000])
def test_what_is_no_length_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(Refused) as refusal:
        length_of(typed)
    assert "90m" in refusal.value.hint


@pytest.mark.parametrize(("typed", "end"), [
    ("2h", "2026-11-23 22:00"),
    ("until 2h", "2026-11-23 22:00"),
    ("until 21:30", "2026-11-23 21:30"),
    ("21:30 UTC", "2026-11-23 21:30"),
    ("until 18:00", "2026-11-24 18:00"),
    ("until tomorrow 8:00", "2026-11-24 08:00"),
    ("until mon 9", "2026-11-30 09:00"),
    ("until monday 21:00", "2026-11-23 21:00"),
    ("until fri 9:00", "2026-11-27 09:00"),
    ("until 2026-11-24 08:15", "2026-11-24 08:15"),
    ("2026-11-24T08:15:00+02:00", "2026-11-24 06:15"),
    ("until 2026-11-25", "2026-11-25 00:00"),
])  # fmt: skip
def test_an_end_is_a_length_from_now_or_the_next_such_moment(typed: str, end: str) -> None:
    assert end_of(typed, NOW) == datetime.fromisoformat(end).replace(tzinfo=UTC)


@pytest.mark.parametrize(("typed", "says"), [
    ("until today 18:00", "has passed already"),
    ("until 2026-11-22", "has passed already"),
    ("until 25:00", "neither a length nor a point"),
    ("18", "neither a length nor a point"),
    ("until noon", "neither a length nor a point"),
    ("0m", "has passed already"),
    ("31d", "too long: 30 d at most"),
    ("until 2027-11-22", "too long"),
    ("until 9999-12-31", "too long"),
    ("until 20:00:30", "neither a length nor a point"),
])  # fmt: skip
def test_an_end_that_makes_no_sense_is_refused_with_the_reason(typed: str, says: str) -> None:
    with pytest.raises(Refused) as refusal:
        end_of(typed, NOW)
    assert says in str(refusal.value)
    assert "until 18:00" in refusal.value.hint


def test_what_begins_at_once_needs_no_word_for_it() -> None:
    assert start_of("", NOW) == start_of("now", NOW) == NOW
    assert start_of("at 22:00", NOW) == NOW + timedelta(hours=2)
    assert start_of("in 30m", NOW) == NOW + timedelta(minutes=30)
    with pytest.raises(Refused):
        start_of("yesterday", NOW)


def test_a_look_back_still_reads_ages_and_dates() -> None:
    assert moment_of("", NOW) is None
    assert moment_of("24h", NOW) == NOW - timedelta(days=1)
    assert moment_of("2026-11-01 12:30", NOW) == datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
    with pytest.raises(Refused):
        moment_of("until 18:00", NOW)

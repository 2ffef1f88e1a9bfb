"""Lengths and ends as people type them: what is understood, and how the rest is refused."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from bot.alert_settings import AlertSettings
from bot.errors import Refused
from bot.services.spans import Meant, end_of, length_of, moment_of, notes_of, start_of, zone_of

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
    assert end_of(typed, NOW, zone=UTC).at == datetime.fromisoformat(end).replace(tzinfo=UTC)


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
        end_of(typed, NOW, zone=UTC)
    assert says in str(refusal.value)
    assert "until 18:00" in refusal.value.hint


def test_what_begins_at_once_needs_no_word_for_it() -> None:
    assert start_of("", NOW, zone=UTC) == start_of("now", NOW, zone=UTC) == Meant(NOW)
    assert start_of("at 22:00", NOW, zone=UTC).at == NOW + timedelta(hours=2)
    assert start_of("in 30m", NOW, zone=UTC).at == NOW + timedelta(minutes=30)
    with pytest.raises(Refused):
        start_of("yesterday", NOW, zone=UTC)


def test_a_look_back_still_reads_ages_and_dates() -> None:
    assert moment_of("", NOW, zone=UTC) is None
    assert moment_of("24h", NOW, zone=UTC) == Meant(NOW - timedelta(days=1))
    assert back("2026-11-01 12:30", UTC) == datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
    with pytest.raises(Refused):
        moment_of("until 18:00", NOW, zone=UTC)


@pytest.mark.parametrize("day", ["2026-11-01", "2026-11-01 12:30", "2026-11-01T12:30:15"])
@pytest.mark.parametrize(("behind", "offset"), [
    ("Z", "+00:00"), (" UTC", "+00:00"), ("+02:00", "+02:00"), (" +02:00", "+02:00"), ("-0500", "-05:00"),
])  # fmt: skip
def test_an_offset_behind_what_was_read_in_the_zone_says_another(day: str, behind: str, offset: str) -> None:
    assert "Z or +02:00 behind it says another" in notes_of(moment_of(day, NOW, zone=BERLIN))
    local = datetime.fromisoformat(day).isoformat()
    assert moment_of(day + behind, NOW, zone=BERLIN) == Meant(at(local + offset))


@pytest.mark.parametrize("typed", ["18:00", "18:00Z", "18:00+02:00", "fri 9:00"])
def test_a_look_back_takes_no_time_of_day_alone_and_shows_one_with_a_date(typed: str) -> None:
    with pytest.raises(Refused, match="no point in time") as refusal:
        moment_of(typed, NOW, zone=BERLIN)
    assert "(2026-08-01 18:00Z)" in refusal.value.hint
    assert back("2026-08-01 18:00Z", BERLIN) == at("2026-08-01T18:00Z")


@pytest.mark.parametrize(
    "typed", ["2026-11-01 12:30+02:00 Z", "2026-11-01 12:30Z+02:00", "2026-11-01+99:00", "2026+0100"]
)
def test_offsets_that_contradict_each_other_or_belong_to_no_date_are_refused(typed: str) -> None:
    with pytest.raises(Refused):
        moment_of(typed, NOW, zone=BERLIN)


# ---- zones ---------------------------------------------------------------------------------------------------------

BERLIN, NEW_YORK, CAIRO = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Africa/Cairo")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def back(typed: str, zone: tzinfo) -> datetime | None:
    meant = moment_of(typed, NOW, zone=zone)
    return meant.at if meant else None


@pytest.mark.parametrize(("typed", "end"), [
    ("until 22:00", "2026-11-23T22:00+01:00"),
    ("until 20:30", "2026-11-24T20:30+01:00"),
    ("until today 22:00", "2026-11-23T22:00+01:00"),
    ("until tomorrow 8:00", "2026-11-24T08:00+01:00"),
    ("until mon 9", "2026-11-30T09:00+01:00"),
    ("until monday 22:00", "2026-11-23T22:00+01:00"),
    ("until fri 9:00", "2026-11-27T09:00+01:00"),
    ("until 2026-11-24 08:15", "2026-11-24T08:15+01:00"),
    ("until 2026-11-24T08:15:30", "2026-11-24T08:15:30+01:00"),
    ("until 2026-11-25", "2026-11-25T00:00+01:00"),
])  # fmt: skip
def test_a_time_without_an_offset_is_one_of_the_zone_and_that_is_said(typed: str, end: str) -> None:
    meant = end_of(typed, NOW, zone=BERLIN)
    assert meant.at == at(end)
    assert notes_of(meant).startswith("Read in Europe/Berlin;")
    assert notes_of(end_of(typed, NOW - timedelta(hours=6), zone=UTC)).startswith("Read in UTC;")


@pytest.mark.parametrize(("typed", "end"), [
    ("2h", "2026-11-23T22:00Z"),
    ("until 22:00 UTC", "2026-11-23T22:00Z"),
    ("until 22:00Z", "2026-11-23T22:00Z"),
    ("until 22:00+02:00", "2026-11-24T22:00+02:00"),
    ("until 23:00 -0500", "2026-11-23T23:00-05:00"),
    ("until tomorrow 8:00 utc", "2026-11-24T08:00Z"),
    ("until fri 9 utc", "2026-11-27T09:00Z"),
    ("until 2026-11-24 08:15 UTC", "2026-11-24T08:15Z"),
    ("2026-11-24T08:15:00Z", "2026-11-24T08:15Z"),
    ("2026-11-24T08:15:00+02:00", "2026-11-24T08:15+02:00"),
])  # fmt: skip
def test_a_length_and_a_time_with_an_offset_are_the_same_in_every_zone(typed: str, end: str) -> None:
    for zone in (UTC, BERLIN, NEW_YORK):
        assert end_of(typed, NOW, zone=zone) == Meant(at(end))


def test_today_and_tomorrow_are_the_days_of_the_zone() -> None:
    late = at("2026-11-23T23:30Z")  # in Berlin it is the 24th already, in New York still the 23rd
    assert end_of("until tomorrow 8:00", late, zone=BERLIN).at == at("2026-11-25T08:00+01:00")
    assert end_of("until tue 8:00", late, zone=BERLIN).at == at("2026-11-24T08:00+01:00")
    assert end_of("until tomorrow 8:00", late, zone=NEW_YORK).at == at("2026-11-24T08:00-05:00")
    with pytest.raises(Refused, match=r"it is 2026-11-24 00:30 in Europe/Berlin now"):
        end_of("until today 0:15", late, zone=BERLIN)


@pytest.mark.parametrize(("typed", "end"), [
    ("90m", "2026-11-25T23:30+01:00"),
    ("until 23:30", "2026-11-25T23:30+01:00"),
    ("until 6:00", "2026-11-26T06:00+01:00"),
    ("until wed 23:30", "2026-11-25T23:30+01:00"),
    ("until mon 9:00", "2026-11-30T09:00+01:00"),
])  # fmt: skip
def test_the_end_of_what_begins_later_is_counted_from_its_beginning(typed: str, end: str) -> None:
    wednesday = at("2026-11-25T22:00+01:00")
    assert end_of(typed, NOW, zone=BERLIN, begins=wednesday).at == at(end)


def test_tomorrow_is_seen_from_when_it_was_typed_also_for_an_end() -> None:
    begin = start_of("tomorrow 22:00", NOW, zone=BERLIN)
    assert end_of("until tomorrow 23:30", NOW, zone=BERLIN, begins=begin.at).at == at("2026-11-24T23:30+01:00")
    with pytest.raises(Refused, match="is before it begins, at 2026-11-24 22:00 in Europe/Berlin"):
        end_of("until today 23:30", NOW, zone=BERLIN, begins=begin.at)
    with pytest.raises(Refused, match="too long: 30 d at most"):
        end_of("until 2026-12-25", NOW, zone=BERLIN, begins=begin.at)


def test_a_time_keeps_its_clock_over_a_change_of_the_clocks() -> None:
    friday = at("2026-03-27T12:00Z")
    assert end_of("until mon 9:00", friday, zone=BERLIN).at == at("2026-03-30T09:00+02:00")
    assert end_of("72h", friday, zone=BERLIN).at == at("2026-03-30T12:00Z")


@pytest.mark.parametrize("typed", ["until 2:30", "until 2026-03-29 02:30", "until sun 2:30", "until tomorrow 2:30"])
def test_a_time_that_the_clocks_leave_out_is_refused_with_the_reason(typed: str) -> None:
    evening = at("2026-03-28T20:00+01:00")
    with pytest.raises(Refused) as refusal:
        end_of(typed, evening, zone=BERLIN)
    assert str(refusal.value) == "02:30 on 2026-03-29 does not exist in Europe/Berlin: the clocks go forward over it."
    assert "Z or +02:00 behind it" in refusal.value.hint
    with pytest.raises(Refused, match="does not exist"):
        moment_of("2026-03-29 02:30", at("2026-04-01T00:00Z"), zone=BERLIN)


def test_the_edges_of_what_the_clocks_leave_out_exist() -> None:
    evening = at("2026-03-28T20:00+01:00")
    assert end_of("until 1:59", evening, zone=BERLIN).at == at("2026-03-29T01:59+01:00")
    assert end_of("until 3:00", evening, zone=BERLIN).at == at("2026-03-29T03:00+02:00")
    assert end_of("until 2:30 UTC", evening, zone=BERLIN).at == at("2026-03-29T02:30Z")


def test_after_the_clocks_went_forward_the_next_day_has_that_time_again() -> None:
    assert end_of("until 2:30", at("2026-03-29T12:00+02:00"), zone=BERLIN).at == at("2026-03-30T02:30+02:00")
    after = at("2026-03-29T03:15+02:00")
    assert end_of("until 2:30", after, zone=BERLIN).at == at("2026-03-30T02:30+02:00"), "today's has been gone over"
    assert end_of("until sun 2:30", after, zone=BERLIN).at == at("2026-04-05T02:30+02:00")
    with pytest.raises(Refused, match="does not exist"):
        end_of("until 2:30", at("2026-03-29T01:45+01:00"), zone=BERLIN)


@pytest.mark.parametrize("typed", ["until 2:30", "until 2026-10-25 02:30", "until sun 2:30", "until tomorrow 2:30"])
def test_of_a_time_that_comes_twice_the_first_is_taken_and_that_is_said(typed: str) -> None:
    meant = end_of(typed, at("2026-10-24T20:00+02:00"), zone=BERLIN)
    assert meant.at == at("2026-10-25T02:30+02:00")
    assert "02:30 comes twice on 2026-10-25, when the clocks go back: the first was taken." in notes_of(meant)
    looked_back = moment_of("2026-10-25 02:30", at("2026-11-01T00:00Z"), zone=BERLIN)
    assert looked_back is not None and looked_back == meant


def test_between_the_two_the_second_is_the_next_one() -> None:
    between = at("2026-10-25T02:10+01:00")
    meant = end_of("until 2:30", between, zone=BERLIN)
    assert meant.at == at("2026-10-25T02:30+01:00")
    assert "the second was taken, as the first has passed" in notes_of(meant)
    assert end_of("until 2026-10-25 02:30", between, zone=BERLIN) == meant
    assert end_of("until 2:05", between, zone=BERLIN).at == at("2026-10-26T02:05+01:00")


def test_a_day_whose_midnight_the_clocks_leave_out_begins_after_it() -> None:
    assert back("2026-04-24", CAIRO) == at("2026-04-24T01:00+03:00")


def test_what_was_assumed_for_two_times_is_said_once() -> None:
    begin = start_of("at 22:00", NOW, zone=BERLIN)
    end = end_of("until 23:00", NOW, zone=BERLIN, begins=begin.at)
    assert end.at - begin.at == timedelta(hours=1)
    assert notes_of(begin, None, end) == notes_of(begin)
    assert notes_of(start_of("now", NOW, zone=BERLIN), end_of("2h", NOW, zone=BERLIN)) == ""


def test_a_refusal_says_in_which_zone_times_are_read() -> None:
    with pytest.raises(Refused) as ahead:
        end_of("noon", NOW, zone=BERLIN)
    with pytest.raises(Refused) as behind:
        moment_of("noon", NOW, zone=BERLIN)
    assert "Europe/Berlin" in ahead.value.hint and "Europe/Berlin" in behind.value.hint


def test_the_zone_is_the_rotas_and_without_a_rota_utc() -> None:
    rota = {"rota": ["ada"], "starts_at": "2026-01-05T09:00:00+01:00", "zone": "Europe/Berlin"}
    assert zone_of(AlertSettings.model_validate({"oncall": rota})) == BERLIN
    assert zone_of(AlertSettings()) is zone_of(None) is UTC


def test_what_no_calendar_holds_is_refused_in_every_zone() -> None:
    for zone in (BERLIN, NEW_YORK):
        for typed in ("0001-01-01", "9999-12-31 23:59", "until 24:00", "until 18:00+99:00", "2026-02-30"):
            with pytest.raises(Refused):
                end_of(typed, NOW, zone=zone)

"""What the bodies of webhooks say, read as Alertmanager really writes them, and what is refused with a reason."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.alerts import payload
from bot.alerts.model import State
from bot.alerts.payload import Malformed, fingerprint_of, moment, parse
from tests.unit.inbox_room import BEGUN, ZERO, alert, body, later


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(body(alert())), **changes}).encode()


def of_alert(**changes: Any) -> bytes:
    return changed(alerts=[{**alert(), **changes}])


@pytest.fixture(params=[False, True], ids=["short", "long"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of reading: at once, and alert by alert as long bodies are."""
    if request.param:
        monkeypatch.setattr(payload, "LONG_CHARS", 0)


@pytest.mark.usefixtures("way")
def test_a_mixed_payload_is_read_with_its_states_and_times() -> None:
    ends_at = later(minutes=3)
    told = body(alert(), alert("i-0b7", ends_at=ends_at), truncated=4)
    for text in (told, json.dumps(json.loads(told), indent=1).encode() + b"\n", b" " + told):
        read = parse(text)
        assert (read.status, read.truncated, read.receiver) == (State.FIRING, 4, "quarterdeck")
        fires, ended = read.alerts
        assert (fires.firing, fires.ends_at, fires.starts_at) == (True, None, BEGUN)
        assert (ended.firing, ended.ends_at) == (False, ends_at)
        assert read.common_labels["alertname"] == fires.name == "HighCPUUsage"


def test_gos_times_are_read_with_any_number_of_digits_and_the_zero_time_is_none() -> None:
    at = datetime(2026, 11, 23, 3, 44, 50, tzinfo=UTC)
    for text, read in (
        ("2026-11-23T03:44:50Z", at),
        ("2026-11-23T03:44:50.7Z", at + timedelta(milliseconds=700)),
        ("2026-11-23T03:44:50.123456789Z", at + timedelta(microseconds=123456)),
        ("2026-11-23T05:44:50.5+02:00", at + timedelta(milliseconds=500)),
        (ZERO, None),
        ("", None),
        (None, None),
    ):
        assert moment(text) == read
    for wrong in ("yesterday", "2026-11-23T03:44:50", 17, "9999-12-31T23:59:59-14:00"):
        with pytest.raises(ValueError, match="is no time"):
            moment(wrong)


def test_the_end_of_a_resolved_alert_is_never_before_its_start() -> None:
    for ends_at in (ZERO, None, "2020-01-01T00:00:00Z"):
        (read,) = parse(of_alert(status="resolved", endsAt=ends_at)).alerts
        assert read.ends_at == read.starts_at and not read.firing


def test_the_fingerprint_is_alertmanagers_own() -> None:
    # As Alertmanager 0.25.0 computed it of these labels.
    labels = {"alertname": "Watchdog", "cluster": "lab", "severity": "none"}
    assert fingerprint_of(labels) == "e5c10d261947d5d9"
    assert fingerprint_of({}) == "cbf29ce484222325"
    for missing in ("", None, 5, "x" * 65):
        (read,) = parse(of_alert(fingerprint=missing)).alerts
        assert read.fingerprint == fingerprint_of(read.labels)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "json"),
        (b"\xff\xfe", "json"),
        (b"[", "json"),
        (b"{", "json"),
        (b'{"alerts"', "json"),
        (b'{"alerts":[', "json"),
        (body(alert())[:-1], "json"),
        (body(alert()) + b"}", "json"),
        (b"[" * 200_000, "json"),
        (b'{"a":' * 200_000, "json"),
        (changed(version="5"), "version"),
        (changed(groupKey=""), "key"),
        (changed(groupKey=["x"]), "key"),
        (changed(alerts=None), "shape"),
        (changed(alerts={}), "shape"),
        (changed(alerts=[1]), "shape"),
        (changed(status="burning"), "shape"),
        (changed(truncatedAlerts="many"), "shape"),
        (changed(commonLabels=[]), "shape"),
        (of_alert(status=""), "shape"),
        (of_alert(labels={"a": 1}), "shape"),
        (of_alert(startsAt="then"), "shape"),
        (of_alert(startsAt=ZERO), "time"),
        (of_alert(annotations="none"), "shape"),
    ],
)
def test_what_alertmanager_does_not_write_is_refused_with_a_reason(text: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(text)
    assert refused.value.reason == reason and str(refused.value).endswith(".")


def test_a_body_that_is_no_object_is_refused() -> None:
    for text in (b"[]", b"null", b'"{}"'):
        with pytest.raises(Malformed) as refused:
            parse(text)
        assert refused.value.reason == "shape"


@pytest.mark.usefixtures("way")
def test_text_that_no_database_takes_is_made_harmless_and_other_text_stays() -> None:
    odd = {"summary": "a\x00b\ud800c", "description": "@everyone \u202e `x` **y** \U0001f600"}
    (read,) = parse(of_alert(annotations=odd)).alerts
    assert read.annotations == {**odd, "summary": "a\ufffdb\ufffdc"}
    json.dumps(dict(read.annotations), ensure_ascii=False).encode()


def test_a_very_long_payload_is_read_in_steps_and_to_the_same() -> None:
    alerts = [alert(f"i-{number}", value="x" * 1000) for number in range(200)]
    told = body(*alerts)
    assert len(told) > payload.LONG_CHARS
    read = parse(told)
    assert [one.labels["instance"] for one in read.alerts] == [f"i-{number}" for number in range(200)]


@pytest.mark.parametrize("said", ["Infinity", "1e999", "-Infinity", "NaN"])
def test_a_count_that_is_no_number_of_alerts_is_refused(said: str) -> None:
    told = body(alert()).replace(b'"truncatedAlerts": 0', f'"truncatedAlerts": {said}'.encode())
    with pytest.raises(Malformed) as refused:
        parse(told)
    assert refused.value.reason == "shape"


def test_a_count_beyond_all_reason_is_kept_as_one_that_a_row_can_hold() -> None:
    told = body(alert()).replace(b'"truncatedAlerts": 0', b'"truncatedAlerts": 1' + b"0" * 30)
    assert parse(told).truncated == 2**31 - 1

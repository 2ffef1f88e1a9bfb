"""The sections about alerts and metrics: what they take, what they refuse, and that names are known."""

from pathlib import Path

import pytest

from bot.alert_settings import DEFAULT_ROUTE
from bot.errors import Misconfigured
from bot.settings import Settings, load, secret_values
from tests.unit.test_settings import GOOD, SECRETS

TOKEN = {"QUARTERDECK_ALERTMANAGER_TOKEN": "canary-of-alertmanager"}
PEOPLE = """
[[people]]
name = "ada"
discord_id = 623456789012345678
duties = ["sre"]
"""
ALERTS = """
[alerts]
channel = "ops"
sources = ["10.0.0.0/8", "::1/128"]
alertmanagers = ["http://127.0.0.1:9093"]

[[alerts.heartbeats]]
name = "Watchdog"
every_s = 90

[alerts.oncall]
rota = ["ada"]
starts_at = 2026-01-05T09:00:00+01:00
zone = "Europe/Berlin"

[[alerts.routes]]
name = "critical"
matchers = ['severity="critical"', 'job=~"node.*"']
channel = "ops"
role = "sre"
escalation = [{ after_s = 300, oncall = true }, { after_s = 900, person = "ada" }]
quiet_hours = { starts = 22:00:00, ends = "07:00", zone = "Europe/Berlin" }

[metrics]
url = "http://127.0.0.1:9090"

[metrics.panels.cpu]
title = "CPU"
query = "cpu{environment='$environment'}"
unit = "percent"
threshold = 80
"""


def loaded(tmp_path: Path, text: str = ALERTS, *, more: dict[str, str] | None = None) -> Settings:
    file = tmp_path / "quarterdeck.toml"
    file.write_text(GOOD + PEOPLE + text, encoding="utf-8")
    return load(file, SECRETS | (TOKEN if more is None else more))


def test_a_whole_section_is_read(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.alerts is not None and settings.metrics is not None
    assert [route.name for route in settings.alerts.all_routes] == ["critical", DEFAULT_ROUTE]
    assert settings.alerts.all_routes[-1].matchers == () and settings.alerts.all_routes[-1].channel == "ops"
    assert settings.metrics.panels["cpu"].threshold == 80
    assert "canary-of-alertmanager" in secret_values(settings, {})


def test_without_the_sections_neither_they_nor_their_secret_are_needed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "", more={})
    assert settings.alerts is None and settings.metrics is None
    assert "" not in secret_values(settings, {})


def test_the_token_is_needed_with_alerts_and_refused_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"QUARTERDECK_ALERTMANAGER_TOKEN is not set"):
        loaded(tmp_path, more={})
    file = tmp_path / "quarterdeck.toml"
    for rest in (ALERTS, ""):
        file.write_text('alertmanager_token = "hunter2"\n' + GOOD + PEOPLE + rest, encoding="utf-8")
        with pytest.raises(Misconfigured, match=r"take it out of the file"):
            load(file, SECRETS | TOKEN)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'channel = "ops"\nsources',
            'channel = "alarms"\nsources',
            r"alerts\.channel is 'alarms', which discord",
        ),
        ('channel = "ops"\nrole', 'channel = "alarms"\nrole', r"the channel of the route critical is 'alarms'"),
        ('role = "sre"', 'role = "boss"', r"the role of the route critical is 'boss', which discord\.roles"),
        ('rota = ["ada"]', 'rota = ["bob"]', r"alerts\.oncall\.rota is 'bob', who is not among the people"),
        ('person = "ada"', 'person = "bob"', r"escalation step of the route critical is 'bob'"),
        ("after_s = 900", "after_s = 300", r"the after_s of escalation steps must rise"),
        ("oncall = true", 'oncall = true, role = "sre"', r"exactly one of role, person and oncall"),
        ('role = "sre"', "", r"route critical says oncall = true, and names no role .* give the route"),
        ('ends = "07:00"', 'ends = "22:00"', r"quiet hours that start and end at the same time"),
        ('zone = "Europe/Berlin" }', 'zone = "Europe/Atlantis" }', r"'Europe/Atlantis' is no time zone"),
        ('severity="critical"', "severity is critical", r"'severity is critical' is no matcher"),
        ('name = "critical"', 'name = "default"', r"a route may not be named 'default'"),
        ("+01:00", "", r"alerts\.oncall\.starts_at: Input should have timezone info"),
        ("127.0.0.1:9093", "me:secret@127.0.0.1:9093", r"the address holds a user or password"),
        ('"10.0.0.0/8"', '"10.0.0.1/8"', r"alerts\.sources\.0"),
        ('unit = "percent"', 'unit = "bananas"', r"metrics\.panels\.cpu\.unit"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_place(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in ALERTS
    with pytest.raises(Misconfigured, match=sentence):
        loaded(tmp_path, ALERTS.replace(old, new, 1))


def test_an_escalation_to_who_is_on_call_needs_a_rota(tmp_path: Path) -> None:
    before, _, rest = ALERTS.partition("[alerts.oncall]")
    with pytest.raises(Misconfigured, match=r"there is no \[alerts\.oncall\]"):
        loaded(tmp_path, before + rest.partition("\n\n")[2])

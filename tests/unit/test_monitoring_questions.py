"""The questions of `init` about alerts and figures: what is asked, what is taken, and what the file then says."""

import io
import sys
import tomllib
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.alert_settings import AlertSettings, MetricsSettings
from bot.commissioning.desk import Choice, Desk
from bot.commissioning.draft import Draft, Person
from bot.commissioning.founding import next_steps
from bot.commissioning.monitoring import Monitoring
from bot.commissioning.monitoring_questions import Known, MonitoringQuestions
from bot.errors import Misconfigured
from bot.settings import parse
from tests.monitoring import stack
from tests.unit.test_settings import SECRETS

OPS, AUDIT, ALERTS, CRITICAL, SRE, DEV, OWNER, WATCH = range(100, 108)
CHANNELS = {"ops": OPS, "audit": AUDIT, "alerts": ALERTS, "alerts-critical": CRITICAL}
ROLES = {"sre": SRE, "dev": DEV, "owner": OWNER}
GUILD_CHANNELS = [Choice(name, number) for name, number in CHANNELS.items()]
GUILD_ROLES = [Choice("Site reliability", SRE), Choice("Developers", DEV), Choice("Watch", WATCH)]
TOKEN = {"QUARTERDECK_ALERTMANAGER_TOKEN": "canary"}
BOTH = {"prometheus": "http://127.0.0.1:9090", "alertmanager": ["http://127.0.0.1:9093"]}


def answers(
    *typed: str,
    channels: dict[str, int] = CHANNELS,
    roles: dict[str, int] = ROLES,
    guild_channels: Sequence[Choice[int]] = GUILD_CHANNELS,
    guild_roles: Sequence[Choice[int]] = GUILD_ROLES,
    monkeypatch: pytest.MonkeyPatch | None = None,
    **options: Any,
) -> Monitoring:
    """What comes of these options and, at a terminal, of these lines."""
    given = Namespace(**{"prometheus": None, "alertmanager": None, "alert_listener": None, "role": None, **options})
    desk = Desk(interactive=monkeypatch is not None)
    if monkeypatch is not None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
    found = MonitoringQuestions(given, desk, Known(channels, roles, guild_channels, guild_roles)).answers()
    if monkeypatch is not None:
        assert sys.stdin.read() == "", "not everything was asked"
    return found


def written(monitoring: Monitoring, *, channels: dict[str, int] = CHANNELS) -> dict[str, Any]:
    """The file, as a bot reads it: it has been taken by the settings."""
    draft = Draft(
        state_dir="/var/lib/quarterdeck", guild_id=1, application_id=2, channels={**channels, **monitoring.channels},
        roles={**ROLES, **monitoring.roles}, people=(Person("ada", 5, ("sre",)),), repository="a/b",
        default_branch="main", region="eu-central-1", account="123456789012", hosts={"dev": "i-0123456789abcdef0"},
        service="app", paths=("app",), image_repository="app", monitoring=monitoring,
    )  # fmt: skip
    parse(draft.text(), Path("quarterdeck.toml"), SECRETS | TOKEN)
    return tomllib.loads(draft.text())


def of_the_guide() -> dict[str, Any]:
    """What monitoring/README.md shows those who write the file by hand."""
    text = (stack.MONITORING / "README.md").read_text(encoding="utf-8")
    return tomllib.loads(text.split("```toml\n")[1].split("```")[0])


def test_what_is_written_is_what_the_guide_of_monitoring_shows() -> None:
    file, guide = written(answers(**BOTH)), of_the_guide()
    assert file["alerts"] == guide["alerts"]
    assert file["metrics"] == guide["metrics"]
    assert all(MetricsSettings(**file["metrics"]).figures.model_dump().values()), "a figure of /status has no query"


def test_without_a_terminal_nothing_said_is_no_alerts() -> None:
    assert answers() == Monitoring()
    file = written(answers())
    assert "alerts" not in file and "metrics" not in file


def test_at_a_terminal_one_enter_leaves_all_of_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers("", monkeypatch=monkeypatch) == Monitoring()


def test_at_a_terminal_enter_takes_what_monitoring_brings_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = answers("yes", "", "", "", "", monkeypatch=monkeypatch)
    assert found == answers(**BOTH)


def test_a_line_that_cannot_be_read_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answers(
        "yes", "ftp://figures", "http://ada:secret@figures", "10.0.0.5:9090", "am1:9093, am2:9093", "Watch", "9095",
        "[::1]:9195", monkeypatch=monkeypatch,
    )  # fmt: skip
    said = capsys.readouterr().out
    assert said.count("is no address such as") == 2 and "user or password" in said and "HOST:PORT" in said
    assert found.prometheus == "http://10.0.0.5:9090"
    assert found.alertmanagers == ("http://am1:9093", "http://am2:9093")
    assert found.webhook == "http://[::1]:9195/webhooks/alertmanager"
    assert "Others reach" not in said


def test_one_server_without_the_other_is_one_section_without_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = written(answers("yes", "", "-", monkeypatch=monkeypatch))
    assert "metrics" in figures and "alerts" not in figures
    alerts = written(answers("yes", "-", "", "", "", monkeypatch=monkeypatch))
    assert "alerts" in alerts and "metrics" not in alerts
    assert written(answers(alertmanager=["http://am:9093"]))["alerts"]["alertmanagers"] == ["http://am:9093"]


def test_a_role_that_the_policy_does_not_know_gets_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(answers("yes", "", "", "Watch", "", monkeypatch=monkeypatch))
    assert file["discord"]["roles"] == {**ROLES, "oncall": WATCH}
    assert AlertSettings(**file["alerts"]).routes[0].role == "oncall"
    assert file == written(answers(role=[f"oncall={WATCH}"], **BOTH))
    assert written(answers(role=[f"oncall={DEV}"], **BOTH))["alerts"]["routes"][0]["role"] == "dev"


TWIN = 999
TWINS = [Choice("sre", SRE), Choice("Developers", DEV), Choice("sre", TWIN)]
"""A guild in which two roles bear the name of those who approve."""


def called(monitoring: Monitoring) -> int:
    """The role that a critical alert calls, by its id."""
    return {**ROLES, **monitoring.roles}[monitoring.role]


@pytest.mark.parametrize("guild_roles", [TWINS, TWINS[::-1]])
def test_of_two_roles_of_one_name_the_chosen_one_is_called(
    guild_roles: list[Choice[int]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(answers(guild_roles=guild_roles, **BOTH)) == SRE
    assert called(answers("yes", "", "", "", "", guild_roles=guild_roles, monkeypatch=monkeypatch)) == SRE
    said = capsys.readouterr().out
    assert f"sre ({SRE})" in said and f"sre ({TWIN})" in said and "Developers (" not in said


def test_a_name_that_two_roles_bear_is_asked_for_by_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answers("yes", "", "", "sre", str(TWIN), "", guild_roles=TWINS, monkeypatch=monkeypatch)
    assert called(found) == TWIN
    assert "More than one bears that name: give the number or the id." in capsys.readouterr().out


def test_of_two_roles_called_oncall_none_is_called_unasked() -> None:
    twice = [*GUILD_ROLES, Choice("oncall", 998), Choice("oncall", TWIN)]
    with pytest.raises(Misconfigured) as error:
        answers(guild_roles=twice, **BOTH)
    assert "--role oncall=ID" in error.value.hint
    assert called(answers(guild_roles=twice[:-1], **BOTH)) == 998


def test_of_two_channels_of_one_name_none_is_taken_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"ops": OPS, "audit": AUDIT}
    twice = [*GUILD_CHANNELS, Choice("alerts", TWIN)]
    with pytest.raises(Misconfigured) as error:
        answers(channels=few, guild_channels=twice, **BOTH)
    assert "--channel alerts=ID" in error.value.hint
    asked = answers(
        "yes", "", "", "alerts", str(ALERTS), "", "", channels=few, guild_channels=twice, monkeypatch=monkeypatch
    )
    assert asked.channels == {"alerts": ALERTS}


def test_without_owners_a_critical_alert_escalates_to_the_same_role_alone() -> None:
    file = written(answers(roles={"sre": SRE, "dev": DEV}, **BOTH))
    assert file["alerts"]["routes"][0]["escalation"] == [{"after_s": 300, "role": "sre"}]


def test_without_a_channel_for_them_alerts_ask_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"ops": OPS, "audit": AUDIT}
    file = written(answers("yes", "", "", "ops", "", "", channels=few, monkeypatch=monkeypatch), channels=few)
    assert file["discord"]["channels"] == {**few, "alerts": OPS}
    assert file["alerts"]["routes"][0]["channel"] == file["alerts"]["channel"] == "alerts"


def test_a_listener_that_others_reach_is_said_to_need_its_sources(capsys: pytest.CaptureFixture[str]) -> None:
    file = written(answers(alert_listener="10.0.0.9:9200", **BOTH))
    assert (file["alerts"]["listen_host"], file["alerts"]["listen_port"]) == ("10.0.0.9", 9200)
    assert "alerts.sources" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prometheus": "ftp://figures"}, "--prometheus"),
        ({"alertmanager": ["http://ada:secret@am"]}, "user or password"),
        ({**BOTH, "alert_listener": "9095"}, "HOST:PORT"),
        ({**BOTH, "alert_listener": "127.0.0.1:99999"}, "HOST:PORT"),
        ({**BOTH, "alert_listener": "::1:9095"}, "brackets"),
        ({**BOTH, "role": ["oncall=watch"]}, "ids are numbers"),
        ({"alert_listener": "127.0.0.1:9095"}, "--alertmanager"),
        ({**BOTH, "roles": {"sre": 9, "dev": DEV}}, "--role oncall=ID"),
    ],
)
def test_an_option_that_makes_no_sense_ends_it(options: dict[str, Any], says: str) -> None:
    with pytest.raises(Misconfigured) as error:
        answers(**options)
    told = f"{error.value} {error.value.hint}"
    assert says in told and "secret" not in told


def test_the_last_words_name_the_secret_and_where_to_read_on() -> None:
    steps = next_steps(Path("quarterdeck.toml"), answers(**BOTH))
    for word in (
        "QUARTERDECK_ALERTMANAGER_TOKEN",
        "http://127.0.0.1:9095/webhooks/alertmanager",
        "monitoring/README.md",
    ):
        assert word in steps
    plain = next_steps(Path("quarterdeck.toml"), answers())
    assert "ALERTMANAGER" not in plain and "  3. quarterdeck run" in plain
    assert "monitoring/README.md" in next_steps(Path("quarterdeck.toml"), answers(prometheus="http://p:9090"))

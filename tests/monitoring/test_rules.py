"""Alert rules: each says what it is, has its runbook and its tests, and reads only what somebody counts."""

import re
import tomllib

import pytest
from prometheus_client.parser import text_string_to_metric_families

import app.metrics
import bot.metrics
from bot.alert_settings import AlertSettings, MetricsSettings
from bot.alerts.routes import Routes
from bot.inbound.alertmanager import Outcome
from tests.monitoring import stack

OWNERS_OWN = {"NodeExporterDown", "HighCPUUsage", "HighMemoryUsage", "LowDiskSpace", "CAdvisorDown"}
SECTIONS = ("What it means", "Who is affected", "Look first", "Mend", "Wake somebody")
ROUTES = {"health", "readyz", "metrics"}
"""What the service answers to; it looks like a command."""
TARGET = {"environment", "service", "instance", "job", "le"}
"""The labels that a target brings, and that of a histogram's buckets."""
RESTARTS = "container:container_restarts:count15m"
NAMES = re.compile(r"^(\w+)_(?:total|bucket|sum|count|created)$")
TEXTFILE = (stack.MONITORING / "textfile" / "certificates").read_text(encoding="utf-8")


def alert_ids(alerts):
    return [alert.id for alert in alerts]


def test_every_alert_says_what_it_is_to_whoever_is_woken_by_it():
    for alert in stack.alerts():
        assert alert.severity in {"critical", "warning", "none"}, alert.id
        assert {"summary", "description", "runbook_url"} <= set(alert.annotations), alert.id
        assert "{{" not in alert.annotations["summary"], (
            f"{alert.id}: a summary with values differs from alert to alert"
        )
        assert alert.annotations["runbook_url"].endswith(f"/monitoring/runbooks/{alert.name}.md")
        assert len(alert.annotations["description"]) < 600, alert.id


def test_the_alerts_that_every_host_had_before_are_still_there():
    assert {alert.name for alert in stack.alerts()} >= OWNERS_OWN | {"Watchdog"}


def test_no_alert_is_there_twice():
    ids = alert_ids(stack.alerts())
    assert sorted(ids) == sorted(set(ids))


def test_every_alert_has_a_runbook_with_all_of_its_parts():
    for name in {alert.name for alert in stack.alerts()}:
        text = (stack.RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {name}\n")
        headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
        assert tuple(headings) == SECTIONS, name
        assert all(part.strip() for part in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]), name


def test_no_runbook_is_of_an_alert_that_there_is_not():
    assert {file.stem for file in stack.RUNBOOKS.glob("*.md")} == {alert.name for alert in stack.alerts()}


def test_the_runbook_of_refused_webhooks_names_outcomes_that_are_counted():
    text = (stack.RUNBOOKS / "BotWebhooksRefused.md").read_text(encoding="utf-8")
    (line,) = [one for one in text.splitlines() if one.startswith("1. `outcome`")]
    named = set(re.findall(r"`([a-z ]+)`", line)) - {"outcome"}
    assert len(named) > 3 and named <= set(Outcome)


def test_runbooks_name_only_commands_and_files_that_there_are():
    reference = (stack.ROOT / "cogs" / "README.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^### `/([a-z-]+)", reference, flags=re.MULTILINE)) | ROUTES
    names = {path.name for path in (stack.ROOT / "infra" / "host").iterdir()} | {"run-doctor", "certificates"}
    wrong = []
    for file in [*stack.RUNBOOKS.glob("*.md"), stack.MONITORING / "README.md"]:
        text = file.read_text(encoding="utf-8")
        wrong += [f"{file.name}: /{one}" for one in re.findall(r"`/([a-z-]+)(?=[ `])", text) if one not in known]
        wrong += [
            f"{file.name}: quarterdeck-{one}"
            for one in re.findall(r"`quarterdeck-([a-z-]+)(?: FILE)?`", text)
            if one not in names and one not in {"monitoring", "logs"}
        ]
        wrong += [
            f"{file.name}: {link}"
            for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
            if not (file.parent / link).exists()
        ]
    assert wrong == []


@pytest.mark.parametrize("alert", stack.alerts(), ids=alert_ids(stack.alerts()))
def test_every_alert_is_proved_to_fire_and_not_to_fire(alert):
    of_it = [expected for name, expected in stack.checks() if name == alert.name]
    fires = [any(one["severity"] == alert.severity for one in expected) for expected in of_it]
    assert any(fires), "no unit test makes it fire"
    assert alert.name == "Watchdog" or not all(fires), "no unit test leaves it quiet"


# ---- what the expressions read -------------------------------------------------------------------------------------


def counted() -> dict[str, frozenset[str]]:
    """What the bot and the service count, by name, each with its labels."""
    found: dict[str, frozenset[str]] = {}
    ours = app.metrics.Metrics(version="1", commit="c", built_from="b", in_flight=lambda: 0)
    for holder in (bot.metrics.Metrics(), ours):
        for part in vars(holder).values():
            if hasattr(part, "_labelnames") and hasattr(part, "_name"):
                found[part._name] = frozenset(part._labelnames)
    exposed = text_string_to_metric_families(ours.exposition().decode())
    for family in exposed:
        labels = frozenset(label for sample in family.samples for label in sample.labels)
        found.setdefault(family.name.removesuffix("_total"), labels)
    return found


COUNTED = counted()


def plain(metric: str) -> str:
    match = NAMES.match(metric)
    return match[1] if match and match[1] in COUNTED else metric


def test_every_expression_parses():
    assert [place for place, expr in stack.expressions() if not stack.selectors(expr) and expr != "vector(1)"] == []


def unknown(metric: str, labels: frozenset[str]) -> str:
    """What is wrong with reading this; empty: nothing."""
    if ":" in metric:
        return "" if metric in stack.records() else f"{metric} is recorded by no rule"
    if metric.startswith("quarterdeck_certificate_"):
        return "" if metric in TEXTFILE else f"textfile/certificates writes no {metric}"
    if not metric.startswith(("quarterdeck_", "app_")):
        return ""
    if plain(metric) not in COUNTED:
        return f"neither bot/metrics.py nor app/metrics.py has {metric}"
    foreign = {label.removeprefix("exported_") for label in labels - TARGET} - COUNTED[plain(metric)]
    return f"{metric} has no label {', '.join(foreign)}" if foreign else ""


def test_expressions_read_only_what_the_bot_and_the_service_count():
    wrong = [
        (place, fault)
        for place, expr in stack.expressions()
        for metric, labels in stack.selectors(expr)
        if (fault := unknown(metric, labels))
    ]
    assert wrong == []


def test_what_nobody_counts_is_noticed():
    assert unknown("quarterdeck_card_writes_total", frozenset({"outcome", "instance"})) == ""
    assert unknown("quarterdeck_card_written_total", frozenset()) != ""
    assert unknown("quarterdeck_card_writes_total", frozenset({"result"})) != ""
    assert unknown("app_http_requests_total", frozenset({"status", "route"})) == ""
    assert unknown("instance:nobody:records", frozenset()) != ""


def test_restarts_are_counted_by_what_begins_anew_and_not_by_when_a_container_was_made():
    (counted_by,) = [rule["expr"] for _, rule in stack.rules() if rule.get("record") == RESTARTS]
    assert "resets(container_cpu_usage_seconds_total" in counted_by
    assert {RESTARTS} == {
        metric
        for alert in stack.alerts()
        if alert.name == "ContainerRestarting"
        for metric, _ in stack.selectors(alert.expr)
    }
    # For Docker, cAdvisor's value is when the container was made: it is the number of series that tells something.
    assert [place for place, expr in stack.expressions() if "changes(container_start" in expr] == []


def test_records_are_named_level_metric_operation():
    assert [name for name in stack.records() if not re.fullmatch(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", name)] == []


def test_every_record_is_read_by_somebody():
    read = {metric for _, expr in stack.expressions() for metric, _ in stack.selectors(expr)}
    readme = (stack.MONITORING / "README.md").read_text(encoding="utf-8")
    assert sorted(name for name in stack.records() if name not in read and name not in readme) == []


def test_the_heartbeats_that_the_readme_gives_for_two_hosts_are_taken():
    text = (stack.MONITORING / "README.md").read_text(encoding="utf-8")
    given = tomllib.loads(re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)[1])
    assert [beat.environment for beat in AlertSettings(**given).heartbeats] == ["", "prod"]


def test_the_configuration_that_the_readme_gives_the_bot_is_one_that_it_takes():
    text = (stack.MONITORING / "README.md").read_text(encoding="utf-8")
    given = tomllib.loads(re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)[0])
    alerts = AlertSettings(**given["alerts"])
    assert alerts.heartbeats[0].name == "Watchdog"
    critical = Routes(alerts.all_routes, anew_after_s=alerts.anew_after_s, ack_reminder_s=alerts.ack_reminder_s).of(
        {"severity": "critical"}
    )
    assert critical.role and critical.escalation, "a critical alert would ping nobody"
    metrics = MetricsSettings(**given["metrics"])
    asked = [*metrics.figures.model_dump().values(), *(panel.query for panel in metrics.panels.values())]
    wrong = [
        fault
        for query in asked
        for metric, labels in stack.selectors(stack.substituted(query, frozenset({"environment", "service"})))
        if (fault := unknown(metric, labels))
    ]
    assert all(asked) and wrong == []

"""The monitoring stack as data: alert rules, their unit tests, Alertmanager's routing, dashboards, expressions."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
RULES = sorted((MONITORING / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS = sorted((MONITORING / "prometheus" / "tests").glob("*.yml"))
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
RUNBOOKS = MONITORING / "runbooks"
ALERTMANAGER = MONITORING / "alertmanager" / "alertmanager.yml"
PROMETHEUS = (MONITORING / "prometheus" / "prometheus.yml", MONITORING / "prometheus" / "prometheus-prod.yml")
SECRETS = ("alertmanager-token", "discord-webhook-url", "grafana-admin-password", "app-metrics-token")
NEWER = "webhook_url_file: /run/secrets/discord-webhook-url"
"""What Alertmanager before 0.28, such as Debian 12's, does not know."""


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Alert:
    """One alert rule. A warning and a critical one of the same name are two."""

    name: str
    severity: str
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    file: str

    @property
    def id(self) -> str:
        return f"{self.name}-{self.severity}"


@cache
def rules() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Each rule with the name of its file."""
    return tuple((file.name, rule) for file in RULES for group in read(file)["groups"] for rule in group["rules"])


@cache
def alerts() -> tuple[Alert, ...]:
    return tuple(
        Alert(r["alert"], r["labels"].get("severity", ""), r["expr"], r["labels"], r["annotations"], file)
        for file, r in rules()
        if "alert" in r
    )


@cache
def records() -> frozenset[str]:
    return frozenset(rule["record"] for _, rule in rules() if "record" in rule)


@cache
def checks() -> tuple[tuple[str, tuple[Mapping[str, str], ...]], ...]:
    """What promtool is asked to prove: the alert's name, and the labels of those that fire."""
    return tuple(
        (check["alertname"], tuple(one["exp_labels"] for one in check.get("exp_alerts", ())))
        for file in RULE_TESTS
        for test in read(file)["tests"]
        for check in test["alert_rule_test"]
    )


@cache
def evaluated() -> list[dict[str, str]]:
    """The labels of every alert that the unit tests make fire: what our rules really send, environment included."""
    return [{"environment": "dev", **labels, "alertname": name} for name, expected in checks() for labels in expected]


@cache
def dashboards() -> Mapping[str, Any]:
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in DASHBOARDS}


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Its panels; rows are none."""
    for panel in dashboard["panels"]:
        yield from (one for one in [panel, *panel.get("panels", ())] if one["type"] != "row")


VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "6h",
    "$__interval": "15s",
    "$datasource": "prometheus",
    "${datasource}": "prometheus",
}
LABEL_VALUES = re.compile(r"^label_values\((?P<expr>.+), *(?P<label>[a-zA-Z_]\w*)\)$")


def substituted(expr: str, names: frozenset[str]) -> str:
    """The expression as Grafana sends it, each variable of the dashboard with some value."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    for name in names:
        expr = re.sub(rf"\$(?:{name}\b|\{{{name}\}})", "something", expr)
    return expr


def dashboard_expressions() -> Iterator[tuple[str, str]]:
    """Each expression of each dashboard with where it stands, variables filled in."""
    for file, dashboard in dashboards().items():
        names = frozenset(one["name"] for one in dashboard["templating"]["list"])
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{file}: {panel['title']}", substituted(target["expr"], names)
        for note in dashboard["annotations"]["list"]:
            yield f"{file}: {note['name']}", substituted(note["expr"], names)
        for variable in dashboard["templating"]["list"]:
            if found := LABEL_VALUES.match(variable.get("definition", "")):
                yield f"{file}: ${variable['name']}", substituted(found["expr"], names)


@cache
def expressions() -> tuple[tuple[str, str], ...]:
    """Every expression of the stack, with where it stands."""
    ruled = ((f"{file}: {rule.get('alert') or rule['record']}", str(rule["expr"])) for file, rule in rules())
    return (*ruled, *dashboard_expressions())


def selectors(expr: str) -> list[tuple[str, frozenset[str]]]:
    """The metrics that an expression reads, each with the labels that it asks for.

    Raises:
        ValueError: the expression does not parse.
    """
    found: list[tuple[str, frozenset[str]]] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            names = {one.name for one in node.matchers.matchers}
            found.append((node.name or "", frozenset(names)))
        return True

    promql_parser.walk(promql_parser.parse(expr), visit)
    return found


def program(name: str, package: str) -> str:
    """Where a server's program is; without it the test is skipped by name."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return found


def with_secrets(text: str, folder: Path) -> str:
    """A configuration that looks for its secrets in a folder of the test, with one of each there."""
    for name in SECRETS:
        if not (folder / name).exists():
            (folder / name).write_text("not-a-secret-of-anybody", encoding="utf-8")
    return text.replace("/run/secrets/", f"{folder}{os.sep}")

"""The alert rules of this world: those of `monitoring/`, tuned so that they fire within seconds.

Names, expressions, labels and texts are read from the checkout; only the spans of time are made short. An alert whose
figures no host of this world has is left out.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from bot.sandbox.monitoring.hosts import SWITCHED_OFF

Json = dict[str, Any]

FOLDER = Path("monitoring/prometheus/rules")
WATCHDOG = "Watchdog"
ALERTS = (
    "NodeExporterDown",
    "HighCPUUsage",
    "HighMemoryUsage",
    "LowDiskSpace",
    "CAdvisorDown",
    "AppDown",
    WATCHDOG,
)
"""The owner's five, the service's own, and the heartbeat."""
SPAN = re.compile(r"\[\d+[smhd]\]")
SPAN_HERE = "[5s]"
"""Over which a rate is taken: five scrapes."""
WAIT_HERE = "2s"
RECORDED = re.compile(r"[a-zA-Z_]+:[a-zA-Z0-9_]+:[a-zA-Z0-9_]+")


def tuned(source: Path) -> Json:
    """The rules as one group that is evaluated each second.

    Raises:
        ValueError: the checkout lacks one of the alerts.
    """
    found = list(_found(source / FOLDER))
    alerts = [_quick(rule) for rule in found if rule.get("alert") in ALERTS]
    if missing := set(ALERTS) - {rule["alert"] for rule in alerts}:
        raise ValueError(f"{FOLDER} has no rule for {', '.join(sorted(missing))}")
    records = list(_needed([rule for rule in found if "record" in rule], alerts))
    return {"groups": [{"name": "quarterdeck", "interval": "1s", "rules": [*records, *alerts]}]}


def _found(folder: Path) -> Iterator[Json]:
    for file in sorted(folder.glob("*.yml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def _needed(records: Sequence[Json], alerts: Sequence[Json]) -> Iterator[Json]:
    """The recorded figures that the alerts ask for, each after those that it is made from."""
    by_name = {rule["record"]: rule for rule in records}
    done: set[str] = set()

    def below(expression: str) -> Iterator[Json]:
        for name in RECORDED.findall(expression):
            if name in by_name and name not in done:
                done.add(name)
                yield from below(by_name[name]["expr"])
                yield {**by_name[name], "expr": _short(by_name[name]["expr"])}

    for alert in alerts:
        yield from below(alert["expr"])


def _quick(rule: Json) -> Json:
    """The alert with short spans; the heartbeat can be silenced."""
    expression = _short(rule["expr"])
    if rule["alert"] == WATCHDOG:
        return {**rule, "expr": f"{expression} unless on () (max({SWITCHED_OFF}) == 1)"}
    kept = {key: value for key, value in rule.items() if key != "keep_firing_for"}
    return {**kept, "expr": expression, "for": WAIT_HERE}


def _short(expression: str) -> str:
    return SPAN.sub(SPAN_HERE, expression)

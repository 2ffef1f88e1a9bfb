"""The bot's sections about alerts and metrics in this world's configuration. Only written here: what they mean is the
bot's business.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bot.sandbox import cast
from bot.sandbox.monitoring.rules import WATCHDOG

Document = dict[str, Any]

RECONCILE_S = 10.0
BEAT_EVERY_S = 30
BEAT_GRACE_S = 20
TOPIC = f"arn:aws:sns:{cast.AWS_REGION}:{cast.AWS_ACCOUNT}:quarterdeck-alerts"
CHOSEN = '{environment=~"$environment",service=~"$service"}'
RED = f"sum by (environment) (rate(app_http_requests_total{CHOSEN}[1m]))"


@dataclass(frozen=True, slots=True)
class MonitoringAddresses:
    """Where the bot listens for alerts, and where Alertmanager and Prometheus answer it; empty: there is none."""

    listen_port: int
    alertmanager: str = ""
    prometheus: str = ""


@dataclass(frozen=True, slots=True)
class Names:
    """What the rest of the configuration knows: the channels, roles and people that these sections may name."""

    channels: Collection[str]
    roles: Collection[str]
    people: Sequence[str]

    def channel(self, wanted: str) -> str:
        return wanted if wanted in self.channels else "ops"

    def role(self, wanted: str) -> Document:
        """`role = wanted`, or nothing where nobody has that role."""
        return {"role": wanted} if wanted in self.roles else {}


def alerts(addresses: MonitoringAddresses, names: Names) -> Document:
    """`[alerts]`: critical ones ping the people on duty, everything else only stands there."""
    on_duty = [name for name in ("sre", "sre2") if name in names.people] or list(names.people[:2])
    steps: list[Document] = [{"after_s": 300, "oncall": True}] if on_duty and "sre" in names.roles else []
    if "owner" in names.roles:
        steps.append({"after_s": 900, "role": "owner"})
    critical = {"name": "critical", "matchers": ['severity="critical"'], "channel": names.channel("alerts-critical")}
    section: Document = {
        "listen_port": addresses.listen_port,
        "reconcile_s": RECONCILE_S,
        "channel": names.channel("alerts"),
        "second_road": {"topic_arn": TOPIC},
        "routes": [critical | names.role("sre") | {"escalation": steps}],
    }
    if on_duty:
        section["oncall"] = {"rota": on_duty, "starts_at": "2026-01-05T09:00:00+01:00", "zone": "Europe/Berlin"}
    if addresses.alertmanager:
        section["alertmanagers"] = [addresses.alertmanager]
        beat = {"name": WATCHDOG, "every_s": BEAT_EVERY_S, "grace_s": BEAT_GRACE_S, "channel": names.channel("ops")}
        section["heartbeats"] = [beat | names.role("sre")]
    return section


def metrics(addresses: MonitoringAddresses) -> Document:
    """`[metrics]`: the charts that are offered by name, and the figures of a status."""
    return {"url": addresses.prometheus, "panels": _panels(), "figures": _figures()}


def _panels() -> Document:
    busy = f"rate(node_cpu_seconds_total{_with('mode', 'idle')}[15s])"
    total, available = f"node_memory_MemTotal_bytes{CHOSEN}", f"node_memory_MemAvailable_bytes{CHOSEN}"
    free, size = f"node_filesystem_avail_bytes{CHOSEN}", f"node_filesystem_size_bytes{CHOSEN}"
    slow = f"sum by (environment, le) (rate(app_http_request_duration_seconds_bucket{CHOSEN}[1m]))"
    return {
        "cpu": _panel("CPU", f"100 * (1 - avg by (environment, instance) ({busy}))", "percent", limit=80.0),
        "memory": _panel("Memory", f"100 * (1 - {available} / {total})", "percent", limit=85.0),
        "disk": _panel("Disk used", f"100 * (1 - {free} / {size})", "percent", limit=85.0, legend="{{mountpoint}}"),
        "requests": _panel("Requests", RED, "requests/s"),
        "errors": _panel("Errors", _errors(), "percent", limit=1.0),
        "p95": _panel("Latency, 95th percentile", f"histogram_quantile(0.95, {slow})", "seconds", limit=0.5),
    }


def _figures() -> Document:
    """Each answers with one number for the row's own environment and service."""
    return {
        "cpu": f"max({_panels()['cpu']['query']})",
        "memory": f"max({_panels()['memory']['query']})",
        "disk": f"max({_panels()['disk']['query']})",
        "requests": f"sum({RED})",
        "errors": _errors(),
        "p95": f"max({_panels()['p95']['query']})",
        "slo_left": f"100 * clamp_min(1 - ({_errors()}) / 0.1, 0)",
    }


def _errors() -> str:
    failed = f"sum(rate(app_http_requests_total{_with('status', '5..', sign='=~')}[1m])) or vector(0)"
    return f"100 * ({failed}) / clamp_min(sum(rate(app_http_requests_total{CHOSEN}[1m])), 0.001)"


def _with(name: str, value: str, *, sign: str = "=") -> str:
    return f'{CHOSEN[:-1]},{name}{sign}"{value}"}}'


def _panel(title: str, query: str, unit: str, *, limit: float | None = None, legend: str = "") -> Document:
    panel: Document = {"title": title, "query": query, "unit": unit}
    return panel | ({"threshold": limit} if limit is not None else {}) | ({"legend": legend} if legend else {})

"""What the answers about alerts and figures become: the sections `[alerts]` and `[metrics]` of the file.

The queries read what the rules of `monitoring/` record, and what its Watchdog sends is what is waited for; its README
shows the same sections for those who write the file by hand, and a test holds the two together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

CHANNEL, CRITICAL_CHANNEL, HEARTBEAT_CHANNEL = "alerts", "alerts-critical", "ops"
LISTENER = ("127.0.0.1", 9095)
"""Where a bot listens for Alertmanager that is told nothing else."""
WATCHDOG, WATCHDOG_EVERY_S = "Watchdog", 180
"""The alert of `monitoring/` that always fires: sent every 60 to 90 s, so this misses two."""
FIRST_AGAIN_S, THEN_OWNERS_S = 300, 900
OWNERS = "owner"

_HERE = 'environment="$environment"'
_ITS = f'{_HERE}, service="$service"'
_ERRORS = f"environment_service:app_http_requests_errors:ratio_rate5m{{{_ITS}}}"
FIGURES: Mapping[str, str] = {
    "cpu": f"100 * max(instance:node_cpu_utilisation:rate2m{{{_HERE}}})",
    "memory": f"100 * max(instance:node_memory_utilisation:ratio{{{_HERE}}})",
    "disk": f"100 * (1 - min(instance_mountpoint:node_filesystem_avail:ratio{{{_HERE}}}))",
    "requests": f"sum(environment_service:app_http_requests:rate5m{{{_ITS}}})",
    "errors": f"100 * max({_ERRORS})",
    "p95": f"max(environment_service:app_http_request_duration_seconds:p95_5m{{{_ITS}}})",
    "slo_left": f"100 * min(environment_service:app_slo_errors:budget_left_ratio{{{_ITS}}})",
}
PANELS: Mapping[str, Mapping[str, object]] = {
    "errors": {"title": "Errors", "query": f"100 * {_ERRORS}", "unit": "percent", "threshold": 0.1},
}


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The answers. Without `alertmanagers` the file has no `[alerts]`, without `prometheus` no `[metrics]`."""

    alertmanagers: tuple[str, ...] = ()
    prometheus: str = ""
    listener: tuple[str, int] = LISTENER
    critical_channel: str = CHANNEL
    role: str = ""
    """Whom critical alerts and a lost heartbeat call."""
    escalates_to: str = ""
    """Whom they call when nobody has taken them for a quarter of an hour; nobody when empty."""
    channels: Mapping[str, int] = field(default_factory=dict)
    """Ids of channels that `[discord]` has to name beside those that were chosen before; `roles` likewise."""
    roles: Mapping[str, int] = field(default_factory=dict)

    @property
    def webhook(self) -> str:
        """The address that Alertmanager hands its alerts in at; empty without alerts."""
        host, port = self.listener
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}/webhooks/alertmanager" if self.alertmanagers else ""

    def sections(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Headings and what stands below them."""
        if self.alertmanagers:
            yield "[alerts]", self._alerts()
            yield "[[alerts.routes]]", self._critical()
        if self.prometheus:
            yield "[metrics]", {"url": self.prometheus}
            yield "[metrics.figures]", FIGURES
            for name, panel in PANELS.items():
                yield f"[metrics.panels.{name}]", panel

    def _alerts(self) -> Mapping[str, object]:
        """The default route shows and calls nobody; whoever is called for critical alerts hears of a lost heartbeat."""
        own = dict(zip(("listen_host", "listen_port"), self.listener, strict=True)) if self.listener != LISTENER else {}
        beat = {"name": WATCHDOG, "every_s": WATCHDOG_EVERY_S, "channel": HEARTBEAT_CHANNEL, "role": self.role}
        return {**own, "alertmanagers": list(self.alertmanagers), "channel": CHANNEL, "heartbeats": [beat]}

    def _critical(self) -> Mapping[str, object]:
        steps: list[Mapping[str, object]] = [{"after_s": FIRST_AGAIN_S, "role": self.role}]
        if self.escalates_to:
            steps.append({"after_s": THEN_OWNERS_S, "role": self.escalates_to})
        return {
            "name": "critical",
            "matchers": ['severity="critical"'],
            "channel": self.critical_channel,
            "role": self.role,
            "escalation": steps,
        }

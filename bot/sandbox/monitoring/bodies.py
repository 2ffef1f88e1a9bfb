"""What the monitoring levers of the control API accept."""

from typing import Any, Literal

from bot.sandbox.bodies import Body


class MonitoringBody(Body):
    """`POST /monitoring`. `severity` is how far a figure is moved; without `mountpoint` every file system fills up."""

    lever: Literal["burn_cpu", "fill_memory", "fill_disk", "stop_app", "watchdog_off"]
    environment: str = "prod"
    on: bool
    severity: Literal["warning", "critical"] = "warning"
    mountpoint: str | None = None


class ServerBody(Body):
    """`POST /monitoring/server`. `hang` freezes it: it keeps its connections and answers nobody; `start` mends all."""

    server: Literal["node exporter", "prometheus", "alertmanager"]
    action: Literal["stop", "kill", "hang", "start"]


class AlertsBody(Body):
    """`POST /alerts`: one of the two."""

    fixture: str | None = None
    payload: dict[str, Any] | None = None

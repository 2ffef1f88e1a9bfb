"""Figures over a Prometheus, for tests: settings with panels, an index of changes that a test fills, a client."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.clients.prometheus import PrometheusClient
from bot.errors import Unavailable
from bot.sandbox.botconfig import Endpoints, compose
from bot.services.changes import Change
from bot.services.figures import Figures
from bot.settings import Settings

NOBODY = "http://127.0.0.1:9"
PANELS: Mapping[str, Any] = {
    "load": {"title": "Load", "query": 'load{environment="$environment"}', "unit": "percent", "threshold": 80.0},
    "all": {"title": "Load everywhere", "query": 'load{environment=~"$environment"}', "legend": "{{environment}}"},
    "up": {"title": "Up", "query": "up"},
    "hits": {
        "title": "Requests", "query": 'hits{service="$service"}', "unit": "requests/s", "services": ["app"],
    },
}  # fmt: skip
FIGURES = {
    "cpu": 'load{environment="$environment"}',
    "memory": "no_such_metric",
    "requests": 'hits{service="$service"}',
    "slo_left": 'budget{environment="$environment"}',
}


class Changes:
    """An index of changes that holds what a test puts there."""

    def __init__(self) -> None:
        self.found: list[Change] = []
        self.asked: list[tuple[str, str]] = []
        self.away = False

    async def of(self, environment: str, service: str, since: datetime, until: datetime) -> tuple[Change, ...]:
        if self.away:
            raise Unavailable("database", "The database is away.")
        self.asked.append((environment, service))
        return tuple(change for change in self.found if since <= change.at <= until)


def metrics_section(url: str, **changed: Any) -> dict[str, Any]:
    return {"url": url, "timeout_s": 5, "panels": dict(PANELS), "figures": dict(FIGURES), **changed}


def settings_with(url: str, home: Path, **changed: Any) -> Settings:
    nowhere = {"dev": "i-0123456789abcdef0", "prod": "i-0123456789abcdef1"}
    document = compose(Endpoints(NOBODY, "ws://127.0.0.1:9", NOBODY, NOBODY, nowhere, {}), home=home)
    document.pop("seed_file", None)
    document.pop("alerts", None)
    return Settings.model_validate({**document, "metrics": metrics_section(url, **changed)})


@contextmanager
def figures_of(url: str, home: Path, **changed: Any) -> Iterator[tuple[Figures, Changes, PrometheusClient]]:
    """Figures that ask the Prometheus at that address."""
    settings, changes = settings_with(url, home, **changed), Changes()
    assert settings.metrics is not None
    client = PrometheusClient(url, timeout_s=settings.metrics.timeout_s, concurrency=settings.metrics.concurrency)
    try:
        yield Figures(settings, prometheus=client, changes=changes), changes, client
    finally:
        client.close()

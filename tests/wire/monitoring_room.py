"""Real Prometheus and Alertmanager servers for tests, on loopback and in a temporary folder, ended with the test.

A metric at will is the textfile way in small: `serve_metrics` is a target that says what it is told.
"""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

ALERTMANAGER, PROMETHEUS = "prometheus-alertmanager", "prometheus"
READY_WITHIN_S = 30.0


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def binary(name: str) -> str:
    """The path of that server; a named skip where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Server:
    """One server's process; the port and its folder stay through `stop` and `start`."""

    def __init__(self, home: Path, command: list[str], *, port: int, ready: str) -> None:
        self.home, self.port = home, port
        self.url = f"http://127.0.0.1:{port}"
        self._command, self._ready = command, self.url + ready
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with (self.home / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=self.home, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}
            )
        async with asyncio.timeout(READY_WITHIN_S), aiohttp.ClientSession() as session:
            while not await _answers(session, self._ready):
                assert self._process.returncode is None, (self.home / "server.log").read_text()[-2000:]
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


class Alertmanager(Server):
    """With an API to post alerts to, as Prometheus does."""

    async def post(self, *alerts: Mapping[str, str], for_s: float = 300, annotations: Mapping[str, str] | None = None,
                   since: datetime | None = None) -> None:  # fmt: skip
        """Let alerts with these labels fire; `for_s` negative: they have ended."""
        now = datetime.now(UTC)
        rows = [
            {
                "labels": dict(labels),
                "annotations": dict(annotations or {"summary": "It is so"}),
                "startsAt": (since or now - timedelta(seconds=60)).isoformat(),
                "endsAt": (now + timedelta(seconds=for_s)).isoformat(),
                "generatorURL": "http://prometheus.test/graph?g0.expr=up",
            }
            for labels in alerts
        ]
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/api/v2/alerts", json=rows) as answer:
            assert answer.status == 200, await answer.text()

    async def resolve(self, *alerts: Mapping[str, str]) -> None:
        await self.post(*alerts, for_s=-1)


@asynccontextmanager
async def alertmanager(home: Path, *, webhook: str = "") -> AsyncIterator[Alertmanager]:
    """A running Alertmanager that groups by alertname, and tells `webhook` of what it groups, if there is one."""
    found, port = binary(ALERTMANAGER), free_port()
    home.mkdir(parents=True, exist_ok=True)
    receiver = f"webhook_configs: [{{url: '{webhook}', send_resolved: true}}]" if webhook else ""
    (home / "alertmanager.yml").write_text(
        "route: {receiver: bot, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers: [{{name: bot{', ' + receiver if receiver else ''}}}]\n"
    )
    server = Alertmanager(
        home,
        [found, "--config.file=alertmanager.yml", "--storage.path=data", f"--web.listen-address=127.0.0.1:{port}",
         "--cluster.listen-address="],
        port=port, ready="/-/ready",
    )  # fmt: skip
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def prometheus(
    home: Path, *, rules: str = "", target: str = "", external: Mapping[str, str] | None = None, tells: str = ""
) -> AsyncIterator[Server]:
    """A running Prometheus that looks every 200 ms; `target` is a host:port that it scrapes, `tells` the Alertmanager's
    that hears of its alerts, with the labels `external` added.
    """
    found, port = binary(PROMETHEUS), free_port()
    home.mkdir(parents=True, exist_ok=True)
    scraped = f"scrape_configs: [{{job_name: app, static_configs: [{{targets: ['{target}']}}]}}]\n" if target else ""
    told = f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{tells}']}}]}}]}}\n" if tells else ""
    added = "".join(f", external_labels: {{{name}: '{value}'}}" for name, value in (external or {}).items())
    (home / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms{added}}}\n"
        "rule_files: [rules.yml]\n" + scraped + told
    )
    (home / "rules.yml").write_text(rules or "groups: []\n")
    server = Server(
        home,
        [found, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}",
         "--rules.alert.resend-delay=1s"],
        port=port, ready="/-/ready",
    )  # fmt: skip
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def serve_metrics(metrics: dict[str, Any]) -> AsyncIterator[str]:
    """A target: host:port under which these metrics stand, as they are at each scrape."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="".join(f"{name} {value}\n" for name, value in metrics.items()))

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

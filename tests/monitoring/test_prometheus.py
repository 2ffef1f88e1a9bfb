"""Our configuration in a real Prometheus beside a real node exporter: every rule is evaluated, and says whose it is."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import app.metrics
import bot.metrics
from tests.monitoring import stack

PATIENCE_S = 60.0
OF_A_CONTAINER = 'name="quarterdeck-dev-app-1",image="app",id="/docker/1",container_label_quarterdeck_service="app"'
CADVISOR = f"""\
container_cpu_usage_seconds_total{{{OF_A_CONTAINER},cpu="total"}} %d
container_memory_working_set_bytes{{{OF_A_CONTAINER}}} 90
container_spec_memory_limit_bytes{{{OF_A_CONTAINER}}} 100
container_start_time_seconds{{{OF_A_CONTAINER},container_label_restartcount="3"}} 1
container_oom_events_total{{{OF_A_CONTAINER}}} 0
container_memory_working_set_bytes{{name="",id="/system.slice",container_label_quarterdeck_service=""}} 5
"""


@dataclass
class Watching:
    """A Prometheus with all of our rules; `asked` is what came to the service's /metrics as authorization."""

    url: str
    session: aiohttp.ClientSession
    asked: set[str]

    async def data(self, path: str, **params: str) -> Any:
        async with self.session.get(f"{self.url}/api/v1/{path}", params=params) as answer:
            return (await answer.json())["data"]

    async def query(self, expr: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = (await self.data("query", query=expr))["result"]
        return result


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def running(*argv: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def figures(asked: set[str]) -> AsyncIterator[int]:
    """What the service, the bot and cAdvisor would expose, each with something counted; yields the port."""
    service = app.metrics.Metrics(version="1", commit="c", built_from="b", in_flight=lambda: 0)
    house = bot.metrics.Metrics()
    scrapes = 0

    async def of_the_service(request: web.Request) -> web.Response:
        asked.add(request.headers.get("Authorization", ""))
        for status in (200, 200, 503):
            service.observe(method="GET", route="/", status=status, seconds=0.02)
        return web.Response(body=service.exposition(), headers={"Content-Type": app.metrics.CONTENT_TYPE})

    async def of_the_bot(_: web.Request) -> web.Response:
        house.client_requests.labels("github", "200").inc()
        house.client_requests.labels("github", "error").inc()
        house.interaction_seconds.labels("status").observe(0.2)
        house.card_writes.labels("posted").inc()
        house.operations_open.labels("running").set(1)
        return web.Response(body=house.render(), headers={"Content-Type": bot.metrics.CONTENT_TYPE})

    async def of_cadvisor(_: web.Request) -> web.Response:
        nonlocal scrapes
        scrapes += 1
        return web.Response(text=CADVISOR % scrapes)

    everything = web.Application()
    everything.router.add_get("/app", of_the_service)
    everything.router.add_get("/bot", of_the_bot)
    everything.router.add_get("/cadvisor", of_cadvisor)
    runner = web.AppRunner(everything, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def hurried(home: Path, *, own: int, node: int, fakes: int) -> Path:
    """Our configuration, looking at servers of the test once a second."""
    config = stack.yaml.safe_load(stack.with_secrets(stack.PROMETHEUS[0].read_text(encoding="utf-8"), home))
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["alerting"] = {}
    config["rule_files"] = [str(home / "rules-*.json")]
    ports = {"prometheus": own, "alertmanager": own, "node": node}
    for job in config["scrape_configs"]:
        (group,) = job["static_configs"]
        group["targets"] = [f"127.0.0.1:{ports.get(job['job_name'], fakes)}"]
        if job["job_name"] in {"app", "bot", "cadvisor"}:
            job["metrics_path"] = f"/{job['job_name']}"
    for file in stack.RULES:
        groups = [{**group, "interval": "1s"} for group in stack.read(file)["groups"]]
        (home / f"rules-{file.stem}.json").write_text(json.dumps({"groups": groups}))
    (home / "prometheus.yml").write_text(json.dumps(config))
    return home / "prometheus.yml"


@pytest.fixture(scope="module")
async def watching(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watching]:
    prometheus = stack.program("prometheus", "prometheus")
    exporter = stack.program("prometheus-node-exporter", "prometheus-node-exporter")
    home = tmp_path_factory.mktemp("prometheus")
    asked: set[str] = set()
    own, node = free_port(), free_port()
    async with AsyncExitStack() as open_parts:
        fakes = await open_parts.enter_async_context(figures(asked))
        await open_parts.enter_async_context(running(exporter, f"--web.listen-address=127.0.0.1:{node}"))
        config = hurried(home, own=own, node=node, fakes=fakes)
        argv = (f"--config.file={config}", f"--storage.tsdb.path={home}/data", f"--web.listen-address=127.0.0.1:{own}")
        await open_parts.enter_async_context(running(prometheus, *argv))
        session = await open_parts.enter_async_context(aiohttp.ClientSession())
        watching = Watching(f"http://127.0.0.1:{own}", session, asked)

        async def whole() -> bool:
            with suppress(aiohttp.ClientError):
                return bool(await watching.query("bot:quarterdeck_client_requests_failed:ratio_rate10m > 0")) and bool(
                    await watching.query("environment_service:app_slo_latency:budget_left_ratio > -Inf")
                )
            return False

        async with asyncio.timeout(PATIENCE_S):
            while not await whole():
                await asyncio.sleep(0.2)
        yield watching


async def test_every_rule_is_evaluated_without_an_error(watching: Watching):
    groups = (await watching.data("rules"))["groups"]
    ruled = [rule for group in groups for rule in group["rules"]]
    assert len(ruled) == len(stack.rules())
    assert [(rule["name"], rule.get("lastError")) for rule in ruled if rule["health"] != "ok"] == []


async def test_every_target_is_scraped_with_its_token(watching: Watching):
    down = [one["labels"]["job"] for one in (await watching.data("targets"))["activeTargets"] if one["health"] != "up"]
    assert down == []
    assert watching.asked == {"Bearer not-a-secret-of-anybody"}


async def empty_records(watching: Watching) -> list[str]:
    """The records without figures yet; a machine of the tests may have neither a disk nor a network that counts."""
    of_machines = ("_disk_", "_network_", "filesystem")
    asked = [name for name in sorted(stack.records()) if not any(part in name for part in of_machines)]
    return [name for name in asked if not await watching.query(name)]


async def test_records_say_whose_they_are(watching: Watching):
    # A rate has figures from a target's second scrape on.
    async with asyncio.timeout(PATIENCE_S):
        while await empty_records(watching):
            await asyncio.sleep(0.5)
    lost = []
    for name in stack.records():
        of_one = name.startswith(("instance", "container", "bot"))
        wanted = {"environment", "service"} | ({"instance"} if of_one else set())
        lost += [name for one in await watching.query(name) if not wanted <= set(one["metric"])]
    assert lost == []


async def test_a_container_of_ours_belongs_to_its_service_and_the_system_is_left_out(watching: Watching):
    found = await watching.query("container_memory_working_set_bytes")
    assert [(one["metric"]["service"], one["metric"]["name"]) for one in found] == [("app", "quarterdeck-dev-app-1")]
    assert not any(label.startswith("container_label_") for label in found[0]["metric"])


async def test_the_engines_count_of_restarts_stands_on_one_figure_of_a_container(watching: Watching):
    (one,) = await watching.query("container_start_time_seconds")
    assert one["metric"]["restarts"] == "3"
    found = await watching.query('{__name__=~"container_.+", restarts!=""}')
    assert [series["metric"]["__name__"] for series in found] == ["container_start_time_seconds"]


async def test_what_the_bot_counts_of_others_does_not_hide_whose_figure_it_is(watching: Watching):
    (one,) = await watching.query("bot:quarterdeck_client_requests_failed:ratio_rate10m")
    assert {name: one["metric"][name] for name in ("environment", "service", "part")} == {
        "environment": "control", "service": "bot", "part": "github",
    }  # fmt: skip
    assert float(one["value"][1]) == pytest.approx(0.5, abs=0.2)


async def test_the_heartbeat_fires_from_the_first_round_on(watching: Watching):
    alerts = (await watching.data("alerts"))["alerts"]
    assert any(one["labels"]["alertname"] == "Watchdog" and one["state"] == "firing" for one in alerts)

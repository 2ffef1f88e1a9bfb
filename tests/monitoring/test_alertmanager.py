"""Alertmanager's configuration in a real Alertmanager: who hears of what, with which token, and what inhibits what."""

import asyncio
import json
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.monitoring import stack

CONFIG = stack.read(stack.ALERTMANAGER)
MATCHER = re.compile(r'^(?P<name>\w+)(?P<sign>=~|!~|!=|=)"(?P<value>.*)"$')
START_S, PATIENCE_S = 30.0, 30.0
QUICK = {"group_wait": "0s", "group_interval": "1s"}


def fits(labels: Mapping[str, str], matchers: list[str]) -> bool:
    for text in matchers:
        found = MATCHER.match(text)
        assert found, f"{text} is not of the form that both old and new versions read alike"
        value = labels.get(found["name"], "")
        right = re.fullmatch(found["value"], value) is not None if "~" in found["sign"] else value == found["value"]
        if right == found["sign"].startswith("!"):
            return False
    return True


def pairs(rule: Mapping[str, Any]) -> list[tuple[dict[str, str], dict[str, str]]]:
    """A source and a target among what our rules really send, such that the rule inhibits the target."""
    return [
        (source, target)
        for source in stack.evaluated()
        for target in stack.evaluated()
        if fits(source, rule["source_matchers"]) and fits(target, rule["target_matchers"])
        if all(source.get(name, "") == target.get(name, "") for name in rule["equal"])
    ]


@pytest.mark.parametrize("rule", CONFIG["inhibit_rules"], ids=lambda rule: ",".join(rule["source_matchers"]))
def test_every_inhibition_can_match_alerts_that_our_rules_make(rule):
    assert rule["equal"], "it would inhibit across environments"
    found = pairs(rule)
    assert found, "no two of our alerts agree in the labels that have to be equal"
    assert all(any(source.get(name) for name in rule["equal"]) for source, _ in found)
    assert not any(fits(target, rule["source_matchers"]) for _, target in found), "an alert could inhibit its like"


def across_hosts(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an alert of one host holds back of another host, or of a service that has more hosts than that."""
    return [
        (source["alertname"], target["alertname"])
        for source, target in pairs(rule)
        if source.get("instance") != target.get("instance")
    ]


def test_an_alert_of_one_host_holds_back_nothing_of_the_others_and_of_the_whole_service():
    assert [pair for rule in CONFIG["inhibit_rules"] for pair in across_hosts(rule)] == []
    too_wide = {
        "source_matchers": ['alertname="AppDown"'],
        "target_matchers": ['alertname="AppErrorBudgetBurn"'],
        "equal": ["environment", "service"],
    }
    assert ("AppDown", "AppErrorBudgetBurn") in across_hosts(too_wide)


def test_every_warning_that_has_a_critical_one_is_inhibited_by_it():
    names = {alert.name for alert in stack.alerts() if alert.severity == "critical"}
    both = {alert.name for alert in stack.alerts() if alert.severity == "warning"} & names
    assert both >= {"HighCPUUsage", "HighMemoryUsage", "LowDiskSpace", "DiskWillFillUp", "AppErrorBudgetBurn"}
    assert both == {target["alertname"] for _, target in pairs(CONFIG["inhibit_rules"][0])}


def test_nothing_is_cut_before_the_bot_has_seen_it():
    webhooks = [one for receiver in CONFIG["receivers"] for one in receiver.get("webhook_configs", ())]
    assert [one["max_alerts"] for one in webhooks] == [0, 0]
    assert all(
        one["http_config"]["authorization"] == {"credentials_file": "/run/secrets/alertmanager-token"}
        for one in webhooks
    )


# ---- a real one ------------------------------------------------------------------------------------------------------


@dataclass
class Room:
    """A running Alertmanager with our configuration, and both ends that it sends to."""

    url: str
    session: aiohttp.ClientSession
    payloads: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)

    async def fire(self, *alerts: Mapping[str, str]) -> None:
        now = datetime.now(UTC).isoformat()
        said = {"description": "what happened", "runbook_url": "https://runbooks.example/one"}
        body = [{"labels": dict(one), "annotations": said, "startsAt": now} for one in alerts]
        async with self.session.post(f"{self.url}/api/v2/alerts", json=body) as answer:
            assert answer.status == 200, await answer.text()

    async def standing(self) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/api/v2/alerts") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found


async def within(seconds: float, condition: Any) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)


def quicker(route: dict[str, Any]) -> dict[str, Any]:
    """The same route without its waits."""
    return {**route, **QUICK, "routes": [quicker(one) for one in route.get("routes", ())]}


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    program = stack.program("prometheus-alertmanager", "prometheus-alertmanager")
    home = tmp_path_factory.mktemp("alertmanager")
    ends = web.Application()
    runner = web.AppRunner(ends, access_log=None)
    async with aiohttp.ClientSession() as session:
        room = Room("", session)

        async def to_the_bot(request: web.Request) -> web.Response:
            room.payloads.append((request.headers.get("Authorization", ""), await request.json()))
            return web.Response()

        async def to_discord(request: web.Request) -> web.Response:
            room.posts.append(await request.json())
            return web.Response(status=204)

        ends.router.add_post("/webhooks/alertmanager", to_the_bot)
        ends.router.add_post("/discord", to_discord)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        here = f"http://127.0.0.1:{runner.addresses[0][1]}"
        text = stack.ALERTMANAGER.read_text(encoding="utf-8").replace("http://127.0.0.1:9095", here)
        text = stack.with_secrets(text.replace(stack.NEWER, f"webhook_url: {here}/discord"), home)
        config = {**stack.yaml.safe_load(text)}
        config["route"] = quicker(config["route"])
        (home / "alertmanager.yml").write_text(json.dumps(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            program, f"--config.file={home}/alertmanager.yml", f"--storage.path={home}", "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{port}", stderr=(home / "log").open("wb"),
        )  # fmt: skip
        room.url = f"http://127.0.0.1:{port}"

        async def ready() -> bool:
            with suppress(aiohttp.ClientError):
                async with session.get(f"{room.url}/-/ready") as answer:
                    return answer.status == 200
            return False

        try:
            await within(START_S, ready)
            yield room
        finally:
            process.terminate()
            await process.wait()
            await runner.cleanup()


async def test_a_real_alertmanager_inhibits_by_every_rule(room: Room):
    chosen = [pairs(rule)[0] for rule in CONFIG["inhibit_rules"]]
    # One environment for each rule, so that none of them can help another.
    for number, (source, target) in enumerate(chosen):
        await room.fire(*({**one, "environment": f"{one['environment']}-{number}"} for one in (source, target)))

    async def all_inhibited() -> bool:
        standing = await room.standing()
        return all(
            any(
                one["labels"]["environment"] == f"{target['environment']}-{number}"
                and one["labels"].items() >= {**target, "environment": one["labels"]["environment"]}.items()
                and one["status"]["inhibitedBy"]
                for one in standing
            )
            for number, (_, target) in enumerate(chosen)
        )

    await within(PATIENCE_S, all_inhibited)
    sources = [one for one in await room.standing() if not one["status"]["inhibitedBy"]]
    assert len(sources) == len(chosen), "a source was inhibited itself"


async def test_the_bot_gets_everything_with_the_token_and_its_death_goes_past_it(room: Room):
    await room.fire(
        {
            "alertname": "HighCPUUsage",
            "environment": "prod",
            "service": "host",
            "instance": "i-1",
            "severity": "warning",
        },
        {"alertname": "BotDown", "environment": "control", "service": "bot", "instance": "b-1", "severity": "critical"},
        {"alertname": "Watchdog", "environment": "prod", "service": "monitoring", "severity": "none"},
    )

    def told() -> set[str]:
        return {one["labels"]["alertname"] for _, payload in room.payloads for one in payload["alerts"]}

    async def all_told() -> bool:
        posts = [post for post in room.posts if "BotDown" in json.dumps(post)]
        return {"HighCPUUsage", "BotDown", "Watchdog"} <= told() and bool(posts)

    await within(PATIENCE_S, all_told)
    assert {header for header, _ in room.payloads} == {"Bearer not-a-secret-of-anybody"}
    assert "HighCPUUsage" not in json.dumps(room.posts)
    (embed,) = next(post for post in room.posts if "BotDown" in json.dumps(post))["embeds"]
    assert (embed["title"], embed["description"]) == (
        "Without the bot: BotDown", "what happened https://runbooks.example/one",
    )  # fmt: skip


ROUTES = [
    ({"alertname": "HighCPUUsage", "severity": "critical", "service": "host"}, ["quarterdeck"]),
    ({"alertname": "HighCPUUsage", "severity": "warning", "service": "host"}, ["quarterdeck"]),
    ({"alertname": "SomethingElse", "severity": "info"}, ["quarterdeck"]),
    ({"alertname": "WithoutSeverity"}, ["quarterdeck"]),
    ({"alertname": "Watchdog", "severity": "none", "service": "monitoring"}, ["heartbeat"]),
    ({"alertname": "BotDown", "severity": "critical", "service": "bot"}, ["bot-dead", "quarterdeck"]),
    ({"alertname": "BotGatewayDown", "severity": "warning", "service": "bot"}, ["quarterdeck"]),
    (
        {"alertname": "AlertmanagerNotificationsFailing", "severity": "critical", "integration": "webhook"},
        ["bot-dead", "quarterdeck"],
    ),
    (
        {"alertname": "AlertmanagerNotificationsFailing", "severity": "critical", "integration": "discord"},
        ["quarterdeck"],
    ),
]


def test_every_severity_goes_where_it_should(tmp_path: Path):
    amtool = stack.program("amtool", "prometheus-alertmanager")
    text = stack.ALERTMANAGER.read_text(encoding="utf-8").replace(stack.NEWER, "webhook_url: https://discord.invalid/x")
    (tmp_path / "am.yml").write_text(text)
    for labels, receivers in ROUTES:
        argv = [amtool, "config", "routes", "test", f"--config.file={tmp_path}/am.yml"]
        argv += [f"--verify.receivers={','.join(receivers)}", *(f"{name}={value}" for name, value in labels.items())]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{labels}: {done.stdout}{done.stderr}"

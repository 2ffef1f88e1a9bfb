"""A web page in another tab, and any request not sent by the world's own page, change nothing and run nothing.

The hostile page is a real one, in Chromium, served from an origin of its own. It goes at every port on which the world
and its children listen, as the kernel counts them, not as the world lists them.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser

from tests.page.listeners import ports_of
from tests.story.world_driver import World

HOSTILE = (Path(__file__).parent / "hostile.js").read_text(encoding="utf-8")
OPS = "1325000000000000301"
HOSTS = ("127.0.0.1", "localhost")
SETTLE_S = 1.5
"""Time for forms and beacons that were sent without waiting to arrive."""
QUIET_S = 2.0
"""So long nothing may change before the world counts as quiet."""
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="listening ports are read from /proc")


@pytest.fixture
async def hostile_origin() -> AsyncIterator[str]:
    """The origin of a page that is none of the world's."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Win a harbour</title><body></body>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _attack(browser: Browser, origin: str, host: str, port: int) -> list[dict[str, str]]:
    """Let the hostile page go at one port; returns what came of each try."""
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(origin)
        outcomes: list[dict[str, str]] = await page.evaluate(HOSTILE, [host, port, OPS])
        await asyncio.sleep(SETTLE_S)
    return outcomes


def _refs(world: World) -> str:
    """Every branch and tag of the repository, with its commit."""
    command = ["git", "--git-dir", str(world.home / "github" / "quarterdeck.git"), "for-each-ref"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def _rollouts(world: World) -> set[str]:
    """What Run Command has written down of the commands that it ran."""
    return {str(path) for path in (world.home / "aws").rglob("*")}


async def snapshot(world: World) -> dict[str, Any]:
    """Everything of the world that somebody could have wanted to change; the pinned board goes with the time."""
    state = await world.state()
    channels = [channel["name"] for channel in state["channels"]]
    return {
        "members": state["members"],
        "commands": state["commands"],
        "services": state["services"],
        "speed": state["world"]["speed"],
        "pids": {part["name"]: part["pid"] for part in state["parts"]},
        "messages": {
            name: [(m.id, "" if m.raw["pinned"] else m.text) for m in await world.messages(name, user="owner")]
            for name in channels
        },
        "faults": (await world.get("/faults"))["faults"],
        "config": (await world.get("/config"))["toml"],
        "refs": _refs(world),
        "commands run": _rollouts(world),
        "health": {environment: await world.health(environment) for environment in ("dev", "prod")},
    }


async def settled(world: World) -> dict[str, Any]:
    """The snapshot, once the bot has pinned its board and written all that it had to write of what went before."""

    async def pinned() -> bool:
        return any(message.raw["pinned"] for message in await world.every_message())

    await world.until("the pinned board", pinned)
    taken = _steady(await snapshot(world))
    while True:
        await asyncio.sleep(QUIET_S)
        newer = _steady(await snapshot(world))
        if newer == taken:
            return newer
        taken = newer


def _steady(taken: dict[str, Any]) -> dict[str, Any]:
    """Without what changes by itself: uptimes and clocks."""
    lasting = ("commit", "built_from", "status")
    health = {name: {key: one.get(key) for key in lasting} for name, one in taken["health"].items()}
    return taken | {"health": health}


async def _anonymous(world: World, after: dict[str, int]) -> list[dict[str, Any]]:
    """What the parts were asked, since then, by somebody who is none of theirs."""
    return [
        request
        for part, number in after.items()
        for request in await world.requests(part, after=number)
        if request["caller"] not in ("bot", "host")
    ]


async def _marks(world: World) -> dict[str, int]:
    marks = {}
    for part in ("discord", "github", "aws"):
        requests = await world.requests(part)
        marks[part] = requests[-1]["n"] if requests else 0
    return marks


async def test_a_page_on_another_origin_changes_and_learns_nothing_on_any_port(
    browser: Browser, world: World, hostile_origin: str
) -> None:
    before, marks = await settled(world), await _marks(world)
    ports = ports_of(world.pid)
    named = {urlsplit(part["url"]).port for part in (await world.state())["parts"] if part["url"]}
    assert named <= ports, "the kernel's list lacks a port that the world itself names"
    attacks = [_attack(browser, hostile_origin, host, port) for port in sorted(ports) for host in HOSTS]
    outcomes = [one for found in await asyncio.gather(*attacks) for one in found]
    assert len(outcomes) > 50 * len(ports) * len(HOSTS)
    assert [one for one in outcomes if one["outcome"] not in ("blocked", "blind")] == []
    assert _steady(await snapshot(world)) == before
    asked = await _anonymous(world, marks)
    assert asked, "nothing of the attack arrived: this test proves nothing"
    assert [one for one in asked if 0 < one["status"] < 400] == []


def _everywhere(world: World, state: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, url, body) of a request to each part that would do something if it came from the right place."""
    urls = {part["name"]: part["url"] for part in state["parts"]}
    run = {"DocumentName": "quarterdeck-deploy", "Targets": [{"Key": "tag:Environment", "Values": ["prod"]}]}
    return [
        ("control", f"{world.url}/control/v1/bot", {"action": "kill"}),
        ("discord", f"{urls['discord']}/channels/{OPS}/messages", {"content": "owned"}),
        ("github", f"{urls['github']}/repos/harbour-works/quarterdeck/git/refs", {"ref": "refs/heads/owned"}),
        ("aws", f"{urls['aws']}/", run),
        *((f"relay {s['environment']}", f"{s['url']}/", {}) for s in state["services"] if s["url"]),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://localhost"},
    ],
    ids=lambda headers: " ".join(f"{k} {v}" for k, v in headers.items()),
)
async def test_a_foreign_host_or_origin_is_refused_on_every_port(world: World, headers: dict[str, str]) -> None:
    before = await settled(world)
    async with aiohttp.ClientSession() as session:
        for name, url, body in _everywhere(world, await world.state()):
            async with session.post(url, json=body, headers=headers) as answer:
                assert answer.status == 403, f"{name} answered {answer.status}"
    assert _steady(await snapshot(world)) == before


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_the_control_api_takes_json_that_is_called_json_and_nothing_else(world: World, kind: str) -> None:
    before = await settled(world)
    async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session:
        for path in ("commands", "components", "modals", "faults", "bot", "clock", "github/push", "host/outcome"):
            headers = {"Content-Type": kind} if kind else {}
            url = f"{world.url}/control/v1/{path}"
            async with session.post(url, data=b'{"action": "kill", "speed": 99}', headers=headers) as answer:
                assert answer.status == 415, f"{path} answered {answer.status}"
    assert _steady(await snapshot(world)) == before


async def test_no_port_of_the_world_can_be_reached_from_another_machine(world: World) -> None:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    bound = {int(line.split()[1].rpartition(":")[2], 16): line.split()[1].partition(":")[0] for line in lines}
    ours = ports_of(world.pid)
    assert ours
    assert {port: bound[port] for port in ours if bound.get(port) not in (None, "0100007F")} == {}


async def test_the_page_may_load_nothing_from_elsewhere_and_may_not_be_framed(world: World) -> None:
    async with aiohttp.ClientSession() as session, session.get(world.url) as answer:
        policy = answer.headers["Content-Security-Policy"]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";") if rule.strip())
    assert (rules["default-src"], rules["script-src"], rules["style-src"]) == ("'none'", "'self'", "'self'")
    assert (rules["frame-ancestors"], rules["form-action"], rules["base-uri"]) == ("'none'", "'none'", "'none'")

"""The world's monitoring: real servers that fire within seconds, refuse strangers, and can be taken away; and the
payloads that stand in for them.
"""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from bot import settings
from bot.sandbox import botconfig, cast
from bot.sandbox.clock import Clock
from bot.sandbox.faults import Faults
from bot.sandbox.host.part import HostPart
from bot.sandbox.ledger import Ledger
from bot.sandbox.monitoring import rules
from bot.sandbox.monitoring.part import PROGRAMS, WEBHOOK_PATH, Asked, MonitoringPart
from bot.sandbox.monitoring.payloads import STORM_GROUPS, Fixtures, fingerprint
from bot.sandbox.parts import Part
from bot.sandbox.wire import Guard, Missing, Rejected

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
CAPTURED_FINGERPRINT = (
    {
        "alertname": "TargetDown",
        "cluster": "lab",
        "instance": "127.0.0.1:19199",
        "job": "api",
        "service": "checkout",
        "severity": "critical",
    },
    "385922b3786fe343",
)
"""Labels and fingerprint as a real Alertmanager 0.25 sent them."""
PATIENCE_S = 40.0
PAGE = "http://127.0.0.1:8700"


@dataclass
class Listener:
    """Stands where the bot's alert listener would: takes what comes with the right token."""

    taken: list[Json] = field(default_factory=list)
    refused: int = 0
    token: str = ""

    async def take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            self.refused += 1
            return web.Response(status=401)
        self.taken.append(await request.json())
        return web.Response()

    def of(self, name: str) -> list[Json]:
        return [one for one in self.taken if one["groupLabels"].get("alertname") == name]

    def states(self, name: str) -> dict[str, str]:
        """Each alert of that name by severity and place, as it was told last."""
        told: dict[str, str] = {}
        for one in self.of(name):
            for alert in one["alerts"]:
                labels = alert["labels"]
                told[" ".join((labels["severity"], labels.get("mountpoint", ""))).strip()] = alert["status"]
        return told


@dataclass
class Room:
    """The monitoring part, the host whose figures it shows, and the listener."""

    part: MonitoringPart
    host: HostPart
    listener: Listener
    ledger: Ledger
    faults: Faults
    told: dict[str, Part]

    async def move(self, lever: str, *, on: bool = True, **more: Any) -> Json:
        return await self.part.move({"lever": lever, "on": on, **more})

    async def until(self, what: str, true: Callable[[], object | Awaitable[object]]) -> None:
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            found = true()
            if await found if isinstance(found, Awaitable) else found:
                return
            assert asyncio.get_running_loop().time() < end, f"waited for {what}: {self.listener.taken[-3:]}"
            await asyncio.sleep(0.1)

    async def asked(self, path: str, *, of: str = "alertmanager") -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{self.told[of].url}{path}") as answer:
            assert answer.status == 200
            return await answer.json()


async def open_room(folder: Path, *, wanted: bool) -> tuple[Room, web.AppRunner]:
    told: dict[str, Part] = {}
    ledger, faults, guard = Ledger(), Faults(), Guard(origins=frozenset({PAGE}))
    shared = {"clock": Clock(), "ledger": ledger, "faults": faults, "guard": guard}
    host = HostPart(**shared, home=folder, source=ROOT)
    await host.start()
    asked = Asked(folder, ROOT, ("dev", "prod"), wanted)
    part = MonitoringPart(**shared, asked=asked, changed=lambda one: told.update({one.name: one}))
    await part.prepare()
    listener = Listener(token=part.token)
    app = web.Application()
    app.router.add_post(WEBHOOK_PATH, listener.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", urlsplit(part.webhook_url).port).start()
    await part.start(host, apps_token="not asked here")
    return Room(part, host, listener, ledger, faults, told), runner


async def shut(room: Room, runner: web.AppRunner) -> None:
    await room.part.close()
    await room.host.close()
    await runner.cleanup()


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    """One for all tests of this file; each puts its levers back."""
    if missing := [program.package for program in PROGRAMS.values() if program.find() is None]:
        pytest.skip(f"{' and '.join(missing)} is not installed (Debian: apt-get install {' '.join(missing)})")
    room, runner = await open_room(tmp_path_factory.mktemp("monitored"), wanted=True)
    yield room
    await shut(room, runner)


@pytest.fixture
async def bare_room(tmp_path: Path) -> AsyncIterator[Room]:
    """A world without the real servers."""
    room, runner = await open_room(tmp_path, wanted=False)
    yield room
    await shut(room, runner)


# -- the real servers --------------------------------------------------------------------------------------------------


async def test_a_lever_makes_real_alerts_fire_and_end_one_by_one(room: Room) -> None:
    assert {name: room.told[name].kind for name in PROGRAMS} == dict.fromkeys(PROGRAMS, "real")
    await room.move("fill_disk", environment="dev")
    both = {"warning /": "firing", "warning /var/lib/docker": "firing"}
    await room.until("both file systems", lambda: room.listener.states("LowDiskSpace") == both)
    labels = room.listener.of("LowDiskSpace")[-1]["commonLabels"]
    assert (labels["environment"], labels["service"]) == ("dev", "app")
    assert labels["instance"] == room.host.instance_id("dev")
    await room.move("fill_disk", on=False, environment="dev", mountpoint="/")
    one = {"warning /": "resolved", "warning /var/lib/docker": "firing"}
    await room.until("one of them to end", lambda: room.listener.states("LowDiskSpace") == one)
    await room.move("fill_disk", on=False, environment="dev")
    gone = dict.fromkeys(both, "resolved")
    await room.until("the end of both", lambda: room.listener.states("LowDiskSpace") == gone)


async def test_a_critical_alert_inhibits_the_warning_of_its_name(room: Room) -> None:
    await room.move("fill_memory", severity="critical", environment="prod")

    async def inhibited() -> bool:
        alerts = [one for one in await room.asked("/api/v2/alerts") if one["labels"]["alertname"] == "HighMemoryUsage"]
        states = {one["labels"]["severity"]: one["status"]["state"] for one in alerts}
        return states == {"critical": "active", "warning": "suppressed"}

    await room.until("the warning to be inhibited", inhibited)
    # An alert that ends before its group's first notification is never told at all, so there would be no end to hear.
    await room.until("the critical one", lambda: room.listener.states("HighMemoryUsage").get("critical") == "firing")
    await room.move("fill_memory", on=False, environment="prod")
    await room.until("its end", lambda: room.listener.states("HighMemoryUsage").get("critical") == "resolved")


async def test_the_heartbeat_comes_again_and_again_until_it_is_stopped(room: Room) -> None:
    await room.until("two beats", lambda: len(room.listener.of("Watchdog")) >= 2)
    beats = room.listener.of("Watchdog")[-2:]
    assert beats[0] == beats[1], "a repeat is the same payload"
    await room.move("watchdog_off")

    async def silent() -> bool:
        alerts = (await room.asked("/api/v1/alerts", of="prometheus"))["data"]["alerts"]
        return "Watchdog" not in {one["labels"]["alertname"] for one in alerts}

    await room.until("the heartbeat to stop", silent)
    await room.move("watchdog_off", on=False)


async def test_a_service_that_does_not_answer_is_an_alert_of_its_own(room: Room) -> None:
    # No version runs on these hosts, so their front addresses answer 503.
    await room.until("AppDown", lambda: room.listener.states("AppDown").get("critical") == "firing")
    environments = {one["groupLabels"]["environment"] for one in room.listener.of("AppDown")}
    assert environments == {"dev", "prod"}
    first = room.listener.of("AppDown")[0]["alerts"][0]
    assert set(first["annotations"]) >= {"summary", "description", "runbook_url"}
    assert first["generatorURL"].startswith(room.told["prometheus"].url)


async def test_each_server_can_be_taken_away_and_comes_back_at_its_address(room: Room) -> None:
    status = f"{room.told['alertmanager'].url}/api/v2/status"
    async with aiohttp.ClientSession() as session:
        await room.part.server({"server": "alertmanager", "action": "stop"})
        assert (room.told["alertmanager"].detail, room.told["alertmanager"].pid) == ("stopped", None)
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(status)
        await room.part.server({"server": "alertmanager", "action": "start"})
        async with session.get(status) as answer:
            assert answer.status == 200
        await room.part.server({"server": "alertmanager", "action": "hang"})
        assert room.told["alertmanager"].detail == "frozen"
        with pytest.raises(TimeoutError):
            await session.get(status, timeout=aiohttp.ClientTimeout(total=0.5))
        await room.part.server({"server": "alertmanager", "action": "start"})
        async with session.get(status) as answer:
            assert answer.status == 200


async def test_faults_of_the_wire_meet_whoever_asks_a_server(room: Room) -> None:
    fault = room.faults.add("prometheus", "status", status=502, times=1)
    url = f"{room.told['prometheus'].url}/api/v1/query?query=1"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert (answer.status, answer.content_type, fault.hits) == (502, "text/html", 1)
        async with session.get(url) as answer:
            assert (await answer.json())["data"]["result"][1] == "1"
    seen = room.ledger.requests("prometheus", 0)[-2:]
    assert [(one["status"], one["fault"]) for one in seen] == [(502, "status"), (200, "")]


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}], ids=str
)
async def test_a_foreign_page_is_refused_at_the_addresses_that_are_told(room: Room, headers: dict[str, str]) -> None:
    silence = {
        "matchers": [{"name": "severity", "value": ".+", "isRegex": True, "isEqual": True}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "evil",
        "comment": "evil",
    }
    before = await room.asked("/api/v2/silences")
    async with aiohttp.ClientSession() as session:
        for name, path in (("alertmanager", "/api/v2/silences"), ("prometheus", "/api/v1/query")):
            async with session.post(f"{room.told[name].url}{path}", json=silence, headers=headers) as answer:
                assert answer.status == 403
    assert await room.asked("/api/v2/silences") == before


async def test_the_worlds_own_page_and_alertmanagers_may_ask(room: Room) -> None:
    url = room.told["alertmanager"].url
    async with aiohttp.ClientSession() as session:
        for origin in (PAGE, url):
            async with session.get(f"{url}/api/v2/status", headers={"Origin": origin}) as answer:
                assert answer.status == 200


async def test_the_servers_themselves_answer_nobody_without_the_worlds_certificate(room: Room) -> None:
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    urls = [server.url for servers in room.part._servers.values() for server in servers]
    assert len(urls) == 4
    async with aiohttp.ClientSession() as session:
        for url in urls:
            with pytest.raises(aiohttp.ClientError):
                async with session.get(f"{url}/metrics", ssl=blind) as answer:
                    await answer.read()
            async with session.post(url.replace("https", "http") + "/api/v2/alerts", json=[]) as answer:
                assert answer.status == 400


async def test_neither_server_can_be_ended_nor_emptied_by_a_request(room: Room) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/-/quit", "/-/reload", "/api/v1/admin/tsdb/delete_series?match[]=up", "/api/v1/write"):
            async with session.post(f"{room.told['prometheus'].url}{path}") as answer:
                assert answer.status in (403, 404, 500), path
    assert room.part.describe()["servers"]["prometheus"] == ["running"]


def test_their_configuration_passes_their_own_checks(room: Room) -> None:
    home = room.part._home
    for words in (
        ["promtool", "check", "config", str(home / "prometheus.yml")],
        ["amtool", "check-config", str(home / "alertmanager.yml")],
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr


# -- without them ------------------------------------------------------------------------------------------------------


async def test_without_the_programs_the_parts_are_absent_and_say_what_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told: dict[str, Part] = {}
    shared = {"clock": Clock(), "ledger": Ledger(), "faults": Faults(), "guard": Guard()}
    part = MonitoringPart(
        **shared, asked=Asked(tmp_path, ROOT, ("dev",)), changed=lambda one: told.update({one.name: one})
    )
    await part.prepare()
    assert {name: one.kind for name, one in told.items()} == dict.fromkeys(PROGRAMS, "absent")
    assert "apt-get install" in told["alertmanager"].detail
    assert part.addresses.alertmanager == ""
    await part.close()


async def test_a_figure_that_nobody_reads_is_not_moved(bare_room: Room) -> None:
    with pytest.raises(Rejected, match="Nobody reads"):
        await bare_room.move("burn_cpu")
    with pytest.raises(Rejected, match="no alertmanager here"):
        await bare_room.part.server({"server": "alertmanager", "action": "stop"})
    for body in ({"lever": "burn_cpu"}, {"lever": "earthquake", "on": True}, {"lever": "burn_cpu", "on": 1}):
        with pytest.raises(Rejected):
            await bare_room.part.move(body)
    with pytest.raises((Rejected, Missing)):
        await bare_room.move("stop_app", environment="moon")


async def test_a_stored_payload_is_posted_with_the_right_token(bare_room: Room) -> None:
    told = await bare_room.part.alerts({"fixture": "storm"})
    assert (told["posted"], set(told["statuses"])) == (STORM_GROUPS, {200})
    assert (len(bare_room.listener.taken), bare_room.listener.refused) == (STORM_GROUPS, 0)
    own = {"version": "4", "alerts": [], "groupLabels": {}}
    await bare_room.part.alerts({"payload": own})
    assert bare_room.listener.taken[-1] == own
    for body in ({}, {"fixture": "unheard of"}, {"fixture": "storm", "payload": own}):
        with pytest.raises(Rejected):
            await bare_room.part.alerts(body)


def test_stored_payloads_have_the_form_of_captured_ones() -> None:
    labels, captured = CAPTURED_FINGERPRINT
    assert fingerprint(labels) == captured
    fixtures = Fixtures()
    firing = fixtures.made("firing-group-12")[0]["alerts"]
    mixed = fixtures.made("mixed-7-firing-5-resolved")[0]["alerts"]
    ended = fixtures.made("resolved-group-7")[0]
    assert [one["status"] for one in mixed] == ["firing"] * 7 + ["resolved"] * 5
    assert {(one["fingerprint"], one["startsAt"]) for one in firing} == {
        (one["fingerprint"], one["startsAt"]) for one in mixed
    }
    assert (ended["status"], len(ended["alerts"])) == ("resolved", 7)
    again = fixtures.made("firing-group-12")[0]["alerts"]
    assert again[0]["startsAt"] != firing[0]["startsAt"], "a new firing is a new episode"
    assert fixtures.made("watchdog") == fixtures.made("watchdog")
    assert json.loads(json.dumps(fixtures.made("odd-text")))


@pytest.mark.parametrize("alertmanager", ["", "http://127.0.0.1:6"], ids=["without servers", "with servers"])
def test_the_bot_accepts_the_sections_about_alerts(tmp_path: Path, alertmanager: str) -> None:
    addresses = botconfig.MonitoringAddresses(5, alertmanager, "http://127.0.0.1:7" if alertmanager else "")
    endpoints = botconfig.Endpoints(
        discord_api="http://127.0.0.1:1/api/v10",
        discord_gateway="ws://127.0.0.1:1/gateway",
        github_api="http://127.0.0.1:2",
        aws="http://127.0.0.1:3",
        instances={"dev": "i-0123456789abcdef0", "prod": "i-0123456789abcdef1"},
        service_urls={"dev": "http://127.0.0.1:4", "prod": "http://127.0.0.1:5"},
        monitoring=addresses,
    )
    file = botconfig.ConfigFile(tmp_path / "quarterdeck.toml")
    file.write(botconfig.compose(endpoints, home=tmp_path))
    secrets = botconfig.Secrets(cast.new_discord_token(), "ghs_token", ("SANDBXID", "aws-secret"), "the alerts' token")
    loaded = settings.load(file.path, botconfig.environment(secrets, page_url="http://127.0.0.1:8700"))
    assert loaded.alerts is not None
    assert loaded.alerts.listen_port == 5
    assert bool(loaded.alerts.heartbeats) is bool(loaded.metrics) is bool(alertmanager)
    assert "the alerts' token" not in file.text()


def test_every_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do() -> None:
    found = rules.tuned(ROOT)["groups"][0]["rules"]
    alerts = [rule for rule in found if "alert" in rule]
    assert {rule["alert"] for rule in alerts} == set(rules.ALERTS)
    for rule in alerts:
        assert rule["labels"]["severity"] in ("none", "warning", "critical"), rule["alert"]
        assert set(rule["annotations"]) >= {"summary", "description", "runbook_url"}, rule["alert"]
        assert rule.get("for", "0s") in ("0s", "2s"), rule["alert"]
    assert not [rule for rule in found if "m]" in rule["expr"]], "a span of minutes would take minutes"

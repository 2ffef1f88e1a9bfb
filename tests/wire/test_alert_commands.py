"""The commands about alerts, typed in a Discord of the sandbox, with a real Alertmanager behind them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from sqlalchemy import select

from bot.alerts.model import AlertGroup, SilenceKind
from bot.alerts.payload import parse
from bot.alerts.store import AlertStore, GroupFilter
from bot.db.tables import cards, events
from bot.services.silences import SilenceService
from bot.ui.handover_card import TAKE_OVER
from tests.payloads import alert, payload
from tests.wire.discord_world import ran, settled
from tests.wire.front_room import FrontRoom, _handles_shown, open_front_room
from tests.wire.monitoring_room import ALERTMANAGER, Alertmanager, alertmanager, binary, free_port

T = TypeVar("T")
TOKEN = "token-of-alerts"
CPU = {"alertname": "HighCPUUsage", "environment": "prod", "service": "app", "severity": "critical", "instance": "i-1"}
DISK = {"alertname": "LowDiskSpace", "environment": "dev", "service": "app", "severity": "warning", "instance": "i-2"}
STRAY = {"alertname": "CertificateExpiring", "severity": "warning"}
PATIENCE_S = 30
ROTA = {"rota": ["sre", "sre2"], "starts_at": "2026-01-05T09:00:00+00:00", "turn_days": 7, "zone": "Europe/Berlin"}


@dataclass
class Watch:
    """The house, and the Alertmanager that it asks."""

    room: FrontRoom
    alertmanager: Alertmanager
    service: "Service"

    @property
    def store(self) -> AlertStore:
        assert self.room.house.alerting is not None
        return self.room.house.alerting.store

    @property
    def silences(self) -> SilenceService:
        assert self.room.house.alerting is not None
        return self.room.house.alerting.silences

    async def said(self, user: str, command: str, **options: Any) -> str:
        """The text of the private answer."""
        answer = await ran(self.room.part, command, "answered", user=user, **options)
        assert answer["ephemeral"]
        return str(answer["text"])

    async def silence_this(self, user: str, channel: str, message_id: str) -> str:
        """The text of the answer to “Silence this” in a message's menu."""
        asked = {"user": user, "channel": channel, "command": "Silence this", "target": message_id}
        answer = await settled(self.room.part, await self.room.part.command(asked), "answered")
        assert answer["ephemeral"]
        return str(answer["text"])

    async def message(self, channel: str, *words: str) -> dict[str, Any]:
        """The newest message there that holds all these words, once there is one."""

        async def look() -> dict[str, Any] | None:
            found = reversed(self.room.part.messages(channel=channel)["messages"])
            return next((one for one in found if all(word in one["text"] for word in words)), None)

        return await eventually(look)

    async def offered(self, user: str, command: str, option: str, text: str = "") -> list[str]:
        asked = {"user": user, "channel": "ops", "command": command, "option": option, "text": text, "options": {}}
        sent = await self.room.part.autocomplete(asked)
        return [choice["value"] for choice in (await settled(self.room.part, sent, "choices"))["choices"]]

    async def named(self, user: str, command: str, option: str, text: str) -> list[str]:
        """The suggestions as they are shown."""
        asked = {"user": user, "channel": "ops", "command": command, "option": option, "text": text, "options": {}}
        sent = await self.room.part.autocomplete(asked)
        return [choice["name"] for choice in (await settled(self.room.part, sent, "choices"))["choices"]]

    async def group(self, name: str) -> AlertGroup:
        """The open group of that alert, once it is there."""

        async def look() -> AlertGroup | None:
            found = await self.store.groups(GroupFilter(state="open", text=name))
            return found[0] if found else None

        return await eventually(look)

    async def recorded(self, name: str) -> list[tuple[str, str, str]]:
        """(actor, environment, text) of the events of that name, oldest first."""
        statement = select(events.c.actor, events.c.environment, events.c.text).where(events.c.name == name)
        found = await self.room.house.database.read(lambda c: c.execute(statement.order_by(events.c.id)).all())
        return [(row.actor, row.environment, row.text) for row in found]


async def eventually(look: Callable[[], Awaitable[T | None]]) -> T:
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await look()):
            await asyncio.sleep(0.05)
    return found


@dataclass
class Service:
    """A service that says which commit it is."""

    commit: str = "a" * 40

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "commit": self.commit, "built_from": self.commit})


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    """Its address."""
    app = web.Application()
    app.router.add_get("/health", service.health)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
async def watch(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watch]:
    path = tmp_path_factory.mktemp("watch")
    port = free_port()
    webhook = f"http://alertmanager:{TOKEN}@127.0.0.1:{port}/webhooks/alertmanager"
    service = Service()
    async with alertmanager(path / "alertmanager", webhook=webhook) as server, serving(service) as url:
        section = {
            "listen_port": port, "alertmanagers": [server.url], "reconcile_s": 0.3, "oncall": ROTA,
            "routes": [{"name": "critical", "matchers": ['severity="critical"'], "channel": "alerts-critical"}],
        }  # fmt: skip
        secrets = {"QUARTERDECK_ALERTMANAGER_TOKEN": TOKEN}
        changes = {"alerts": section, "services": {"app": {"urls": {"dev": url}}}, "github": {"watch_s": 2}}
        async with open_front_room(path, changes=changes, secrets=secrets) as room:
            await server.post(CPU, DISK, STRAY)
            opened = Watch(room, server, service)
            for labels in (CPU, DISK, STRAY):
                await opened.group(labels["alertname"])
            yield opened


async def test_what_fires_is_listed_worst_first_with_a_link_to_its_card(watch: Watch) -> None:
    async def linked() -> str | None:
        text = await watch.said("dev", "alerts list")
        return text if text.count("[card]") == 3 else None

    text = await eventually(linked)
    assert "3 groups firing" in text
    assert text.index("HighCPUUsage - prod") < text.index("LowDiskSpace - dev")
    assert "nobody has it" in text
    assert "1 group firing in dev" in await watch.said("dev", "alerts list", environment="dev")
    assert "\nnone" in await watch.said("dev", "alerts list", state="acked")
    assert "Refused" in await watch.said("guest", "alerts list")


async def test_one_group_is_shown_in_full_and_others_are_not_known(watch: Watch) -> None:
    group = await watch.group("HighCPUUsage")
    text = await watch.said("dev", "alerts show", alert=f"A{group.id}")
    assert "HighCPUUsage" in text and "i-1" in text
    assert text.count("It is so") == 1
    assert "is no alert that is known here" in await watch.said("dev", "alerts show", alert="A999")
    assert "is no alert that is known here" in await watch.said("dev", "alerts show", alert="HighCPU")


async def test_whoever_takes_an_alert_has_it_and_the_record_says_so(watch: Watch) -> None:
    group = await watch.group("LowDiskSpace")
    assert f"You have A{group.id} now" in await watch.said("dev", "alerts ack", alert=f"A{group.id}")
    assert (await watch.group("LowDiskSpace")).acked_by == "dev"
    assert "dev has it" in await watch.said("sre", "alerts list", state="acked")
    assert "It was dev's" in await watch.said("sre", "alerts ack", alert=str(group.id))
    assert [actor for actor, place, _ in await watch.recorded("alert.acked") if place == "dev"] == ["dev", "sre"]
    assert "Refused" in await watch.said("guest", "alerts ack", alert=f"A{group.id}")


async def test_a_silence_is_made_extended_listed_and_ended_in_alertmanager(watch: Watch) -> None:
    text = await watch.said(
        "sre", "silence create", matchers='alertname="HighCPUUsage", environment="prod"', length="2h", comment="known"
    )
    assert "Silenced" in text and "It meets 1 alert" in text
    (silence,) = [one for one in await watch.silences.listed() if one.comment == "known"]
    assert timedelta(minutes=119) < silence.ends_at - datetime.now(UTC) < timedelta(minutes=121)

    async def silenced() -> bool:
        return (await watch.group("HighCPUUsage")).silenced

    await eventually(silenced)
    assert "known" in await watch.said("dev", "silence list", environment="prod")
    assert "known" not in await watch.said("dev", "silence list", environment="dev")
    assert silence.am_id in await watch.offered("sre", "silence expire", "silence")
    await watch.said("sre", "silence extend", silence=silence.am_id[:8], length="1d")
    (longer,) = [one for one in await watch.silences.listed() if one.comment == "known"]
    assert longer.ends_at - datetime.now(UTC) > timedelta(hours=23)
    assert "silence:write" in await watch.said("dev", "silence expire", silence=longer.am_id)
    assert "No longer silenced" in await watch.said("sre", "silence expire", silence=longer.am_id)
    assert "is no silence that holds" in await watch.said("sre", "silence expire", silence=longer.am_id)
    made = await watch.recorded("silence.created")
    assert [(actor, place) for actor, place, text in made if "known" in text] == [("sre", "prod")]
    assert [(actor, place) for actor, place, _ in await watch.recorded("silence.expired")] == [("sre", "prod")]
    changes = await watch.room.house.changes.lately("prod", "app", timedelta(hours=2))
    assert {change.kind for change in changes} >= {"silence"}


async def test_a_silence_that_may_reach_any_environment_is_listed_for_each(watch: Watch) -> None:
    said = {"matchers": 'alertname="Nowhere"', "length": "1h", "comment": "everywhere"}
    assert "Silenced" in await watch.said("sre", "silence create", **said)
    for environment in ("dev", "prod"):
        assert "everywhere" in await watch.said("sre", "silence list", environment=environment)
    (silence,) = [one for one in await watch.silences.listed() if one.comment == "everywhere"]
    assert "No longer silenced" in await watch.said("sre", "silence expire", silence=silence.am_id)


async def test_dev_silences_dev_and_nothing_that_reaches_beyond_it(watch: Watch) -> None:
    for matchers in ('alertname="LowDiskSpace"', 'environment="prod"', 'environment=~"dev"', 'environment!="prod"'):
        text = await watch.said("dev", "silence create", matchers=matchers, length="1h")
        assert "Refused" in text and "silence:write" in text, matchers
    text = await watch.said("dev", "silence create", matchers="environment=dev", length="until resolved")
    assert "Silenced" in text
    (silence,) = [one for one in await watch.silences.listed() if one.kind is SilenceKind.UNTIL_RESOLVED]
    assert "No longer silenced" in await watch.said("dev", "silence expire", silence=silence.am_id)


@pytest.mark.parametrize(("options", "says"), [
    ({"matchers": "", "length": "1h"}, "would silence everything"),
    ({"matchers": "what now", "length": "1h"}, "is no matcher"),
    ({"matchers": 'a=~"("', "length": "1h"}, "is no regular expression"),
    ({"matchers": "a=b", "length": "soon"}, "neither a length nor a point in time"),
    ({"matchers": "a=b", "length": "400d"}, "too long: 30 d at most"),
    ({"matchers": "a=b", "length": "until resolved"}, "nothing whose end to wait for"),
])  # fmt: skip
async def test_a_silence_that_makes_no_sense_is_refused_in_words(
    watch: Watch, options: dict[str, str], says: str
) -> None:
    if not options["matchers"]:  # Discord refuses it already
        options = {**options, "matchers": ","}
    before = len(await watch.silences.listed())
    assert says in await watch.said("sre", "silence create", **options)
    assert len(await watch.silences.listed()) == before


async def test_without_a_length_the_question_shows_what_it_would_meet(watch: Watch) -> None:
    text = await watch.said("sre", "silence create", matchers='alertname=~"High.*|Low.*"')
    assert "It meets 2 alerts that fire now" in text
    assert "How long?" in text
    offered = await watch.offered("sre", "silence create", "matchers", "highcpu")
    assert 'alertname="HighCPUUsage", environment="prod", service="app"' in offered


async def test_a_card_s_own_menu_asks_how_long_to_silence_what_it_shows(watch: Watch) -> None:
    card = await watch.message("alerts-critical", "HighCPUUsage")
    text = await watch.silence_this("sre", "alerts-critical", card["id"])
    assert "How long?" in text
    assert 'instance="i-1"' in text and 'alertname="HighCPUUsage"' in text
    assert "It meets 1 of this card" in text
    assert "silence:write" in await watch.silence_this("dev", "alerts-critical", card["id"])


async def test_what_alertmanager_posts_by_itself_can_be_silenced_from_its_menu(watch: Watch, tmp_path: Path) -> None:
    hook = await watch.room.part.webhook({"channel": "general", "name": "Alertmanager"})
    port = free_port()
    (tmp_path / "alertmanager.yml").write_text(
        "route: {receiver: discord, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers: [{{name: discord, discord_configs: [{{webhook_url: '{hook['url']}'}}]}}]\n"
    )
    own = Alertmanager(
        tmp_path,
        [binary(ALERTMANAGER), "--config.file=alertmanager.yml", "--storage.path=data",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
        port=port, ready="/-/ready",
    )  # fmt: skip
    try:
        await own.start()
        await own.post(DISK, {**DISK, "instance": "i-3"})
        post = await watch.message("general", "LowDiskSpace", "i-3")
    finally:
        await own.stop()
    text = await watch.silence_this("dev", "general", post["id"])
    assert "How long?" in text
    assert 'alertname="LowDiskSpace"' in text and 'environment="dev"' in text
    assert "i-2" not in text and "i-3" not in text
    assert "It meets 1 alert that" in text
    board = await watch.message("ops", "as of")
    assert "No labels of an alert can be read" in await watch.silence_this("sre", "ops", board["id"])


async def test_maintenance_is_of_one_place_planned_listed_and_ends_sooner_on_demand(watch: Watch) -> None:
    text = await watch.said(
        "sre", "maintenance start", environment="prod", length="90m", service="app", note="New disks", start="in 30m"
    )
    assert "Maintenance" in text and "service" in text
    (window,) = [one for one in await watch.silences.listed() if one.kind is SilenceKind.MAINTENANCE]
    assert window.ends_at - window.starts_at == timedelta(minutes=90)
    assert window.starts_at > datetime.now(UTC) + timedelta(minutes=25)
    assert "New disks" in await watch.said("dev", "maintenance list")
    assert "Refused" in await watch.said("dev", "maintenance start", environment="prod", length="1h")
    assert window.am_id in await watch.offered("sre", "maintenance end", "window")
    assert "Maintenance is over" in await watch.said("sre", "maintenance end", window=window.am_id)
    assert "none" in await watch.said("dev", "maintenance list")
    assert [place for _, place, _ in await watch.recorded("maintenance.started")] == ["prod"]
    assert [place for _, place, _ in await watch.recorded("maintenance.ended")] == ["prod"]


async def test_typed_times_are_those_of_the_rotas_zone_and_the_answer_says_so(watch: Watch) -> None:
    zone = ZoneInfo(ROTA["zone"])
    assert "at 22:00 · Europe/Berlin" in await watch.named("sre", "maintenance start", "start", "at 22:00")
    text = await watch.said(
        "sre", "maintenance start", environment="dev", length="until tomorrow 23:30", start="tomorrow 22:00"
    )
    assert text.count("Read in Europe/Berlin") == 1, text
    (window,) = [one for one in await watch.silences.listed() if one.kind is SilenceKind.MAINTENANCE]
    begin, end = window.starts_at.astimezone(zone), window.ends_at.astimezone(zone)
    assert (begin.date(), f"{begin:%H:%M}") == (datetime.now(zone).date() + timedelta(days=1), "22:00")
    assert end.replace(tzinfo=None) - begin.replace(tzinfo=None) == timedelta(minutes=90)
    text = await watch.said("sre", "silence extend", silence=window.am_id, length="3d")
    assert "Read in" not in text
    text = await watch.said("sre", "silence extend", silence=window.am_id, length="until tomorrow 23:45")
    assert "Read in Europe/Berlin" in text
    assert "Maintenance is over" in await watch.said("sre", "maintenance end", window=window.am_id)
    told = await watch.said("sre", "audit", since="2026-01-05 12:30")
    assert "Read in Europe/Berlin" in told and "since 2026-01-05 11:30 UTC" in told
    told = await watch.said("sre", "audit", since="2026-01-05T12:30Z", until="1min")
    assert "Read in" not in told and "since 2026-01-05 12:30 UTC" in told
    text = await watch.said("sre", "silence create", matchers='environment="dev"', length="until 2026-03-29 02:30")
    assert "02:30 on 2026-03-29 does not exist in Europe/Berlin" in text and "Refused" in text


async def test_an_override_puts_somebody_on_call_and_the_newest_one_wins(watch: Watch) -> None:
    assert "is on call until" in await watch.said("dev", "oncall show")
    text = await watch.said("sre", "oncall override", person="owner", until="4h", reason="Cover")
    assert "owner" in text
    turn = await watch.store.on_call()
    assert turn is not None and turn.person == "owner"
    assert "owner is on call until" in (shown := await watch.said("dev", "oncall show"))
    assert "Cover" in shown
    assert "no person of the configuration" in await watch.said("sre", "oncall override", person="nobody", until="4h")
    assert "oncall:write" in await watch.said("dev", "oncall override", person="dev", until="4h")
    assert [actor for actor, _, _ in await watch.recorded("oncall.overridden")] == ["sre"]


async def test_a_shift_is_handed_over_on_one_card_and_only_the_receiver_takes_it(watch: Watch) -> None:
    cpu = await watch.group("HighCPUUsage")
    await watch.said("sre", "alerts ack", alert=f"A{cpu.id}")
    await watch.room.ask("dev", "prod", end="never")
    text = await watch.said("sre", "handover", to="sre2", note="Look at *the disks*.", until="6h")
    assert "Handed to sre2" in text

    async def card() -> dict[str, Any] | None:
        found = watch.room.part.messages(channel="ops")["messages"]
        return next((one for one in found if "HANDOVER" in one["text"] and "as of" in one["text"]), None)

    shown = await eventually(card)
    for word in ("sre to sre2", "HighCPUUsage - prod", "acked by me", "operations", "locks", "Look at", "the disks"):
        assert word in shown["text"], word
    assert shown["pings"]["users"] == ["sre2"]
    key, message_id = await _handover_card(watch)
    handle = (await _handles(watch, key))[TAKE_OVER]
    forged = await watch.room.press("sre2", message_id, handle, place="other channel")
    assert "belongs to another message" in forged["text"]
    refused = await watch.room.press("sre", message_id, handle)
    assert "handed to sre2" in refused["text"]
    taken = await watch.room.press("sre2", message_id, handle)
    assert "You are on call until" in taken["text"]
    turn = await watch.store.on_call()
    assert turn is not None and turn.person == "sre2"
    again = await watch.room.press("sre2", message_id, handle)
    assert "You are on call until" in again["text"] or "not known" in again["text"]
    assert [actor for actor, _, _ in await watch.recorded("handover.taken")] == ["sre2"]

    async def drawn() -> dict[str, Any] | None:
        found = watch.room.part.messages(channel="ops")["messages"]
        return next((one for one in found if "TAKEN" in one["text"]), None)

    over = await eventually(drawn)
    assert over["id"] == shown["id"]
    assert [part["label"] for part in over["components"] if part["kind"] == "button"] == []


async def _handover_card(watch: Watch) -> tuple[str, int]:
    statement = select(cards.c.key, cards.c.message_id).where(cards.c.key.startswith("handover:"))
    row = await watch.room.house.database.read(lambda c: c.execute(statement).one())
    return row.key, row.message_id


async def _handles(watch: Watch, key: str) -> dict[str, str]:
    async def look() -> dict[str, str] | None:
        return await watch.room.house.database.read(lambda c: _handles_shown(c, key))

    return await eventually(look)


async def test_a_version_that_somebody_put_there_by_hand_is_recorded_once_and_told(watch: Watch) -> None:
    await eventually(lambda: watch.recorded("version.sighted"))
    watch.service.commit = "b" * 40
    ((actor, place, text),) = await eventually(lambda: watch.recorded("hand.change"))
    assert (actor, place) == ("somebody", "dev")
    assert "app in dev serves bbbbbbb instead of aaaaaaa" in text
    await watch.message("audit", "hand.change", "bbbbbbb")
    await asyncio.sleep(2.5)  # one more look
    assert len(await watch.recorded("hand.change")) == 1
    (change, *_) = await watch.room.house.changes.lately("dev", "app", timedelta(hours=2))
    assert change.kind == "by hand"


async def test_help_names_the_commands_and_the_menu_and_where_one_may(watch: Watch) -> None:
    text = await watch.said("dev", "help")
    assert "/alerts ack: Take an alert group" in text
    assert "“Silence this” in a message's menu · you: dev" in text


async def test_figures_count_what_fired_and_come_with_a_picture(watch: Watch) -> None:
    answer = await ran(watch.room.part, "alerts stats", "answered", user="dev", range="24h")
    assert "HighCPUUsage" in answer["text"]
    assert "people were called" in answer["text"]
    shown = watch.room.part.messages(channel="ops", user="dev")["messages"]
    (picture,) = next(one["attachments"] for one in reversed(shown) if "Alert figures" in one["text"])
    assert picture["filename"] == "chart.png" and picture["size"] > 5000
    assert "Refused" in await watch.said("dev", "alerts stats", range="9999d")


async def test_while_alertmanager_is_away_the_answer_says_not_silenced(watch: Watch) -> None:
    await watch.alertmanager.stop()
    try:
        text = await watch.said("sre", "silence create", matchers="alertname=HighCPUUsage", length="1h")
        assert "NOT silenced" in text
        assert "NOT silenced" in await watch.said("sre", "maintenance start", environment="prod", length="1h")

        async def doubted() -> bool:
            return "Alertmanager cannot be asked since" in await watch.said("dev", "alerts list")

        await eventually(doubted)
    finally:
        await watch.alertmanager.start()


# ---- one environment hidden ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def parted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontRoom]:
    """A house without an Alertmanager whose policy lets dev look at the alerts of dev alone, with one in each place."""
    rows = [
        {"action": action, "environment": environment, "requesters": who}
        for action in ("alert:view", "alert:ack")
        for environment, who in (("dev", ["dev", "sre"]), ("prod", ["sre"]))
    ]
    changes = {"policy": rows, "alerts": {"listen_port": 0}}
    secrets = {"QUARTERDECK_ALERTMANAGER_TOKEN": TOKEN}
    async with open_front_room(tmp_path_factory.mktemp("parted"), changes=changes, secrets=secrets) as room:
        assert room.house.alerting is not None
        for name, environment in (("HighCPUUsage", "prod"), ("LowDiskSpace", "dev")):
            body = payload([alert(name, "i-1", environment=environment)])
            at = datetime.now(UTC)
            await room.house.alerting.store.take(body, parse(body), source="test", received_at=at)
        while await room.house.alerting.store.apply_next():
            pass
        yield room


async def told(room: FrontRoom, user: str, command: str, **options: Any) -> str:
    return str((await ran(room.part, command, "answered", user=user, **options))["text"])


async def test_what_a_rule_hides_is_counted_and_not_shown_taken_or_suggested(parted: FrontRoom) -> None:
    assert parted.house.alerting is not None
    store = parted.house.alerting.store
    (hidden,) = await store.groups(GroupFilter(text="HighCPUUsage"))
    listed = await told(parted, "dev", "alerts list")
    assert "LowDiskSpace" in listed and "HighCPUUsage" not in listed
    assert "1 more group you may not see." in listed
    assert "HighCPUUsage" in await told(parted, "sre", "alerts list")
    for command in ("alerts show", "alerts ack"):
        assert "alert:view in prod" in await told(parted, "dev", command, alert=f"A{hidden.id}")
    (still,) = await store.groups(GroupFilter(text="HighCPUUsage"))
    assert still.acked_by == ""
    figures = await told(parted, "dev", "alerts stats")
    assert "LowDiskSpace" in figures and "HighCPUUsage" not in figures
    assert "without environments that you may not see" in figures
    asked = {"channel": "ops", "command": "alerts show", "option": "alert", "text": "", "options": {}}
    for user, sees in (("dev", False), ("sre", True)):
        sent = await parted.part.autocomplete({**asked, "user": user})
        offered = [choice["value"] for choice in (await settled(parted.part, sent, "choices"))["choices"]]
        assert (f"A{hidden.id}" in offered) is sees


async def test_what_nobody_is_granted_and_what_is_not_configured_is_said(parted: FrontRoom) -> None:
    text = await told(parted, "sre", "silence create", matchers="environment=dev", length="1h")
    assert "Refused" in text and "silence:write" in text  # this house grants it to nobody
    assert "none" in await told(parted, "sre", "silence list")
    assert "Nobody is on call now." in await told(parted, "sre", "oncall show")

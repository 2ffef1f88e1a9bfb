"""The real chain: a host's figures, node exporter, Prometheus' rules, Alertmanager, the bot, a card in a channel. At
each step what the channels say is held against what Alertmanager's own API says.
"""

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from bot.sandbox.monitoring.part import PROGRAMS
from tests.story.alert_watch import AlertWatch, Count, word
from tests.story.world_driver import Message, World

QUICK = {
    "alerts": {
        "reconcile_s": 0.5,
        "heartbeats": [{"name": "Watchdog", "every_s": 11, "grace_s": 3, "channel": "ops", "role": "sre"}],
        "routes": [
            {
                "name": "critical",
                "matchers": ['severity="critical"'],
                "channel": "alerts-critical",
                "role": "sre",
                "escalation": [{"after_s": 3, "person": "sre2"}, {"after_s": 6, "role": "owner"}],
            }
        ],
    }
}
NOTHING: Count = Counter()
DISKS: Count = Counter({("LowDiskSpace", "dev", "firing"): 2})
ONE_DISK: Count = Counter({("LowDiskSpace", "dev", "firing"): 1})
QUIET_DISKS: Count = Counter({("LowDiskSpace", "dev", "silenced"): 2})
DOWN: Count = Counter({("AppDown", "prod", "firing"): 1})
BUSY: Count = Counter({("HighCPUUsage", "prod", "firing"): 1})
MUTED: Count = Counter({("HighCPUUsage", "prod", "inhibited"): 1})
"""The warning, once the critical alert of its name fires."""
LOST = "HeartbeatLost"


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    """A world with real servers and a bot that looks often."""
    if missing := [program.package for program in PROGRAMS.values() if program.find() is None]:
        pytest.skip(f"{' and '.join(missing)} is not installed (Debian: apt-get install {' '.join(missing)})")
    async with World(speed=8.0, monitoring=True) as world:
        assert {(await world.part(name))["kind"] for name in PROGRAMS} == {"real"}
        await world.reconfigure(patch=QUICK)
        await world.wait_ready()
        yield world


@pytest.fixture
async def watch(world: World) -> AlertWatch:
    """Both sides of the world, in which nothing is wrong to begin with, whatever the test before has left."""
    for server in PROGRAMS:
        await act(world, server, "start")
    for environment in ("dev", "prod"):
        for lever in ("burn_cpu", "fill_disk", "stop_app", "watchdog_off"):
            await move(world, lever, environment, on=False)
    watch = AlertWatch(world, (await world.part("alertmanager"))["url"])
    await watch.agree(NOTHING)
    return watch


async def move(world: World, lever: str, environment: str, *, on: bool = True, **more: str) -> None:
    await world.post("/monitoring", {"lever": lever, "environment": environment, "on": on, **more})


async def act(world: World, server: str, action: str) -> None:
    await world.post("/monitoring/server", {"server": server, "action": action})


def webhooks_about(world: World, name: str) -> int:
    """How often Alertmanager has told of that alert by itself; no channel shows it, so the bot's database is read."""
    database = f"file:{world.home / 'state' / 'quarterdeck.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True)) as opened:
        fits = (f'%alertname="{name}"%',)
        return int(opened.execute("SELECT count(*) FROM alert_payloads WHERE group_key LIKE ?", fits).fetchone()[0])


async def pick(world: World, card: Message, entry: str) -> str:
    """Choose an entry of the card's menu as `sre`; returns the interaction's id."""
    menus = [one for one in card.raw["components"] if one.get("options")]
    values = [one["value"] for menu in menus for one in menu["options"] if one["label"] == entry]
    assert values, f"the card offers no {entry!r}: {menus}"
    return await world.press("sre", card, menus[0]["label"], values)


async def test_what_fires_and_what_ends_is_what_the_card_says(world: World, watch: AlertWatch) -> None:
    await move(world, "fill_disk", "dev")
    await watch.agree(DISKS)
    card = await watch.card("LowDiskSpace", "dev")
    assert (word(card), "[2 firing / 2]" in card.text) == ("WARNING", True)
    board = await watch.on_board("alerts", "LowDiskSpace - dev · 2 of 2")
    assert "1 group, 1 waiting for somebody" in board
    assert f"/{card.id}) warning LowDiskSpace" in board, "the board leads to the card"
    await move(world, "fill_disk", "dev", on=False, mountpoint="/")
    await watch.agree(ONE_DISK)
    assert "[1 firing / 2]" in (await watch.card("LowDiskSpace", "dev")).text
    await move(world, "fill_disk", "dev", on=False)
    await watch.agree(NOTHING)
    after = await watch.card("LowDiskSpace", "dev")
    assert (word(after), after.id) == ("RESOLVED", card.id)
    await watch.on_board("alerts", "nothing fires here")
    assert await watch.pings("alerts") == [], "a warning's route pings nobody"


async def test_a_silence_by_button_its_end_and_an_ack_are_true_on_both_sides(world: World, watch: AlertWatch) -> None:
    before = webhooks_about(world, "LowDiskSpace")
    await move(world, "fill_disk", "dev")
    await watch.agree(DISKS)

    async def told() -> bool:
        return webhooks_about(world, "LowDiskSpace") > before

    await world.until("Alertmanager to tell of it by itself: it tells of no end of what it has not told of", told)
    card = await watch.card("LowDiskSpace", "dev")
    question = await world.settle(await world.press("sre", card, "Silence…"))
    assert "It meets 2 of this card, and nothing else." in question.text
    answer = await world.settle(await world.press("sre", question.message, "1 h"))
    assert "Silenced" in answer.text, answer.text
    assert [one["createdBy"] for one in await watch.silences()] == ["sre"]
    await watch.agree(QUIET_DISKS)
    card = await watch.card("LowDiskSpace", "dev")
    assert word(card) == "SILENCED"
    assert "silenced by sre until" in card.text
    await watch.on_board("alerts", "1 group, none waiting for somebody")
    ended = await world.settle(await pick(world, card, "Unsilence"))
    assert "Ended 1 silence" in ended.text, ended.text
    assert await watch.silences() == []
    await watch.agree(DISKS)
    answer = await world.settle(await world.press("sre", await watch.card("LowDiskSpace", "dev"), "Ack"))
    assert "You have A" in answer.text, answer.text
    await world.card("**sre has it**", channel="alerts")
    await watch.agree(DISKS)
    await move(world, "fill_disk", "dev", on=False)
    await watch.agree(NOTHING)
    assert "has it" not in (await watch.card("LowDiskSpace", "dev")).text


async def test_what_nobody_takes_calls_one_after_the_other(world: World, watch: AlertWatch) -> None:
    await move(world, "stop_app", "prod")
    await watch.agree(DOWN)

    async def called() -> bool:
        return len(await watch.pings("alerts-critical")) >= 3

    await world.until("the last step of the escalation", called)
    pings = await watch.pings("alerts-critical")
    assert [(ping["roles"], ping["users"]) for ping in pings] == [(["sre"], []), ([], ["sre2"]), (["owner"], [])]
    card = await watch.card("AppDown", "prod")
    assert "You have A" in (await world.settle(await world.press("sre", card, "Ack"))).text
    await move(world, "stop_app", "prod", on=False)
    await watch.agree(NOTHING)


async def test_alertmanager_away_is_said_and_so_is_its_return(world: World, watch: AlertWatch) -> None:
    await move(world, "stop_app", "prod")
    await watch.agree(DOWN)
    await act(world, "alertmanager", "stop")
    await world.card("AppDown", "unconfirmed since", channel="alerts-critical")
    assert await watch.doubts(), "this is what no card may say while Alertmanager answers"
    refused = await world.settle(await world.press("sre", await watch.card("AppDown", "prod"), "Silence…"))
    assert "NOT silenced" in refused.text, refused.text
    await act(world, "alertmanager", "start")
    await watch.agree(DOWN)
    await move(world, "stop_app", "prod", on=False)
    await watch.agree(NOTHING)


async def test_a_dead_prometheus_is_a_lost_heartbeat_and_its_return_ends_that(world: World, watch: AlertWatch) -> None:
    await move(world, "fill_disk", "dev")
    await watch.agree(DISKS)
    await act(world, "prometheus", "kill")
    lost = await world.card(LOST, "1 firing", channel="ops", timeout_s=40)
    assert {"sre"} <= {role for ping in await watch.pings("ops") for role in ping["roles"]}
    # Alertmanager itself takes what nobody repeats for ended; the channel says what it says.
    await watch.agree(NOTHING, timeout_s=40)
    await act(world, "prometheus", "start")
    await watch.agree(DISKS)
    await world.card(LOST, "RESOLVED", channel="ops")
    assert len([one for one in await world.messages("ops") if LOST in one.text and one.id == lost.id]) == 1
    await move(world, "fill_disk", "dev", on=False)
    await watch.agree(NOTHING)


async def test_a_silent_heartbeat_is_noticed_while_everything_else_works(world: World, watch: AlertWatch) -> None:
    await move(world, "watchdog_off", "dev")
    await move(world, "burn_cpu", "prod")
    await watch.agree(BUSY)
    assert word(await watch.card("HighCPUUsage", "prod")) == "WARNING"
    await move(world, "burn_cpu", "prod", severity="critical")
    await watch.agree(BUSY + MUTED)
    await world.card(LOST, "1 firing", channel="ops", timeout_s=40)
    await move(world, "watchdog_off", "dev", on=False)
    await move(world, "burn_cpu", "prod", on=False)
    await world.card(LOST, "RESOLVED", channel="ops")
    await watch.agree(NOTHING)

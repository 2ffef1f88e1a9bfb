"""When a heartbeat counts as lost, and when nobody may be blamed yet."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.alert_settings import AlertSettings, HeartbeatSettings
from bot.alerts.store import AlertStore, GroupFilter
from bot.db.database import Database
from bot.services.heartbeats import Heartbeats, Pulse, pulse
from bot.services.outside import ALERTMANAGER, PROMETHEUS, Outside

START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
BEAT = HeartbeatSettings(name="Watchdog", every_s=180, grace_s=120, role="sre")


def at(seconds):
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("last", "alertmanager_at", "now", "found"),
    [
        (0, None, 180, Pulse.ALIVE),
        (0, None, 181, Pulse.LOST),
        (100, None, 281, Pulse.LOST),
        # our own start: whatever is late then gets the grace
        (-5000, None, 120, Pulse.IN_DOUBT),
        (-5000, None, 121, Pulse.LOST),
        (-100, None, 80, Pulse.ALIVE),
        (-100, None, 81, Pulse.IN_DOUBT),
        # never heard: its own time from our start on, and no less than the grace
        (None, None, 180, Pulse.IN_DOUBT),
        (None, None, 181, Pulse.LOST),
        # Alertmanager started anew: once more the grace
        (1000, 1150, 1200, Pulse.IN_DOUBT),
        (1000, 1150, 1270, Pulse.IN_DOUBT),
        (1000, 1150, 1271, Pulse.LOST),
        (None, 170, 290, Pulse.IN_DOUBT),
        (None, 170, 291, Pulse.LOST),
        # one that starts again and again gains no more than that
        (1000, 5000, 1300, Pulse.IN_DOUBT),
        (1000, 5000, 5010, Pulse.LOST),
        (None, 5000, 5010, Pulse.LOST),
    ],
)
def test_a_heartbeat_is_alive_in_doubt_or_lost(last, alertmanager_at, now, found):
    heard = None if last is None else at(last)
    began = None if alertmanager_at is None else at(alertmanager_at)
    assert pulse(BEAT, last=heard, started_at=START, alertmanager_at=began, now=at(now)) is found


class Rows:
    """The rows as far as heartbeats use them."""

    def __init__(self):
        self.beats, self.told = {}, []

    async def heartbeats(self):
        return dict(self.beats)

    async def raise_own(self, name, labels, annotations, moment, *, channel, role=None):
        self.told.append(("raised", name, dict(labels), dict(annotations), moment, channel, role))

    async def clear_own(self, name, moment):
        self.told.append(("cleared", name, moment))


@pytest.fixture
def room():
    rows, clock = Rows(), [START]
    outside = Outside(beside=(ALERTMANAGER, PROMETHEUS), now=lambda: clock[0])
    settings = AlertSettings(heartbeats=(BEAT,))
    made = Heartbeats(store=rows, settings=settings, outside=outside, now=lambda: clock[0])

    async def look(seconds):
        clock[0] = at(seconds)
        await made.look()
        found, rows.told = rows.told, []
        return found

    return rows, outside, look


async def test_a_lost_heartbeat_is_told_once_and_ended_once(room):
    rows, outside, look = room
    rows.beats["Watchdog"] = at(-10)
    assert [what for what, *_ in await look(60)] == ["cleared"]  # the first look after a start says what is so
    assert await look(100) == []
    outside.heard(ALERTMANAGER)
    outside.silent(PROMETHEUS, "no connection")
    ((what, name, labels, annotations, moment, channel, role),) = await look(200)
    assert (what, name, moment, channel, role) == ("raised", "heartbeat/Watchdog", at(200), "ops", "sre")
    assert labels == {
        "alertname": "HeartbeatLost", "heartbeat": "Watchdog", "severity": "critical", "service": "monitoring",
    }  # fmt: skip
    assert "last heard at 2026-11-23 02:59:50 UTC" in annotations["summary"]
    assert "Prometheus does not answer. Alertmanager answers." in annotations["description"]
    assert await look(500) == []
    rows.beats["Watchdog"] = at(600)
    assert await look(601) == [("cleared", "heartbeat/Watchdog", at(601))]
    assert await look(700) == []


async def test_each_environments_heartbeat_is_missed_by_itself():
    rows, clock = Rows(), [START]
    beats = (BEAT, BEAT.model_copy(update={"environment": "prod"}))
    made = Heartbeats(store=rows, settings=AlertSettings(heartbeats=beats), now=lambda: clock[0])
    rows.beats |= {"Watchdog": at(490), "Watchdog/prod": at(100)}
    clock[0] = at(500)
    await made.look()
    ended, (what, name, labels, annotations, *_) = rows.told
    assert ended[:2] == ("cleared", "heartbeat/Watchdog")
    assert (what, name, labels["environment"]) == ("raised", "heartbeat/Watchdog/prod", "prod")
    assert "The heartbeat Watchdog of prod was last heard" in annotations["summary"]


async def test_after_a_restart_nothing_is_ended_before_the_heartbeat_is_back(room):
    rows, _, look = room
    rows.beats["Watchdog"] = at(-4000)
    assert await look(10) == []
    assert [what for what, *_ in await look(121)] == ["raised"]


async def test_one_that_was_never_heard_says_so(room):
    _, _, look = room
    ((_, _, _, annotations, *_),) = await look(181)
    assert "was never heard" in annotations["summary"]
    assert "Prometheus is not asked from here." in annotations["description"]


async def test_in_the_rows_it_is_one_alert_over_restarts_that_calls_once_and_ends(tmp_path):
    database = await Database.open(tmp_path / "quarterdeck.db")
    settings = AlertSettings(heartbeats=(BEAT,))
    store = AlertStore(database, settings=settings, channels={"alerts": 5, "ops": 6})
    clock = [START]

    def started():
        return Heartbeats(store=store, settings=settings, now=lambda: clock[0])

    async def groups():
        return await store.groups(GroupFilter(state="all"), episodes=True)

    await store.beat("Watchdog", at(-10))
    before = started()
    await before.look()
    assert await groups() == ()
    clock[0] = at(500)
    await before.look()
    (group,) = await groups()
    assert (group.own, group.open, group.channel, group.severity, group.title) == (
        True, True, "ops", "critical", "HeartbeatLost",
    )  # fmt: skip
    assert [ping.roles for ping in await store.pings(group.id)] == [("sre",)]
    clock[0] = at(600)
    after = started()
    await after.look()
    clock[0] = at(800)
    await after.look()
    assert [one.id for one in await groups()] == [group.id]
    assert len(await store.pings(group.id)) == 1
    await store.beat("Watchdog", at(801))
    clock[0] = at(810)
    await after.look()
    (ended,) = await groups()
    assert (ended.id, ended.open, ended.firing) == (group.id, False, 0)
    await database.close()

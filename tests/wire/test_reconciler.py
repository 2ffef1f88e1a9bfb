"""The rows kept equal to a real Alertmanager's word: what no webhook ever tells, and what happens while it is away."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from sqlalchemy import insert

from bot.alert_settings import AlertSettings, HeartbeatSettings
from bot.alerts.episodes import whole_second
from bot.alerts.model import State
from bot.alerts.payload import fingerprint_of
from bot.clients.alertmanager import AlertmanagerClient
from bot.clients.alertmanager_types import SilenceWish
from bot.clients.http import HttpClient
from bot.clients.prometheus import PrometheusClient
from bot.db.tables import alert_tellers
from bot.errors import Unavailable
from bot.matcher import Matcher
from bot.metrics import Metrics
from bot.services.reconciler import SETTLED_AFTER_S, Reconciler
from tests.wire.alert_room import alert_room
from tests.wire.monitoring_room import free_port, prometheus, serve_metrics
from tests.wire.scripted_server import scripted_server

SETTINGS = AlertSettings(heartbeats=(HeartbeatSettings(name="Watchdog"),), reconcile_s=0.2)
WATCHDOG = {"alertname": "Watchdog", "severity": "none"}


def labels(name, instance, severity="critical"):
    return {"alertname": name, "severity": severity, "environment": "prod", "service": "db", "instance": instance}


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    async with alert_room(tmp_path_factory.mktemp("alerts"), SETTINGS) as opened:
        yield opened


@pytest.fixture
async def http():
    opened = HttpClient()
    yield opened
    await opened.close()


@pytest.fixture
def room(shared, http):
    """The shared room with a client of this test's own loop; what is seen once counts, however short it fires."""
    shared.client = AlertmanagerClient(urls=[shared.server.url], http=http, timeout_s=5)
    shared.store.adopt_after_s = 0.0
    shared.deaf = False
    return shared


@pytest.fixture
def metrics():
    return Metrics()


def reconciler(room, metrics=None, **options):
    given = {"settled_after_s": 0.0, "prometheus": None, **options}
    return Reconciler(
        store=room.store, alertmanager=room.client, settings=room.settings, metrics=metrics or Metrics(), **given
    )


async def seen(condition):
    async with asyncio.timeout(30):
        while not (found := await condition()):
            await asyncio.sleep(0.1)
        return found


async def fires(room, name, *instances):
    await room.server.post(*(labels(name, instance) for instance in instances))

    async def shown():
        group = await room.group(name)
        return group if group is not None and group.firing == len(instances) else None

    return await seen(shown)


async def silenced(room, *matchers):
    now = room.now()
    return await room.client.create_silence(SilenceWish(matchers, now, now + timedelta(hours=1), "somebody", "by hand"))


async def test_a_silence_and_its_end_are_seen_although_no_webhook_tells_of_them(room):
    await fires(room, "Quiet", "db-1", "db-2")
    told, pings = room.told, await room.pings()
    silence = await silenced(room, Matcher("alertname", "Quiet"), Matcher("instance", "db-1"))
    seen = await reconciler(room).look(room.client)
    group = await room.group("Quiet")
    assert (group.firing, group.suppressed, seen.quieted) == (2, 1, 1)
    assert {e.labels["instance"]: e.silenced_by for e in group.episodes} == {"db-1": (silence,), "db-2": ()}
    (row,) = [one for one in await room.store.open_silences() if one.am_id == silence]
    assert (row.person, row.comment, row.kind.value) == ("somebody", "by hand", "foreign")
    await room.client.expire_silence(silence)
    await reconciler(room).look(room.client)
    assert (await room.group("Quiet")).suppressed == 0
    assert silence not in {one.am_id for one in await room.store.open_silences()}
    assert (room.told, await room.pings()) == (told, pings)


async def test_what_ends_under_a_silence_ends_here_after_two_looks_and_calls_nobody(room):
    await fires(room, "Hidden", "db-1", "db-2")
    silence = await silenced(room, Matcher("alertname", "Hidden"))
    await reconciler(room).look(room.client)
    pings, told = await room.pings(), room.told
    await room.server.resolve(labels("Hidden", "db-1"), labels("Hidden", "db-2"))
    await reconciler(room).look(room.client)
    assert (await room.group("Hidden")).firing == 2  # gone for one look is not over yet
    assert (await reconciler(room).look(room.client)).resolved == 2  # and what was missed is a row, not a memory
    group = await room.group("Hidden")
    assert (group.firing, group.open, {e.state for e in group.episodes}) == (0, False, {State.RESOLVED})
    assert (room.told, await room.pings()) == (told, pings)
    await room.client.expire_silence(silence)


async def test_what_fired_while_the_bot_was_dead_gets_its_card_and_a_late_webhook_opens_no_second_one(
    room,
):
    await fires(room, "Before", "db-1")  # so that this Alertmanager is known to tell us
    room.deaf = True
    await room.server.post(labels("Missed", "db-1"), labels("Missed", "db-2"))

    async def adopted():
        await reconciler(room).look(room.client)
        return await room.group("Missed")

    group = await seen(adopted)
    assert (group.firing, group.environment, group.service, group.severity) == (2, "prod", "db", "critical")
    room.deaf = False
    await seen(lambda: _told_of(room, group.id))
    assert [one.id for one in await room.groups() if one.title == "Missed"] == [group.id]


async def _told_of(room, group_id):
    """Whether the webhook's own key leads to that group now."""
    group = await room.store.group(group_id)
    return group.group_key.startswith("{}")


async def test_an_alertmanager_that_has_just_started_and_knows_nothing_ends_nothing(room):
    await fires(room, "Steady", "db-1")
    await room.server.stop()
    await room.server.start()
    assert await room.client.alerts() == ()
    for _ in range(3):
        await reconciler(room, settled_after_s=75).look(room.client)
    assert (await room.group("Steady")).firing == 1
    await fires(room, "Steady", "db-1")
    await reconciler(room).look(room.client)
    assert (await room.group("Steady")).firing == 1


async def test_the_heartbeat_is_no_alert(room):
    await room.server.post(WATCHDOG)

    async def known():
        return [alert for alert in await room.client.alerts() if alert.labels == WATCHDOG]

    await seen(known)
    await reconciler(room).look(room.client)
    assert await room.group("Watchdog") is None
    await seen(lambda: _beat(room))


async def test_the_heartbeat_that_a_sender_told_of_shows_that_it_is_this_cluster(room):
    await room.server.post(WATCHDOG)

    async def known():
        return [alert for alert in await room.client.alerts() if alert.labels == WATCHDOG]

    (beat,) = await seen(known)
    told = {"fingerprint": beat.fingerprint, "starts_at": whole_second(beat.starts_at)}
    other = {**told, "name": "another", "starts_at": told["starts_at"] - timedelta(minutes=5)}
    rows = [{**told, "name": "a member"}, other]
    await room.database.write(lambda c: c.execute(insert(alert_tellers), rows).close())
    await reconciler(room).look(room.client)
    asked = await room.store.asked_tellers()
    assert "a member" in asked and "another" not in asked


async def _beat(room):
    return "Watchdog" in await room.store.heartbeats()


async def test_while_nobody_can_be_asked_the_rows_say_since_when_and_afterwards_no_longer(room, http, metrics):
    gone = AlertmanagerClient(urls=[f"http://127.0.0.1:{free_port()}"], http=http)
    looking, began = reconciler(room, metrics), room.now()
    with pytest.raises(Unavailable):
        await looking.look(gone)
    assert await room.store.unconfirmed_since() is None  # one lost answer is nothing yet
    await looking.look(gone)
    await looking.look(gone)
    since = await room.store.unconfirmed_since()
    assert since - began < timedelta(seconds=2)
    assert timedelta(0) <= room.now() - since < timedelta(minutes=1)
    assert "quarterdeck_alertmanager_reachable 0.0" in metrics.render().decode()
    await looking.look(room.client)
    assert await room.store.unconfirmed_since() is None
    assert "quarterdeck_alertmanager_reachable 1.0" in metrics.render().decode()


async def test_the_first_of_a_cluster_that_answers_is_enough(room, http, metrics):
    half = AlertmanagerClient(urls=[f"http://127.0.0.1:{free_port()}", room.server.url], http=http)
    await reconciler(room, metrics).look(half)
    assert await room.store.unconfirmed_since() is None


RULES = """
groups:
  - name: demo
    rules:
      - {alert: Known, expr: "vector(1)", labels: {environment: prod, severity: critical}}
      - {alert: Kept, expr: "vector(1)", labels: {environment: prod, severity: critical}}
      - {alert: Watchdog, expr: "vector(1)", labels: {severity: none}}
      - {alert: Unheard, expr: "app_wrong > 0", labels: {environment: prod, severity: critical}}
"""


async def _held(room, name):
    return name in {alert.labels["alertname"] for alert in await room.client.alerts()}


async def test_while_alertmanager_is_away_prometheus_own_word_brings_new_alerts_that_are_the_same_ones_afterwards(
    room, http, tmp_path
):
    figures = {"app_wrong": 0}
    outside = {"external": {"cluster": "lab"}, "tells": f"127.0.0.1:{room.server.port}"}
    async with serve_metrics(figures) as target, prometheus(tmp_path, rules=RULES, target=target, **outside) as server:
        asked = PrometheusClient(server.url, timeout_s=10)
        await silenced(room, Matcher("alertname", "Kept"))  # a server that is killed loses it
        known = await seen(lambda: room.group("Known"))
        looking = reconciler(room, prometheus=asked, settled_after_s=75)
        await seen(lambda: _held(room, "Kept"))
        await looking.look(room.client)
        await room.server.stop()
        figures["app_wrong"] = 1
        with pytest.raises(Unavailable):
            await looking.look(room.client)

        async def unheard():
            await looking.look(room.client)
            return await room.group("Unheard")

        new = await seen(unheard)
        (episode,) = new.episodes
        assert (episode.labels["cluster"], episode.provisional, new.environment) == ("lab", True, "prod")
        assert [g.id for g in await room.groups() if g.title == "Known"] == [known.id]
        assert await room.group("Watchdog") is None
        assert await room.group("Kept") is None  # Alertmanager held it, and kept it from us
        assert new.unconfirmed_since is not None
        await room.server.start()

        async def confirmed():
            await looking.look(room.client)
            group = await room.group("Unheard")
            return group if not group.episodes[0].provisional else None

        same = await seen(confirmed)
        assert (same.id, same.firing, same.members) == (new.id, 1, 1)
        assert [g.id for g in await room.groups() if g.title == "Unheard"] == [new.id]
        asked.close()


async def test_what_alertmanager_tells_nobody_of_because_of_the_hour_gets_no_card_here(room, http):
    """As 0.28 and later say it: the alerts of groups name the time intervals that mute them."""
    await fires(room, "Loud", "db-1")  # so that this receiver is known to tell us

    def row(name, *muted_by):
        status = {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": list(muted_by)}
        found = {"labels": labels(name, "db-1"), "annotations": {}, "fingerprint": name, "status": status}
        return {**found, "startsAt": "2026-11-23T03:00:00Z", "receivers": [{"name": "bot"}]}

    def group(name, *muted_by, receiver="bot"):
        rows = [row(name, *muted_by)]
        return {"receiver": {"name": receiver}, "labels": {"alertname": name}, "alerts": rows}

    groups = [group("Asleep", "night"), group("Awake"), group("Half", "night", receiver="other"), group("Half")]
    answers = {
        "alerts": [row("Asleep"), row("Awake"), row("Half")],
        "groups": groups,
        "silences": [],
        "status": {"uptime": "2026-11-23T03:00:00Z"},
    }

    async def answer(request):
        return web.json_response(answers[request.path.rpartition("/")[2]])

    async with scripted_server() as server:
        server.answer = answer
        newer = AlertmanagerClient(urls=[server.url], http=http)
        await reconciler(room, settled_after_s=10**9).look(newer)
    assert [bool(await room.group(name)) for name in ("Asleep", "Awake", "Half")] == [False, True, True]


def live(name, starts_at, *, receiver="bot", silenced_by=()):
    """An alert as the API tells of it."""
    status = {"state": "suppressed" if silenced_by else "active", "silencedBy": list(silenced_by), "inhibitedBy": []}
    found = {"labels": labels(name, "db-1"), "annotations": {}, "startsAt": starts_at.isoformat(), "status": status}
    return {**found, "fingerprint": fingerprint_of(found["labels"]), "receivers": [{"name": receiver}]}


class Told:
    """What an Alertmanager, or a Prometheus, that only exists as answers says now."""

    def __init__(self, *alerts, running_s=3600.0):
        self.alerts, self.running_s, self.away = list(alerts), running_s, False

    async def answer(self, request):
        if self.away:
            return web.Response(status=503)
        groups = [
            {"receiver": row["receivers"][0], "labels": {"alertname": row["labels"]["alertname"]}, "alerts": [row]}
            for row in self.alerts
        ]
        uptime = datetime.now(UTC) - timedelta(seconds=self.running_s)
        said = {"alerts": self.alerts, "groups": groups, "silences": [], "status": {"uptime": uptime.isoformat()}}
        return web.json_response(said[request.path.rpartition("/")[2]])

    async def answer_as_prometheus(self, request):
        rows = [
            {"labels": row["labels"], "annotations": {}, "state": "firing", "activeAt": row["startsAt"], "value": "1"}
            for row in self.alerts
        ]
        return web.json_response({"status": "success", "data": {"alerts": rows}})


async def test_what_it_was_gathering_for_us_when_it_died_comes_by_prometheus_and_what_it_kept_from_us_does_not(
    room, http
):
    await fires(room, "Ours", "db-1")  # so that this receiver is known to tell us
    now = datetime.now(UTC)
    told = Told(
        live("Gathered", now), live("Hushed", now, silenced_by=["one"]), live("Elsewhere", now, receiver="pager")
    )
    async with scripted_server() as server, scripted_server() as figures:
        server.answer, figures.answer = told.answer, Told(*told.alerts).answer_as_prometheus
        client, asked = AlertmanagerClient(urls=[server.url], http=http), PrometheusClient(figures.url, timeout_s=10)
        looking = reconciler(room, prometheus=asked, settled_after_s=10**9)
        await looking.look(client)
        assert await room.group("Gathered") is None
        told.away = True
        with pytest.raises(Unavailable):
            await looking.look(client)
        await looking.look(client)
        (episode,) = (await room.group("Gathered")).episodes
        assert episode.provisional
        assert [await room.group(name) for name in ("Hushed", "Elsewhere")] == [None, None]
        told.away, told.alerts = False, [live("Gathered", now, silenced_by=["two"])]
        await looking.look(client)  # it is back, and no webhook comes: somebody has silenced it
        await looking.look(client)
        (episode,) = (await room.group("Gathered")).episodes
        assert (episode.provisional, episode.silenced_by) == (False, ("two",))
        asked.close()


async def test_nothing_ends_before_every_sender_has_had_the_time_to_tell_a_new_alertmanager(room, http):
    await fires(room, "Resent", "db-1")
    told = Told(running_s=130)  # a minute, and an evaluation each minute
    async with scripted_server() as server:
        server.answer = told.answer
        client = AlertmanagerClient(urls=[server.url], http=http)
        looking = reconciler(room, settled_after_s=SETTLED_AFTER_S)
        for _ in range(3):
            await looking.look(client)
        assert (await room.group("Resent")).firing == 1
        told.running_s = 170
        for _ in range(2):
            await looking.look(client)
        assert (await room.group("Resent")).firing == 0


class Exploding(AlertmanagerClient):
    """One whose first answer is such as nobody thought of."""

    tries = 0

    async def picture(self):
        self.tries += 1
        if self.tries == 1:
            raise OverflowError("date value out of range")
        return await super().picture()


async def test_a_look_that_breaks_is_counted_and_told_in_the_log_and_the_next_one_comes(room, http, metrics, caplog):
    room.client = Exploding(urls=[room.server.url], http=http)
    looking = reconciler(room, metrics)
    await looking.start()

    async def looked():
        return looking.started_at

    await seen(looked)
    await looking.close()
    assert "quarterdeck_broken_total 1.0" in metrics.render().decode()
    (record,) = [one for one in caplog.records if one.exc_info]
    assert record.exc_info[0] is OverflowError


async def test_it_looks_by_itself_at_the_start_and_when_it_is_woken(room):
    looking = reconciler(room)
    await looking.start()
    silence = await silenced(room, Matcher("alertname", "Nothing"))
    looking.wake()

    async def noted():
        return silence in {one.am_id for one in await room.store.open_silences()}

    await seen(noted)
    await looking.close()
    assert looking.started_at is not None
    await room.client.expire_silence(silence)

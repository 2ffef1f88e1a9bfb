"""Silences for people in a real Alertmanager: kept as rows, kept up until resolved, honest about lost answers."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from bot.alert_settings import AlertSettings
from bot.alerts.model import Matcher, SilenceKind
from bot.clients.alertmanager import AlertmanagerClient
from bot.clients.alertmanager_types import SilenceState
from bot.clients.http import HttpClient
from bot.errors import Refused, Unavailable, Unknown
from bot.policy import Actor, seeded_rows
from bot.services.reconciler import Reconciler
from bot.services.silences import KEPT_FOR, SilenceService, Wanted
from tests.wire.alert_room import alert_room
from tests.wire.monitoring_room import free_port
from tests.wire.scripted_server import scripted_server

SRE = Actor("ada", 1, frozenset({"sre"}))
DEV = Actor("dan", 2, frozenset({"dev"}))
STRANGER = Actor("4711", 4711, frozenset({"sre"}), known=False)
HOUR = timedelta(hours=1)


def labels(name, instance="db-1", environment="prod"):
    return {"alertname": name, "severity": "critical", "environment": environment, "service": "db",
            "instance": instance}  # fmt: skip


def matchers(name, environment="prod"):
    return Matcher("alertname", name), Matcher("environment", environment)


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    async with alert_room(tmp_path_factory.mktemp("silences"), AlertSettings(reconcile_s=20)) as opened:
        yield opened


@pytest.fixture
async def http():
    opened = HttpClient()
    yield opened
    await opened.close()


class Refusals:
    def __init__(self):
        self.told = []

    async def record(self, name, actor, text, data=None):
        self.told.append((name, actor, data["rule"], data["environment"]))


@pytest.fixture
def room(shared, http):
    shared.client = AlertmanagerClient(urls=[shared.server.url], http=http, timeout_s=5)
    shared.ahead = timedelta()
    shared.refusals = Refusals()
    return shared


def service(room, client=None):
    return SilenceService(
        store=room.store, alertmanager=client or room.client, rows=seeded_rows(), settings=room.settings,
        recorder=room.refusals, now=room.now, look_pause_s=0.05,
    )  # fmt: skip


def later(**lengths):
    return datetime.now(UTC) + timedelta(**lengths)


async def look(room):
    await Reconciler(
        store=room.store, alertmanager=room.client, prometheus=None, settings=room.settings, settled_after_s=0
    ).look(room.client)


async def fires(room, name, *instances):
    await room.server.post(*(labels(name, instance) for instance in instances or ["db-1"]))
    async with asyncio.timeout(30):
        while (group := await room.group(name)) is None:
            await asyncio.sleep(0.1)
    return group


async def row_of(room, am_id):
    return next((one for one in await room.store.open_silences() if one.am_id == am_id), None)


async def test_a_silence_is_made_extended_and_ended_and_the_record_tells_of_each(room):
    group = await fires(room, "Made")
    silences, changed = service(room), []
    silences.on_change(lambda: changed.append(1))
    wanted = Wanted(matchers=matchers("Made"), ends_at=later(hours=1), comment="disk is on its way", group_id=group.id)
    made = await silences.create(wanted, SRE, called="Ada L.")
    live = await room.client.silence(made.am_id)
    assert (live.state, live.created_by) == (SilenceState.ACTIVE, "ada")
    assert live.comment.startswith("disk is on its way [ada, Ada L. in Discord, by Quarterdeck, ")
    row = await row_of(room, made.am_id)
    assert (row.person, row.kind, row.group_id, row.matchers, row.comment) == (
        "ada", SilenceKind.SILENCE, group.id, matchers("Made"), "disk is on its way",
    )  # fmt: skip
    longer = await silences.extend(made.am_id, later(hours=5), SRE)
    assert abs((await room.client.silence(longer.am_id)).ends_at - longer.ends_at) < timedelta(seconds=1)
    assert [one.am_id for one in await silences.listed() if one.matchers == matchers("Made")] == [longer.am_id]
    await silences.expire(longer.am_id, SRE)
    assert (await room.client.silence(longer.am_id)).state is SilenceState.EXPIRED
    assert await row_of(room, longer.am_id) is None
    told = [(name, actor) for name, actor, text in await room.events() if 'alertname="Made"' in text]
    assert told == [("silence.created", "ada"), ("silence.extended", "ada"), ("silence.expired", "ada")]
    assert len(changed) == 3
    for act in (silences.expire(longer.am_id, SRE), silences.extend(longer.am_id, later(hours=9), SRE)):
        with pytest.raises(Refused, match="ended already"):
            await act


async def test_a_count_says_what_else_a_silence_would_meet(room):
    await fires(room, "Counted", "db-1", "db-2", "db-3")
    await room.server.post(labels("CountedToo", environment="dev"))
    silences = service(room)
    hits = await silences.count((Matcher("alertname", "Counted.*", True),))
    assert (hits.total, hits.names) == (4, (("Counted", 3), ("CountedToo", 1)))
    assert (hits.environments, hits.silenced) == (("dev", "prod"), 0)
    assert (await silences.count(matchers("Nothing"))).total == 0
    with pytest.raises(Refused):
        await silences.count((Matcher("alertname", "(", True),))


@pytest.mark.parametrize(
    ("actor", "wanted", "allowed"),
    [
        (SRE, matchers("Who"), True),
        (SRE, (Matcher("alertname", "Who"),), True),
        (DEV, matchers("Who", "dev"), True),
        (DEV, matchers("Who", "prod"), False),
        (DEV, (Matcher("alertname", "Who"),), False),
        (DEV, (Matcher("alertname", "Who"), Matcher("environment", "dev|prod", True)), False),
        (DEV, (Matcher("alertname", "Who"), Matcher("environment", "prod", False, False)), False),
        (DEV, (Matcher("alertname", "Who"), Matcher("environment", "")), False),
        (STRANGER, matchers("Who"), False),
    ],
)
async def test_who_may_silence_is_decided_by_all_that_the_matchers_may_reach(room, actor, wanted, allowed):
    silences = service(room)
    asked = silences.create(Wanted(matchers=wanted, ends_at=later(hours=1)), actor)
    if allowed:
        await silences.expire((await asked).am_id, SRE)
        return
    before = await room.client.silences()
    with pytest.raises(Refused) as caught:
        await asked
    assert await room.client.silences() == before
    assert [(name, who) for name, who, *_ in room.refusals.told] == [("door.refused", actor.name)]
    assert caught.value.rule == room.refusals.told[0][2]


async def test_what_somebody_may_not_silence_they_may_not_unsilence_or_extend(room):
    silences = service(room)
    made = await silences.create(Wanted(matchers=matchers("Theirs"), ends_at=later(hours=1)), SRE)
    with pytest.raises(Refused):
        await silences.expire(made.am_id, DEV)
    with pytest.raises(Refused):
        await silences.extend(made.am_id, later(hours=2), DEV)
    assert (await room.client.silence(made.am_id)).state is SilenceState.ACTIVE
    await silences.expire(made.am_id, SRE)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(matchers=(), ends_at=datetime.max.replace(tzinfo=UTC)), "without matchers"),
        (Wanted(matchers=matchers("Past"), ends_at=datetime(2020, 1, 1, tzinfo=UTC)), "after it begins"),
        (Wanted(matchers=matchers("NoSuch"), ends_at=None), "Nothing that these matchers meet"),
        (Wanted(matchers=(Matcher("alertname", ".*", True),), ends_at=datetime(2099, 1, 1, tzinfo=UTC)), "empty"),
    ],
)
async def test_a_silence_that_makes_no_sense_is_refused_and_nothing_is_silenced(room, wanted, words):
    before = await room.client.silences()
    with pytest.raises(Refused, match=words):
        await service(room).create(wanted, SRE)
    assert await room.client.silences() == before


async def test_a_maintenance_begins_later_bears_its_note_and_is_called_so_in_the_record(room):
    silences = service(room)
    wanted = Wanted(
        matchers=(Matcher("environment", "dev"),), starts_at=later(hours=2), ends_at=later(hours=4),
        comment="new database", kind=SilenceKind.MAINTENANCE,
    )  # fmt: skip
    made = await silences.create(wanted, DEV)
    live = await room.client.silence(made.am_id)
    assert (live.state, live.comment[:12]) == (SilenceState.PENDING, "new database")
    assert (await row_of(room, made.am_id)).kind is SilenceKind.MAINTENANCE
    await silences.expire(made.am_id, DEV)
    told = [name for name, _, text in await room.events() if text.startswith('{environment="dev"}')]
    assert told == ["maintenance.started", "maintenance.ended"]


async def test_one_made_elsewhere_can_be_extended_and_ended_too(room):
    silences = service(room)
    made = await silences.create(Wanted(matchers=matchers("Foreign"), ends_at=later(hours=1)), SRE)
    await room.database.write(lambda c: c.exec_driver_sql("DELETE FROM alert_silences").close())
    longer = await silences.extend(made.am_id, later(hours=2), SRE)
    assert (await row_of(room, longer.am_id)).kind is SilenceKind.FOREIGN
    await silences.expire(longer.am_id, SRE)


# ---- until resolved ------------------------------------------------------------------------------------------------


async def test_until_resolved_is_extended_while_it_fires_also_by_another_process_and_ended_when_it_is_over(room):
    await fires(room, "Kept", "db-1", "db-2")
    made = await service(room).create(Wanted(matchers=matchers("Kept"), ends_at=None), SRE)
    assert made.ends_at - room.now() <= KEPT_FOR
    await service(room).keep()
    assert (await room.client.silence(made.am_id)).ends_at == _whole(made.ends_at)  # enough is left of it
    room.ahead = timedelta(minutes=5)
    await service(room).keep()  # a new object, as after a restart: what is to be kept up is a row
    (row,) = [one for one in await room.store.open_silences() if one.matchers == matchers("Kept")]
    assert abs(row.ends_at - room.now() - KEPT_FOR) < timedelta(seconds=10)
    assert (await room.client.silence(row.am_id)).ends_at == _whole(row.ends_at)
    await room.server.resolve(labels("Kept", "db-1"))
    await look(room)
    await look(room)
    await service(room).keep()
    assert (await room.client.silence(row.am_id)).state is SilenceState.ACTIVE  # one of the two still fires
    await room.server.resolve(labels("Kept", "db-2"))
    await look(room)
    await look(room)
    await service(room).keep()
    assert (await room.client.silence(row.am_id)).state is SilenceState.EXPIRED
    told = [(name, actor) for name, actor, text in await room.events() if 'alertname="Kept"' in text]
    assert told == [("silence.created", "ada"), ("silence.expired", "bot")]


def _whole(moment):
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def test_one_that_cannot_be_kept_up_does_not_keep_the_others_from_it(room, http):
    await fires(room, "First")
    await fires(room, "Second")
    first = await service(room).create(Wanted(matchers=matchers("First"), ends_at=None), SRE)
    second = await service(room).create(Wanted(matchers=matchers("Second"), ends_at=None), SRE)
    await room.client.expire_silence(first.am_id)  # by hand, and we have not looked since
    room.ahead = timedelta(minutes=7)
    await service(room).keep()
    row = next(one for one in await room.store.open_silences() if one.matchers == matchers("Second"))
    assert row.ends_at > second.ends_at
    gone = AlertmanagerClient(urls=[f"http://127.0.0.1:{free_port()}"], http=http)
    room.ahead = timedelta(minutes=14)
    await service(room, gone).keep()  # says so in the log, and does no harm
    room.ahead = timedelta()
    await service(room).expire(row.am_id, SRE)


async def test_until_resolved_waits_also_for_what_never_came_here_and_matches_as_alertmanager_does(room):
    """Python would try this expression for minutes, and keep everything else waiting."""
    slow = "a" * 40 + "!"
    await room.server.post({**labels("Foreign"), "instance": slow})

    async def held():
        return await room.client.alerts(matchers("Foreign"))

    async with asyncio.timeout(30):
        while not await held():
            await asyncio.sleep(0.05)
    wide = (*matchers("Foreign"), Matcher("instance", "(a+)+!?!", is_regex=True))
    made = await service(room).create(Wanted(matchers=wide, ends_at=None), SRE)
    room.ahead = timedelta(minutes=5)
    await service(room).keep()
    row = next(one for one in await room.store.open_silences() if one.matchers == wide)
    assert row.ends_at > made.ends_at
    await service(room).expire(row.am_id, SRE)


# ---- lost answers --------------------------------------------------------------------------------------------------


async def test_when_alertmanager_cannot_be_reached_it_says_not_silenced(room, http):
    gone = AlertmanagerClient(urls=[f"http://127.0.0.1:{free_port()}"], http=http)
    with pytest.raises(Unavailable) as caught:
        await service(room, gone).create(Wanted(matchers=matchers("Gone"), ends_at=later(hours=1)), SRE)
    assert str(caught.value).startswith("NOT silenced: ")
    assert not isinstance(caught.value, Unknown)
    for ends_at in (None, later(hours=1)):
        with pytest.raises(Unavailable, match=r"^NOT silenced: (?!NOT)"):
            await service(room, gone).create(Wanted(matchers=matchers("Gone"), ends_at=ends_at), SRE)
    with pytest.raises(Unavailable, match=r"^NOT silenced: "):
        await service(room, gone).count(matchers("Gone"))


async def test_a_silence_that_holds_and_cannot_be_written_down_is_not_called_undone(room):
    async def full(_silence, *, event=None):
        raise Unavailable("database", "The disk is full.")

    store = room.store

    class Full:
        def __getattr__(self, name):
            return full if name == "noted" else getattr(store, name)

    room.store = Full()
    try:
        with pytest.raises(Unknown, match=r"Alertmanager did it, .* The disk is full"):
            await service(room).create(Wanted(matchers=matchers("Unwritten"), ends_at=later(hours=1)), SRE)
    finally:
        room.store = store
    made = [one for one in await room.client.silences() if one.matchers[0].value == "Unwritten"]
    assert [one.state for one in made] == [SilenceState.ACTIVE]
    await look(room)
    assert (await row_of(room, made[0].id)).kind is SilenceKind.FOREIGN  # the next look finds it
    await room.client.expire_silence(made[0].id)


def forwarding(room, *, posts):
    """Hands requests on to the real one, and loses the answers of writes; `posts` False: loses the writes, too."""

    async def answer(request):
        body = await request.read()
        if request.method == "GET" or posts:
            async with (
                aiohttp.ClientSession() as session,
                session.request(request.method, room.server.url + request.path_qs, data=body,
                                headers={"Content-Type": "application/json"}) as told,
            ):  # fmt: skip
                if request.method == "GET":
                    return web.Response(status=told.status, body=await told.read(), content_type="application/json")
        request.transport.abort()
        return web.Response()

    return answer


async def test_a_silence_whose_answer_was_lost_is_found_by_its_mark_and_made_once(room, http):
    async with scripted_server() as server:
        server.answer = forwarding(room, posts=True)
        lossy = AlertmanagerClient(urls=[server.url], http=http)
        made = await service(room, lossy).create(Wanted(matchers=matchers("Lost"), ends_at=later(hours=1)), SRE)
        longer = await service(room, lossy).extend(made.am_id, later(hours=3), SRE)
        assert abs((await room.client.silence(longer.am_id)).ends_at - longer.ends_at) < timedelta(seconds=1)
        await service(room, lossy).expire(longer.am_id, SRE)
        assert [method for method, _ in server.seen if method == "POST"] == ["POST", "POST"]
    mine = [one for one in await room.client.silences() if one.matchers[0].value == "Lost"]
    assert {one.state for one in mine} == {SilenceState.EXPIRED}


async def test_a_silence_that_never_arrived_is_said_to_be_none(room, http):
    made = await service(room).create(Wanted(matchers=matchers("Eaten"), ends_at=later(hours=1)), SRE)
    async with scripted_server() as server:
        server.answer = forwarding(room, posts=False)
        lossy = service(room, AlertmanagerClient(urls=[server.url], http=http))
        with pytest.raises(Unavailable, match=r"^NOT silenced: .* It is not there\.$"):
            await lossy.create(Wanted(matchers=matchers("Eaten2"), ends_at=later(hours=1)), SRE)
        with pytest.raises(Unavailable, match=r"^NOT extended: .* as before\.$"):
            await lossy.extend(made.am_id, later(hours=3), SRE)
        with pytest.raises(Unavailable, match=r"^NOT ended: .* It still holds\.$"):
            await lossy.expire(made.am_id, SRE)
    assert await row_of(room, made.am_id) is not None
    await service(room).expire(made.am_id, SRE)


async def test_when_nobody_can_say_whether_it_was_made_that_is_what_is_said(room, http):
    async def cut(request):
        await request.read()
        request.transport.abort()
        return web.Response()

    async with scripted_server() as server:
        server.answer = cut
        lossy = service(room, AlertmanagerClient(urls=[server.url], http=http))
        with pytest.raises(Unknown, match="NOT KNOWN"):
            await lossy.create(Wanted(matchers=matchers("Dark"), ends_at=later(hours=1)), SRE)
        assert [method for method, _ in server.seen].count("POST") == 1

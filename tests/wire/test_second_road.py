"""The road past Discord: real rows, a real SNS (moto's server), and one that refuses or loses its answer."""

import hashlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer
from moto.sns import sns_backends
from sqlalchemy import insert, select, update

from bot.alert_settings import AlertSettings, EscalationStep, RouteSettings
from bot.alert_settings import SecondRoad as RoadSettings
from bot.alerts.store import AlertStore
from bot.clients.aws import AwsClient
from bot.db.database import Database
from bot.db.tables import alert_groups, alert_pings, cards, events, road_messages
from bot.ops.record import Record
from bot.services.second_road import AGAIN_AFTER, LISTED_MAX, SecondRoad
from tests.wire.monitoring_room import free_port
from tests.wire.scripted_server import scripted_server

ACCOUNT, REGION = "123456789012", "eu-west-1"
START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ON_CALL = RouteSettings(name="prod", channel="alerts", escalation=(EscalationStep(after_s=300, role="sre"),))


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def topic(moto):
    backend = sns_backends[ACCOUNT][REGION]
    made = backend.create_topic(f"calls-{len(backend.topics)}")
    yield made
    backend.topics.pop(made.arn)


class Room:
    """A database, a clock, and the road over them."""

    def __init__(self, database, aws, topic_arn):
        self.database, self.now = database, START
        self.settings = AlertSettings(
            second_road=RoadSettings(topic_arn=topic_arn, after_s=120), routes=(ON_CALL,), channel="alerts"
        )
        store = AlertStore(
            database, settings=self.settings, channels={"alerts": 5}, record=Record(now=lambda: self.now).record
        )
        self.road = SecondRoad(store=store, aws=aws, settings=self.settings, now=lambda: self.now)

    async def later(self, seconds):
        self.now += timedelta(seconds=seconds)
        await self.road.look()

    async def fires(self, title="DiskFull", *, shown=False, **columns):
        values = {
            "group_key": title, "receiver": "bot", "channel": "alerts", "route": "prod", "environment": "prod",
            "service": "db", "severity": "critical", "worst": "critical", "title": title, "group_labels": {},
            "common_labels": {"alertname": title, "instance": "db-1"}, "external_url": "",
            "common_annotations": {"summary": f"{title} it is", "runbook_url": f"https://runbooks.test/{title}"},
            "opened_at": self.now, "fired_at": self.now, "updated_at": self.now, "firing": 2, "members": 2,
            "unacked_since": self.now, **columns,
        }  # fmt: skip
        group_id = await self.write(insert(alert_groups).values(values).returning(alert_groups.c.id))
        standing = {"message_id": 77 if shown else None, "wanted": 1, "shown": int(shown)}
        card = {"key": f"alert:{group_id}", "channel_id": 5, "priority": 20, "state": {}, **standing}
        await self.write(insert(cards).values(card).returning(cards.c.key))
        return group_id

    async def change(self, group_id, **columns):
        await self.write(
            update(alert_groups).where(alert_groups.c.id == group_id).values(**columns).returning(alert_groups.c.id)
        )

    async def write(self, statement):
        return await self.database.write(lambda c: c.execute(statement).scalar_one())

    async def rows(self, table):
        return await self.database.read(lambda c: [dict(row) for row in c.execute(select(table)).mappings()])


@pytest.fixture
def credentials(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def database(tmp_path):
    opened = await Database.open(tmp_path / "quarterdeck.db")
    yield opened
    await opened.close()


@pytest.fixture
async def room(moto, topic, database, credentials):
    host, port = moto.get_host_and_port()
    aws = AwsClient(region="eu-central-1", account=ACCOUNT, endpoint_url=f"http://{host}:{port}")
    made = Room(database, aws, topic.arn)
    made.sent = topic.sent_notifications
    yield made
    await aws.close()


async def test_a_critical_alert_that_discord_does_not_show_is_told_once_with_its_runbook(room):
    group_id = await room.fires()
    await room.later(119)
    assert room.sent == []
    await room.later(1)
    ((_, message, subject, *_),) = room.sent
    assert subject == "CRITICAL: DiskFull in prod"
    assert "[2 firing] DiskFull - prod / db" in message
    assert "since 2026-11-23 03:00 UTC (2 min); Discord has not shown it" in message
    assert "DiskFull it is" in message
    assert "instance=db-1" in message
    assert "Runbook: https://runbooks.test/DiskFull" in message
    for _ in range(3):
        await room.later(3600)
    assert len(room.sent) == 1
    (row,) = await room.rows(road_messages)
    assert (row["group_id"], row["opening"], row["reason"], row["sent_at"]) == (
        group_id, START, "unshown", START + timedelta(seconds=120),
    )  # fmt: skip
    assert row["outcome"].startswith("sent: ")
    (event,) = await room.rows(events)
    assert (event["name"], event["actor"], event["environment"], event["service"]) == (
        "alert.second_road", "bot", "prod", "db",
    )  # fmt: skip


@pytest.mark.parametrize(
    "columns",
    [
        {"severity": "warning"}, {"closed_at": START}, {"unacked_since": None},
    ],
)  # fmt: skip
async def test_what_is_not_critical_over_or_waits_for_nobody_is_not_told(room, columns):
    await room.fires(**columns)
    await room.later(3600)
    assert room.sent == []


async def test_what_discord_shows_is_told_only_when_nobody_takes_it_after_the_last_step(room):
    group_id = await room.fires(shown=True)
    await room.later(600)
    assert room.sent == []  # the step was not taken yet
    await room.change(group_id, escalation_step=1, unacked_since=room.now)
    await room.later(300 + 119)
    assert room.sent == []
    await room.later(1)
    assert len(room.sent) == 1
    assert "nobody took it after the last escalation step" in room.sent[0][1]


async def test_a_call_that_discord_has_not_got_is_told_although_the_card_stands(room):
    group_id = await room.fires(shown=True)
    ping = {
        "group_id": group_id, "key": "k", "reason": "severity up", "roles": ["sre"], "people": [], "at": room.now,
    }  # fmt: skip
    ping_id = await room.write(insert(alert_pings).values(ping).returning(alert_pings.c.id))
    card = {"key": f"alertping:{ping_id}", "channel_id": 5, "priority": 20, "state": {}}
    await room.write(insert(cards).values(card).returning(cards.c.key))
    await room.later(121)
    assert len(room.sent) == 1


async def card(room, group_id, **columns):
    await room.write(update(cards).where(cards.c.key == f"alert:{group_id}").values(**columns).returning(cards.c.key))


async def test_a_card_that_stood_and_is_posted_anew_was_shown(room):
    """So it is after a storm, when each group leaves the pack, and where somebody deleted the message."""
    group_id = await room.fires(shown=True)
    await room.later(60)
    await card(room, group_id, message_id=None, posted_at=START, shown=0, wanted=2)
    await room.later(300)
    assert room.sent == []


async def test_a_call_that_the_board_found_nobody_needs_is_not_missing(room):
    group_id = await room.fires(shown=True)
    ping = {"group_id": group_id, "key": "k", "reason": "escalation", "roles": ["sre"], "people": [], "at": room.now}
    ping_id = await room.write(insert(alert_pings).values(ping).returning(alert_pings.c.id))
    left_out = {"key": f"alertping:{ping_id}", "channel_id": 5, "priority": 20, "state": {}, "wanted": 1, "shown": 1}
    await room.write(insert(cards).values(left_out).returning(cards.c.key))
    await room.later(300)
    assert room.sent == []


async def test_what_fires_again_while_its_card_cannot_be_edited_is_told(room):
    group_id = await room.fires(shown=True)
    await card(room, group_id, wanted=5, shown=5)
    await room.later(600)
    await room.change(group_id, fired_at=room.now)
    await card(room, group_id, wanted=6)
    for _ in range(13):
        await room.later(10 if room.sent == [] else 0)
    assert len(room.sent) == 1


async def test_a_card_that_is_brought_up_to_date_again_and_again_is_shown(room):
    group_id = await room.fires(shown=True)
    for state in range(20):
        await card(room, group_id, wanted=state + 1, shown=state)  # each time one behind, and each time another one
        await room.later(10)
    await card(room, group_id, wanted=22, shown=20)  # Discord is away now, long after it has shown that this fires
    for _ in range(50):
        await room.later(10)
    assert room.sent == []


async def test_a_process_that_starts_while_discord_is_away_takes_a_stale_card_for_one_that_never_showed_it(room):
    group_id = await room.fires(shown=True)
    await card(room, group_id, wanted=6, shown=5)
    room.now += timedelta(seconds=3000)
    await room.later(0)
    assert room.sent == []  # after a start many cards wait for their edit, and get it at once
    await room.later(119)
    assert room.sent == []
    await room.later(1)
    assert len(room.sent) == 1


async def test_the_next_time_that_it_begins_to_fire_is_another_message(room):
    group_id = await room.fires()
    await room.later(121)
    await room.change(group_id, closed_at=room.now)
    await room.later(60)
    await room.change(group_id, closed_at=None, fired_at=room.now)
    await room.later(121)
    assert len(room.sent) == 2


async def test_all_that_is_due_at_once_is_one_message_that_counts_what_it_leaves_out(room):
    for number in range(LISTED_MAX + 5):
        await room.fires(f"Alert{number}")
    await room.later(121)
    ((_, message, subject, *_),) = room.sent
    assert subject == "CRITICAL: Alert0 in prod and 24 more"
    assert f"Alert{LISTED_MAX - 1} -" in message
    assert "... and 5 more groups." in message
    assert {row["outcome"][:5] for row in await room.rows(road_messages)} == {"sent:"}
    await room.later(3600)
    assert len(room.sent) == 1


async def test_hostile_text_cannot_break_the_subject_or_stretch_the_message(room):
    annotations = {"summary": "x" * 5000, "runbook_url": "https://runbooks.test/R"}
    await room.fires("Ünïcode\nSubject: forged\r\n" + "y" * 300, common_annotations=annotations)
    await room.later(121)
    ((_, message, subject, *_),) = room.sent
    assert len(subject) < 100
    assert subject.isascii()
    assert "\n" not in subject
    assert len(message) < 3000


async def test_after_a_crash_between_claim_and_message_it_is_told_all_the_same(room):
    group_id = await room.fires()
    claim = {"group_id": group_id, "opening": START, "reason": "unshown", "claimed_at": START + timedelta(seconds=120)}
    await room.write(insert(road_messages).values(claim).returning(road_messages.c.group_id))
    await room.later(120 + AGAIN_AFTER.total_seconds() - 1)
    assert room.sent == []
    await room.later(1)
    assert len(room.sent) == 1


@pytest.mark.parametrize(("how", "outcome"), [("refused", "not sent: "), ("cut", "unknown: "), ("500", "unknown: ")])
async def test_what_was_not_taken_is_tried_again_until_it_is(database, credentials, how, outcome):
    async def answer(request):
        if how == "cut":
            request.transport.abort()
        status = {"refused": 403, "500": 500}.get(how, 200)
        body = "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"
        return web.Response(status=status, text=body, content_type="text/xml")

    async with scripted_server() as server:
        server.answer = answer
        aws = AwsClient(region=REGION, account=ACCOUNT, endpoint_url=server.url)
        room = Room(database, aws, f"arn:aws:sns:{REGION}:{ACCOUNT}:calls")
        await room.fires()
        await room.later(121)
        await room.later(1)
        (row,) = await room.rows(road_messages)
        assert (row["sent_at"], row["outcome"].startswith(outcome)) == (None, True), row["outcome"]
        assert len(server.seen) == 1
        await room.later(AGAIN_AFTER.total_seconds())
        assert len(server.seen) == 2
        await aws.close()


async def test_a_fifo_topic_is_told_by_which_key_a_second_one_is_the_same(database, credentials):
    bodies = []

    async def answer(request):
        bodies.append(await request.post())
        text = "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"
        return web.Response(text=text, content_type="text/xml")

    async with scripted_server() as server:
        server.answer = answer
        aws = AwsClient(region="us-east-1", account=ACCOUNT, endpoint_url=server.url)
        room = Room(database, aws, f"arn:aws:sns:{REGION}:{ACCOUNT}:calls.fifo")
        group_id = await room.fires()
        await room.later(121)
        await aws.close()
    episode = f"{group_id}-{START.timestamp():.0f}"
    assert bodies[0]["MessageDeduplicationId"] == hashlib.sha256(episode.encode()).hexdigest()
    assert (await room.rows(road_messages))[0]["outcome"] == "sent: m-1"


async def test_without_a_second_road_nothing_is_asked():
    nothing = SimpleNamespace(database=None)
    await SecondRoad(store=nothing, aws=nothing, settings=AlertSettings()).look()

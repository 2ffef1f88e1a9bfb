"""The Alertmanager client against the real server, and against one that refuses, hangs, cuts and lies."""

import asyncio
import json
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from bot.clients.alertmanager import BODY_LIMIT_BYTES, AlertmanagerClient
from bot.clients.alertmanager_types import AlertState, SilenceState, SilenceWish, exactly, moment
from bot.clients.http import HttpClient
from bot.clients.long_json import in_steps
from bot.errors import Refused, Unavailable, Unknown, Unreachable
from bot.matcher import Matcher
from tests.wire.monitoring_room import alertmanager, free_port
from tests.wire.scripted_server import scripted_server

CPU = {"alertname": "HighCPU", "severity": "critical", "environment": "prod", "instance": "web-1"}
DISK = {"alertname": "DiskFull", "severity": "warning", "environment": "prod", "instance": "db-1"}
MEANWHILE = timedelta(minutes=10)


class Ears:
    def __init__(self):
        self.words = []

    def heard(self, part):
        self.words.append((part, "heard"))

    def silent(self, part, why):
        self.words.append((part, why))


@pytest.fixture(scope="module")
async def real(tmp_path_factory):
    async with alertmanager(tmp_path_factory.mktemp("alertmanager")) as running:
        yield running


@pytest.fixture
async def http():
    opened = HttpClient()
    yield opened
    await opened.close()


@pytest.fixture
def ears():
    return Ears()


@pytest.fixture
def client(real, http, ears):
    return AlertmanagerClient(urls=[real.url], http=http, hearing=ears)


@pytest.fixture
async def server():
    async with scripted_server() as running:
        yield running


@pytest.fixture
def asking(server, http, ears):
    return AlertmanagerClient(urls=[server.url], http=http, timeout_s=0.3, hearing=ears)


def wish(*matchers, comment="for a test"):
    now = datetime.now(UTC)
    return SilenceWish(matchers, now, now + MEANWHILE, "sre", comment)


def answering(status, body, kind="application/json"):
    async def answer(_request):
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body), content_type=kind)

    return answer


async def cutting(request):
    await request.read()
    request.transport.abort()
    return web.Response()


# ---- the real one --------------------------------------------------------------------------------------------------


async def test_what_fires_is_told_with_its_groups_and_silences_by_one_and_the_same(real, client):
    await real.post(CPU, {**CPU, "instance": "web-2"}, DISK)
    silence = await client.create_silence(wish(Matcher("alertname", "DiskFull"), Matcher("instance", "db.*", True)))
    picture = await client.picture()
    by_instance = {alert.labels["instance"]: alert for alert in picture.alerts}
    assert set(by_instance) == {"web-1", "web-2", "db-1"}
    assert by_instance["web-1"].annotations == {"summary": "It is so"}
    assert by_instance["web-1"].generator_url == "http://prometheus.test/graph?g0.expr=up"
    assert (by_instance["db-1"].state, by_instance["db-1"].silenced_by) == (AlertState.SUPPRESSED, (silence,))
    assert {(g.receiver, g.labels["alertname"], len(g.alerts)) for g in await client.groups()} == {
        ("bot", "HighCPU", 2), ("bot", "DiskFull", 1),
    }  # fmt: skip
    assert [one.id for one in picture.silences if one.state is SilenceState.ACTIVE] == [silence]
    assert picture.source == client.answered == f"Alertmanager 127.0.0.1:{real.port}"
    assert timedelta(0) <= datetime.now(UTC) - picture.status.started_at < timedelta(minutes=5)
    await client.expire_silence(silence)
    await real.resolve(CPU, {**CPU, "instance": "web-2"}, DISK)
    assert await client.alerts() == ()


async def test_alerts_are_chosen_by_matchers_of_all_four_kinds(real, client):
    odd = {"alertname": "Odd", "path": 'C:\\temp "quoted"\nand on'}
    await real.post(CPU, DISK, odd)

    async def names(*matchers):
        return {alert.labels["alertname"] for alert in await client.alerts(matchers)}

    assert await names(Matcher("severity", "critical")) == {"HighCPU"}
    assert await names(Matcher("severity", "critical", is_equal=False)) == {"DiskFull", "Odd"}
    assert await names(Matcher("instance", "web.*|db.*", True), Matcher("environment", "prod")) == {
        "HighCPU",
        "DiskFull",
    }
    assert await names(Matcher("alertname", "High.*|Odd", True, False)) == {"DiskFull"}
    assert await names(*exactly(odd)) == {"Odd"}
    await real.resolve(CPU, DISK, odd)


async def test_a_silence_is_made_extended_and_ended(client):
    wanted = wish(Matcher("alertname", "Backup"), comment="mark 17")
    made = await client.create_silence(wanted)
    found = await client.silence(made)
    assert (found.state, found.created_by, found.comment) == (SilenceState.ACTIVE, "sre", "mark 17")
    assert found.matchers == wanted.matchers
    longer = await client.create_silence(
        replace(wanted, id=made, starts_at=found.starts_at, ends_at=found.ends_at + MEANWHILE)
    )
    assert longer == made
    assert (await client.silence(made)).ends_at == found.ends_at + MEANWHILE
    await client.expire_silence(made)
    assert (await client.silence(made)).state is SilenceState.EXPIRED


async def test_a_silence_that_nobody_knows_is_none(client):
    assert await client.silence("2ff3df34-2476-41a6-9786-8cf5753c1fa9") is None
    assert await client.silence("no id at all") is None


@pytest.mark.parametrize(
    ("matchers", "ends_in", "words"),
    [
        ((Matcher("alertname", "[", True),), MEANWHILE, "regex"),
        ((Matcher("alertname", ".*", True),), MEANWHILE, "must not match the empty string"),
        ((), MEANWHILE, "at least 1"),
        ((Matcher("alertname", "X"),), -MEANWHILE, "start time must be before end time"),
    ],
)
async def test_a_silence_that_alertmanager_does_not_take_is_refused_in_its_words(
    client, ears, matchers, ends_in, words
):
    wanted = wish(*matchers)
    with pytest.raises(Refused) as caught:
        await client.create_silence(replace(wanted, ends_at=wanted.starts_at + ends_in))
    assert words in str(caught.value)
    assert ears.words[-1] == ("alertmanager", "heard")


async def test_a_broken_filter_is_refused_too(client):
    with pytest.raises(Refused):
        await client.alerts((Matcher("alertname", "(", True),))


async def test_the_next_of_a_cluster_answers_when_the_first_is_away_and_is_asked_first_from_then_on(real, http, ears):
    client = AlertmanagerClient(urls=[f"http://127.0.0.1:{free_port()}", real.url], http=http, hearing=ears)
    await client.alerts()
    assert client.answered == f"Alertmanager 127.0.0.1:{real.port}"
    assert ears.words == [("alertmanager", "heard")]
    made = await client.create_silence(wish(Matcher("alertname", "Cluster")))
    await client.expire_silence(made)


# ---- one that misbehaves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "", "does not let us in (401)"),
        (403, "", "does not let us in (403)"),
        (404, "404 page not found", "answered 404"),
        (409, "", "answered 409"),
        (429, "", "answered 429"),
        (302, "", "answered 302"),
        (500, {"message": "disk is full"}, "answered 500 (disk is full)"),
        (503, "", "answered 503"),
        (200, "<html>It works!</html>", "not JSON"),
        (200, "{", "not JSON"),
        (200, {"status": "ok"}, "not its API's"),
        (200, [{"labels": {}}], "not its API's"),
        (200, "", "not JSON"),
    ],
)
async def test_an_answer_that_is_none_says_so(server, asking, ears, status, body, words):
    server.answer = answering(status, body)
    with pytest.raises(Unavailable) as caught:
        await asking.alerts()
    assert words in str(caught.value)
    assert ears.words == [("alertmanager", str(caught.value))]


async def test_no_connection_no_answer_and_a_cut_are_told_apart_from_each_other(server, http, asking):
    gone = AlertmanagerClient(urls=[f"http://127.0.0.1:{free_port()}"], http=http)
    with pytest.raises(Unreachable, match="no connection"):
        await gone.alerts()
    server.answer = cutting
    with pytest.raises(Unavailable, match="did not answer"):
        await asking.alerts()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hanging = AlertmanagerClient(urls=[f"http://127.0.0.1:{deaf.getsockname()[1]}"], http=http, timeout_s=0.2)
        with pytest.raises(Unavailable, match="did not answer"):
            await hanging.alerts()


async def test_without_any_that_answers_the_words_are_of_the_first_and_count_the_others(http):
    client = AlertmanagerClient(urls=[f"http://u:secret@127.0.0.1:{free_port()}" for _ in range(3)], http=http)
    with pytest.raises(Unreachable) as caught:
        await client.silences()
    assert "other 2" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("how", ["cut", "slow", "500", "unreadable"])
async def test_a_silence_whose_answer_is_lost_is_unknown_and_sent_to_nobody_else(server, real, http, how):
    answers = {
        "cut": cutting, "slow": _slow, "500": answering(500, ""), "unreadable": answering(200, "<html>ok</html>"),
    }  # fmt: skip
    server.answer = answers[how]
    client = AlertmanagerClient(urls=[server.url, real.url], http=http, timeout_s=0.3)
    with pytest.raises(Unknown):
        await client.create_silence(wish(Matcher("alertname", "Lost"), comment=f"mark {how}"))
    assert server.seen == [("POST", "/api/v2/silences")]
    there = AlertmanagerClient(urls=[real.url], http=http)
    assert [s for s in await there.silences() if s.comment == f"mark {how}"] == []


async def _slow(_request):
    await asyncio.sleep(0.8)
    return web.json_response({"silenceID": "late"})


@pytest.mark.parametrize("status", [401, 404, 429])
async def test_a_silence_turned_away_at_the_door_goes_to_the_next(server, real, http, status):
    server.answer = answering(status, "")
    client = AlertmanagerClient(urls=[server.url, real.url], http=http)
    made = await client.create_silence(wish(Matcher("alertname", "Door")))
    await client.expire_silence(made)
    assert client.answered.endswith(f":{real.port}")


async def test_ten_thousand_alerts_are_read_whole(server, asking, http):
    row = {
        "annotations": {"summary": "x" * 300}, "endsAt": "2026-11-23T04:12:02.299Z", "receivers": [{"name": "bot"}],
        "startsAt": "2026-11-23T04:07:02.299123456Z", "updatedAt": "2026-11-23T04:07:02.299Z",
        "status": {"inhibitedBy": [], "silencedBy": [], "state": "active"}, "labels": {"alertname": "Many"},
    }  # fmt: skip
    body = json.dumps([{**row, "fingerprint": f"{number:016x}"} for number in range(10_000)])
    server.answer = answering(200, body)
    client = AlertmanagerClient(urls=[server.url], http=http, timeout_s=20)
    assert len({alert.fingerprint for alert in await client.alerts()}) == 10_000


async def test_an_answer_that_is_too_long_says_so(server, http):
    server.answer = answering(200, "[" + " " * BODY_LIMIT_BYTES + "]")
    client = AlertmanagerClient(urls=[server.url], http=http, timeout_s=20)
    with pytest.raises(Unavailable, match="answered with more than 32 MiB"):
        await client.alerts()


@pytest.mark.parametrize(
    "text",
    ["[]", " [ ] ", "{}", "null", '[{"a": [1, {"b": [2]}], "c": {}}, [], "x", -1.5]', '{"a" : "]" , "b":[ [[3]] ] }\n'],
)
@pytest.mark.parametrize("depth", [0, 1, 3, 9])
def test_json_read_in_steps_means_the_same(text, depth):
    assert in_steps(text, depth) == json.loads(text)


@pytest.mark.parametrize(
    "text", ["", "[", "[1", "[1,]", "[1 2]", "[] []", '{"a" 1}', '{"a": 1', "{1: 2}", '{"a": 1,}', "x"]
)
def test_broken_json_is_broken_in_steps_too(text):
    with pytest.raises(json.JSONDecodeError):
        in_steps(text, 3)


def test_times_of_go_are_read_as_far_as_we_keep_them():
    assert moment("2026-11-23T04:07:02.299123456Z") == datetime(2026, 11, 23, 4, 7, 2, 299123, UTC)
    assert moment("2026-11-23T05:07:02.5+01:00") == datetime(2026, 11, 23, 4, 7, 2, 500000, UTC)
    assert moment("2026-11-23T04:07:02Z") == datetime(2026, 11, 23, 4, 7, 2, tzinfo=UTC)
    assert moment("0001-01-01T00:00:00Z") is None
    assert moment("") is None
    with pytest.raises(ValueError):
        moment("2026-11-23T04:07:02")

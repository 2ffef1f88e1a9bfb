"""The Prometheus client against the real server, and against one that refuses, hangs, drips, cuts and lies."""

import asyncio
import json
import math
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from bot.clients import prometheus as prometheus_module
from bot.clients.prometheus import POINTS_MAX, PrometheusClient
from bot.errors import Refused, Unavailable, Unreachable
from tests.wire.monitoring_room import free_port, prometheus
from tests.wire.scripted_server import scripted_server

ROOT = Path(__file__).resolve().parents[2]
RULES = """
groups:
  - name: demo
    rules:
      - {record: "job:up:sum", expr: "sum by (job) (up)"}
      - alert: Watchdog
        expr: vector(1)
        labels: {severity: none}
        annotations: {summary: "The way works"}
      - {alert: Soon, expr: "vector(1)", for: 1h}
      - {alert: Never, expr: "vector(1) > 2", labels: {severity: critical}}
"""


class Ears:
    def __init__(self):
        self.words = []

    def heard(self, part):
        self.words.append((part, "heard"))

    def silent(self, part, why):
        self.words.append((part, why))


@pytest.fixture(scope="module")
async def real(tmp_path_factory):
    async with prometheus(tmp_path_factory.mktemp("prometheus"), rules=RULES) as running:
        yield running


@pytest.fixture
async def server():
    async with scripted_server() as running:
        yield running


@pytest.fixture
def ears():
    return Ears()


@pytest.fixture
def client(real, ears):
    opened = PrometheusClient(real.url, timeout_s=20, hearing=ears)
    yield opened
    opened.close()


@pytest.fixture
def asking(server, ears):
    opened = PrometheusClient(server.url, timeout_s=1.0, concurrency=2, hearing=ears)
    yield opened
    opened.close()


def answering(status, body, kind="application/json"):
    async def answer(_request):
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body), content_type=kind)

    return answer


def succeeding(result, kind="vector", **beside):
    return answering(200, {"status": "success", "data": {"resultType": kind, "result": result}, **beside})


async def rules_have_run(client):
    async with asyncio.timeout(30):
        while not await client.firing_alerts():
            await asyncio.sleep(0.1)


# ---- the real one --------------------------------------------------------------------------------------------------


async def test_vectors_scalars_and_ranges_are_series_of_points(client, ears):
    (vector,) = (await client.query('label_replace(vector(7), "job", "app", "", "")')).series
    assert (vector.labels, [value for _, value in vector.points]) == ({"job": "app"}, [7.0])
    at = datetime(2026, 11, 1, 12, 0, 0, 500000, tzinfo=UTC)
    (scalar,) = (await client.query("time()", at)).series
    assert (scalar.labels, scalar.points) == ({}, ((at.timestamp(), at.timestamp()),))
    end = datetime.now(UTC).replace(microsecond=0)
    found = await client.query_range("vector(time())", end - timedelta(minutes=5), end, timedelta(seconds=30))
    assert found.step_s == 30
    assert found.series[0].points == tuple((t, t) for t in _steps(end.timestamp() - 300, end.timestamp(), 30))
    assert found.warnings == ()
    assert set(ears.words) == {("prometheus", "heard")}


def _steps(start, end, step):
    return [start + number * step for number in range(int((end - start) / step) + 1)]


async def test_nothing_is_no_series_and_what_is_no_number_stays_so(client):
    assert (await client.query("no_such_metric")).series == ()
    (point,) = (await client.query("vector(0) / vector(0)")).series[0].points
    assert math.isnan(point[1])
    (point,) = (await client.query("vector(1) / vector(0)")).series[0].points
    assert point[1] == math.inf


@pytest.mark.parametrize(("length", "step"), [("30d", "1s"), ("1d", None), ("5m", None), ("1h", "7s")])
async def test_a_curve_has_at_most_as_many_points_as_a_chart_can_show(client, length, step):
    spans = {"30d": timedelta(days=30), "1d": timedelta(days=1), "5m": timedelta(minutes=5), "1h": timedelta(hours=1)}
    seconds = {"1s": timedelta(seconds=1), "7s": timedelta(seconds=7), None: None}
    end = datetime.now(UTC)
    found = await client.query_range("vector(1)", end - spans[length], end, seconds[step])
    assert 100 < len(found.series[0].points) <= POINTS_MAX


@pytest.mark.parametrize(
    ("promql", "words"),
    [("sum by (", "does not understand the query"), ("rate(up)", "does not understand the query"), ("  ", "empty")],
)
async def test_a_wrong_query_is_refused_with_prometheus_own_words(client, promql, words):
    with pytest.raises(Refused) as caught:
        await client.query(promql)
    assert words in str(caught.value)
    assert "b'" not in str(caught.value)


async def test_a_query_that_is_too_long_for_an_address_is_not_sent(server, asking):
    with pytest.raises(Refused, match="too long"):
        await asking.query("up{job=~" + '"' + "x|" * 2500 + '"}')
    with pytest.raises(Refused, match="ends before"):
        await asking.query_range("up", datetime.now(UTC), datetime.now(UTC) - timedelta(1))
    assert server.seen == []


async def test_a_query_as_long_as_may_be_is_answered(client):
    padding = "x" * (prometheus_module.QUERY_MAX_BYTES - 30)
    assert (await client.query(f'up{{job="{padding}"}}')).series == ()


async def test_what_fires_and_the_rules_are_told_by_prometheus_itself(client):
    await rules_have_run(client)
    (alert,) = await client.firing_alerts()
    assert alert.labels == {"alertname": "Watchdog", "severity": "none"}
    assert (alert.annotations, alert.value) == ({"summary": "The way works"}, 1.0)
    assert timedelta(0) <= datetime.now(UTC) - alert.active_at < timedelta(minutes=5)
    rules = {rule.name: rule for rule in await client.rules()}
    assert list(rules) == ["job:up:sum", "Watchdog", "Soon", "Never"]
    assert [rule.alerting for rule in rules.values()] == [False, True, True, True]
    assert (rules["Soon"].duration_s, rules["Soon"].state, rules["Soon"].firing) == (3600, "pending", ())
    assert (rules["Watchdog"].state, rules["Watchdog"].health, rules["Watchdog"].group) == ("firing", "ok", "demo")
    assert rules["Never"].query == "vector(1) > 2"
    assert [found.labels for found in rules["Watchdog"].firing] == [alert.labels]


# ---- one that misbehaves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["query", "query_range", "firing_alerts", "rules"])
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "", "does not let us in (401)"),
        (403, "", "does not let us in (403)"),
        (404, "404 page not found", "answered 404"),
        (429, "", "answered 429"),
        (302, "", "answered 302"),
        (500, "", "answered 500"),
        (502, "<html>Bad Gateway</html>", "answered 502"),
        (503, {"status": "error", "errorType": "timeout", "error": "query timed out"}, "took too long"),
        (503, {"status": "error", "errorType": "unavailable", "error": "not ready"}, "answered 503 (not ready)"),
        (200, "<html>It works!</html>", "not JSON"),
        (200, "", "not JSON"),
        (200, {"status": "success"}, "not its API's"),
        (200, {"status": "success", "data": {"result": [{}], "alerts": [{}], "groups": [{}]}}, "not its API's"),
    ],
)
async def test_an_answer_that_is_none_says_so_at_once(server, asking, ears, question, status, body, words):
    server.answer = answering(status, body)
    with pytest.raises(Unavailable) as caught:
        await _ask(asking, question)
    assert words in str(caught.value)
    assert ears.words == [("prometheus", str(caught.value))]
    assert len(server.seen) == 1


async def _ask(client, question):
    end = datetime.now(UTC)
    match question:
        case "query":
            return await client.query("up")
        case "query_range":
            return await client.query_range("up", end - timedelta(hours=1), end)
        case _:
            return await getattr(client, question)()


async def test_what_is_too_much_for_prometheus_is_refused(server, asking, ears):
    words = "query processing would load too many samples into memory"
    server.answer = answering(422, {"status": "error", "errorType": "execution", "error": words})
    with pytest.raises(Refused, match="too many samples"):
        await asking.query("up")
    assert ears.words == [("prometheus", "heard")]


async def test_warnings_of_a_partial_answer_are_kept(server, asking):
    row = {"metric": {"job": "app"}, "value": [1000, "2.5"]}
    server.answer = succeeding([row], warnings=["one store is down"], infos=["metric might not be a counter"])
    found = await asking.query("up")
    assert found.warnings == ("one store is down", "metric might not be a counter")
    assert found.series[0].points == ((1000.0, 2.5),)


async def test_prometheus_is_told_how_much_time_it_has(server, asking):
    told = []

    async def answer(request):
        told.append(dict(request.query))
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})

    server.answer = answer
    await asking.query("up")
    assert told == [{"query": "up", "timeout": "750ms"}]


async def test_an_answer_without_end_is_broken_off_and_the_thread_is_free_again(server, asking):
    server.answer = succeeding([{"metric": {"l": "x" * 5_000_000}, "value": [1, "1"]}])
    with pytest.raises(Refused, match="too long"):
        await asking.query("up")
    server.answer = succeeding([])
    assert (await asking.query("up")).series == ()


async def _drip(request):
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    try:
        for _ in range(100):
            await answer.write(b" " * 100_000)
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass
    return answer


async def _hang(_request):
    await asyncio.sleep(3)
    return web.Response()


async def _cut(request):
    request.transport.abort()
    return web.Response()


async def _half(request):
    answer = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await answer.prepare(request)
    await answer.write(b'{"status":')
    request.transport.abort()
    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [(_hang, "within 1 s"), (_drip, "within 1 s|too long"), (_cut, "connection broke"), (_half, "cannot be reached")],
)
async def test_no_answer_in_time_or_a_cut_is_a_sentence_and_the_next_question_is_answered(
    server, asking, ears, answer, words
):
    server.answer = answer
    for _ in range(4):  # more often than there are threads
        with pytest.raises((Unavailable, Refused), match=words):
            await asking.query("up")
    server.answer = succeeding([])
    async with asyncio.timeout(20):
        while True:
            try:
                assert (await asking.query("up")).series == ()
                break
            except Unavailable:
                continue
    assert ears.words[-1] == ("prometheus", "heard")


async def test_no_connection_is_told_at_once():
    client = PrometheusClient(f"http://127.0.0.1:{free_port()}", timeout_s=20)
    with pytest.raises(Unreachable, match="no connection"):
        await client.query("up")
    client.close()


async def test_questions_that_wait_behind_a_hanging_one_say_that_they_were_not_asked(server):
    server.answer = _hang
    client = PrometheusClient(server.url, timeout_s=0.6, concurrency=1)
    first, second = await asyncio.gather(client.query("up"), client.query("up"), return_exceptions=True)
    assert "within 0.6 s" in str(first)
    assert "was not asked" in str(second) or "within 0.6 s" in str(second)
    assert isinstance(second, Unavailable)
    client.close()


def test_a_hanging_prometheus_does_not_keep_the_process_from_ending():
    program = """
import asyncio, sys
from bot.clients.prometheus import PrometheusClient
from bot.errors import Unavailable
async def main():
    client = PrometheusClient(sys.argv[1], timeout_s=300)
    try:
        async with asyncio.timeout(1):
            await client.query("up")
    except TimeoutError:
        print("gave up")
    client.close()
asyncio.run(main())
"""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-c", program, url], cwd=ROOT, timeout=60, capture_output=True, text=True, check=False
        )
    assert (ended.returncode, ended.stdout) == (0, "gave up\n"), ended.stderr
    assert time.monotonic() - began < 50

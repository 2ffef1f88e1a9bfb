"""Figures against a real Prometheus, and against one that hangs, refuses, lies or says that its answer is partial."""

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.alert_settings import FigureSettings
from bot.errors import Refused, Unavailable, Unreachable
from bot.services.changes import SILENCE, Change
from bot.services.export import curves_csv
from bot.services.figures import Figures, Picture, Place, _names
from bot.services.outside import State
from bot.services.plots import Curve, MarkKind, Unit
from bot.services.vitals import Vital, Vitals
from bot.ui.overview import _vitals
from bot.ui.pictures import summary, table_text
from tests.wire.figures_room import FIGURES, Changes, figures_of
from tests.wire.monitoring_room import free_port, prometheus, serve_metrics
from tests.wire.scripted_server import ScriptedServer, scripted_server

RULES = """
groups:
  - name: load
    rules:
      - {alert: High, expr: "load > 80", labels: {severity: warning}, annotations: {unit: percent}}
      - {alert: High, expr: "load > 95", labels: {severity: critical}}
      - {alert: Low, expr: "15 > budget"}
      - {alert: Gone, expr: "absent(no_such_metric)"}
"""
SHORT = timedelta(minutes=1)
DEV, PROD = 'load{environment="dev",host="i-1"}', 'load{environment="prod",host="i-2"}'


class Room:
    """A Prometheus that looks at a target whose metrics a test sets, and figures that ask it."""

    def __init__(self, target: str, metrics: dict[str, Any], figures: Figures, changes: Changes, client: Any) -> None:
        self.target, self.metrics, self.figures, self.changes, self.client = target, metrics, figures, changes, client

    async def settles(self, query: str, wanted: Any) -> None:
        """Wait until that query gives these values."""
        async with asyncio.timeout(30):
            while (found := await self.values(query)) != wanted:
                await asyncio.sleep(0.05)
        assert found == wanted

    async def values(self, query: str) -> list[float]:
        return sorted(one.points[-1][1] for one in (await self.client.query(query)).series)


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    home: Path = tmp_path_factory.mktemp("figures")
    metrics: dict[str, Any] = {DEV: 40, PROD: 90, 'hits{service="app"}': 12, 'budget{environment="dev"}': 70}
    async with serve_metrics(metrics) as target, prometheus(home, rules=RULES, target=target) as server:
        with figures_of(server.url, home) as (figures, changes, client):
            found = Room(target, metrics, figures, changes, client)
            await found.settles("load", [40.0, 90.0])
            await found.settles("max(count_over_time(load[10s])) > bool 10", [1.0])
            yield found


def names(picture: Picture) -> list[str]:
    return [reading.name for reading in picture.readings]


# ---- panels and queries --------------------------------------------------------------------------------------------


async def test_a_panel_is_a_chart_with_its_unit_its_limit_and_what_was_changed(room: Room) -> None:
    now = datetime.now(UTC)
    deploy = Change(now - timedelta(seconds=20), "deploy", "deploy 4f1c2a9", "dev", operation_id=184)
    room.changes.found = [deploy, Change(now - timedelta(seconds=9), SILENCE, "quiet", "sre")]
    try:
        picture = await room.figures.panel("load", room.figures.place("load", "dev"), length=SHORT)
    finally:
        room.changes.found = []
    spec = picture.spec
    assert (spec.title, spec.unit, spec.threshold) == ("Load · dev", Unit.PERCENT, 80.0)
    assert spec.end - spec.start == SHORT
    assert [(mark.text, mark.kind) for mark in spec.marks] == [("#184 deploy", MarkKind.CHANGE)]
    (reading,) = picture.readings
    assert (reading.name, reading.last, reading.lowest, reading.highest) == (room.target, 40.0, 40.0, 40.0)
    assert room.changes.asked[-1] == ("dev", "")
    text = table_text(picture)
    assert f"**40 %** · 40 % to 40 % · {room.target}" in text
    assert "limit 80 %" in text
    assert summary(picture) == "Load · dev: 40 % now, 40 % to 40 %"


async def test_series_are_called_by_the_legend_or_by_what_tells_them_apart(room: Room) -> None:
    every = await room.figures.panel("all", room.figures.place("all"), length=SHORT)
    assert sorted(names(every)) == ["dev", "prod"]
    one = await room.figures.panel("all", room.figures.place("all", "prod"), length=SHORT)
    assert names(one) == ["prod"]
    typed = await room.figures.query("load * 2", length=SHORT)
    assert names(typed) == ["prod i-2", "dev i-1"], "the highest first"
    assert (typed.spec.title, typed.spec.unit) == ("load * 2", Unit.NONE)


def test_what_the_legend_calls_the_same_is_told_apart_all_the_same() -> None:
    disks = [{"mountpoint": m, "environment": e} for m, e in (("/", "dev"), ("/", "prod"), ("/data", "dev"))]
    assert list(_names(disks, "{{mountpoint}}")) == ["/ dev", "/ prod", "/data"]
    assert list(_names(disks, "")) == ["dev /", "prod /", "dev /data"]
    assert list(_names([{"__name__": "up", "job": "x"}], "")) == ["up"]


async def test_what_was_not_measured_is_a_gap_and_no_data_and_never_0(room: Room) -> None:
    began = datetime.now(UTC)
    room.metrics.pop(PROD)
    try:
        await room.settles(PROD, [])
        await asyncio.sleep(3.5)
    finally:
        room.metrics[PROD] = 90
    await room.settles(PROD, [90.0])
    await asyncio.sleep(1.2)  # a point a whole second
    now = datetime.now(UTC)
    found = await room.figures.query(PROD, length=SHORT, now=now)
    at = [t for t, _ in found.curves[0].points]
    longest = max(after - before for before, after in pairwise(at))
    assert 1.5 < longest <= (now - began).total_seconds() + 1
    assert {value for _, value in found.curves[0].points} == {90.0}
    nothing = await room.figures.query("no_such_metric", length=SHORT)
    assert (nothing.found, nothing.readings, nothing.spec.curves) == (0, (), ())
    assert "**No data**" in table_text(nothing)
    assert summary(nothing).endswith("no data")
    assert "no data" in table_text(await room.figures.query("load / 0 - load / 0", length=SHORT))


async def test_a_chart_has_at_most_300_points_a_curve_and_20_series(room: Room) -> None:
    many = " or ".join(f'label_replace(vector({n}), "n", "{n}", "", "")' for n in range(40))
    picture = await room.figures.query(many, length=room.figures.length("30d"))
    assert len(picture.spec.curves) == len(picture.readings) == 20
    assert (picture.found, picture.spec.more, len(picture.curves)) == (40, 20, 40)
    assert all(len(curve.points) <= 300 for curve in picture.curves)
    assert names(picture)[:3] == ["39", "38", "37"]
    assert "+20 more" in table_text(picture)


async def test_all_series_go_into_the_file_and_what_is_missing_is_empty() -> None:
    curves = (Curve("a", ((0.0, 1.0), (10.0, 2.5))), Curve("=1+1", ((10.0, 3.0),)), Curve("", ((0.0, 4.0),)))
    rows = list(csv.reader(io.StringIO(curves_csv(curves))))
    assert rows == [
        ["time", "a", "'=1+1", "value"],
        ["1970-01-01T00:00:00.000+00:00", "1.0", "", "4.0"],
        ["1970-01-01T00:00:10.000+00:00", "2.5", "3.0", ""],
    ]


async def test_what_is_no_panel_or_no_place_of_it_is_refused_with_what_there_is(room: Room) -> None:
    figures = room.figures
    assert figures.place("load") == Place("prod", "")
    assert figures.place("hits") == Place("", "app")
    assert figures.place("all") == Place("", "")
    for wrong, words in [
        (lambda: figures.place("nope"), "There is no panel 'nope'; there are: load, all, up, hits"),
        (lambda: figures.place("up", "dev"), "does not tell environments apart"),
        (lambda: figures.place("load", "dev", "app"), "does not tell services apart"),
        (lambda: figures.place("hits", service="bot"), "only about app"),
    ]:
        with pytest.raises(Refused, match=words):
            wrong()
    assert sorted(figures.panels("bot")) == ["all", "load", "up"]


@pytest.mark.parametrize(
    ("typed", "words"), [("31d", "30 days at most"), ("10s", "no length"), ("x", "no length"), ("-1h", "no length")]
)
async def test_a_range_has_its_limits(room: Room, typed: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        room.figures.length(typed)


async def test_a_query_has_its_limits_and_prometheus_says_what_is_wrong_with_it(room: Room) -> None:
    assert room.figures.length("") == timedelta(hours=3)
    with pytest.raises(Refused, match="2001 characters; 2000 at most"):
        await room.figures.query("x" * 2001, length=SHORT)
    with pytest.raises(Refused, match="parse error"):
        await room.figures.query("sum by (", length=SHORT)


# ---- alerts --------------------------------------------------------------------------------------------------------


async def graph(room: Room, name: str, *, host: str = "", severity: str = "", **given: Any) -> Picture:
    labels = {"alertname": name, "severity": severity, "environment": "prod", "host": host, "cluster": "lab"}
    labels |= {"instance": room.target, "job": "app"}
    fired = given.pop("starts_at", datetime.now(UTC) - timedelta(seconds=10))
    told = {key: value for key, value in labels.items() if value}
    return await room.figures.of_alert(labels=[told], starts_at=fired, place=Place("prod", "app"), **given)


async def test_an_alerts_graph_is_its_rules_curve_with_the_threshold_and_its_start(room: Room) -> None:
    fired = datetime.now(UTC) - timedelta(seconds=10)
    picture = await graph(room, "High", severity="warning", host="i-2", starts_at=fired)
    spec = picture.spec
    assert (picture.query, spec.threshold, spec.beyond) == ("load", 80.0, ">")
    assert spec.title == "High · app · prod"
    assert [(mark.at, mark.kind) for mark in spec.marks] == [(fired, MarkKind.ALERT)]
    assert (picture.found, picture.readings[0].last) == (1, 90.0), "only the series that is the alert's own"
    assert spec.start <= fired - timedelta(minutes=29)
    critical = await graph(room, "High", severity="critical")
    assert (critical.spec.threshold, critical.found) == (95.0, 2), "no series is the alert's own: all are shown"
    low = await graph(room, "Low")
    assert (low.query, low.spec.threshold, low.spec.beyond, low.found) == ("budget", 15.0, "<", 1)
    gone = await graph(room, "Gone")
    assert (gone.query, gone.spec.threshold) == ("absent(no_such_metric)", None)


async def test_a_resolved_alert_shows_its_whole_time_and_an_annotation_says_the_unit(room: Room) -> None:
    fired = datetime.now(UTC) - timedelta(hours=10)
    ended = fired + timedelta(hours=2)
    picture = await graph(room, "High", starts_at=fired, ends_at=ended, annotations={"unit": "percent"})
    assert picture.spec.unit is Unit.PERCENT
    assert picture.spec.start < fired - timedelta(hours=1)
    assert ended < picture.spec.end < ended + timedelta(hours=1)
    assert [mark.kind for mark in picture.spec.marks] == [MarkKind.ALERT, MarkKind.END]
    old = await graph(room, "High", starts_at=datetime.now(UTC) - timedelta(days=90))
    assert old.spec.end - old.spec.start == timedelta(days=30), "no further back than the limit"


async def test_without_a_rule_the_alerts_own_link_is_used_and_without_both_it_says_so(room: Room) -> None:
    link = "http://prometheus.test/graph?g0.expr=load+%3E+42&g0.tab=1"
    picture = await graph(room, "Unknown", generator_url=link)
    assert (picture.query, picture.spec.threshold) == ("load", 42.0)
    with pytest.raises(Refused, match="no rule named 'Unknown'"):
        await graph(room, "Unknown")


async def test_marks_are_left_out_while_the_record_cannot_be_read(room: Room) -> None:
    room.changes.away = True
    try:
        assert len((await graph(room, "High")).spec.marks) == 1
    finally:
        room.changes.away = False


# ---- a Prometheus that is not well ---------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


def answering(status: int, body: object, kind: str = "application/json") -> Any:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body), content_type=kind)

    return answer


async def hanging(_request: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    return web.Response()


async def dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.1)


ILL = {
    "hangs": (hanging, "did not answer within 1 s"),
    "drips": (dripping, "did not answer within 1 s"),
    "answers with a page": (answering(200, "<html>Log in</html>", "text/html"), "not JSON"),
    "answers 503": (answering(503, "busy", "text/plain"), "answered 503"),
    "answers with something else": (answering(200, {"status": "success", "data": []}), "not its API's"),
}


@pytest.mark.parametrize("how", ILL)
async def test_a_prometheus_that_is_not_well_is_one_sentence_within_the_deadline(
    server: ScriptedServer, tmp_path: Path, how: str
) -> None:
    server.answer, words = ILL[how]
    with figures_of(server.url, tmp_path, timeout_s=1.0) as (figures, _, _):
        for asked in (
            figures.query("up", length=SHORT),
            figures.panel("up", Place(), length=SHORT),
            figures.of_alert(labels=[{"alertname": "High"}], starts_at=datetime.now(UTC)),
        ):
            began = time.monotonic()
            with pytest.raises(Unavailable, match=words):
                await asked
            assert time.monotonic() - began < 20


async def test_a_prometheus_that_is_not_there_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with figures_of(address, tmp_path) as (figures, _, _), pytest.raises(Unreachable, match="cannot be reached"):
        await figures.query("up", length=SHORT)


async def test_a_partial_answer_is_shown_as_partial(server: ScriptedServer, tmp_path: Path) -> None:
    result = [{"metric": {"__name__": "up"}, "values": [[time.time(), "1"]]}]
    data = {"resultType": "matrix", "result": result}
    server.answer = answering(200, {"status": "success", "data": data, "warnings": ["store-2 **timed** out"]})
    with figures_of(server.url, tmp_path) as (figures, _, _):
        picture = await figures.query("up", length=SHORT)
    assert picture.warnings == ("store-2 **timed** out",)
    assert "! Prometheus says that this may be partial: store-2 \\*\\*timed\\*\\* out" in table_text(picture)


# ---- the figures of the status -------------------------------------------------------------------------------------


def by_name(vitals: tuple[Vital, ...]) -> dict[str, Vital]:
    return {vital.name: vital for vital in vitals}


async def test_figures_are_live_and_what_is_not_measured_is_no_data(room: Room) -> None:
    vitals = Vitals(FigureSettings(**FIGURES), prometheus=room.client)
    host = by_name(await vitals.of_environment("dev"))
    assert (host["cpu"].value, host["cpu"].state, host["cpu"].unit) == (40.0, State.LIVE, Unit.PERCENT)
    assert (host["memory"].value, host["memory"].state) == (None, State.LIVE)
    assert list(host) == ["cpu", "memory"], "a figure without a query is not told"
    app = by_name(await vitals.of_service("dev", "app"))
    assert (app["requests"].value, app["slo_left"].value) == (12.0, 70.0)
    assert list(_vitals(tuple(host.values()), "")) == ["CPU 40 % · memory no data"]
    nobody = by_name(await vitals.of_service("prod", "nobody"))
    assert list(_vitals(tuple(nobody.values()), "")) == ["figures: no data"]


async def test_the_worst_of_several_values_is_told(room: Room) -> None:
    vitals = Vitals(FigureSettings(cpu="load", slo_left="load"), prometheus=room.client)
    (cpu,) = await vitals.of_environment("dev")
    (left,) = await vitals.of_service("dev", "app")
    assert (cpu.value, cpu.of, left.value) == (90.0, 2, 40.0)
    assert list(_vitals((cpu,), "")) == ["CPU 90 % (worst of 2)"]


async def test_figures_of_a_prometheus_that_went_away_are_stale_and_unknown_if_never_seen(
    server: ScriptedServer, tmp_path: Path
) -> None:
    row = {"metric": {}, "value": [time.time(), "97.2"]}
    well = answering(200, {"status": "success", "data": {"resultType": "vector", "result": [row]}})
    with figures_of(server.url, tmp_path, timeout_s=0.5) as (_, _, client):
        vitals = Vitals(FigureSettings(cpu="cpu", requests="r"), prometheus=client)
        server.answer = well
        (before,) = await vitals.of_environment("dev")
        server.answer = hanging
        began = time.monotonic()
        (stale,), (unknown,) = await asyncio.gather(vitals.of_environment("dev"), vitals.of_service("dev", "app"))
        assert time.monotonic() - began < 20
        assert (stale.value, stale.state, stale.seen_at) == (97.2, State.STALE, before.seen_at)
        assert (unknown.value, unknown.state) == (None, State.UNKNOWN)
        assert "CPU 97.2 % (*stale*, seen <t:" in next(_vitals((stale,), ""))
        assert list(_vitals((unknown,), "-# ")) == ["-# figures: *unknown*"]
        server.answer = answering(400, {"status": "error", "errorType": "bad_data", "error": "no"})
        assert (await vitals.of_service("dev", "app"))[0].state is State.UNKNOWN
        server.answer = well
        assert (await vitals.of_environment("dev"))[0].state is State.LIVE

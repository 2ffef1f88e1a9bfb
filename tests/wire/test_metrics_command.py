"""/metrics from the picker to the picture: the real house, a real Prometheus, and the sandbox's Discord.

Between the two stands a server that passes everything on until a test tells it to be ill.
"""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from bot.ui.card import SHARE_ID
from bot.ui.chart import HEIGHT, WIDTH
from tests.wire.discord_world import ran, settled, until
from tests.wire.figures_room import metrics_section
from tests.wire.front_room import FrontRoom, open_front_room
from tests.wire.monitoring_room import prometheus, serve_metrics
from tests.wire.scripted_server import Answer, scripted_server

DEADLINE_S = 3.0
METRICS = {
    'load{environment="dev"}': 40, 'load{environment="prod"}': 91, 'hits{service="app"}': 12,
    'evil{text="](https://evil.example) @everyone **b** $x$"}': 1,
}  # fmt: skip


@dataclass
class Gauges:
    """The house, and the way to its Prometheus."""

    room: FrontRoom
    way: Any
    passing: Answer

    async def ask(self, command: str, *, user: str = "dev", **options: Any) -> Any:
        """The private answer's message."""
        answer = await ran(self.room.part, f"metrics {command}", "answered", "timeout", user=user, **options)
        assert answer["ephemeral"]
        (message,) = [
            one for one in self.room.part.messages(channel="ops", user=user, limit=100)["messages"]
            if one["id"] == answer["message"]
        ]  # fmt: skip
        return message

    async def file(self, attachment: Any) -> bytes:
        async with aiohttp.ClientSession() as session, session.get(attachment["url"]) as answer:
            assert answer.status == 200
            return await answer.read()

    async def offered(self, option: str, text: str = "", command: str = "metrics show") -> list[str]:
        asked = {"user": "sre", "channel": "ops", "command": command, "option": option, "text": text, "options": {}}
        sent = await self.room.part.autocomplete(asked)
        return [choice["value"] for choice in (await settled(self.room.part, sent, "choices"))["choices"]]


@pytest.fixture(scope="module")
async def gauges(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gauges]:
    home: Path = tmp_path_factory.mktemp("metrics")
    async with (
        serve_metrics(dict(METRICS)) as target,
        prometheus(home / "prometheus", target=target) as server,
        scripted_server() as way,
        aiohttp.ClientSession() as session,
    ):

        async def passing(request: web.Request) -> web.Response:
            async with session.get(server.url + request.path_qs) as answer:
                kind = answer.content_type
                return web.Response(status=answer.status, body=await answer.read(), content_type=kind)

        way.answer = passing
        section = metrics_section(way.url, timeout_s=DEADLINE_S)
        async with open_front_room(home, changes={"metrics": section}) as room:
            figures = room.house.figures
            assert figures is not None

            async def measured() -> bool:
                found = await figures.query("load", length=figures.length("1m"))
                return found.found == 2

            async with asyncio.timeout(30):
                while not await measured():
                    await asyncio.sleep(0.1)
            yield Gauges(room, way, passing)


@pytest.fixture(autouse=True)
def well(gauges: Gauges) -> None:
    gauges.way.answer = gauges.passing


def picture(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
    assert 4_000 < len(data) < 260_000
    return image


async def test_a_panel_is_answered_with_its_chart_and_its_table(gauges: Gauges) -> None:
    message = await gauges.ask("show", panel="load", environment="dev", range="15m")
    assert "**Load · dev** · 15:00 min" in message["text"]
    assert "**40 %** · 40 % to 40 %" in message["text"]
    (attachment,) = message["attachments"]
    assert attachment["filename"] == "chart.png"
    picture(await gauges.file(attachment))
    assert [one["label"] for one in message["components"] if one["kind"] == "button"] == ["Share"]
    usual = await gauges.ask("show", panel="load")
    assert "**Load · prod** · 3 h 00 min" in usual["text"]
    assert "**91 %**" in usual["text"]


async def test_shared_it_shows_the_same_picture_to_everybody(gauges: Gauges) -> None:
    message = await gauges.ask("show", panel="hits", service="app", range="5m")
    mine = await gauges.file(message["attachments"][0])
    sent = await gauges.room.part.component({"user": "dev", "message": message["id"], "custom_id": SHARE_ID})
    await settled(gauges.room.part, sent, "answered")

    def shared() -> Any:
        found = gauges.room.part.messages(channel="ops", limit=20)["messages"]
        return next((one for one in found if "shared by dev" in one["text"] and one["attachments"]), None)

    public = await until(shared)
    assert "12 req/s" in public["text"]
    assert await gauges.file(public["attachments"][0]) == mine


async def test_a_query_is_for_those_who_may_and_its_series_come_as_a_file(gauges: Gauges) -> None:
    message = await gauges.ask("query", user="sre", promql="load * 2", range="2m", export="csv")
    assert "**182**" in message["text"]
    chart, table = message["attachments"]
    picture(await gauges.file(chart))
    lines = (await gauges.file(table)).decode().splitlines()
    assert table["filename"].startswith("metrics-") and table["filename"].endswith(".csv")
    assert lines[0] == "time,prod,dev"
    assert len(lines) > 1
    refused = await gauges.ask("query", user="dev", promql="up")
    assert "Refused" in refused["text"]
    assert not refused["attachments"]
    assert "Refused" in (await gauges.ask("query", user="guest", promql="up"))["text"]


async def test_foreign_text_is_inert_in_the_table_and_harmless_in_the_picture(gauges: Gauges) -> None:
    message = await gauges.ask(
        "query", user="sre", promql="label_replace(evil, 'instance', '$1', 'text', '(.*)')", range="1m"
    )
    assert message["pings"] == {"users": [], "roles": [], "everyone": False}
    assert "](https://evil.example)" not in message["text"]
    picture(await gauges.file(message["attachments"][0]))


async def test_what_cannot_be_asked_is_refused_in_a_sentence(gauges: Gauges) -> None:
    for command, options, words in [
        ("show", {"panel": "nope"}, "There is no panel"),
        ("show", {"panel": "up", "environment": "dev"}, "does not tell environments apart"),
        ("show", {"panel": "load", "environment": "stage"}, "stage"),
        ("show", {"panel": "load", "range": "90d"}, "30 days at most"),
        ("show", {"panel": "load", "range": "soon"}, "no length of time"),
        ("query", {"promql": "sum by ("}, "parse error"),
        ("query", {"promql": "x" * 2001}, "2000 at most"),
    ]:
        message = await gauges.ask(command, user="sre", **options)
        assert words in message["text"], (command, options, message["text"])
        assert not message["attachments"]


async def test_nothing_measured_is_no_data_in_words_and_in_the_picture(gauges: Gauges) -> None:
    message = await gauges.ask("query", user="sre", promql="no_such_metric")
    assert "**No data**" in message["text"]
    picture(await gauges.file(message["attachments"][0]))


async def test_the_picker_offers_panels_ranges_and_expressions(gauges: Gauges) -> None:
    assert await gauges.offered("panel") == ["load", "all", "up", "hits"]
    assert await gauges.offered("panel", "every") == ["all"]
    assert (await gauges.offered("range"))[:3] == ["15m", "1h", "3h"]
    assert (await gauges.offered("range", "90m"))[0] == "90m"
    assert "up" in await gauges.offered("promql", command="metrics query")
    assert (await gauges.offered("promql", "rate(x[5m])", command="metrics query"))[0] == "rate(x[5m])"


async def hanging(_request: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    return web.Response()


async def page(_request: web.Request) -> web.Response:
    return web.Response(text="<html>Log in</html>", content_type="text/html")


async def refusing(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def partial(_request: web.Request) -> web.Response:
    result = [{"metric": {"__name__": "up"}, "values": [[time.time(), "1"]]}]
    data = {"resultType": "matrix", "result": result}
    return web.json_response({"status": "success", "data": data, "warnings": ["a store timed out"]})


@pytest.mark.parametrize(
    ("ill", "words"), [(hanging, "did not answer within 3 s"), (page, "not JSON"), (refusing, "cannot be reached")]
)
async def test_a_prometheus_that_is_ill_is_one_sentence_within_the_deadline(
    gauges: Gauges, ill: Answer, words: str
) -> None:
    gauges.way.answer = ill
    began = time.monotonic()
    message = await gauges.ask("show", panel="load")
    assert "Not possible now" in message["text"] and words in message["text"]
    assert time.monotonic() - began < 30
    assert not message["attachments"]


async def test_a_partial_answer_says_so_beside_its_chart(gauges: Gauges) -> None:
    gauges.way.answer = partial
    message = await gauges.ask("show", panel="up")
    assert "may be partial: a store timed out" in message["text"]
    assert message["attachments"]


async def test_without_the_drawing_the_figures_are_told_all_the_same(gauges: Gauges) -> None:
    charts = gauges.room.house.charts
    deadline, charts._deadline_s = charts._deadline_s, 0.0
    try:
        message = await gauges.ask("show", panel="load", environment="dev")
    finally:
        charts._deadline_s = deadline
    assert "The picture was not drawn" in message["text"]
    assert "**40 %**" in message["text"]
    assert not message["attachments"]


async def test_the_status_has_the_measured_figures_and_their_age_when_prometheus_is_away(gauges: Gauges) -> None:
    async def status() -> str:
        answer = await ran(gauges.room.part, "status", "answered", "timeout", user="dev")
        return str(answer["text"])

    text = await status()
    assert "CPU 40 % · memory no data" in text
    assert "CPU 91 % · memory no data" in text
    assert "requests 12 req/s" in text
    gauges.way.answer = refusing
    text = await status()
    assert "CPU 40 % (*stale*, seen <t:" in text


async def test_ten_at_once_are_all_answered(gauges: Gauges) -> None:
    asked = (gauges.ask("show", panel="all", range=f"{n + 1}h") for n in range(10))
    found = await asyncio.gather(*asked)
    assert all(len(message["attachments"]) == 1 for message in found)
    assert len({message["id"] for message in found}) == 10

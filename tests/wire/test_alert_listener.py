"""The listener for alerts over real sockets: what it takes, what it turns away, and that nobody can hold it up."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from bot.alert_settings import AlertSettings
from bot.alerts.model import Payload
from bot.alerts.payload import parse
from bot.alerts.reading import GroupFilter
from bot.alerts.store import AlertStore
from bot.db.database import Database
from bot.errors import Unavailable
from bot.inbound.alertmanager import (
    BODIES_MAX,
    BODY_MAX_BYTES,
    HELD_MAX_BYTES,
    LARGE_BYTES,
    PATH,
    UNHEARD_MAX,
    AlertListener,
    Outcome,
)
from bot.inbound.backlog import BacklogGauge
from bot.inbound.health import HealthListener
from bot.metrics import Metrics
from tests.payloads import alert, of_size, payload

TOKEN = "a-token-of-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BODY = payload([alert("HighCPUUsage", "i-0a1")])


@dataclass
class Inbox:
    """Remembers what it was given, once it is let."""

    bodies: list[bytes] = field(default_factory=list)
    payloads: list[Payload] = field(default_factory=list)
    may: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None
    waiting: int = 0

    async def take(self, body: bytes, payload: Payload, *, source: str, received_at: datetime) -> int:
        self.waiting += 1
        await self.may.wait()
        if self.fault is not None:
            raise self.fault
        assert source == "127.0.0.1" and received_at.tzinfo is not None
        self.bodies.append(body)
        self.payloads.append(payload)
        return len(self.bodies)


@dataclass
class Room:
    """A listener, what is behind it, and a client before it."""

    listener: AlertListener
    inbox: Inbox
    metrics: Metrics
    session: aiohttp.ClientSession
    woken: list[int]

    async def post(
        self, body: Any = BODY, *, path: str = PATH, method: str = "POST", **headers: str
    ) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.listener.port}{path}"
        async with self.session.request(method, url, data=body, headers=headers or BEARER) as response:
            return response.status, await response.text()

    async def open(self, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that has sent this, and may or may not send more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port)
        writer.write(head.replace("\n", "\r\n").encode())
        return reader, writer

    def counted(self, outcome: Outcome) -> float:
        value = self.metrics.registry.get_sample_value("quarterdeck_alert_webhooks_total", {"outcome": outcome})
        return value or 0.0


@asynccontextmanager
async def opened(*, headers_within_s: float = 5, body_within_s: float = 5, **settings: Any) -> AsyncIterator[Room]:
    inbox, metrics, woken = Inbox(), Metrics(), list[int]()
    inbox.may.set()
    listener = AlertListener(
        AlertSettings(listen_port=0, **settings), SecretStr(TOKEN), inbox, taken=lambda: woken.append(1),
        metrics=metrics, headers_within_s=headers_within_s, body_within_s=body_within_s,
    )  # fmt: skip
    await listener.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Room(listener, inbox, metrics, session, woken)
    finally:
        await listener.close()


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with opened() as room:
        yield room


def head(*, authorization: str = f"Bearer {TOKEN}", **more: object) -> str:
    lines = [f"POST {PATH} HTTP/1.1", "Host: x", f"Authorization: {authorization}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\n".join([*lines, "", ""])


async def answered(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(5):
        return (await reader.readuntil(b"\r\n")).decode()


# ---- what it takes -----------------------------------------------------------------------------------------------


async def test_a_payload_is_answered_only_once_it_is_stored(room: Room) -> None:
    room.inbox.may.clear()
    answer = asyncio.create_task(room.post())
    done, _ = await asyncio.wait({answer}, timeout=0.3)
    assert not done and not room.woken
    room.inbox.may.set()
    assert await answer == (200, "")
    assert room.inbox.bodies == [BODY] and room.woken == [1]
    assert room.inbox.payloads[0].alerts[0].labels["alertname"] == "HighCPUUsage"
    assert room.counted(Outcome.TAKEN) == 1


async def test_basic_authentication_is_taken_as_well(room: Room) -> None:
    word = base64.b64encode(f"alertmanager:{TOKEN}".encode()).decode()
    assert (await room.post(Authorization=f"Basic {word}"))[0] == 200


async def test_many_payloads_go_over_one_connection(room: Room) -> None:
    reader, writer = await room.open("")
    for _ in range(3):
        writer.write(head(Content_Length=len(BODY)).replace("\n", "\r\n").encode() + BODY)
        assert await answered(reader) == "HTTP/1.1 200 OK\r\n"
        await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert len(room.inbox.bodies) == 3


async def test_a_large_payload_is_taken_whole(room: Room) -> None:
    body = of_size("HighCPUUsage", 4 * LARGE_BYTES, alerts=500)
    assert (await room.post(io.BytesIO(body)))[0] == 200
    assert room.inbox.bodies == [body] and len(room.inbox.payloads[0].alerts) == 500


async def test_a_sender_that_waits_to_be_asked_for_the_body_is_asked(room: Room) -> None:
    reader, writer = await room.open(head(Content_Length=len(BODY), Expect="100-continue"))
    assert await answered(reader) == "HTTP/1.1 100 Continue\r\n"
    writer.write(BODY)
    await reader.readuntil(b"\r\n")
    assert await answered(reader) == "HTTP/1.1 200 OK\r\n"
    writer.close()


# ---- what it turns away ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Token {TOKEN}", TOKEN, "Basic " + TOKEN, "Bearer \x80"],
)
async def test_a_wrong_word_is_turned_away_before_a_byte_of_the_body_is_sent(room: Room, authorization: str) -> None:
    reader, writer = await room.open(head(authorization=authorization, Content_Length=BODY_MAX_BYTES))
    assert await answered(reader) == "HTTP/1.1 401 Unauthorized\r\n"
    writer.close()
    assert not room.inbox.bodies and room.counted(Outcome.UNAUTHORISED) == 1


async def test_other_paths_and_methods_are_named_as_such(room: Room) -> None:
    assert (await room.post(path="/metrics"))[0] == 404
    assert (await room.post(path=PATH + "/"))[0] == 404
    assert (await room.post(method="GET", body=None))[0] == 405
    assert room.counted(Outcome.NOT_FOUND) == 2 and room.counted(Outcome.WRONG_METHOD) == 1


async def test_a_foreign_network_is_turned_away_whatever_it_knows() -> None:
    async with opened(sources=["10.0.0.0/8"]) as room:
        assert (await room.post())[0] == 403
        assert room.counted(Outcome.FOREIGN) == 1
    async with opened(sources=["10.0.0.0/8", "127.0.0.0/8"]) as room:
        assert (await room.post())[0] == 200


async def test_a_body_that_says_it_is_too_large_is_not_waited_for(room: Room) -> None:
    reader, writer = await room.open(head(Content_Length=BODY_MAX_BYTES + 1))
    assert (await answered(reader)).startswith("HTTP/1.1 413 ")
    writer.close()
    assert room.counted(Outcome.TOO_LARGE) == 1


async def test_a_body_that_does_not_say_how_large_it_is_is_counted(room: Room) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_MAX_BYTES // 2**18 + 1):
            yield b" " * 2**18

    try:
        assert (await room.post(endless()))[0] == 413
    except aiohttp.ClientError:
        pass  # it was cut off while it was still sending
    assert room.counted(Outcome.TOO_LARGE) == 1 and not room.inbox.bodies


async def test_a_compressed_body_is_refused_with_a_sentence(room: Room) -> None:
    status, text = await room.post(**BEARER, **{"Content-Encoding": "gzip"})
    assert status == 415 and "Alertmanager sends them plain" in text
    assert room.counted(Outcome.COMPRESSED) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"alerts": [{}]}', b"\xff\xfe", json.dumps({"alerts": 1})])
async def test_a_malformed_body_is_refused_with_the_reason(room: Room, body: Any) -> None:
    status, text = await room.post(body)
    assert status == 400 and len(text) > 10
    assert room.counted(Outcome.MALFORMED) == 1 and not room.inbox.bodies
    reasons = {
        sample.labels["reason"]: sample.value
        for family in room.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "quarterdeck_alert_webhooks_malformed_total"
    }
    assert list(reasons.values()) == [1]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Unavailable("database", "The disk is full."), Outcome.UNAVAILABLE),
        (RuntimeError("a bug"), Outcome.BROKEN),
    ],
)
async def test_what_cannot_be_stored_is_to_be_sent_again(room: Room, fault: Exception, outcome: Outcome) -> None:
    room.inbox.fault = fault
    assert (await room.post())[0] == 503
    assert room.counted(outcome) == 1 and not room.woken
    room.inbox.fault = None
    assert (await room.post())[0] == 200


# ---- who would hold it up ----------------------------------------------------------------------------------------


async def test_whoever_does_not_get_through_with_the_headers_is_closed_and_counted() -> None:
    async with opened(headers_within_s=0.2) as room:
        reader, writer = await room.open(f"POST {PATH} HTTP/1.1\nHost: x\nX-Slow: ")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        assert room.counted(Outcome.SLOW_HEADERS) == 1


async def test_a_body_that_trickles_is_given_up() -> None:
    async with opened(body_within_s=0.3) as room:
        reader, writer = await room.open(head(Content_Length=1000) + "{")
        assert (await answered(reader)).startswith("HTTP/1.1 503 ")
        writer.close()
        assert room.counted(Outcome.SLOW_BODY) == 1 and not room.inbox.bodies


async def test_a_body_that_is_cut_off_is_counted_and_not_stored(room: Room) -> None:
    _, writer = await room.open(head(Content_Length=1000) + "{")
    await asyncio.sleep(0.1)
    writer.close()
    async with asyncio.timeout(5):
        while not room.counted(Outcome.CUT):
            await asyncio.sleep(0.01)
    assert not room.inbox.bodies


async def test_hundreds_who_say_nothing_hold_nobody_up() -> None:
    async with opened() as room:
        health = HealthListener(port=0, metrics=room.metrics)
        await health.start()
        silent = [await room.open(f"POST {PATH} HTTP/1.1\n") for _ in range(UNHEARD_MAX + 20)]
        slow = [await room.open(head(Content_Length=1000) + "{") for _ in range(50)]
        assert (await room.post())[0] == 200
        async with room.session.get(f"http://127.0.0.1:{health.port}/healthz") as response:
            assert response.status == 200
        assert room.counted(Outcome.SLOW_HEADERS) >= 20, "the oldest make room"
        for _, writer in (*silent, *slow):
            writer.close()
        await health.close()


@pytest.mark.parametrize(
    ("body", "many"),
    [(BODY, BODIES_MAX), (BODY + b" " * (BODY_MAX_BYTES - len(BODY)), HELD_MAX_BYTES // BODY_MAX_BYTES)],
)
async def test_what_waits_for_its_commit_takes_room_until_it_is_answered(room: Room, body: bytes, many: int) -> None:
    room.inbox.may.clear()
    waiting = [await room.open(head(Content_Length=len(body))) for _ in range(many)]
    for _, writer in waiting:
        writer.write(body)
        await writer.drain()
    async with asyncio.timeout(20):
        while room.inbox.waiting < many:
            await asyncio.sleep(0.01)
        status, text = await room.post()
    assert status == 503 and "Too many payloads" in text and room.counted(Outcome.CROWDED) == 1
    room.inbox.may.set()
    for reader, writer in waiting:
        assert await answered(reader) == "HTTP/1.1 200 OK\r\n"
        writer.close()
    assert (await room.post())[0] == 200


async def test_what_is_no_http_gets_its_answer_and_fills_no_log(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        reader, writer = await room.open("\x16\x03\x01 hello\n\n")
        assert (await answered(reader)).startswith("HTTP/1.0 400 ")
        writer.close()
    assert not caplog.records
    assert (await room.post())[0] == 200


# ---- with the rows behind it -------------------------------------------------------------------------------------


async def test_what_is_sent_again_and_again_is_taken_and_changes_nothing(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "alerts.db")
    settings = AlertSettings(listen_port=0)
    store = AlertStore(database, settings=settings, channels={"alerts": 1})
    listener = AlertListener(settings, SecretStr(TOKEN), store, metrics=Metrics())
    await listener.start()
    try:
        url = f"http://127.0.0.1:{listener.port}{PATH}"
        async with aiohttp.ClientSession(headers=BEARER) as session:
            for _ in range(5):
                async with session.post(url, data=BODY) as response:
                    assert response.status == 200
        assert (await store.backlog())[0] == 5
        while await store.apply_next():
            pass
        (group,) = await store.groups(GroupFilter(state="all"), episodes=True)
        assert (group.firing, group.members, group.repeats, len(group.episodes)) == (1, 1, 4, 1)
        assert len(await store.pings(group.id)) <= 1
        assert await store.backlog() == (0, None)
    finally:
        await listener.close()
        await database.close()


async def test_the_backlog_is_a_figure_that_ages(tmp_path: Path) -> None:
    database, metrics = await Database.open(tmp_path / "alerts.db"), Metrics()
    store = AlertStore(database, settings=AlertSettings(), channels={"alerts": 1})
    gauge = BacklogGauge(store, metrics)
    received_at = datetime.now(UTC) - timedelta(minutes=5)
    await store.take(BODY, parse(BODY), source="", received_at=received_at)
    await gauge.look()
    assert metrics.registry.get_sample_value("quarterdeck_alert_backlog") == 1
    age_s = metrics.registry.get_sample_value("quarterdeck_alert_backlog_seconds")
    assert age_s is not None and 300 <= age_s < 330
    while await store.apply_next():
        pass
    await gauge.look()
    assert metrics.registry.get_sample_value("quarterdeck_alert_backlog") == 0
    assert metrics.registry.get_sample_value("quarterdeck_alert_backlog_seconds") == 0
    await database.close()


async def test_a_taken_port_is_one_clear_sentence(room: Room) -> None:
    other = AlertListener(
        AlertSettings(listen_port=room.listener.port), SecretStr(TOKEN), room.inbox, metrics=room.metrics
    )
    with pytest.raises(Unavailable, match=rf"^127\.0\.0\.1:{room.listener.port} cannot be listened at"):
        await other.start()

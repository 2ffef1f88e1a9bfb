"""The front of a service: guards each request, follows the upstream file, and loses no request at a switch."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.sandbox.host.relay import Relay
from bot.sandbox.wire import Guard, listen

ORIGIN = "http://127.0.0.1:1"


class Service:
    """A little service that says its name, can be slow, and echoes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.release = asyncio.Event()
        self.entered = asyncio.Event()
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=10**8)
        app.router.add_get("/", self._say)
        app.router.add_get("/slow", self._slow)
        app.router.add_post("/echo", self._echo)
        app.router.add_get("/stream", self._stream)
        app.router.add_get("/headers", self._headers)
        app.router.add_get("/cut", self._cut)
        self._runner, self.port = await listen(app)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _say(self, request: web.Request) -> web.Response:
        return web.Response(text=self.name, headers={"X-Version": self.name})

    async def _slow(self, request: web.Request) -> web.Response:
        self.entered.set()
        await self.release.wait()
        return web.Response(text=self.name)

    async def _echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), status=201)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(3):
            await response.write(f"{number};".encode() * 1000)
        return response

    async def _headers(self, request: web.Request) -> web.Response:
        return web.json_response(list(map(list, request.headers.items())))

    async def _cut(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


class Front:
    """A relay, its upstream file, and two services behind it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "dev-app.conf"
        self.relay = Relay(name="app in dev", upstream_file=self.file, guard=Guard(origins=frozenset({ORIGIN})))
        self.old, self.new = Service("old"), Service("new")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.relay.port}"

    async def switch(self, port: int) -> None:
        self.file.write_text(f"# container=x\nupstream quarterdeck_app {{\n  server 127.0.0.1:{port};\n}}\n")
        await self.relay.reload()


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    front = Front(tmp_path)
    await asyncio.gather(front.old.start(), front.new.start(), front.relay.start())
    await front.switch(front.old.port)
    yield front
    await asyncio.gather(front.relay.close(), front.old.close(), front.new.close())


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def text(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


async def test_requests_go_where_the_upstream_file_says(front: Front, session: aiohttp.ClientSession):
    assert await text(session, front.url) == "old"
    await front.switch(front.new.port)
    assert await text(session, front.url) == "new"


async def test_without_a_version_it_says_so(front: Front, session: aiohttp.ClientSession):
    front.file.write_text("upstream quarterdeck_app {\n  server 127.0.0.1:9 down;\n}\n")
    await front.relay.reload()
    async with session.get(front.url) as answer:
        assert answer.status == 503
        assert await answer.text() == "No version of app in dev is running.\n"
    front.file.unlink()
    await front.relay.reload()
    async with session.get(front.url) as answer:
        assert answer.status == 503


async def test_a_request_under_way_is_finished_by_the_version_that_began_it(
    front: Front, session: aiohttp.ClientSession
):
    slow = asyncio.create_task(text(session, f"{front.url}/slow"))
    await front.old.entered.wait()
    switching = asyncio.create_task(front.switch(front.new.port))
    while front.relay.target != front.new.port:
        await asyncio.sleep(0)
    assert await text(session, front.url) == "new"
    assert not switching.done()
    front.old.release.set()
    await switching
    assert await slow == "old"


async def test_a_connection_that_is_kept_moves_to_the_new_version(front: Front):
    reader, writer = await asyncio.open_connection("127.0.0.1", front.relay.port)
    bodies = []
    for port in (front.old.port, front.new.port):
        await front.switch(port)
        writer.write(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{front.relay.port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"connection: close" not in head.lower()
        bodies.append(await reader.readexactly(3))
    writer.close()
    assert bodies == [b"old", b"new"]


async def test_a_version_that_went_before_it_was_reached_is_asked_nothing(front: Front, session: aiohttp.ClientSession):
    await front.old.close()
    async with session.get(front.url) as answer:
        assert answer.status == 502
    await front.switch(front.new.port)
    assert await text(session, front.url) == "new"


async def test_an_answer_that_is_cut_is_never_asked_for_again(front: Front, session: aiohttp.ClientSession):
    async with session.get(f"{front.url}/cut") as answer:
        assert answer.status == 502
        assert "broke off" in await answer.text()


async def test_bodies_pass_in_both_directions_whole(front: Front, session: aiohttp.ClientSession):
    body = b"\x00\xff" * 1_500_000
    async with session.post(f"{front.url}/echo", data=io.BytesIO(body)) as answer:
        assert (answer.status, await answer.read()) == (201, body)
    assert await text(session, f"{front.url}/stream") == "0;" * 1000 + "1;" * 1000 + "2;" * 1000


async def test_a_head_request_gets_the_length_and_no_body(front: Front, session: aiohttp.ClientSession):
    async with session.head(front.url) as answer:
        assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (200, "3", b"")
        assert answer.headers["X-Version"] == "old"


async def test_only_headers_of_one_hop_are_left_out(front: Front, session: aiohttp.ClientSession):
    sent = {"X-Kept": "1", "X-Hop": "2", "Connection": "keep-alive, X-Hop", "Accept-Encoding": "identity"}
    async with session.get(f"{front.url}/headers", headers=sent, skip_auto_headers=("User-Agent", "Accept")) as answer:
        seen = {name.lower(): value for name, value in json.loads(await answer.text())}
    assert seen == {
        "host": f"127.0.0.1:{front.relay.port}",
        "x-kept": "1",
        "accept-encoding": "identity",
        "connection": "close",
    }


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example.org"}, {"Host": "127.0.0.1:1"}, {"Origin": "http://evil.example.org"}]
)
async def test_a_foreign_host_or_origin_is_refused(
    front: Front, session: aiohttp.ClientSession, headers: dict[str, str]
):
    async with session.get(f"{front.url}/slow", headers=headers) as answer:
        assert answer.status == 403
    assert not front.old.entered.is_set()


async def test_a_foreign_request_on_a_connection_that_began_well_is_refused(front: Front):
    reader, writer = await asyncio.open_connection("127.0.0.1", front.relay.port)
    host = f"Host: 127.0.0.1:{front.relay.port}\r\n"
    writer.write(f"GET / HTTP/1.1\r\n{host}\r\n".encode())
    await reader.readuntil(b"\r\n\r\nold")
    writer.write(f"GET /slow HTTP/1.1\r\n{host}Origin: http://evil.example.org\r\n\r\n".encode())
    assert b" 403 " in await reader.readline()
    writer.close()
    assert not front.old.entered.is_set()


async def test_the_pages_own_origin_may_ask(front: Front, session: aiohttp.ClientSession):
    async with session.get(front.url, headers={"Origin": ORIGIN}) as answer:
        assert answer.status == 200


async def test_it_takes_the_port_that_it_had_and_another_when_that_is_taken(front: Front, tmp_path: Path):
    relay = Relay(name="x", upstream_file=tmp_path / "none", guard=Guard())
    other = await relay.start(port=front.relay.port)
    await relay.close()
    assert other not in (0, front.relay.port)
    again = Relay(name="x", upstream_file=tmp_path / "none", guard=Guard())
    assert await again.start(port=other) == other
    await again.close()

"""Rate limits as the board reads them, from a real server's answers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import discord
import pytest
from aiohttp import web

from bot.ui.buckets import Buckets, NotTaken

YOUNG = discord.utils.time_snowflake(datetime.now(UTC))
OLD = discord.utils.time_snowflake(datetime.now(UTC) - timedelta(hours=2))


@dataclass
class Server:
    """Answers every request with what the test has put there."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({}, status=self.status, headers=self.headers)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def ask(server: Server, buckets: Buckets, method: str = "POST", path: str = "/channels/7/messages") -> int:
    session = aiohttp.ClientSession(trace_configs=[buckets.trace()])
    async with session, session.request(method, server.url + path) as response:
        return response.status


async def test_an_exhausted_bucket_holds_back_that_method_in_that_channel_only(server: Server) -> None:
    buckets = Buckets()
    server.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "30"}
    await ask(server, buckets)
    assert 29 < buckets.wait_s("POST", 7) <= 30
    assert buckets.wait_s("PATCH", 7) == 0
    assert buckets.wait_s("POST", 8) == 0


async def test_a_bucket_with_requests_left_holds_nothing_back(server: Server) -> None:
    buckets = Buckets()
    server.headers = {"X-RateLimit-Remaining": "1", "X-RateLimit-Reset-After": "30"}
    await ask(server, buckets, "PATCH", "/channels/7/messages/1234")
    assert buckets.wait_s("PATCH", 7) == 0


async def test_progress_leaves_the_last_request_of_a_bucket_to_what_is_urgent(server: Server) -> None:
    buckets = Buckets()
    server.headers = {"X-RateLimit-Remaining": "1", "X-RateLimit-Reset-After": "30"}
    await ask(server, buckets, "PATCH", "/channels/7/messages/1234")
    assert buckets.wait_s("PATCH", 7, spare=1) > 29
    assert buckets.wait_s("PATCH", 7) == 0


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_single_attempt_ends_with_the_first_refusal_and_says_when_to_come_back(
    server: Server, status: int
) -> None:
    buckets = Buckets()
    server.status, server.headers = status, {"Retry-After": "12"}
    with buckets.single_attempt(), pytest.raises(NotTaken) as refusal:
        await ask(server, buckets)
    assert (refusal.value.status, refusal.value.retry_after_s) == (status, 12)
    assert server.asked == 1


async def test_outside_of_a_single_attempt_answers_pass_as_they_are(server: Server) -> None:
    server.status = 500
    assert await ask(server, Buckets()) == 500


async def test_a_global_limit_holds_back_everything(server: Server) -> None:
    buckets = Buckets()
    server.status, server.headers = 429, {"Retry-After": "20", "X-RateLimit-Global": "true"}
    await ask(server, buckets)
    assert buckets.wait_s("PATCH", 99) > 19


async def test_a_limited_edit_holds_back_edits_for_as_long_as_asked(server: Server) -> None:
    buckets = Buckets()
    server.status, server.headers = 429, {"Retry-After": "9"}
    await ask(server, buckets, "PATCH", f"/channels/7/messages/{YOUNG}")
    assert 8 < buckets.wait_s("PATCH", 7) <= 9
    assert buckets.wait_s("POST", 7) == 0


async def test_a_limited_edit_of_an_old_message_holds_back_the_old_ones_only(server: Server) -> None:
    buckets = Buckets()
    server.status, server.headers = 429, {"Retry-After": "900"}
    await ask(server, buckets, "PATCH", f"/channels/7/messages/{OLD}")
    assert buckets.wait_s("PATCH", 7, message_id=OLD) > 890
    assert buckets.wait_s("PATCH", 7, message_id=YOUNG) == 0
    assert buckets.wait_s("PATCH", 8, message_id=OLD) == 0


async def test_a_limit_of_another_route_holds_back_no_card(server: Server) -> None:
    buckets = Buckets()
    server.status, server.headers = 429, {"Retry-After": "20", "Via": "1.1 google"}
    await ask(server, buckets, "PUT", f"/channels/7/messages/pins/{YOUNG}")
    assert buckets.wait_s("PATCH", 7, message_id=YOUNG) == 0


async def test_being_shut_out_before_discord_itself_holds_back_everything(server: Server) -> None:
    buckets = Buckets()
    server.status, server.headers = 429, {"Retry-After": "20"}
    await ask(server, buckets, "PUT", f"/channels/7/messages/pins/{YOUNG}")
    assert buckets.wait_s("POST", 8) > 19

"""Incoming webhooks of the sandbox's Discord: whoever knows the address posts, at its own pace and by its own name."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.sandbox import cast
from bot.sandbox.discord.limits import Limits, Rate
from bot.sandbox.discord.part import DiscordPart
from tests.wire.discord_world import QUICK, bare_http, discord_part

Json = dict[str, Any]
CHANNEL = cast.CHANNELS["alerts"]
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8 + (4).to_bytes(4, "big") + (3).to_bytes(4, "big") + b"\0" * 8


@dataclass
class Poster:
    """Somebody with the address of a webhook, and nothing else."""

    part: DiscordPart
    url: str
    http: aiohttp.ClientSession

    async def send(self, method: str, path: str = "", **how: Any) -> tuple[int, Json, Any]:
        async with self.http.request(method, self.url + path, **how) as answer:
            body = await answer.json() if answer.content_type == "application/json" and answer.status != 204 else {}
            return answer.status, body, answer.headers

    async def post(self, body: Json, query: str = "?wait=true") -> tuple[int, Json, Any]:
        return await self.send("POST", query, json=body)

    def shown(self) -> list[Json]:
        return list(self.part.messages(channel="alerts")["messages"])


@pytest.fixture
async def poster(tmp_path: Path) -> AsyncIterator[Poster]:
    async with discord_part(tmp_path) as part, aiohttp.ClientSession() as http:
        made = await part.webhook({"channel": "alerts", "name": "Alertmanager"})
        yield Poster(part, made["url"].replace("/api/", "/api/v10/"), http)


async def test_whoever_knows_the_address_posts_under_the_webhooks_name(poster: Poster) -> None:
    status, message, _ = await poster.post({"content": "AppDown", "embeds": [{"title": "prod", "color": 0xFF0000}]})
    assert (status, message["content"], message["author"]["username"]) == (200, "AppDown", "Alertmanager")
    assert message["webhook_id"] == message["author"]["id"] == poster.url.split("/")[-2]
    _, renamed, _ = await poster.post({"content": "x", "username": "Night watch"})
    assert renamed["author"]["username"] == "Night watch"
    assert [one["author"] for one in poster.shown()] == ["Alertmanager", "Night watch"]


async def test_without_wait_nothing_is_answered_and_the_message_stands_there(poster: Poster) -> None:
    status, body, _ = await poster.post({"content": "quietly"}, query="")
    assert (status, body) == (204, {})
    assert [one["text"] for one in poster.shown()] == ["quietly"]


async def test_the_address_works_with_and_without_the_version_of_the_api(poster: Poster) -> None:
    bare = poster.url.replace("/api/v10/", "/api/")
    async with poster.http.post(bare, json={"content": "without"}) as answer:
        assert answer.status == 204
    assert (await poster.post({"content": "by the version"}))[0] == 200


async def test_a_message_is_read_changed_and_deleted_by_its_webhook_alone(poster: Poster) -> None:
    _, message, _ = await poster.post({"content": "firing"})
    own = f"/messages/{message['id']}"
    status, changed, _ = await poster.send("PATCH", own, json={"content": "resolved"})
    assert (status, changed["content"], changed["edited_timestamp"] is not None) == (200, "resolved", True)
    assert (await poster.send("GET", own))[1]["content"] == "resolved"
    other = await poster.part.webhook({"channel": "alerts", "name": "Another"})
    async with poster.http.get(other["url"] + own) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, 10008)
    assert (await poster.send("DELETE", own))[0] == 204
    assert poster.shown() == []


async def test_files_come_with_the_post_and_with_the_edit(poster: Poster) -> None:
    form = aiohttp.FormData()
    form.add_field("payload_json", '{"content": "with a chart"}', content_type="application/json")
    form.add_field("files[0]", PNG, filename="cpu.png", content_type="image/png")
    _, message, _ = await poster.send("POST", "?wait=true", data=form)
    first = message["attachments"][0]
    assert (first["filename"], first["width"], first["height"]) == ("cpu.png", 4, 3)
    again = aiohttp.FormData()
    again.add_field("payload_json", '{"attachments": []}', content_type="application/json")
    again.add_field("files[0]", PNG, filename="later.png", content_type="image/png")
    _, changed, _ = await poster.send("PATCH", f"/messages/{message['id']}", data=again)
    assert [one["filename"] for one in changed["attachments"]] == ["later.png"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, 50006),
        ({"content": "x" * 2001}, 400, 50035),
        ({"embeds": [{"description": "x" * 4097}]}, 400, 50035),
        ({"content": "x", "username": "Discord support"}, 400, 50035),
        ({"content": "x", "username": "y" * 81}, 400, 50035),
    ],
    ids=["nothing", "content too long", "embed too long", "a name that deceives", "a name too long"],
)
async def test_what_discord_refuses_of_a_message_is_refused(poster: Poster, body: Json, status: int, code: int) -> None:
    got, refusal, _ = await poster.post(body)
    assert (got, refusal["code"]) == (status, code)
    assert poster.shown() == []


async def test_a_foreign_token_an_unknown_webhook_and_a_strange_thread_open_nothing(poster: Poster) -> None:
    base, _, token = poster.url.rpartition("/")
    for url, status, code in (
        (f"{base}/{token[:-1]}x", 401, 50027),
        (poster.url.replace(base.rpartition("/")[2], "17"), 404, 10015),
        (f"{poster.url}?thread_id=17", 404, 10003),
    ):
        async with poster.http.post(url, json={"content": "owned"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (status, code)
    assert poster.shown() == []


async def test_buttons_need_an_application_behind_the_webhook(poster: Poster) -> None:
    button = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Ack", "custom_id": "ack"}]}
    _, message, _ = await poster.post({"content": "x", "components": [button]})
    assert message["components"] == []
    status, refusal, _ = await poster.post({"content": "x", "components": [button]}, "?wait=true&with_components=true")
    assert (status, refusal["code"]) == (400, 50035)


async def test_the_bot_manages_webhooks_only_where_it_may(poster: Poster) -> None:
    part = poster.part
    async with bare_http(part) as bot:
        of_channel = f"{part.api_url}/channels/{CHANNEL}/webhooks"
        async with bot.post(of_channel, json={"name": "Mine"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, 50013)
        allowed = {"allow": ["VIEW_CHANNEL", "SEND_MESSAGES", "MANAGE_WEBHOOKS"], "deny": []}
        part.change_guild({"channels": {"alerts": {"overwrites": {cast.BOT_NAME: allowed}}}})
        async with bot.post(of_channel, json={"name": "Mine"}) as answer:
            mine = await answer.json()
        assert (mine["name"], mine["application_id"]) == ("Mine", str(cast.APPLICATION_ID))
        async with bot.get(of_channel) as answer:
            assert [one["name"] for one in await answer.json()] == ["Alertmanager", "Mine"]
        by_id = f"{part.api_url}/webhooks/{mine['id']}"
        async with bot.patch(by_id, json={"name": "Moved", "channel_id": str(cast.CHANNELS["ops"])}) as answer:
            # It may not manage the channel that it came to, but it may send it there.
            assert (answer.status, (await answer.json())["channel_id"]) == (200, str(cast.CHANNELS["ops"]))
        async with bot.delete(by_id) as answer:
            assert answer.status == 403
    async with poster.http.patch(poster.url, json={"name": "By its own"}) as answer:
        shown = await answer.json()
    assert (shown["name"], "user" in shown) == ("By its own", False)
    assert (await poster.send("DELETE"))[0] == 204
    assert (await poster.post({"content": "x"}))[0] == 404


async def test_a_webhook_has_five_posts_in_two_seconds_and_a_channel_thirty_a_minute(tmp_path: Path) -> None:
    limits = Limits(webhook=Rate(5, 2.0), webhook_channel=Rate(7, 60.0), overall=QUICK.overall)
    async with discord_part(tmp_path, limits=limits) as part, aiohttp.ClientSession() as http:
        hooks = [(await part.webhook({"channel": "alerts", "name": name}))["url"] for name in ("one", "two")]

        async def post(url: str) -> tuple[int, Json, Any]:
            async with http.post(url, json={"content": "x"}) as answer:
                return answer.status, await answer.json() if answer.status == 429 else {}, answer.headers

        first = await asyncio.gather(*(post(hooks[0]) for _ in range(7)))
        assert sorted(status for status, _, _ in first) == [204] * 5 + [429] * 2
        refused = next(one for one in first if one[0] == 429)
        assert 0 < refused[1]["retry_after"] <= 2
        assert (refused[2]["X-RateLimit-Scope"], refused[2]["X-RateLimit-Limit"]) == ("user", "5")
        second = await asyncio.gather(*(post(hooks[1]) for _ in range(3)))
        assert sorted(status for status, _, _ in second) == [204, 204, 429], "the channel has had its seven"
        shared = next(one for one in second if one[0] == 429)
        assert shared[1]["retry_after"] > 2
        elsewhere = await part.webhook({"channel": "ops", "name": "three"})
        assert (await post(elsewhere["url"]))[0] == 204


async def test_webhooks_and_their_addresses_outlive_a_restart(tmp_path: Path) -> None:
    async with discord_part(tmp_path) as part:
        made = await part.webhook({"channel": "alerts", "name": "Alertmanager"})
    async with discord_part(tmp_path) as part, aiohttp.ClientSession() as http:
        path = made["url"].split("/api/", 1)[1]
        async with http.post(f"{part.api_url.removesuffix('/v10')}/{path}", json={"content": "still here"}) as answer:
            assert answer.status == 204

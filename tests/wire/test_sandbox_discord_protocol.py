"""The sandbox's Discord at its edges: sessions and replay, limits and waits, deadlines, refusals and their codes."""

import asyncio
import io
import json
import time
import zlib

import aiohttp
import discord
import pytest
from discord import app_commands, ui

from bot.sandbox import cast
from bot.sandbox.discord.limits import Limits, Rate
from bot.sandbox.wire import Rejected
from tests.wire.discord_world import QUICK, SmallBot, bare_http, discord_part, ran, running, settled, until

OPS = cast.CHANNELS["ops"]


@pytest.fixture
async def part(tmp_path):
    async with discord_part(tmp_path / "discord") as part:
        yield part


def pinging() -> SmallBot:
    bot = SmallBot()

    @bot.tree.command(description="x")
    async def ping(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("pong", ephemeral=True)

    return bot


# -- sessions ---------------------------------------------------------------------------------------------------------


async def test_an_interaction_sent_while_the_socket_is_cut_is_replayed_on_resume(part):
    async with running(pinging(), part) as bot:
        bot.seen.clear()
        await part.drop_gateway()
        assert not part.bot_connected()
        view = await ran(part, "ping")
        assert view["state"] == "answered"
        assert bot.seen.count("INTERACTION_CREATE") == 1
        assert "RESUMED" in bot.seen and "READY" not in bot.seen


async def test_a_server_that_goes_away_is_resumed_and_an_invalid_session_is_begun_anew(part):
    async with running(pinging(), part) as bot:
        bot.seen.clear()
        await part.reconnect_gateway()
        await until(lambda: "RESUMED" in bot.seen)
        await part.invalidate_gateway(resumable=True)
        await until(lambda: bot.seen.count("RESUMED") == 2)
        await part.invalidate_gateway(resumable=False)
        await until(lambda: "READY" in bot.seen)
        assert (await ran(part, "ping"))["text"] == "pong"


async def test_two_sessions_of_one_token_both_receive_and_the_second_answer_is_refused(part):
    refused = []

    def slow() -> SmallBot:
        bot = SmallBot()

        @bot.tree.command(description="x")
        async def both(interaction: discord.Interaction) -> None:
            await asyncio.sleep(0.05)
            try:
                await interaction.response.send_message("mine")
            except discord.HTTPException as error:
                refused.append(error.code)

        return bot

    async with running(slow(), part), running(slow(), part):
        view = await ran(part, "both")
        await until(lambda: refused)
    assert (view["state"], refused) == ("answered", [40060])


class Wire:
    """A gateway client that does what it is told."""

    def __init__(self, ws, *, zipped: bool = False) -> None:
        self.ws = ws
        self._zlib = zlib.decompressobj() if zipped else None

    async def send(self, op, data):
        await self.ws.send_str(json.dumps({"op": op, "d": data}))

    async def next(self):
        message = await self.ws.receive(timeout=5)
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
            return {"close": self.ws.close_code}
        if self._zlib is not None:
            assert message.data.endswith(b"\x00\x00\xff\xff")
            return json.loads(self._zlib.decompress(message.data))
        return json.loads(message.data)

    async def identify(self, part, **more):
        about = {"os": "linux", "browser": "test", "device": "test"}
        await self.send(2, {"token": part.token, "intents": 1, "properties": about, **more})
        return await self.next()


@pytest.fixture
async def wires(part):
    """Opens bare gateway connections."""
    async with aiohttp.ClientSession() as session:

        async def connect(query: str = "?v=10&encoding=json", **more):
            wire = Wire(await session.ws_connect(part.gateway_url + query), **more)
            wire.hello = await wire.next()
            return wire

        yield connect


async def test_the_first_packet_is_hello_and_a_heartbeat_is_acknowledged(part, wires):
    wire = await wires()
    assert wire.hello["op"] == 10 and wire.hello["d"]["heartbeat_interval"] > 10_000
    await wire.send(1, None)
    assert (await wire.next())["op"] == 11
    ready = await wire.identify(part)
    assert (ready["t"], ready["s"]) == ("READY", 1)
    assert ready["d"]["guilds"] == [{"id": str(cast.GUILD_ID), "unavailable": True}]
    assert (await wire.next())["t"] == "GUILD_CREATE"
    await wire.send(3, {"since": 0, "activities": [], "status": "online", "afk": False})
    await wire.send(8, {"guild_id": str(cast.GUILD_ID), "query": "s", "limit": 0, "nonce": "n"})
    chunk = (await wire.next())["d"]
    assert (chunk["nonce"], [one["user"]["username"] for one in chunk["members"]]) == ("n", ["sre", "sre2"])


@pytest.mark.parametrize(("code", "answer"), [(1000, 9), (4000, 0)])
async def test_a_client_that_says_goodbye_ends_its_session_and_any_other_end_does_not(part, wires, code, answer):
    wire = await wires()
    session = (await wire.identify(part))["d"]["session_id"]
    assert part.bot_connected()
    await wire.ws.close(code=code)
    await until(lambda: not part.bot_connected())
    second = await wires()
    await second.send(6, {"token": part.token, "session_id": session, "seq": 2})
    assert (await second.next())["op"] == answer


async def test_a_stream_can_be_compressed(part, wires):
    wire = await wires("?v=10&encoding=json&compress=zlib-stream", zipped=True)
    assert (await wire.identify(part))["t"] == "READY"
    assert (await wire.next())["t"] == "GUILD_CREATE"


async def test_a_zstd_stream_can_be_read_by_a_zstd_client(part, wires):
    zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
    async with aiohttp.ClientSession() as session:
        ws = await session.ws_connect(part.gateway_url + "?v=10&compress=zstd-stream")
        unpack = zstandard.ZstdDecompressor().decompressobj()
        hello = json.loads(unpack.decompress((await ws.receive()).data))
        await ws.send_json({"op": 1, "d": None})
        ack = json.loads(unpack.decompress((await ws.receive()).data))
    assert (hello["op"], ack["op"]) == (10, 11)


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        ({"token": "Bot wrong"}, 4004),
        ({"token": None}, 4004),
        ({"intents": 1 << 40}, 4013),
        ({"intents": 1 << 17}, 4013),
        ({"intents": "1"}, 4013),
        ({"intents": 1 << 1}, 4014),
        ({"shard": [3, 2]}, 4010),
    ],
)
async def test_a_wrong_identity_is_closed_with_discord_s_code(part, wires, identity, code):
    wire = await wires()
    assert await wire.identify(part, **identity) == {"close": code}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 4002),
        ("[]", 4002),
        ('{"op":2,"d":7}', 4002),
        ('{"op":1,"d":"' + "x" * 5000 + '"}', 4002),
        ('{"op":99}', 4001),
        ('{"op":3,"d":{}}', 4003),
    ],
)
async def test_a_packet_that_makes_no_sense_closes_the_socket(part, wires, text, code):
    wire = await wires()
    await wire.ws.send_str(text)
    assert await wire.next() == {"close": code}


async def test_too_many_packets_close_the_socket(part, wires):
    wire = await wires()
    for _ in range(121):
        await wire.send(1, None)
    answers = [await wire.next() for _ in range(121)]
    assert answers[-1] == {"close": 4008}


async def test_an_unknown_session_is_told_to_begin_anew(part, wires):
    wire = await wires()
    await wire.send(6, {"token": part.token, "session_id": "gone", "seq": 4})
    assert await wire.next() == {"op": 9, "d": False, "s": None, "t": None}
    assert (await wire.identify(part))["t"] == "READY"
    await wire.next()
    await wire.send(2, {"token": part.token, "intents": 1})
    assert await wire.next() == {"close": 4005}


async def test_a_resume_replays_what_came_after_the_sequence_number_and_nothing_else(part, wires):
    wire = await wires()
    session = (await wire.identify(part))["d"]["session_id"]
    await wire.next()
    await part.drop_gateway()
    async with bare_http(part) as http:
        await http.post(f"{part.api_url}/channels/{OPS}/threads", json={"name": "meanwhile"})
    second = await wires()
    await second.send(6, {"token": part.token, "session_id": session, "seq": 2})
    assert [(one["t"], one["s"]) for one in (await second.next(), await second.next())] == [
        ("THREAD_CREATE", 3),
        ("RESUMED", 4),
    ]
    third = await wires()
    await third.send(6, {"token": part.token, "session_id": session, "seq": 99})
    assert await third.next() == {"close": 4007}


# -- deadlines --------------------------------------------------------------------------------------------------------


async def test_without_a_bot_an_interaction_times_out(tmp_path):
    async with discord_part(tmp_path, limits=Limits(answer_s=0.05)) as part:
        async with running(pinging(), part):
            pass
        assert (await ran(part, "ping"))["state"] == "timeout"


async def test_an_answer_after_the_deadline_is_for_an_unknown_interaction(tmp_path):
    refused = []
    bot = SmallBot()

    @bot.tree.command(description="x")
    async def late(interaction: discord.Interaction) -> None:
        await asyncio.sleep(0.2)
        try:
            await interaction.response.send_message("late")
        except discord.NotFound as error:
            refused.append(error.code)

    async with discord_part(tmp_path, limits=Limits(answer_s=0.1)) as part, running(bot, part):
        assert (await ran(part, "late"))["state"] == "timeout"
        await until(lambda: refused)
    assert refused == [10062]


async def test_a_second_answer_is_refused_and_a_follow_up_before_the_first_too(part):
    codes = []
    bot = SmallBot()

    @bot.tree.command(description="x")
    async def twice(interaction: discord.Interaction) -> None:
        for attempt in (interaction.followup.send("early"), interaction.response.send_message("one")):
            try:
                await attempt
            except discord.HTTPException as error:
                codes.append(error.code)
        again = discord.InteractionResponse(interaction)
        try:
            await again.send_message("two")
        except discord.HTTPException as error:
            codes.append(error.code)

    async with running(bot, part):
        assert (await ran(part, "twice"))["text"] == "one"
        await until(lambda: len(codes) == 2)
    assert codes == [10015, 40060]


async def test_a_token_dies(tmp_path):
    codes = []
    bot = SmallBot()

    @bot.tree.command(description="x")
    async def slow(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        await asyncio.sleep(0.15)
        try:
            await interaction.edit_original_response(content="too late")
        except discord.HTTPException as error:
            codes.append((error.status, error.code))

    async with discord_part(tmp_path, limits=Limits(token_life_s=0.1)) as part, running(bot, part):
        assert (await ran(part, "slow"))["state"] == "deferred"
        await until(lambda: codes)
    assert codes == [(401, 50027)]


async def test_a_wrong_answer_leaves_the_interaction_open_for_a_right_one(part):
    codes = []
    bot = SmallBot()

    @bot.tree.command(description="x")
    async def clumsy(interaction: discord.Interaction) -> None:
        try:
            await interaction.response.send_message("x" * 2001)
        except discord.HTTPException as error:
            codes.append((error.code, "Must be 2000 or fewer in length" in str(error)))
        await interaction.response.send_message("short")

    async with running(bot, part):
        assert (await ran(part, "clumsy"))["text"] == "short"
    assert codes == [(50035, True)]


# -- limits -----------------------------------------------------------------------------------------------------------


async def test_every_answer_carries_the_bucket_s_headers_and_the_sixth_post_has_to_wait(tmp_path):
    async with discord_part(tmp_path, limits=Limits(posts=Rate(5, 0.4))) as part, bare_http(part) as http:
        url = f"{part.api_url}/channels/{OPS}/messages"
        first = await http.post(url, json={"content": "1"})
        assert first.headers["Content-Type"] == "application/json"
        assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("5", "4")
        for n in range(4):
            assert (await http.post(url, json={"content": str(n)})).status == 200
        refused = await http.post(url, json={"content": "6"})
        body = await refused.json()
        assert (refused.status, refused.headers["Via"], refused.headers["X-RateLimit-Scope"]) == (
            429,
            "1.1 sandbox",
            "user",
        )
        assert 0 < body["retry_after"] <= 0.4 and body["global"] is False
        elsewhere = await http.post(f"{part.api_url}/channels/{cast.CHANNELS['audit']}/messages", json={"content": "x"})
        assert elsewhere.status == 200
        await asyncio.sleep(body["retry_after"] + 0.01)
        assert (await http.post(url, json={"content": "6"})).status == 200


async def test_discord_py_waits_by_the_headers_and_is_never_refused(tmp_path):
    limits = Limits(posts=Rate(5, 0.2), overall=QUICK.overall)
    async with discord_part(tmp_path, limits=limits) as part, running(pinging(), part) as bot:
        await asyncio.gather(*(bot.channel("ops").send(str(n)) for n in range(12)))
        statuses = [one["status"] for one in part.ledger.requests("discord", 0) if one["method"] == "POST"]
        assert statuses.count(200) == 12
        assert len(part.messages(channel="ops")["messages"]) == 12


async def test_the_overall_limit_binds_the_bot_and_not_its_answers_to_interactions(tmp_path):
    limits = Limits(overall=Rate(3, 30.0))
    async with discord_part(tmp_path, limits=limits) as part, bare_http(part) as http:
        answers = [await http.get(part.api_url + "/users/@me") for _ in range(4)]
        assert [one.status for one in answers] == [200, 200, 200, 429]
        assert answers[3].headers["X-RateLimit-Global"] == "true" and (await answers[3].json())["global"] is True
        callback = await http.post(part.api_url + "/interactions/1/x/callback", json={"type": 4})
        assert (callback.status, (await callback.json())["code"]) == (404, 10062)


async def test_a_rate_limit_fault_is_waited_out_by_discord_py(part):
    async with running(pinging(), part) as bot:
        part.faults.add("discord", "rate_limit", match="POST .*/messages", seconds=0.2, times=1)
        began = time.monotonic()
        await bot.channel("ops").send("after the wait")
        assert time.monotonic() - began >= 0.2
        part.faults.add("discord", "lost_reply", match="POST .*/messages", times=1)
        with pytest.raises(aiohttp.ClientError):
            await bot.channel("ops").send("lost", nonce="n1")
        assert [one["text"] for one in part.messages(channel="ops")["messages"]] == ["after the wait", "lost"]


async def test_edits_of_old_messages_are_capped(tmp_path):
    limits = Limits(old_after_s=0.0, old_edits=Rate(1, 60.0))
    async with discord_part(tmp_path, limits=limits) as part, bare_http(part) as http:
        url = f"{part.api_url}/channels/{OPS}/messages"
        sent = await (await http.post(url, json={"content": "1"})).json()
        assert (await http.patch(f"{url}/{sent['id']}", json={"content": "2"})).status == 200
        refused = await http.patch(f"{url}/{sent['id']}", json={"content": "3"})
        assert (refused.status, (await refused.json())["code"]) == (429, 30046)


# -- refusals ---------------------------------------------------------------------------------------------------------

V2 = 1 << 15
ROW = {"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "x"}]}
TEXT = {"type": 10, "content": "x"}


def _nested(errors: dict, path: str) -> str:
    for step in path.split("."):
        errors = errors[step]
    return errors["_errors"][0]["code"]


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"content": 7}, "content", "STRING_TYPE_CONVERT"),
        ({"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
        ({"content": "x", "nonce": "n" * 26}, "nonce", "NONCE_TYPE_TOO_LONG"),
        ({"embeds": [{"title": "x" * 257}]}, "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"fields": [{"name": "n", "value": " "}]}]}, "embeds.0.fields.0.value", "BASE_TYPE_BAD_LENGTH"),
        ({"embeds": [{"description": "x" * 4000}, {"description": "x" * 2001}]}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"),
        (
            {"embeds": [{"image": {"url": "attachment://no.png"}}]},
            "embeds.0.image.url",
            "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
        ),
        ({"embeds": {}}, "embeds", "LIST_TYPE_CONVERT"),
        ({"components": [ROW] * 2}, "components.1.components.0.custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED"),
        ({"components": [TEXT]}, "components.0.type", "BASE_TYPE_CHOICES"),
        ({"components": [{"type": 1, "components": []}]}, "components.0.components", "BASE_TYPE_BAD_LENGTH"),
        (
            {"components": [{"type": 1, "components": [{"type": 2, "style": 5, "label": "x"}]}]},
            "components.0.components.0.url",
            "BASE_TYPE_REQUIRED",
        ),
        (
            {"flags": V2, "components": [TEXT], "content": "x"},
            "content",
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
        ),
        ({"flags": V2, "components": [TEXT] * 41}, "components", "BASE_TYPE_BAD_LENGTH"),
        (
            {"flags": V2, "components": [{"type": 10, "content": "x" * 2500}] * 2},
            "components",
            "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
        ),
        (
            {"flags": V2, "components": [{"type": 17, "components": [{"type": 17, "components": [TEXT]}]}]},
            "components.0.components.0.type",
            "BASE_TYPE_CHOICES",
        ),
        (
            {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
            "allowed_mentions",
            "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
        ),
        ({"content": "x", "message_reference": {"message_id": "1"}}, "message_reference", "REPLIES_UNKNOWN_MESSAGE"),
    ],
)
async def test_a_wrong_message_is_refused_at_the_place_of_its_fault(part, body, path, code):
    async with bare_http(part) as http:
        refused = await http.post(f"{part.api_url}/channels/{OPS}/messages", json=body)
        answer = await refused.json()
    assert (refused.status, answer["code"]) == (400, 50035)
    assert _nested(answer["errors"], path) == code
    assert part.messages(channel="ops")["messages"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nowhere", None, 404, 0),
        ("GET", "/channels/1/messages", None, 404, 10003),
        ("GET", "/channels/x/messages", None, 400, 50035),
        ("GET", f"/channels/{OPS}/messages?limit=0", None, 400, 50035),
        ("GET", f"/channels/{OPS}/messages/1", None, 404, 10008),
        ("POST", f"/channels/{OPS}/messages", "{}", 400, 50006),
        ("POST", f"/channels/{OPS}/messages", "{", 400, 50109),
        ("POST", f"/channels/{OPS}/messages", "[" * 100_000, 400, 50109),
        ("POST", f"/channels/{OPS}/messages", "[]", 400, 50035),
        ("PATCH", f"/channels/{OPS}", '{"topic":"x"}', 403, 50013),
        ("GET", "/guilds/1", None, 404, 10004),
        ("GET", f"/guilds/{cast.GUILD_ID}/members", None, 403, 50001),
        ("PUT", "/applications/1/commands", "[]", 403, 20012),
        ("PUT", f"/applications/{cast.APPLICATION_ID}/commands", "{}", 400, 50035),
        ("PUT", f"/applications/{cast.APPLICATION_ID}/commands", '[{"name":"UPPER","description":"x"}]', 400, 50035),
        ("DELETE", f"/applications/{cast.APPLICATION_ID}/commands/1", None, 404, 10063),
        ("POST", f"/webhooks/{cast.APPLICATION_ID}/nonsense", "{}", 404, 10015),
        ("POST", "/interactions/99/nonsense/callback", "{}", 404, 10062),
    ],
)
async def test_refusals_carry_discord_s_status_and_code(part, method, path, body, status, code):
    async with bare_http(part) as http:
        headers = {"Content-Type": "application/json"} if body else {}
        answer = await http.request(method, part.api_url + path, data=body, headers=headers)
        assert (answer.status, (await answer.json())["code"]) == (status, code)
        assert answer.headers["Content-Type"] == "application/json"


async def test_without_the_token_nothing_is_told_and_a_foreign_page_is_refused(part):
    async with aiohttp.ClientSession() as http:
        assert (await http.get(part.api_url + "/users/@me")).status == 401
        assert (await http.get(part.api_url + "/users/@me", headers={"Authorization": "Bot x"})).status == 401
        foreign = {"Origin": "http://evil.invalid"}
        assert (await http.get(part.api_url + "/gateway", headers=foreign)).status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(part.gateway_url, headers=foreign)


async def test_a_file_that_is_too_large_is_refused(part):
    async with bare_http(part) as http:
        form = aiohttp.FormData()
        form.add_field("payload_json", "{}")
        form.add_field("files[0]", io.BytesIO(bytes(10 * 2**20 + 1)), filename="big.bin")
        refused = await http.post(f"{part.api_url}/channels/{OPS}/messages", data=form)
        assert (refused.status, (await refused.json())["code"]) == (413, 40005)


async def test_a_file_s_name_cannot_leave_its_folder_and_a_page_among_files_cannot_run(part):
    async with bare_http(part) as http:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("payload_json", "{}")
        form.add_field("files[0]", b"<script>", filename="../../../../etc/x.html")
        sent = await (await http.post(f"{part.api_url}/channels/{OPS}/messages", data=form)).json()
        (attachment,) = sent["attachments"]
        assert attachment["filename"] == "x.html"
        served = await http.get(attachment["url"])
        assert await served.read() == b"<script>"
        assert served.headers["Content-Type"] == "application/octet-stream"
        assert "sandbox" in served.headers["Content-Security-Policy"]


# -- the picker -------------------------------------------------------------------------------------------------------


def choosy() -> SmallBot:
    bot = SmallBot()

    @bot.tree.command(description="x")
    @app_commands.choices(environment=[app_commands.Choice(name="Development", value="dev")])
    async def deploy(
        interaction: discord.Interaction,
        service: app_commands.Range[str, 2, 5],
        environment: str = "dev",
        count: app_commands.Range[int, 1, 3] = 1,
        fast: bool = False,
        file: discord.Attachment | None = None,
    ) -> None:
        size = len(await file.read()) if file else 0
        await interaction.response.send_message(f"{service} {environment} {count} {fast} {size}")

    @bot.tree.command(description="x")
    @app_commands.default_permissions(administrator=True)
    async def nuke(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("boom")

    @bot.tree.context_menu(name="Show it")
    async def show(interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"it says {message.content}")

    return bot


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"command": "unknown"}, "unknown"),
        ({"command": "deploy"}, "required"),
        ({"command": "deploy", "options": {"service": "app", "colour": "red"}}, "colour"),
        ({"command": "deploy", "options": {"service": 7}}, "text"),
        ({"command": "deploy", "options": {"service": "x"}}, "characters"),
        ({"command": "deploy", "options": {"service": "app", "environment": "prod"}}, "Development"),
        ({"command": "deploy", "options": {"service": "app", "count": 4}}, "at most"),
        ({"command": "deploy", "options": {"service": "app", "count": True}}, "whole number"),
        ({"command": "deploy", "options": {"service": "app", "count": "2"}}, "whole number"),
        ({"command": "deploy", "options": {"service": "app", "file": {"filename": "x"}}}, "base64"),
        ({"command": "deploy", "options": []}, "object"),
        ({"command": "nuke"}, "hidden"),
        ({"command": "deploy", "options": {"service": "app"}, "channel": "nowhere"}, "nowhere"),
        ({"command": "deploy", "options": {"service": "app"}, "user": "nobody"}, "nobody"),
        ({"command": "deploy", "speed": 9}, "speed"),
        ({"command": None}, "command"),
    ],
)
async def test_the_picker_refuses_what_a_member_s_client_would_not_send(part, body, word):
    async with running(choosy(), part):
        with pytest.raises(Rejected) as refused:
            await part.command({"user": "dev", "channel": "ops"} | body)
    assert refused.value.status == 400 and word in str(refused.value)


async def test_options_of_every_kind_arrive_and_hidden_commands_show_for_administrators(part):
    async with running(choosy(), part):
        file = {"filename": "a.txt", "base64": "aGVsbG8="}
        view = await ran(part, "deploy", service="app", environment="Development", count=2, fast=True, file=file)
        assert view["text"] == "app dev 2 True 5"
        assert (await ran(part, "nuke", user="owner"))["text"] == "boom"
        shown = {one["name"]: one["visible_to"] for one in part.guild_state()["commands"]}
        assert shown["nuke"] == ["owner"] and "guest" in shown["deploy"]
        body = {"user": "dev", "channel": "ops", "command": "Show it", "target": view["message"]}
        assert (await settled(part, await part.command(body)))["text"] == "it says app dev 2 True 5"


async def test_everything_that_happens_is_told_with_the_views_of_the_control_api(part):
    async with running(pinging(), part):
        view = await ran(part, "ping")
    events = {event.name: event.data for event in part.ledger._events}
    assert events["message.created"] == part.messages(channel="ops", user="dev")["messages"][0]
    assert events["message.created"]["ephemeral_for"] == "dev"
    assert events["interaction.updated"] == view
    assert {"gateway.connected", "gateway.closed", "commands.synced"} <= set(events)


async def test_a_modal_with_a_wrong_shape_is_refused(part):
    codes = []
    bot = SmallBot()

    @bot.tree.command(description="x")
    async def ask(interaction: discord.Interaction) -> None:
        modal = ui.Modal(title="x" * 46)
        modal.add_item(ui.Label(text="A", component=ui.TextInput()))
        try:
            await interaction.response.send_modal(modal)
        except discord.HTTPException as error:
            codes.append(error.code)
        await interaction.response.send_message("no modal")

    async with running(bot, part):
        assert (await ran(part, "ask"))["text"] == "no modal"
    assert codes == [50035]

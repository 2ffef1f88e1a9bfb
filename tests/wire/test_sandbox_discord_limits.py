"""Each limit of Discord by name: what just fits is taken, one more is refused with Discord's code, and nothing changes.

The rows for bodies stand in `discord_limit_rows.py`. Sources of the other numbers: Discord's documentation ("Rate
Limits", "Gateway"); those that stand in no page of it say so.
"""

import asyncio
import io
import json
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from bot.sandbox import cast
from bot.sandbox.discord.limits import Limits, Rate
from bot.sandbox.discord.part import DiscordPart
from bot.sandbox.wire import Missing, Rejected
from tests.wire.discord_limit_rows import CHOICES, COMMANDS, MESSAGES, MODALS, Row, slash
from tests.wire.discord_world import QUICK, SmallBot, bare_http, discord_part, running

Json = dict[str, Any]
OPS, BOT = cast.CHANNELS["ops"], cast.APPLICATION_ID
PROPERTIES = {"os": "linux", "browser": "test", "device": "test"}


@pytest.fixture(scope="module")
async def part(tmp_path_factory):
    async with discord_part(tmp_path_factory.mktemp("discord")) as part:
        part.change_guild({"channels": {"ops": {"overwrites": {cast.BOT_NAME: {"allow": ALLOWED, "deny": []}}}}})
        yield part


@pytest.fixture(scope="module")
async def http(part):
    async with bare_http(part) as http:
        yield http


ALLOWED = [
    *("VIEW_CHANNEL", "SEND_MESSAGES", "EMBED_LINKS", "ATTACH_FILES", "READ_MESSAGE_HISTORY", "ADD_REACTIONS"),
    *("CREATE_PUBLIC_THREADS", "SEND_MESSAGES_IN_THREADS"),
]


def place(errors: Json, path: str) -> str:
    """The code of the form error at a place; the errors as a whole when there is none."""
    for step in path.split("."):
        errors = errors.get(step, {})
    return str(errors.get("_errors", [{"code": errors}])[0]["code"])


async def refused(answer: aiohttp.ClientResponse, row: Row) -> None:
    body = await answer.json()
    assert (answer.status, body["code"], body["message"]) == (400, 50035, "Invalid Form Body"), body
    assert place(body["errors"], row.at) == row.code, body["errors"]


def named(row: Row) -> str:
    return row.name


@pytest.mark.parametrize("row", MESSAGES, ids=named)
async def test_a_message_at_its_limit_is_taken_and_one_beyond_is_refused(part, http, row):
    url = f"{part.api_url}/channels/{OPS}/messages"
    taken = await http.post(url, json=row.fits)
    assert taken.status == 200, await taken.text()
    before = part.messages(channel="ops")
    await refused(await http.post(url, json=row.over), row)
    message = (await taken.json())["id"]
    await refused(
        await http.patch(f"{url}/{message}", json=row.over), replace(row)
    ) if "nonce" not in row.over else None
    assert part.messages(channel="ops") == before
    await http.delete(f"{url}/{message}")


# -- answers to interactions ------------------------------------------------------------------------------------------

ASK: Json = {
    "name": "ask",
    "description": "x",
    "options": [{"type": 3, "name": "what", "description": "x", "autocomplete": True}],
}


async def asked(part: DiscordPart, http, *, autocomplete: bool = False) -> str:
    """The address at which a fresh interaction is answered."""
    await http.put(f"{part.api_url}/applications/{BOT}/guilds/{cast.GUILD_ID}/commands", json=[ASK])
    act: Json = {"user": "dev", "channel": "ops", "command": "ask"}
    if autocomplete:
        sent = await part.autocomplete(act | {"option": "what", "text": ""})
    else:
        sent = await part.command(act)
    number = sent["interaction"]
    return f"{part.api_url}/interactions/{number}/{part._interactions.get(int(number)).token}/callback"


@pytest.mark.parametrize(("row", "kind"), [*((row, 9) for row in MODALS), *((row, 8) for row in CHOICES)], ids=str)
async def test_an_answer_beyond_its_limit_is_refused_and_one_at_it_still_taken(part, http, row, kind):
    url = await asked(part, http, autocomplete=kind == 8)
    await refused(await http.post(url, json={"type": kind, "data": row.over}), row)
    taken = await http.post(url, json={"type": kind, "data": row.fits})
    assert taken.status == 204, await taken.text()


@pytest.mark.parametrize("row", [row for row in MESSAGES if "nonce" not in row.over], ids=named)
async def test_an_answer_is_a_message_and_has_its_limits(part, http, row):
    """Answers and follow-ups take the same way; one is refused, and the interaction still waits."""
    url = await asked(part, http)
    over = row.over
    body = await (await http.post(url, json={"type": 4, "data": over})).json()
    assert body["code"] == 50035
    assert (await http.post(url, json={"type": 4, "data": row.fits})).status == 204
    hook = f"{part.api_url}/webhooks/{BOT}/{url.split('/')[-2]}"
    await refused(await http.post(hook, json=over), row)
    assert (await http.delete(f"{hook}/messages/@original")).status == 204


# -- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", COMMANDS, ids=named)
async def test_a_command_at_its_limit_is_registered_and_one_beyond_is_refused(part, http, row):
    url = f"{part.api_url}/applications/{BOT}/commands"
    taken = await http.post(url, json=row.fits)
    assert taken.status in (200, 201), await taken.text()
    part._commands._creates.clear()
    before = part.guild_state()["commands"]
    await refused(await http.post(url, json=row.over), row)
    assert part.guild_state()["commands"] == before
    await http.delete(f"{url}/{(await taken.json())['id']}")


@pytest.mark.parametrize(("kind", "most"), [(1, 100), (2, 15), (3, 15)])
async def test_a_scope_takes_so_many_commands_of_a_kind(part, http, kind, most):
    part._commands._creates.clear()
    url = f"{part.api_url}/applications/{BOT}/commands"
    about = {"description": "x"} if kind == 1 else {}
    many = [{"type": kind, "name": f"c{n}"} | about for n in range(most + 1)]
    answer = await http.put(url, json=many)
    assert (answer.status, (await answer.json())["code"]) == (400, 30032)
    assert (await http.put(url, json=many[:most])).status == 200
    assert (await http.put(url, json=[])).status == 200


async def test_a_day_takes_two_hundred_new_commands(part, http):
    part._commands._creates.clear()
    url = f"{part.api_url}/applications/{BOT}/commands"
    for start in (0, 100):
        many = [slash(name=f"d{start + n}") for n in range(100)]
        assert (await http.put(url, json=many)).status == 200
    answer = await http.put(url, json=[slash(name="one-more")])
    assert (answer.status, (await answer.json())["code"]) == (400, 30034)
    assert (await http.put(url, json=[])).status == 200
    part._commands._creates.clear()


# -- files, reactions, slowmode, polls ---------------------------------------------------------------------------------


def form(*sizes: int) -> aiohttp.FormData:
    made = aiohttp.FormData()
    made.add_field("payload_json", json.dumps({"content": "files"}), content_type="application/json")
    for number, size in enumerate(sizes):
        made.add_field(f"files[{number}]", io.BytesIO(bytes(size)), filename=f"{number}.bin")
    return made


MIB = 2**20


@pytest.mark.parametrize(
    ("sizes", "status", "code"),
    [
        ([10 * MIB], 200, None),
        ([10 * MIB + 1], 413, 40005),
        ([9 * MIB] * 3, 413, 40005),
        ([1] * 10, 200, None),
        ([1] * 11, 400, 30015),
    ],
    ids=["a file of 10 MiB", "one byte more", "27 MiB in all", "ten files", "eleven files"],
)
async def test_files_have_a_size_and_a_number(part, http, sizes, status, code):
    answer = await http.post(f"{part.api_url}/channels/{OPS}/messages", data=form(*sizes))
    body = await answer.json()
    assert (answer.status, body.get("code")) == (status, code)
    if status == 200:
        await http.delete(f"{part.api_url}/channels/{OPS}/messages/{body['id']}")


async def test_a_message_takes_twenty_kinds_of_reaction(part, http):
    url = f"{part.api_url}/channels/{OPS}/messages"
    message = await (await http.post(url, json={"content": "react"})).json()
    faces = [chr(0x1F600 + n) for n in range(21)]
    for face in faces[:20]:
        assert (await http.put(f"{url}/{message['id']}/reactions/{face}/@me")).status == 204
    answer = await http.put(f"{url}/{message['id']}/reactions/{faces[20]}/@me")
    assert (answer.status, (await answer.json())["code"]) == (400, 30010)
    again = await http.put(f"{url}/{message['id']}/reactions/{faces[0]}/@me")
    assert again.status == 204
    shown = await (await http.get(f"{url}/{message['id']}")).json()
    assert len(shown["reactions"]) == 20 and shown["reactions"][0]["count"] == 1
    for path, status, code in (
        (f"{message['id']}/reactions/nonsense/@me", 400, 10014),
        ("1/reactions/✅/@me", 404, 10008),
    ):
        answer = await http.put(f"{url}/{path}")
        assert (answer.status, (await answer.json())["code"]) == (status, code)
    refusal = await http.delete(f"{url}/{message['id']}/reactions")
    assert (refusal.status, (await refusal.json())["code"]) == (403, 50013)


async def test_polls_and_stickers_are_refused_as_where_nobody_may_send_them(part, http):
    url = f"{part.api_url}/channels/{OPS}/messages"
    poll = {"question": {"text": "?"}, "answers": [{"poll_media": {"text": "yes"}}]}
    for body, status, code in (({"poll": poll}, 403, 50013), ({"sticker_ids": ["1"]}, 400, 50081)):
        answer = await http.post(url, json=body)
        assert (answer.status, (await answer.json())["code"]) == (status, code)


async def test_slowmode_holds_messages_back_unless_a_permission_frees_of_it(tmp_path):
    async with discord_part(tmp_path) as part, bare_http(part) as http:
        url = f"{part.api_url}/channels/{OPS}/messages"
        part.change_guild({"channels": {"ops": {"slowmode_s": 60}}})
        assert (await (await http.get(f"{part.api_url}/channels/{OPS}")).json())["rate_limit_per_user"] == 60
        assert (await http.post(url, json={})).status == 400
        assert (await http.post(url, json={"content": "1"})).status == 200
        answer = await http.post(url, json={"content": "2"})
        body = await answer.json()
        assert (answer.status, body["code"], body["global"]) == (429, 20016, False)
        assert 59 < body["retry_after"] <= 60 and answer.headers["Retry-After"] == "60"
        part.change_guild({"roles": {cast.BOT_NAME: {"permissions": [*ALLOWED, "BYPASS_SLOWMODE"]}}})
        assert (await http.post(url, json={"content": "3"})).status == 200


async def test_a_thread_has_its_own_slowmode_and_takes_two_names_in_ten_minutes(part, http):
    started = await http.post(f"{part.api_url}/channels/{OPS}/threads", json={"name": "a", "rate_limit_per_user": 30})
    thread = f"{part.api_url}/channels/{(await started.json())['id']}"
    assert (await http.post(f"{thread}/messages", json={"content": "1"})).status == 200
    assert (await (await http.post(f"{thread}/messages", json={"content": "2"})).json())["code"] == 20016
    answers = [await http.patch(thread, json={"name": name}) for name in "bcd"]
    assert [one.status for one in answers] == [200, 200, 429]
    assert (await answers[2].json())["code"] == 20028
    assert (await http.patch(thread, json={"archived": True})).status == 200


# -- pace -------------------------------------------------------------------------------------------------------------


def test_the_limits_that_stand_in_no_page_are_on_from_the_start():
    first = Limits()
    assert (first.posts, first.webhook, first.webhook_channel) == (Rate(5, 5.0), Rate(5, 2.0), Rate(30, 60.0))
    assert (first.overall, first.invalid, first.identifies) == (Rate(50, 1.0), Rate(10_000, 600.0), Rate(1000, 86_400))
    assert (first.sends, first.identify_pace) == (Rate(120, 60.0), Rate(1, 5.0))
    assert (first.answer_s, first.token_life_s) == (3.0, 900.0)


async def test_follow_ups_are_counted_by_token_and_together_by_channel(tmp_path):
    limits = replace(QUICK, webhook=Rate(2, 30.0), webhook_channel=Rate(3, 30.0))
    async with discord_part(tmp_path, limits=limits) as part, bare_http(part) as http:
        hooks = []
        for _ in range(2):
            url = await asked(part, http)
            await http.post(url, json={"type": 4, "data": {"content": "1"}})
            hooks.append(f"{part.api_url}/webhooks/{BOT}/{url.split('/')[-2]}")
        told = []
        for hook in (hooks[0], hooks[0], hooks[0], hooks[1], hooks[1]):
            answer = await http.post(hook, json={"content": "more"})
            told.append((answer.status, answer.headers.get("X-RateLimit-Scope")))
        assert told == [(200, None), (200, None), (429, "user"), (200, None), (429, "shared")]
        body = await answer.json()
        assert (body["message"], body["global"]) == ("The resource is being rate limited.", False)
        assert 0 < body["retry_after"] <= 30 and answer.headers["Via"]


async def test_five_follow_ups_are_all_where_only_the_member_has_the_application(part, http):
    part.change_guild({"application": {"user_installed": True}})
    url = await asked(part, http)
    part.change_guild({"application": {"user_installed": False}})
    await http.post(url, json={"type": 4, "data": {"content": "1"}})
    hook = f"{part.api_url}/webhooks/{BOT}/{url.split('/')[-2]}"
    answers = [await http.post(hook, json={"content": str(n)}) for n in range(6)]
    assert [one.status for one in answers] == [200] * 5 + [400]
    body = await answers[5].json()
    assert body["code"] == 40094
    owners = (await answers[0].json())["interaction_metadata"]["authorizing_integration_owners"]
    assert owners == {"1": str(cast.PEOPLE[3].id)}


async def test_the_overall_refusal_has_its_own_headers_and_no_bucket(tmp_path):
    async with discord_part(tmp_path, limits=Limits(overall=Rate(1, 30.0))) as part, bare_http(part) as http:
        await http.get(f"{part.api_url}/users/@me")
        answer = await http.get(f"{part.api_url}/users/@me")
        assert answer.headers["X-RateLimit-Scope"] == "global" and answer.headers["X-RateLimit-Global"] == "true"
        assert "X-RateLimit-Bucket" not in answer.headers and answer.headers["Retry-After"] == "30"


async def test_too_many_invalid_requests_are_a_ban_by_the_network_in_front(tmp_path):
    limits = replace(QUICK, invalid=Rate(3, 0.4), posts=Rate(1, 30.0))
    # The ban comes from in front of the API, so that no description of the API knows it.
    async with discord_part(tmp_path, limits=limits, compared=False) as part, bare_http(part) as http:
        ops = f"{part.api_url}/channels/{OPS}"
        nowhere = await http.get(f"{part.api_url}/channels/1")
        wrong = await http.get(f"{part.api_url}/users/@me", headers={"Authorization": "Bot x"})
        forbidden = await http.delete(ops)
        await http.post(f"{ops}/messages", json={"content": "1"})
        limited = await http.post(f"{ops}/messages", json={"content": "2"})
        assert [one.status for one in (nowhere, wrong, forbidden, limited)] == [404, 401, 403, 429]
        banned = await http.get(f"{part.api_url}/users/@me")
        assert (banned.status, "Via" in banned.headers, await banned.text()) == (429, False, "error code: 1015")
        await asyncio.sleep(0.45)
        assert (await http.get(f"{part.api_url}/users/@me")).status == 200


async def test_the_pace_can_be_changed_while_the_world_runs(tmp_path):
    async with discord_part(tmp_path, limits=Limits()) as part, bare_http(part) as http:
        url = f"{part.api_url}/channels/{OPS}/messages"
        part.change_limits({"posts": {"requests": 2, "per_s": 60}})
        statuses = [(await http.post(url, json={"content": "x"})).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        shown = part.change_limits({"reset": True})
        assert shown["posts"] == {"requests": 5, "per_s": 5.0}
        assert (await http.post(url, json={"content": "x"})).status == 200


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"nothing": 1}, "nothing"),
        ({"posts": 5}, "posts"),
        ({"posts": {"requests": 0, "per_s": 1}}, "requests"),
        ({"posts": {"requests": 1, "per_s": 1, "more": 1}}, "more"),
        ({"answer_s": -1}, "answer_s"),
        ({"answer_s": {"requests": 1, "per_s": 1}}, "answer_s"),
        ({"reset": 1}, "reset"),
    ],
)
async def test_a_pace_that_makes_no_sense_is_refused_and_changes_nothing(part, body, word):
    before = part.change_limits({})
    with pytest.raises(Rejected, match=word):
        part.change_limits({"edits": {"requests": 1, "per_s": 1.0}} | body)
    assert part.change_limits({}) == before


# -- session starts ---------------------------------------------------------------------------------------------------


class Starts:
    """Begins sessions, one after another, each on a socket of its own."""

    def __init__(self, part: DiscordPart, http: aiohttp.ClientSession) -> None:
        self._part, self._http = part, http

    async def begin(self) -> Json:
        ws = await self._http.ws_connect(self._part.gateway_url)
        await ws.receive()
        await ws.send_json({"op": 2, "d": {"token": self._part.token, "intents": 1, "properties": PROPERTIES}})
        return await heard(ws) | {"ws": ws}

    async def left(self) -> Json:
        answer = await (await self._http.get(f"{self._part.api_url}/gateway/bot")).json()
        return answer.get("session_start_limit", answer)


async def heard(ws: aiohttp.ClientWebSocketResponse) -> Json:
    message = await ws.receive(timeout=5)
    return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else {"close": ws.close_code}


async def test_a_session_that_begins_too_soon_after_another_is_told_to_begin_again(tmp_path):
    limits = replace(QUICK, identify_pace=Rate(1, 0.3))
    async with discord_part(tmp_path, limits=limits) as part, bare_http(part) as http:
        starts = Starts(part, http)
        assert (await starts.left())["max_concurrency"] == 1
        assert (await starts.begin())["t"] == "READY"
        soon = await starts.begin()
        assert (soon["op"], soon["d"]) == (9, False)
        await asyncio.sleep(0.35)
        await soon["ws"].send_json({"op": 2, "d": {"token": part.token, "intents": 1, "properties": PROPERTIES}})
        assert (await heard(soon["ws"]))["t"] == "READY"


async def test_a_bot_that_comes_back_too_soon_gets_in_by_itself(tmp_path):
    limits = replace(QUICK, identify_pace=Rate(1, 0.5))
    async with discord_part(tmp_path, limits=limits) as part:
        async with running(SmallBot(), part):
            pass
        async with running(SmallBot(), part) as bot:
            assert bot.is_ready() and part.bot_connected()


async def test_beyond_the_session_starts_of_a_day_every_session_ends_and_the_token_is_reset(tmp_path):
    limits = replace(QUICK, identifies=Rate(2, 60.0))
    async with discord_part(tmp_path, limits=limits) as part, bare_http(part) as http:
        starts = Starts(part, http)
        assert (await starts.left())["remaining"] == 2
        first = await starts.begin()
        assert (await starts.left())["remaining"] == 1
        assert (await starts.begin())["t"] == "READY"
        assert (await starts.begin())["close"] == 4004
        while "close" not in (last := await heard(first["ws"])):
            pass
        assert last == {"close": 4004} and not part.bot_connected()
        assert (await starts.begin())["close"] == 4004
        assert (await http.get(f"{part.api_url}/users/@me")).status == 401
        with pytest.raises(Exception, match="Improper token"):
            await SmallBot().login(part.token)


# -- who may what -----------------------------------------------------------------------------------------------------


async def test_the_picker_is_closed_to_whom_the_channel_is(part, http):
    await asked(part, http)
    act = {"user": "dev", "channel": "general", "command": "ask"}
    part.change_guild({"channels": {"general": {"overwrites": {"dev": {"deny": ["USE_APPLICATION_COMMANDS"]}}}}})
    with pytest.raises(Rejected, match="may not use commands"):
        await part.command(act)
    part.change_guild({"channels": {"general": {"overwrites": {"dev": {"deny": ["VIEW_CHANNEL"]}}}}})
    with pytest.raises(Missing, match="does not see"):
        await part.command(act)
    part.change_guild({"channels": {"general": {"overwrites": {"dev": None}}}})
    assert await part.command(act)


async def test_a_reaction_of_the_bot_needs_the_permission_and_a_member_s_is_heard(tmp_path):
    async with discord_part(tmp_path) as part, running(SmallBot(), part) as bot:
        message = await bot.channel("ops").send("react")
        part.change_guild({"roles": {"@everyone": {"permissions": ["VIEW_CHANNEL", "READ_MESSAGE_HISTORY"]}}})
        async with bare_http(part) as http:
            url = f"{part.api_url}/channels/{OPS}/messages/{message.id}/reactions/✅/@me"
            answer = await http.put(url)
            assert (answer.status, (await answer.json())["code"]) == (403, 50013)
        await part.react({"user": "dev", "message": str(message.id), "emoji": "✅"})
        (reaction,) = (await bot.channel("ops").fetch_message(message.id)).reactions
        assert (str(reaction.emoji), reaction.count, reaction.me) == ("✅", 1, False)
        assert [user.name async for user in reaction.users()] == ["dev"]
        await part.react({"user": "dev", "message": str(message.id), "emoji": "✅", "remove": True})
        assert (await bot.channel("ops").fetch_message(message.id)).reactions == []
        for body, refusal in (({"emoji": "x"}, Rejected), ({"message": "1"}, Missing), ({"user": "x"}, Rejected)):
            with pytest.raises(refusal):
                await part.react({"user": "dev", "message": str(message.id), "emoji": "✅"} | body)


async def test_reactions_are_kept_over_a_restart(tmp_path):
    async with discord_part(tmp_path) as part, bare_http(part) as http:
        sent = await (await http.post(f"{part.api_url}/channels/{OPS}/messages", json={"content": "x"})).json()
        await part.react({"user": "sre", "message": sent["id"], "emoji": "🚢"})
    async with discord_part(tmp_path) as part:
        answer = await part.react({"user": "dev", "message": sent["id"], "emoji": "🚢"})
        assert [(one["emoji"]["name"], one["count"]) for one in answer["reactions"]] == [("🚢", 2)]

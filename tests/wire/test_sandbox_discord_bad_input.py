"""Input that makes no sense, on both sides of the sandbox's Discord: the status, code and words that Discord has for it
(for a member's act a sentence), never a 500, and a world that is afterwards as it was before.
"""

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest

from bot.sandbox import cast
from bot.sandbox.discord.limits import Limits
from bot.sandbox.discord.part import DiscordPart
from bot.sandbox.wire import Missing, Rejected
from tests.wire.discord_world import SmallBot, bare_http, discord_part, point_at, ran, running, settled, until

Json = dict[str, Any]
OPS, BOT, GUILD, DEV = cast.CHANNELS["ops"], cast.APPLICATION_ID, cast.GUILD_ID, cast.PEOPLE[3].id
JSON = "application/json"
COMMANDS: list[Json] = [
    {"name": "ask", "description": "x"},
    {
        "name": "guess",
        "description": "x",
        "options": [{"type": 3, "name": "what", "description": "x", "autocomplete": True}],
    },
]
BUTTON = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Press", "custom_id": "press"}]}


@pytest.fixture(scope="module")
async def part(tmp_path_factory):
    async with discord_part(tmp_path_factory.mktemp("discord")) as part:
        yield part


@pytest.fixture(scope="module")
async def http(part):
    async with bare_http(part) as http:
        await http.put(f"{part.api_url}/applications/{BOT}/guilds/{GUILD}/commands", json=COMMANDS)
        yield http


@pytest.fixture(scope="module")
async def message(part, http) -> str:
    """A message with a button, in a channel."""
    body = {"content": "kept", "components": [BUTTON]}
    answer = await http.post(f"{part.api_url}/channels/{OPS}/messages", json=body)
    return (await answer.json())["id"]


def world(part: DiscordPart) -> Json:
    """All that a request could change."""
    state = part.guild_state()
    messages = {name: part.messages(channel=name, user="dev")["messages"] for name in cast.CHANNELS}
    return {"state": state, "messages": messages, "rules": part.change_guild({}), "pace": part.change_limits({})}


MESSAGES = f"/channels/{OPS}/messages"
SCOPE = f"/applications/{BOT}/guilds/{GUILD}/commands"
TABLE: list[tuple[str, str, str, Any, int, int, str]] = [
    ("half a JSON", "POST", MESSAGES, b'{"content":', 400, 50109, "The request body contains invalid JSON."),
    ("no UTF-8", "POST", MESSAGES, b'{"content":"\xff"}', 400, 50109, "invalid JSON"),
    ("a number that is none", "POST", MESSAGES, b'{"flags":NaN}', 400, 50109, "invalid JSON"),
    ("brackets without end", "POST", MESSAGES, b"[" * 200_000, 400, 50109, "invalid JSON"),
    ("a list", "POST", MESSAGES, [], 400, 50035, "Invalid Form Body"),
    ("nothing", "POST", MESSAGES, {}, 400, 50006, "Cannot send an empty message"),
    ("only unknown keys", "POST", MESSAGES, {"contents": "x"}, 400, 50006, "Cannot send an empty message"),
    ("blanks", "POST", MESSAGES, {"content": "  \n "}, 400, 50006, "Cannot send an empty message"),
    ("an embed of nothing", "POST", MESSAGES, {"embeds": [{}]}, 400, 50006, "Cannot send an empty message"),
    ("a text as flags", "POST", MESSAGES, {"content": "x", "flags": "64"}, 400, 50035, "Invalid Form Body"),
    ("a huge number", "POST", MESSAGES, {"content": "x", "flags": 10**40}, 400, 50035, "Invalid Form Body"),
    ("nested nonsense", "POST", MESSAGES, {"embeds": [[{}]], "components": [None, 7]}, 400, 50035, "Invalid Form Body"),
    ("odd keys", "POST", MESSAGES, {"components": [{"type": {}}], "attachments": [{"id": {}}]}, 400, 50035, "Form"),
    ("a channel's number that is none", "GET", "/channels/ops", None, 400, 50035, "Invalid Form Body"),
    ("a number beyond all", "GET", f"/channels/{10**30}", None, 400, 50035, "Invalid Form Body"),
    ("no such channel", "POST", "/channels/17/messages", {"content": "x"}, 404, 10003, "Unknown Channel"),
    ("no such message", "PATCH", MESSAGES + "/17", {"content": "x"}, 404, 10008, "Unknown Message"),
    ("no such message to delete", "DELETE", MESSAGES + "/17", None, 404, 10008, "Unknown Message"),
    ("no such message to react to", "PUT", MESSAGES + "/17/reactions/✅/@me", None, 404, 10008, "Unknown Message"),
    ("a thread on no message", "POST", MESSAGES + "/17/threads", {"name": "x"}, 404, 10008, "Unknown Message"),
    ("a thread without a name", "POST", f"/channels/{OPS}/threads", {}, 400, 50035, "Invalid Form Body"),
    ("a channel that is not the bot's", "PATCH", f"/channels/{OPS}", {"name": "x"}, 403, 50013, "Missing Permissions"),
    ("no such server", "GET", "/guilds/17", None, 404, 10004, "Unknown Guild"),
    ("no such member", "GET", f"/guilds/{GUILD}/members/17", None, 404, 10007, "Unknown Member"),
    ("no such role", "GET", f"/guilds/{GUILD}/roles/17", None, 404, 10011, "Unknown Role"),
    ("no such user", "GET", "/users/17", None, 404, 10013, "Unknown User"),
    ("another application", "PUT", "/applications/17/commands", [], 403, 20012, "not authorized"),
    ("another server's commands", "PUT", f"/applications/{BOT}/guilds/17/commands", [], 403, 50001, "Missing Access"),
    ("no such command", "DELETE", SCOPE + "/17", None, 404, 10063, "Unknown application command"),
    ("commands that are no list", "PUT", SCOPE, {"name": "x"}, 400, 50035, "Invalid Form Body"),
    ("a command twice", "PUT", SCOPE, [COMMANDS[0], COMMANDS[0]], 400, 50035, "Invalid Form Body"),
    ("a command of nonsense", "PUT", SCOPE, [{"name": [], "options": {}, "type": []}], 400, 50035, "Invalid Form Body"),
    ("no such interaction", "POST", "/interactions/17/token/callback", {"type": 4}, 404, 10062, "Unknown interaction"),
    ("no such token", "POST", f"/webhooks/{BOT}/token", {"content": "x"}, 404, 10015, "Unknown Webhook"),
    ("another's webhook", "POST", "/webhooks/17/token", {"content": "x"}, 404, 10015, "Unknown Webhook"),
    ("no such page", "GET", "/channels/17/nonsense", None, 404, 0, "404: Not Found"),
    ("another method", "DELETE", "/users/@me", None, 405, 0, "405: Method Not Allowed"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "words"), [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])  # fmt: skip
async def test_a_request_that_makes_no_sense_is_refused_as_discord_does(
    part, http, message, method, path, body, status, code, words
):
    before = world(part)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {} if data is None else {"Content-Type": JSON}
    answer = await http.request(method, part.api_url + path, data=data, headers=headers)
    shown = await answer.json()
    assert (answer.status, shown["code"]) == (status, code) and words in shown["message"]
    assert ("errors" in shown) == (code == 50035)
    assert world(part) == before


async def test_unknown_keys_are_passed_over_as_by_discord(part, http):
    body = {"content": "x", "colour": "red", "embeds": [{"title": "t", "shade": 1}]}
    answer = await http.post(part.api_url + MESSAGES, json=body)
    sent = await answer.json()
    assert answer.status == 200 and "colour" not in sent and sent["embeds"] == [{"type": "rich", "title": "t"}]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_type_is_refused(part, http, kind):
    before = world(part)
    answer = await http.post(
        part.api_url + MESSAGES,
        data=b'{"content":"x"}',
        headers={"Content-Type": kind} if kind else {},
        skip_auto_headers=() if kind else ("Content-Type",),
    )
    shown = await answer.json()
    assert (answer.status, shown["code"]) == (400, 50035)
    assert shown["errors"]["_errors"][0]["code"] == "CONTENT_TYPE_INVALID"
    assert world(part) == before


async def test_a_body_beyond_all_size_is_refused_before_it_is_read_through(part, http):
    before = world(part)
    chunk = b" " * 2**20

    async def endless():
        yield b'{"content":"x"'
        for _ in range(26):
            yield chunk
        yield b"}"

    answer = await http.post(part.api_url + MESSAGES, data=endless(), headers={"Content-Type": JSON})
    assert (answer.status, (await answer.json())["code"]) == (413, 40005)
    assert world(part) == before


@pytest.mark.parametrize("data", [b"", b"--x\r\n", b"--x\r\nContent-Disposition: nonsense\r\n\r\nx\r\n--x--\r\n"])
async def test_a_form_in_pieces_is_refused(part, http, data):
    before = world(part)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await http.post(part.api_url + MESSAGES, data=data, headers=headers)
    assert answer.status == 400 and (await answer.json())["code"] in (50006, 50035)
    assert world(part) == before


# -- answers: late, double, of the wrong kind --------------------------------------------------------------------------


async def opened(part: DiscordPart, act: Json | None = None) -> tuple[str, str]:
    """A fresh interaction: its id, and the address of its first answer."""
    sent = await part.command({"user": "dev", "channel": "ops", "command": "ask"} | (act or {}))
    return address(part, sent["interaction"])


def address(part: DiscordPart, number: str) -> tuple[str, str]:
    token = part._interactions.get(int(number)).token
    return number, f"{part.api_url}/interactions/{number}/{token}/callback"


MODAL = {
    "custom_id": "m",
    "title": "T",
    "components": [{"type": 18, "label": "L", "component": {"type": 4, "custom_id": "t", "style": 1}}],
}


async def refused(http, url: str, body: Json, status: int, code: int) -> Json:
    answer = await http.post(url, json=body)
    shown = await answer.json()
    assert (answer.status, shown["code"]) == (status, code), shown
    return shown


async def test_a_second_answer_changes_nothing_of_the_first(part, http):
    number, url = await opened(part)
    assert (await http.post(url, json={"type": 4, "data": {"content": "first"}})).status == 204
    before = world(part)
    for body in ({"type": 4, "data": {"content": "second"}}, {"type": 5}, {"type": 9, "data": MODAL}, {"type": 99}):
        shown = await refused(http, url, body, 400, 40060)
        assert shown["message"] == "Interaction has already been acknowledged."
    assert world(part) == before and part.interaction(number)["text"] == "first"


async def test_an_answer_that_comes_too_late_finds_no_interaction(tmp_path):
    async with discord_part(tmp_path, limits=Limits(answer_s=0.05)) as part, bare_http(part) as http:
        await http.put(part.api_url + SCOPE, json=COMMANDS)
        number, url = await opened(part)
        await until(lambda: part.interaction(number)["state"] == "timeout")
        before = world(part)
        for kind in (4, 5, 9):
            await refused(http, url, {"type": kind, "data": MODAL}, 404, 10062)
        hook = f"{part.api_url}/webhooks/{BOT}/{url.split('/')[-2]}"
        await refused(http, hook, {"content": "x"}, 404, 10015)
        assert world(part) == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": None},
        {"type": "4"},
        {"type": 4},
        {"type": 4, "data": []},
        {"type": 8, "data": {"choices": []}},
        {"type": 6},
        {"type": 7, "data": {"content": "x"}},
        {"type": 9},
        {"type": 9, "data": {}},
        {"type": 4, "data": {"content": 7}},
        {"type": 10},
    ],
    ids=str,
)
async def test_an_answer_of_the_wrong_kind_leaves_the_interaction_waiting(part, http, body):
    number, url = await opened(part)
    before = world(part)
    await refused(http, url, body, 400, 50035)
    assert world(part) == before and part.interaction(number)["state"] == "sent"
    assert (await http.post(url, json={"type": 4, "data": {"content": "still"}})).status == 204


async def test_an_autocomplete_takes_choices_and_nothing_else(part, http):
    act = {"user": "dev", "channel": "ops", "command": "guess", "option": "what", "text": "x"}
    number, url = address(part, (await part.autocomplete(act))["interaction"])
    for kind in (4, 5, 6, 7, 9):
        await refused(http, url, {"type": kind, "data": MODAL}, 400, 50035)
    assert (await http.post(url, json={"type": 8, "data": {"choices": []}})).status == 204
    assert part.interaction(number)["state"] == "choices"


async def test_a_modal_cannot_answer_a_modal_nor_a_member_send_one_that_was_not_opened(part, http, message):
    number, url = await opened(part)
    body = {"user": "dev", "interaction": number, "fields": {"L": "x"}}
    with pytest.raises(Missing, match="No modal is open"):
        await part.modal(body)
    assert (await http.post(url, json={"type": 9, "data": MODAL})).status == 204
    for wrong in ({"user": "sre"}, {"interaction": "17"}, {"interaction": message}):
        with pytest.raises(Missing, match="No modal is open"):
            await part.modal(body | wrong)
    sent, answer = address(part, (await part.modal(body))["interaction"])
    shown = await refused(http, answer, {"type": 9, "data": MODAL}, 400, 50035)
    (fault,) = shown["errors"]["type"]["_errors"]
    assert fault["code"] == "BASE_TYPE_CHOICES"
    assert re.fullmatch(r"Value must be one of \{\d+(, \d+)*\}\.", fault["message"])
    assert (await http.post(answer, json={"type": 4, "data": {"content": "taken"}})).status == 204
    with pytest.raises(Rejected, match="sent already"):
        await part.modal(body)
    assert part.interaction(sent)["text"] == "taken"


async def test_a_token_of_one_interaction_opens_no_other(part, http):
    (first, url), (second, other) = await opened(part), await opened(part)
    crossed = other.replace(f"/{second}/", f"/{first}/")
    await refused(http, crossed, {"type": 4, "data": {"content": "x"}}, 404, 10062)
    for one in (url, other):
        assert (await http.post(one, json={"type": 4, "data": {"content": "mine"}})).status == 204
    mine = part.interaction(first)["message"]
    hook = f"{part.api_url}/webhooks/{BOT}/{other.split('/')[-2]}/messages/{mine}"
    answer = await http.patch(hook, json={"content": "stolen"})
    assert (answer.status, (await answer.json())["code"]) == (404, 10008)


async def test_an_ephemeral_message_is_unknown_to_who_asks_by_the_channel(part, http):
    number, url = await opened(part)
    await http.post(url, json={"type": 4, "data": {"content": "secret", "flags": 64}})
    secret = part.interaction(number)["message"]
    for method in ("GET", "PATCH", "DELETE"):
        answer = await http.request(method, f"{part.api_url}{MESSAGES}/{secret}", json={"content": "x"})
        assert (answer.status, (await answer.json())["code"]) == (404, 10008)
    with pytest.raises(Missing):
        await part.component({"user": "sre", "message": secret, "label": "Press"})


# -- two bots of one token ---------------------------------------------------------------------------------------------


async def test_a_second_bot_of_the_same_token_hears_all_and_only_one_answer_counts(part, http):
    told: list[str] = []

    def echo(name: str) -> SmallBot:
        bot = SmallBot()

        @bot.tree.command(description="x")
        async def who(interaction) -> None:
            await asyncio.sleep(0.02)
            try:
                await interaction.response.send_message(name)
            except Exception as error:
                told.append(f"{name} {getattr(error, 'code', error)}")

        return bot

    point_at(part)
    async with running(echo("first"), part), running(echo("second"), part):
        view = await ran(part, "who")
        await until(lambda: told)
    loser = {"first": "second", "second": "first"}[view["text"]]
    assert told == [f"{loser} 40060"]
    await http.put(part.api_url + SCOPE, json=COMMANDS)


# -- what a member's client would not send -----------------------------------------------------------------------------

ACTS: list[tuple[str, str, Json, type[Rejected], str]] = [
    ("command", "user", {"user": "nobody"}, Rejected, "nobody"),
    ("command", "channel", {"channel": "nowhere"}, Rejected, "nowhere"),
    ("command", "command", {"command": "unknown"}, Rejected, "unknown"),
    ("command", "surplus", {"surplus": 1}, Rejected, "surplus"),
    ("command", "options", {"options": {"colour": 1}}, Rejected, "colour"),
    ("component", "message", {"message": "17"}, Missing, "17"),
    ("component", "label", {"label": "Nothing"}, Missing, "Nothing"),
    ("component", "both names", {"custom_id": "press"}, Rejected, "either"),
    ("component", "values", {"values": ["x"]}, Rejected, "takes no values"),
    ("component", "user", {"user": "17"}, Rejected, "17"),
    ("react", "emoji", {"emoji": "words"}, Rejected, "Unknown Emoji"),
    ("react", "message", {"message": "x"}, Missing, "x"),
    ("react", "remove", {"remove": "yes"}, Rejected, "true or false"),
    ("modal", "interaction", {"interaction": "17"}, Missing, "17"),
    ("modal", "fields", {"fields": []}, Rejected, "object"),
]
WHOLE: dict[str, Json] = {
    "command": {"user": "dev", "channel": "ops", "command": "ask"},
    "component": {"user": "dev", "label": "Press"},
    "react": {"user": "dev", "emoji": "✅"},
    "modal": {"user": "dev", "interaction": "1"},
}


@pytest.mark.parametrize(("act", "what", "wrong", "kind", "word"), ACTS)
async def test_an_act_that_makes_no_sense_is_a_sentence_and_changes_nothing(
    part, http, message, act, what, wrong, kind, word
):
    before = world(part)
    body = WHOLE[act] | ({"message": message} if act in ("component", "react") else {}) | wrong
    with pytest.raises(kind, match=word) as told:
        await getattr(part, act)(body)
    assert told.value.status == kind.status and str(told.value).endswith(".")
    assert world(part) == before


# -- the gateway ------------------------------------------------------------------------------------------------------


async def test_a_socket_that_speaks_nonsense_is_closed_and_disturbs_no_other(part, http):
    bot = SmallBot()

    @bot.tree.command(description="x")
    async def calm(interaction) -> None:
        await interaction.response.send_message("calm")

    point_at(part)
    async with running(bot, part), aiohttp.ClientSession() as session:
        for text, code in (("nonsense", 4002), ('{"op":"2"}', 4001), ('{"op":2,"d":{"token":7}}', 4004)):
            ws = await session.ws_connect(part.gateway_url)
            await ws.receive()
            await ws.send_str(text)
            assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
            assert ws.close_code == code
        view = await settled(part, await part.command({"user": "dev", "channel": "ops", "command": "calm"}))
        assert view["text"] == "calm"
    await http.put(part.api_url + SCOPE, json=COMMANDS)

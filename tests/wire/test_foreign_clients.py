"""Clients that others wrote, unmodified, against the sandbox's Discord: each does all that a bot does, on two wires.

A fake that agrees only with our own client proves nothing. The scripts stand in `tests/foreign`; here stand the members
who press and type, and what each step of a script must have seen. The last tests break one field each, to show that
the clients would notice.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.sandbox import cast
from bot.sandbox.discord import routes_interactions
from bot.sandbox.discord.errors import reply
from bot.sandbox.discord.limits import Rate
from bot.sandbox.discord.part import DiscordPart
from tests.wire.discord_world import QUICK, discord_part, ran, settled, until
from tests.wire.foreign_client import DISCORD_JS, HIKARI, Client, Failed, Steps, running_client

COMMANDS = ["Quote", "Who is it", "burst", "card", "deploy", "ping", "react", "thread", "why", "wrong"]
PACE = replace(QUICK, posts=Rate(5, 0.5), reactions=Rate(1, 0.25), webhook=Rate(5, 0.4))


@pytest.fixture(scope="module", params=[DISCORD_JS, HIKARI], ids=lambda client: client.name)
def client(request) -> Client:
    return request.param


@pytest.fixture(scope="module")
async def part(client, tmp_path_factory) -> AsyncIterator[DiscordPart]:
    async with discord_part(tmp_path_factory.mktemp("discord"), limits=PACE) as part:
        part.change_guild({"channels": {"ops": {"overwrites": {cast.BOT_NAME: {"allow": ALLOWED, "deny": []}}}}})
        yield part


ALLOWED = [
    *("VIEW_CHANNEL", "SEND_MESSAGES", "EMBED_LINKS", "ATTACH_FILES", "READ_MESSAGE_HISTORY", "ADD_REACTIONS"),
    *("CREATE_PUBLIC_THREADS", "SEND_MESSAGES_IN_THREADS"),
]


@pytest.fixture(scope="module")
async def steps(client, part) -> AsyncIterator[Steps]:
    """The client, logged in and with its commands set."""
    async with running_client(client, part) as steps:
        login = await steps.step("login")
        assert (login["user"], login["guild"]) == (cast.BOT_NAME, cast.GUILD_NAME)
        assert login["channels"] == sorted(cast.CHANNELS)
        assert login["roles"] == sorted(["@everyone", *cast.ROLES, cast.BOT_NAME])
        assert (await steps.step("commands"))["names"] == COMMANDS
        yield steps


async def test_its_commands_stand_in_the_picker_and_one_is_answered_at_once(part, steps):
    assert sorted(one["name"] for one in part.guild_state()["commands"]) == COMMANDS
    view = await ran(part, "ping")
    assert (view["state"], view["text"], view["ephemeral"]) == ("answered", "pong", True)


async def test_it_completes_what_a_member_types(part, steps):
    asked = {"user": "dev", "channel": "ops", "command": "deploy", "option": "service", "text": "a", "options": {}}
    view = await settled(part, await part.autocomplete(asked))
    assert (view["state"], view["choices"]) == ("choices", [{"name": "APP", "value": "app"}])


async def deployed(part: DiscordPart, steps: Steps, **options: object) -> dict:
    view = await ran(part, "deploy", "answered", service="app", **options)
    await steps.step("followed")
    return view


async def test_it_defers_and_fills_its_answer_with_an_embed_buttons_and_a_file(part, steps):
    file = {"filename": "a.txt", "base64": "aGVsbG8="}
    view = await deployed(part, steps, count=3, who="sre2", role="sre", where="audit", file=file)
    told = await steps.step("edited")
    assert (told["service"], told["count"], told["who"], told["role"], told["where"]) == (
        *("app", 3, "sre2", "sre", "audit"),
    )
    assert (told["bytes"], told["embed"], told["image"], told["width"], told["drawn"]) == (5, "Deploy", True, 2, True)
    assert (told["components"], told["author"]) == ([3, 1, 1], True)
    assert view["text"] == "Deploy\non its way\nService\napp"
    shown = part.messages(channel="ops", user="dev")["messages"]
    assert [one["id"] for one in shown if one["text"] == view["text"]] == [view["message"]]
    assert not [one for one in shown if one["text"] in ("a follow-up", "changed")]


async def test_it_takes_the_pick_of_a_select_and_of_a_member_select(part, steps):
    view = await deployed(part, steps)
    picked = {"user": "dev", "message": view["message"], "label": "More", "values": ["Retry"]}
    sent = await part.component(picked)
    assert (await steps.step("picked"))["values"] == ["retry"]
    answer = await settled(part, sent)
    assert (answer["state"], answer["text"], answer["ephemeral"]) == ("answered", "picked retry", True)
    whom = {"user": "dev", "message": view["message"], "label": "Whom", "values": ["owner"]}
    assert (await settled(part, await part.component(whom)))["text"] == "whom owner"


async def test_its_button_changes_the_message_that_it_stands_on(part, steps):
    view = await deployed(part, steps)
    pressed = await part.component({"user": "sre", "message": view["message"], "label": "Approve"})
    told = await steps.step("pressed")
    assert (told["id"], told["on"]) == ("approve:1", view["message"])
    answer = await settled(part, pressed)
    assert (answer["message"], answer["text"]) == (view["message"], "approve:1 by sre")
    (message,) = [one for one in part.messages(channel="ops")["messages"] if one["id"] == view["message"]]
    assert (message["components"], message["embeds"], message["attachments"]) == ([], [], [])


async def test_it_draws_a_card_of_the_second_version(part, steps):
    view = await ran(part, "card")
    told = await steps.step("card")
    assert (told["v2"], told["kinds"], told["accent"]) == (True, [10, 14, 9, 12, 1], 0xFF0000)
    assert (told["picture"], told["content"]) == (True, "")
    (message,) = [one for one in part.messages(channel="ops")["messages"] if one["id"] == view["message"]]
    assert message["text"] == "# DEPLOY\nin a section"
    assert [one["label"] for one in message["components"]] == ["Go", "Approve", "Deny", "Logs"]


async def test_its_modal_is_filled_in_and_answered(part, steps, client):
    opened = await ran(part, "why")
    assert (opened["state"], opened["modal"]["title"]) == ("modal", "Why?")
    fields: dict[str, object] = {"Reason": "it broke"}
    if client is DISCORD_JS:
        kinds = [one["kind"] for one in opened["modal"]["fields"]]
        assert kinds == ["text_input", "select", "file_upload"]
        fields |= {"Severity": "High", "Evidence": [{"filename": "log.txt", "base64": "aGVsbG8="}]}
    view = await settled(part, await part.modal({"user": "dev", "interaction": opened["id"], "fields": fields}))
    expected = "it broke / high / log.txt" if client is DISCORD_JS else "it broke / - /"
    assert (view["state"], view["text"], view["ephemeral"]) == ("answered", expected, True)
    assert (await steps.step("submitted"))["own"]


async def test_its_menus_on_a_message_and_on_a_member_find_their_target(part, steps):
    view = await ran(part, "card")
    quoted = await ran(part, "thread")
    await steps.step("thread")
    body = {"user": "dev", "channel": "ops", "command": "Quote", "target": quoted["message"]}
    assert (await settled(part, await part.command(body)))["text"] == "it says a card"
    body = {"user": "dev", "channel": "ops", "command": "Who is it", "target": "owner"}
    answer = (await settled(part, await part.command(body)))["text"]
    assert answer.removeprefix("owner ").replace("@everyone,", "") == "owner,sre"
    assert view["state"] == "answered"


async def test_it_starts_archives_and_wakes_a_thread_and_is_told_what_is_refused_there(part, steps):
    view = await ran(part, "thread")
    told = await steps.step("thread")
    assert (told["same"], told["parent"], told["archived"]) == (True, "ops", False)
    assert (told["late"], told["again"]) == (50083, 160004)
    lines = part.messages(channel=view["message"])["messages"]
    assert [(one["text"], one["edits"]) for one in lines] == [("line one", 1)]


async def test_it_reacts_and_hears_a_member_react(part, steps):
    await ran(part, "react", "answered")
    told = await steps.step("reacted")
    assert (told["users"], told["kept"]) == ([cast.BOT_NAME], [["✅", 1, True]])
    answer = await part.react({"user": "dev", "message": told["message"], "emoji": "🚢"})
    assert [(one["emoji"]["name"], one["count"], one["me"]) for one in answer["reactions"]] == [
        ("✅", 1, True),
        ("🚢", 1, False),
    ]
    heard = [await steps.step("reaction") for _ in range(3)]
    assert (heard[-1]["emoji"], heard[-1]["by"]) == ("🚢", str(cast.PEOPLE[3].id))


async def test_it_understands_each_refusal_by_its_code(part, steps):
    await ran(part, "wrong")
    codes = (await steps.step("wrong"))["codes"]
    assert codes == {"form": 50035, "twice": 40060, "channel": 10003, "empty": 50006}


async def test_it_resumes_after_a_cut_socket_and_answers_what_it_missed(part, steps, client):
    await part.drop_gateway()
    view = await ran(part, "ping")
    assert view["text"] == "pong"
    await steps.step("resumed")
    connected = [event.data for event in part.ledger._events if event.name == "gateway.connected"]
    assert [one["resumed"] for one in connected] == [False, True]
    sockets = [one["path"] for one in part.ledger.requests("discord", 0) if one["path"].startswith("/gateway")]
    assert ("compress=zlib-stream" in sockets[0]) == (client is HIKARI)


async def test_it_connects_anew_when_it_is_asked_to(part, steps):
    await part.reconnect_gateway()
    await steps.step("resumed")
    assert (await ran(part, "ping"))["text"] == "pong"


def posts(part: DiscordPart, after: int) -> list[int]:
    exchanges = part.ledger.requests("discord", after)
    wanted = f"/channels/{cast.CHANNELS['ops']}/messages"
    return [one["status"] for one in exchanges if one["method"] == "POST" and one["path"].endswith(wanted)]


async def test_it_waits_by_the_headers_and_loses_no_post(part, steps):
    after = part.ledger.requests("discord", 0)[-1]["n"]
    await ran(part, "burst", times=12)
    assert (await steps.step("burst"))["sent"] == 12
    statuses = posts(part, after)
    assert statuses.count(200) == 12 and set(statuses) <= {200, 429}


async def test_it_waits_out_a_refusal_and_sends_again(part, steps):
    after = part.ledger.requests("discord", 0)[-1]["n"]
    part.faults.add("discord", "rate_limit", match="POST .*/channels/.*/messages", seconds=0.3, times=1)
    await ran(part, "burst", times=2)
    told = await steps.step("burst")
    assert told["sent"] == 2 and told["took"] >= 300
    assert posts(part, after).count(429) == 1 and posts(part, after).count(200) == 2


async def test_it_waits_out_the_limit_of_the_whole_bot(part, steps):
    after = part.ledger.requests("discord", 0)[-1]["n"]
    part.change_limits({"overall": {"requests": 3, "per_s": 2.0}, "posts": {"requests": 1000, "per_s": 1.0}})
    await ran(part, "burst", times=8)
    assert (await steps.step("burst"))["sent"] == 8
    part.change_limits({"reset": True})
    statuses = posts(part, after)
    assert statuses.count(200) == 8 and 429 in statuses


async def test_it_begins_anew_after_an_invalid_session(part, steps):
    before = len([event for event in part.ledger._events if event.name == "gateway.connected"])
    await part.invalidate_gateway(resumable=False)
    await until(
        lambda: len([one for one in part.ledger._events if one.name == "gateway.connected"]) > before, timeout_s=30
    )
    assert (await ran(part, "ping"))["text"] == "pong"


# -- one broken field, and the client notices -------------------------------------------------------------------------


def without_the_embeds_of_a_message(part: DiscordPart, monkeypatch) -> None:
    def answer(body, **more):
        return reply({key: value for key, value in body.items() if key != "embeds"}, **more)

    monkeypatch.setattr(routes_interactions, "reply", answer)


def with_options_under_another_name(part: DiscordPart, monkeypatch) -> None:
    send = part._gateway.dispatch

    def dispatch(event, data, **more):
        if event == "INTERACTION_CREATE" and "options" in data["data"]:
            data = data | {"data": {("option" if k == "options" else k): v for k, v in data["data"].items()}}
        send(event, data, **more)

    monkeypatch.setattr(part._gateway, "dispatch", dispatch)


def with_another_token(part: DiscordPart, monkeypatch) -> None:
    send = part._gateway.dispatch

    def dispatch(event, data, **more):
        send(event, data | {"token": "another"} if event == "INTERACTION_CREATE" else data, **more)

    monkeypatch.setattr(part._gateway, "dispatch", dispatch)


BROKEN = [without_the_embeds_of_a_message, with_options_under_another_name, with_another_token]


@pytest.mark.parametrize("broken", BROKEN)
async def test_one_broken_field_makes_the_script_fail(client, broken, tmp_path, monkeypatch):
    async with discord_part(tmp_path, limits=PACE, compared=False) as part, running_client(client, part) as steps:
        await steps.step("commands")
        broken(part, monkeypatch)
        await part.command({"user": "dev", "channel": "ops", "command": "deploy", "options": {"service": "app"}})
        with pytest.raises(Failed) as failed:
            await steps.step("followed")
        assert "before followed" in str(failed.value)
        # It is the field that the client stumbles over, and not a sandbox that broke.
        assert not [one for one in part.ledger.requests("discord", 0) if one["status"] >= 500]

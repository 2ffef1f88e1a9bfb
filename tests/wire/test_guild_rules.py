"""What a bot may do in a channel: our reckoning, the sandbox's and discord.py's agree; the sandbox enforces it."""

import random

import pytest

from bot.clients.discord import DiscordClient
from bot.clients.discord_permissions import Permission
from bot.clients.http import HttpClient
from bot.errors import NotVisible, Unavailable, Unreachable
from bot.sandbox import cast
from bot.sandbox.discord.rules import BITS
from bot.sandbox.wire import Rejected
from tests.wire.discord_world import SmallBot, bare_http, discord_part, running, until
from tests.wire.scripted_server import scripted_server

BOT = cast.BOT_NAME
NAMES = sorted(set(BITS) - {"ADMINISTRATOR", "MANAGE_GUILD", "CHANGE_NICKNAME"})
"""Those that a channel can give and take; the others hold in the server as a whole."""
OPS, BOT_ID = cast.CHANNELS["ops"], cast.APPLICATION_ID


def client_of(part, http: HttpClient, *, guild_id: int = cast.GUILD_ID) -> DiscordClient:
    return DiscordClient(api_url=part.api_url, token=part.token, guild_id=guild_id, http=http)


@pytest.fixture
async def http():
    client = HttpClient()
    yield client
    await client.close()


def some(chance: random.Random) -> list[str]:
    return sorted(chance.sample(NAMES, chance.randint(0, len(NAMES))))


def some_rules(chance: random.Random) -> dict:
    """Any permissions of roles, and any overwrites of a role, of everybody and of the bot itself."""
    roles = {name: {"permissions": some(chance)} for name in ("@everyone", BOT)}
    overwrites: dict[str, dict | None] = {
        name: {"allow": some(chance), "deny": some(chance)} for name in ("@everyone", BOT, "sre")
    }
    for name in chance.sample(sorted(overwrites), chance.randint(0, 2)):
        overwrites[name] = None
    if chance.random() < 0.1:
        roles[BOT]["permissions"].append("ADMINISTRATOR")
    return {"reset": True, "roles": roles, "channels": {"ops": {"overwrites": overwrites}}}


async def test_three_reckonings_of_a_bots_permissions_agree(tmp_path, http) -> None:
    chance, named = random.Random(1), sum(1 << BITS[name] for name in NAMES)
    async with discord_part(tmp_path) as part, running(SmallBot(), part) as bot:
        client, me = client_of(part, http), bot.get_guild(cast.GUILD_ID).me
        for _ in range(40):
            part.change_guild(some_rules(chance))
            guild, channels = await client.guild(), await client.channels()
            ops = next(channel for channel in channels if channel.id == OPS)
            ours = int(guild.allowed_in(ops, await client.member_roles(BOT_ID), user_id=BOT_ID)) & named
            assert part._server.permissions(BOT_ID, OPS) & named == ours
            # discord.py hears of it by the gateway.
            await until(lambda wanted=ours: bot.channel("ops").permissions_for(me).value & named == wanted)


async def test_the_servers_owner_may_everything_whatever_the_rules_say(tmp_path, http) -> None:
    async with discord_part(tmp_path) as part:
        part.change_guild({"roles": {"@everyone": {"permissions": []}, "owner": {"permissions": []}}})
        guild = await client_of(part, http).guild()
        ops = next(channel for channel in await client_of(part, http).channels() if channel.id == OPS)
        assert guild.allowed_in(ops, (), user_id=cast.PEOPLE[0].id) == Permission.all()
        assert part._server.permissions(cast.PEOPLE[0].id, OPS) == int(Permission.all())
        assert guild.allowed_in(ops, ()) == Permission(0)


@pytest.mark.parametrize(
    ("denied", "code"),
    [("VIEW_CHANNEL", 50001), ("SEND_MESSAGES", 50013), ("EMBED_LINKS", 50013), ("PIN_MESSAGES", 50013)],
)
async def test_the_sandbox_refuses_what_the_bot_may_not_do(denied: str, code: int, tmp_path) -> None:
    async with discord_part(tmp_path) as part, bare_http(part) as session:
        address = f"{part.api_url}/channels/{OPS}/messages"
        body = {"content": "a card", "embeds": [{"description": "with an embed"}]}
        async with session.post(address, json=body) as answer:
            assert answer.status == 200
            message = (await answer.json())["id"]
        part.change_guild({"channels": {"ops": {"overwrites": {BOT: {"allow": [], "deny": [denied]}}}}})
        part.change_guild({"channels": {"ops": {"overwrites": {"@everyone": None}}}})
        pinning = denied == "PIN_MESSAGES"
        verb, path = ("PUT", f"{address}/pins/{message}") if pinning else ("POST", address)
        async with session.request(verb, path, json=None if pinning else body) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, code)
        part.change_guild({"reset": True})
        async with session.request(verb, path, json=None if pinning else body) as answer:
            assert answer.status in (200, 204)


async def test_a_role_is_pinged_only_if_it_may_be_mentioned(tmp_path) -> None:
    async with discord_part(tmp_path) as part, bare_http(part) as session:

        async def pinged() -> list[str]:
            text = f"<@&{cast.ROLES['sre']}> please"
            async with session.post(f"{part.api_url}/channels/{OPS}/messages", json={"content": text}) as answer:
                assert answer.status == 200
            return part.messages(channel="ops")["messages"][-1]["pings"]["roles"]

        assert await pinged() == ["sre"]
        part.change_guild({"roles": {"sre": {"mentionable": False}}})
        assert await pinged() == []
        part.change_guild(
            {"channels": {"ops": {"overwrites": {BOT: {"allow": ["SEND_MESSAGES", "MENTION_EVERYONE"]}}}}}
        )
        assert await pinged() == ["sre"]


async def test_the_rules_are_kept_over_a_restart_and_reset_by_a_word(tmp_path, http) -> None:
    async with discord_part(tmp_path) as part:
        part.change_guild({"mfa_level": 0})
    async with discord_part(tmp_path) as part:
        assert (await client_of(part, http).guild()).mfa_level == 0
        part.change_guild({"reset": True})
        assert (await client_of(part, http).guild()).mfa_level == 1


@pytest.mark.parametrize(
    "body",
    [
        {"roles": {"nobody": {}}},
        {"roles": {"sre": {"permissions": ["FLY"]}}},
        {"channels": {"nowhere": {}}},
        {"channels": {"ops": {"overwrites": {"nobody": {}}}}},
        {"left": ["nobody"]},
        {"unknown": 1},
    ],
)
async def test_the_lever_refuses_names_that_do_not_exist_and_changes_nothing(body: dict, tmp_path) -> None:
    async with discord_part(tmp_path) as part:
        before = part.change_guild({})
        with pytest.raises(Rejected):
            part.change_guild({"mfa_level": 0} | body)
        assert part.change_guild({}) == before


# ---- the client ------------------------------------------------------------------------------------------------------


async def test_a_members_roles_are_read_and_one_who_left_has_none_at_all(tmp_path, http) -> None:
    async with discord_part(tmp_path) as part:
        client, sre = client_of(part, http), next(person.id for person in cast.PEOPLE if person.name == "sre")
        assert await client.member_roles(sre) == (cast.ROLES["sre"],)
        part.change_guild({"left": ["sre"]})
        assert await client.member_roles(sre) is None
        assert await client.member_roles(17) is None
        part.change_guild({"left": []})
        assert await client.member_roles(sre) == (cast.ROLES["sre"],)


async def test_another_guild_is_not_the_same_as_a_member_who_left(tmp_path, http) -> None:
    async with discord_part(tmp_path) as part:
        with pytest.raises(NotVisible):
            await client_of(part, http, guild_id=17).member_roles(cast.PEOPLE[1].id)


async def test_without_a_connection_nothing_was_sent(tmp_path, http) -> None:
    client = DiscordClient(api_url="http://127.0.0.1:9/api/v10", token="x.y.z", guild_id=1, http=http)
    with pytest.raises(Unreachable):
        await client.member_roles(1)


async def test_a_server_error_is_no_answer(tmp_path, http) -> None:
    async with discord_part(tmp_path) as part:
        part.faults.add("discord", "status", status=503)
        with pytest.raises(Unavailable) as caught:
            await client_of(part, http).member_roles(cast.PEOPLE[1].id)
        assert caught.value.status == 503 and caught.value.service == "discord"


async def test_a_short_pause_that_discord_asks_for_is_kept_and_a_long_one_is_not_waited_for(tmp_path, http) -> None:
    async with discord_part(tmp_path) as part:
        part.faults.add("discord", "rate_limit", seconds=0.05, times=2)
        assert await client_of(part, http).own_id() == cast.APPLICATION_ID
        part.faults.add("discord", "rate_limit", seconds=60.0, times=1)
        with pytest.raises(Unavailable) as caught:
            await client_of(part, http).own_id()
        assert caught.value.retry_after_s == 60


async def test_an_answer_that_is_no_json_is_no_answer(http) -> None:
    from aiohttp import web

    async with scripted_server() as server:

        async def page(request: web.Request) -> web.Response:
            return web.Response(text="<html>maintenance</html>")

        server.answer = page
        client = DiscordClient(api_url=server.url, token="x.y.z", guild_id=1, http=http)
        with pytest.raises(Unavailable):
            await client.member_roles(1)

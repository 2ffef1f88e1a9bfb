"""A world in front of a person's own Discord: here another sandbox's Discord stands for the real one."""

import asyncio
import io
import json
import os
import tomllib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from bot.commissioning.trial import main as trial_of_ones_own
from bot.console.environment import read
from bot.sandbox import cast
from bot.sandbox.__main__ import invocation
from bot.sandbox.own_discord import OwnDiscord, forget_token, kept_token
from tests.story.conftest import SPEED
from tests.story.steps import card_of, ended, green, new_commit, operation_in
from tests.story.test_init import Answer, at_a_terminal
from tests.story.world_driver import Message, Refusal, World
from tests.wire.test_sandbox_process import run_sandbox

TOKEN = "QUARTERDECK_DISCORD_TOKEN"
PIN_NOTICE = 6
"""A message's type: Discord's own line that something was pinned (resources/message, "Message Types")."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The world that has people and a Discord (`guild`), and the one that has all the rest (`world`)."""

    guild: World
    world: World
    options: tuple[str, ...]
    token: str


def told(guild: World) -> Mapping[str, str]:
    """What a person has in the environment: the bot's token, the guild, and who may do what."""
    people = " ".join(f"{one.name}:{one.id}:{','.join(one.roles)}" for one in cast.PEOPLE if one.roles)
    return {
        "DISCORD": "1",
        TOKEN: read(guild.home / "quarterdeck.env")[TOKEN],
        "QUARTERDECK_DISCORD_GUILD": str(cast.GUILD_ID),
        "QUARTERDECK_DISCORD_PEOPLE": people,
    }


def pointing_at(guild: World) -> tuple[str, ...]:
    discord = tomllib.loads((guild.home / "quarterdeck.toml").read_text(encoding="utf-8"))["discord"]
    return ("--discord-url", discord["api_url"], "--gateway-url", discord["gateway_url"])


@pytest.fixture(scope="module")
async def trial(unmanned_world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trial]:
    guild, environ = unmanned_world, told(unmanned_world)
    # As the demo runs it: what is said to the Discord is compared with the descriptions of others by the other world.
    home = tmp_path_factory.mktemp("own") / "home"
    world = World(home=home, speed=SPEED, environ=environ, validate=False, unhurried=False)
    options = pointing_at(guild)
    try:
        await world.start(*options)
        yield Trial(guild, world, options, environ[TOKEN])
    finally:
        await world.stop()
        await without_commands(options[1], environ[TOKEN])


async def without_commands(discord_api: str, token: str) -> None:
    """Leave the guild as it was found, for those who look whether a bot has registered any."""
    url = f"{discord_api}/applications/{cast.APPLICATION_ID}/guilds/{cast.GUILD_ID}/commands"
    headers = {"Authorization": f"Bot {token}", "User-Agent": "DiscordBot (https://example.org, 1)"}
    async with aiohttp.ClientSession(headers=headers) as session, session.put(url, json=[]) as answer:
        assert answer.status == 200, await answer.text()


async def marked_everywhere(guild: World) -> list[Message]:
    """Every message of the guild bears the mark in its first line."""
    every = [message for channel in ("ops", "audit") for message in await guild.messages(channel)]
    found = [message for message in every if message.raw["raw"]["type"] != PIN_NOTICE]
    for message in found:
        assert "SANDBOX" in message.text.split("\n", 1)[0], message.text
    return found


async def test_a_deploy_in_ones_own_discord_is_marked_and_changes_the_sandboxs_host_alone(trial: Trial) -> None:
    guild, world = trial.guild, trial.world
    before = (await guild.health("dev"))["commit"]
    sha = await green(world, await new_commit(world))
    reply = await guild.ask("dev", "deploy", service="app", environment="dev", ref="main")
    assert reply.ephemeral and "SANDBOX" in reply.text
    card = await ended(guild, operation_in(reply))
    first = card.text.split("\n", 1)[0]
    assert "succeeded" in first and "SANDBOX" in first
    assert (await world.health("dev"))["commit"] == sha
    assert (await guild.health("dev"))["commit"] == before
    assert len(await marked_everywhere(guild)) >= 2


async def test_refusals_and_modals_are_marked_too(trial: Trial) -> None:
    guild = trial.guild
    await green(trial.world, await new_commit(trial.world))
    refused = await guild.ask("guest", "deploy", service="app", environment="dev", ref="main")
    assert "SANDBOX" in refused.text.split("\n", 1)[0]
    asked = operation_in(await guild.ask("dev", "deploy", service="app", environment="prod", ref="main"))
    card = await card_of(guild, asked, "waiting")
    opened = await guild.settle(await guild.press("sre", card, "Deny…"))
    assert "SANDBOX" in opened.modal["title"]
    await guild.submit("sre", opened.id, {"Reason": "only a trial"})
    assert "denied" in (await ended(guild, asked)).text
    await marked_everywhere(guild)


async def test_the_world_says_where_to_look_and_works_no_discord_of_its_own(trial: Trial) -> None:
    state = await trial.world.state()
    assert (state["ready"], state["channels"], state["members"]) == (True, [], [])
    assert (state["guild"]["name"], "look there" in state["guild"]["elsewhere"]) == (cast.GUILD_NAME, True)
    part = await trial.world.part("discord")
    assert (part["kind"], cast.GUILD_NAME in part["detail"], "SANDBOX" in part["detail"]) == ("real", True, True)
    for path, body in (
        ("/commands", {"user": "dev", "channel": "ops", "command": "ping", "options": {}}),
        ("/members/dev/roles", {"roles": []}),
        ("/faults", {"part": "discord", "kind": "drop_gateway"}),
        ("/chaos", {"on": True}),
    ):
        with pytest.raises(Refusal, match="Discord is your own") as refused:
            await trial.world.post(path, body)
        assert refused.value.status == 409
    with pytest.raises(Refusal, match="Discord is your own"):
        await trial.world.messages("ops")
    assert not (await trial.world.get("/chaos"))["on"]


async def test_two_worlds_at_once_do_not_touch_each_other(trial: Trial) -> None:
    """Each keeps its own repository, host, clock and requests, on ports of its own."""
    one, other = trial.guild, trial.world
    requests, home = await one.requests("github"), (await one.state())["world"]["home"]
    ports = [{part["url"] for part in (await world.state())["parts"] if part["url"]} for world in (one, other)]
    assert not ports[0] & ports[1]
    assert home != (await other.state())["world"]["home"]
    sha = await new_commit(other)
    await other.clock(2.0)
    number = await other.fault("github", "status", match="nothing at all", status=500)
    assert (await one.state())["world"]["speed"] == SPEED
    assert number and (await one.get("/faults"))["faults"] == []
    with pytest.raises(Refusal):
        await one.github("checks", sha=sha, conclusion="success")
    assert [r["n"] for r in await one.requests("github")] == [r["n"] for r in requests]
    await other.clear_faults()
    await other.clock(SPEED)


def test_a_demo_that_validates_nothing_loads_no_validators_of_others(trial: Trial) -> None:
    mapped = Path(f"/proc/{trial.world.pid}/maps")
    if not mapped.exists():
        pytest.skip("this system has no /proc")
    assert "jsonschema_rs" not in mapped.read_text(encoding="utf-8")
    assert "aiohttp" in mapped.read_text(encoding="utf-8"), "what is loaded shows there"


async def test_the_presence_is_marked(trial: Trial) -> None:
    seen = (await trial.guild.state())["guild"]
    assert "SANDBOX" in json.dumps(seen), seen


async def test_the_choice_is_remembered_and_the_token_is_not(trial: Trial) -> None:
    world = trial.world
    env = world.home / "quarterdeck.env"
    assert env.stat().st_mode & 0o077 == 0
    assert read(env)[TOKEN] == trial.token
    await world.stop()
    kept = json.loads((world.home / "own_discord.json").read_text(encoding="utf-8"))
    assert (kept["guild_id"], kept["roles"]) == (cast.GUILD_ID, cast.ROLES)
    assert kept["channels"] == {name: number for name, number in cast.CHANNELS.items() if name != "general"}
    holders = [path for path in world.home.rglob("*") if path.is_file() and trial.token.encode() in path.read_bytes()]
    assert holders == []
    assert trial.token not in world.log_path.read_text(encoding="utf-8")
    await world.start(*trial.options)
    assert (await world.part("discord"))["kind"] == "real"


async def test_at_a_terminal_the_token_is_asked_for_and_never_shown(unmanned_world: World, tmp_path: Path) -> None:
    token, port = told(unmanned_world)[TOKEN], unmanned_world.url.rpartition(":")[2]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("QUARTERDECK_")}
    home = tmp_path / "home"
    words = ("--own-discord", "--port", port, "--home", str(home), *pointing_at(unmanned_world))
    answers = [
        Answer("token of the Discord bot", token),
        *(Answer(f"Which {what}", "") for what in ("guild", "channel is ops", "channel is audit")),
        *(Answer(f"Which channel is {name} (", "") for name in ("alerts", "alerts-critical")),
        *(Answer(f"Which role is {name}", "") for name in ("sre", "dev", "owner")),
        Answer("name of the first person", "me"),
        *(Answer(question, "") for question in ("Discord id of me", "duties of me", "user of me", "one more person")),
        Answer("Keep the token", ""),
    ]
    code, shown = await at_a_terminal(words, answers, environ, program=("bot.sandbox",))
    # The port is another world's: this one goes as far as it can without starting anything.
    assert (code, f"Port {port} is taken" in shown) == (69, True), shown
    assert "marked SANDBOX" in shown
    assert token not in shown
    assert [path for path in home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--discord-url", "http://127.0.0.1:1"), "go with --own-discord only"),
        (("--own-discord", "--discord-url", "http://127.0.0.1:1"), "go together"),
        (
            ("--own-discord", "--discord-url", "https://discord.com/api", "--gateway-url", "ws://127.0.0.1:1"),
            "'https://discord.com/api' is not on this machine",
        ),
        (
            ("--own-discord", "--discord-url", "http://127.0.0.1:1", "--gateway-url", "ws://127.0.0.1.example.org"),
            "is not on this machine",
        ),
    ],
)
def test_what_stands_for_discord_in_a_test_is_on_this_machine(
    options: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        invocation(options, {})
    assert (ended.value.code, sentence in capsys.readouterr().err) == (64, True)


def test_a_token_is_kept_only_where_the_person_said_so(tmp_path: Path) -> None:
    note, env = tmp_path / "own_discord.json", tmp_path / "quarterdeck.env"
    own = OwnDiscord(7, "Harbour", 8, {"ops": 1}, {"dev": 2}, (), "a.b.c")
    for keep in (False, True):
        env.write_text(f"QUARTERDECK_GITHUB_TOKEN=g\n{TOKEN}=a.b.c\n", encoding="utf-8")
        replace(own, keep_token=keep).remember(tmp_path)
        assert "a.b.c" not in note.read_text(encoding="utf-8")
        assert kept_token(note, env) == ("a.b.c" if keep else "")
    forget_token(env)
    assert env.read_text(encoding="utf-8") == "QUARTERDECK_GITHUB_TOKEN=g\n"
    assert kept_token(note, env) == ""


async def test_a_home_keeps_to_the_discord_that_it_was_made_with(trial: Trial, tmp_path: Path) -> None:
    fake, own = tmp_path / "fake", tmp_path / "own"
    for home, mark in ((fake, fake / "discord"), (own, own / "state")):
        mark.mkdir(parents=True)
        (home / "world.lock").touch()
    (own / "own_discord.json").write_text(json.dumps({"guild_id": 7}), encoding="utf-8")
    code, err = await run_sandbox("--port", "0", "--home", str(fake), *trial.options, **told(trial.guild))
    assert (code, "made with the sandbox's Discord" in err) == (64, True), err
    code, err = await run_sandbox("--port", "0", "--home", str(own))
    assert (code, "made with a Discord of your own" in err) == (64, True), err
    code, err = await run_sandbox("--port", "0", "--home", str(own), *trial.options, **told(trial.guild))
    assert (code, "made with the guild 7" in err) == (64, True), err


@pytest.mark.parametrize(
    ("change", "sentence", "expected"),
    [
        ({TOKEN: "x.SANDBX.nobody"}, "does not accept that token", 64),
        ({"QUARTERDECK_DISCORD_GUILD": "harbour"}, "must be the guild's id", 64),
        ({"QUARTERDECK_DISCORD_GUILD": "12345678901234567"}, "Discord answered 404", 69),
        ({"QUARTERDECK_DISCORD_PEOPLE": ""}, "who may change something", 64),
        ({"QUARTERDECK_DISCORD_PEOPLE": "dev:1:captain"}, "has the duty 'captain'", 64),
    ],
)
async def test_answers_that_make_no_sense_end_in_one_sentence(
    unmanned_world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    sentence: str,
    expected: int,
) -> None:
    for name, value in {**told(unmanned_world), **change}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    _, discord_api, *_ = pointing_at(unmanned_world)
    note = ("--remembered", str(tmp_path / "note.json"), "--discord-api", discord_api)
    with Path(os.devnull).open("w") as answers:
        code = await asyncio.to_thread(trial_of_ones_own, ["--answers-fd", str(answers.fileno()), *note])
    said = capsys.readouterr()
    assert (code, sentence in said.err) == (expected, True), said.err
    assert os.environ[TOKEN] not in said.out + said.err

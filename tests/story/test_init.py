"""`quarterdeck init` against the world: with options alone, and by somebody who answers at a terminal."""

import asyncio
import os
import pty
import re
import sys
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.__main__ import main as quarterdeck
from bot.clients.discord_permissions import NEEDED
from bot.commissioning.draft import Draft, Person
from bot.console.environment import read
from bot.sandbox import cast
from bot.sandbox.monitoring.part import PROGRAMS
from tests.story.host_console import Console
from tests.story.world_driver import ROOT, World

LONGEST_S = 60.0
PEOPLE = ("--person", f"ada:{cast.PEOPLE[1].id}:sre:harbour-sre:ada", "--person", f"ben:{cast.PEOPLE[2].id}:sre",
          "--person", f"cy:{cast.PEOPLE[3].id}:dev")  # fmt: skip


def demo_of(world: World) -> dict[str, Any]:
    return tomllib.loads((world.home / "quarterdeck.toml").read_text(encoding="utf-8"))


def endpoints(world: World) -> tuple[str, ...]:
    """Where this world answers: what a bot of the real services never needs."""
    demo = demo_of(world)
    return (
        *("--discord-api", demo["discord"]["api_url"], "--discord-gateway", demo["discord"]["gateway_url"]),
        *("--github-api", demo["github"]["api_url"], "--aws-endpoint", demo["aws"]["endpoint_url"]),
    )


def hosts(world: World) -> tuple[str, ...]:
    return tuple(
        word
        for name, environment in demo_of(world)["environments"].items()
        for word in ("--host", f"{name}={environment['instance_id']}")
    )


@pytest.fixture
def secrets(unmanned_world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The world's secrets, in this process's environment."""
    found = read(unmanned_world.home / "quarterdeck.env")
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


async def init(*words: str) -> int:
    return await asyncio.to_thread(quarterdeck, ["init", *words])


async def test_with_options_alone_it_writes_a_configuration_that_the_doctor_accepts(
    unmanned_world: World, secrets: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "quarterdeck.toml"
    code = await init(
        *("--config", str(file), "--state-dir", str(tmp_path / "state"), "--region", cast.AWS_REGION),
        *("--repository", cast.GITHUB_REPOSITORY, *PEOPLE, *hosts(unmanned_world), *endpoints(unmanned_world)),
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    assert written["discord"]["guild_id"] == cast.GUILD_ID
    assert written["discord"]["channels"] == {n: i for n, i in cast.CHANNELS.items() if n != "general"}
    assert written["discord"]["roles"] == cast.ROLES
    assert written["aws"]["account"] == cast.AWS_ACCOUNT
    assert written["people"][0] == {
        "name": "ada",
        "discord_id": cast.PEOPLE[1].id,
        "github": "harbour-sre",
        "os_user": "ada",
        "duties": ["sre"],
    }
    for name, value in secrets.items():
        assert name == "AWS_EC2_METADATA_DISABLED" or value not in file.read_text(encoding="utf-8") + said.out
    examined = await Console(unmanned_world, config=file)("doctor")
    assert examined.code == 0 and "WRONG" not in examined.out and "warning" not in examined.out, examined.out


async def test_a_bot_starts_on_what_it_wrote(unmanned_world: World, secrets: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "quarterdeck.toml"
    assert (
        await init(
            *("--config", str(file), "--state-dir", str(tmp_path / "state"), "--region", cast.AWS_REGION),
            *("--repository", cast.GITHUB_REPOSITORY, *PEOPLE, *hosts(unmanned_world), *endpoints(unmanned_world)),
        )
        == 0
    )
    process = await Console(unmanned_world, config=file).start("run")
    try:

        async def connected() -> bool:
            assert process.returncode is None, "the bot ended"
            return bool((await unmanned_world.state())["commands"])

        await unmanned_world.until("its commands to be registered", connected, timeout_s=45)
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), LONGEST_S)
    assert process.returncode == 0


async def test_it_never_replaces_a_file_without_being_told_to(
    unmanned_world: World, secrets: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "quarterdeck.toml"
    file.write_text("precious = true\n")
    given = ("--repository", cast.GITHUB_REPOSITORY, "--region", cast.AWS_REGION, *PEOPLE, *hosts(unmanned_world))
    words = ("--config", str(file), "--state-dir", str(tmp_path), *given, *endpoints(unmanned_world))
    assert await init(*words) == 64
    assert "exists already" in capsys.readouterr().err and file.read_text() == "precious = true\n"
    assert await init(*words, "--force") == 0
    assert "precious" not in file.read_text()


@pytest.mark.parametrize(
    ("left_out", "named"),
    [("--person", "--person"), ("--repository", "--repository"), ("--region", "--region"), ("--host", "--host dev=")],
)
async def test_without_a_terminal_what_is_missing_is_named_and_nothing_written(
    left_out: str, named: str, unmanned_world: World, secrets: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    file = tmp_path / "quarterdeck.toml"
    pairs = [("--repository", cast.GITHUB_REPOSITORY), ("--region", cast.AWS_REGION)]
    given = (*PEOPLE, *hosts(unmanned_world))
    pairs += list(zip(given[::2], given[1::2], strict=True))
    words = [word for option, value in pairs if option != left_out for word in (option, value)]
    assert await init("--config", str(file), *words, *endpoints(unmanned_world)) == 64
    assert named in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--person", "ada"), "NAME:DISCORD_ID"),
        (("--channel", "ops"), "NAME=VALUE"),
        (("--role", "sre=many"), "ids are numbers"),
        (("--repository", "no-slash"), "repository"),
        (("--person", f"ada:{cast.PEOPLE[1].id}:chef"), "duty"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_refused_whole(
    words: tuple[str, ...], says: str, unmanned_world: World, secrets: dict[str, str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = tmp_path / "quarterdeck.toml"
    given = ("--repository", cast.GITHUB_REPOSITORY, "--region", cast.AWS_REGION, *PEOPLE, *hosts(unmanned_world))
    assert await init("--config", str(file), *given, *endpoints(unmanned_world), *words) == 64
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


async def test_a_token_that_discord_does_not_know_ends_it(
    unmanned_world: World, secrets: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("QUARTERDECK_DISCORD_TOKEN", "MTA.SANDBX.other")
    assert await init("--config", str(tmp_path / "quarterdeck.toml"), *endpoints(unmanned_world)) == 64
    assert "does not accept that token" in capsys.readouterr().err


async def test_a_bot_that_is_in_no_guild_gets_the_link_to_invite_it(
    unmanned_world: World, secrets: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await unmanned_world.send("PUT", "/discord/guild", {"invited": False})
    try:
        assert await init("--config", str(tmp_path / "quarterdeck.toml"), *endpoints(unmanned_world)) == 64
    finally:
        await unmanned_world.send("PUT", "/discord/guild", {"invited": True})
    said = capsys.readouterr()
    assert "in no guild" in said.err and f"permissions={int(NEEDED)}" in said.err


# ---- with monitoring -------------------------------------------------------------------------------------------------


@pytest.fixture
async def watched_world() -> AsyncIterator[World]:
    """A world with real monitoring servers, in which no bot runs yet."""
    if missing := [program.package for program in PROGRAMS.values() if program.find() is None]:
        pytest.skip(f"{' and '.join(missing)} is not installed (Debian: apt-get install {' '.join(missing)})")
    async with World(speed=8.0, with_bot=False, monitoring=True) as world:
        yield world


async def test_with_monitoring_the_doctor_accepts_it_and_a_critical_alert_calls_somebody(
    watched_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world, file, demo = watched_world, tmp_path / "quarterdeck.toml", demo_of(watched_world)
    secrets = read(world.home / "quarterdeck.env")
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("QUARTERDECK_ALERTMANAGER_TOKEN")  # it is not needed yet, and named
    code = await init(
        *("--config", str(file), "--state-dir", str(tmp_path / "state"), "--region", cast.AWS_REGION),
        *("--repository", cast.GITHUB_REPOSITORY, *PEOPLE, *hosts(world), *endpoints(world)),
        *("--prometheus", demo["metrics"]["url"], "--alertmanager", demo["alerts"]["alertmanagers"][0]),
        *("--alert-listener", f"127.0.0.1:{demo['alerts']['listen_port']}"),
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "QUARTERDECK_ALERTMANAGER_TOKEN" in said.out and "monitoring/README.md" in said.out
    examined = await Console(world, config=file)("doctor")
    assert examined.code == 0 and "WRONG" not in examined.out and "warning" not in examined.out, examined.out
    assert len(re.findall(r"(?m)^ok +monitoring ", examined.out)) == 5, examined.out

    await world.put_config(toml=file.read_text(encoding="utf-8"))
    await world.bot("start")
    await world.wait_ready(timeout_s=45)
    await world.post("/monitoring", {"lever": "stop_app", "environment": "prod", "on": True})

    async def called() -> bool:
        shown = [one for one in await world.messages("alerts-critical") if "AppDown" in one.text]
        return ["sre"] in [one.raw["pings"]["roles"] for one in shown]

    await world.until("a card that calls sre", called, timeout_s=LONGEST_S)

    async def measured() -> bool:
        status = (await world.ask("sre", "status", environment="dev")).text
        return all(re.search(rf"{name} \d", status) for name in ("CPU", "memory", "disk"))

    await world.until("the host's figures in /status", measured, timeout_s=LONGEST_S)


# ---- at a terminal ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What is typed once the terminal shows the question."""

    question: str
    typed: str


async def at_a_terminal(
    words: tuple[str, ...],
    answers: list[Answer],
    environ: dict[str, str],
    *,
    program: tuple[str, ...] = ("bot", "init"),
) -> tuple[int, str]:
    """The command on a terminal of its own, and everything that stood there at the end."""
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *program, *words),
        cwd=ROOT, env=environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    os.set_blocking(master, False)
    shown, waiting = "", list(answers)
    end = asyncio.get_running_loop().time() + LONGEST_S
    seen = 0
    while process.returncode is None or waiting:
        assert asyncio.get_running_loop().time() < end, shown
        try:
            shown += os.read(master, 4096).decode()
        except BlockingIOError:
            await asyncio.sleep(0.02)
        except OSError:  # the other side has closed: the command ended
            break
        if waiting and (found := shown.find(waiting[0].question, seen)) >= 0 and shown.endswith(": "):
            seen = found + len(waiting[0].question)
            os.write(master, f"{waiting.pop(0).typed}\n".encode())
    os.close(master)
    return await asyncio.wait_for(process.wait(), LONGEST_S), shown


async def test_somebody_at_a_terminal_chooses_from_what_there_is(
    unmanned_world: World, secrets: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "quarterdeck.toml"
    environ = {k: v for k, v in os.environ.items() if k != "QUARTERDECK_DISCORD_TOKEN"}
    answers = [
        Answer("token of the Discord bot", secrets["QUARTERDECK_DISCORD_TOKEN"]),
        Answer("Which guild?", ""),
        Answer("Which channel is ops", ""),
        Answer("Which channel is audit", "nonsense"),
        Answer("That is none of them.", "audit"),
        Answer("Which channel is alerts (", "2"),
        Answer("Which channel is alerts-critical", "-"),
        *(Answer(f"Which role is {name}", "") for name in ("sre", "dev", "owner")),
        Answer("name of the first person", "ada"),
        Answer("Discord id of ada", ""),
        Answer("duties of ada", "owner,sre"),
        Answer("user of ada on this host", "ada"),
        Answer("name of one more person", "ben"),
        Answer("Discord id of ben", str(cast.PEOPLE[1].id)),
        Answer("duties of ben", "sre"),
        Answer("user of ben on this host", ""),
        Answer("name of one more person", ""),
        Answer("GitHub repository", cast.GITHUB_REPOSITORY),
        Answer("AWS region", cast.AWS_REGION),
        Answer("AWS account", ""),
        Answer("Which instance is dev?", "1"),
        Answer("Which instance is prod?", "2"),
        Answer("address of app in dev", ""),
        Answer("address of app in prod", ""),
        Answer("set that up now?", ""),
    ]
    code, shown = await at_a_terminal(
        ("--config", str(file), "--state-dir", str(tmp_path / "state"), *endpoints(unmanned_world)), answers, environ
    )
    assert code == 0, shown
    assert secrets["QUARTERDECK_DISCORD_TOKEN"] not in shown, "the token was shown while it was typed"
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    assert set(written["discord"]["channels"]) == {"ops", "audit", "alerts"}
    assert "alerts" not in written and "metrics" not in written  # nobody asked for them
    assert written["people"][0]["discord_id"] == cast.PEOPLE[0].id  # the guild's owner was proposed
    assert set(written["environments"]) == {"dev", "prod"} and written["environments"]["prod"]["follows"] == "dev"
    examined = await Console(unmanned_world, config=file)("doctor")
    assert "WRONG" not in examined.out, examined.out


async def test_the_invite_link_asks_for_exactly_what_the_bot_needs(
    unmanned_world: World, secrets: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await init(
        "--config", str(tmp_path / "quarterdeck.toml"), "--guild", str(cast.GUILD_ID), *endpoints(unmanned_world)
    )
    (link,) = re.findall(r"https://discord\.com/oauth2/authorize\S+", capsys.readouterr().out)
    query = parse_qs(urlsplit(link).query)
    assert query["client_id"] == [str(cast.APPLICATION_ID)] and query["guild_id"] == [str(cast.GUILD_ID)]
    assert query["scope"] == ["bot applications.commands"]
    assert query["permissions"] == [str(int(NEEDED))]
    assert f"`{int(NEEDED)}`" in (ROOT / "README.md").read_text(encoding="utf-8"), "the README names another number"


def test_a_value_with_quotes_and_control_characters_stays_one_value() -> None:
    hostile = 'a "quoted" \\ back\nslash\x7f\x00 ü'
    draft = Draft(
        state_dir=hostile, guild_id=1, application_id=2, channels={"ops": 3}, roles={"sre": 4},
        people=(Person("ada", 5, ("sre",)),), repository="a/b", default_branch="main", region="eu-central-1",
        account="123456789012", hosts={"dev": "i-0123456789abcdef0"}, service="app", paths=("app",),
        image_repository="app",
    )  # fmt: skip
    assert tomllib.loads(draft.text())["state_dir"] == hostile

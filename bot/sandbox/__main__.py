"""The door of the sandbox: reads the options, takes the home, serves the page and runs the world in the foreground.

It ends everything that it started on SIGINT, SIGTERM or SIGHUP. Exit codes: 0 after such an end, 64 for options that
make no sense, 69 when the port or the home is in use or a part cannot be started.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import aiohttp
from aiohttp import web

from bot.sandbox.control import PREFIX, Control
from bot.sandbox.home import Home, HomeInUse, NotAHome
from bot.sandbox.own_discord import NOTE, TOKEN, NotAsked, OwnDiscord, Sandboxed, ask, kept_token
from bot.sandbox.pagefiles import PageFiles
from bot.sandbox.parts import PartFailed
from bot.sandbox.validation.documents import DescriptionAbsent
from bot.sandbox.wire import listen
from bot.sandbox.world import ENVIRONMENT_FILE, Options, World

EXIT_USAGE = 64
EXIT_UNAVAILABLE = 69
DEFAULT_PORT = 8700
SOURCE = Path(__file__).resolve().parents[2]
PAGE = Path(__file__).resolve().parent / "page"
ENGINES = ("podman", "docker")


class CannotRun(Exception):
    """The world cannot run as asked; `code` is the exit code."""

    def __init__(self, sentence: str, *, code: int = EXIT_UNAVAILABLE) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the command line and the environment ask for."""

    port: int
    home: Path
    reset: bool
    with_bot: bool
    speed: float
    engine: str | None
    bot_module: str
    real_workflows: bool
    validate: bool
    own_discord: bool
    sandboxed: Sandboxed | None
    monitoring: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"world: {message}\n{self.format_usage()}")


def invocation(arguments: Sequence[str], environ: dict[str, str]) -> Invocation:
    """Options first, then the environment, then the defaults; ends the process with 64 for nonsense."""
    parser = _Parser(prog="python -m bot.sandbox", description="A local world of Discord, GitHub, AWS and a host.")
    add = parser.add_argument
    add("--port", default=environ.get("QUARTERDECK_PORT") or str(DEFAULT_PORT), help="the page's port; 0: any free one")
    add("--home", default=environ.get("QUARTERDECK_HOME"), help="where the world is kept; default .quarterdeck/PORT")
    add("--reset", action="store_true", default=environ.get("RESET") == "1", help="begin anew")
    add("--no-bot", action="store_true", help="start everything but the bot")
    add("--bot-module", default="bot", metavar="NAME", help="what is run as the bot, by python -m; for tests")
    validate = environ.get("VALIDATE") == "1"
    add("--validate", action="store_true", default=validate, help="compare every exchange with others' descriptions")
    add("--speed", default="1", help="how many times faster than real time builds go, 0.1 to 1000")
    real = environ.get("REAL_WORKFLOWS") == "1"
    add("--real-workflows", action="store_true", default=real, help="execute workflow files with act")
    add("--no-monitoring", action="store_true", help="start no Prometheus, Alertmanager and node exporter")
    own = environ.get("DISCORD") == "1"
    add("--own-discord", action="store_true", default=own, help="use a Discord of your own; asks for bot and guild")
    tests = parser.add_argument_group("for tests, with --own-discord: another sandbox in the place of the real Discord")
    tests.add_argument("--discord-url", metavar="URL", help="its API, on this machine")
    tests.add_argument("--gateway-url", metavar="URL", help="its gateway, on this machine")
    given = parser.parse_args(arguments)
    engine = environ.get("ENGINE") or None
    if not (given.port.isascii() and given.port.isdecimal() and int(given.port) < 65_536):
        parser.error(f"the port must be a number from 0 to 65535, not {given.port!r}")
    if engine is not None and engine not in ENGINES:
        parser.error(f"ENGINE must be one of {', '.join(ENGINES)}, not {engine!r}")
    folder = f"{given.port}-own-discord" if given.own_discord else given.port
    return Invocation(
        port=int(given.port),
        home=Path(given.home or f".quarterdeck/{folder}").absolute(),
        reset=given.reset,
        with_bot=not given.no_bot,
        speed=_speed(given.speed, parser),
        engine=engine,
        bot_module=given.bot_module,
        real_workflows=given.real_workflows,
        validate=given.validate,
        own_discord=given.own_discord,
        sandboxed=_sandboxed(given, parser),
        monitoring=not given.no_monitoring,
    )


def _sandboxed(given: argparse.Namespace, parser: argparse.ArgumentParser) -> Sandboxed | None:
    """What stands for the real Discord in a test; whatever is not on this machine is nonsense."""
    if given.discord_url is None and given.gateway_url is None:
        return None
    if not given.own_discord:
        parser.error("--discord-url and --gateway-url go with --own-discord only")
    if given.discord_url is None or given.gateway_url is None:
        parser.error("--discord-url and --gateway-url go together")
    found = Sandboxed(given.discord_url, given.gateway_url)
    if foreign := found.foreign():
        parser.error(f"{foreign!r} is not on this machine: these options are for tests, with another sandbox")
    return found


def _speed(text: str, parser: argparse.ArgumentParser) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.1 <= speed <= 1000:
        parser.error(f"the speed must lie between 0.1 and 1000, not {text!r}")
    return speed


def announce(line: str) -> None:
    """One line of progress; a terminal that is gone does not end the world."""
    with contextlib.suppress(OSError):
        print(f"world: {line}", flush=True)


async def run(asked: Invocation) -> None:
    """Hold the home, serve the page, run the world until a signal comes.

    Raises:
        CannotRun: the home or the port is in use, or a part cannot be started.
    """
    home = _take(asked.home)
    try:
        own = await _own_discord(asked)
        options = Options(
            asked.home,
            SOURCE,
            speed=asked.speed,
            with_bot=asked.with_bot,
            engine=asked.engine,
            bot_module=asked.bot_module,
            real_workflows=asked.real_workflows,
            validate=asked.validate,
            own_discord=own,
            monitoring=asked.monitoring,
        )
        world = _compose(options)
        runner = await _serve(world, asked.port)
        try:
            if asked.reset:
                await world.throw_away()
                await home.clear()
            home.note(world.port)
            announce(f"Open {world.page_url}")
            await _live(world)
        except PartFailed as error:
            raise CannotRun(f"{error}.") from error
        finally:
            await runner.cleanup()
    finally:
        home.release()


async def _own_discord(asked: Invocation) -> OwnDiscord | None:
    """The answers about a person's own Discord, if the world is to use it; a home keeps to the Discord that it knows.

    Raises:
        CannotRun: the questions were not answered, or the home belongs to a world with another Discord.
    """
    note, token = asked.home / NOTE, os.environ.pop(TOKEN, "")
    if not asked.own_discord:
        if note.exists() and not asked.reset:
            raise _other_discord(asked.home, "a Discord of your own: start it with DISCORD=1, or choose another home")
        return None
    if (asked.home / "discord").exists() and not asked.reset:
        raise _other_discord(asked.home, "the sandbox's Discord: start it without DISCORD=1, or choose another home")
    if asked.reset:
        note.unlink(missing_ok=True)
    before = _guild_in(note)
    token = token or kept_token(note, asked.home / ENVIRONMENT_FILE)
    try:
        own = await ask(asked.home, os.environ, token=token, sandboxed=asked.sandboxed)
    except NotAsked as error:
        raise CannotRun(str(error), code=error.code) from None
    if before not in (0, own.guild_id):
        raise _other_discord(asked.home, f"the guild {before}, not {own.guild_id}: name that one")
    return own


def _other_discord(home: Path, what: str) -> CannotRun:
    """What the bot remembers speaks of messages and channels of one Discord; in another they do not exist."""
    return CannotRun(f"The world in {home} was made with {what}; RESET=1 begins anew.", code=EXIT_USAGE)


def _guild_in(note: Path) -> int:
    """The guild that the home remembers; 0: none yet."""
    try:
        return int(json.loads(note.read_text(encoding="utf-8"))["guild_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _compose(options: Options) -> World:
    try:
        return World(options=options, announce=announce)
    except DescriptionAbsent as error:
        raise CannotRun(f"The exchanges cannot be validated: {error}.") from None


async def _live(world: World) -> None:
    """Open the world and keep it until SIGINT, SIGTERM or SIGHUP.

    Raises:
        PartFailed: a part cannot be started.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    opening, stopping = asyncio.create_task(world.open()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            await opening
            announce(f"ready: {world.page_url}")
            announce(f"on the host, as {world.on_call}: {world.command_line('status')}")
            await stopping
        announce("closing")
    finally:
        for task in (opening, stopping):
            task.cancel()
        await asyncio.gather(opening, stopping, return_exceptions=True)
        await world.close()


def _take(path: Path) -> Home:
    try:
        return Home.take(path)
    except HomeInUse as error:
        raise CannotRun(str(error)) from None
    except NotAHome as error:
        raise CannotRun(str(error), code=EXIT_USAGE) from None
    except OSError as error:
        raise CannotRun(f"The home {path} cannot be used: {error.strerror or error}.") from None


async def _serve(world: World, port: int) -> web.AppRunner:
    control = Control(world=world, page=PageFiles(PAGE))
    try:
        runner, bound = await listen(control.application(), port=port)
    except OSError as error:
        raise CannotRun(f"Port {port} is taken{await _holder(port)}: choose another with --port.") from error
    world.serve_at(bound)
    return runner


async def _holder(port: int) -> str:
    """Who holds the port, if it is a world."""
    address = f"http://127.0.0.1:{port}{PREFIX}/state"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as session,
            session.get(address) as answer,
        ):
            world = (await answer.json())["world"]
            return f" by the world with pid {world['pid']}, port {port}, home {world['home']}"
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
        return " by another program"


def _unintended(record: logging.LogRecord) -> bool:
    """A connection that a fault cut on purpose is no error of the server."""
    return not (record.exc_info and record.exc_info[0] is ConnectionResetError)


def main() -> None:
    """Run, and end with the exit code that says why."""
    logging.basicConfig(level=logging.WARNING, format="world: %(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiohttp.server").addFilter(_unintended)
    asked = invocation(sys.argv[1:], dict(os.environ))
    try:
        asyncio.run(run(asked))
    except CannotRun as error:
        if str(error):
            print(f"world: {error}", file=sys.stderr)
        raise SystemExit(error.code) from None
    except KeyboardInterrupt:  # before the world has its own handlers: while the questions were asked
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()

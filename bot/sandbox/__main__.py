"""The door of the sandbox: reads the options, takes the home, serves the page and runs the world in the foreground.

It ends everything that it started on SIGINT, SIGTERM or SIGHUP. Exit codes: 0 after such an end, 64 for options that
make no sense, 69 when the port or the home is in use or a part cannot be started.
"""

import argparse
import asyncio
import contextlib
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

from bot.sandbox import cast
from bot.sandbox.control import PREFIX, Control
from bot.sandbox.home import Home, HomeInUse, NotAHome
from bot.sandbox.pagefiles import PageFiles
from bot.sandbox.parts import PartFailed
from bot.sandbox.wire import listen
from bot.sandbox.world import Options, World

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
    add("--speed", default="1", help="how many times faster than real time builds go, 0.1 to 1000")
    given = parser.parse_args(arguments)
    engine = environ.get("ENGINE") or None
    if not (given.port.isascii() and given.port.isdecimal() and int(given.port) < 65_536):
        parser.error(f"the port must be a number from 0 to 65535, not {given.port!r}")
    if engine is not None and engine not in ENGINES:
        parser.error(f"ENGINE must be one of {', '.join(ENGINES)}, not {engine!r}")
    return Invocation(
        port=int(given.port),
        home=Path(given.home or f".quarterdeck/{given.port}").absolute(),
        reset=given.reset,
        with_bot=not given.no_bot,
        speed=_speed(given.speed, parser),
        engine=engine,
        bot_module=given.bot_module,
    )


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
        options = Options(
            asked.home,
            SOURCE,
            speed=asked.speed,
            with_bot=asked.with_bot,
            engine=asked.engine,
            bot_module=asked.bot_module,
        )
        world = World(options=options, announce=announce)
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
            announce(f"on the host, as {cast.ON_CALL}: {world.command_line('status')}")
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


def main() -> None:
    """Run, and end with the exit code that says why."""
    logging.basicConfig(level=logging.WARNING, format="world: %(levelname)s %(name)s: %(message)s")
    asked = invocation(sys.argv[1:], dict(os.environ))
    try:
        asyncio.run(run(asked))
    except CannotRun as error:
        print(f"world: {error}", file=sys.stderr)
        raise SystemExit(error.code) from None


if __name__ == "__main__":
    main()

"""`python -m app`: reads the environment, serves until SIGTERM or SIGINT, drains, and leaves.

Exit codes: 0 after a stop that was asked for, 64 for a variable that cannot be used, 69 when the
address is not to be had.
"""

import asyncio
import os
import signal
import sys

from aiohttp import web

from app import __version__
from app.drain import Drain, Traffic
from app.logs import log, start_logging
from app.server import build
from app.settings import BadSetting, Settings, from_environment

EX_OK, EX_USAGE, EX_UNAVAILABLE = 0, 64, 69
BACKLOG = 1024
LAST_WORDS_S = 0.2
"""How long connections that outlived the drain may take to end by themselves."""


def main() -> int:
    try:
        settings = from_environment(os.environ)
    except BadSetting as error:
        print(f"app: {error}", file=sys.stderr)
        return EX_USAGE
    start_logging(settings.log_level)
    try:
        asyncio.run(serve(settings))
    except OSError as error:
        print(f"app: cannot listen on {settings.host} port {settings.port}: {error.strerror}.", file=sys.stderr)
        return EX_UNAVAILABLE
    return EX_OK


async def serve(settings: Settings) -> None:
    """Serve until a signal, then drain; a second signal ends the drain at once.

    Raises:
        OSError: the address cannot be listened on.
    """
    stop, hurry, traffic = asyncio.Event(), asyncio.Event(), Traffic()
    _on_signals(stop, hurry)
    runner = web.AppRunner(build(settings, traffic), access_log=None, shutdown_timeout=LAST_WORDS_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
        log.info("listening", extra={"data": _listening(runner, settings)})
        await stop.wait()
        await _drain(runner, traffic, settings, hurry)
    finally:
        await runner.cleanup()


def _on_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    def asked_to_stop() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop)


def _listening(runner: web.AppRunner, settings: Settings) -> dict[str, object]:
    return {
        "host": settings.host,
        "port": runner.addresses[0][1],
        "version": __version__,
        "commit": settings.commit,
        "built_from": settings.built_from,
    }


async def _drain(runner: web.AppRunner, traffic: Traffic, settings: Settings, hurry: asyncio.Event) -> None:
    server = runner.server
    if server is None:
        return
    log.info("draining", extra={"data": {"open": len(server.connections), "in_flight": traffic.in_flight()}})
    drain = Drain(server, traffic, limit_s=settings.drain_s, idle_grace_s=settings.idle_grace_s)
    left = await drain.run(hurry)
    log.log(30 if left else 20, "stopped", extra={"data": {"connections_cut": left}})


if __name__ == "__main__":
    sys.exit(main())

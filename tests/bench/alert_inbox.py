"""The bot's inbox for alerts as a process of its own: database, listener and intake as in the bot, and no Discord.

Usage: `python -m tests.bench.alert_inbox FOLDER TOKEN`. It prints where it listens; at SIGUSR1 it prints one JSON line
with the longest time since the last one that its event loop stood still, and how many payloads wait to be applied.
"""

import asyncio
import gc
import json
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.alert_settings import AlertSettings
from bot.alerts.intake import Intake
from bot.alerts.store import AlertStore
from bot.db.database import Database
from bot.inbound.alertmanager import AlertListener
from bot.metrics import Metrics

LOOK_S = 0.001


class Pulse:
    """Looks every millisecond how long the loop has stood still."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def watch(self) -> None:
        before = time.perf_counter()
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.perf_counter()
            self.longest_s = max(self.longest_s, now - before - LOOK_S)
            before = now


async def serve(folder: Path, token: str) -> None:
    settings, metrics = AlertSettings(listen_port=0, channel="alerts"), Metrics()
    async with AsyncExitStack() as stack:
        database = await Database.open(folder / "inbox.db", metrics=metrics)
        stack.push_async_callback(database.close)
        store = AlertStore(database, settings=settings, channels={"alerts": 1, "ops": 2})
        intake = Intake(store)
        await intake.start()
        stack.push_async_callback(intake.close)
        listener = AlertListener(settings, SecretStr(token), store, taken=intake.wake, metrics=metrics)
        await listener.start()
        stack.push_async_callback(listener.close)
        gc.freeze()
        pulse, asked, ended = Pulse(), asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, asked.set)
        loop.add_signal_handler(signal.SIGTERM, ended.set)
        tasks = [asyncio.create_task(pulse.watch()), asyncio.create_task(_report(asked, pulse, store))]
        _print({"port": listener.port})
        await ended.wait()
        for task in tasks:
            task.cancel()


async def _report(asked: asyncio.Event, pulse: Pulse, store: AlertStore) -> None:
    while True:
        await asked.wait()
        asked.clear()
        longest_s, pulse.longest_s = pulse.longest_s, 0.0
        waiting, _ = await store.backlog()
        _print({"longest_stall_ms": longest_s * 1000, "waiting": waiting})


def _print(said: dict[str, Any]) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))

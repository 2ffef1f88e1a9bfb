"""200 means kept: the inbox is killed with SIGKILL at random instants under load, and nothing it took is missing."""

import asyncio
import json
import random
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from tests.payloads import alert, payload

KILLS = 20
SENDERS = 16
LONGEST_LIFE_S = 0.4
SEED = 20261123
TOKEN = "a-token-of-tests"
GROUPS = 40


@asynccontextmanager
async def inbox(folder: Path) -> AsyncIterator[tuple[Process, str]]:
    """The inbox as a process, and the address of its webhook."""
    arguments = [sys.executable, "-m", "tests.bench.alert_inbox", str(folder), TOKEN]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=PIPE)
    try:
        assert process.stdout is not None
        said = json.loads(await process.stdout.readline())
        yield process, f"http://127.0.0.1:{said['port']}/webhooks/alertmanager"
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


class Senders:
    """Hand in payloads, each with one alert that no other has, and remember which were answered 200."""

    def __init__(self) -> None:
        self.sent = 0
        self.taken: set[str] = set()

    async def until_it_dies(self, url: str) -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            await asyncio.gather(*(self._send(session, url) for _ in range(SENDERS)))

    async def _send(self, session: aiohttp.ClientSession, url: str) -> None:
        with suppress(aiohttp.ClientError, ConnectionError):
            while True:
                self.sent += 1
                name = f"storm-{self.sent:05d}"
                body = payload([alert(f"Storm{self.sent % GROUPS:02d}", name)])
                async with session.post(url, data=body) as response:
                    if response.status == 200:
                        self.taken.add(name)


async def test_every_payload_that_was_answered_200_is_in_a_group_after_twenty_kills(tmp_path: Path) -> None:
    chance, senders = random.Random(SEED), Senders()
    for _ in range(KILLS):
        async with inbox(tmp_path) as (process, url):
            load = asyncio.create_task(senders.until_it_dies(url))
            await asyncio.sleep(chance.uniform(0.02, LONGEST_LIFE_S))
            process.send_signal(signal.SIGKILL)
            await load
    async with inbox(tmp_path) as (process, _):
        await all_applied(process)
    shown = instances(tmp_path)
    missing = senders.taken - shown
    print(
        f"{KILLS} kills: {senders.sent} payloads sent, {len(senders.taken)} answered 200, "
        f"{len(senders.taken & shown)} of them in a group afterwards, {len(shown - senders.taken)} more in one "
        "though their answer never arrived"
    )
    assert len(senders.taken) > KILLS, "hardly anything was taken: the load was none"
    assert not missing


async def all_applied(process: Process) -> None:
    """Wait until no payload waits to be applied."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while True:
            process.send_signal(signal.SIGUSR1)
            if json.loads(await process.stdout.readline())["waiting"] == 0:
                return
            await asyncio.sleep(0.1)


def instances(folder: Path) -> set[str]:
    """The alerts that belong to a group, read past our own code."""
    with sqlite3.connect(folder / "inbox.db") as database:
        rows = database.execute("SELECT labels FROM episodes WHERE group_id IS NOT NULL").fetchall()
    return {json.loads(labels)["instance"] for (labels,) in rows}

"""200 means kept: the inbox is killed with SIGKILL at random instants under load, and nothing it took is missing."""

import asyncio
import json
import random
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.alert_senders import Senders

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
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_every_payload_that_was_answered_200_is_in_a_group_after_twenty_kills(tmp_path: Path) -> None:
    chance, senders = random.Random(SEED), Senders(TOKEN, groups=GROUPS)
    for _ in range(KILLS):
        async with inbox(tmp_path) as (process, url):
            load = asyncio.create_task(senders.until_it_dies(url, senders=SENDERS))
            await asyncio.sleep(chance.uniform(0.02, LONGEST_LIFE_S))
            process.kill()
            await asyncio.gather(load, process.wait())
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
        rows = database.execute("SELECT labels FROM alert_episodes WHERE member").fetchall()
    return {json.loads(labels)["instance"] for (labels,) in rows}

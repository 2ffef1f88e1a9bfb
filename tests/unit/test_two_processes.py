"""Two real processes ask for the same, vote on it and carry it out over one file; some of them are killed."""

import asyncio
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest

from bot.db.database import Database
from tests.story.world_driver import ROOT

COUNT = 40
VICTIMS = ((5, "c"), (12, "d"), (20, "e"))
"""After so many effects one of the two is killed, and another one takes its place."""


async def begin(home: Path, name: str) -> asyncio.subprocess.Process:
    arguments = ("-m", "tests.unit.worker_process", str(home / "db.sqlite3"), str(home / "outside"), name, str(COUNT))
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)


def effects(home: Path) -> Counter[str]:
    """How often each operation was carried out."""
    file = home / "outside"
    return Counter(line.split()[0] for line in file.read_text().splitlines()) if file.exists() else Counter()


async def until_effects(home: Path, number: int) -> None:
    async with asyncio.timeout(120):
        while effects(home).total() < number:
            await asyncio.sleep(0.002)


@pytest.mark.timeout(400)
async def test_each_operation_starts_once_whoever_dies(tmp_path: Path) -> None:
    await (await Database.open(tmp_path / "db.sqlite3", exclusive=False)).close()
    living = [await begin(tmp_path, "a"), await begin(tmp_path, "b")]
    for number, name in VICTIMS:
        await until_effects(tmp_path, number)
        victim = living.pop(0)
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        living.append(await begin(tmp_path, name))
    assert [await process.wait() for process in living] == [0, 0]

    connection = sqlite3.connect(tmp_path / "db.sqlite3")
    rows = connection.execute("SELECT id, status, quorum FROM operations").fetchall()
    events = connection.execute("SELECT operation_id, name FROM events").fetchall()
    votes = connection.execute("SELECT operation_id, count(*) FROM votes GROUP BY operation_id").fetchall()
    locks = connection.execute("SELECT operation_id FROM locks").fetchall()
    connection.close()
    done = effects(tmp_path)
    assert len(rows) == COUNT
    assert set(done.values()) == {1}
    started = Counter(operation for operation, name in events if name == "operation.running")
    assert set(started.values()) == {1}
    assert {count for _, count in votes} == {1}, "a vote was counted after the decision"
    assert locks == []
    by_status = {status: {str(number) for number, s, _ in rows if s == status} for _, status, _ in rows}
    assert by_status["succeeded"] <= set(done)
    # Killed between the intent and the effect: at most one for each slot of each that died.
    assert set(by_status) <= {"succeeded", "failed"}
    assert len(by_status.get("failed", ())) <= 4 * len(VICTIMS)

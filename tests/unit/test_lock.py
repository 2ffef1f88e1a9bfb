"""The lock beside the database, between real processes: who has it, who only looks, and how a bot finds its berth."""

import asyncio
import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot import serving
from bot.db.opening import LOCK_NAME, FileLock, Holder, InUse, Role, holder_of

HOLDS = """
import sys
from pathlib import Path
from bot.db.opening import FileLock, Role

with FileLock.take(Path(sys.argv[1]), Role(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "quarterdeck.sqlite3"


@contextmanager
def held(database: Path, role: Role) -> Iterator[subprocess.Popen[str]]:
    """Another process has the lock, until its standard input is closed."""
    words = [sys.executable, "-c", HOLDS, str(database), role]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def looked_at(database: Path) -> Iterator[None]:
    """Somebody looks at the lock, and does not get to the end of it."""
    database.parent.mkdir(exist_ok=True)
    descriptor = os.open(database.parent / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


# ---- who has it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        (Role.BOT, r"Another bot \(process {pid}\) already uses .*--standby"),
        (Role.CARRIER, r"Another quarterdeck command \(process {pid}\) works on .* try again when it has ended"),
    ],
)
def test_the_lock_says_who_has_it_and_as_what(database: Path, role: Role, sentence: str) -> None:
    assert holder_of(database) is None
    with held(database, role) as process:
        assert holder_of(database) == Holder(process.pid, role)
        with pytest.raises(InUse, match=sentence.format(pid=process.pid)) as error:
            FileLock.take(database)
        assert error.value.holder == Holder(process.pid, role)
    assert holder_of(database) is None, "the kernel has dropped it, whatever the file says"
    FileLock.take(database).release()


@pytest.mark.parametrize("written", ["4242\n", "4242", "4242 captain\n"])
def test_whoever_names_no_role_that_we_know_is_a_bot(database: Path, written: str) -> None:
    with FileLock.take(database):
        (database.parent / LOCK_NAME).write_text(written, encoding="ascii")
        assert holder_of(database) == Holder(4242, Role.BOT)


def test_a_holder_that_has_written_nothing_is_a_bot_without_a_number(database: Path) -> None:
    with FileLock.take(database):
        (database.parent / LOCK_NAME).write_text("", encoding="ascii")
        assert holder_of(database) == Holder(None, Role.BOT)
        with pytest.raises(InUse, match=r"Another bot \(process unknown\)"):
            FileLock.take(database)


def test_a_shorter_signature_leaves_nothing_of_a_longer_one(database: Path) -> None:
    database.parent.mkdir()
    file = database.parent / LOCK_NAME
    file.write_text("4242424242424242 carrier\n", encoding="ascii")
    with FileLock.take(database):
        assert file.read_text(encoding="ascii") == f"{os.getpid()} bot\n"


# ---- looking -------------------------------------------------------------------------------------------------------


def test_looking_writes_nothing_and_is_in_nobodys_way(database: Path) -> None:
    FileLock.take(database).release()
    file = database.parent / LOCK_NAME
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            holder_of(database)
            time.sleep(0.001)

    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    try:
        time.sleep(0.05)
        assert (file.read_bytes(), file.stat().st_mtime_ns) == before
        for _ in range(50):
            FileLock.take(database).release()
    finally:
        ended.set()
        for thread in looking:
            thread.join()


def test_those_who_look_do_not_take_each_other_for_a_holder_whatever_a_dead_one_has_written(database: Path) -> None:
    with held(database, Role.BOT):
        pass
    with looked_at(database):
        assert holder_of(database) is None
        with pytest.raises(InUse, match="looks at") as error:
            FileLock.take(database)
        assert error.value.holder is None


def test_a_look_that_ends_in_time_is_waited_for(database: Path) -> None:
    with looked_at(database):
        taken: list[FileLock] = []
        taking = threading.Thread(target=lambda: taken.append(FileLock.take(database)))
        taking.start()
        time.sleep(0.02)
    taking.join()
    taken[0].release()


# ---- a bot's berth -------------------------------------------------------------------------------------------------


def berth(database: Path, *, standby: bool = False) -> serving._Berth:
    return serving._Berth(database, serving._Signals(asyncio.Event()), standby=standby)


@pytest.mark.parametrize("standby", [False, True])
async def test_a_bot_that_starts_while_a_command_carries_out_waits_for_its_end(
    database: Path, caplog: pytest.LogCaptureFixture, standby: bool
) -> None:
    place = berth(database, standby=standby)
    with held(database, Role.CARRIER) as process, caplog.at_level(logging.WARNING):
        taking = asyncio.create_task(place.taken())
        await asyncio.sleep(3 * serving.STANDBY_LOOK_S)
        assert not taking.done()
        (said,) = (record.getMessage() for record in caplog.records)
        assert f"a quarterdeck command (process {process.pid}) carries an operation out" in said
        process.communicate("")
        async with asyncio.timeout(20):
            lock = await taking
    assert lock is not None
    assert place.waited
    lock.release()


async def test_a_second_bot_ends_with_its_sentence_and_a_standby_takes_over(database: Path) -> None:
    with held(database, Role.BOT) as process:
        with pytest.raises(InUse, match=rf"Another bot \(process {process.pid}\) already uses"):
            await berth(database).taken()
        place = berth(database, standby=True)
        taking = asyncio.create_task(place.taken())
        await asyncio.sleep(serving.STANDBY_LOOK_S)
        assert not taking.done()
        process.communicate("")
        async with asyncio.timeout(20):
            lock = await taking
    assert lock is not None
    assert place.waited
    lock.release()


async def test_a_bot_does_not_fail_at_somebody_who_looks_for_a_moment_longer(database: Path) -> None:
    place = berth(database)
    with looked_at(database):
        taking = asyncio.create_task(place.taken())
        await asyncio.sleep(0.5)
        assert not taking.done()
    async with asyncio.timeout(20):
        lock = await taking
    assert lock is not None
    assert not place.waited
    lock.release()


async def test_a_lock_that_stays_looked_at_is_told_at_last(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LOOKED_AT_S", 0.3)
    with looked_at(database), pytest.raises(InUse, match="Another process looks at"):
        await berth(database).taken()


async def test_a_signal_ends_the_waiting(database: Path) -> None:
    place = berth(database)
    with held(database, Role.CARRIER):
        taking = asyncio.create_task(place.taken())
        await asyncio.sleep(0.2)
        place._signals.stopping = True
        place._signals.heard.set()
        async with asyncio.timeout(20):
            assert await taking is None

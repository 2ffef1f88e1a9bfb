"""The lock beside the database, between real processes: who has it, who only looks, and how a bot finds its berth."""

import asyncio
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot import serving
from bot.db import DATABASE_NAME
from bot.db.database import Database
from bot.db.opening import LOCK_NAME, FileLock, Holder, InUse, Role, holder_of
from bot.errors import Unavailable
from bot.sandbox import cast
from bot.sandbox.botconfig import Document, Endpoints, compose, dumps
from bot.services.reload import Configuration
from bot.settings import Settings

NOBODY = "http://127.0.0.1:9"
SECRETS = {"QUARTERDECK_DISCORD_TOKEN": cast.new_discord_token(), "QUARTERDECK_GITHUB_TOKEN": "g"}
INSTANCES = {"dev": "i-0123456789abcdef0", "prod": "i-0123456789abcdef1"}

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


@pytest.mark.parametrize("written", ["{}\n", "{}", "{} captain\n"])
def test_whoever_names_no_role_that_we_know_is_a_bot(database: Path, written: str) -> None:
    with FileLock.take(database):
        (database.parent / LOCK_NAME).write_text(written.format(os.getppid()), encoding="ascii")
        assert holder_of(database) == Holder(os.getppid(), Role.BOT)


def test_a_holder_that_has_written_nothing_is_a_bot_without_a_number(database: Path) -> None:
    with FileLock.take(database):
        (database.parent / LOCK_NAME).write_text("", encoding="ascii")
        assert holder_of(database) == Holder(None, Role.BOT)
        with pytest.raises(InUse, match=r"Another bot \(process unknown\)"):
            FileLock.take(database)


@pytest.mark.parametrize("pid", [0, 2**22 + 1, 2**70])
def test_a_holder_that_names_no_living_process_is_not_called_by_that_number(database: Path, pid: int) -> None:
    with FileLock.take(database):
        (database.parent / LOCK_NAME).write_text(f"{pid} carrier\n", encoding="ascii")
        assert holder_of(database) == Holder(None, Role.CARRIER)
        with pytest.raises(InUse, match=r"process unknown"):
            FileLock.take(database)


@pytest.mark.parametrize("left", ["", "4194305 carrier\n"])
def test_a_holder_that_signs_a_moment_later_is_looked_at_again(database: Path, left: str) -> None:
    with FileLock.take(database):
        file = database.parent / LOCK_NAME
        file.write_text(left, encoding="ascii")
        signing = threading.Timer(0.03, lambda: file.write_text(f"{os.getpid()} bot\n", encoding="ascii"))
        signing.start()
        assert holder_of(database) == Holder(os.getpid(), Role.BOT)
        signing.join()


def test_whoever_lets_go_leaves_no_name_behind(database: Path) -> None:
    FileLock.take(database).release()
    assert (database.parent / LOCK_NAME).read_bytes() == b""


async def test_the_lock_of_another_database_opens_none(database: Path, tmp_path: Path) -> None:
    lock = FileLock.take(database)
    other = tmp_path / "elsewhere" / database.name
    with pytest.raises(Unavailable, match=r"is not that of .*elsewhere.* Nothing was opened"):
        await Database.open(other, held=lock)
    assert not other.parent.exists()
    await (await Database.open(database, held=lock)).close()
    lock.release()
    with pytest.raises(Unavailable, match="is not that of"):
        await Database.open(database, held=lock)


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


def document(state_dir: Path) -> Document:
    """A configuration whose database lies there."""
    return {
        **compose(Endpoints(NOBODY, "", NOBODY, NOBODY, INSTANCES, {}), home=state_dir),
        "state_dir": str(state_dir),
    }


def berth(database: Path, *, standby: bool = False) -> serving._Berth:
    settings = Settings.model_validate({**document(database.parent), "discord_token": "d", "github_token": "g"})
    return serving._Berth(settings, serving._Signals(asyncio.Event()), standby=standby)


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


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_a_bot_says_again_and_again_that_it_waits_for_a_command_and_gives_up_at_last(
    database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "TELL_AGAIN_S", 0.6)
    monkeypatch.setattr(serving, "CARRIER_MARGIN_S", -3000.0 + 2.5)
    with held(database, Role.CARRIER) as process, caplog.at_level(logging.WARNING):
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable, match=rf"\(process {process.pid}\) has worked on .* Nothing was started: look"):
            async with asyncio.timeout(20):
                await berth(database).taken()
        said = warnings_in(caplog)
    assert len(said) >= 2
    assert all("gives up after 2 s" in line for line in said)


async def test_a_standby_waits_for_a_command_without_a_limit_and_says_so(
    database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "TELL_AGAIN_S", 0.4)
    monkeypatch.setattr(serving, "CARRIER_MARGIN_S", -3000.0)
    place = berth(database, standby=True)
    with held(database, Role.CARRIER) as process, caplog.at_level(logging.WARNING):
        taking = asyncio.create_task(place.taken())
        await asyncio.sleep(4 * serving.STANDBY_LOOK_S)
        assert not taking.done()
        assert len(warnings_in(caplog)) >= 2
        assert not any("gives up" in line for line in warnings_in(caplog))
        process.communicate("")
        async with asyncio.timeout(20):
            lock = await taking
    assert lock is not None
    lock.release()


async def test_a_file_that_names_another_database_after_the_waiting_leads_to_that_ones_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, here, there = tmp_path / "quarterdeck.toml", tmp_path / "here", tmp_path / "there"
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    file.write_text(dumps(document(here)), encoding="utf-8")
    configuration = Configuration.open(file)
    first, second = here / DATABASE_NAME, there / DATABASE_NAME
    with held(first, Role.CARRIER) as at_first, held(second, Role.CARRIER) as at_second:
        signals = serving._Signals(configuration.heard)
        taking = asyncio.create_task(serving._berthed(configuration, signals, standby=False))
        await asyncio.sleep(serving.STANDBY_LOOK_S)
        file.write_text(dumps(document(there)), encoding="utf-8")
        at_first.communicate("")
        await asyncio.sleep(3 * serving.STANDBY_LOOK_S)
        assert not taking.done(), "the lock that it has is not of the database that the file names"
        assert holder_of(first) is None
        at_second.communicate("")
        async with asyncio.timeout(20):
            berthed = await taking
    assert berthed is not None
    read, lock = berthed
    assert read.loaded.settings.database_file == second
    assert lock.guards(second)
    assert not lock.guards(first)
    assert holder_of(second) == Holder(os.getpid(), Role.BOT)
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

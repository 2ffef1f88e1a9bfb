"""The supervisor with real processes: what is started again, what is final, and what the log keeps."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.sandbox.ledger import Ledger
from bot.sandbox.supervisor import LogFile, State, Supervisor
from bot.sandbox.wire import Rejected

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
Start = Callable[..., Supervisor]


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[Start]:
    """Makes supervisors of `python -c PROGRAM`, and ends them."""
    made: list[Supervisor] = []

    def make(program: str, *, backoff_first_s: float = 1.0) -> Supervisor:
        supervisor = Supervisor(
            arguments=(sys.executable, "-c", program),
            environ={"PATH": os.defpath},
            folder=tmp_path,
            log=tmp_path / "bot.log",
            ledger=Ledger(),
            backoff_first_s=backoff_first_s,
        )
        made.append(supervisor)
        return supervisor

    yield make
    for supervisor in made:
        await supervisor.close()


async def state_of(supervisor: Supervisor, state: State) -> None:
    """Wait until it is in that state."""
    async with asyncio.timeout(10):
        while supervisor.state is not state:
            await asyncio.sleep(0.01)


async def logged(path: Path, text: str) -> None:
    """Wait until the log holds the text."""
    async with asyncio.timeout(10):
        while not path.exists() or text not in path.read_text():
            await asyncio.sleep(0.01)


async def test_a_process_that_is_killed_comes_back_under_another_pid(supervised: Start) -> None:
    bot = supervised(SLEEP)
    await bot.start()
    first = bot.pid
    bot.kill()
    await state_of(bot, State.WAITING)
    assert (bot.pid, "SIGKILL" in bot.detail) == (None, True)
    await state_of(bot, State.RUNNING)
    assert bot.pid not in (None, first)


async def test_each_death_in_a_row_makes_the_pause_longer(supervised: Start) -> None:
    bot = supervised("raise SystemExit(1)", backoff_first_s=0.01)
    pauses: list[str] = []
    await bot.start()
    async with asyncio.timeout(20):
        while len(pauses) < 4:
            if bot.state is State.WAITING and bot.detail not in pauses:
                pauses.append(bot.detail)
            await asyncio.sleep(0)
    assert pauses == [
        f"ended with exit code 1; starts again in {pause} s" for pause in ("0.01", "0.02", "0.04", "0.08")
    ]


async def test_exit_code_64_is_final_and_its_last_line_says_why(supervised: Start) -> None:
    bot = supervised("print('first'); print('The token is wrong.', flush=True); raise SystemExit(64)")
    await bot.start()
    await state_of(bot, State.GIVEN_UP)
    assert (bot.pid, bot.detail) == (None, "The token is wrong.")


async def test_one_that_gave_up_can_be_started_again(supervised: Start) -> None:
    bot = supervised("raise SystemExit(64)")
    await bot.start()
    await state_of(bot, State.GIVEN_UP)
    await bot.start()
    await state_of(bot, State.GIVEN_UP)


async def test_stop_ends_it_for_good_and_is_told(supervised: Start, tmp_path: Path) -> None:
    program = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        + SLEEP
    )
    bot = supervised(program)
    await bot.start()
    await logged(tmp_path / "bot.log", "up")
    await bot.stop()
    assert (bot.state, bot.pid) == (State.STOPPED, None)
    assert "bye" in (tmp_path / "bot.log").read_text()
    with pytest.raises(Rejected):
        bot.kill()


async def test_starting_twice_keeps_the_one_that_runs(supervised: Start) -> None:
    bot = supervised(SLEEP)
    await asyncio.gather(bot.start(), bot.start())
    pid = bot.pid
    await bot.start()
    assert bot.pid == pid


async def test_a_process_that_ends_on_reload_is_back_at_once(supervised: Start, tmp_path: Path) -> None:
    bot = supervised(SLEEP)
    await bot.start()
    await logged(tmp_path / "bot.log", "up")
    first = bot.pid
    bot.reload()
    async with asyncio.timeout(5):
        while bot.pid in (None, first):
            await asyncio.sleep(0.01)


async def test_a_process_that_takes_the_reload_stays(supervised: Start, tmp_path: Path) -> None:
    program = "import signal; signal.signal(signal.SIGHUP, lambda *_: print('read again', flush=True))\n" + SLEEP
    bot = supervised(program)
    await bot.start()
    await logged(tmp_path / "bot.log", "up")
    first = bot.pid
    bot.reload()
    await logged(tmp_path / "bot.log", "read again")
    assert bot.pid == first


async def test_a_program_that_does_not_exist_is_no_hang(tmp_path: Path) -> None:
    bot = Supervisor(arguments=("/nothing",), environ={}, folder=tmp_path, log=tmp_path / "log", ledger=Ledger())
    async with asyncio.timeout(5):
        await bot.start()
        assert bot.state is State.GIVEN_UP
        await bot.close()


def test_the_log_keeps_two_generations(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "bot.log", size_mib=1)
    for generation in (b"a", b"b", b"c"):
        log.write(generation * (2**20 + 1))
    log.write(b"d")
    log.close()
    assert (tmp_path / "bot.log").read_bytes() == b"d"
    assert (tmp_path / "bot.log.1").read_bytes()[:1] == b"c"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bot.log", "bot.log.1"]

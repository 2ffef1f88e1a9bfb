"""The child that draws: replaced when it dies or hangs, gone when nobody asks or the bot ends, and told no secret."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.errors import Unavailable
from bot.services.plots import BarSpec, ChartSpec, Curve
from bot.ui import chart_process
from bot.ui.chart_process import Charts
from tests.wire.discord_world import until

END = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
SPEC = ChartSpec(
    title="CPU", start=END - timedelta(hours=1), end=END, step_s=60,
    curves=(Curve("a", tuple((END.timestamp() - 60 * n, float(n)) for n in range(60, -1, -1))),),
)  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"
ROOT = Path(__file__).resolve().parents[2]
IN_A_PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.wire.test_chart_process import SPEC, PNG
from bot.ui.chart_process import Charts

async def main():
    charts = Charts(Path(sys.argv[1]))
    assert (await charts.render(SPEC)).startswith(PNG)
    print(charts.pid, "matplotlib" in sys.modules, "numpy" in sys.modules, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("charts") / "fonts"


@pytest.fixture(scope="module")
async def charts(cache: Path) -> AsyncIterator[Charts]:
    opened = Charts(cache, deadline_s=60, drawing_s=50)
    yield opened
    await opened.close()


async def gone(pid: int) -> bool:
    """Wait until that process has ended, its parent's zombie or not."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        await asyncio.sleep(0.05)
    return False


async def test_one_child_draws_and_knows_no_secret(charts: Charts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUARTERDECK_DISCORD_TOKEN", "s3cret")
    assert charts.pid is None, "nothing is started before it is needed"
    found = await asyncio.gather(*(charts.render(spec) for spec in (SPEC, BarSpec(title="x", bars=(("a", 1),)), SPEC)))
    assert all(png.startswith(PNG) for png in found)
    assert found[0] == found[2] != found[1]
    pid = charts.pid
    assert pid is not None
    environment = Path(f"/proc/{pid}/environ").read_text()
    assert "s3cret" not in environment and "MPLCONFIGDIR" in environment
    assert os.getsid(pid) == pid, "a Ctrl-C at the terminal is not for it"
    await charts.render(SPEC)
    assert charts.pid == pid


async def test_a_child_that_died_is_replaced(charts: Charts) -> None:
    await charts.render(SPEC)
    first = charts.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert (await charts.render(SPEC)).startswith(PNG)
    assert charts.pid not in (None, first)


async def test_a_child_that_hangs_costs_one_picture_and_is_replaced(cache: Path) -> None:
    charts = Charts(cache, drawing_s=8)
    try:
        await charts.render(SPEC)
        hung = charts.pid
        assert hung is not None
        charts._drawing_s = 0.5
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(Unavailable, match=r"not drawn within 0\.5 s"):
            await charts.render(SPEC)
        charts._drawing_s = 30
        assert (await charts.render(SPEC)).startswith(PNG)
        assert charts.pid != hung
        assert await gone(hung)
    finally:
        await charts.close()


async def test_a_picture_that_cannot_be_drawn_is_said_and_ends_nothing(charts: Charts) -> None:
    await charts.render(SPEC)
    pid = charts.pid
    impossible = ChartSpec(title="x", start=END, end=END, step_s=1)
    with pytest.raises(Unavailable, match="could not be drawn"):
        await charts.render(impossible)
    assert (await charts.render(SPEC)).startswith(PNG)
    assert charts.pid == pid


async def test_whoever_gives_up_does_not_get_the_next_ones_picture(charts: Charts) -> None:
    await charts.render(SPEC)
    given_up = asyncio.create_task(charts.render(SPEC))
    await asyncio.sleep(0.01)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    bars = BarSpec(title="x", bars=(("a", 1.0),))
    assert await charts.render(bars) == await charts.render(bars) != await charts.render(SPEC)


async def test_the_child_ends_when_nobody_asks_and_comes_back(cache: Path) -> None:
    charts = Charts(cache, idle_s=0.3)
    try:
        await charts.render(SPEC)
        pid = charts.pid
        assert pid is not None
        await until(lambda: charts.pid is None)
        assert await gone(pid)
        assert (await charts.render(SPEC)).startswith(PNG)
    finally:
        await charts.close()


async def test_the_end_waits_for_no_picture(cache: Path) -> None:
    charts = Charts(cache)
    await charts.render(SPEC)
    pid = charts.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asked = [asyncio.create_task(charts.render(SPEC)) for _ in range(3)]
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await charts.close()
    assert time.monotonic() - began < 10
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(outcome, Unavailable)
    assert await gone(pid)
    assert charts.pid is None
    with pytest.raises(Unavailable, match="is ending"):
        await charts.render(SPEC)


async def test_only_so_many_pictures_wait(charts: Charts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart_process, "WAITING_MAX", 2)
    found = await asyncio.gather(*(charts.render(SPEC) for _ in range(4)), return_exceptions=True)
    assert [isinstance(one, bytes) for one in found] == [True, True, False, False]
    assert "2 pictures wait" in str(found[2])


async def test_the_bots_own_process_never_loads_what_draws_and_takes_the_child_along_when_killed(cache: Path) -> None:
    program = [sys.executable, "-c", IN_A_PROGRAM, str(cache)]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None and parent.stderr is not None
        pid, drawing, numbers = (await asyncio.to_thread(parent.stdout.readline)).split()
        assert (drawing, numbers) == ("False", "False")
        parent.kill()
        parent.wait(10)
        assert parent.stderr.read() == ""
    assert await gone(int(pid))

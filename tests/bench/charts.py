"""Ten `/metrics show` at once: how long the bot's event loop stood still, and how soon the pictures were there.

The bot is a process of its own on a sandbox, its Prometheus a real one with half a day of 20 series. Beside it stands
the same bot that draws in its own process. A turn's processor time is told, too: on a busy machine the wall's clock
also counts what others did.
"""

import asyncio
import math
import shutil
import statistics
import subprocess
import time
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.sandbox.botconfig import dumps
from tests.bench.report import Section, Skipped
from tests.bench.world import World
from tests.wire.monitoring_room import PROMETHEUS, prometheus

TITLE = "Ten /metrics at once"
AT_ONCE = 10
SERIES, HOURS, EVERY_S = 20, 12, 15
AIM_MS = 50
PANEL = {"title": "Load", "query": "load", "unit": "percent", "threshold": 80.0}


@dataclass
class Contender:
    """One way to draw, and what was measured of it."""

    name: str
    options: tuple[str, ...] = ()
    longest_ms: list[tuple[float, float]] = field(default_factory=list)
    answered_s: list[float] = field(default_factory=list)
    unanswered: int = 0


def measure(*, rounds: int) -> Section:
    """Both contenders in turn.

    Raises:
        Skipped: Prometheus is not installed, or the sandbox cannot be used here.
    """
    if shutil.which(PROMETHEUS) is None or shutil.which("promtool") is None:
        raise Skipped("prometheus and promtool are not installed.")
    return asyncio.run(_measure(rounds))


async def _measure(rounds: int) -> Section:
    child, inside = Contender("in a child process"), Contender("in the bot's own process", ("--inside",))
    async with World.running() as world, _measured_past(world.config.parent) as url:
        config = world.config.with_name("charts.toml")
        document = tomllib.loads(world.config.read_text(encoding="utf-8"))
        metrics = {"url": url, "timeout_s": 20, "panels": {"load": PANEL}}
        config.write_text(dumps({**document, "metrics": metrics}), encoding="utf-8")
        await world.put("discord/limits", webhook_channel={"requests": 10_000, "per_s": 60.0})
        for contender in (child, inside):
            await _observe(world, config, contender, rounds)
    return _section((child, inside), rounds)


@asynccontextmanager
async def _measured_past(home: Path) -> AsyncIterator[str]:
    """A Prometheus that remembers the last hours of the series."""
    folder = home / "prometheus"
    folder.mkdir()
    end = int(time.time())
    with (folder / "past.txt").open("w", encoding="utf-8") as out:
        out.write("# TYPE load gauge\n")
        for number in range(SERIES):
            for at in range(end - HOURS * 3600, end, EVERY_S):
                value = 50 + number + 20 * math.sin(at / 900 + number)
                out.write(f'load{{instance="10.0.0.{number}:9100",job="node"}} {value:.3f} {at}\n')
        out.write("# EOF\n")
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "past.txt", "data"]
    await asyncio.to_thread(subprocess.run, blocks, cwd=folder, check=True, capture_output=True)
    async with prometheus(folder) as server:
        yield server.url


async def _observe(world: World, config: Path, contender: Contender, rounds: int) -> None:
    notes = config.with_name(f"turns-{len(contender.options)}.txt")
    run = ["-m", "tests.bench.watched_bot", str(notes), *contender.options, "--", "run", "--config", str(config)]
    async with world.contender(run):
        await world.burst("metrics show", {"panel": "load", "range": "1h"}, size=2)
        for _ in range(rounds):
            began = time.time()
            asked = [_timed(world, f"{hours + 1}h") for hours in range(AT_ONCE)]
            for seconds in await asyncio.gather(*asked):
                if seconds is None:
                    contender.unanswered += 1
                else:
                    contender.answered_s.append(seconds)
            await asyncio.sleep(0.3)
            contender.longest_ms.append(_longest(notes, began))


async def _timed(world: World, length: str) -> float | None:
    """Seconds until the picture was there; None where there was none."""
    began = time.perf_counter()
    (seen,) = await world.burst("metrics show", {"panel": "load", "range": length}, size=1)
    if seen["state"] != "answered" or "Load" not in seen["text"]:
        return None
    return time.perf_counter() - began


def _longest(notes: Path, began: float) -> tuple[float, float]:
    """The longest turn since then, and the most processor time that one took, in ms."""
    lines = [tuple(map(float, line.split())) for line in notes.read_text(encoding="utf-8").splitlines()]
    turns = [(wall, busy) for ended, wall, busy in lines if ended >= began]
    return max((wall for wall, _ in turns), default=0.0), max((busy for _, busy in turns), default=0.0)


def _section(contenders: tuple[Contender, ...], rounds: int) -> Section:
    return Section(
        title=TITLE,
        columns=(
            "drawn",
            "longest turn, ms",
            "median of the rounds",
            "its processor time, ms",
            "answered p50 / last, s",
        ),
        rows=[
            (
                one.name,
                f"{max(wall for wall, _ in one.longest_ms):.0f}",
                f"{statistics.median(wall for wall, _ in one.longest_ms):.0f}",
                f"{max(busy for _, busy in one.longest_ms):.0f}",
                f"{statistics.median(one.answered_s):.2f} / {max(one.answered_s):.2f}" if one.answered_s else "-",
            )
            for one in contenders
        ],
        notes=[
            f"A turn of the bot's event loop, {rounds} rounds of {AT_ONCE} at once; aim: under {AIM_MS} ms.",
            f"Ranges of 1 to {AT_ONCE} hours, {SERIES} series of up to 300 points each.",
            "The sandbox's limit of 30 follow-ups a minute in a channel is lifted: it is not what is measured.",
            *(f"not answered, {one.name}: {one.unanswered}" for one in contenders if one.unanswered),
        ],
    )

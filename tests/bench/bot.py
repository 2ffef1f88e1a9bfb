"""Quarterdeck beside a bare discord.py bot on the same sandbox: first responses, start-up and memory.

The sandbox takes the time from the dispatch of an interaction to its first response. `/deploy` goes to an environment
that wants an approval: so each is really planned, decided, stored and shown, and none runs.
"""

import asyncio
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass, field

from tests.bench.processes import rss_mib
from tests.bench.report import Section
from tests.bench.world import World

TITLE = "Quarterdeck beside a bare discord.py bot"
DEPLOY = {"service": "app", "environment": "prod", "ref": "main"}
COMMANDS: dict[str, dict[str, str]] = {"ping": {}, "deploy": DEPLOY}
BURSTS = {1: 20, 10: 3, 100: 1}
"""How many at once, and how often in one round: short rounds, so that both bots meet the same mood of the machine."""
SETTLE_S = 3.0
OPERATIONS = 1000
GROWTH_BURST = 50


@dataclass
class Contender:
    """One bot and everything that was measured of it."""

    name: str
    arguments: list[str]
    ready_s: list[float] = field(default_factory=list)
    ack_ms: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    missed: int = 0
    rss_mib: dict[str, float] = field(default_factory=dict)

    def quantile(self, command: str, size: int, percent: int) -> float:
        return statistics.quantiles(self.ack_ms[command, size], n=100, method="inclusive")[percent - 1]

    async def start_up(self, world: World) -> None:
        async with world.contender(self.arguments) as (_, seconds):
            self.ready_s.append(seconds)

    async def respond(self, world: World) -> None:
        """One round of bursts of every size with every command."""
        async with world.contender(self.arguments):
            say(f"{self.name}: first responses")
            for command, options in COMMANDS.items():
                await world.burst(command, options, size=5)
                for size, times in BURSTS.items():
                    for _ in range(times):
                        await self._burst(world, command, options, size)

    async def grow(self, world: World) -> None:
        """Memory when idle, after half and after all of `OPERATIONS` deploys were asked for."""
        async with world.contender(self.arguments) as (pid, _):
            await asyncio.sleep(SETTLE_S)
            self.rss_mib["idle"] = rss_mib(pid)
            for name in ("half", "all"):
                say(f"{self.name}: memory, {name}")
                for _ in range(OPERATIONS // 2 // GROWTH_BURST):
                    await self._burst(world, "deploy", DEPLOY, GROWTH_BURST)
                await asyncio.sleep(SETTLE_S)
                self.rss_mib[name] = rss_mib(pid)

    async def _burst(self, world: World, command: str, options: dict[str, str], size: int) -> None:
        for seen in await world.burst(command, options, size=size):
            if seen["state"] == "timeout" or seen["ack_ms"] is None:
                self.missed += 1
            else:
                self.ack_ms[command, size].append(float(seen["ack_ms"]))


def say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def measure(*, rounds: int) -> Section:
    """Both bots on one sandbox, in turn.

    Raises:
        Skipped: the sandbox cannot be used here.
    """
    return asyncio.run(_measure(rounds))


async def _measure(rounds: int) -> Section:
    async with World.running() as world:
        quarterdeck = Contender("Quarterdeck", ["-m", "bot", "run", "--config", str(world.config)])
        bare = Contender("bare discord.py", ["-m", "tests.bench.bare_bot", str(world.config)])
        contenders = (bare, quarterdeck)
        for _ in range(rounds):
            for contender in contenders:
                await contender.start_up(world)
        for _ in range(rounds):
            for contender in contenders:
                await contender.respond(world)
        for contender in contenders:
            await contender.grow(world)
        return _section(quarterdeck, bare, rounds)


def _section(quarterdeck: Contender, bare: Contender, rounds: int) -> Section:
    rows = [
        _row("start-up to READY, s", statistics.median(quarterdeck.ready_s), statistics.median(bare.ready_s), digits=2)
    ]
    for command in COMMANDS:
        for size in BURSTS:
            for percent in (50, 99):
                figures = (one.quantile(command, size, percent) for one in (quarterdeck, bare))
                rows.append(_row(f"`/{command}` first response, {size} at once, p{percent}, ms", *figures, digits=1))
    for name, what in (("idle", "idle"), ("half", f"after {OPERATIONS // 2}"), ("all", f"after {OPERATIONS}")):
        rows.append(_row(f"RSS {what}, MiB", quarterdeck.rss_mib[name], bare.rss_mib[name], digits=0))
    return Section(
        title=TITLE,
        columns=("figure", quarterdeck.name, bare.name, "ratio"),
        rows=rows,
        notes=[
            f"{rounds} rounds in turn; start-up is the median, to the gateway's READY as the sandbox sees it.",
            "First responses are timed by the sandbox; both bots use the same `guild_ready_timeout`.",
            f"Not answered within Discord's 3 s: Quarterdeck {quarterdeck.missed}, bare {bare.missed}.",
            f"After {OPERATIONS}: so many `/deploy` that wait for an approval; each is planned, stored, shown.",
        ],
    )


def _row(figure: str, ours: float, theirs: float, *, digits: int) -> tuple[str, ...]:
    return (figure, f"{ours:.{digits}f}", f"{theirs:.{digits}f}", f"{ours / theirs:.2f}x")

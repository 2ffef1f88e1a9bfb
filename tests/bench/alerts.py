"""Alerts through Quarterdeck beside Alertmanager's own Discord receiver, in bad weather: `make bench-alerts`.

A thousand alerts in a hundred groups meet the sandbox's Discord with its rate limits, in eight kinds of weather. Each
contender has a real Alertmanager of its own; all post to the same Discord at the same time, each to a channel of its
own. What arrived is read off the channels. The table goes into the README, between its markers.
"""

import argparse
import asyncio
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import aiohttp

from tests.bench import alert_table
from tests.bench.alert_channel import Channels, is_resolved, most_in_a_window, standing
from tests.bench.alert_storm import DISCORD, ONE_LINE, WEBHOOK, Alertmanager, Storm
from tests.bench.alert_table import Result
from tests.bench.processes import ROOT
from tests.bench.report import Skipped
from tests.bench.world import World

OURS = "Quarterdeck"
OUR_CHANNEL = "alerts"
NATIVE = {
    "Alertmanager, default template": ("general", ""),
    "Alertmanager, one line an alert": ("alerts-critical", ONE_LINE),
}
OUTAGE_S = 60.0
CRASH_OUTAGE_S = 20.0
KILL_AT_S, START_AT_S = 5.0, 8.0
RESOLVE_AT_S = {"normal": 40.0, "blip": 30.0}
LINGER_S = 8.0
LOOK_S = 0.25
POSTS = r"^(POST|PATCH) .*(/messages|/webhooks/)"
LATENCY = {"part": "discord", "kind": "latency", "match": POSTS, "seconds": 0.1}
SLOW = LATENCY | {"seconds": 3.0}
ERRORS = {"part": "discord", "kind": "status", "status": 500}
REFUSED = {"part": "discord", "kind": "refuse"}


@dataclass(frozen=True, slots=True)
class Weather:
    """What Discord is like in a scenario, for how long at most it is watched, and what the table says of it."""

    name: str
    says: str
    cap_s: float
    fault: Mapping[str, object]
    outage_s: float = 0.0
    """How long the fault lasts; 0: to the end."""
    killed: bool = False


SCENARIOS = {
    one.name: one
    for one in (
        Weather("normal", "answers in 0.1 s; all is resolved after 40 s", 150, LATENCY),
        Weather("slow", "answers in 3 s", 120, SLOW),
        Weather("ratelimit", "answers in 0.1 s, and nothing is resolved", 240, LATENCY),
        Weather("err500", "answers 500 for 60 s", 180, ERRORS, OUTAGE_S),
        Weather("refused", "takes no connection for 60 s", 180, REFUSED, OUTAGE_S),
        Weather("blip", "takes none for 60 s, and half is resolved after 30 s", 150, REFUSED, OUTAGE_S),
        Weather("limits", "answers in 0.1 s; six groups of 1 to 120 alerts with long texts", 60, LATENCY),
        Weather("crash", "takes none for 20 s; the bot is killed after 5 s and started after 8 s", 120, REFUSED,
                CRASH_OUTAGE_S, killed=True),
    )
}  # fmt: skip


class Bot:
    """Quarterdeck as a process, which can be killed and started again."""

    def __init__(self, world: World, log: Path) -> None:
        self._world = world
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        arguments = [sys.executable, "-m", "bot", "run", "--config", str(self._world.config)]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *arguments, env=self._world.environ, cwd=ROOT, stdout=log, stderr=log
            )

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


class Run:
    """One scenario in a world of its own."""

    def __init__(self, weather: Weather, *, cap_s: float) -> None:
        self._weather = weather
        self._cap_s = min(weather.cap_s, cap_s)
        self._channels = Channels()
        self._storm = Storm.of(weather.name)
        self._hooks: dict[str, str] = {}
        self._results: dict[str, Result] = {}
        self._began = 0.0
        self._resolved = weather.name not in RESOLVE_AT_S

    async def results(self, folder: Path) -> list[Result]:
        async with AsyncExitStack() as stack:
            world = await stack.enter_async_context(World.running())
            session = await stack.enter_async_context(aiohttp.ClientSession())
            contenders = await self._contenders(world, session, folder, stack)
            await configure(world, contenders[OURS].address)
            bot = Bot(world, folder / "bot.log")
            stack.push_async_callback(bot.stop)
            await bot.start()
            await world.until_ready()
            await asyncio.sleep(2)
            await stack.enter_async_context(self._channels.followed(world.session))
            await self._storm_through(world, bot, contenders)
            return [self._results.get(name) or self._result(name) for name in contenders]

    async def _contenders(
        self, world: World, session: aiohttp.ClientSession, folder: Path, stack: AsyncExitStack
    ) -> dict[str, Alertmanager]:
        webhook = f"http://127.0.0.1:{world.alerts_port}/webhooks/alertmanager"
        token = world.environ["QUARTERDECK_ALERTMANAGER_TOKEN"]
        receivers = {OURS: WEBHOOK.format(url=webhook, token=token)}
        for name, (channel, template) in NATIVE.items():
            url = (await world.post("discord/webhook", channel=channel, name=f"bench {channel}"))["url"]
            self._hooks[name] = url.rpartition("/")[0]
            receivers[name] = DISCORD.format(url=url) + template
        return {
            name: await stack.enter_async_context(
                Alertmanager.running(folder / f"alertmanager-{number}", receiver, session, port=free_port())
            )
            for number, (name, receiver) in enumerate(receivers.items())
        }

    async def _storm_through(self, world: World, bot: Bot, contenders: dict[str, Alertmanager]) -> None:
        """The storm and its weather, until everybody has shown everything, or for as long as it is watched."""
        await world.post("faults", **self._weather.fault)
        self._channels.forget()
        self._storm = Storm.of(self._weather.name)
        self._began = time.monotonic()
        names = list(self._storm.groups)
        await asyncio.gather(*(one.tell(self._storm.told(names)) for one in contenders.values()))
        events = asyncio.create_task(self._events(world, bot, contenders))
        try:
            await self._watch()
        finally:
            events.cancel()
            await asyncio.gather(events, return_exceptions=True)

    async def _events(self, world: World, bot: Bot, contenders: dict[str, Alertmanager]) -> None:
        """What happens at its time: the kill, the half that resolves, the end of the outage."""
        agenda: list[tuple[float, str]] = []
        if self._weather.killed:
            agenda += [(KILL_AT_S, "kill"), (START_AT_S, "start")]
        if self._weather.outage_s:
            agenda.append((self._weather.outage_s, "clear"))
        if self._weather.name in RESOLVE_AT_S:
            agenda.append((RESOLVE_AT_S[self._weather.name], "resolve"))
        for at, what in sorted(agenda):
            await asyncio.sleep(max(0.0, self._began + at - time.monotonic()))
            if what == "kill":
                await bot.kill()
            elif what == "start":
                await bot.start()
            elif what == "clear":
                await world.clear_faults()
                await world.post("faults", **LATENCY)
            else:
                await self._resolve(contenders)

    async def _resolve(self, contenders: dict[str, Alertmanager]) -> None:
        names = sorted(self._storm.even if self._weather.name == "blip" else self._storm.groups)
        told = self._storm.told(names, ended=True)
        await asyncio.gather(*(one.tell(told) for one in contenders.values()))
        self._resolved = True

    async def _watch(self) -> None:
        """Each contender until it has shown everything as it is, and a while longer for what it may show twice."""
        done_at: dict[str, float] = {}
        *_, last = self._places()
        while (now := time.monotonic()) - self._began < self._cap_s and not self._results.keys() >= {OURS, last}:
            await asyncio.sleep(LOOK_S)
            for name, place in self._places().items():
                if name not in done_at and self._has_all(place):
                    done_at[name] = now
                if name in done_at and name not in self._results and now - done_at[name] > LINGER_S:
                    self._results[name] = self._result(name)

    def _has_all(self, place: str) -> bool:
        """Whether that channel shows every alert, and its true end."""
        if not self._resolved or time.monotonic() - self._began <= self._weather.outage_s:
            return False
        return self._channels[place].known.keys() >= self._storm.groups.keys() and not self._untrue(place)

    def _places(self) -> dict[str, str]:
        return {OURS: OUR_CHANNEL, **{name: channel for name, (channel, _) in NATIVE.items()}}

    def _ended(self) -> frozenset[str]:
        if not self._resolved or self._weather.name not in RESOLVE_AT_S:
            return frozenset()
        return self._storm.even if self._weather.name == "blip" else frozenset(self._storm.groups)

    def _untrue(self, channel: str) -> int:
        """How many alerts stand in the channel other than they are: newest message that bears the id decides."""
        ended, wrong = self._ended(), 0
        for name, texts in standing(self._channels[channel], self._storm.groups).items():
            shown_ended = bool(texts) and is_resolved(texts[-1], name)
            wrong += bool(texts) and shown_ended != (name in ended)
        return wrong

    def _result(self, name: str) -> Result:
        place = self._places()[name]
        channel, wanted = self._channels[place], self._storm.groups.keys()
        times = sorted(at - self._began for found, at in channel.known.items() if found in wanted)
        limited = self._channels.limited_of(bot=name == OURS, hook=self._hooks.get(name, ""))
        return Result(
            scenario=self._weather.name, contender=name, alerts=len(wanted), known=len(times),
            untrue=self._untrue(place), posts=channel.posts, edits=channel.edits, twice=len(channel.twice),
            limited=len(limited), limited_per_window=most_in_a_window(limited), outage_s=self._weather.outage_s,
            p50_s=times[len(times) // 2] if times else None, last_s=times[-1] if times else None,
        )  # fmt: skip


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def configure(world: World, alertmanager: str) -> None:
    """Point the bot at the bench's Alertmanager, and have it show everything in one channel, as the others do."""
    alerts = {"alertmanagers": [alertmanager], "routes": [], "heartbeats": [], "channel": OUR_CHANNEL}
    await world.put("config", patch={"alerts": alerts})


async def run(scenarios: Sequence[str], *, cap_s: float) -> list[Result]:
    found: list[Result] = []
    for name in scenarios:
        print(f"bench-alerts: {name}: Discord {SCENARIOS[name].says} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="quarterdeck-alerts-") as folder:
            results = await Run(SCENARIOS[name], cap_s=cap_s).results(Path(folder))
        for result in results:
            print(" | ".join(result.row()), flush=True)
        found += results
    return found


def parser() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.alerts", description=(__doc__ or "").splitlines()[0])
    asked.add_argument(
        "--scenarios", default=",".join(SCENARIOS), help=f"some of {', '.join(SCENARIOS)} (default: all)"
    )
    asked.add_argument("--cap", type=float, default=1000.0, help="watch no scenario for longer than these seconds")
    asked.add_argument(
        "--print-only", action="store_true", help="leave the README, and what was measured before, as they are"
    )
    return asked


def main() -> int:
    asked = parser().parse_args()
    scenarios = [name for name in asked.scenarios.split(",") if name]
    if unknown := [name for name in scenarios if name not in SCENARIOS]:
        print(f"bench-alerts: there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}.", file=sys.stderr)
        return 64
    try:
        results = asyncio.run(run(scenarios, cap_s=asked.cap))
    except Skipped as reason:
        print(f"bench-alerts: not measured: {reason}", file=sys.stderr)
        return 69
    if not asked.print_only:
        results = alert_table.remembered(results, list(SCENARIOS))
    measured = {result.scenario for result in results}
    text = alert_table.markdown(results, [(one.name, one.says) for one in SCENARIOS.values() if one.name in measured])
    print(text)
    if not asked.print_only:
        alert_table.keep(text)
    return 0


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # SIGTERM unwinds like Ctrl-C does, so that nothing that was started is left behind.
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("bench-alerts: interrupted; what it had started is ended, and nothing was kept")

"""The outside as it was last heard: which part answers, which does not, since when, and what that means for people.

Fed by what the clients do anyway, and by a gentle prober for parts that nobody happens to use. It decides nothing:
whether something can be done is found out by doing it. All in memory; what is remembered ends with the process.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Final

from bot.clients.discord import DiscordClient
from bot.clients.github import GithubClient
from bot.clients.prometheus import PrometheusClient
from bot.errors import QuarterdeckError

GITHUB: Final = "github"
AWS: Final = "aws"
DISCORD: Final = "discord"
GATEWAY: Final = "gateway"
ALERTMANAGER: Final = "alertmanager"
PROMETHEUS: Final = "prometheus"
HOST: Final = "host "
"""The part `host prod` is the machine of the environment `prod`."""
STALE_AFTER = timedelta(seconds=150)
"""Without a word for so long nothing is known any more; the prober asks more often than that."""
DOWN_AFTER = 2
"""Requests in a row without an answer, of a part that was heard before: one alone is asked again within seconds."""
NOTED_OUTAGE = timedelta(seconds=10)
"""Shorter ones are not remembered as outages once they are over."""
OUTAGES_KEPT = 20
PAUSE_S = 30.0
FIRST_AFTER_S = 3.0
"""After the start: the first questions import the vendors' SDKs, which would make the bot's first answers wait."""
SILENT_PAUSE_S = 4.0
"""Between two questions to a part that did not answer, so that it is known to be back soon after it is."""
PROBE_DEADLINE_S = 20.0

_log = logging.getLogger(__name__)


class State(StrEnum):
    """What a figure from that part is worth."""

    LIVE = "live"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Standing:
    """A part as of one moment. `silent_since` is set while its last request had no answer, `why` says how it failed."""

    part: str
    state: State
    heard_at: datetime | None = None
    silent_since: datetime | None = None
    why: str = ""
    misses: int = 0

    @property
    def down(self) -> bool:
        """Whether it counts as an outage that people should be told of."""
        return self.misses >= (DOWN_AFTER if self.heard_at is not None else 1)

    @property
    def name(self) -> str:
        return f"the {self.part.replace(' ', ' of ', 1)}" if self.part.startswith(HOST) else NAMES[self.part]

    @property
    def means(self) -> str:
        """What does and what does not go while this part is down."""
        return MEANS["host" if self.part.startswith(HOST) else self.part]


@dataclass(frozen=True, slots=True)
class Outage:
    """A part was away for a while, and is back."""

    part: str
    since: datetime
    until: datetime
    why: str


NAMES: Mapping[str, str] = {
    GITHUB: "GitHub",
    AWS: "AWS",
    DISCORD: "Discord",
    GATEWAY: "Discord's gateway",
    ALERTMANAGER: "Alertmanager",
    PROMETHEUS: "Prometheus",
}
MEANS: Mapping[str, str] = {
    GITHUB: "no builds and no new deploys; a rollback works",
    AWS: "nothing can be rolled out, rolled back or stopped; what serves goes on serving",
    DISCORD: "cards and answers wait; the command line on the bot's host works",
    GATEWAY: "commands and buttons do not arrive; the command line on the bot's host works",
    ALERTMANAGER: "nothing can be silenced, and what the alert cards say is not confirmed",
    PROMETHEUS: "no charts and no figures; new alerts may not arise at all",
    "host": "no rollout reaches it; whether the services there answer stands beside them",
}


class Outside:
    """Remembers, for each part, when it was last heard, since when it is silent, and why."""

    def __init__(
        self, environments: Iterable[str] = (), *, beside: Iterable[str] = (),
        now: Callable[[], datetime] | None = None,
    ) -> None:  # fmt: skip
        """`beside` are parts that not every installation has."""
        self._now = now or (lambda: datetime.now(UTC))
        parts = (DISCORD, GATEWAY, GITHUB, AWS, *beside, *(f"{HOST}{name}" for name in environments))
        self._standings = {part: Standing(part, State.UNKNOWN) for part in parts}
        self._changed: list[Callable[[Standing], None]] = []
        self.outages: deque[Outage] = deque(maxlen=OUTAGES_KEPT)
        """Those that are over, the newest last."""

    def on_change(self, told: Callable[[Standing], None]) -> None:
        """Have `told` called whenever a part goes down or comes back."""
        self._changed.append(told)

    def heard(self, part: str) -> None:
        """The part answered just now."""
        before = self.of(part)
        self._standings[part] = Standing(part, State.LIVE, self._now())
        if before.down:
            self._over(before)
            self._tell(part)

    def _over(self, before: Standing) -> None:
        since, until = before.silent_since or self._now(), self._now()
        _log.info("%s answers again", before.name)
        if until - since >= NOTED_OUTAGE:
            self.outages.append(Outage(before.part, since, until, before.why))

    def silent(self, part: str, why: str) -> None:
        """A request to the part had no usable answer; `why` is a sentence."""
        before = self.of(part)
        standing = replace(before, silent_since=before.silent_since or self._now(), why=why, misses=before.misses + 1)
        self._standings[part] = standing
        if standing.down and not before.down:
            _log.warning("%s does not answer: %s", standing.name, why)
            self._tell(part)

    def _tell(self, part: str) -> None:
        standing = self.of(part)
        for told in self._changed:
            told(standing)

    def of(self, part: str) -> Standing:
        """How that part stands now; one that was never heard of is unknown."""
        standing = self._standings.get(part) or Standing(part, State.UNKNOWN)
        if standing.heard_at is None:
            return replace(standing, state=State.UNKNOWN)
        old = self._now() - standing.heard_at > STALE_AFTER
        return replace(standing, state=State.STALE if old or standing.silent_since else State.LIVE)

    def due(self, part: str, pause: timedelta) -> bool:
        """Whether the part should be asked now: it is silent, or was not heard for so long."""
        standing = self.of(part)
        heard_at = standing.heard_at
        return standing.silent_since is not None or heard_at is None or self._now() - heard_at >= pause

    def standings(self) -> tuple[Standing, ...]:
        """All parts, in a fixed order."""
        return tuple(self.of(part) for part in self._standings)

    def down(self) -> tuple[Standing, ...]:
        """The parts that do not answer now."""
        return tuple(standing for standing in self.standings() if standing.down)

    def troubles(self) -> tuple[str, ...]:
        """One sentence for each part that does not answer, in plain text, with its ages."""
        return tuple(sentence(standing, self._now()) for standing in self.down())


def sentence(standing: Standing, now: datetime) -> str:
    """`GitHub DOWN since 03:12 UTC (5 min), last heard 6 min ago: no builds ... (no connection)`."""
    since = standing.silent_since or now
    heard = f"last heard {_age(now - standing.heard_at)} ago" if standing.heard_at else "not heard before"
    name = standing.name[0].upper() + standing.name[1:]
    return (
        f"{name} DOWN since {since:%H:%M} UTC ({_age(now - since)}), {heard}: {standing.means}. {standing.why}".strip()
    )


def _age(length: timedelta) -> str:
    seconds = max(0, round(length.total_seconds()))
    if seconds < 90:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 5400 else f"{seconds // 3600} h"


class Prober:
    """Asks parts that nobody has asked for a while, and silent ones more often; one question at a time for each.

    A probe makes a request by a client that tells `Outside` of the answer, or tells it itself.
    """

    def __init__(
        self, outside: Outside, probes: Mapping[str, Callable[[], Awaitable[object]]], *, pause_s: float = PAUSE_S,
        silent_pause_s: float = SILENT_PAUSE_S, first_after_s: float = FIRST_AFTER_S,
    ) -> None:  # fmt: skip
        self._outside = outside
        self._probes = dict(probes)
        self._pause = timedelta(seconds=pause_s)
        self._silent_pause_s = silent_pause_s
        self._first_after_s = first_after_s
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to ask."""
        self._tasks = [asyncio.create_task(self._watch(part), name=f"probe {part}") for part in self._probes]

    async def close(self) -> None:
        """Stop asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, part: str) -> None:
        await asyncio.sleep(self._first_after_s)
        while True:
            if self._outside.due(part, self._pause):
                await self._ask(part)
            await asyncio.sleep(self._silent_pause_s)

    async def _ask(self, part: str) -> None:
        try:
            async with asyncio.timeout(PROBE_DEADLINE_S):
                await self._probes[part]()
        except TimeoutError:
            self._outside.silent(part, f"No answer within {PROBE_DEADLINE_S:.0f} s.")
        except QuarterdeckError as error:
            _log.debug("the probe of %s: %s", part, error)


def probes(
    *, github: GithubClient, discord: DiscordClient, agent: Callable[[str], Awaitable[object]],
    environments: Sequence[str], prometheus: PrometheusClient | None = None,
) -> dict[str, Callable[[], Awaitable[object]]]:  # fmt: skip
    """What to ask each part: the cheapest question that only a working part answers. `agent` asks AWS for a host's.

    Alertmanager is asked all the time by whoever compares with it.
    """
    hosts = {f"{HOST}{name}": partial(agent, name) for name in environments}
    beside = {PROMETHEUS: partial(prometheus.query, "1")} if prometheus is not None else {}
    return {DISCORD: discord.own_id, GITHUB: github.probe, AWS: next(iter(hosts.values())), **beside, **hosts}

"""The figures of the status, one number each: processor, memory, disk, requests, errors, latency, the SLO budget left.

Each has an age: it is of now, or the last one that was seen with its time, or unknown. No answer is never 0, and an
answer without a value is *no data*. Kept in memory only.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from bot.alert_settings import FigureSettings
from bot.clients.prometheus import Answer
from bot.errors import Refused, Unavailable
from bot.services.outside import State
from bot.services.plots import Unit
from bot.services.promql import filled

UNITS: Mapping[str, Unit] = {
    "cpu": Unit.PERCENT, "memory": Unit.PERCENT, "disk": Unit.PERCENT, "requests": Unit.REQUESTS,
    "errors": Unit.PERCENT, "p95": Unit.SECONDS, "slo_left": Unit.PERCENT,
}  # fmt: skip
"""The figures in the order in which they are told, and what each is counted in."""
OF_THE_HOST = frozenset({"cpu", "memory", "disk"})
"""These are told once an environment, the others for each of its services."""
LOWEST_IS_WORST = frozenset({"slo_left"})
DEADLINE_S = 4.0
"""For all figures of one place together: an answer without them, now, is worth more."""


class Asked(Protocol):
    """The part of Prometheus' client that the status uses."""

    async def query(self, promql: str, at: datetime | None = None, *, deadline_s: float | None = None) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Vital:
    """One figure. `value` is None where nothing was measured, or where nothing is known (`state`). `of` counts the
    values that the query gave, of which this is the worst one; `seen_at` is when Prometheus said it.
    """

    name: str
    unit: Unit
    state: State
    value: float | None = None
    of: int = 0
    seen_at: datetime | None = None


class Vitals:
    """Asks for them, and remembers what it saw last of each."""

    def __init__(self, queries: FigureSettings, *, prometheus: Asked, deadline_s: float = DEADLINE_S) -> None:
        self._prometheus = prometheus
        self._deadline_s = deadline_s
        configured = {name: str(getattr(queries, name)) for name in UNITS}
        self._queries = {name: query for name, query in configured.items() if query}
        self._seen: dict[tuple[str, str, str], Vital] = {}

    async def of_environment(self, environment: str) -> tuple[Vital, ...]:
        """The host's figures. Never raises for an outage."""
        return await self._all(environment, "", [name for name in self._queries if name in OF_THE_HOST])

    async def of_service(self, environment: str, service: str) -> tuple[Vital, ...]:
        """The figures of one service there. Never raises for an outage."""
        return await self._all(environment, service, [name for name in self._queries if name not in OF_THE_HOST])

    async def _all(self, environment: str, service: str, names: Sequence[str]) -> tuple[Vital, ...]:
        return tuple(await asyncio.gather(*(self._one(environment, service, name) for name in names)))

    async def _one(self, environment: str, service: str, name: str) -> Vital:
        key = (environment, service, name)
        query = filled(self._queries[name], {"environment": environment, "service": service})
        try:
            answer = await self._prometheus.query(query, deadline_s=self._deadline_s)
        except (Unavailable, Refused):
            before = self._seen.get(key)
            return replace(before, state=State.STALE) if before else Vital(name, UNITS[name], State.UNKNOWN)
        values = [one.points[-1][1] for one in answer.series if one.points and math.isfinite(one.points[-1][1])]
        worst = min if name in LOWEST_IS_WORST else max
        value = worst(values) if values else None
        self._seen[key] = Vital(name, UNITS[name], State.LIVE, value, len(values), datetime.now(UTC))
        return self._seen[key]

"""What the comparison found: how much was compared, what did not fit, and what the comparing cost."""

import statistics
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from time import perf_counter
from typing import Any

Json = dict[str, Any]

COSTS_KEPT = 20_000
MISMATCHES_KEPT = 200


class Kind(StrEnum):
    """What was compared: REST exchanges of both services, payloads of the gateway, webhooks that were sent."""

    DISCORD = "discord"
    GATEWAY = "gateway"
    GITHUB = "github"
    WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One place where an exchange is not what its description says. `direction`: to which end it was going.

    `pointer` is a JSON pointer into the body, or into `/query`, `/path` and `/headers` beside it.
    """

    kind: Kind
    operation: str
    direction: str
    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.operation}, {self.direction}, at {self.pointer or '/'}: {self.message}"


class Findings:
    """Counts and mismatches; the same mismatch is kept once, with how often it was seen."""

    def __init__(self) -> None:
        self._compared: Counter[Kind] = Counter()
        self._mismatches: Counter[Mismatch] = Counter()
        self._costs_s: deque[float] = deque(maxlen=COSTS_KEPT)

    @contextmanager
    def comparing(self, kind: Kind) -> Iterator[None]:
        """Count one comparison, and the time that it takes."""
        started = perf_counter()
        try:
            yield
        finally:
            self._compared[kind] += 1
            self._costs_s.append(perf_counter() - started)

    def add(self, mismatch: Mismatch) -> None:
        if mismatch in self._mismatches or len(self._mismatches) < MISMATCHES_KEPT:
            self._mismatches[mismatch] += 1

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        return tuple(self._mismatches)

    def describe(self) -> Json:
        """As `GET /validation` of the control API shows it; the median's unit is milliseconds."""
        median_s = statistics.median(self._costs_s) if self._costs_s else 0.0
        return {
            "exchanges": {kind.value: self._compared[kind] for kind in Kind},
            "mismatches": [asdict(found) | {"times": times} for found, times in self._mismatches.items()],
            "median_ms": round(median_s * 1000, 4),
        }

"""The comparison with others' descriptions over a whole test run: one inspector for the parts that tests open in this
process, and the findings of the worlds that ran in processes of their own. `tests/conftest.py` prints and judges them.
"""

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from bot.sandbox.validation.documents import missing
from bot.sandbox.validation.findings import Mismatch
from bot.sandbox.validation.inspector import Inspector

Json = dict[str, Any]

COUNTED = "QUARTERDECK_COUNTED"
"""The variable that names the file in which a run beside others leaves how much it has compared."""
FLOORS = {"discord": 1000, "gateway": 1000, "github": 1000, "webhooks": 50}
"""So many exchanges a whole run compares at the least: fewer, and somewhere nobody looked."""


class Totals:
    """What was compared in the whole run, and each mismatch with the test in which it was first seen."""

    def __init__(self) -> None:
        self.exchanges: Counter[str] = Counter()
        self.mismatches: dict[str, str] = {}
        self.costs: list[tuple[float, int]] = []
        """Of each process the median of what a comparison cost, in milliseconds, and how many it made."""
        self.unread: list[str] = []
        """Tests at whose end a world could not be asked for its findings."""

    def take(self, described: Json) -> None:
        """Add what a world found, in the form of `GET /validation`."""
        self.exchanges.update(described["exchanges"])
        self.costs.append((described["median_ms"], sum(described["exchanges"].values())))
        for raw in described["mismatches"]:
            self.note(Mismatch(**{name: value for name, value in raw.items() if name != "times"}))

    def note(self, mismatch: Mismatch) -> None:
        self.mismatches.setdefault(str(mismatch), _test())

    def miss(self) -> None:
        """A world did not tell what it found."""
        self.unread.append(_test())


def _test() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "").split(" (")[0]


@cache
def totals() -> Totals:
    """Those of this run."""
    return Totals()


@cache
def inspector() -> Inspector | None:
    """The one of this process; None where a description is missing (a test says which)."""
    return None if missing() else Inspector()


def collect() -> None:
    """Take note of what this process found, after each test: a mismatch then names its test."""
    ours = inspector() if inspector.cache_info().currsize else None
    for mismatch in ours.findings.mismatches if ours else ():
        totals().note(mismatch)


def _compared() -> tuple[Counter[str], list[tuple[float, int]]]:
    """Exchanges of each kind, and what comparing them cost in each process."""
    run = totals()
    exchanges, costs = Counter(run.exchanges), list(run.costs)
    ours = inspector() if inspector.cache_info().currsize else None
    if ours is not None:
        described = ours.findings.describe()
        exchanges.update(described["exchanges"])
        costs.append((described["median_ms"], sum(described["exchanges"].values())))
    return exchanges, costs


def shortfall(exchanges: Counter[str] | None = None) -> list[str]:
    """The kinds of which a whole run has compared too few exchanges; without a count, this process' own."""
    counted = _compared()[0] if exchanges is None else exchanges
    return [f"only {counted[kind]} of {kind}, not {least}" for kind, least in FLOORS.items() if counted[kind] < least]


def leave_count() -> None:
    """Write how much was compared where those are added up who run beside each other."""
    if file := os.environ.get(COUNTED):
        Path(file).write_text(json.dumps(_compared()[0]))


def lines() -> list[str]:
    """The end of the run: how much was compared, at what cost, and what did not fit."""
    run = totals()
    exchanges, costs = _compared()
    if not sum(exchanges.values()):
        return []
    counted = ", ".join(f"{count} {kind}" for kind, count in exchanges.items())
    return [
        f"compared with the descriptions of others: {counted}; {_middle(costs):.3f} ms each at the median",
        *(f"MISMATCH {text}\n    first seen in {test or 'a world'}" for text, test in run.mismatches.items()),
        *(f"not asked for its findings: the world of {test}" for test in run.unread),
        f"{len(run.mismatches)} unexplained mismatches",
    ]


def _middle(costs: list[tuple[float, int]]) -> float:
    """The median over all processes, each counting as often as it compared."""
    half = sum(times for _, times in costs) / 2
    for cost, times in sorted(costs):
        half -= times
        if half <= 0:
            return cost
    return 0.0

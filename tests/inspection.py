"""The comparison with others' descriptions over a whole test run: one inspector for the parts that tests open in this
process, and the findings of the worlds that ran in processes of their own. `tests/conftest.py` prints and judges them.
"""

import os
from collections import Counter
from functools import cache
from typing import Any

from bot.sandbox.validation.documents import missing
from bot.sandbox.validation.findings import Mismatch
from bot.sandbox.validation.inspector import Inspector

Json = dict[str, Any]


class Totals:
    """What was compared in the whole run, and each mismatch with the test in which it was first seen."""

    def __init__(self) -> None:
        self.exchanges: Counter[str] = Counter()
        self.mismatches: dict[str, str] = {}
        self.costs: list[tuple[float, int]] = []
        """Of each process the median of what a comparison cost, in milliseconds, and how many it made."""

    def take(self, described: Json) -> None:
        """Add what a world found, in the form of `GET /validation`."""
        self.exchanges.update(described["exchanges"])
        self.costs.append((described["median_ms"], sum(described["exchanges"].values())))
        for raw in described["mismatches"]:
            self.note(Mismatch(**{name: value for name, value in raw.items() if name != "times"}))

    def note(self, mismatch: Mismatch) -> None:
        self.mismatches.setdefault(str(mismatch), os.environ.get("PYTEST_CURRENT_TEST", "").split(" (")[0])


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


def lines() -> list[str]:
    """The end of the run: how much was compared, at what cost, and what did not fit."""
    run = totals()
    exchanges, costs = Counter(run.exchanges), list(run.costs)
    ours = inspector() if inspector.cache_info().currsize else None
    if ours is not None:
        described = ours.findings.describe()
        exchanges.update(described["exchanges"])
        costs.append((described["median_ms"], sum(described["exchanges"].values())))
    if not sum(exchanges.values()):
        return []
    counted = ", ".join(f"{count} {kind}" for kind, count in exchanges.items())
    return [
        f"compared with the descriptions of others: {counted}; {_middle(costs):.3f} ms each at the median",
        *(f"MISMATCH {text}\n    first seen in {test or 'a world'}" for text, test in run.mismatches.items()),
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

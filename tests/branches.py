"""`python -m tests.branches FILE`: asserts from coverage's JSON that the core's branches alone are covered.

The limit in `pyproject.toml` counts lines and branches together; many lines can hide branches that nobody takes.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

AT_LEAST = 95.0
"""Percent of the branches, in each of the parts."""
PARTS = {"bot.ops": "bot/ops/", "bot.policy": "bot/policy.py"}


def taken(report: Mapping[str, Any], place: str) -> tuple[int, int]:
    """How many branches there are taken, and how many there are."""
    found = [file["summary"] for name, file in report["files"].items() if name.startswith(place)]
    return sum(one["covered_branches"] for one in found), sum(one["num_branches"] for one in found)


def lines(report: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """What is printed of each part, and whether that is enough; a part that was not measured is not."""
    for part, place in PARTS.items():
        covered, there_are = taken(report, place)
        percent = 100 * covered / there_are if there_are else 0.0
        yield f"branches of {part}: {covered} of {there_are} taken, {percent:.1f} %", percent >= AT_LEAST


def main(path: Path) -> int:
    """Print both; exit code 1 where it is too few."""
    enough = True
    for line, fits in lines(json.loads(path.read_text(encoding="utf-8"))):
        print(line if fits else f"{line}: TOO FEW, at least {AT_LEAST:.0f} % are wanted")
        enough = enough and fits
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

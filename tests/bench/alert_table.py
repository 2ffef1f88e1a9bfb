"""The results of the alert bench as a table, kept in the README between its markers."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.processes import ROOT

README = ROOT / "README.md"
MEASURED = ROOT / ".cache" / "bench-alerts.json"
BEGIN, END = "<!-- bench-alerts: begin -->", "<!-- bench-alerts: end -->"
COLUMNS = (
    "scenario", "sender", "known", "untrue", "posts + edits", "shown twice", "429s", "last known, s",
    "after the outage, s",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one contender showed in one scenario. Times are seconds since the storm began."""

    scenario: str
    contender: str
    alerts: int
    known: int
    untrue: int
    posts: int
    edits: int
    twice: int
    limited: int
    limited_per_window: int
    p50_s: float | None
    last_s: float | None
    outage_s: float

    def row(self) -> tuple[str, ...]:
        return (
            self.scenario, self.contender, f"{self.known:,}/{self.alerts:,}", str(self.untrue),
            f"{self.posts} + {self.edits}", str(self.twice), str(self.limited), _seconds(self.last_s),
            _seconds(None if self.last_s is None or not self.outage_s else self.last_s - self.outage_s),
        )  # fmt: skip


def markdown(results: Sequence[Result], weathers: Sequence[tuple[str, str]]) -> str:
    """The table, what its scenarios are, and on what it was measured."""
    lines = [_line(COLUMNS), _line(("---",) * len(COLUMNS)), *(_line(result.row()) for result in results)]
    said = [f"`{name}`: Discord {says}." for name, says in weathers]
    worst = max((result.limited_per_window for result in results if result.contender == "Quarterdeck"), default=0)
    notes = [
        "1,000 alerts in 100 groups at once (`limits`: 228 in six), group_wait 2 s, group_interval 10 s; the sandbox's "
        "Discord with Discord's rate limits throughout. " + " ".join(said),
        (
            "*known*: its own id stood in a message that Discord took. *untrue*: what stands there in the end says "
            "otherwise than Alertmanager. *shown twice*: posted in a second message, until 8 s after all was known."
        ),
        (
            "The senders of one scenario ran at the same time and were watched for 60 to 240 s. Quarterdeck met at "
            f"most {worst} 429 in any window of a bucket. {os.cpu_count()} CPUs with other work as well, load "
            f"{os.getloadavg()[0]:.1f} at the end."
        ),
    ]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)])


def remembered(results: Sequence[Result], order: Sequence[str], path: Path = MEASURED) -> list[Result]:
    """These results and, of the scenarios that are not among them, those that were measured before; written down."""
    fresh = {result.scenario for result in results}
    before = [Result(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []
    kept = [result for result in before if result.scenario not in fresh]
    found = sorted([*kept, *results], key=lambda result: order.index(result.scenario))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(result) for result in found], indent=1), encoding="utf-8")
    return found


def keep(text: str, path: Path = README) -> None:
    """Put it between the markers.

    Raises:
        ValueError: the markers are not there.
    """
    present = path.read_text(encoding="utf-8")
    changed, found = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{text}\n{END}", present, flags=re.DOTALL
    )
    if found != 1:
        raise ValueError(f"{path} lacks the markers {BEGIN} and {END}")
    path.write_text(changed, encoding="utf-8")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"

"""`python -m tests.bench`: measures the parts that are asked for, prints Markdown, kept in `.cache/bench.md`."""

import argparse
import signal
import sys
from collections.abc import Callable
from types import FrameType

from tests.bench import bot, charts, engine, idle, ingest, report, service
from tests.bench.processes import ROOT
from tests.bench.report import Section, Skipped

KEPT = ROOT / ".cache" / "bench.md"


def parser() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure and print Markdown tables.")
    asked.add_argument("parts", nargs="*", metavar="PART", help="service, engine, ingest, bot, charts, idle (all)")
    asked.add_argument("--rounds", type=int, default=5, help="runs of each contender, in turn (default 5)")
    asked.add_argument("--seconds", type=float, default=4.0, help="length of one run of HTTP load (default 4)")
    asked.add_argument("--connections", type=int, default=32, help="keep-alive connections of the load (default 32)")
    asked.add_argument("--operations", type=int, default=500, help="operations in one run of the engine (default 500)")
    asked.add_argument("--rest", type=float, default=60.0, help="seconds of looking at an idle sandbox (default 60)")
    return asked


def main() -> int:
    asked = parser().parse_args()
    parts: dict[str, tuple[str, Callable[[], Section]]] = {
        "service": (
            service.TITLE,
            lambda: service.measure(rounds=asked.rounds, seconds=asked.seconds, connections=asked.connections),
        ),
        "engine": (engine.TITLE, lambda: engine.measure(rounds=asked.rounds, count=asked.operations)),
        "ingest": (ingest.TITLE, lambda: ingest.measure(rounds=asked.rounds, seconds=asked.seconds)),
        "bot": (bot.TITLE, lambda: bot.measure(rounds=asked.rounds)),
        "charts": (charts.TITLE, lambda: charts.measure(rounds=asked.rounds)),
        "idle": (idle.TITLE, lambda: idle.measure(seconds=asked.rest)),
    }
    unknown = set(asked.parts) - set(parts)
    if unknown:
        print(f"bench: there is no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}.", file=sys.stderr)
        return 64
    sections = [_measured(title, measure) for name, (title, measure) in parts.items() if name in (asked.parts or parts)]
    report.write(KEPT, sections)
    print(f"Kept in {KEPT.relative_to(ROOT)}.")
    return 0


def _measured(title: str, measure: Callable[[], Section]) -> str:
    print(f"bench: {title} ...", file=sys.stderr, flush=True)
    try:
        text = measure().markdown()
    except Skipped as reason:
        text = report.skipped(title, str(reason))
    print(text, flush=True)
    return text


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # SIGTERM unwinds like Ctrl-C does, so that nothing that was started is left behind.
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("bench: interrupted; what it had started is ended, and nothing was kept")

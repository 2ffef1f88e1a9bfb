"""The inbox for alerts beside a bare aiohttp handler with one SQLite commit a request, and what a flood does to it.

Both get Alertmanager's payloads of 10 kB over a hundred connections, in turn. The inbox does what it does in the bot:
it checks, reads, stores, and applies the payloads to groups while it takes further ones.
"""

import http.client
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.bare_inbox import TOKEN
from tests.bench.processes import first_line, plain_environment, rss_mib, started
from tests.bench.report import Row, Section
from tests.bench.webhook_load import PATH
from tests.payloads import of_size

TITLE = "Taking alerts in, beside a bare handler"
CONNECTIONS = 100
CALM_CONNECTIONS = 4
SIZE_BYTES = 10_000
FLOOD = 50_000
STEP = 10_000
LARGE_BYTES = 16 * 2**20 - 4096
LARGE_ALERTS = 10_000
DRAIN_S = 600.0


@dataclass
class Contender:
    """One inbox and what its runs gave."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    runs: list[dict[str, float]] = field(default_factory=list)
    longest_stall_ms: float = 0.0

    def load(self, connections: int, seconds: float) -> dict[str, float]:
        """One run of load from a process of its own."""
        arguments = [str(self.port), TOKEN, str(connections), str(seconds), str(SIZE_BYTES)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.webhook_load", *arguments],
            capture_output=True, text=True, check=True, timeout=seconds + 60,
        )  # fmt: skip
        figures: dict[str, float] = json.loads(done.stdout)
        return figures

    def median(self, figure: str) -> float:
        return statistics.median(run[figure] for run in self.runs)

    def row(self) -> Row:
        return (
            self.name, f"{self.median('requests_per_s'):,.0f}", f"{self.median('p50_ms'):.1f}",
            f"{self.median('p99_ms'):.1f}", f"{sum(run['failed'] for run in self.runs):.0f}",
        )  # fmt: skip

    def said(self) -> dict[str, Any]:
        """What our own inbox tells when it is asked: its longest stall since it was last asked, and what waits."""
        self.process.send_signal(signal.SIGUSR1)
        said = first_line(self.process)
        self.longest_stall_ms = max(self.longest_stall_ms, float(said["longest_stall_ms"]))
        return said

    def drained(self) -> float:
        """How long until every payload is applied, in seconds."""
        began = time.monotonic()
        while self.said()["waiting"] and time.monotonic() - began < DRAIN_S:
            time.sleep(0.2)
        return time.monotonic() - began


def measure(*, rounds: int, seconds: float) -> Section:
    """Both in turn; then our own alone, under a flood and with the largest payload."""
    with _inbox("bare_inbox", "bare handler, a commit a request") as bare, _inbox("alert_inbox", "Quarterdeck") as ours:
        for _ in range(rounds):
            for contender in (bare, ours):
                contender.runs.append(contender.load(CONNECTIONS, seconds))
            ours.drained()
        calm = ours.load(CALM_CONNECTIONS, seconds)
        ours.drained()
        flood, large = _flood(ours, seconds), _large(ours)
        ratio = ours.median("requests_per_s") / bare.median("requests_per_s")
        return Section(
            title=TITLE,
            columns=("inbox", "payloads/s", "p50 ms", "p99 ms", "failed"),
            rows=[ours.row(), bare.row()],
            notes=[
                f"Quarterdeck takes {ratio:.2f}x the payloads/s of the bare one, and reads and applies them as well.",
                (
                    f"Medians of {rounds} runs of {seconds:g} s in turn; {CONNECTIONS} connections without pause, ten "
                    f"alerts in {SIZE_BYTES / 1000:g} kB."
                ),
                f"With {CALM_CONNECTIONS} connections: p50 {calm['p50_ms']:.1f} ms, p99 {calm['p99_ms']:.1f} ms.",
                flood,
                large,
            ],
        )


def _flood(ours: Contender, seconds: float) -> str:
    """Memory while many payloads come in, told after every ten thousand of them once they are applied."""
    taken, next_at, seen = 0.0, STEP, [f"{rss_mib(ours.process.pid):.0f} before"]
    began = time.monotonic()
    while taken < FLOOD:
        taken += ours.load(CONNECTIONS, seconds)["answered"]
        if taken >= next_at:
            ours.drained()
            next_at = int(taken // STEP + 1) * STEP
            seen.append(f"{rss_mib(ours.process.pid):.0f} after {taken:,.0f}")
            print(f"ingest: RSS {seen[-1]}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return f"RSS in MiB over a flood of {taken:,.0f} payloads, each time when all were applied: {', '.join(seen)}."


def _large(ours: Contender) -> str:
    """The largest payload that is taken: how long its answer takes, and how long the loop stands still for it."""
    body = of_size("Huge", LARGE_BYTES, alerts=LARGE_ALERTS)
    ours.said()
    ours.longest_stall_ms = 0.0
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=120)
    began = time.monotonic()
    connection.request("POST", PATH, body=body, headers={"Authorization": f"Bearer {TOKEN}"})
    status = connection.getresponse().status
    answered_s = time.monotonic() - began
    applied_s = ours.drained()
    return (
        f"One payload of {len(body) / 2**20:.1f} MiB with {LARGE_ALERTS:,} alerts of one group: answered {status} "
        f"after {answered_s:.2f} s and applied {applied_s:.1f} s later; the event loop stood still for "
        f"{ours.longest_stall_ms:.0f} ms at most."
    )


@contextmanager
def _inbox(program: str, name: str) -> Iterator[Contender]:
    with tempfile.TemporaryDirectory(prefix="quarterdeck-inbox-") as folder:
        arguments = [sys.executable, "-m", f"tests.bench.{program}", str(Path(folder)), TOKEN]
        with started(arguments, environ=plain_environment()) as process:
            yield Contender(name, process, int(first_line(process)["port"]))

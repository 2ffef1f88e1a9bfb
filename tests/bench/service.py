"""The service beside a minimal Express on Node: requests per second on `/health`, latency and memory.

Express answers with one bare route; the service does what it does in production (counts, measures, logs at its usual
level). Both get the same load, in turn, several times.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import cpu_s, first_line, plain_environment, rss_mib, started
from tests.bench.report import Section, Skipped

TITLE = "The service beside Express, `/health`"
EXPRESS = "express@5.3.0"
SCRIPT = Path(__file__).with_name("express_health.js")
NPM_TIMEOUT_S = 180


@dataclass
class Contender:
    """One server and what its runs gave."""

    name: str
    port: int
    pid: int
    idle_mib: float
    runs: list[dict[str, float]] = field(default_factory=list)

    def load(self, connections: int, seconds: float) -> None:
        """One run of load from a process of its own; the processor time is this server's alone."""
        arguments = [sys.executable, "-m", "tests.bench.http_load", str(self.port), str(connections), str(seconds)]
        before_s = cpu_s(self.pid)
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=seconds + 30)
        figures: dict[str, float] = json.loads(done.stdout)
        figures["cpu_us"] = (cpu_s(self.pid) - before_s) / figures["answered"] * 1e6
        self.runs.append(figures)

    def median(self, figure: str) -> float:
        return statistics.median(run[figure] for run in self.runs)

    def row(self, loaded_mib: float) -> tuple[str, ...]:
        return (
            self.name,
            f"{self.median('requests_per_s'):,.0f}",
            f"{self.median('p50_ms'):.2f}",
            f"{self.median('p99_ms'):.2f}",
            f"{self.median('cpu_us'):.0f}",
            f"{self.idle_mib:.0f}",
            f"{loaded_mib:.0f}",
            f"{sum(run['failed'] for run in self.runs):.0f}",
        )


def measure(*, rounds: int, seconds: float, connections: int) -> Section:
    """Run both, in turn.

    Raises:
        Skipped: Node or npm is not here, or Express cannot be installed.
    """
    with _express() as express, _service() as service:
        for _ in range(rounds):
            for contender in (express, service):
                contender.load(connections, seconds)
        return _section(express, service, connections=connections, rounds=rounds, seconds=seconds)


def _section(express: Contender, service: Contender, *, connections: int, rounds: int, seconds: float) -> Section:
    memory = {contender.name: rss_mib(contender.pid) for contender in (express, service)}
    speed = service.median("requests_per_s") / express.median("requests_per_s")
    work = service.median("cpu_us") / express.median("cpu_us")
    lean = memory[service.name] / memory[express.name]
    return Section(
        title=TITLE,
        columns=(
            "server",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "CPU µs/request",
            "RSS idle MiB",
            "RSS after MiB",
            "failed",
        ),
        rows=[contender.row(memory[contender.name]) for contender in (service, express)],
        notes=[
            f"The service gives {speed:.2f}x the requests/s of Express; {work:.2f}x its CPU, {lean:.2f}x its memory.",
            f"Medians of {rounds} runs of {seconds:g} s in turn, {connections} keep-alive connections each.",
            "On a busy machine requests/s depend on the scheduler; CPU time per request does not.",
            "Express has one bare route; the service counts and measures each request as in production.",
        ],
    )


@contextmanager
def _express() -> Iterator[Contender]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Skipped("node and npm are not installed here; with them Express is fetched into a temporary folder.")
    with tempfile.TemporaryDirectory(prefix="quarterdeck-express-") as name:
        folder = Path(name)
        _install(npm, folder)
        shutil.copy(SCRIPT, folder / "server.js")
        environ = plain_environment(NODE_ENV="production")
        with started([node, "server.js"], environ=environ, folder=folder) as process:
            yield _contender(f"Express {EXPRESS.partition('@')[2]}, Node {_version(node)}", process)


def _install(npm: str, folder: Path) -> None:
    quiet = ("--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error")
    try:
        done = subprocess.run(
            [npm, "install", *quiet, EXPRESS],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Skipped(f"npm did not bring {EXPRESS} within {NPM_TIMEOUT_S} s.") from None
    if done.returncode != 0:
        raise Skipped(f"npm could not install {EXPRESS} (exit code {done.returncode}).")


def _version(node: str) -> str:
    return subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip().lstrip("v")


@contextmanager
def _service() -> Iterator[Contender]:
    environ = plain_environment(PORT="0", HOST="127.0.0.1")
    with started([sys.executable, "-m", "app"], environ=environ) as process:
        yield _contender("`python -m app`", process)


def _contender(name: str, process: subprocess.Popen[bytes]) -> Contender:
    port = int(first_line(process)["port"])
    return Contender(name=name, port=port, pid=process.pid, idle_mib=rss_mib(process.pid))

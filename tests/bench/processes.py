"""Child processes of the bench: started with a line of JSON as their first word, measured, ended by their own pid."""

import json
import math
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

END_TIMEOUT_S = 30.0
ROOT = Path(__file__).parents[2]


@contextmanager
def started(
    arguments: Sequence[str], *, environ: Mapping[str, str], folder: Path = ROOT, log: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the context lasts; it ends by SIGTERM, or by SIGKILL if it does not obey."""
    process = subprocess.Popen(
        arguments, env=dict(environ), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def first_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The JSON object that the program printed first, such as where it listens."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with code {process.wait()} before its first line")
    answer: dict[str, Any] = json.loads(line)
    return answer


def rss_mib(pid: int) -> float:
    """Resident memory of one process, in MiB."""
    ps = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True, text=True)
    return int(ps.stdout) / 1024


def cpu_s(pid: int) -> float:
    """Processor time of one process so far, user and system, in seconds; NaN where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except FileNotFoundError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def plain_environment(**more: str) -> dict[str, str]:
    """This process's environment without anything that steers the service."""
    return {k: v for k, v in os.environ.items() if not k.startswith("APP_")} | more

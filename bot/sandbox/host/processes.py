"""Ending processes that this world started, and only those: a number alone may long belong to somebody else."""

import asyncio
import os
import signal
import subprocess
import time
import zlib
from contextlib import suppress
from pathlib import Path

POLL_S = 0.02


def started_ticks(pid: int) -> int:
    """A number that tells this process from a later one with its pid; 0 when there is none or it is a zombie.

    Where there is a /proc it is the start in clock ticks since boot (proc(5), `stat` field 22).
    """
    if not Path("/proc/self/stat").exists():
        return _started_by_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    state_on = stat.rpartition(")")[2].split()
    return int(state_on[19]) if state_on[0] != "Z" else 0


def _started_by_ps(pid: int) -> int:
    """The same where there is no /proc: a checksum of the starting time that `ps` prints."""
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = answer.stdout.strip().partition(" ")
    return zlib.crc32(started.strip().encode()) if started and not state.startswith("Z") else 0


def is_alive(pid: int, *, ticks: int) -> bool:
    """Whether that very process, and not a later one of the same number, still lives (a zombie does not)."""
    return pid > 1 and ticks > 0 and started_ticks(pid) == ticks


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send to the process group that the process leads."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def end_process(pid: int, *, ticks: int, grace_s: float) -> None:
    """SIGTERM to the group, SIGKILL after `grace_s`; returns when the leader is gone. Does nothing if it is already."""
    if not is_alive(pid, ticks=ticks):
        return
    if grace_s > 0:
        signal_group(pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while is_alive(pid, ticks=ticks) and time.monotonic() < deadline:  # noqa: ASYNC110 - as below
            await asyncio.sleep(POLL_S)
    signal_group(pid, signal.SIGKILL)  # also what outlived its leader
    while is_alive(pid, ticks=ticks):  # noqa: ASYNC110 - no event tells of the end of a process that is not our child
        await asyncio.sleep(POLL_S)

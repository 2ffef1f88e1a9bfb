"""The figures of the world's hosts, as a node exporter shows a machine's: made up, and moved by levers.

No figure is the visitor's machine's. Each environment has one host with two file systems; its figures are written once
a second into a text file of its own, which a real node exporter reads.
"""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

TICK_S = 1.0
CPUS = 2
MEMORY_BYTES = 4 * 2**30
FILE_SYSTEMS: Mapping[str, tuple[str, int]] = {
    "/": ("/dev/nvme0n1p1", 30 * 2**30),
    "/var/lib/docker": ("/dev/nvme1n1", 60 * 2**30),
}
"""Mount point: device and size."""
SWITCHED_OFF = "sandbox_watchdog_switched_off"
"""1 while the heartbeat is to be silent: the rule of the Watchdog asks for it."""
Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True)
class Calm:
    """How a host stands while nobody moves it: shares of 1."""

    cpu: float
    memory: float
    disk: Mapping[str, float]


AT_EASE: Mapping[str, Calm] = {
    "dev": Calm(cpu=0.11, memory=0.47, disk={"/": 0.38, "/var/lib/docker": 0.29}),
    "prod": Calm(cpu=0.23, memory=0.58, disk={"/": 0.44, "/var/lib/docker": 0.51}),
}
MOVED: Mapping[str, Mapping[Severity, float]] = {
    "burn_cpu": {"warning": 0.91, "critical": 0.99},
    "fill_memory": {"warning": 0.91, "critical": 0.98},
    "fill_disk": {"warning": 0.91, "critical": 0.97},
}
"""What each lever brings its figure to: beyond the threshold of the warning, or also of the critical alert."""


@dataclass(slots=True)
class Host:
    """One host: what is moved, and the seconds that its processors have counted."""

    environment: str
    calm: Calm
    cpu: Severity | None = None
    memory: Severity | None = None
    disk: dict[str, Severity] = field(default_factory=dict)
    idle_s: float = 1.0e6
    busy_s: float = 2.0e5
    counted_at: float = field(default_factory=time.monotonic)

    def cpu_share(self) -> float:
        return MOVED["burn_cpu"][self.cpu] if self.cpu else self._breathing(self.calm.cpu)

    def memory_share(self) -> float:
        return MOVED["fill_memory"][self.memory] if self.memory else self._breathing(self.calm.memory)

    def disk_share(self, mount: str) -> float:
        level = self.disk.get(mount)
        return MOVED["fill_disk"][level] if level else self.calm.disk[mount]

    def count(self) -> None:
        """Let the processors have worked since the last time."""
        now = time.monotonic()
        passed_s, self.counted_at = now - self.counted_at, now
        share = self.cpu_share()
        self.busy_s += passed_s * share
        self.idle_s += passed_s * (1 - share)

    @staticmethod
    def _breathing(share: float) -> float:
        """A little up and down over some minutes, so that a chart shows a living thing."""
        return share * (1 + 0.15 * math.sin(time.time() / 90) + 0.05 * math.sin(time.time() / 17))


class Hosts:
    """The hosts by environment, and the task that writes their figures down."""

    def __init__(self, *, folder: Path, environments: tuple[str, ...]) -> None:
        self._folder = folder
        self.hosts = {name: Host(name, AT_EASE.get(name, AT_EASE["dev"])) for name in environments}
        self.watchdog_off = False
        self._started_at = time.time()
        self._writer: asyncio.Task[None] | None = None

    def directory(self, environment: str) -> Path:
        """The folder that the host's node exporter reads."""
        return self._folder / environment

    def start(self) -> None:
        for environment in self.hosts:
            self.directory(environment).mkdir(parents=True, exist_ok=True)
        self.write()
        self._writer = asyncio.create_task(self._keep_writing(), name="host-figures")

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    def write(self) -> None:
        """Write every host's figures as they are now."""
        for host in self.hosts.values():
            host.count()
            file = self.directory(host.environment) / "host.prom"
            draft = file.with_suffix(".new")
            draft.write_text("".join(f"{line}\n" for line in self._lines(host)), encoding="utf-8")
            draft.replace(file)

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.write()

    def _lines(self, host: Host) -> Iterator[str]:
        yield "# TYPE node_cpu_seconds_total counter"
        for cpu in range(CPUS):
            yield f'node_cpu_seconds_total{{cpu="{cpu}",mode="idle"}} {host.idle_s:.3f}'
            yield f'node_cpu_seconds_total{{cpu="{cpu}",mode="user"}} {host.busy_s * 0.8:.3f}'
            yield f'node_cpu_seconds_total{{cpu="{cpu}",mode="system"}} {host.busy_s * 0.2:.3f}'
        yield f"node_load1 {host.cpu_share() * CPUS:.3f}"
        yield f"node_boot_time_seconds {self._started_at:.0f}"
        yield f"node_memory_MemTotal_bytes {MEMORY_BYTES}"
        yield f"node_memory_MemAvailable_bytes {MEMORY_BYTES * (1 - host.memory_share()):.0f}"
        for mount, (device, size) in FILE_SYSTEMS.items():
            labels = f'device="{device}",fstype="ext4",mountpoint="{mount}"'
            yield f"node_filesystem_size_bytes{{{labels}}} {size}"
            yield f"node_filesystem_avail_bytes{{{labels}}} {size * (1 - host.disk_share(mount)):.0f}"
        yield f"{SWITCHED_OFF} {int(self.watchdog_off)}"

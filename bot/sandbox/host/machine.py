"""One environment's machine in the stand-in: a folder with `bin`, `etc`, `root` (its HOME) and `var`, and who it is.

Two environments are two machines: neither sees the other's containers, credentials or upstream files.
"""

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from bot.sandbox.cast import AWS_ACCOUNT, AWS_REGION
from bot.sandbox.host.machine_files import write_private, write_program

NEEDED = ("bash", "curl", "flock", "git")
"""What the host's scripts run and the stand-in cannot bring itself."""
SCRIPTS = {
    "quarterdeck-deploy": "deploy",
    "quarterdeck-rollback": "rollback",
    "quarterdeck-restart": "restart",
    "quarterdeck-logs": "logs",
    "quarterdeck-status": "status",
    "quarterdeck-monitoring": "monitoring",
    "quarterdeck-disk-clean": "disk-clean",
    "quarterdeck-run-doctor": "doctor",
}
"""What the SSM documents call, and the file of `infra/host` behind it."""
HERE = Path(__file__).resolve().parent
REGISTRY = f"{AWS_ACCOUNT}.dkr.ecr.{AWS_REGION}.amazonaws.com"


PORT_FIRST, PORTS, SHARES = 18_000, 50, 240
"""Where the ports of containers begin, how many a machine has, and how many machines could have some of their own."""


def missing_programs() -> list[str]:
    """Which programs the host's scripts need and this machine lacks."""
    return [name for name in NEEDED if shutil.which(name) is None]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where things are on one machine. `instance_id` is the EC2 instance that it plays."""

    environment: str
    instance_id: str
    root: Path
    world: str

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def home(self) -> Path:
        return self.root / "root"

    @property
    def settings_file(self) -> Path:
        return self.root / "etc" / "host.env"

    @property
    def upstreams(self) -> Path:
        return self.root / "etc" / "upstreams"

    def upstream_file(self, service: str) -> Path:
        """The file that the deploy script writes and the relay reads."""
        return self.upstreams / f"{self.environment}-{service}.conf"

    def environ(self, path: str) -> dict[str, str]:
        """The whole environment of a command that runs here; nothing of the sandbox's own is inherited."""
        return {
            "PATH": f"{self.bin}:{path}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "QUARTERDECK_HOST_ENV": str(self.settings_file),
        }

    def lay_out(self) -> None:
        """Make the folders."""
        for folder in (self.bin, self.home / ".aws", self.upstreams, self.root / "var", self.root / "run"):
            folder.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)

    def write_settings(self, fronts: dict[str, str]) -> None:
        """Write `host.env`: what the deploy script has to know about this host; `fronts` are URLs by service."""
        lines = {
            "ENVIRONMENT": self.environment,
            "REGION": AWS_REGION,
            "REGISTRY": REGISTRY,
            "STATE_DIR": self.root / "var",
            "UPSTREAM_DIR": self.upstreams,
            "LOCK_DIR": self.root / "run",
            "RELOAD_COMMAND": self.bin / "quarterdeck-reload",
            "HEALTH_INTERVAL_S": "0.2",
            "WORLD": self.world,
            "PORT_FIRST": self._first_port(),
            "PORT_LAST": self._first_port() + PORTS - 1,
        } | {f"FRONT_URL_{service.upper().replace('-', '_')}": url for service, url in fronts.items()}
        self._keep_overrides(lines)

    def _first_port(self) -> int:
        """Where this machine's share of the ports below the kernel's own begins.

        Machines beside each other, of one world or of several, rarely meet: a port is only known to be taken once the
        process in a container listens, so that two that start at once must not pick from the same ports.
        """
        return PORT_FIRST + PORTS * (crc32(f"{self.world} {self.environment}".encode()) % SHARES)

    def _keep_overrides(self, lines: dict[str, object]) -> None:
        """What a person set in `host.env` beside our own lines (such as a shorter health deadline) stays."""
        written = self.settings_file.read_text(encoding="utf-8").splitlines() if self.settings_file.is_file() else []
        extra = [line for line in written if "=" in line and line.partition("=")[0] not in lines]
        text = "".join(f"{name}={value}\n" for name, value in lines.items()) + "".join(f"{line}\n" for line in extra)
        write_private(self.settings_file, text)

    def write_aws(self, *, endpoint_url: str, key: tuple[str, str]) -> None:
        """Write `~/.aws`: the credentials that an instance profile gives on a real host."""
        write_private(
            self.home / ".aws" / "config",
            f"[default]\nregion = {AWS_REGION}\nendpoint_url = {endpoint_url}\n",
        )
        write_private(
            self.home / ".aws" / "credentials",
            f"[default]\naws_access_key_id = {key[0]}\naws_secret_access_key = {key[1]}\n",
        )

    def write_programs(self, *, socket: Path, scripts: Path, engine: Sequence[str] | None) -> None:
        """Write `bin`: our scripts from the checkout, and a shim for everything that a real host has installed.

        Args:
            socket: where the shims reach the stand-in.
            scripts: the checkout's `infra/host`.
            engine: what to run as `docker`; None for the stand-in's own.
        """
        python = shlex.quote(sys.executable)
        shim = f"exec {python} -I -S {shlex.quote(str(HERE / 'shim.py'))} {shlex.quote(str(socket))}"
        docker = f'{shim} docker "$@"' if engine is None else f'exec {shlex.join(engine)} "$@"'
        programs = {
            "docker": docker,
            "quarterdeck-reload": f'{shim} quarterdeck-reload "$@"',
            "aws": f'exec {python} -I {shlex.quote(str(HERE / "aws_shim.py"))} "$@"',
            "python3": f'exec {python} "$@"',
        } | {name: f'exec {shlex.quote(str(scripts / file))} "$@"' for name, file in SCRIPTS.items()}
        for name, line in programs.items():
            write_program(self.bin / name, f"#!/bin/sh\n{line}\n")

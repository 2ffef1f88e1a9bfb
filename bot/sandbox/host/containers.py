"""Containers without an engine: each is a process of its own session, on a real port, kept as its restart policy says.

This is the part of the stand-in that a container engine plays on a real host: images unpacked from the world's archive,
names, labels, logs, states, restarts with growing pauses, and a record on disk from which the next start of the world
brings the same containers back. It isolates nothing: what runs here is the visitor's own checkout.
"""

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from bot.sandbox.host.processes import end_process, started_ticks

FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_AFTER_S = 0.1, 60.0, 10.0
"""Docker's back-off: 100 ms doubled up to a minute, reset after ten seconds (docs.docker.com, restart policies)."""
LOG_MAX, LOG_KEPT = 8 * 1024 * 1024, 256 * 1024
Status = Literal["created", "running", "restarting", "exited"]


class EngineError(Exception):
    """The engine's refusal, in the words that the command line prints; `code` is its exit code."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What `docker run` asks for. `port` is on loopback of the machine."""

    name: str
    image: str
    labels: dict[str, str]
    env: dict[str, str]
    port: int
    container_port: int
    restart: str


@dataclass(slots=True)
class Container:
    """One container, as the record on disk has it. `wanted` is false once somebody stopped it."""

    id: str
    order: RunOrder
    digest: str
    created_at: str
    status: Status = "created"
    wanted: bool = True
    pid: int = 0
    pid_ticks: int = 0
    exit_code: int = 0
    restarts: int = 0
    started_at: str = ""
    finished_at: str = ""
    keeper: "asyncio.Task[None] | None" = field(default=None, compare=False)
    changed: asyncio.Event = field(default_factory=asyncio.Event, compare=False)

    @property
    def name(self) -> str:
        return self.order.name

    def record(self) -> dict[str, Any]:
        skipped = ("order", "keeper", "changed")
        return {"order": asdict(self.order)} | {k: getattr(self, k) for k in self.__slots__ if k not in skipped}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Container":
        return cls(order=RunOrder(**record.pop("order")), **record)


def utc_text() -> str:
    """Now, as the engine writes times."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Containers:
    """The containers of one machine. `archive` holds the images as `<64 hex>.tar`; all else lives under `directory`."""

    def __init__(self, *, directory: Path, archive: Path, announce: Callable[[str, dict[str, Any]], None]) -> None:
        self._directory = directory
        self._archive = archive
        self._announce = announce
        self._containers: dict[str, Container] = {}
        self._closing = False

    # -- life of the whole ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read the record, end what an earlier world left running, and start again what its restart policy wants."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for file in sorted(self._directory.glob("containers/*/container.json")):
            container = Container.from_record(json.loads(file.read_text(encoding="utf-8")))
            self._containers[container.name] = container
            await end_process(container.pid, ticks=container.pid_ticks, grace_s=3.0)
            container.pid = 0
            if container.wanted and container.order.restart == "unless-stopped":
                self._keep(container)
            elif container.status in ("running", "restarting"):
                container.status = "exited"

    async def close(self) -> None:
        """End every process, but leave the record as it stands, so that the next `open` brings the same back."""
        self._closing = True
        keepers = [c.keeper for c in self._containers.values() if c.keeper is not None]
        await asyncio.gather(*(self._end(c, grace_s=3.0) for c in self._containers.values()))
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    # -- images -----------------------------------------------------------------------------------------------------

    def image_root(self, digest: str) -> Path:
        return self._directory / "images" / digest.removeprefix("sha256:")

    def has_image(self, digest: str) -> bool:
        return (self.image_root(digest) / "image.json").is_file()

    async def unpack(self, digest: str) -> None:
        """Bring an image from the archive to this machine; does nothing when it is here.

        Raises:
            EngineError: the archive has no such image.
        """
        if self.has_image(digest):
            return
        archived = self._archive / f"{digest.removeprefix('sha256:')}.tar"
        if not archived.is_file():
            raise EngineError(f"manifest for {digest} not found: manifest unknown: Requested image not found")
        await asyncio.to_thread(_place, archived, self.image_root(digest))

    # -- one container ----------------------------------------------------------------------------------------------

    def all(self) -> list[Container]:
        """Every container, the newest first."""
        return sorted(self._containers.values(), key=lambda c: c.created_at, reverse=True)

    def find(self, name: str) -> Container:
        """By name or by the beginning of the id.

        Raises:
            EngineError: there is none.
        """
        for container in self._containers.values():
            if container.name == name or (len(name) >= 4 and container.id.startswith(name)):
                return container
        raise EngineError(f"Error: No such container: {name}")

    async def run(self, order: RunOrder) -> Container:
        """Create and start.

        Raises:
            EngineError: the image is not here, the name or the port is taken.
        """
        digest = order.image.rpartition("@")[2]
        if not digest.startswith("sha256:") or not self.has_image(digest):
            raise EngineError(f"Unable to find image '{order.image}' locally", code=125)
        if order.name in self._containers:
            raise EngineError(f'Conflict. The container name "/{order.name}" is already in use.', code=125)
        container = Container(id=secrets.token_hex(32), order=order, digest=digest, created_at=utc_text())
        self._containers[order.name] = container
        self._save(container)
        if not _port_free(order.port):
            raise EngineError(f"Bind for 127.0.0.1:{order.port} failed: port is already allocated.", code=125)
        await self.start(container)
        return container

    async def start(self, container: Container) -> None:
        """Start a container that does not run; returns once its process exists or has failed to."""
        if container.keeper is not None and not container.keeper.done():
            return
        container.wanted, container.restarts = True, 0
        container.changed.clear()
        self._keep(container)
        await container.changed.wait()

    async def stop(self, container: Container, *, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after `grace_s`; returns when it is down."""
        container.wanted = False
        self._save(container)
        await self._end(container, grace_s=grace_s)
        if container.keeper is not None:
            with suppress(asyncio.CancelledError):
                if container.status == "restarting":
                    container.keeper.cancel()
                await container.keeper
        if container.status != "created":
            container.status = "exited"
        self._save(container)

    async def remove(self, container: Container, *, force: bool) -> None:
        """Forget the container and its log.

        Raises:
            EngineError: it runs and `force` is not given.
        """
        if container.status in ("running", "restarting"):
            if not force:
                raise EngineError(f"cannot remove container {container.name!r}: container is running: stop it first")
            await self.stop(container, grace_s=0)
        self._containers.pop(container.name, None)
        directory = self._home(container)
        for file in sorted(directory.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink(missing_ok=True)
        directory.rmdir()
        self._announce("container.removed", {"name": container.name})

    def log(self, container: Container, *, tail: int | None) -> str:
        """What it wrote to stdout and stderr; the last `tail` lines."""
        try:
            text = self._log_file(container).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        lines = text.splitlines(keepends=True)
        return "".join(lines if tail is None else lines[len(lines) - min(tail, len(lines)) :])

    # -- keeping ----------------------------------------------------------------------------------------------------

    def _keep(self, container: Container) -> None:
        container.keeper = asyncio.create_task(self._keeper(container), name=f"keeper of {container.name}")

    async def _keeper(self, container: Container) -> None:
        """Run the process, again and again as the policy says."""
        pause_s = FIRST_PAUSE_S
        while True:
            lived_s = await self._live(container)
            if self._closing:
                return
            again = container.wanted and container.order.restart in ("unless-stopped", "always")
            container.status = "restarting" if again else "exited"
            self._save(container)
            self._announce(
                "container.died", {"name": container.name, "exit_code": container.exit_code, "restarts": again}
            )
            if not again:
                return
            pause_s = FIRST_PAUSE_S if lived_s >= STEADY_AFTER_S else pause_s
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            container.restarts += 1

    async def _live(self, container: Container) -> float:
        """One life of the process, from start to end; returns its length in seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            process = await self._spawn(container)
        except OSError as error:
            self._log_file(container).write_text(f"cannot start: {error}\n", encoding="utf-8")
            container.exit_code = 127
            container.changed.set()
            return 0.0
        container.pid, container.pid_ticks = process.pid, started_ticks(process.pid)
        container.status, container.started_at, container.finished_at = "running", utc_text(), ""
        self._save(container)
        container.changed.set()
        self._announce("container.started", {"name": container.name, "pid": process.pid, "port": container.order.port})
        code = await self._watch(container, process)
        container.exit_code = code if code >= 0 else 128 - code
        container.pid, container.finished_at = 0, utc_text()
        return loop.time() - began

    async def _spawn(self, container: Container) -> asyncio.subprocess.Process:
        root = self.image_root(container.digest)
        image = json.loads((root / "image.json").read_text(encoding="utf-8"))
        command = [sys.executable if word in ("python", "python3") else word for word in image["command"]]
        environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._home(container)),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            **image.get("env", {}),
            **container.order.env,
            # There is no network namespace here: the process itself listens where a published port would.
            "PORT": str(container.order.port),
            "HOST": "127.0.0.1",
        }
        with self._log_file(container).open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                cwd=root,
                env=environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _watch(self, container: Container, process: asyncio.subprocess.Process) -> int:
        """Wait for the end, and keep the log from growing without bound meanwhile."""
        ended = asyncio.ensure_future(process.wait())
        try:
            while not (await asyncio.wait({ended}, timeout=30))[0]:
                _shorten(self._log_file(container))
            return ended.result()
        finally:
            ended.cancel()

    async def _end(self, container: Container, *, grace_s: float) -> None:
        await end_process(container.pid, ticks=container.pid_ticks, grace_s=grace_s)

    def _home(self, container: Container) -> Path:
        return self._directory / "containers" / container.id[:12]

    def _log_file(self, container: Container) -> Path:
        return self._home(container) / "log"

    def _save(self, container: Container) -> None:
        if container.name not in self._containers:
            return
        home = self._home(container)
        home.mkdir(parents=True, exist_ok=True)
        fresh = home / "container.json.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(container.record(), file)
        fresh.replace(home / "container.json")


def unpack(archived: Path, folder: Path) -> None:
    """Unpack an archived image into a new folder; only files and folders that lie in it."""
    folder.mkdir(parents=True)
    with tarfile.open(archived) as tar:
        inside = [
            m
            for m in tar
            if (m.isfile() or m.isdir()) and not Path(m.name).is_absolute() and ".." not in Path(m.name).parts
        ]
        tar.extractall(folder, members=inside)  # noqa: S202 - members are checked in the line above


def _place(archived: Path, root: Path) -> None:
    """All or nothing: into a folder beside, then renamed."""
    fresh = root.with_name(f"{root.name}.{secrets.token_hex(4)}")
    unpack(archived, fresh)
    with suppress(OSError):  # another pull of the same image was quicker
        fresh.rename(root)


def _port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _shorten(log: Path) -> None:
    """Keep the end of a log that grew too long; its writer appends, so it goes on after the cut."""
    if log.stat().st_size <= LOG_MAX:
        return
    with log.open("rb+") as file:
        file.seek(-LOG_KEPT, os.SEEK_END)
        kept = file.read()
        file.seek(0)
        file.write(kept)
        file.truncate()


def ended_by(exit_code: int) -> str:
    """The name of the signal behind an exit code over 128; empty if there is none."""
    try:
        return signal.Signals(exit_code - 128).name
    except ValueError:
        return ""

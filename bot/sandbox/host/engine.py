"""A real container engine behind the same scripts: podman with a storage of its own, or docker as it is installed.

It brings what a real host finds in AWS: a registry to pull from (the `registry` program, on loopback) and images built
from the Dockerfile that lies in the same archive the stand-in unpacks. Everything it makes carries the label
`quarterdeck.world=<id>`; nothing without that label is stopped, removed or even listed.
"""

import asyncio
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bot.sandbox.host.containers import unpack
from bot.sandbox.host.machine_files import write_private
from bot.sandbox.images import ImageRecord

BASE_IMAGE = "python:3.12-slim"
SHIM = Path(__file__).resolve().parent / "engine_shim.py"
REGISTRY_PROGRAMS = ("docker-registry", "registry")
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
compat_api_enforce_docker_hub = false
"""
"""For podman inside a container, where neither systemd nor the right to raise limits is to be had."""


class EngineFailed(RuntimeError):
    """The engine, or the registry beside it, could not do what was asked; the text has the end of what it said."""


@dataclass(frozen=True, slots=True)
class Said:
    """How a program of the engine ended."""

    code: int
    text: str


class Engine:
    """One engine for all machines of a world. `directory` keeps its storage, the registry's and downloaded packages."""

    def __init__(self, *, program: str, directory: Path, archive: Path, world: str, registry_name: str) -> None:
        self._program = program
        self._directory = directory
        self._archive = archive
        self._world = world
        self._registry_name = registry_name
        self._registry: asyncio.subprocess.Process | None = None
        self._port = 0
        self._base = ""
        self._building = asyncio.Lock()

    @property
    def _flags(self) -> list[str]:
        if self._program != "podman":
            return []
        return ["--root", str(self._directory / "root"), "--runroot", str(self._run_root)]

    @property
    def _run_root(self) -> Path:
        """Where podman keeps what lives until the next boot: the same at each start, and of less than 50 characters."""
        return Path(tempfile.gettempdir()) / f"quarterdeck-{self._world}"

    @property
    def _environ(self) -> dict[str, str]:
        return {**os.environ, "CONTAINERS_CONF": str(self._directory / "containers.conf")}

    @property
    def _label(self) -> str:
        return f"quarterdeck.world={self._world}"

    @property
    def command(self) -> list[str]:
        """What a machine's `docker` runs."""
        return [sys.executable, "-I", "-S", str(SHIM), str(self._directory / "shim.json")]

    # -- life -------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the registry, and again what ran when the world was closed.

        Raises:
            EngineFailed: a program is missing or does not work here; the text says which.
        """
        for name in (self._program, *(["runc"] if self._program == "podman" else [])):
            if shutil.which(name) is None:
                raise EngineFailed(f"ENGINE={self._program} needs the program {name}, which is not installed.")
        self._directory.mkdir(parents=True, exist_ok=True)
        self._own_run_root()
        write_private(self._directory / "containers.conf", CONTAINERS_CONF)
        await self._start_registry()
        shim = {
            "program": self._program,
            "flags": self._flags,
            "environ": {"CONTAINERS_CONF": self._environ["CONTAINERS_CONF"]} if self._program == "podman" else {},
            "registry": self._registry_name,
            "local": self._local,
        }
        write_private(self._directory / "shim.json", json.dumps(shim))
        for name in self._running_before():
            await self._call("start", name)

    async def close(self) -> None:
        """Stop this world's containers, and the registry; what ran is noted and comes back at the next `open`."""
        if (self._directory / "shim.json").exists():
            running = [str(c["name"]) for c in await asyncio.to_thread(self.containers) if c["status"] == "running"]
            write_private(self._directory / "running.json", json.dumps(running))
            if running:
                await self._call("stop", "--time", "5", *running)
        if self._registry is not None and self._registry.returncode is None:
            self._registry.terminate()
            await self._registry.wait()

    async def remove(self) -> None:
        """Remove everything of this world from the engine, for a world that is thrown away; `close` it afterwards."""
        names = [str(c["name"]) for c in await asyncio.to_thread(self.containers)]
        if names:
            await self._call("rm", "--force", *names)
        images = (await self._call("images", "--quiet", "--filter", f"label={self._label}")).text.split()
        if images:
            await self._call("rmi", "--force", *dict.fromkeys(images))
        if self._program == "podman":
            # Not `podman system reset`: that would also take networks which are the machine's own.
            await self._call("rmi", "--all", "--force")
            await _run(["umount", str(self._directory / "root" / "overlay")], environ=self._environ)
            for folder in (self._run_root, self._directory / "root"):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        (self._directory / "shim.json").unlink(missing_ok=True)

    def _own_run_root(self) -> None:
        if self._program != "podman":
            return
        self._run_root.mkdir(mode=0o700, exist_ok=True)
        if self._run_root.is_symlink() or self._run_root.stat().st_uid != os.geteuid():
            raise EngineFailed(f"{self._run_root} belongs to somebody else.")

    def _running_before(self) -> list[str]:
        file = self._directory / "running.json"
        names: list[str] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        existing = {c["name"] for c in self.containers()} if names else set()
        return [name for name in names if name in existing]

    def containers(self, environment: str = "") -> list[dict[str, object]]:
        """The world's containers: name, status, pid, port, commit. Blocks for a moment."""
        filters = ["--filter", f"label={self._label}"]
        if environment:
            filters += ["--filter", f"label=quarterdeck.environment={environment}"]
        names = self._ask("ps", "--all", *filters, "--format", "{{.Names}}").split()
        found: list[dict[str, Any]] = json.loads(self._ask("inspect", *names)) if names else []
        return [_described(one) for one in found]

    # -- images -----------------------------------------------------------------------------------------------------

    async def publish(self, record: ImageRecord) -> str:
        """Build an archived image with its own Dockerfile and push it; returns the digest that the registry gives it.

        Raises:
            EngineFailed: it could not be built or pushed; the text has the end of the build's log.
        """
        name = f"{self._local}/{record.repository}:{record.tag}"
        async with self._building:
            self._base = self._base or await self._find_base()
            with tempfile.TemporaryDirectory(dir=self._directory) as folder:
                context = Path(folder) / "context"
                await asyncio.to_thread(unpack, self._archive / f"{record.archive}.tar", context)
                await self._must(
                    "build", *await self._build_options(context), "--tag", name, *self._arguments(record), str(context)
                )
            await self._must("push", *self._plain_http, name)
        return await self._digest_of(record)

    def _arguments(self, record: ImageRecord) -> list[str]:
        return [
            "--target", record.repository, "--label", self._label,
            "--build-arg", f"PYTHON_IMAGE={self._base}", "--build-arg", f"BUILT_FROM={record.commit}",
        ]  # fmt: skip

    async def _build_options(self, context: Path) -> list[str]:
        """Podman builds from packages that this machine's own pip has fetched: no other way out is needed then."""
        if self._program != "podman":
            return []
        wheels = self._directory / "wheels"
        for lock in sorted((context / "locks").glob("*.txt")):
            await self._fetch(lock, wheels)
        write_private(self._directory / "pip.conf", "[global]\nno-index = true\nfind-links = /wheels\n")
        (self._directory / "pip.conf").chmod(0o644)
        mounts = (f"{wheels}:/wheels:ro", f"{self._directory / 'pip.conf'}:/etc/pip.conf:ro")
        return ["--format", "docker", "--pull=never", *(word for mount in mounts for word in ("--volume", mount))]

    async def _fetch(self, lock: Path, wheels: Path) -> None:
        """Download what the lock names, once for each content of it."""
        fetched = wheels / f"{hashlib.sha256(await asyncio.to_thread(lock.read_bytes)).hexdigest()}.fetched"
        if fetched.is_file():
            return
        asked = await self._must("run", "--rm", "--network", "none", self._base, "python3", "-c", PYTHON_VERSION)
        options = ("--only-binary", ":all:", "--require-hashes", "--python-version", asked.text.strip())
        argv = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", str(wheels), "-r", str(lock)]
        said = await _run(argv, environ=dict(os.environ))
        if said.code != 0:
            raise EngineFailed(f"The packages of {lock.name} could not be fetched:\n{said.text[-2000:]}")
        await asyncio.to_thread(fetched.touch)

    async def _find_base(self) -> str:
        """The base image: one that is here, or from its registry, or one made of this machine's own Debian."""
        for name in (f"localhost/{BASE_IMAGE}", f"docker.io/library/{BASE_IMAGE}"):
            if (await self._call("image", "inspect", name)).code == 0:
                return name
        name = f"docker.io/library/{BASE_IMAGE}"
        if (await self._call("pull", name)).code == 0:
            return name
        if self._program != "podman" or shutil.which("mmdebstrap") is None or os.geteuid() != 0:
            raise EngineFailed(
                f"The base image {BASE_IMAGE} cannot be pulled, and cannot be made here (mmdebstrap, root)."
            )
        await self._make_base()
        return f"localhost/{BASE_IMAGE}"

    async def _make_base(self) -> None:
        """A small Debian with its own Python, under the base image's name; made once (half a minute) and cached."""
        rootfs = _cache() / "base-bookworm.tar"
        if not rootfs.is_file():
            await asyncio.to_thread(rootfs.parent.mkdir, parents=True, exist_ok=True)
            fresh = rootfs.with_name(f"{self._world}.tar")
            sources = [str(f) for f in (Path("/etc/apt/sources.list.d/debian.sources"),) if f.is_file()]
            said = await _run([*MMDEBSTRAP, str(fresh), *sources], environ=dict(os.environ))
            if said.code != 0:
                raise EngineFailed(f"No base image could be made:\n{said.text[-2000:]}")
            fresh.replace(rootfs)
        await self._must("import", "--change", 'CMD ["python3"]', str(rootfs), f"localhost/{BASE_IMAGE}")

    async def _digest_of(self, record: ImageRecord) -> str:
        url = f"http://{self._local}/v2/{record.repository}/manifests/{record.tag}"
        async with aiohttp.ClientSession() as session, session.head(url, headers={"Accept": MANIFESTS}) as answer:
            answer.raise_for_status()
            return answer.headers["Docker-Content-Digest"]

    # -- the registry -----------------------------------------------------------------------------------------------

    @property
    def _local(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def _plain_http(self) -> list[str]:
        return ["--tls-verify=false"] if self._program == "podman" else []

    async def _start_registry(self) -> None:
        program = next((p for p in REGISTRY_PROGRAMS if shutil.which(p)), None)
        if program is None:
            raise EngineFailed(f"ENGINE={self._program} needs a registry to pull from: install docker-registry.")
        self._port = self._choose_port()
        config = self._directory / "registry.yml"
        write_private(config, REGISTRY_YML.format(storage=self._directory / "registry", port=self._port))
        with (self._directory / "registry.log").open("wb") as log:
            self._registry = await asyncio.create_subprocess_exec(
                program, "serve", str(config), stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(100):
            with suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", self._port))[1].close()
                return
            await asyncio.sleep(0.1)
        raise EngineFailed("The registry did not start; see registry.log in the host's folder.")

    def _choose_port(self) -> int:
        """The port of the last time: images are named by it. Another if that is taken."""
        file = self._directory / "registry-port"
        wanted = int(file.read_text(encoding="utf-8")) if file.is_file() else 0
        for port in (wanted, 0):
            with socket.socket() as probe, suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                chosen = int(probe.getsockname()[1])
                write_private(file, str(chosen))
                return chosen
        raise EngineFailed("There is no free port for the registry.")

    # -- calling the engine -----------------------------------------------------------------------------------------

    def _ask(self, *arguments: str) -> str:
        argv = [self._program, *self._flags, *arguments]
        done = subprocess.run(argv, env=self._environ, capture_output=True, text=True, check=False, timeout=30)
        return done.stdout if done.returncode == 0 else ""

    async def at_the_console(self, *arguments: str) -> tuple[int, str]:
        """Run one command of the engine; its exit code and what it said."""
        said = await self._call(*arguments)
        return said.code, said.text

    async def _call(self, *arguments: str) -> Said:
        return await _run([self._program, *self._flags, *arguments], environ=self._environ)

    async def _must(self, *arguments: str) -> Said:
        said = await self._call(*arguments)
        if said.code != 0:
            raise EngineFailed(f"{self._program} {arguments[0]} failed:\n{said.text[-4000:]}")
        return said


PYTHON_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
MMDEBSTRAP = (
    "mmdebstrap", "--variant=minbase", "--include=ca-certificates,python3,python3-venv", "bookworm",
)  # fmt: skip
REGISTRY_YML = """\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {storage}
http:
  addr: 127.0.0.1:{port}
"""


def _cache() -> Path:
    """What is slow to make and the same for every world."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quarterdeck"


async def _run(argv: Sequence[str], *, environ: Mapping[str, str]) -> Said:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return Said(process.returncode or 0, out.decode(errors="replace"))


def _described(one: Mapping[str, Any]) -> dict[str, object]:
    ports = one["HostConfig"].get("PortBindings") or {}
    bound = next(iter(ports.values()), None) or [{"HostPort": "0"}]
    return {
        "name": str(one["Name"]).lstrip("/"),
        "status": one["State"]["Status"],
        "pid": one["State"]["Pid"],
        "port": int(bound[0]["HostPort"]),
        "commit": one["Config"]["Labels"].get("quarterdeck.commit", ""),
    }

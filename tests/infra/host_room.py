"""A host as an instance is one: systemd is its PID 1, and nginx, our units and our scripts are installed by `install`.

Its containers run beside it, in the engine of a `Cloud` (podman, real images from the Dockerfile): an engine inside a
container inside a container is not to be had everywhere. So `docker` and `aws` on the host hand their arguments over a
socket to the machine around it, and everything else is as on an instance.
"""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from bot.sandbox.aws.documents import script_of
from bot.sandbox.cast import AWS_REGION
from bot.sandbox.host.machine import REGISTRY
from bot.sandbox.host.shim_server import ShimServer
from tests.wire.sandbox_cloud import ROOT, Cloud, Ended, Version

NEEDED = ("podman", "runc", "docker-registry", "mmdebstrap")
MISSING = [name for name in NEEDED if shutil.which(name) is None] + ([] if os.geteuid() == 0 else ["root"])
PACKAGES = "systemd,systemd-sysv,dbus,nginx-light,python3,curl,procps,iproute2"
IMAGE, NAME = "localhost/quarterdeck-instance:1", "quarterdeck-instance"
STATE = "/var/lib/quarterdeck"
DOCUMENTS = ROOT / "infra" / "host" / "ssm"
SHIM = ROOT / "bot" / "sandbox" / "host" / "shim.py"
# The guard would change this machine's own packet filter: the host shares its network. It has a test of its own.
DOCKERFILE = """\
FROM localhost/quarterdeck-rootfs:1
COPY host /opt/source
COPY shims/ /usr/local/bin/
RUN /opt/source/install && rm -rf /opt/source \\
 && ln -sf /dev/null /etc/systemd/system/quarterdeck-metadata-guard.service
"""
BOOT_S, DEPLOY_S = 90.0, 180.0


def cached_rootfs() -> Path:
    """A Debian with systemd and nginx as a tar; made once (under a minute) and cached."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quarterdeck"
    return cache / "host-bookworm.tar"


async def run(*argv: str, stdin: bytes = b"") -> tuple[int, str]:
    """Run a program of this machine; exit code, and what it said on both outputs."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate(stdin)
    return process.returncode or 0, out.decode(errors="replace")


async def make_rootfs() -> Path:
    rootfs = cached_rootfs()
    if not rootfs.is_file():
        rootfs.parent.mkdir(parents=True, exist_ok=True)
        fresh = rootfs.with_name(f".{rootfs.name}.{os.getpid()}.tar")
        sources = [str(f) for f in (Path("/etc/apt/sources.list.d/debian.sources"),) if f.is_file()]
        code, said = await run(
            "mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(fresh), *sources
        )
        assert code == 0, said[-2000:]
        fresh.replace(rootfs)
    return rootfs


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Instance:
    """One host, booted by `boot`. `work` keeps what lies on its disk; `cloud` runs its containers."""

    def __init__(self, cloud: Cloud, work: Path) -> None:
        self.cloud, self.work = cloud, work
        self.port = free_port()
        self.state = work / "state"
        self._shims = ShimServer({"docker": self._docker, "aws": self._aws})
        self._operation = 0
        self.figures: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, object]:
        """What user data writes."""
        return {
            "ENVIRONMENT": "dev",
            "REGION": AWS_REGION,
            "REGISTRY": REGISTRY,
            "WORLD": self.cloud.host.world,
            "FRONT_URL_APP": self.url,
            "HEALTH_INTERVAL_S": "0.2",
            "DEPLOYED_PARAMETERS": "/quarterdeck/deployed/dev",
        }

    # -- making and booting -------------------------------------------------------------------------------------------

    async def make_image(self) -> None:
        """What Packer makes: a system with our part installed, and nothing of one environment in it."""
        context = self.work / "image"
        shutil.copytree(ROOT / "infra" / "host", context / "host")
        (context / "shims").mkdir()
        for name in ("docker", "aws"):
            shim = context / "shims" / name
            shim.write_text(f'#!/bin/sh\nexec python3 -I -S /opt/shim.py /opt/engine/host.sock {name} "$@"\n')
            shim.chmod(0o755)
        (context / "Dockerfile").write_text(DOCKERFILE)
        await self.engine("import", str(await make_rootfs()), "localhost/quarterdeck-rootfs:1")
        await self.engine("build", "--pull=never", "--network", "none", "--tag", IMAGE, str(context))

    async def boot(self) -> None:
        """First boot; the settings come later, as user data does."""
        self.state.mkdir(mode=0o750)
        await self._shims.start()
        mounts = (
            f"{self.state}:{STATE}",
            f"{self._shims.address.parent}:/opt/engine",
            f"{SHIM}:/opt/shim.py:ro",
        )
        volumes = [word for mount in mounts for word in ("--volume", mount)]
        await self.engine(
            "run", "--detach", "--name", NAME, "--systemd=always", "--cap-add", "SYS_ADMIN", "--network", "host",
            "--hostname", "instance", *volumes, IMAGE, "/sbin/init",
        )  # fmt: skip
        await self.until_up()

    async def until_up(self) -> None:
        async with asyncio.timeout(BOOT_S):
            while (await self.on("systemctl", "is-system-running"))[1].strip() not in ("running", "degraded"):
                await asyncio.sleep(0.2)

    async def give_settings(self) -> None:
        """The end of user data."""
        text = "".join(f"{key}={value}\n" for key, value in self.settings.items())
        await self.must("sh", "-c", "cat >/etc/quarterdeck/host.env", stdin=text.encode())
        await self.must("systemctl", "start", "quarterdeck.target")

    async def close(self) -> None:
        await self.cloud.on_machine("docker", "rm", "--force", "--time", "2", NAME)
        await self._shims.close()

    # -- the engine around it -----------------------------------------------------------------------------------------

    async def engine(self, *argv: str) -> str:
        code, out, err = await self.cloud.on_machine("docker", *argv)
        assert code == 0, f"docker {argv[0]}: {out[-1000:]}{err[-3000:]}"
        return out

    async def _docker(self, argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
        """The host's docker: paths on its disk are other paths here; podman's regret about systemd is left out."""
        words = [f"{self.state}{word.removeprefix(STATE)}" if word.startswith(f"{STATE}/") else word for word in argv]
        code, out, err = await self.cloud.on_machine("docker", *words)
        return (
            code,
            out,
            "".join(line for line in err.splitlines(keepends=True) if "removing timer" not in line.lower()),
        )

    async def _aws(self, argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
        if argv[0] == "cloudwatch":  # the stand-in's command line lacks it; what would be sent is kept
            self.figures += [word for word in argv if word.startswith("MetricName=")]
            return 0, "", ""
        return await self.cloud.on_machine("aws", *argv)

    def containers(self) -> list[dict[str, object]]:
        """The service's containers: name, status, pid, commit."""
        return self.cloud.host.containers("dev")

    # -- on the host --------------------------------------------------------------------------------------------------

    async def on(self, *argv: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run a program on the host; exit code, and what it said."""
        options = [word for name, value in (environ or {}).items() for word in ("--env", f"{name}={value}")]
        process = await asyncio.create_subprocess_exec(
            "docker", "exec", *(["--interactive"] if stdin else []), *options, NAME, *argv,
            env=dict(self.cloud.host.command_environ("dev")),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate(stdin)
        return process.returncode or 0, out.decode(errors="replace")

    async def must(self, *argv: str, stdin: bytes = b"") -> str:
        code, said = await self.on(*argv, stdin=stdin)
        assert code == 0, f"{' '.join(argv)} ended with {code}:\n{said[-3000:]}"
        return said

    async def call(self, document: str, **parameters: str) -> Ended:
        """Run the script of one of our documents, as the agent does."""
        content = yaml.safe_load((DOCUMENTS / f"quarterdeck-{document}.yaml").read_text(encoding="utf-8"))
        script = script_of(content, {name: [value] for name, value in {"Environment": "dev", **parameters}.items()})
        code, said = await self.on("bash", "-c", script.text, environ=script.environ)
        return Ended("Success" if code == 0 else "Failed", code, said, "", "")

    async def deploy(self, version: Version, *, operation: str = "") -> Ended:
        """Roll a version out, under a new operation if none is given."""
        parameters = self.cloud.deploy_parameters(version, operation=operation or self.new_operation())
        return await self.call("deploy", **parameters)

    async def change(self, document: str) -> Ended:
        """`rollback` or `restart`, under a new operation."""
        return await self.call(document, Service="app", Operation=self.new_operation())

    def new_operation(self) -> str:
        self._operation += 1
        return str(self._operation)

    async def answers(self) -> str:
        """The commit that the front answers with, or the status, or why there is no answer."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/health") as answer:
                return str((await answer.json())["commit"]) if answer.status == 200 else str(answer.status)
        except aiohttp.ClientError as error:
            return type(error).__name__

    async def until_answers(self, commit: str, *, within_s: float = BOOT_S) -> None:
        async with asyncio.timeout(within_s):
            while await self.answers() != commit:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def booted(cloud: Cloud, work: Path) -> AsyncIterator[Instance]:
    """An instance after its first boot."""
    instance = Instance(cloud, work)
    await instance.make_image()
    try:
        await instance.boot()
        yield instance
    finally:
        await instance.close()

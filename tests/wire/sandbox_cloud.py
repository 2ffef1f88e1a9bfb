"""A machine room for tests: the host and AWS parts with an image store on a small git repository, and nothing else."""

import asyncio
import json
import subprocess
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiobotocore.config
import aiobotocore.session
import aiohttp

from bot.sandbox.aws.part import AwsPart
from bot.sandbox.cast import AWS_REGION
from bot.sandbox.clock import Clock
from bot.sandbox.faults import Faults
from bot.sandbox.host.part import HostPart
from bot.sandbox.images import BuildOrder, ImageStore
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Guard

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "http://127.0.0.1:1"
"""The origin of a page that this world knows; nothing listens there."""
STARTS = "from app.__main__ import main\n"
DIES = 'import sys\nsys.exit("STRIPE_KEY is not set")\n'
SLEEPS = "import time\nprint('thinking about it', flush=True)\ntime.sleep(600)\n"


@dataclass(frozen=True)
class Version:
    """A commit and its image."""

    commit: str
    digest: str


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: str
    code: int
    output: str
    error: str
    id: str

    @property
    def steps(self) -> list[tuple[str, str]]:
        words = (line.split(" ", 3) for line in self.output.splitlines() if line.startswith("::step "))
        return [(name, state) for _, name, state, *_ in words]

    @property
    def result(self) -> dict[str, Any]:
        (line,) = [line for line in self.output.splitlines() if line.startswith("::result ")]
        found: dict[str, Any] = json.loads(line.removeprefix("::result "))
        return found

    @property
    def failed(self) -> str:
        return next((line for line in self.output.splitlines() if line.startswith("::failed ")), "")


class Cloud:
    """The parts, started; `close` ends everything. The same home may be opened again afterwards."""

    def __init__(self, home: Path, *, engine: str | None = None) -> None:
        self.home = home
        self.ledger, self.faults = Ledger(), Faults()
        self.guard = Guard(origins=frozenset({ORIGIN}))
        shared: dict[str, Any] = {"clock": Clock(), "ledger": self.ledger, "faults": self.faults, "guard": self.guard}
        self.host = HostPart(**shared, home=home, source=ROOT, engine=engine)
        self.aws = AwsPart(**shared, home=home, host=self.host, source=ROOT)
        self.repository = home / "repository"
        self.images = ImageStore(
            directory=home / "images",
            repository=self.repository / ".git",
            components={"app": ("Dockerfile", "app", "locks/app.txt")},
            register=self.aws.register_image,
        )
        self.versions: list[Version] = []
        self._clients = AsyncExitStack()
        self._opened: dict[tuple[str, str], Any] = {}

    async def start(self) -> None:
        await self.host.start()
        await self.aws.start()
        if not self.repository.exists():
            await asyncio.to_thread(self._make_repository)

    async def close(self) -> None:
        await self._clients.aclose()
        await self.aws.close()
        await self.host.close()

    async def client(self, service: str, key: tuple[str, str] | None = None) -> Any:
        """An SDK client, with the bot's key unless another is given; no retries."""
        access, secret = key or self.aws.bot_key
        if (service, access) not in self._opened:
            opening = aiobotocore.session.get_session().create_client(
                service,
                region_name=AWS_REGION,
                endpoint_url=self.aws.endpoint_url,
                aws_access_key_id=access,
                aws_secret_access_key=secret,
                config=aiobotocore.config.AioConfig(retries={"total_max_attempts": 1}),
            )
            self._opened[service, access] = await self._clients.enter_async_context(opening)
        return self._opened[service, access]

    # -- images -------------------------------------------------------------------------------------------------------

    def _make_repository(self) -> None:
        (self.repository / "locks").mkdir(parents=True)
        self._git("init", "-q", "-b", "main", ".")
        subprocess.run(["cp", "-r", str(ROOT / "app"), str(self.repository)], check=True)
        for name in ("Dockerfile", "locks/app.txt"):
            if (ROOT / name).exists():
                subprocess.run(["cp", str(ROOT / name), str(self.repository / name)], check=True)
        self._commit("Begin")

    def _git(self, *arguments: str) -> str:
        named = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *named, *arguments], cwd=self.repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def _commit(self, message: str) -> str:
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", message)
        return self._git("rev-parse", "HEAD")

    async def version(self, files: Mapping[str, str] | None = None) -> Version:
        """A new commit of the service and its image; `files` are changed for this commit only."""
        commit = await asyncio.to_thread(self._new_commit, files or {})
        digest = await self.images.build(BuildOrder("app", commit, f"fp-{commit[:16]}", "test"))
        self.versions.append(Version(commit, digest))
        return self.versions[-1]

    def _new_commit(self, files: Mapping[str, str]) -> str:
        before = {name: (self.repository / name).read_text(encoding="utf-8") for name in files}
        for name, text in files.items():
            (self.repository / name).write_text(text, encoding="utf-8")
        commit = self._commit("Change")
        for name, text in before.items():
            (self.repository / name).write_text(text, encoding="utf-8")
        return commit

    # -- commands -----------------------------------------------------------------------------------------------------

    async def send(self, document: str, parameters: Mapping[str, str], *, environment: str = "dev") -> str:
        """Send a command with the bot's key; returns its id."""
        ssm = await self.client("ssm")
        sent = await ssm.send_command(
            DocumentName=document,
            InstanceIds=[self.host.instance_id(environment)],
            Parameters={name: [value] for name, value in parameters.items()},
            Comment="quarterdeck op 1 test",
        )
        return str(sent["Command"]["CommandId"])

    async def ended(self, command_id: str, *, environment: str = "dev") -> Ended:
        """Wait for the command's end."""
        while (found := await self.look(command_id, environment=environment)).status in (
            "Pending",
            "InProgress",
            "Cancelling",
        ):
            await asyncio.sleep(0.05)
        return found

    async def look(self, command_id: str, *, environment: str = "dev") -> Ended:
        """How the command stands now."""
        ssm = await self.client("ssm")
        found = await ssm.get_command_invocation(CommandId=command_id, InstanceId=self.host.instance_id(environment))
        return Ended(
            found["Status"],
            found["ResponseCode"],
            found["StandardOutputContent"],
            found["StandardErrorContent"],
            command_id,
        )

    async def until_said(self, command_id: str, text: str) -> Ended:
        """Wait until the running command has printed this."""
        while text not in (found := await self.look(command_id)).output:
            assert found.status in ("Pending", "InProgress"), found
            await asyncio.sleep(0.02)
        return found

    def deploy_parameters(self, version: Version, *, environment: str = "dev", operation: str = "7") -> dict[str, str]:
        return {
            "Environment": environment,
            "Service": "app",
            "Image": f"{self.host.registry}/app@{version.digest}",
            "Commit": version.commit,
            "Operation": operation,
        }

    async def deploy(self, version: Version, *, environment: str = "dev", operation: str = "7") -> Ended:
        """Roll a version out by Run Command, and wait for the end."""
        parameters = self.deploy_parameters(version, environment=environment, operation=operation)
        sent = await self.send("quarterdeck-deploy", parameters, environment=environment)
        return await self.ended(sent, environment=environment)

    async def status(self, *, environment: str = "dev") -> dict[str, Any]:
        """What quarterdeck-status says."""
        parameters = {"Environment": environment, "Service": "app"}
        sent = await self.send("quarterdeck-status", parameters, environment=environment)
        return (await self.ended(sent, environment=environment)).result

    async def live_commit(self, *, environment: str = "dev") -> str:
        """The commit that the front answers with; the status code if it is not 200."""
        url = f"{self.host.url(environment, 'app')}/health"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return str((await answer.json())["commit"]) if answer.status == 200 else str(answer.status)

    # -- the machine --------------------------------------------------------------------------------------------------

    async def on_machine(self, *argv: str, environment: str = "dev") -> tuple[int, str, str]:
        """Run a program as a command on the machine does; returns exit code, stdout, stderr."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(self.host.command_environ(environment)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    def set_on_machine(self, environment: str = "dev", **settings: object) -> None:
        """Change lines of the machine's host.env."""
        file = self.host.machines[environment].settings_file
        lines = [one for one in file.read_text().splitlines() if one.partition("=")[0] not in settings]
        file.write_text("\n".join([*lines, *(f"{k}={v}" for k, v in settings.items())]) + "\n")

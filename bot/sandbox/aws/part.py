"""The AWS part: moto as a child process, the door in front of it, and what a real account would already hold.

At start it creates what Terraform creates in a real account: the image repositories, the SSM documents from the
checkout, one instance for each environment and the services' parameters. Everything is made by requests through the
door, with the demo's key.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from bot.sandbox.aws.child import MotoChild
from bot.sandbox.aws.door import Door
from bot.sandbox.aws.run_command import AGENT_VERSION
from bot.sandbox.aws.seed import seed_account
from bot.sandbox.cast import AWS_REGION
from bot.sandbox.clock import Clock
from bot.sandbox.faults import Faults
from bot.sandbox.host.machine_files import write_private
from bot.sandbox.host.part import HostPart
from bot.sandbox.images import ImageRecord, known_images
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Guard, Rejected

Key = tuple[str, str]
AGENT_KEYS = {"environment", "online", "version"}
OUTCOME_KEYS = {"document", "exit_code", "seconds", "times"}
OUTCOME_TIMES_MAX, OUTCOME_SECONDS_MAX = 1000, 3600


class AwsPart:
    """The account of the world. The keys, the door's port and the instances' ids are the same after a restart.

    Args (beside those that every part takes):
        home: the world's home; this part keeps to `aws/` in it and reads `images/`.
        host: the machines that the instances play; start it first.
        source: the checkout that holds `infra/host/ssm`.
    """

    def __init__(
        self, *, clock: Clock, ledger: Ledger, faults: Faults, guard: Guard, home: Path, host: HostPart, source: Path
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._host = host
        self._source = source.absolute()
        self._directory = (home / "aws").absolute()
        self._images = home.absolute() / "images"
        self._kept = self._identity()
        self.bot_key: Key = self._key("bot")
        self.host_key: Key = self._key("host")
        self.demo_key: Key = self._key("demo")
        keys = {self.bot_key[0]: "bot", self.host_key[0]: "host", self.demo_key[0]: "demo"}
        self._door = Door(ledger=ledger, faults=faults, guard=guard, keys=keys)
        self._child = MotoChild(directory=self._directory)
        self._clients = AsyncExitStack()
        self._demo: dict[str, Any] = {}
        self._host_ecr: Any = None

    def _identity(self) -> dict[str, str]:
        """Access keys and the door's port, chosen once and kept."""
        file = self._directory / "identity.json"
        kept: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        for caller in ("bot", "host", "demo"):
            # AKIA is the prefix of real long-lived keys; these say by their own what they are.
            kept.setdefault(f"{caller}_id", f"SANDBX{secrets.token_hex(7).upper()}")
            kept.setdefault(f"{caller}_secret", secrets.token_urlsafe(30))
        write_private(file, json.dumps(kept))
        return kept

    def _key(self, caller: str) -> Key:
        return self._kept[f"{caller}_id"], self._kept[f"{caller}_secret"]

    @property
    def endpoint_url(self) -> str:
        """The door's address."""
        return f"http://127.0.0.1:{self._door.port}"

    @property
    def pid(self) -> int | None:
        """The moto child's process id."""
        return self._child.pid

    async def start(self) -> None:
        """Start moto behind the door and fill the account.

        Raises:
            RuntimeError: moto ended before it listened; the text has the end of its log.
        """
        await self._door.start(port=int(self._kept.get("port", 0)))
        self._kept["port"] = str(self._door.port)
        write_private(self._directory / "identity.json", json.dumps(self._kept))
        machines = {
            m.instance_id: {"environ": dict(self._host.command_environ(e)), "directory": str(m.home)}
            for e, m in self._host.machines.items()
        }
        opening = asyncio.create_task(self._open_clients())
        try:
            await self._child.start(machines)
            self._door.open_to(
                self._child.url, secret_header=self._child.secret_header, caller_header=self._child.caller_header
            )
        finally:
            await opening
        instances = {e: m.instance_id for e, m in self._host.machines.items()}
        await seed_account(self._demo, instances=instances, documents=self._source / "infra" / "host" / "ssm")
        self._host.connect_aws(endpoint_url=self.endpoint_url, key=self.host_key, knows_image=self._knows_image)
        for record in known_images(self._images):
            await self.register_image(record)
        self._ledger.publish("aws.started", {"url": self.endpoint_url, "pid": self.pid})

    async def _open_clients(self) -> None:
        session = await asyncio.to_thread(_new_session)
        for service in ("ecr", "ssm", "ec2", "sns"):
            self._demo[service] = await self._clients.enter_async_context(self._client(session, service, self.demo_key))
        self._host_ecr = await self._clients.enter_async_context(self._client(session, "ecr", self.host_key))

    def _client(self, session: Any, service: str, key: Key) -> Any:
        return session.create_client(
            service,
            region_name=AWS_REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
        )

    async def close(self) -> None:
        """End what Run Command runs, then moto, then the door."""
        await self._child.close()
        await self._clients.aclose()
        await self._door.close()

    # -- images -----------------------------------------------------------------------------------------------------

    async def register_image(self, record: ImageRecord) -> str:
        """Make ECR know an image; returns the digest that the tag names, an older one if the tag exists already."""
        if known := await self._tagged(record):
            return known
        digest = await self._host.publish(record)
        ecr = self._demo["ecr"]
        with suppress(ecr.exceptions.ImageTagAlreadyExistsException, ecr.exceptions.ImageAlreadyExistsException):
            await ecr.put_image(
                repositoryName=record.repository,
                imageTag=record.tag,
                imageDigest=digest,
                imageManifest=_manifest(record, digest),
            )
        return await self._tagged(record)

    async def _tagged(self, record: ImageRecord) -> str:
        """The digest that the record's tag names now; empty when there is no such tag."""
        ecr = self._demo["ecr"]
        try:
            found = await ecr.describe_images(repositoryName=record.repository, imageIds=[{"imageTag": record.tag}])
        except ecr.exceptions.ImageNotFoundException:
            return ""
        return str(found["imageDetails"][0]["imageDigest"])

    async def _knows_image(self, repository: str, digest: str) -> bool:
        """What the registry answers a machine that pulls."""
        ecr = self._host_ecr
        try:
            found = await ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
        except ecr.exceptions.ClientError:
            return False
        return bool(found["images"])

    # -- acts and levers --------------------------------------------------------------------------------------------

    async def outcome(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Lever `/host/outcome`: the next `times` runs of a document wait `seconds` and end with `exit_code`.

        With 0 or null they wait and then really run.

        Raises:
            Rejected: a key is unknown or a value out of range.
        """
        if unknown := sorted(set(body) - OUTCOME_KEYS):
            raise Rejected(f"Unknown key {unknown[0]!r}; known are {', '.join(sorted(OUTCOME_KEYS))}.")
        document, code = body.get("document", "quarterdeck-deploy"), body.get("exit_code")
        seconds, times = body.get("seconds", 0), body.get("times", 1)
        if not isinstance(document, str) or not document:
            raise Rejected("document must be the name of an SSM document.")
        if code is not None and (isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255):
            raise Rejected("exit_code must be a whole number from 0 to 255, or null.")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= OUTCOME_SECONDS_MAX:
            raise Rejected(f"seconds must be a number from 0 to {OUTCOME_SECONDS_MAX}.")
        if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= OUTCOME_TIMES_MAX:
            raise Rejected(f"times must be a whole number from 1 to {OUTCOME_TIMES_MAX}.")
        wanted = {"document": document, "exit_code": code, "seconds": seconds / self._clock.speed, "times": times}
        await self._child.add_outcome(wanted)
        return {"document": document, "exit_code": code, "seconds": seconds, "times": times}

    async def agent(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Lever `/host/agent`: the agent of an environment's host is silent, or of another version.

        Raises:
            Rejected: a key is unknown, or a value is not of its kind.
        """
        if unknown := sorted(set(body) - AGENT_KEYS):
            raise Rejected(f"Unknown key {unknown[0]!r}; known are {', '.join(sorted(AGENT_KEYS))}.")
        environment, online = body.get("environment"), body.get("online", True)
        version = body.get("version", AGENT_VERSION)
        if not isinstance(environment, str) or environment not in self._host.machines:
            raise Rejected(f"environment must be one of {', '.join(self._host.machines)}.")
        if not isinstance(online, bool) or not isinstance(version, str):
            raise Rejected("online must be true or false, and version a text such as 3.3.3050.0.")
        instance_id = self._host.instance_id(environment)
        await self._child.set_agent({"instance_id": instance_id, "online": online, "version": version})
        return {"environment": environment, "online": online, "version": version}

    async def orders(self) -> list[str]:
        """The comment of every command that Run Command has taken, whatever its sender was told."""
        return await self._child.orders()

    async def roll_out(
        self, *, environment: str, service: str, digest: str, commit: str, operation: str = "seed"
    ) -> str:
        """Deploy an image by Run Command with the demo's key, as the bot would; returns the script's output.

        Raises:
            RuntimeError: the rollout failed; the text is the output.
        """
        ssm, instance_id = self._demo["ssm"], self._host.instance_id(environment)
        sent = await ssm.send_command(
            DocumentName="quarterdeck-deploy",
            InstanceIds=[instance_id],
            Comment=f"quarterdeck {operation}"[:100],
            Parameters={
                "Environment": [environment],
                "Service": [service],
                "Image": [f"{self._host.registry}/{service}@{digest}"],
                "Commit": [commit],
                "Operation": [operation],
            },
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            done = await ssm.get_command_invocation(CommandId=sent["Command"]["CommandId"], InstanceId=instance_id)
            if done["Status"] not in ("Pending", "InProgress", "Cancelling"):
                break
            await asyncio.sleep(0.1)
        output = str(done["StandardOutputContent"])
        if done["Status"] != "Success":
            said = f"{output}{done['StandardErrorContent']}"
            raise RuntimeError(f"The rollout of {service} to {environment} ended as {done['Status']}:\n{said}")
        return output


def _new_session() -> Any:
    """The SDK takes a third of a second to import: done in a thread, while moto starts."""
    import aiobotocore.session

    return aiobotocore.session.get_session()


def _manifest(record: ImageRecord, digest: str) -> str:
    """A manifest that is as unique as the image: registries tell images apart by it."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": 2,
                "digest": digest,
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": record.size,
                    "digest": digest,
                }
            ],
        }
    )

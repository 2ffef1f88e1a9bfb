"""The host part: a machine for each environment, and a front address for each service on it.

With no engine named, containers are plain processes (`containers`); with one, the same scripts drive the real engine.
What happens on a machine is started by the AWS part's Run Command, as on EC2; nothing here deploys.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from bot.sandbox.cast import AWS_REGION
from bot.sandbox.clock import Clock
from bot.sandbox.faults import Faults
from bot.sandbox.host.containers import Containers
from bot.sandbox.host.docker_cli import DockerCli
from bot.sandbox.host.engine import Engine
from bot.sandbox.host.machine import REGISTRY, Machine, missing_programs
from bot.sandbox.host.machine_files import write_private
from bot.sandbox.host.relay import Relay
from bot.sandbox.host.shim_server import ShimServer
from bot.sandbox.images import ImageRecord
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Guard, Missing, Rejected

KnowsImage = Callable[[str, str], Awaitable[bool]]


class HostPart:
    """The machines of the world. Ports, ids and containers are the same after a restart, if the ports are still free.

    Args (beside those that every part takes):
        home: the world's home; this part keeps to `host/` in it and reads `images/`.
        source: the checkout whose `infra/host` is installed on the machines.
        engine: None for the stand-in, or `podman` / `docker`.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        faults: Faults,
        guard: Guard,
        home: Path,
        source: Path,
        engine: str | None = None,
        environments: Sequence[str] = ("dev", "prod"),
        services: Sequence[str] = ("app",),
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._directory = (home / "host").absolute()
        self._scripts = source.absolute() / "infra" / "host"
        self._archive = home.absolute() / "images"
        self.engine = engine
        identity = self._identity(environments)
        self.world = str(identity["world"])
        self.machines: dict[str, Machine] = {
            name: Machine(name, str(identity[name]), self._directory / name, self.world) for name in environments
        }
        self._services = tuple(services)
        self._relays: dict[tuple[str, str], Relay] = {
            (e, s): Relay(name=f"{s} in {e}", upstream_file=m.upstream_file(s), guard=guard)
            for e, m in self.machines.items()
            for s in services
        }
        self._containers: dict[str, Containers] = {}
        self._docker: dict[str, DockerCli] = {}
        self._stopped: dict[str, list[str]] = {}
        self._shims: list[ShimServer] = []
        self._knows_image: KnowsImage | None = None
        self._engine = self._real_engine(engine)

    def _identity(self, environments: Sequence[str]) -> dict[str, str]:
        """The world's label and the instances' ids, chosen once and kept."""
        file = self._directory / "identity.json"
        known: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        identity = (
            {"world": f"w-{secrets.token_hex(6)}"} | {e: f"i-{secrets.token_hex(9)[:17]}" for e in environments} | known
        )
        write_private(file, json.dumps(identity))
        return identity

    def _real_engine(self, program: str | None) -> Engine | None:
        if program is None:
            return None
        return Engine(
            program=program,
            directory=self._directory / "engine",
            archive=self._archive,
            world=self.world,
            registry_name=REGISTRY,
        )

    async def publish(self, record: ImageRecord) -> str:
        """Make an archived image one that the machines can pull; returns its digest, which a real engine decides.

        Raises:
            EngineFailed: a real engine could not build it.
        """
        published = record.digest != f"sha256:{record.archive}"
        return record.digest if self._engine is None or published else await self._engine.publish(record)

    async def start(self) -> None:
        """Open the front addresses, install the machines, and bring back the containers of an earlier run.

        Raises:
            RuntimeError: the machine lacks a program that the scripts need; the text names it.
        """
        if missing := missing_programs():
            raise RuntimeError(f"The host's scripts need {', '.join(missing)}, which this machine does not have.")
        if self._engine is not None:
            await self._engine.open()
        await self._open_fronts()
        for environment, machine in self.machines.items():
            machine.lay_out()
            machine.write_settings({s: self.url(environment, s) for s in self._services})
            await self._open_machine(environment, machine)
        self._ledger.publish("host.started", {"machines": {e: m.instance_id for e, m in self.machines.items()}})

    async def _open_fronts(self) -> None:
        file = self._directory / "ports.json"
        ports: dict[str, int] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        for (environment, service), relay in self._relays.items():
            name = f"{environment}/{service}"
            ports[name] = await relay.start(port=ports.get(name, 0))
        write_private(file, json.dumps(ports))

    async def _open_machine(self, environment: str, machine: Machine) -> None:
        containers = Containers(
            directory=machine.root / "engine",
            archive=self._archive,
            announce=lambda name, data: self._ledger.publish(name, {"environment": environment} | data),
        )
        docker = DockerCli(containers=containers, knows_image=self._known, logins=set())
        shims = ShimServer({"docker": docker.call, "quarterdeck-reload": self._reload_tool(environment)})
        await shims.start()
        self._shims.append(shims)
        self._containers[environment] = containers
        self._docker[environment] = docker
        engine = self._engine.command if self._engine else None
        machine.write_programs(socket=shims.address, scripts=self._scripts, engine=engine)
        await containers.open()

    async def close(self) -> None:
        """End every container and every front; what ran comes back at the next start."""
        await asyncio.gather(*(shims.close() for shims in self._shims))
        if self._engine is not None:
            await self._engine.close()
        await asyncio.gather(*(containers.close() for containers in self._containers.values()))
        await asyncio.gather(*(relay.close() for relay in self._relays.values()))

    async def remove(self) -> None:
        """Take from a real engine all that this world brought to it; what the stand-in made lies in the home alone."""
        if self._engine is not None:
            await self._engine.remove()

    def connect_aws(self, *, endpoint_url: str, key: tuple[str, str], knows_image: KnowsImage) -> None:
        """Give the machines their AWS: the endpoint, their own key, and the registry's answer to a pull."""
        self._knows_image = knows_image
        for machine in self.machines.values():
            machine.write_aws(endpoint_url=endpoint_url, key=key)

    async def _known(self, repository: str, digest: str) -> bool:
        return self._knows_image is not None and await self._knows_image(repository, digest)

    def _reload_tool(self, environment: str) -> Callable[[Sequence[str], str], Awaitable[tuple[int, str, str]]]:
        async def reload(argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
            await asyncio.gather(*(r.reload() for (e, _), r in self._relays.items() if e == environment))
            targets = {s: r.target for (e, s), r in self._relays.items() if e == environment}
            self._ledger.publish("host.switched", {"environment": environment, "ports": targets})
            return 0, "", ""

        return reload

    # -- views ------------------------------------------------------------------------------------------------------

    def url(self, environment: str, service: str) -> str:
        """The front address of a service, without a slash at its end.

        Raises:
            Missing: the world has no such service there.
        """
        relay = self._relays.get((environment, service))
        if relay is None:
            raise Missing(f"The world runs no service {service!r} in {environment!r}.")
        return f"http://127.0.0.1:{relay.port}"

    def instance_id(self, environment: str) -> str:
        """The EC2 instance that the environment's machine plays."""
        if environment not in self.machines:
            raise Missing(f"The world has no environment {environment!r}.")
        return self.machines[environment].instance_id

    def command_environ(self, environment: str) -> Mapping[str, str]:
        """The environment of a command that Run Command runs on that machine."""
        return self.machines[environment].environ(os.environ.get("PATH", os.defpath))

    def containers(self, environment: str) -> list[dict[str, object]]:
        """What exists on the machine now: name, status, pid, port, commit."""
        if self._engine is not None:
            return self._engine.containers(environment)
        opened = self._containers.get(environment)
        return [
            {
                "name": c.name,
                "status": c.status,
                "pid": c.pid,
                "port": c.order.port,
                "commit": c.order.labels.get("quarterdeck.commit", ""),
            }
            for c in (opened.all() if opened else ())
        ]

    async def stop_services(self, environment: str) -> None:
        """Stop what runs on the machine, as somebody at its console would: it stays down until it is started again."""
        running = [str(found["name"]) for found in self.containers(environment) if found["status"] == "running"]
        for name in running:
            await self._at_the_console(environment, "stop", name)
        self._stopped[environment] = [*self._stopped.get(environment, []), *running]

    async def start_services(self, environment: str) -> None:
        """Start again what `stop_services` stopped and nobody has replaced since."""
        there = {str(found["name"]) for found in self.containers(environment)}
        for name in self._stopped.pop(environment, []):
            if name in there:
                await self._at_the_console(environment, "start", name)

    async def _at_the_console(self, environment: str, *arguments: str) -> None:
        if self._engine is not None:
            code, text = await self._engine.at_the_console(*arguments)
        else:
            code, _, text = await self._docker[environment].call(arguments, "")
        if code != 0:
            raise Rejected(f"docker {' '.join(arguments)} in {environment}: {text.strip()[-300:]}")

    @property
    def registry(self) -> str:
        """The registry name under which images are pulled."""
        return REGISTRY

    @property
    def region(self) -> str:
        return AWS_REGION

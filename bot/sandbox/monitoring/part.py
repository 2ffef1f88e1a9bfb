"""The monitoring part of the world: real servers where they are installed, and levers that make them say something.

Node exporters (one for each environment's host), Prometheus and Alertmanager run as children of the world, ended with
it and restarted by nobody. Alertmanager sends to the bot's own alert listener. Without the programs the part is absent;
stored payloads can then be posted to that listener in their place.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from bot.sandbox.clock import Clock
from bot.sandbox.faults import Faults
from bot.sandbox.host.machine_files import write_private
from bot.sandbox.host.part import HostPart
from bot.sandbox.ledger import Ledger
from bot.sandbox.monitoring import configuration, rules
from bot.sandbox.monitoring.bodies import AlertsBody, MonitoringBody, ServerBody
from bot.sandbox.monitoring.botsections import MonitoringAddresses
from bot.sandbox.monitoring.configuration import Wiring
from bot.sandbox.monitoring.front import Front
from bot.sandbox.monitoring.hosts import FILE_SYSTEMS, Hosts
from bot.sandbox.monitoring.identity import Identity
from bot.sandbox.monitoring.payloads import Fixtures
from bot.sandbox.monitoring.server import ALERTMANAGER, NODE_EXPORTER, PROMETHEUS, Program, Server, ServerFailed
from bot.sandbox.own_discord import free_port
from bot.sandbox.parts import Part
from bot.sandbox.wire import Guard, Rejected

Json = dict[str, Any]

WEBHOOK_PATH = "/webhooks/alertmanager"
POST_S = 20.0
RETENTION = "2d"
PROGRAMS: Mapping[str, Program] = {
    "node exporter": NODE_EXPORTER,
    "prometheus": PROMETHEUS,
    "alertmanager": ALERTMANAGER,
}
FRONTS = ("prometheus", "alertmanager")
LEFT_OUT = "left out (--no-monitoring)"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the world was started with. `source` is the checkout whose rules are tuned; `wanted`: the real servers are
    to run where they are installed.
    """

    home: Path
    source: Path
    environments: tuple[str, ...]
    wanted: bool = True


class MonitoringPart:
    """The servers and the levers. `prepare` gives the addresses that the bot has to know, `start` the rest."""

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        faults: Faults,
        guard: Guard,
        asked: Asked,
        changed: Callable[[Part], None],
    ) -> None:
        self._ledger = ledger
        self._guard = guard
        self._home = asked.home.absolute() / "monitoring"
        self._source = asked.source
        self._wanted = asked.wanted
        self._changed = changed
        self._environments = asked.environments
        self._programs = {name: program.find() for name, program in PROGRAMS.items()}
        self._why = ""
        self._hosts = Hosts(folder=self._home / "hosts", environments=asked.environments)
        self._fronts = {name: Front(name=name, ledger=ledger, faults=faults, guard=guard) for name in FRONTS}
        self._fixtures = Fixtures()
        self._servers: dict[str, list[Server]] = {}
        self._host: HostPart | None = None
        self._listen_port = 0
        self._stopped_apps: set[str] = set()
        self._order = asyncio.Lock()
        self.token = ""
        """What the bot's alert listener asks for."""

    # -- life ---------------------------------------------------------------------------------------------------------

    @property
    def present(self) -> bool:
        """Whether the real servers run here, or are to."""
        return self._wanted and not self._why and all(self._programs.values())

    async def prepare(self) -> None:
        """Choose the ports that others have to know, and the listener's token; kept from start to start."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._home / "addresses.json"
        kept: Json = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        self.token = str(kept.get("token") or secrets.token_urlsafe(30))
        self._listen_port = int(kept.get("listen") or free_port())
        if self.present:
            for name, front in self._fronts.items():
                await front.start(port=int(kept.get(name) or 0))
        ports = {name: front.port for name, front in self._fronts.items()}
        write_private(file, json.dumps({"token": self.token, "listen": self._listen_port, **ports}))
        write_private(self._token_file, self.token)
        self.tell()

    @property
    def _token_file(self) -> Path:
        return self._home / "listener.token"

    @property
    def addresses(self) -> MonitoringAddresses:
        if not self.present:
            return MonitoringAddresses(self._listen_port)
        return MonitoringAddresses(self._listen_port, self._fronts["alertmanager"].url, self._fronts["prometheus"].url)

    async def start(self, host: HostPart, *, apps_token: str) -> None:
        """Bring the servers up, if they are here; one that does not come up is said, and the world goes on without.

        Args:
            host: whose services are scraped, and which the lever stops.
            apps_token: what the services ask of whoever reads their metrics.
        """
        self._host = host
        if not self.present:
            return
        self._hosts.start()
        identity = await asyncio.to_thread(Identity.of, self._home)
        try:
            self._compose(identity, self._wiring(identity, host, apps_token))
            async with asyncio.TaskGroup() as group:
                for server in self._all():
                    group.create_task(server.start())
        except* (ServerFailed, OSError, ValueError, yaml.YAMLError) as failures:
            self._why = f"did not come up: {failures.exceptions[0]}"[:300]
            await self.close()
        else:
            for name, front in self._fronts.items():
                await front.lead_to(self._servers[name][0].url, identity.context())
        self.tell()

    def _wiring(self, identity: Identity, host: HostPart, apps_token: str) -> Wiring:
        tls = identity.context()
        exporters = {e: self._node_exporter(e, identity, tls) for e in self._environments}
        alertmanager = self._server("alertmanager", "/-/ready", tls, lambda port: self._alertmanager(port, identity))
        for server in (*exporters.values(), alertmanager):
            server.take_port()
        self._servers = {"node exporter": list(exporters.values()), "alertmanager": [alertmanager]}
        return Wiring(
            tls=identity.tls(),
            node_exporters={environment: server.port for environment, server in exporters.items()},
            instances={environment: host.instance_id(environment) for environment in self._environments},
            apps={environment: host.url(environment, configuration.SERVICE) for environment in self._environments},
            apps_token=apps_token,
            alertmanager_port=alertmanager.port,
            webhook_url=self.webhook_url,
            token_file=self._token_file,
        )

    def _compose(self, identity: Identity, wiring: Wiring) -> None:
        """Write their configuration, and know how Prometheus is started."""
        rules_file = self._home / "rules.yml"
        configuration.write(rules_file, rules.tuned(self._source))
        configuration.write(self._home / "prometheus.yml", configuration.prometheus(wiring, rules_file=rules_file))
        configuration.write(self._home / "alertmanager.yml", configuration.alertmanager(wiring))
        self._servers["prometheus"] = [
            self._server("prometheus", "/-/ready", identity.context(), lambda port: self._prometheus(port, identity))
        ]

    def _server(self, name: str, ready: str, tls: Any, arguments: Callable[[int], list[str]]) -> Server:
        log = self._home / f"{name.replace(' ', '-')}.log"
        return Server(program=str(self._programs[name]), arguments=arguments, ready=ready, tls=tls, log=log)

    def _node_exporter(self, environment: str, identity: Identity, tls: Any) -> Server:
        def arguments(port: int) -> list[str]:
            return [
                f"--web.listen-address=127.0.0.1:{port}",
                f"--web.config.file={identity.web_config}",
                "--web.disable-exporter-metrics",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={self._hosts.directory(environment)}",
                "--log.level=warn",
            ]

        return self._server("node exporter", "/", tls, arguments)

    def _alertmanager(self, port: int, identity: Identity) -> list[str]:
        return [
            f"--config.file={self._home / 'alertmanager.yml'}",
            f"--storage.path={self._home / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.config.file={identity.web_config}",
            f"--web.external-url={self._fronts['alertmanager'].url}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def _prometheus(self, port: int, identity: Identity) -> list[str]:
        """Neither the lifecycle nor the admin API: a request must not be able to end it or to delete series."""
        return [
            f"--config.file={self._home / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._home / 'prometheus'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.config.file={identity.web_config}",
            f"--web.external-url={self._fronts['prometheus'].url}",
            f"--web.cors.origin={'|'.join(sorted(self._guard.origins)) or 'null'}",
            "--query.timeout=10s",
            f"--rules.alert.resend-delay={configuration.RESEND}",
            "--log.level=warn",
        ]

    async def close(self) -> None:
        """End them all: those that send first."""
        await self._hosts.close()
        await asyncio.gather(*(server.stop() for server in self._all()))
        await asyncio.gather(*(front.close() for front in self._fronts.values()))

    def _all(self) -> Iterator[Server]:
        return (server for servers in self._servers.values() for server in servers)

    # -- views --------------------------------------------------------------------------------------------------------

    @property
    def webhook_url(self) -> str:
        """The bot's alert listener."""
        return f"http://127.0.0.1:{self._listen_port}{WEBHOOK_PATH}"

    def tell(self) -> None:
        """Say how each of the parts is."""
        for part in self.parts():
            self._changed(part)

    def parts(self) -> Iterator[Part]:
        for name in PROGRAMS:
            if not self.present:
                yield Part(name, "absent", detail=self._missing(name))
                continue
            url = self._fronts[name].url if name in self._fronts else ""
            servers = self._servers.get(name, [])
            yield Part(name, "real", url, self._detail(name, servers), servers[0].pid if servers else None)

    def _missing(self, name: str) -> str:
        if not self._wanted:
            return LEFT_OUT
        if self._why:
            return self._why
        packages = [program.package for key, program in PROGRAMS.items() if not self._programs[key]]
        here = f"{name} is here, but it takes all three: " if self._programs[name] else ""
        return f"{here}apt-get install --no-install-recommends {' '.join(packages)} brings it"

    def _detail(self, name: str, servers: list[Server]) -> str:
        if not servers:
            return "starting"
        states = sorted({server.state for server in servers})
        if states != ["running"]:
            return " and ".join(states)
        about = {
            "node exporter": f"the made-up figures of {' and '.join(self._environments)}, no figure of this machine",
            "prometheus": "the owner's alerts, tuned to fire within seconds",
            "alertmanager": "sends to the bot",
        }
        return about[name]

    def describe(self) -> Json:
        """`GET /monitoring`: what is there, what is moved, and which payloads can be posted."""
        hosts = {
            name: {"burn_cpu": host.cpu, "fill_memory": host.memory, "fill_disk": dict(host.disk)}
            | {"stop_app": name in self._stopped_apps}
            for name, host in self._hosts.hosts.items()
        }
        servers = {name: [server.state for server in found] for name, found in self._servers.items()}
        return {
            "present": self.present,
            "servers": servers,
            "hosts": hosts,
            "watchdog_off": self._hosts.watchdog_off,
            "fixtures": self._fixtures.names(),
        }

    # -- levers -------------------------------------------------------------------------------------------------------

    async def move(self, body: Json) -> Json:
        """`POST /monitoring`.

        Raises:
            Rejected: the lever moves figures and nobody here reads them, or the body makes no sense.
        """
        wanted = MonitoringBody.read(body)
        if wanted.environment not in self._hosts.hosts:
            raise Rejected(f"environment must be one of {', '.join(self._hosts.hosts)}.")
        if wanted.lever == "stop_app":
            await self._stop_app(wanted.environment, on=wanted.on)
        elif not self.present:
            raise Rejected(f"Nobody reads the hosts' figures here: {next(self.parts()).detail}.")
        else:
            self._move_figures(wanted)
        told = self.describe()
        self._ledger.publish("monitoring", told)
        return told

    def _move_figures(self, wanted: MonitoringBody) -> None:
        host, level = self._hosts.hosts[wanted.environment], wanted.severity if wanted.on else None
        match wanted.lever:
            case "burn_cpu":
                host.cpu = level
            case "fill_memory":
                host.memory = level
            case "fill_disk":
                self._fill_disk(host.disk, wanted)
            case "watchdog_off":
                self._hosts.watchdog_off = wanted.on
        self._hosts.write()

    def _fill_disk(self, disk: dict[str, Any], wanted: MonitoringBody) -> None:
        if wanted.mountpoint not in (None, *FILE_SYSTEMS):
            raise Rejected(f"mountpoint must be one of {', '.join(FILE_SYSTEMS)}.")
        for mount in [wanted.mountpoint] if wanted.mountpoint else FILE_SYSTEMS:
            disk.pop(mount, None)
            if wanted.on:
                disk[mount] = wanted.severity

    async def _stop_app(self, environment: str, *, on: bool) -> None:
        if self._host is None:
            raise Rejected("The host is still starting.")
        if on:
            await self._host.stop_services(environment)
            self._stopped_apps.add(environment)
        else:
            await self._host.start_services(environment)
            self._stopped_apps.discard(environment)

    async def server(self, body: Json) -> Json:
        """`POST /monitoring/server`: take one of the servers away, or bring it back.

        Raises:
            Rejected: it is not here, or does not come up.
        """
        wanted = ServerBody.read(body)
        found = self._servers.get(wanted.server, [])
        if not found or not self.present:
            raise Rejected(f"There is no {wanted.server} here: {self._missing(wanted.server)}.")
        async with self._order:
            for server in found:
                await self._act(server, wanted.action)
            await self._follow(wanted.server, found)
        self.tell()
        told = self.describe()
        self._ledger.publish("monitoring", told)
        return told

    async def _act(self, server: Server, action: str) -> None:
        match action:
            case "stop":
                await server.stop()
            case "kill":
                await server.kill()
            case "hang":
                await server.freeze()
            case _:
                server.thaw()
                try:
                    await server.start()
                except ServerFailed as error:
                    raise Rejected(f"{error}.") from None

    async def _follow(self, name: str, servers: list[Server]) -> None:
        """The guarded address refuses connections exactly while its server would."""
        front = self._fronts.get(name)
        if front is None:
            return
        if servers[0].running:
            await front.open()
        else:
            await front.shut()

    async def alerts(self, body: Json) -> Json:
        """`POST /alerts`: post a stored payload, or one of the caller's own, to the bot's alert listener.

        Raises:
            Rejected: there is no such payload, or nobody takes it.
        """
        wanted = AlertsBody.read(body)
        if (wanted.fixture is None) == (wanted.payload is None):
            raise Rejected("Send either fixture, the name of a stored payload, or payload, one of your own.")
        known = self._fixtures.names()
        if wanted.fixture is not None and wanted.fixture not in known:
            raise Rejected(f"There is no fixture {wanted.fixture[:100]!r}; there are: {', '.join(known)}.")
        sent = self._fixtures.made(wanted.fixture) if wanted.fixture is not None else [wanted.payload or {}]
        return {"posted": len(sent), "statuses": await self._post(sent)}

    async def _post(self, sent: list[Json]) -> list[int]:
        """All at once, as Alertmanager does: it has a routine for each group."""
        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": "Alertmanager/0.25.0"}
        timeout = aiohttp.ClientTimeout(total=POST_S)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:

            async def one(payload: Json) -> int:
                async with session.post(self.webhook_url, json=payload) as answer:
                    return answer.status

            try:
                return list(await asyncio.gather(*(one(payload) for payload in sent)))
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Rejected(f"The bot's alert listener does not take it: {error or type(error).__name__}.") from None

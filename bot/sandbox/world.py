"""The composition of the world: opens its parts in order, side by side where they do not need each other, and closes
them in reverse. It wires and waits; what a part is or does is written at the part.

The page's port is served before this begins (see `__main__`), so that a visitor watches the parts come up.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from bot.sandbox import cast
from bot.sandbox.aws.part import AwsPart
from bot.sandbox.aws.seed import APPS_TOKEN
from bot.sandbox.baseline import Baseline
from bot.sandbox.bodies import FaultBody
from bot.sandbox.botconfig import (
    COMPONENTS,
    DEPLOYED,
    ENVIRONMENTS,
    ConfigFile,
    Document,
    Endpoints,
    Secrets,
    compose,
    environment,
    write_environment_file,
)
from bot.sandbox.chaos import Chaos
from bot.sandbox.clock import Clock
from bot.sandbox.discord.part import DiscordPart
from bot.sandbox.faults import Fault, Faults
from bot.sandbox.github.part import GithubPart
from bot.sandbox.host.part import HostPart
from bot.sandbox.images import BuildFailed, BuildOrder, ImageStore
from bot.sandbox.ledger import Ledger
from bot.sandbox.monitoring.part import Asked, MonitoringPart
from bot.sandbox.own_discord import Elsewhere, OwnDiscord, Readiness, forget_token, free_port
from bot.sandbox.parts import ABSENT, Kind, NotUp, Part, bordered, together
from bot.sandbox.supervisor import State, Supervisor
from bot.sandbox.toll import Sources, Toll
from bot.sandbox.validation.findings import Findings
from bot.sandbox.validation.inspector import Inspector
from bot.sandbox.wire import Guard, Rejected

T = TypeVar("T")
WATCH_S = 0.05
ENVIRONMENT_FILE = "quarterdeck.env"
"""In the home, beside the bot's configuration: its secrets, for commands on the host."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the world is started with. `source` is the checkout that the sample repository is seeded from.

    `bot_module` is what is run as the bot, by `python -m`.
    """

    home: Path
    source: Path
    speed: float = 1.0
    with_bot: bool = True
    engine: str | None = None
    bot_module: str = "bot"
    validate: bool = False
    """Whether every exchange is compared with the descriptions of others."""
    real_workflows: bool = False
    """Whether GitHub's part executes workflow files with act."""
    own_discord: OwnDiscord | None = None
    """A person's own Discord, in the place of the sandbox's."""
    monitoring: bool = True
    """Whether the real monitoring servers run where they are installed."""


class World:
    """The parts, what they share, and what the control API asks of the whole."""

    WIRED = ("discord", "github", "aws", "prometheus", "alertmanager")
    """The parts that keep a request list and know faults."""

    def __init__(self, *, options: Options, announce: Callable[[str], None]) -> None:
        self.options = options
        self.clock = Clock(options.speed)
        self.ledger = Ledger()
        self.faults = Faults()
        self.guard = Guard()
        self.config = ConfigFile(options.home / "quarterdeck.toml")
        self.port = 0
        self.inspector = Inspector() if options.validate else None
        self.watchers = 0
        """How many read the world's events at present."""
        self._announce = announce
        self._stack = AsyncExitStack()
        self._parts: dict[str, Part] = {}
        self._discord: DiscordPart | None = None
        self._github: GithubPart | None = None
        self._aws: AwsPart | None = None
        self._host: HostPart | None = None
        self._monitoring: MonitoringPart | None = None
        self._images: ImageStore | None = None
        self._bot: Supervisor | None = None
        self._chaos: Chaos | None = None
        self._own = options.own_discord
        self._readiness: Readiness | None = None
        self._health_port = 0
        token = self._own.token if self._own else cast.new_discord_token()
        self._secrets = Secrets(token, f"ghs_{token_urlsafe(27)}", ("", ""))
        self._dropping: set[asyncio.Task[None]] = set()
        self._prepared = False

    # -- the parts, for those who need one ----------------------------------------------------------------------------

    @property
    def discord(self) -> DiscordPart:
        if self._own is not None:
            raise Elsewhere
        return _up(self._discord, "Discord")

    @property
    def github(self) -> GithubPart:
        return _up(self._github, "GitHub")

    @property
    def aws(self) -> AwsPart:
        return _up(self._aws, "AWS")

    @property
    def host(self) -> HostPart:
        return _up(self._host, "host")

    @property
    def monitoring(self) -> MonitoringPart:
        return _up(self._monitoring, "monitoring")

    @property
    def bot(self) -> Supervisor:
        return _up(self._bot, "bot")

    @property
    def chaos(self) -> Chaos:
        return _up(self._chaos, "chaos")

    # -- opening and closing ------------------------------------------------------------------------------------------

    def serve_at(self, port: int) -> None:
        """Take note of the page's port: its origin is the only one that any port of the world accepts."""
        self.port = port
        self.guard.origins = frozenset({f"http://127.0.0.1:{port}", f"http://localhost:{port}"})
        self._tell(Part("page", "real", self.page_url, "this page and the control API"))

    @property
    def page_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Bring everything up; returns when the world is ready.

        Raises:
            PartFailed: a part could not be started; `close()` ends what was started.
        """
        for name, detail in ABSENT.items():
            self._tell(Part(name, "absent", detail=detail))
        for name in ("discord", "github", "host", "aws"):
            self._tell(Part(name, "fake"))
        if self._own is not None:
            self._own.remember(self.options.home)
            self._tell(Part("discord", "real", self._own.url, self._own.describe()))
            self._announce(f"discord is {self._own.describe()}")
        await together(
            self._open_discord(), self._open_github(), self._open_machines(), self._open_monitoring_addresses()
        )
        baseline = self._open_baseline()
        await bordered("baseline", baseline.prepare())
        await together(self._open_bot(), bordered("baseline", baseline.roll_out()), self._open_monitoring())
        self._tell_host()
        self._prepared = True
        await self._bot_connected()
        self.ledger.publish("ready", {"ready": self.ready})

    async def throw_away(self) -> None:
        """Take out of a real engine what an earlier world on this home brought to it; the home itself stays.

        Raises:
            PartFailed: the engine cannot be asked.
        """
        if self.options.engine and (self.options.home / "host").is_dir():
            await bordered("host", self._new_host().remove())

    async def close(self) -> None:
        """End everything, the newest first."""
        for dropping in self._dropping:
            dropping.cancel()
        await self._stack.aclose()

    async def _open_discord(self) -> None:
        if self._own is not None:
            return
        part = DiscordPart(
            **self._shared(), home=self._folder("discord"), token=self._secrets.discord_token, inspector=self.inspector
        )
        await self._start("discord", part)
        self._discord = part
        self._tell(Part("discord", "fake", part.api_url, f"gateway {part.gateway_url}"))

    async def _open_github(self) -> None:
        part = GithubPart(
            **self._shared(),
            home=self._folder("github"),
            token=self._secrets.github_token,
            source=self.options.source,
            inspector=self.inspector,
            build=self._build,
            real_workflows=self.options.real_workflows,
        )
        await self._start("github", part)
        self._github = part
        runner = "; workflows are executed by act" if self.options.real_workflows else ""
        self._tell(Part("github", "fake", part.api_url, f"{cast.GITHUB_REPOSITORY}, a real git repository{runner}"))

    async def _open_machines(self) -> None:
        """The host first: the AWS part runs its commands there."""
        host = HostPart(
            **self._shared(), home=self.options.home, source=self.options.source, engine=self.options.engine
        )
        await self._start("host", host)
        self._host = host
        self._tell_host()
        aws = AwsPart(**self._shared(), home=self.options.home, host=host, source=self.options.source)
        await self._start("aws", aws)
        self._aws = aws
        detail = f"moto, account {cast.AWS_ACCOUNT}, {cast.AWS_REGION}"
        self._tell(Part("aws", "fake", aws.endpoint_url, detail, aws.pid))

    async def _open_monitoring_addresses(self) -> None:
        """The addresses first: the bot's configuration names them."""
        asked = Asked(self.options.home, self.options.source, ENVIRONMENTS, self.options.monitoring)
        part = MonitoringPart(**self._shared(), asked=asked, changed=self._tell)
        self._stack.push_async_callback(part.close)
        await bordered("monitoring", part.prepare())
        self._monitoring = part

    async def _open_monitoring(self) -> None:
        await bordered("monitoring", self.monitoring.start(self.host, apps_token=APPS_TOKEN))
        self._announce("monitoring ready" if self.monitoring.present else "monitoring left out: see the parts")

    def _open_baseline(self) -> Baseline:
        self._images = ImageStore(
            directory=self._folder("images"),
            repository=self.github.repository_path,
            components=COMPONENTS,
            register=self.aws.register_image,
        )
        return Baseline(
            home=self.options.home,
            repository=self.github.repository_path,
            images=self._images,
            aws=self.aws,
            host=self.host,
            announce=self._announce,
        )

    async def _open_bot(self) -> None:
        """Write what the bot is started with, and start it unless the world was asked not to."""
        self._folder("state")
        self._open_readiness()
        self.config.write(
            compose(self._endpoints(), home=self.options.home, own=self._own, health_port=self._health_port)
        )
        secrets = replace(self._secrets, aws_key=self.aws.bot_key, alertmanager_token=self.monitoring.token)
        environ = environment(secrets, page_url=self.page_url)
        write_environment_file(self.options.home / ENVIRONMENT_FILE, environ)
        if self._own is not None and not self._own.keep_token:
            self._stack.callback(forget_token, self.options.home / ENVIRONMENT_FILE)
        self._bot = Supervisor(
            arguments=(sys.executable, "-m", self.options.bot_module, "run", "--config", str(self.config.path)),
            environ=environ,
            folder=self.options.source,
            log=self.options.home / "bot.log",
            ledger=self.ledger,
        )
        self.faults.executioner = self._bot.slay
        self._stack.push_async_callback(self._bot.close)
        self._open_chaos(self._bot)
        if self.options.with_bot:
            await self._bot.start()

    def _open_readiness(self) -> None:
        """Nobody but the bot can tell whether it is connected to a person's own Discord: it is asked."""
        if self._own is None:
            return
        self._health_port = free_port()
        self._readiness = Readiness(
            self._health_port, changed=lambda connected: self.ledger.publish("ready", {"ready": self.ready})
        )
        self._stack.push_async_callback(self._readiness.close)
        self._readiness.start()

    def _open_chaos(self, bot: Supervisor) -> None:
        """It closes before the bot does: what it strikes must still be there."""
        sources = Sources(
            killed=lambda: bot.killed,
            connected=self.connected,
            runs=lambda: list(self.github.runs.values()),
            orders=lambda: self.aws.orders(),
        )
        toll = Toll(ledger=self.ledger, sources=sources)
        self._chaos = Chaos(victim=lambda: self._victim(bot), wires=self, ledger=self.ledger, toll=toll)
        self._stack.push_async_callback(self._chaos.close)
        self._chaos.start()

    def _victim(self, bot: Supervisor) -> Supervisor:
        """Whom chaos may strike: nobody in front of real people."""
        if self._own is not None:
            raise Elsewhere
        return bot

    def _endpoints(self) -> Endpoints:
        return Endpoints(
            discord_api=self._discord.api_url if self._discord else "",
            discord_gateway=self._discord.gateway_url if self._discord else "",
            github_api=self.github.api_url,
            aws=self.aws.endpoint_url,
            instances={name: self.host.instance_id(name) for name in ENVIRONMENTS},
            service_urls={name: self.host.url(name, DEPLOYED) for name in ENVIRONMENTS},
            monitoring=self.monitoring.addresses,
        )

    @property
    def on_call(self) -> str:
        """Whom the bot takes the user of this machine for."""
        return str(self._own.people[0]["name"]) if self._own and self._own.people else cast.ON_CALL

    def command_line(self, command: str) -> str:
        """How the same is done on the host's command line, with this world's configuration and secrets."""
        installed = Path(sys.executable).with_name("quarterdeck")
        program = str(installed) if installed.exists() else f"{sys.executable} -m bot"
        return f"{program} {command} --config {self.config.path} --env-file {self.options.home / ENVIRONMENT_FILE}"

    async def _build(self, order: BuildOrder) -> str:
        """What the runner of GitHub's part calls; runs exist only once everything is open."""
        if self._images is None:
            raise BuildFailed("the image registry is still starting")
        return await self._images.build(order)

    async def _bot_connected(self) -> None:
        """Wait until the bot is in the gateway with its commands; a bot that gave up is said once and waited for on."""
        said = False
        while not self.ready:
            if self.bot.state is State.GIVEN_UP and not said:
                self._announce(f"bot gave up: {self.bot.detail}")
                said = True
            await asyncio.sleep(WATCH_S)
        self._announce("bot connected" if self.options.with_bot else "bot left out, as asked")

    async def _start(self, name: str, part: "_Startable") -> None:
        """Start a part; its end is arranged before, since a part that fails half-way may have opened something."""
        self._stack.push_async_callback(part.close)
        await bordered(name, part.start())
        self._announce(f"{name} ready")

    def _new_host(self) -> HostPart:
        return HostPart(
            **self._shared(), home=self.options.home, source=self.options.source, engine=self.options.engine
        )

    def _shared(self) -> dict[str, Any]:
        return {"clock": self.clock, "ledger": self.ledger, "faults": self.faults, "guard": self.guard}

    def _folder(self, name: str) -> Path:
        folder = self.options.home / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # -- views and levers of the whole --------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Everything is up, both environments run their versions, and the bot is connected with its commands."""
        if not self._prepared:
            return False
        if not self.options.with_bot:
            return True
        return self.connected() and (self._discord is None or bool(self._discord.guild_state()["commands"]))

    def state(self) -> Document:
        """`GET /state`; the guild is empty while Discord's part starts."""
        nothing = {"guild": self._own_guild(), "channels": [], "members": [], "commands": []}
        return {
            "ready": self.ready,
            **(self._discord.guild_state() if self._discord else nothing),
            "parts": [asdict(part) for part in (self._bot_part(), *self._parts.values())],
            "services": self._services(),
            "world": {"home": str(self.options.home), "port": self.port, "pid": os.getpid(), "speed": self.clock.speed},
            "event": self.ledger.last_event,
        }

    def _own_guild(self) -> Document:
        """The guild of a person's own Discord, with the sentence that says where to look; empty without one."""
        if self._own is None:
            return {}
        return {"id": str(self._own.guild_id), "name": self._own.guild_name, "elsewhere": str(Elsewhere())}

    def validation(self) -> Document:
        """`GET /validation`: what was compared with the descriptions of others, and what did not fit."""
        findings = self.inspector.findings if self.inspector else Findings()
        return {"on": self.inspector is not None, **findings.describe()}

    def attachments_origin(self) -> str:
        """Where Discord's part serves attachments from; empty while it starts."""
        if self._discord is None:
            return ""
        address = urlsplit(self._discord.api_url)
        return f"{address.scheme}://{address.netloc}"

    def add_fault(self, wanted: FaultBody) -> Fault:
        """Switch a fault on. `drop_gateway` cuts the gateway as often as `times` says, else once, or again for `for_s`.

        Raises:
            ValueError: `match` is no regular expression.
            Rejected: only Discord has a gateway, and a person's own Discord has no faults to switch on.
        """
        if wanted.part == "discord" and self._own is not None:
            raise Elsewhere
        once = wanted.kind in ("drop_gateway", "kill") and wanted.times is None and wanted.for_s is None
        if wanted.kind == "drop_gateway" and wanted.part != "discord":
            raise Rejected("drop_gateway is a fault of the part discord only.")
        fault = self.faults.add(**wanted.model_dump() | ({"times": 1} if once else {}))
        if wanted.kind != "drop_gateway":
            return fault
        dropping = asyncio.create_task(self._keep_dropping(fault), name="drop_gateway")
        self._dropping.add(dropping)
        dropping.add_done_callback(self._dropping.discard)
        return fault

    def remove_fault(self, fault: Fault) -> None:
        """Switch a fault off; one that has ended is left alone."""
        if self.faults.remove(fault.id):
            self.ledger.publish("fault", {"event": "removed", "fault": fault.id})

    def connected(self) -> bool:
        """Whether the bot is in the gateway."""
        if self._readiness is not None:
            return self._readiness.connected
        return self._discord is not None and self._discord.bot_connected()

    def watched(self) -> bool:
        """Whether anybody reads the world's events."""
        return self.watchers > 0

    async def _keep_dropping(self, fault: Fault) -> None:
        while fault in self.faults.active():
            if self.discord.bot_connected():
                await self.discord.drop_gateway()
                fault.hits += 1
            await asyncio.sleep(WATCH_S)

    def change_config(self, *, toml: str | None, patch: Document | None) -> Document:
        """Rewrite the bot's file and have the bot read it again, if it runs.

        Raises:
            Rejected: not exactly one of the two was given, or the patch cannot be merged.
        """
        if (toml is None) == (patch is None):
            raise Rejected("Send either toml, a whole file, or patch, an object to merge into it.")
        if toml is not None:
            self.bot  # noqa: B018 - refuses while the world has not written its own file yet
            self.config.write_text(toml)
        elif patch is not None:
            self.config.patch(patch)
        running = self.bot.state is State.RUNNING
        if running:
            self.bot.reload()
        return {"path": str(self.config.path), "reloaded": running}

    def _services(self) -> list[Document]:
        if self._host is None:
            return []
        return [
            {"service": DEPLOYED, "environment": name, "url": self._host.url(name, DEPLOYED)} for name in ENVIRONMENTS
        ]

    def _bot_part(self) -> Part:
        """The bot's line is asked for, not told: its process comes and goes."""
        if self._bot is None:
            return Part("bot", "real")
        told = self._bot.describe()
        detail = f"{told['state']}: {told['detail']}" if told["detail"] else str(told["state"])
        if not self.options.with_bot and self._bot.pid is None:
            return Part("bot", "absent", detail="left out (--no-bot); start it with POST /control/v1/bot")
        return Part("bot", "real", detail=detail, pid=self._bot.pid)

    def _tell_host(self) -> None:
        urls = ", ".join(f"{s['service']} {s['environment']} {s['url']}" for s in self._services())
        kind: Kind = "real" if self.options.engine else "fake"
        engine = (
            self.options.engine or "stand-in: processes on this machine; ENGINE=podman or docker brings a real engine"
        )
        self._tell(Part("host", kind, str(self._services()[0]["url"]), f"{urls} ({engine})"))

    def _tell(self, part: Part) -> None:
        self._parts[part.name] = part
        self.ledger.publish("part", asdict(part))


class _Startable(Protocol):
    async def start(self) -> None: ...

    async def close(self) -> None: ...


def _up(part: T | None, name: str) -> T:
    if part is None:
        raise NotUp(f"The {name} part is still starting: wait until GET /state says ready.")
    return part

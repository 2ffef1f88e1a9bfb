"""Status: what runs where, since when, by whom, how it is, what goes on, and what waits for the person who asks.

Only reads. Every part that cannot be seen gives a sentence of its own instead of a figure; a missing figure is never 0.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from bot.clients.aws import AwsClient
from bot.clients.github import GithubClient
from bot.errors import Unavailable
from bot.ops.model import Operation, Status
from bot.ops.store import Lock
from bot.policy import Actor
from bot.services.catalog import Catalog
from bot.services.running import Running, Versions
from bot.settings import Settings

T = TypeVar("T")


class Core(Protocol):
    """The part of the core that status reads."""

    async def operations(
        self, *, statuses: Sequence[Status] | None = None, environment: str = "", limit: int = 25
    ) -> list[Operation]: ...

    async def waiting_for(self, actor: Actor) -> list[Operation]: ...

    async def locks(self) -> list[Lock]: ...


@dataclass(frozen=True, slots=True)
class Behind:
    """How many commits a service is behind `of` (an environment or a branch); None: it cannot be said."""

    commits: int | None
    of: str


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service in one environment. `deployable` is false for those that are only listed."""

    service: str
    running: Running
    behind: Behind | None
    url: str
    deployable: bool


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """One environment: its services and what is going on there. `agent_heard_at` None: the host is not heard."""

    name: str
    services: tuple[ServiceStatus, ...]
    going_on: tuple[Operation, ...]
    locks: tuple[Lock, ...]
    agent_heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole answer, as of one moment. `troubles` are sentences about what cannot be seen now."""

    as_of: datetime
    environments: tuple[EnvironmentStatus, ...]
    waits_for_you: tuple[Operation, ...]
    troubles: tuple[str, ...]


class StatusService:
    """Collects an overview; holds nothing between two calls."""

    def __init__(
        self,
        settings: Settings,
        *,
        catalog: Catalog,
        core: Core,
        versions: Versions,
        github: GithubClient,
        aws: AwsClient,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._core = core
        self._versions = versions
        self._github = github
        self._aws = aws

    async def overview(self, actor: Actor, *, environment: str = "", service: str = "") -> Overview:
        """Everything, or one environment, or one service.

        Raises:
            Refused: the environment or the service is unknown.
        """
        if environment:
            self._catalog.environment(environment)
        if service:
            self._catalog.service(service)
        names = [environment] if environment else list(self._catalog.environments)
        services = [service] if service else list(self._catalog.services)
        troubles: list[str] = []
        environments = await asyncio.gather(*(self._environment(name, services, troubles) for name in names))
        waiting = await self._core.waiting_for(actor)
        return Overview(datetime.now(UTC), tuple(environments), tuple(waiting), tuple(dict.fromkeys(troubles)))

    async def _environment(self, name: str, services: Sequence[str], troubles: list[str]) -> EnvironmentStatus:
        found, going_on, locks, heard = await asyncio.gather(
            asyncio.gather(*(self._service(name, service, troubles) for service in services)),
            self._core.operations(
                statuses=(Status.PENDING, Status.APPROVED, Status.RUNNING, Status.INTERRUPTED), environment=name
            ),
            self._core.locks(),
            _or_none(self._aws.agent_heard_at(self._settings.environments[name].instance_id), troubles),
        )
        held = tuple(lock for lock in locks if lock.resource.split("/")[0] == name)
        return EnvironmentStatus(name, tuple(found), tuple(going_on), held, heard)

    async def _service(self, environment: str, service: str, troubles: list[str]) -> ServiceStatus:
        running = await self._versions.running(environment, service)
        return ServiceStatus(
            service=service,
            running=running,
            behind=await self._behind(environment, service, running, troubles),
            url=self._versions.url(environment, service),
            deployable=self._catalog.service(service).deployable,
        )

    async def _behind(self, environment: str, service: str, running: Running, troubles: list[str]) -> Behind | None:
        if not running.commit:
            return None
        follows = self._catalog.environment(environment).follows
        if follows is not None:
            head, of = (await self._versions.running(follows, service)).commit, follows
        else:
            of = self._settings.github.default_branch
            found = await _or_none(self._github.branch_head(of), troubles)
            head = found or ""
        if not head:
            return Behind(None, of)
        comparison = await _or_none(self._github.compare(running.commit, head), troubles)
        return Behind(comparison.ahead_by if comparison else None, of)


async def _or_none(asked: Awaitable[T], troubles: list[str]) -> T | None:
    """The answer, or None with the sentence of what went wrong added to the troubles."""
    try:
        return await asked
    except Unavailable as error:
        troubles.append(str(error))
        return None

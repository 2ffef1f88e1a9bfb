"""Status: what runs where, since when, by whom, how it is, what goes on, and what waits for the person who asks.

Only reads. Every figure has an age: what cannot be seen now is shown as it was last seen, with that time, or is
unknown; a missing figure is never 0. Every part that does not answer gives a sentence of its own.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from bot.alerts.model import FiringCount
from bot.clients.aws import AwsClient
from bot.clients.github import GithubClient
from bot.errors import Unavailable
from bot.ops.model import Operation, Status
from bot.ops.store import Lock
from bot.policy import EVERYWHERE, Action, Actor, Sight, sight
from bot.services.catalog import Catalog
from bot.services.changes import Change
from bot.services.outside import AWS, GITHUB, HOST, NAMES, Outside, Standing
from bot.services.running import Running, Versions
from bot.services.vitals import Vital, Vitals
from bot.settings import Settings

T = TypeVar("T")
PATIENCE_S = 6.0
"""For one figure: an answer without it, now, is worth more than a complete one much later."""
SECOND_TRY_S = 0.5
NOWHERE = Sight(elsewhere=False)
CHANGED_WITHIN = timedelta(hours=2)


class Core(Protocol):
    """The part of the core that status reads."""

    async def operations(
        self, *, statuses: Sequence[Status] | None = None, environment: str = "", limit: int = 25
    ) -> list[Operation]: ...

    async def waiting_for(self, actor: Actor) -> list[Operation]: ...

    async def locks(self) -> list[Lock]: ...


class Alerts(Protocol):
    """What the status reads of the alerts."""

    async def firing_counts(self) -> dict[tuple[str, str], FiringCount]: ...

    async def unconfirmed_since(self) -> datetime | None: ...


class Record(Protocol):
    """What the status reads of the index of changes."""

    async def of(
        self, environment: str, service: str, since: datetime, until: datetime, *, sight: Sight = EVERYWHERE
    ) -> tuple[Change, ...]: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the status looks beside the services themselves; what is not there is not told."""

    outside: Outside
    vitals: Vitals | None = None
    alerts: Alerts | None = None
    changes: Record | None = None


@dataclass(frozen=True, slots=True)
class Firing:
    """What fires, by (environment, service), both empty where an alert names none. `unconfirmed_since` is set while
    Alertmanager cannot be asked.
    """

    counts: Mapping[tuple[str, str], FiringCount]
    unconfirmed_since: datetime | None = None
    severities: tuple[str, ...] = ()
    """Rising."""

    def of(self, environment: str, service: str | None = None) -> FiringCount:
        """The count of an environment, or of one service there."""
        found = [
            count for (there, which), count in self.counts.items()
            if there == environment and service in (None, which)
        ]  # fmt: skip
        order = {name: number for number, name in enumerate(self.severities)}
        worst = max((count.worst for count in found), key=lambda name: order.get(name, -1), default="")
        return FiringCount(sum(c.firing for c in found), sum(c.suppressed for c in found), worst)


@dataclass(frozen=True, slots=True)
class Behind:
    """How many commits a service is behind `of` (an environment or a branch), as seen at `seen_at`; None: unknown."""

    commits: int | None
    of: str
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service in one environment. `deployable` is false for those that are only listed.

    `seen_at` is when the version shown was last vouched for, by the service itself or by the operation that checked
    it; None: it is not known.
    """

    service: str
    running: Running
    behind: Behind | None
    url: str
    deployable: bool
    seen_at: datetime | None
    vitals: tuple[Vital, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """One environment: its services and what is going on there, `hidden` more operations not counted, which the person
    who asks may not see; then their locks are left out as well.

    `agent_heard_at` is when the host's agent last reported, as far as AWS has told us; None: it is not heard, or not
    known. `agent_asked_at` is when AWS told us; it is older than the overview while AWS does not answer.
    """

    name: str
    services: tuple[ServiceStatus, ...]
    going_on: tuple[Operation, ...]
    locks: tuple[Lock, ...]
    agent_heard_at: datetime | None
    agent_asked_at: datetime | None
    hidden: int = 0
    vitals: tuple[Vital, ...] = ()
    changes: tuple[Change, ...] | None = None
    """What was changed there within `CHANGED_WITHIN`; None: not looked at, or not to be seen."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole answer. `as_of` is when it was asked for: every figure that was seen before then is an old one.

    `outside` is how the parts stand that the figures come from, `troubles` are sentences about what cannot be seen now
    although its part answers.
    """

    as_of: datetime
    environments: tuple[EnvironmentStatus, ...]
    waits_for_you: tuple[Operation, ...]
    outside: tuple[Standing, ...]
    troubles: tuple[str, ...]
    hidden: int = 0
    """So many environments may not be seen by the person who asks."""
    firing: Firing | None = None
    """None where no alerts come in, or where the person who asks may see none."""


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A version as the service itself named it."""

    running: Running
    at: datetime


async def _nothing() -> tuple[Vital, ...]:
    return ()


class _Troubles:
    """What could not be seen while one overview was collected: (part, sentence)."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    async def or_none(self, part: str, asked: Awaitable[T]) -> T | None:
        """The part's answer, or None with the sentence of what went wrong noted."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asked
        except Unavailable as error:
            self.found.append((error.service, str(error)))
        except TimeoutError:
            name = NAMES.get(part, part)
            self.found.append((part, f"{name} did not answer within {PATIENCE_S:.0f} s: its figures are older."))
        return None


class StatusService:
    """Collects an overview; between two calls it keeps only the figures that it last saw, with their times."""

    def __init__(
        self,
        settings: Settings,
        *,
        catalog: Catalog,
        core: Core,
        versions: Versions,
        github: GithubClient,
        aws: AwsClient,
        sources: Sources | None = None,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._core = core
        self._versions = versions
        self._github = github
        self._aws = aws
        self._sources = sources or Sources(Outside(settings.environments))
        self._outside = self._sources.outside
        self._seen: dict[tuple[str, str], _Sighting] = {}
        self._behind_seen: dict[tuple[str, str, str], Behind] = {}
        self._agents: dict[str, tuple[datetime | None, datetime]] = {}

    async def overview(self, actor: Actor | None, *, environment: str = "", service: str = "") -> Overview:
        """Everything, or one environment, or one service; without an actor it is nobody's in particular.

        Raises:
            Refused: the environment or the service is unknown.
        """
        if environment:
            self._catalog.environment(environment)
        if service:
            self._catalog.service(service)
        asked = [environment] if environment else list(self._catalog.environments)
        names = [name for name in asked if self._sight(actor, Action.STATUS_VIEW).covers(name)]
        services = [service] if service else list(self._catalog.services)
        troubles, as_of = _Troubles(), datetime.now(UTC)
        seen = self._sight(actor, Action.OPERATION_VIEW)
        measured = self._sight(actor, Action.METRICS_VIEW) if actor else NOWHERE
        environments = await asyncio.gather(
            *(
                self._environment(name, services, troubles, looks_in=seen.covers(name), measures=measured.covers(name))
                for name in names
            )
        )
        down = {standing.part for standing in self._outside.down()}
        waiting = await self._core.waiting_for(actor) if actor else ()
        return Overview(
            as_of=as_of,
            environments=tuple(environments),
            waits_for_you=tuple(operation for operation in waiting if seen.covers(operation.environment)),
            outside=self._outside.standings(),
            troubles=tuple(dict.fromkeys(sentence for part, sentence in troubles.found if part not in down)),
            hidden=len(asked) - len(names),
            firing=await troubles.or_none("database", self._firing(actor)),
        )

    async def _firing(self, actor: Actor | None) -> Firing | None:
        alerts, seen = self._sources.alerts, self._sight(actor, Action.ALERT_VIEW)
        if alerts is None:
            return None
        counts = await alerts.firing_counts()
        shown = {place: count for place, count in counts.items() if seen.covers(place[0])}
        severities = self._settings.alerts.severities if self._settings.alerts else ()
        return Firing(shown, await alerts.unconfirmed_since(), severities)

    async def _changes(self, environment: str, service: str, *, seen: bool) -> tuple[Change, ...] | None:
        if self._sources.changes is None or not seen:
            return None
        now = datetime.now(UTC)
        return await self._sources.changes.of(environment, service, now - CHANGED_WITHIN, now)

    def _sight(self, actor: Actor | None, action: Action) -> Sight:
        return sight(self._settings.policy_rows, actor, action) if actor else EVERYWHERE

    async def agent(self, environment: str) -> datetime | None:
        """When the agent of that environment's host last reported; None: AWS does not count it as online.

        Raises:
            Unavailable: AWS did not say.
        """
        found = await self._aws.agent_heard_at(self._settings.environments[environment].instance_id)
        self._agents[environment] = (found, datetime.now(UTC))
        if found is not None:
            self._outside.heard(f"{HOST}{environment}")
        else:
            self._outside.silent(f"{HOST}{environment}", "AWS does not hear the agent of that host.")
        return found

    async def _environment(
        self, name: str, services: Sequence[str], troubles: _Troubles, *, looks_in: bool, measures: bool
    ) -> EnvironmentStatus:
        vitals = self._sources.vitals if measures else None
        only = services[0] if len(services) == 1 else ""
        found, host, changes, going_on, locks, _ = await asyncio.gather(
            asyncio.gather(*(self._service(name, service, troubles, vitals) for service in services)),
            vitals.of_environment(name) if vitals else _nothing(),
            troubles.or_none("database", self._changes(name, only, seen=looks_in)),
            self._core.operations(
                statuses=(Status.PENDING, Status.APPROVED, Status.RUNNING, Status.INTERRUPTED), environment=name
            ),
            self._core.locks(),
            troubles.or_none(AWS, self.agent(name)),
        )
        held = tuple(lock for lock in locks if lock.resource.split("/")[0] == name)
        heard_at, asked_at = self._agents.get(name, (None, None))
        if not looks_in:
            return EnvironmentStatus(name, tuple(found), (), (), heard_at, asked_at, hidden=len(going_on), vitals=host)
        return EnvironmentStatus(
            name, tuple(found), tuple(going_on), held, heard_at, asked_at, vitals=host, changes=changes
        )

    async def _service(
        self, environment: str, service: str, troubles: _Troubles, vitals: Vitals | None
    ) -> ServiceStatus:
        (running, seen_at), figures = await asyncio.gather(
            self._running(environment, service),
            vitals.of_service(environment, service) if vitals else _nothing(),
        )
        return ServiceStatus(
            service=service,
            running=running,
            behind=await self._behind(environment, service, running, troubles),
            url=self._versions.url(environment, service),
            deployable=self._catalog.service(service).deployable,
            seen_at=seen_at,
            vitals=figures,
        )

    async def _running(self, environment: str, service: str) -> tuple[Running, datetime | None]:
        """What runs there, and when that was last seen. Asked twice before a service is said not to answer."""
        running = await self._versions.running(environment, service)
        if running.known != "live" and self._versions.url(environment, service):
            await asyncio.sleep(SECOND_TRY_S)
            running = await self._versions.running(environment, service)
        return self._last_seen(environment, service, running)

    def _last_seen(self, environment: str, service: str, running: Running) -> tuple[Running, datetime | None]:
        """What the service says now, or what was known of it last, and when that was."""
        now, key = datetime.now(UTC), (environment, service)
        if running.known == "live":
            self._seen[key] = _Sighting(running, now)
            return running, now
        sighting, recorded_at = self._seen.get(key), running.since
        if sighting is None or (recorded_at is not None and recorded_at > sighting.at):
            return running, recorded_at
        return replace(sighting.running, known="recorded", healthy=False), sighting.at

    async def _behind(self, environment: str, service: str, running: Running, troubles: _Troubles) -> Behind | None:
        if not running.commit:
            return None
        follows = self._catalog.environment(environment).follows
        if follows is not None:
            there, _ = await self._running(follows, service)
            head, of = there.commit, follows
        else:
            of = self._settings.github.default_branch
            newest = await troubles.or_none(GITHUB, self._github.branch_head(of))
            head = newest or ""
        asked = self._github.compare(running.commit, head) if head else None
        comparison = await troubles.or_none(GITHUB, asked) if asked else None
        key = (environment, service, running.commit)
        if comparison is None:
            return self._behind_seen.get(key, Behind(None, of))
        self._behind_seen = {k: seen for k, seen in self._behind_seen.items() if k[:2] != key[:2]}
        self._behind_seen[key] = Behind(comparison.ahead_by, of, datetime.now(UTC))
        return self._behind_seen[key]

"""What ran where and when, and what lies between two environments: read from our rows and from the repository.

Only reads. What runs now is asked of the services themselves, as everywhere; nothing is remembered between two calls.
"""

import asyncio
from dataclasses import dataclass

from bot.clients.github import GithubClient
from bot.clients.github_types import Commit
from bot.errors import Refused, Unavailable
from bot.ops.lookout import Lookout
from bot.ops.model import Operation
from bot.ops.store import Filter
from bot.policy import Actor
from bot.services.catalog import Catalog
from bot.services.running import Running, Versions

PAGE = 8
DEPLOYING = ("deploy", "rollback")


@dataclass(frozen=True, slots=True)
class Page:
    """Operations, newest first. `older` is the number behind which the next page begins; None: there is none.

    `hidden` are those of this page's span that the reader may not see.
    """

    operations: tuple[Operation, ...]
    older: int | None
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """One environment of a comparison. `commits` are those that only this side has, newest first; `total` of them
    there are in all; None: that cannot be said.
    """

    environment: str
    running: Running
    commits: tuple[Commit, ...] = ()
    total: int | None = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """What lies between what two environments run. `trouble`: why the commits cannot be named, in a sentence."""

    service: str
    this: Side
    other: Side
    trouble: str = ""

    @property
    def level(self) -> bool:
        """Whether both are known to run the same commit."""
        return bool(self.this.running.commit) and self.this.running.commit == self.other.running.commit


class History:
    """The past of services and the distance between environments."""

    def __init__(self, *, catalog: Catalog, past: Lookout, versions: Versions, github: GithubClient) -> None:
        self._catalog = catalog
        self._past = past
        self._versions = versions
        self._github = github

    async def page(self, reader: Actor, service: str, environment: str = "", *, before: int | None = None) -> Page:
        """What was brought there, whatever became of it, as far as the reader may see it; the page behind the
        operation `before`.

        Raises:
            Refused: the service or the environment is unknown.
        """
        self._catalog.service(service)
        if environment:
            self._catalog.environment(environment)
        wanted = Filter(environment=environment, service=service, kinds=DEPLOYING, limit=PAGE, before_id=before)
        view = await self._past.operations(reader, wanted)
        return Page(view.found, view.found[-1].id if view.older else None, view.hidden)

    async def difference(self, service: str, environment: str, against: str = "") -> Difference:
        """What the two environments run, and the commits that only one of them has. Left out, `against` is the
        environment that this one follows, or else the one that follows it.

        Raises:
            Refused: a name is unknown, or there is nothing to compare with.
        """
        self._catalog.service(service)
        other = against or self._counterpart(environment)
        self._catalog.environment(other)
        if other == environment:
            raise Refused(f"{environment} does not differ from itself.", hint="Name another environment.")
        this_runs, other_runs = await asyncio.gather(
            self._versions.running(environment, service), self._versions.running(other, service)
        )
        this, that = Side(environment, this_runs), Side(other, other_runs)
        for side in (this, that):
            if not side.running.commit:
                why = f"What runs in {side.environment} is not known now, so nothing can be compared."
                return Difference(service, _unknown(this), _unknown(that), why)
        if this_runs.commit == other_runs.commit:
            return Difference(service, this, that)
        return await self._compared(service, this, that)

    def _counterpart(self, environment: str) -> str:
        follows = self._catalog.environment(environment).follows
        followers = [name for name, other in self._catalog.environments.items() if other.follows == environment]
        if follows or followers:
            return follows or followers[0]
        raise Refused(f"{environment} follows no other environment.", hint="Name the one to compare it with.")

    async def _compared(self, service: str, this: Side, that: Side) -> Difference:
        try:
            ahead, behind = await asyncio.gather(
                self._github.compare(that.running.commit, this.running.commit),
                self._github.compare(this.running.commit, that.running.commit),
            )
        except Unavailable as error:
            return Difference(service, _unknown(this), _unknown(that), f"The commits cannot be named: {error}")
        return Difference(
            service,
            Side(this.environment, this.running, tuple(reversed(ahead.commits)), ahead.ahead_by),
            Side(that.environment, that.running, tuple(reversed(behind.commits)), behind.ahead_by),
        )


def _unknown(side: Side) -> Side:
    return Side(side.environment, side.running, (), None)

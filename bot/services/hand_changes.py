"""Hand changes: a version that serves and that no operation of ours put there, written down once, with its time.

Looks about once a minute, because nothing tells us. The newest event of a place says what was last known to serve
there, so that a difference is one event, also over restarts, and so is the way back. While an operation holds the
place's lock nothing is concluded: what serves is not settled then.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, select

from bot.db.tables import events, locks, operations
from bot.ops.model import Operation
from bot.ops.store import Store
from bot.services.changes import HAND_CHANGE
from bot.services.running import Health
from bot.settings import Settings

SIGHTED = "version.sighted"
"""The event of the first version ever seen where no operation has put one: what later differences are held against."""
NOBODY = "somebody"
"""Who did it is not known: nobody told us."""


class Services(Protocol):
    """The part of `running.Versions` that says what serves."""

    async def health(self, environment: str, service: str) -> Health | None: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """What serves by our own memory; `operation_id` is the newest operation that put something there."""

    operation_id: int | None
    commit: str
    busy: bool


def watched(settings: Settings) -> list[tuple[str, str]]:
    """(environment, service) of everything that we deploy and that can say what it is."""
    return [
        (environment, name)
        for name, service in settings.services.items()
        for environment in service.urls
        if service.deployable
    ]


class HandWatch:
    """Holds what serves at these places against what we remember."""

    def __init__(self, places: Sequence[tuple[str, str]], *, services: Services, store: Store) -> None:
        self._places = tuple(places)
        self._services = services
        self._store = store

    async def look(self) -> None:
        """One look at every service; one that does not answer tells nothing.

        Raises:
            Unavailable: the database could not be asked.
        """
        await asyncio.gather(*(self._look_at(environment, service) for environment, service in self._places))

    async def _look_at(self, environment: str, service: str) -> None:
        def known(connection: Connection) -> _Known:
            return _known(connection, self._store, environment, service)

        before = await self._store.database.read(known)
        if before.busy:
            return
        health = await self._services.health(environment, service)
        if health is None or health.commit in ("", before.commit):
            return

        def write(connection: Connection) -> None:
            if _known(connection, self._store, environment, service) == before:  # nothing was deployed meanwhile
                self._note(connection, environment, service, before, health)

        await self._store.database.write(write)

    def _note(self, connection: Connection, environment: str, service: str, before: _Known, health: Health) -> None:
        data: dict[str, Any] = {
            "environment": environment,
            "service": service,
            "commit": health.commit,
            "instead_of": before.commit,
            "of_operation": before.operation_id,
        }
        new, old = health.commit[:7], before.commit[:7]
        if not before.commit:
            text = f"{service} in {environment} serves {new}; nothing was ever deployed there from here."
            self._store.record(connection, SIGHTED, "bot", text, data=data)
            return
        text = f"{service} in {environment} serves {new} instead of {old}, and no operation succeeded in that."
        if tried := _tried(connection, environment, service, before.operation_id or 0, health.commit):
            text += f" #{tried} was to bring it."
        self._store.record(connection, HAND_CHANGE, NOBODY, text, data=data)


def _known(connection: Connection, store: Store, environment: str, service: str) -> _Known:
    """What serves there by our own memory: as last sighted, unless an operation has put something there since."""
    deployed: list[Operation] = store.deployed(connection, environment, service, limit=1)
    last = deployed[0] if deployed else None
    operation_id = last.id if last else None
    commit = str(last.result.get("commit", "")) if last else ""
    statement = (
        select(events.c.data)
        .where(events.c.name.in_((HAND_CHANGE, SIGHTED)))
        .where(events.c.environment == environment, events.c.service == service)
        .order_by(events.c.id.desc())
        .limit(1)
    )
    if last is not None and last.ended_at is not None:  # older ones say nothing any more, so they need not be read
        statement = statement.where(events.c.at >= last.ended_at)
    seen = connection.execute(statement).mappings().one_or_none()
    if seen is not None and seen["data"].get("of_operation") == operation_id:
        commit = str(seen["data"].get("commit", ""))
    held = select(locks.c.resource).where(locks.c.resource.in_((f"{environment}/{service}", environment))).limit(1)
    return _Known(operation_id, commit, busy=connection.execute(held).first() is not None)


def _tried(connection: Connection, environment: str, service: str, after_id: int, commit: str) -> int | None:
    """The newest operation since then that was to bring this version and did not succeed."""
    table = operations.c
    here = (table.environment == environment) & (table.service == service) & (table.id > after_id)
    found = connection.execute(select(table.id, table.plan).where(here, table.started_at.is_not(None)))
    return max((row.id for row in found if (row.plan or {}).get("commit") == commit), default=None)

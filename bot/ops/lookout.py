"""Looking at operations and at the record, for a person: only what the policy lets that person see.

Every door that shows something asks here, so that a row about one environment hides it everywhere. What is hidden is
counted, never shown: a list that only seems complete would be a lie. Nothing is decided here, the rules are `policy`'s.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from sqlalchemy import Connection

from bot.errors import Refused
from bot.ops.model import Event, Operation
from bot.ops.record import AuditFilter
from bot.ops.rules import trace
from bot.ops.store import Filter, Store
from bot.policy import Action, Actor, PolicyRow, Sight, authorise, sight

T = TypeVar("T")
REFUSED = "door.refused"


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """What somebody may see of what was asked for, newest first. `hidden` more stand among or, when there are no
    `older` ones, below these, where that person may not look.
    """

    found: tuple[T, ...]
    hidden: int = 0
    older: bool = False


class Lookout:
    """Reads for people. `policy` are the rows in force for as long as this object lives."""

    def __init__(self, store: Store, policy: Sequence[PolicyRow]) -> None:
        self._store = store
        self._rows = tuple(policy)

    def sight(self, actor: Actor, action: Action = Action.OPERATION_VIEW) -> Sight:
        """Where the actor may look."""
        return sight(self._rows, actor, action)

    async def operation(self, operation_id: int, actor: Actor) -> Operation:
        """One operation, by the rule of its own environment.

        Raises:
            Refused: there is none of that number, or the actor may not see it; the latter is recorded.
        """
        operation = await self._store.database.read(lambda c: self._store.known(c, operation_id))
        decision = authorise(self._rows, actor, Action.OPERATION_VIEW, operation.environment)
        if decision.allowed:
            return operation
        refusal = Refused(decision.reason, hint=decision.hint, rule=decision.rule)
        await self._store.database.write(
            lambda c: self._store.record_refusal(c, REFUSED, actor.name, refusal, operation.id, place=trace(actor))
        )
        raise refusal

    async def operations(self, actor: Actor, wanted: Filter) -> View[Operation]:
        """Those that match and may be seen, as many as the filter's limit says."""
        seen, one_more = self.sight(actor), replace(wanted, limit=wanted.limit + 1)

        def read(connection: Connection) -> View[Operation]:
            found, older = _cut(self._store.operations(connection, one_more, seen), wanted.limit)
            if seen.whole:
                return View(found, older=older)
            after_id = found[-1].id if older else 0
            return View(found, self._store.count_operations(connection, wanted, seen.rest, after_id=after_id), older)

        return await self._store.database.read(read)

    def among(self, actor: Actor, operations: Iterable[Operation]) -> View[Operation]:
        """Those of them that may be seen, in their order."""
        seen, whole = self.sight(actor), tuple(operations)
        found = tuple(operation for operation in whole if seen.covers(operation.environment))
        return View(found, len(whole) - len(found))

    async def audit(self, actor: Actor, wanted: AuditFilter) -> View[Event]:
        """The events that match and may be seen, as many as the filter's limit says."""
        seen, one_more = self.sight(actor, Action.AUDIT_VIEW), replace(wanted, limit=wanted.limit + 1)

        def read(connection: Connection) -> View[Event]:
            found, older = _cut(self._store.audit(connection, one_more, seen), wanted.limit)
            if seen.whole:
                return View(found, older=older)
            after_id = found[-1].id if older else 0
            return View(found, self._store.count_events(connection, wanted, seen.rest, after_id=after_id), older)

        return await self._store.database.read(read)


def _cut(found: Sequence[T], limit: int) -> tuple[tuple[T, ...], bool]:
    """At most so many, and whether there are more."""
    return tuple(found[:limit]), len(found) > limit

"""Whose turn it is: a pure decision over approved operations, locks and free slots, first come first served.

An operation takes all its locks or none; one that waits bars later ones from the locks it wants, so nobody starves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.ops.model import Status
from bot.ops.sentences import named

PASSES = "rollback"
"""The kind that does not wait for those that cannot be checked now."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What lining up needs to know of an operation. `step` is what a running one does now."""

    id: int
    kind: str
    service: str
    environment: str
    requester: str
    status: Status
    locks: tuple[str, ...]
    waiting_for: str
    step: str
    lease_owner: str
    lease_until: datetime | None
    cancel_requested_at: datetime | None
    takes_over: tuple[int, ...] = ()
    startable_since: datetime | None = None
    """Of a running one: it is held back since then, and `waiting_for` says why."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The outcome for one waiting operation: it starts now, or it waits for what `waiting_for` says."""

    operation: Standing
    starts: bool
    waiting_for: str = ""


def line_up(
    waiting: Sequence[Standing],
    holders: Mapping[str, Standing],
    *,
    begun: frozenset[int],
    free_slots: int,
    held_back: frozenset[int] = frozenset(),
) -> list[Turn]:
    """Decide for all that wait, in the order given. `begun` are those being checked before their start: they hold a
    slot and their locks already, and are not decided again. `holders` are the operations that have the locks.

    `held_back` are those whose check could not be made just now. They keep their place, so that an older version never
    goes out after a newer one; only a rollback, which needs less of the outside, passes them.
    """
    ahead_by_lock: dict[str, list[Standing]] = {resource: [holder] for resource, holder in holders.items()}
    turns = []
    for operation in waiting:
        ahead = _ahead(operation, ahead_by_lock)
        if operation.kind == PASSES:
            ahead = [other for other in ahead if other.id not in held_back]
        ahead = _without_taken_over(operation, ahead, begun)
        for resource in operation.locks:
            ahead_by_lock.setdefault(resource, []).append(operation)
        if operation.id in begun or operation.id in held_back:
            continue
        if ahead:
            turns.append(Turn(operation, False, _behind(operation, ahead)))
        elif free_slots > 0:
            free_slots -= 1
            turns.append(Turn(operation, True))
        else:
            turns.append(Turn(operation, False, "a free slot: as many operations run as are allowed at once"))
    return turns


def _ahead(operation: Standing, ahead_by_lock: Mapping[str, Sequence[Standing]]) -> list[Standing]:
    """Everybody before it on any of its locks, once each, holders first."""
    found = {other.id: other for resource in operation.locks for other in ahead_by_lock.get(resource, ())}
    found.pop(operation.id, None)
    return sorted(found.values(), key=lambda other: other.status is Status.APPROVED)


def _without_taken_over(operation: Standing, ahead: list[Standing], begun: frozenset[int]) -> list[Standing]:
    """What is left ahead of one that takes over the locks of interrupted operations: those that wait behind them
    could not start anyway, and are passed, too.
    """
    yielding = {o.id for o in ahead if o.status is Status.INTERRUPTED and o.id in operation.takes_over}
    if not yielding:
        return ahead
    return [o for o in ahead if o.id not in yielding and (o.status is not Status.APPROVED or o.id in begun)]


def _behind(operation: Standing, ahead: Sequence[Standing]) -> str:
    first = ahead[0]
    what = f"{named(first.kind, first.service, first.environment)}, started by {first.requester}"
    match first.status:
        case Status.INTERRUPTED if operation.kind == PASSES:
            does = "interrupted since; a rollback that is asked for now takes its locks over"
        case Status.INTERRUPTED:
            does = "interrupted, and keeps its locks until somebody resumes or closes it"
        case Status.RUNNING if first.startable_since is not None:
            does = f"held back: {first.waiting_for.rstrip('.')}; cancel #{first.id}, or wait until it is interrupted"
        case Status.RUNNING:
            does = first.step or "running"
        case _:
            does = "about to start"
    return f"{_ordinal(len(ahead) + 1)} behind #{first.id} ({what}): {does}"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"

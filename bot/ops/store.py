"""The SQL of the core: operations, votes, events and locks. Every function works within the caller's transaction.

A transition is one UPDATE that names the statuses from which it is allowed; whoever comes second changes no row.
Whatever changes a row also writes its event and marks the card, in the same transaction. Decisions live in the engine.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Result, RowMapping, and_, delete, func, or_, select, update

from bot.db.cards import Priority, mark_dirty
from bot.db.database import Database
from bot.db.tables import locks, operations, votes
from bot.errors import Refused
from bot.ops import statements
from bot.ops.lineup import Standing
from bot.ops.model import NEXT, NOT_CONFIRMED, Json, Operation, Status, Verdict, Vote
from bot.ops.record import Clean, Now, Record, cleaned, utc_now, within
from bot.ops.rows import StoredStep, operation_of, vote_of
from bot.policy import EVERYWHERE, Sight

DEPLOYING = ("deploy", "rollback")
"""The kinds of operations that put a version somewhere."""
FOREIGN = frozenset(
    ("target", "shown", "reason", "policy_reason", "waiting_for", "log_tail", "steps", "result", "checkpoint")
)
"""The columns of an operation into which text from outside finds its way. What a vote binds to is not among them."""
_FROM: Mapping[Status, tuple[Status, ...]] = {
    to: tuple(status for status, following in NEXT.items() if to in following) for to in Status
}


@dataclass(frozen=True, slots=True)
class Lock:
    """A resource that an operation holds: `prod/app`."""

    resource: str
    operation_id: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Scene:
    """What an executor decides from, as of one moment: who waits (first come first), who runs, who holds which lock."""

    waiting: tuple[Standing, ...]
    running: tuple[Standing, ...]
    interrupted: tuple[Standing, ...]
    holders: Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which operations are wanted; empty fields ask for all. Newest first."""

    statuses: Collection[Status] | None = None
    environment: str = ""
    service: str = ""
    requester: str = ""
    kinds: Collection[str] = ()
    limit: int = 25
    before_id: int | None = None


class Store(Record):
    """All the SQL of the core, with what every statement needs: the clock, and where an environment's cards go.

    `channels` gives the Discord channel id of each environment; an environment that is not in it has no cards.
    `clean` takes secrets out of what comes from outside, before it is written.
    """

    def __init__(
        self,
        database: Database,
        *,
        channels: Mapping[str, int] | None = None,
        now: Now = utc_now,
        clean: Clean = str,
    ) -> None:
        super().__init__(now=now, clean=clean)
        self.database = database
        self._channels = dict(channels or {})

    # ---- operations --------------------------------------------------------------------------------------------

    def insert(self, connection: Connection, values: Mapping[str, Any]) -> Operation | None:
        """A new operation; None, and nothing written, when its request key is taken."""
        row = connection.execute(statements.INSERT, self._without_secrets(values)).mappings().one_or_none()
        return self._changed(connection, row)

    def _without_secrets(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: cleaned(value, self.clean) if name in FOREIGN else value for name, value in values.items()}

    def get(self, connection: Connection, operation_id: int) -> Operation | None:
        return self._one(connection.execute(statements.BY_ID, {"wanted_id": operation_id}))

    def by_key(self, connection: Connection, request_key: str) -> Operation | None:
        return self._one(connection.execute(statements.BY_KEY, {"wanted_key": request_key}))

    def known(self, connection: Connection, operation_id: int) -> Operation:
        """The operation.

        Raises:
            Refused: there is none of that number.
        """
        operation = self.get(connection, operation_id)
        if operation is None:
            raise Refused(
                f"There is no operation #{operation_id}.", rule="unknown", hint="/ops list shows what there is."
            )
        return operation

    def _one(self, found: Result[Any]) -> Operation | None:
        row = found.mappings().one_or_none()
        return None if row is None else operation_of(row, self.now())

    def transition(
        self,
        connection: Connection,
        operation_id: int,
        to: Status,
        *,
        actor: str,
        text: str,
        owner: str | None = None,
        data: Json | None = None,
        **changes: Any,
    ) -> Operation | None:
        """Take the one step to `to` with its event; None, and nothing written, when the row stands elsewhere.

        `owner` also demands that this executor still holds the lease; `data` goes into the event.
        """
        row = self._update(connection, operation_id, _FROM[to], owner, {**changes, "status": to})
        if row is not None:
            self.record(connection, f"operation.{to}", actor, text, operation_id=operation_id, data=data)
        return self._changed(connection, row)

    def moved(self, connection: Connection, operation_id: int, to: Status, **rest: Any) -> Operation:
        """`transition` for a caller who has read the row in this very transaction.

        Raises:
            RuntimeError: the row stood elsewhere all the same: the transaction was not serialised.
        """
        operation = self.transition(connection, operation_id, to, **rest)
        if operation is None:
            raise RuntimeError(f"operation {operation_id} did not become {to}")
        return operation

    def change(
        self,
        connection: Connection,
        operation_id: int,
        statuses: Sequence[Status],
        *,
        owner: str | None = None,
        **changes: Any,
    ) -> Operation | None:
        """Change columns of a row that stands in one of `statuses`; None when it does not."""
        return self._changed(connection, self._update(connection, operation_id, statuses, owner, changes))

    def _update(
        self, connection: Connection, operation_id: int, statuses: Sequence[Status], owner: str | None, changes: Json
    ) -> RowMapping | None:
        statement = statements.moving(tuple(statuses), owner is not None)
        values = {**self._without_secrets(changes), "wanted_id": operation_id, "wanted_owner": owner}
        if owner is None:
            del values["wanted_owner"]
        return connection.execute(statement, values).mappings().one_or_none()

    def _changed(self, connection: Connection, row: RowMapping | None) -> Operation | None:
        if row is None:
            return None
        operation = operation_of(row, self.now())
        self.touch(connection, operation)
        return operation

    def touch(self, connection: Connection, operation: Operation) -> None:
        """Say that the operation's card is out of date."""
        channel = self._channels.get(operation.environment)
        if channel is not None and not operation.seeded:
            mark_dirty(connection, operation.card_key, channel, _priority(operation.status))

    def steps(self, connection: Connection, operation_id: int) -> list[StoredStep]:
        found = connection.execute(statements.STEPS, {"wanted_id": operation_id}).scalar()
        return list(found or ())

    def operations(self, connection: Connection, wanted: Filter, sight: Sight = EVERYWHERE) -> list[Operation]:
        matching = select(operations).where(*_matching(wanted, sight))
        statement = matching.order_by(operations.c.id.desc()).limit(wanted.limit)
        now = self.now()
        return [operation_of(row, now) for row in connection.execute(statement).mappings()]

    def count_operations(self, connection: Connection, wanted: Filter, sight: Sight, *, after_id: int) -> int:
        """How many match that are newer than that one; the filter's limit does not count here."""
        matching = select(func.count()).select_from(operations).where(*_matching(wanted, sight))
        return int(connection.execute(matching.where(operations.c.id > after_id)).scalar_one())

    def deployed(
        self, connection: Connection, environment: str, service: str, *, limit: int, since: datetime | None = None
    ) -> list[Operation]:
        """What was put there with success, newest ending first."""
        table = operations.c
        statement = (
            select(operations)
            .where(table.environment == environment, table.service == service, table.status == Status.SUCCEEDED)
            .where(table.kind.in_(DEPLOYING))
            .order_by(table.ended_at.desc(), table.id.desc())
            .limit(limit)
        )
        if since is not None:
            statement = statement.where(table.ended_at >= since)
        now = self.now()
        return [operation_of(row, now) for row in connection.execute(statement).mappings()]

    def overdue(self, connection: Connection, *, startable_before: datetime) -> list[int]:
        """Requests whose approval time is over, and approved ones that could have started since before that moment."""
        table = operations.c
        late = or_(
            and_(table.status == Status.PENDING, table.expires_at <= self.now()),
            and_(table.status == Status.APPROVED, table.startable_since <= startable_before),
        )
        return list(connection.execute(select(table.id).where(late).order_by(table.id)).scalars())

    def to_remind(self, connection: Connection, *, expiring_before: datetime) -> list[int]:
        """Requests that soon expire and of which nobody has been reminded yet."""
        table = operations.c
        soon = and_(table.status == Status.PENDING, table.reminded_at.is_(None), table.expires_at <= expiring_before)
        return list(connection.execute(select(table.id).where(soon).order_by(table.id)).scalars())

    def not_confirmed(self, connection: Connection, operation: Operation, person: str, *others: str) -> Operation:
        """Write down that these persons' roles went by the people table alone; the operation with that mark."""
        named = " and ".join((person, *others))
        text = f"Discord could not be asked about the roles of {named}: the duties of the people table counted."
        self.record(connection, NOT_CONFIRMED, person, text, operation_id=operation.id)
        return self.change(connection, operation.id, tuple(Status), roles_confirmed=False) or operation

    # ---- running them ------------------------------------------------------------------------------------------

    def scene(self, connection: Connection) -> Scene:
        """Everything that is approved, runs or is interrupted, in few columns."""
        table = operations.c
        statement = (
            select(*(table[name] for name in _STANDING), table.steps)
            .where(table.status.in_((Status.APPROVED, Status.RUNNING, Status.INTERRUPTED)))
            .order_by(table.approved_at, table.id)
        )
        found = [_standing_of(row) for row in connection.execute(statement).mappings()]
        by_id = {standing.id: standing for standing in found}
        held = connection.execute(select(locks.c.resource, locks.c.operation_id)).all()
        return Scene(
            waiting=tuple(standing for standing in found if standing.status is Status.APPROVED),
            running=tuple(standing for standing in found if standing.status is Status.RUNNING),
            interrupted=tuple(standing for standing in found if standing.status is Status.INTERRUPTED),
            holders={resource: by_id[holder] for resource, holder in held if holder in by_id},
        )

    def hold_back(self, connection: Connection, operation_id: int, why: str) -> Operation | None:
        """Say what an approved operation waits for while the time until it must have started goes on."""
        ours = and_(operations.c.id == operation_id, operations.c.startable_since.is_(None))
        connection.execute(update(operations).where(ours).values(startable_since=self.now()))
        return self.change(connection, operation_id, (Status.APPROVED,), waiting_for=why)

    def queue_up(self, connection: Connection, operation_id: int, why: str) -> Operation | None:
        """Say behind whom an approved operation stands; the time until it must have started does not run meanwhile."""
        return self.change(connection, operation_id, (Status.APPROVED,), waiting_for=why, startable_since=None)

    def renew_leases(self, connection: Connection, owner: str, until: datetime) -> None:
        """Say that this executor is alive; no card shows that."""
        mine = and_(operations.c.lease_owner == owner, operations.c.status == Status.RUNNING)
        connection.execute(update(operations).where(mine).values(lease_until=until))

    # ---- votes -------------------------------------------------------------------------------------------------

    def votes(self, connection: Connection, operation_id: int) -> list[Vote]:
        statement = select(votes).where(votes.c.operation_id == operation_id).order_by(votes.c.at, votes.c.person)
        return [vote_of(row) for row in connection.execute(statement).mappings()]

    def voted_on(self, connection: Connection, person: str) -> set[int]:
        """The open requests on which that person has voted."""
        statement = (
            select(votes.c.operation_id)
            .join(operations, operations.c.id == votes.c.operation_id)
            .where(votes.c.person == person, operations.c.status == Status.PENDING)
        )
        return set(connection.execute(statement).scalars())

    def take_back(self, connection: Connection, operation_id: int, person: str) -> bool:
        """Take that person's approval away; False: there is none."""
        mine = and_(votes.c.operation_id == operation_id, votes.c.person == person, votes.c.verdict == Verdict.APPROVE)
        return connection.execute(delete(votes).where(mine)).rowcount == 1

    def add_vote(self, connection: Connection, vote: Vote) -> int:
        """Write the vote (one a person; a second one breaks the constraint) and count the persons who approve."""
        connection.execute(
            votes.insert(),
            {
                "operation_id": vote.operation_id,
                "person": vote.person,
                "verdict": vote.verdict,
                "digest": vote.digest,
                "reason": self.clean(vote.reason),
                "at": vote.at,
            },
        )
        counted = select(func.count()).where(
            votes.c.operation_id == vote.operation_id, votes.c.verdict == Verdict.APPROVE
        )
        return int(connection.execute(counted).scalar_one())

    # ---- locks -------------------------------------------------------------------------------------------------

    def take_locks(self, connection: Connection, operation: Operation) -> bool:
        """All of the operation's resources or none. False: somebody else holds one of them.

        What an interrupted operation holds that this one takes over is no hindrance: the lock changes hands.
        """
        resources = sorted(set(operation.locks))
        held = self.holders(connection, resources)
        if any(holder not in operation.takes_over for holder in held.values()):
            return False
        before = [self.get(connection, holder) for holder in sorted(set(held.values()))]
        if any(holder is None or holder.status is not Status.INTERRUPTED for holder in before):
            return False
        for holder in filter(None, before):
            self._take_over(connection, holder, operation)
        for resource in resources:
            wanted = {"resource": resource, "operation_id": operation.id, "since": self.now()}
            if resource not in held and connection.execute(statements.TAKE_LOCK, wanted).first() is None:
                raise RuntimeError(f"the lock {resource} was taken within the transaction that had seen it free")
        return True

    def _take_over(self, connection: Connection, holder: Operation, operation: Operation) -> None:
        """Give the operation those of its locks that an interrupted one holds, and write that down on both."""
        mine = and_(locks.c.operation_id == holder.id, locks.c.resource.in_(set(operation.locks)))
        connection.execute(update(locks).where(mine).values(operation_id=operation.id, since=self.now()))
        if self.change(connection, holder.id, (Status.INTERRUPTED,), locks_taken_by=operation.id) is None:
            raise RuntimeError(f"operation {holder.id} went on within the transaction that had seen it interrupted")
        by, name = operation.requester, "locks.taken_over"
        lost = f"{operation.short_id}, asked for by {by}, took its locks over."
        took = f"It took over the locks of {holder.short_id}, which is interrupted."
        self.record(connection, name, by, lost, operation_id=holder.id, data={"by_operation": operation.id})
        self.record(connection, name, by, took, operation_id=operation.id, data={"from_operation": holder.id})

    def holders(self, connection: Connection, resources: Sequence[str]) -> dict[str, int]:
        """Which operation holds which of these resources; free ones are left out."""
        statement = select(locks.c.resource, locks.c.operation_id).where(locks.c.resource.in_(resources))
        return {str(row.resource): int(row.operation_id) for row in connection.execute(statement)}

    def let_locks_go(self, connection: Connection, operation: Operation, *, begun: bool) -> None:
        """Free the locks of an operation that ends. If it has not `begun`, it has changed nothing of what those did
        from whom it took them over: they get them back.
        """
        if not begun:
            self._give_back(connection, operation)
        connection.execute(statements.RELEASE_LOCKS, {"wanted_id": operation.id})

    def _give_back(self, connection: Connection, operation: Operation) -> None:
        """Give the interrupted operations their locks back, as far as this one still has them; where another one has
        taken them over from this one, it is that one that they have lost them to.
        """
        robbed = and_(operations.c.locks_taken_by == operation.id, operations.c.status == Status.INTERRUPTED)
        for former_id in connection.execute(select(operations.c.id).where(robbed).order_by(operations.c.id)).scalars():
            former = self.known(connection, former_id)
            theirs = and_(locks.c.operation_id == operation.id, locks.c.resource.in_(set(former.locks)))
            returned = connection.execute(update(locks).where(theirs).values(operation_id=former_id, since=self.now()))
            whole = self.holders(connection, former.locks) == dict.fromkeys(former.locks, former_id)
            taken_by = None if whole else operation.locks_taken_by
            self.change(connection, former_id, (Status.INTERRUPTED,), locks_taken_by=taken_by)
            if returned.rowcount:
                back = f"{operation.short_id} is over without having sent anything, as far as is known: it gave "
                data, name = {"by_operation": operation.id}, "locks.given_back"
                self.record(connection, name, "bot", f"{back}its locks back.", operation_id=former_id, data=data)
                gave, data = f"It gave the locks of {former.short_id} back.", {"to_operation": former_id}
                self.record(connection, name, "bot", gave, operation_id=operation.id, data=data)

    def locks(self, connection: Connection) -> list[Lock]:
        return [Lock(**row) for row in connection.execute(select(locks).order_by(locks.c.resource)).mappings()]


def _matching(wanted: Filter, sight: Sight) -> Iterator[ColumnElement[bool]]:
    """What the filter asks for, all of which must hold."""
    table = operations.c
    if wanted.statuses is not None:
        yield table.status.in_(tuple(wanted.statuses))
    if wanted.kinds:
        yield table.kind.in_(tuple(wanted.kinds))
    for column in ("environment", "service", "requester"):
        if getattr(wanted, column):
            yield table[column] == getattr(wanted, column)
    if wanted.before_id is not None:
        yield table.id < wanted.before_id
    if not sight.whole:
        yield within(sight, table.environment)


_STANDING = tuple(name for name in Standing.__dataclass_fields__ if name != "step")


def _standing_of(row: RowMapping) -> Standing:
    values = {name: row[name] for name in _STANDING}
    step = next((step["name"] for step in reversed(row["steps"]) if step["state"] == "running"), "")
    lists = {name: tuple(row[name]) for name in ("locks", "takes_over")}
    return Standing(**{**values, **lists, "status": Status(row["status"])}, step=step)


def _priority(status: Status) -> Priority:
    match status:
        case Status.PENDING:
            return Priority.APPROVAL
        case Status.APPROVED | Status.RUNNING:
            return Priority.PROGRESS
        case _:
            return Priority.OUTCOME

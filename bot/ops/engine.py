"""The core's front: asking for operations, voting on them, cancelling, closing, expiring, reading: a transaction each.

Plans are made by handlers outside of any transaction; who may do what is decided in `policy`; the SQL is the store's.
Nothing here runs an operation (`executor`) or speaks to Discord: listeners are told after the commit, only to wake up.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from bot.errors import Refused
from bot.metrics import Metrics
from bot.ops.ballot import Ballot
from bot.ops.endings import Endings
from bot.ops.handler import Registry
from bot.ops.model import FINAL, OPEN, Event, Json, Operation, Plan, Request, Status, Verdict, Vote
from bot.ops.record import AuditFilter
from bot.ops.roster import RollCall, Roster, call_the_roll
from bot.ops.rules import Rules, trace
from bot.ops.sentences import title
from bot.ops.store import Filter, Lock, Store
from bot.policy import Action, Actor, Decision, Facts, PolicyRow

VERIFIED_FOR = timedelta(days=14)
"""So long a version that succeeded in an environment counts as verified there."""
REASON_MAX = 500
"""Characters of a reason that people type; longer ones are cut."""

Listener = Callable[[Operation], None]


class NeedsConfirmation(Refused):
    """The requester must say yes first (the plan's `confirm` says to what); nothing was written."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.confirm, rule="confirmation", hint="Confirm it to go on.")
        self.plan = plan


class Engine:
    """The operations of one installation. `policy` are the rows in force for as long as this object lives.

    `roster` is asked before every start who still holds which role; without one, nobody's roles are read again.
    """

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        policy: Sequence[PolicyRow],
        roster: Roster | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._roster = roster
        self._store = store
        self._database = store.database
        self._registry = registry
        self._rules = Rules(policy)
        self._ballot = Ballot(store, self._rules)
        self._endings = Endings(store, self._rules)
        self._metrics = metrics or Metrics()
        self._listeners: list[Listener] = []

    # ---- asking ------------------------------------------------------------------------------------------------

    async def request(self, request: Request, actor: Actor) -> Operation:
        """Plan, decide, and write the operation; the same `request.key` twice is one operation.

        Raises:
            Refused: the policy, the handler or bad input; recorded.
            NeedsConfirmation: the plan wants the requester's yes, and `request.confirmed` is false.
            Unavailable: something needed for the plan could not be read; nothing was written.
        """
        known = await self._database.read(lambda connection: self._store.by_key(connection, request.key))
        if known is not None:
            return known
        plan, decision = await self.preview(request, actor)
        if plan.confirm and not request.confirmed:
            raise NeedsConfirmation(plan)
        values = self._values(request, actor, plan, decision)
        data = {"rule": decision.rule, "quorum": decision.quorum, **trace(actor)}
        operation = await self._database.write(
            lambda connection: self._insert(connection, values, data, actor.confirmed)
        )
        self.changed(operation)
        return operation

    async def preview(self, request: Request, actor: Actor) -> tuple[Plan, Decision]:
        """What would be done and what the policy says to it; writes nothing but a refusal.

        Raises:
            Refused, Unavailable: as for `request`; a refusal is recorded.
        """
        try:
            return await self._planned(request, actor)
        except Refused as refusal:
            await self._note_refusal(request, actor, refusal)
            raise

    async def _planned(self, request: Request, actor: Actor) -> tuple[Plan, Decision]:
        handler = self._registry.of(request.kind)
        self._rules.asking(actor, request.kind, request.environment)
        plan = await handler.plan(request, actor.name)
        if plan.environment != request.environment:
            raise Refused(f"The plan is for {plan.environment}, the request for {request.environment}.", rule="plan")
        verified = await self._verified(plan.environment, plan.service, plan.content)
        facts = Facts(requester=actor.name, verified_rollback=verified)
        return plan, self._rules.asking(actor, request.kind, request.environment, facts)

    async def _verified(self, environment: str, service: str, content: Json) -> bool:
        """Whether exactly this version succeeded there lately."""
        commit, image = content.get("commit"), content.get("image")
        if not commit:
            return False
        since = self._store.now() - VERIFIED_FOR
        past = await self._database.read(
            lambda connection: self._store.deployed(connection, environment, service, limit=200, since=since)
        )
        return any(o.result.get("commit") == commit and image in (None, o.result.get("image")) for o in past)

    def _values(self, request: Request, actor: Actor, plan: Plan, decision: Decision) -> dict[str, Any]:
        now = self._store.now()
        at_once = decision.quorum == 0
        return {
            "kind": request.kind,
            "environment": plan.environment,
            "service": plan.service,
            "target": plan.target,
            "params": request.params,
            "plan": plan.content,
            "shown": plan.shown,
            "locks": list(plan.locks),
            "digest": self._rules.digest(request.kind, plan.environment, actor.name, plan.content),
            "requester": actor.name,
            "status": Status.APPROVED if at_once else Status.PENDING,
            "quorum": decision.quorum,
            "approver_roles": list(decision.approvers),
            "policy_reason": decision.reason,
            "request_key": request.key,
            "parent_id": request.parent_id,
            "door": actor.door,
            "takes_over": list(plan.takes_over),
            "steps": [],
            "checkpoint": {},
            "result": {},
            "created_at": now,
            "expires_at": None if at_once else now + timedelta(seconds=decision.expires_s),
            "approved_at": now if at_once else None,
            "startable_since": now if at_once else None,
        }

    def _insert(
        self, connection: Connection, values: dict[str, Any], data: dict[str, Any], confirmed: bool
    ) -> Operation:
        operation = self._store.insert(connection, values)
        if operation is None:
            taken = self._store.by_key(connection, values["request_key"])
            assert taken is not None  # it was in the way of the insert
            return taken
        asked = f"{operation.requester} asked for {title(operation)}: {operation.target}."
        data = {"digest": operation.digest, **data}
        self._store.record(
            connection, "operation.requested", operation.requester, asked, operation_id=operation.id, data=data
        )
        if not confirmed:
            operation = self._store.not_confirmed(connection, operation, operation.requester)
        if operation.status is Status.APPROVED:
            self._store.record(
                connection, "operation.approved", "policy", operation.policy_reason, operation_id=operation.id
            )
        return operation

    # ---- deciding and ending -----------------------------------------------------------------------------------

    async def vote(
        self, operation_id: int, actor: Actor, verdict: Verdict, *, digest: str, reason: str = ""
    ) -> Operation:
        """One person's word on exactly what `digest` says. A denial ends the request; enough approvals approve it.

        Raises:
            Refused: not allowed, already decided, voted before, or the content is another; recorded.
        """
        text = self._store.clean(reason.strip())[:REASON_MAX]
        try:
            operation = await self._decide(
                actor,
                lambda c: self._ballot.cast(c, self._store.known(c, operation_id), actor, verdict, digest, text),
            )
        except Refused:
            self._metrics.votes.labels("refused").inc()
            raise
        self._metrics.votes.labels(verdict).inc()
        return operation

    async def withdraw(self, operation_id: int, actor: Actor) -> Operation:
        """Take the actor's own approval back before the start. What it had approved already becomes `stale`.

        Raises:
            Refused: it has started or ended, or the actor has not approved it; recorded.
        """
        return await self._decide(actor, lambda c: self._ballot.withdraw(c, self._store.known(c, operation_id), actor))

    async def cancel(self, operation_id: int, actor: Actor) -> Operation:
        """What has not started is cancelled at once; a run is asked to stop, and ends once the outside confirms it.

        Raises:
            Refused: not allowed, or it has ended already; recorded.
        """
        return await self._decide(actor, lambda c: self._endings.cancel(c, self._store.known(c, operation_id), actor))

    async def close(self, operation_id: int, actor: Actor, status: Status, *, reason: str) -> Operation:
        """End an interrupted operation as `failed` or `cancelled` by a person's word, and free its locks.

        Raises:
            Refused: not allowed, not interrupted, or no reason given; recorded.
        """
        text = self._store.clean(reason.strip())[:REASON_MAX]
        if status not in (Status.FAILED, Status.CANCELLED):
            raise Refused("An interrupted operation is closed as failed or as cancelled.", rule="state")
        if not text:
            raise Refused("Closing an interrupted operation needs a reason.", rule="reason", hint="Say what you found.")
        return await self._decide(
            actor, lambda c: self._endings.close(c, self._store.known(c, operation_id), actor, status, text)
        )

    async def resume(self, operation_id: int, actor: Actor) -> Operation:
        """Let an interrupted operation look again: it re-attaches by its checkpoint, and keeps its locks meanwhile.
        If nothing that cannot be taken back was sent yet, it becomes `stale` where the decision no longer holds.

        Raises:
            Refused: not allowed, not interrupted, or another has its locks; recorded.
        """
        return await self._decide(actor, lambda c: self._endings.resume(c, self._store.known(c, operation_id), actor))

    async def _decide(self, actor: Actor, work: Callable[[Connection], Operation | Refused]) -> Operation:
        """Commit, tell the listeners, and raise what was refused only then: its record is in the same commit."""

        def decided(connection: Connection) -> Operation | Refused:
            outcome = work(connection)
            if actor.confirmed or isinstance(outcome, Refused):
                return outcome
            return self._store.not_confirmed(connection, outcome, actor.name)

        outcome = await self._database.write(decided)
        if isinstance(outcome, Refused):
            self._metrics.refusals.labels(outcome.rule).inc()
            raise outcome
        self.changed(outcome)
        return outcome

    async def expire(self, *, approved_to_start_s: float) -> list[Operation]:
        """End what has waited too long: requests without approval, and approved ones that could have started."""
        before = self._store.now() - timedelta(seconds=approved_to_start_s)
        if not await self._database.read(lambda c: self._store.overdue(c, startable_before=before)):
            return []
        return self._tell(await self._database.write(lambda c: self._endings.expire(c, before)))

    async def remind(self, *, within_s: float) -> list[Operation]:
        """Mark, once each, the requests that expire within that time and still wait for somebody."""
        before = self._store.now() + timedelta(seconds=within_s)
        if not await self._database.read(lambda c: self._store.to_remind(c, expiring_before=before)):
            return []
        return self._tell(await self._database.write(lambda c: self._endings.remind(c, before)))

    async def stale_because(self, operation: Operation) -> str:
        """Before the start, and before a run that is taken over begins: why the decision no longer holds; empty when it
        does.

        Looks at the policy row, and reads the roles of the requester and of those who approved again. What goes by
        the people table, because Discord cannot be asked, is written down on the operation.

        Raises:
            Unavailable: the roles cannot be read, and this operation does not go by the people table.
        """
        why = self._rules.changed_since(operation)
        if why or self._roster is None:
            return why
        verified = await self._verified(operation.environment, operation.service, operation.plan)
        facts = Facts(requester=operation.requester, verified_rollback=verified)
        roll = await call_the_roll(
            operation, await self.votes(operation.id), roster=self._roster, rules=self._rules, facts=facts
        )
        if roll.confirmed != operation.roles_confirmed and not (roll.confirmed and roll.stale):
            await self._note_confirmation(operation, roll)
        return roll.stale

    async def _note_confirmation(self, operation: Operation, roll: RollCall) -> None:
        def write(connection: Connection) -> Operation | None:
            if not roll.confirmed:
                return self._store.not_confirmed(connection, operation, *roll.persons)
            text = "Discord confirms the roles of those who asked for it and approved it."
            self._store.record(connection, "roles.confirmed", "bot", text, operation_id=operation.id)
            return self._store.change(connection, operation.id, tuple(OPEN), roles_confirmed=True)

        if (changed := await self._database.write(write)) is not None:
            self.changed(changed)

    async def record(self, name: str, actor: str, text: str, data: Json | None = None) -> None:
        """Append an event that belongs to no operation (a refusal at a door); alike ones of a day fold into one.

        `environment` and `service` among the data say where it was, so that the record can be searched by them.
        """
        details = data or {}
        fold = str(details["rule"]) if "rule" in details else None
        await self._database.write(lambda c: self._store.record(c, name, actor, text, data=details, fold=fold))

    async def _note_refusal(self, request: Request, actor: Actor, refusal: Refused) -> None:
        self._metrics.refusals.labels(refusal.rule).inc()
        place = {"environment": request.environment, "service": str(request.params.get("service", ""))}
        await self._database.write(
            lambda c: self._store.record_refusal(
                c, "request.refused", actor.name, refusal, None, place={**place, **trace(actor)}
            )
        )

    # ---- reading -----------------------------------------------------------------------------------------------

    async def operation(self, operation_id: int) -> Operation:
        """One operation.

        Raises:
            Refused: there is none of that number.
        """
        return await self._database.read(lambda c: self._store.known(c, operation_id))

    async def operations(
        self,
        *,
        statuses: Collection[Status] | None = None,
        environment: str = "",
        service: str = "",
        requester: str = "",
        kinds: Collection[str] = (),
        limit: int = 25,
        before_id: int | None = None,
    ) -> list[Operation]:
        """Those that match, newest first; with `before_id` only older ones."""
        wanted = Filter(statuses, environment, service, requester, kinds, limit, before_id)
        return await self._database.read(lambda c: self._store.operations(c, wanted))

    async def waiting_for(self, actor: Actor) -> list[Operation]:
        """The requests on which this actor may vote and has not, oldest first."""

        def read(connection: Connection) -> list[Operation]:
            voted = self._store.voted_on(connection, actor.name)
            pending = self._store.operations(connection, Filter(statuses=(Status.PENDING,), limit=200))
            return [operation for operation in reversed(pending) if operation.id not in voted]

        return [
            operation
            for operation in await self._database.read(read)
            if self._rules.refusal(actor, Action.OPERATION_APPROVE, operation) is None
        ]

    async def votes(self, operation_id: int) -> list[Vote]:
        return await self._database.read(lambda c: self._store.votes(c, operation_id))

    async def events(self, operation_id: int | None = None, *, limit: int = 50) -> list[Event]:
        """Newest first; of one operation, or of everything."""
        return await self._database.read(lambda c: self._store.events(c, operation_id, limit))

    async def audit(self, wanted: AuditFilter) -> list[Event]:
        """The record of operations and doors, newest first; a folded row counts how often it happened."""
        return await self._database.read(lambda c: self._store.audit(c, wanted))

    async def locks(self) -> list[Lock]:
        return await self._database.read(self._store.locks)

    async def deployed(self, environment: str, service: str, *, limit: int = 25) -> list[Operation]:
        """What was deployed or rolled back there with success, newest first (seeded ones included)."""
        return await self._database.read(lambda c: self._store.deployed(c, environment, service, limit=limit))

    async def last_deployed(self, environment: str, service: str) -> Operation | None:
        """The newest of `deployed`."""
        return next(iter(await self.deployed(environment, service, limit=1)), None)

    # ---- telling -----------------------------------------------------------------------------------------------

    def on_change(self, listener: Listener) -> None:
        """Call `listener` soon after each commit that changed an operation. Only to wake up: the rows are the truth."""
        self._listeners.append(listener)

    def changed(self, operation: Operation) -> None:
        """Tell the listeners; for whoever has just committed a change (the executor does, too)."""
        if operation.status in FINAL and operation.started_at is None:
            self._metrics.operations_ended.labels(operation.kind, operation.environment, operation.status).inc()
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.call_soon(listener, operation)

    def _tell(self, operations: list[Operation]) -> list[Operation]:
        for operation in operations:
            self.changed(operation)
        return operations

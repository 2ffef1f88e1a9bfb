"""How operations end without, or beside, their run: cancelled, closed by a person, expired; and looked at again."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.errors import Refused
from bot.ops.model import FINAL, Operation, Status
from bot.ops.rules import Rules, trace
from bot.ops.sentences import moment, over, what_next
from bot.ops.store import Store
from bot.policy import Action, Actor


class Endings:
    """The transactions; refusals are returned, not raised: their record must survive the transaction."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def cancel(self, connection: Connection, operation: Operation, actor: Actor) -> Operation | Refused:
        """Cancel at once what has not started; ask a run to stop. Asking twice is asking once."""
        refusal = self._cancel_refusal(operation, actor)
        if refusal is not None:
            return self._refused(connection, "cancel.refused", operation, actor, refusal)
        now = self._store.now()
        asked: dict[str, Any] = {"cancel_requested_at": now, "cancel_requested_by": actor.name}
        if operation.status is not Status.RUNNING:
            text = f"{actor.name} cancelled it before it started."
            ended = {"ended_at": now, "reason": text, "waiting_for": ""}
            return self._store.moved(
                connection, operation.id, Status.CANCELLED, actor=actor.name, text=text, data=trace(actor), **asked,
                **ended,
            )  # fmt: skip
        if operation.cancel_requested_at is not None:
            return operation
        self._store.record(
            connection,
            "cancel.requested",
            actor.name,
            f"{actor.name} asked to cancel it.",
            operation_id=operation.id,
            data=trace(actor),
        )
        return self._store.change(connection, operation.id, (Status.RUNNING,), **asked) or operation

    def _refused(
        self, connection: Connection, name: str, operation: Operation, actor: Actor, refusal: Refused
    ) -> Refused:
        self._store.record_refusal(connection, name, actor.name, refusal, operation.id, place=trace(actor))
        return refusal

    def _cancel_refusal(self, operation: Operation, actor: Actor) -> Refused | None:
        if operation.status in FINAL:
            return Refused(over(operation), rule="state", hint=what_next(operation))
        if operation.status is Status.INTERRUPTED:
            text = f"{operation.short_id} is interrupted: nothing runs here that could be cancelled."
            return Refused(text, rule="state", hint=what_next(operation))
        return self._rules.refusal(actor, Action.OPERATION_CANCEL, operation)

    def close(
        self, connection: Connection, operation: Operation, actor: Actor, status: Status, reason: str
    ) -> Operation | Refused:
        """End an interrupted operation by a person's word, and free its locks; what it took over before it had begun
        goes back to those who are interrupted still.
        """
        refusal = self._interrupted_refusal(operation, actor, Action.OPERATION_CLOSE)
        if refusal is not None:
            return self._refused(connection, "close.refused", operation, actor, refusal)
        self._store.let_locks_go(connection, operation, begun=operation.startable_since is None)
        said = f"{actor.name} closed it: {reason}"
        return self._store.moved(
            connection,
            operation.id,
            status,
            actor=actor.name,
            text=said,
            data=trace(actor),
            reason=said,
            ended_at=self._store.now(),
            waiting_for="",
        )

    def resume(self, connection: Connection, operation: Operation, actor: Actor) -> Operation | Refused:
        """Hand an interrupted operation back to an executor, which re-attaches by the checkpoint. Before it has begun
        outside, it goes on only if the decision still holds, which the executor asks (roles are read over the network).

        It must still hold its locks: once a rollback has taken them over, it is that one that says what serves.
        """
        refusal = self._interrupted_refusal(operation, actor, Action.OPERATION_RESUME)
        refusal = refusal or self._without_locks(connection, operation)
        if refusal is not None:
            return self._refused(connection, "resume.refused", operation, actor, refusal)
        text = f"{actor.name} let it look again."
        cleared: dict[str, Any] = {"lease_owner": "", "reason": "", "startable_since": None}
        cleared |= {"cancel_requested_at": None, "cancel_requested_by": ""}
        return self._store.moved(
            connection, operation.id, Status.RUNNING, actor=actor.name, text=text, data=trace(actor), **cleared
        )

    def _interrupted_refusal(self, operation: Operation, actor: Actor, action: Action) -> Refused | None:
        if operation.status is not Status.INTERRUPTED:
            state = f"{operation.short_id} is {operation.status}, not interrupted."
            return Refused(state, rule="state", hint=what_next(operation))
        return self._rules.refusal(actor, action, operation)

    def _without_locks(self, connection: Connection, operation: Operation) -> Refused | None:
        holders = self._store.holders(connection, operation.locks)
        if all(holders.get(resource) == operation.id for resource in operation.locks):
            return None
        taken = f"#{operation.locks_taken_by} took them over" if operation.locks_taken_by else "they were freed"
        text = f"{operation.short_id} no longer holds its locks: {taken}. It cannot go on."
        return Refused(text, rule="locks", hint="Close it, saying what you found.")

    def expire(self, connection: Connection, startable_before: datetime) -> list[Operation]:
        """End everything that has waited too long, each with its sentence."""
        ended = []
        for operation_id in self._store.overdue(connection, startable_before=startable_before):
            operation = self._store.known(connection, operation_id)
            pending = operation.status is Status.PENDING
            why = "Nobody approved it in time." if pending else "It could not start in time."
            if operation.waiting_for:
                why = f"{why} It waited for {operation.waiting_for.rstrip('.')}."
            ended.append(
                self._store.moved(
                    connection,
                    operation_id,
                    Status.EXPIRED,
                    actor="clock",
                    text=why,
                    reason=why,
                    ended_at=self._store.now(),
                    waiting_for="",
                )
            )
        return ended

    def remind(self, connection: Connection, expiring_before: datetime) -> list[Operation]:
        """Mark every request that soon expires, once."""
        marked = []
        for operation_id in self._store.to_remind(connection, expiring_before=expiring_before):
            changed = self._store.change(connection, operation_id, (Status.PENDING,), reminded_at=self._store.now())
            if changed is not None:
                text = f"It still waits for approval and expires at {moment(changed.expires_at)}."
                self._store.record(connection, "approval.reminded", "clock", text, operation_id=operation_id)
                marked.append(changed)
        return marked

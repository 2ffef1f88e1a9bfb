"""Votes: one person's word, bound to the digest that this person was shown, counted within one transaction."""

from sqlalchemy import Connection

from bot.errors import Refused
from bot.ops.model import Operation, Status, Verdict, Vote
from bot.ops.rules import Rules, trace
from bot.ops.sentences import already, moment, what_next
from bot.ops.store import Store
from bot.policy import Action, Actor

_ACTIONS = {Verdict.APPROVE: Action.OPERATION_APPROVE, Verdict.DENY: Action.OPERATION_DENY}
_SAID = {Verdict.APPROVE: "approved", Verdict.DENY: "denied"}


class Ballot:
    """Takes votes. Refusals are returned, not raised: their record must survive the transaction."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def cast(
        self, connection: Connection, operation: Operation, actor: Actor, verdict: Verdict, digest: str, reason: str
    ) -> Operation | Refused:
        """Count the vote: a denial ends the request, enough approvals approve it; or say why it does not count."""
        refusal = self._refusal(connection, operation, actor, verdict, digest)
        if refusal is None and (why := self._rules.changed_since(operation)):
            return self._stale(connection, operation, actor, why)
        if refusal is not None:
            self._store.record_refusal(
                connection, "vote.refused", actor.name, refusal, operation.id, place=trace(actor)
            )
            return refusal
        vote = Vote(operation.id, actor.name, verdict, digest, reason, self._store.now())
        approvals = self._store.add_vote(connection, vote)
        self._store.record(
            connection,
            f"vote.{verdict}",
            actor.name,
            f"{actor.name} {_SAID[verdict]} {operation.short_id}.",
            operation_id=operation.id,
            data={"reason": reason, "digest": digest, **trace(actor)},
        )
        if verdict is Verdict.DENY:
            return self._denied(connection, vote)
        if approvals >= operation.quorum:
            return self._approved(connection, operation, vote, approvals)
        self._store.touch(connection, operation)
        return operation

    def withdraw(self, connection: Connection, operation: Operation, actor: Actor) -> Operation | Refused:
        """Take the actor's own approval back; one that has already approved the operation makes it stale."""
        refusal = self._no_withdrawal(connection, operation, actor)
        if refusal is not None:
            self._store.record_refusal(
                connection, "withdraw.refused", actor.name, refusal, operation.id, place=trace(actor)
            )
            return refusal
        self._store.take_back(connection, operation.id, actor.name)
        said = f"{actor.name} took the approval of {operation.short_id} back."
        self._store.record(
            connection,
            "vote.withdrawn",
            actor.name,
            said,
            operation_id=operation.id,
            data={"digest": operation.digest, **trace(actor)},
        )
        if operation.status is Status.PENDING:
            self._store.touch(connection, operation)
            return operation
        why = f"{actor.name} withdrew the approval before it started."
        return self._store.moved(
            connection,
            operation.id,
            Status.STALE,
            actor=actor.name,
            text=why,
            reason=why,
            ended_at=self._store.now(),
            waiting_for="",
        )

    def _no_withdrawal(self, connection: Connection, operation: Operation, actor: Actor) -> Refused | None:
        if operation.status not in (Status.PENDING, Status.APPROVED):
            text = f"An approval can be taken back until the start, and {operation.short_id} is {operation.status}."
            running = operation.status is Status.RUNNING
            return Refused(text, rule="state", hint="Cancel it instead." if running else what_next(operation))
        if (refusal := self._rules.refusal(actor, Action.OPERATION_WITHDRAW, operation)) is not None:
            return refusal
        votes = self._store.votes(connection, operation.id)
        if not any(vote.person == actor.name and vote.verdict is Verdict.APPROVE for vote in votes):
            text = f"You have not approved {operation.short_id}, so there is nothing to take back."
            return Refused(text, rule="no vote", hint="Deny or cancel it if it must not run.")
        return None

    def _refusal(
        self, connection: Connection, operation: Operation, actor: Actor, verdict: Verdict, digest: str
    ) -> Refused | None:
        votes = self._store.votes(connection, operation.id)
        if operation.status is not Status.PENDING:
            return Refused(already(operation, votes), rule="state", hint=what_next(operation))
        if operation.expires_at is not None and operation.expires_at <= self._store.now():
            late = f"{operation.short_id} expired at {moment(operation.expires_at)}; your vote was not counted."
            return Refused(late, rule="state", hint="Ask for it anew; it gets an approval of its own.")
        if (refusal := self._rules.refusal(actor, _ACTIONS[verdict], operation)) is not None:
            return refusal
        mine = next((vote for vote in votes if vote.person == actor.name), None)
        if mine is not None:
            said = f"You have already {_SAID[mine.verdict]} {operation.short_id}, at {moment(mine.at)}."
            return Refused(said, rule="one vote a person", hint="It still needs somebody else.")
        if digest != operation.digest:
            text = f"What you were shown is not what {operation.short_id} would do; your vote was not counted."
            return Refused(text, rule="digest", hint="Look at its newest card and vote there.")
        return None

    def _stale(self, connection: Connection, operation: Operation, actor: Actor, why: str) -> Refused:
        self._store.transition(
            connection, operation.id, Status.STALE, actor=actor.name, text=why, reason=why, ended_at=self._store.now()
        )
        return Refused(f"{operation.short_id} is stale. {why}", rule="policy changed", hint="Ask for it anew.")

    def _denied(self, connection: Connection, vote: Vote) -> Operation:
        why = vote.reason or f"{vote.person} gave no reason."
        return self._store.moved(
            connection,
            vote.operation_id,
            Status.DENIED,
            actor=vote.person,
            text=f"{vote.person} denied it: {why}",
            reason=why,
            ended_at=vote.at,
        )

    def _approved(self, connection: Connection, operation: Operation, vote: Vote, approvals: int) -> Operation:
        return self._store.moved(
            connection,
            operation.id,
            Status.APPROVED,
            actor=vote.person,
            text=f"Approved by {approvals} of {operation.quorum}.",
            approved_at=vote.at,
            startable_since=vote.at,
        )

"""The policy as it applies to operations: who may ask for one, who has a say in it, and what its digest binds."""

from collections.abc import Sequence
from dataclasses import asdict

from bot.errors import Refused
from bot.ops.model import Json, Operation, digest_of
from bot.policy import Action, Actor, Decision, Door, Facts, PolicyRow, authorise, row_of


def trace(actor: Actor) -> dict[str, str]:
    """What the record keeps of how somebody came in: nothing for a member of the guild, else the door."""
    return {} if actor.door is Door.DISCORD else {"door": actor.door.value}


def action_of(kind: str) -> Action:
    """The right that an operation of this kind needs: `deploy` needs `deploy:run`.

    Raises:
        Refused: the policy knows no such action, so nobody holds it.
    """
    try:
        return Action(f"{kind}:run")
    except ValueError:
        raise Refused(f"The policy knows no action {kind}:run, so nobody may do that.", rule="no rule") from None


class Rules:
    """The policy rows in force, asked about operations."""

    def __init__(self, rows: Sequence[PolicyRow]) -> None:
        self._rows = tuple(rows)
        self._written = {row: asdict(row) for row in self._rows}

    def decision(self, actor: Actor, kind: str, environment: str, facts: Facts) -> Decision:
        """The decision on asking, for or against."""
        return authorise(self._rows, actor, action_of(kind), environment, facts)

    def asking(self, actor: Actor, kind: str, environment: str, facts: Facts = Facts()) -> Decision:
        """The decision that lets the actor ask.

        Raises:
            Refused: it does not.
        """
        decision = self.decision(actor, kind, environment, facts)
        if not decision.allowed:
            raise _refusal(decision)
        return decision

    def refusal(self, actor: Actor, action: Action, operation: Operation) -> Refused | None:
        """Why the actor may not do that to the operation; None when nothing speaks against it."""
        facts = Facts(requester=operation.requester, subject=action_of(operation.kind))
        decision = authorise(self._rows, actor, action, operation.environment, facts)
        return None if decision.allowed else _refusal(decision)

    def digest(self, kind: str, environment: str, requester: str, content: Json) -> str:
        """What a vote binds to: the plan's content, who asked, and the policy row that applies."""
        row = row_of(self._rows, action_of(kind), environment)
        policy = self._written[row] if row else None
        return digest_of(
            {"kind": kind, "environment": environment, "requester": requester, "plan": content, "policy": policy}
        )

    def changed_since(self, operation: Operation) -> str:
        """A sentence when the row that applies is no longer the one that was shown; empty when it is."""
        now = self.digest(operation.kind, operation.environment, operation.requester, operation.plan)
        return "" if now == operation.digest else "The policy that applies to it was changed after it was asked for."


def _refusal(decision: Decision) -> Refused:
    return Refused(decision.reason, hint=decision.hint, rule=decision.rule)

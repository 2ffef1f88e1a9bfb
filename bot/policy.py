"""Who may do what, and who must agree: pure decisions from rows. Every door asks here, and only here is decided.

Two kinds of rules: *rows*, which the configuration may replace (who may ask for a deploy, who must approve it), and
five that hold everywhere: everybody may ask about themselves; whoever changes something must be a person that the
configuration names, because votes count persons; what happens at once waits for no approval; approving, denying,
cancelling, closing and resuming follow the operation's own row; and whoever has voted may take the own vote back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What can be asked for: `resource:verb`, independent of who holds the right."""

    DEPLOY = "deploy:run"
    ROLLBACK = "rollback:run"
    OPERATION_APPROVE = "operation:approve"
    OPERATION_CANCEL = "operation:cancel"
    OPERATION_CLOSE = "operation:close"
    OPERATION_DENY = "operation:deny"
    OPERATION_RESUME = "operation:resume"
    OPERATION_VIEW = "operation:view"
    OPERATION_WITHDRAW = "operation:withdraw"
    RELOAD = "reload:run"
    AUDIT_VIEW = "audit:view"
    STATUS_VIEW = "status:view"
    ALERT_VIEW = "alert:view"
    ALERT_ACK = "alert:ack"
    SILENCE_WRITE = "silence:write"
    ONCALL_WRITE = "oncall:write"
    METRICS_VIEW = "metrics:view"
    METRICS_QUERY = "metrics:query"
    SELF_VIEW = "self:view"


class Door(StrEnum):
    """Where a wish came in. Every door is decided by the same rules; the record says which one it was."""

    DISCORD = "discord"
    COMMAND_LINE = "command line"
    SCHEDULE = "schedule"


RUNS = frozenset({Action.DEPLOY, Action.ROLLBACK, Action.RELOAD})
"""The actions that start an operation."""
AT_ONCE = frozenset({Action.ALERT_ACK, Action.SILENCE_WRITE, Action.ONCALL_WRITE})
"""The actions that change something without an operation: nothing of them can wait for an approval."""
CONFIGURABLE = RUNS | AT_ONCE | {
    Action.OPERATION_VIEW, Action.STATUS_VIEW, Action.AUDIT_VIEW,
    Action.ALERT_VIEW, Action.METRICS_VIEW, Action.METRICS_QUERY,
}  # fmt: skip
"""The actions for which rows are read; the others follow from these."""
ANYBODY = "*"
CONTROL = "control"
"""The environment of the bot itself, its policy and its people: built in, rows may name it, no target of deploys."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the person of the configuration (or an unknown account) and the roles by their configured names.

    `confirmed` is false where Discord could not be asked: then the roles are the duties of the people table.
    """

    name: str
    discord_id: int | None
    roles: frozenset[str]
    known: bool = True
    door: Door = Door.DISCORD
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision may depend on beside actor, action and environment.

    `subject` is the action that an operation is (`deploy:run`), needed for approving, denying and cancelling it.
    `verified_rollback`: the target was verified in that environment within the last 14 days.
    """

    requester: str = ""
    verified_rollback: bool = False
    subject: Action | None = None


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One rule. `requesters` and `approvers` are role names, `*` among requesters is everybody with any known role.

    `verified_alone`: an approver who asks for a rollback to a recently verified version needs nobody else, so that
    one person on call can restore an environment.
    """

    action: Action
    environment: str
    requesters: tuple[str, ...]
    approvers: tuple[str, ...] = ()
    quorum: int = 0
    self_approval: bool = False
    expires_s: int = 8 * 3600
    verified_alone: bool = False

    @property
    def rule(self) -> str:
        """How people and logs call it: `deploy:run in prod`."""
        return _rule(self.action, self.environment)


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict with its reason, for allow as well as for deny. `row` is the rule that spoke, if any.

    `reason` is a sentence with the rule and who may; `hint` says, after a denial, how to get there all the same.
    """

    allowed: bool
    reason: str
    quorum: int = 0
    approvers: tuple[str, ...] = ()
    expires_s: int = 8 * 3600
    row: PolicyRow | None = None
    rule: str = ""
    hint: str = ""


def seeded_rows() -> tuple[PolicyRow, ...]:
    """The policy of an installation that writes none: see the README's table."""
    both = ("dev", "sre")
    return (
        PolicyRow(Action.DEPLOY, "dev", requesters=both),
        PolicyRow(Action.DEPLOY, "prod", requesters=both, approvers=("sre",), quorum=1),
        PolicyRow(Action.ROLLBACK, "dev", requesters=both),
        PolicyRow(Action.ROLLBACK, "prod", requesters=both, approvers=("sre",), quorum=1, verified_alone=True),
        PolicyRow(Action.RELOAD, CONTROL, requesters=("owner", "sre"), approvers=("owner", "sre"), quorum=2),
        PolicyRow(Action.OPERATION_VIEW, ANYBODY, requesters=(ANYBODY,)),
        PolicyRow(Action.STATUS_VIEW, ANYBODY, requesters=(ANYBODY,)),
        PolicyRow(Action.AUDIT_VIEW, ANYBODY, requesters=(ANYBODY,)),
        PolicyRow(Action.ALERT_VIEW, ANYBODY, requesters=(ANYBODY,)),
        PolicyRow(Action.ALERT_ACK, ANYBODY, requesters=("dev", "sre", "owner")),
        PolicyRow(Action.SILENCE_WRITE, ANYBODY, requesters=("sre", "owner")),
        PolicyRow(Action.SILENCE_WRITE, "dev", requesters=("dev", "sre", "owner")),
        PolicyRow(Action.ONCALL_WRITE, ANYBODY, requesters=("sre", "owner")),
        PolicyRow(Action.METRICS_VIEW, ANYBODY, requesters=(ANYBODY,)),
        PolicyRow(Action.METRICS_QUERY, ANYBODY, requesters=("sre", "owner")),
    )


def row_of(rows: Iterable[PolicyRow], action: Action, environment: str) -> PolicyRow | None:
    """The row that speaks: of the named environment before `*`, the first written among equals."""
    matching = [row for row in rows if row.action == action and row.environment in (environment, ANYBODY)]
    return min(matching, key=lambda row: row.environment == ANYBODY, default=None)


def authorise(
    rows: Iterable[PolicyRow], actor: Actor, action: Action, environment: str, facts: Facts = Facts()
) -> Decision:
    """Decide. Nothing matches: refused. The most specific row (named environment before `*`) speaks."""
    if action is Action.SELF_VIEW:
        return Decision(True, "Everybody may ask about themselves.", rule=action.value)
    if action not in CONFIGURABLE:
        return _over_operation(rows, actor, action, environment, facts)
    row = row_of(rows, action, environment)
    if row is None:
        return _no_rule(action, environment)
    if not _holds(actor, row.requesters):
        return _deny(row.rule, f"{who(row.requesters)} may do that; {_held(actor)}.", _ask(row.requesters), row)
    if action in RUNS | AT_ONCE and not actor.known:
        return _unknown_person(actor, row.rule, row)
    if action in AT_ONCE and row.quorum > 0:
        why = "it wants an approval, and what happens at once can wait for none, so it cannot be done."
        return _deny(row.rule, why, "An owner must take the approval out of the policy.", row)
    return _allow(row, actor, facts)


def _allow(row: PolicyRow, actor: Actor, facts: Facts) -> Decision:
    if row.verified_alone and facts.verified_rollback and _holds(actor, row.approvers):
        why = f"back to a version verified here lately, {who(row.approvers)} alone may do that"
        return _permit(row, row.rule, why, 0)
    if row.quorum == 0:
        return _permit(row, row.rule, f"{who(row.requesters)} may do that, and nobody else has to agree", 0)
    if not row.approvers:
        why = f"it wants {row.quorum} to approve and names nobody who may, so it cannot be done."
        return _deny(row.rule, why, "An owner must add approvers to the policy.", row)
    other = "" if row.self_approval else ", not the requester"
    must = f"{row.quorum} of {who(row.approvers)} must approve{other}"
    return _permit(row, row.rule, f"{who(row.requesters)} may ask, and {must}", row.quorum)


def _over_operation(
    rows: Iterable[PolicyRow], actor: Actor, action: Action, environment: str, facts: Facts
) -> Decision:
    """What is done to an operation: by the row of the operation itself."""
    subject = facts.subject
    row = row_of(rows, subject, environment) if subject in RUNS else None
    if subject is None or row is None:
        return _no_rule(subject or action, environment)
    rule = f"{action} of {row.rule}"
    is_requester = bool(facts.requester) and actor.name == facts.requester
    if not actor.known:
        return _unknown_person(actor, rule, row)
    if action is Action.OPERATION_APPROVE:
        return _approval(row, actor, rule, is_requester)
    if action is Action.OPERATION_WITHDRAW:  # a role lost since may not keep anybody from taking the own word back
        return _permit(row, rule, "whoever has voted may take the own vote back before the start", row.quorum)
    # Where nobody has to approve, everybody who may ask for it may also stop it.
    others = row.approvers or (row.requesters if row.quorum == 0 else ())
    may = " or ".join(filter(None, (f"the requester ({facts.requester})", who(others) if others else "")))
    if action is Action.OPERATION_RESUME:  # it lets something run again, so it takes the right to ask for it
        is_requester = is_requester and _holds(actor, row.requesters)
    if is_requester or _holds(actor, others):
        return _permit(row, rule, f"{may} may do that", row.quorum)
    return _deny(rule, f"{may} may do that; {_held(actor)}.", f"Ask {facts.requester} to do it.", row)


def _approval(row: PolicyRow, actor: Actor, rule: str, is_requester: bool) -> Decision:
    if not row.approvers:
        hint = "An owner must add approvers to the policy."
        return _deny(rule, "the rule names nobody who may approve it.", hint, row)
    if not _holds(actor, row.approvers):
        return _deny(rule, f"{who(row.approvers)} may approve; {_held(actor)}.", _ask(row.approvers), row)
    if is_requester and not row.self_approval:
        hint = f"Ask somebody else with the role {who(row.approvers)}."
        return _deny(rule, "you asked for this yourself, and the rule wants another person.", hint, row)
    return _permit(row, rule, f"{who(row.approvers)} may approve", row.quorum)


def _permit(row: PolicyRow, rule: str, why: str, quorum: int) -> Decision:
    return Decision(True, f"Rule {rule}: {why}.", quorum, row.approvers, row.expires_s, row, rule)


def _deny(rule: str, why: str, hint: str, row: PolicyRow | None) -> Decision:
    return Decision(False, f"Rule {rule}: {why}", row=row, rule=rule, hint=hint)


def _no_rule(action: Action, environment: str) -> Decision:
    rule = _rule(action, environment)
    return _deny(rule, "there is no such rule, so nobody may do that.", "An owner can add a row to the policy.", None)


def _unknown_person(actor: Actor, rule: str, row: PolicyRow) -> Decision:
    why = f"only people whom the configuration names may change something; the account {actor.name} is not one."
    return _deny(rule, why, "Ask an owner to add you to the people table.", row)


def _holds(actor: Actor, roles: tuple[str, ...]) -> bool:
    return not actor.roles.isdisjoint(roles) or (ANYBODY in roles and bool(actor.roles))


def _rule(action: Action, environment: str) -> str:
    return action.value if environment in (ANYBODY, "") else f"{action.value} in {environment}"


def who(roles: tuple[str, ...]) -> str:
    """The roles as people say them: `dev or sre`, `everybody with a role`, `nobody`."""
    if ANYBODY in roles:
        return "everybody with a role"
    return " or ".join(roles) or "nobody"


def _held(actor: Actor) -> str:
    return f"you are {' and '.join(sorted(actor.roles))}" if actor.roles else "you hold no role here"


def _ask(roles: tuple[str, ...]) -> str:
    if ANYBODY in roles or not roles:
        return "Ask an owner to give you a role."
    return f"Ask somebody with the role {who(roles)} to do it, or an owner to give you that role."


@dataclass(frozen=True, slots=True)
class Sight:
    """Where somebody may look. `elsewhere` is the answer for all that no row names, also for what belongs to no
    environment; `but` are the environments in which the answer is the other one.
    """

    elsewhere: bool = True
    but: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether nothing is hidden."""
        return self.elsewhere and not self.but

    @property
    def rest(self) -> "Sight":
        """Everything that this one hides, and nothing else."""
        return Sight(not self.elsewhere, self.but)

    def covers(self, environment: str) -> bool:
        """Whether that environment may be looked at."""
        return self.elsewhere is not (environment in self.but)


EVERYWHERE = Sight()


def sight(rows: Iterable[PolicyRow], actor: Actor, action: Action) -> Sight:
    """Where the actor may look, for one of the actions that only look: every environment is decided for itself."""
    table = tuple(rows)
    elsewhere = authorise(table, actor, action, ANYBODY).allowed
    named = _named_by(table, action)
    others = frozenset(place for place in named if authorise(table, actor, action, place).allowed is not elsewhere)
    return Sight(elsewhere, others)


def admission(rows: Iterable[PolicyRow], actor: Actor, action: Action, environment: str) -> Decision:
    """Whether a door lets somebody begin: as `authorise`, but `*` asks for any place at all where it is granted.

    What such a wish for `*` then shows must be held against `sight`.
    """
    table = tuple(rows)
    decision = authorise(table, actor, action, environment)
    if decision.allowed or environment != ANYBODY:
        return decision
    others = [authorise(table, actor, action, place) for place in _named_by(table, action)]
    granted = next((other for other in others if other.allowed), None)
    if granted is not None:
        return granted
    # A rule that there is tells people more than that there is none.
    return decision if decision.row is not None or not others else others[0]


def _named_by(rows: Iterable[PolicyRow], action: Action) -> tuple[str, ...]:
    """The environments for which there is a row of that action's own."""
    return tuple(dict.fromkeys(row.environment for row in rows if row.action == action and row.environment != ANYBODY))


def places(action: Action, environments: Iterable[str], rows: Iterable[PolicyRow] = ()) -> tuple[str, ...]:
    """Where that action can be asked for: in `control`, in each environment, or in none in particular (`*`).

    Looking is asked for everywhere at once, unless a row tells the environments apart.
    """
    if action is Action.RELOAD:
        return (CONTROL,)
    if action in RUNS:
        return tuple(environments)
    return tuple(dict.fromkeys((*environments, CONTROL))) if _named_by(rows, action) else (ANYBODY,)


def rights(
    rows: Iterable[PolicyRow], actor: Actor, environments: Iterable[str]
) -> Iterator[tuple[Action, str, Decision]]:
    """What the rows say to this actor: every configurable action wherever it can be asked for, and, where somebody
    must approve, whether this actor may (`decision.rule` says of what). Requests of one's own are another matter.
    """
    table, everywhere = tuple(rows), tuple(environments)
    for action in sorted(CONFIGURABLE):
        for place in places(action, everywhere, table):
            yield action, place, authorise(table, actor, action, place)
            row = row_of(table, action, place)
            if action in RUNS and row is not None and (row.quorum > 0 or row.approvers):
                yield (
                    Action.OPERATION_APPROVE,
                    place,
                    authorise(table, actor, Action.OPERATION_APPROVE, place, Facts(subject=action)),
                )

"""Who may do what, and who must agree: pure decisions from rows. Every door asks here, and only here is decided."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What can be asked for: `resource:verb`, independent of who holds the right."""

    DEPLOY = "deploy:run"
    ROLLBACK = "rollback:run"
    OPERATION_APPROVE = "operation:approve"
    OPERATION_CANCEL = "operation:cancel"
    OPERATION_DENY = "operation:deny"
    OPERATION_VIEW = "operation:view"
    STATUS_VIEW = "status:view"
    SELF_VIEW = "self:view"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the person of the configuration (or an unknown account) and the roles by their configured names."""

    name: str
    discord_id: int | None
    roles: frozenset[str]
    known: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision may depend on beside actor, action and environment."""

    requester: str = ""
    verified_rollback: bool = False


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One rule. `requesters` and `approvers` are role names, `*` among requesters is everybody with any known role."""

    action: Action
    environment: str
    requesters: tuple[str, ...]
    approvers: tuple[str, ...] = ()
    quorum: int = 0
    self_approval: bool = False
    expires_s: int = 8 * 3600


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict with its reason, for allow as well as for deny. `row` is the rule that spoke, if any."""

    allowed: bool
    reason: str
    quorum: int = 0
    approvers: tuple[str, ...] = ()
    expires_s: int = 8 * 3600
    row: PolicyRow | None = None


def seeded_rows() -> tuple[PolicyRow, ...]:
    """The policy of an installation that writes none: see the README's table."""
    raise NotImplementedError


def authorise(
    rows: Iterable[PolicyRow], actor: Actor, action: Action, environment: str, facts: Facts = Facts()
) -> Decision:
    """Decide. Nothing matches: refused. The most specific row (named environment before `*`) speaks."""
    raise NotImplementedError

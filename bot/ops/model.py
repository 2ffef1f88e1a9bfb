"""What the core speaks of: operations, plans, votes and events, all frozen. No behaviour beyond reading them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from bot.policy import Door

NOT_CONFIRMED = "roles not confirmed"
"""The event of whatever went by the people table because Discord could not be asked who holds which role."""

Json = Mapping[str, Any]
"""A JSON object: string keys; strings, integers, booleans, None, lists and objects as values, no floats in digests."""


class Status(StrEnum):
    """The states of an operation; `NEXT` says which may follow which."""

    PENDING = "pending"
    APPROVED = "approved"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    STALE = "stale"
    INTERRUPTED = "interrupted"


NEXT: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.APPROVED, Status.DENIED, Status.EXPIRED, Status.CANCELLED, Status.STALE}),
    Status.APPROVED: frozenset({Status.RUNNING, Status.EXPIRED, Status.CANCELLED, Status.STALE}),
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.STALE, Status.INTERRUPTED}),
    Status.INTERRUPTED: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.DENIED: frozenset(),
    Status.EXPIRED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.STALE: frozenset(),
}
"""The only transitions there are."""

FINAL: frozenset[Status] = frozenset(status for status, following in NEXT.items() if not following)
OPEN: frozenset[Status] = frozenset(Status) - FINAL


class Verdict(StrEnum):
    """What a vote says."""

    APPROVE = "approve"
    DENY = "deny"


StepState = Literal["waiting", "running", "ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an operation's progress. `seconds` is its duration so far or in all; None before it started."""

    name: str
    state: StepState
    text: str = ""
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation would do, shown before anybody approves it.

    `content` is what a vote binds to: canonical JSON of it, with requester and policy row, is the digest.
    `shown` is what the card prints beside it (commit titles, CI state, ages): facts of the moment, outside the digest.
    `locks` are the resources that the run takes, all or none. `confirm` is a sentence when the requester must say yes
    first (re-deploying what already runs). `target` is what it deploys, in short, for one-line lists (`4f1c2a9`).
    `takes_over` are interrupted operations whose locks it takes over; the content must name them, too.
    """

    environment: str
    service: str
    target: str
    locks: tuple[str, ...]
    content: Json
    shown: Json = field(default_factory=dict)
    confirm: str = ""
    takes_over: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A wish, before it is planned. `key` names the interaction, delivery or schedule run: the same key twice is one
    operation. `params` are the handler's own (`service`, `environment`, `ref`, ...).
    """

    key: str
    kind: str
    environment: str
    params: Json
    parent_id: int | None = None
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of `operations`. Times are aware UTC. `requester` is a person's name in the configuration."""

    id: int
    kind: str
    environment: str
    service: str
    target: str
    params: Json
    plan: Json
    shown: Json
    locks: tuple[str, ...]
    digest: str
    requester: str
    status: Status
    quorum: int
    approver_roles: tuple[str, ...]
    policy_reason: str
    request_key: str
    parent_id: int | None
    waiting_for: str
    reason: str
    steps: tuple[Step, ...]
    log_tail: str
    checkpoint: Json
    result: Json
    created_at: datetime
    expires_at: datetime | None
    approved_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    cancel_requested_by: str
    seeded: bool
    reminded_at: datetime | None = None
    door: Door = Door.DISCORD
    """Where it was asked for."""
    roles_confirmed: bool = True
    """Whether Discord said, when last asked, that those behind it hold their roles; else the people table spoke."""
    takes_over: tuple[int, ...] = ()
    """The interrupted operations whose locks it takes over when it starts."""
    locks_taken_by: int | None = None
    """The operation that took this interrupted one's locks over."""
    startable_since: datetime | None = None
    """Since when it could start or go on and has not. An interrupted one keeps it if it had taken locks over and has
    not begun outside: then they go back when it is closed."""

    @property
    def short_id(self) -> str:
        return f"#{self.id}"

    @property
    def card_key(self) -> str:
        return f"operation:{self.id}"


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's word on one operation, bound to the digest that the person was shown."""

    operation_id: int
    person: str
    verdict: Verdict
    digest: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the append-only record: audit, progress and feed in one. `name` is past tense (`vote.refused`).

    `environment` and `service` say where somebody was refused whose wish became no operation; the events of an
    operation have them only where the record is searched (`Engine.audit`).
    """

    id: int
    operation_id: int | None
    name: str
    actor: str
    text: str
    data: Json
    count: int
    at: datetime
    environment: str = ""
    service: str = ""


def canonical(content: Json) -> str:
    """JSON with sorted keys and no spaces; the same content always gives the same text.

    Raises:
        ValueError: the content holds a float (they do not survive every reader unchanged) or NaN.
        TypeError: the content holds something that is not JSON.
    """
    _refuse_floats(content)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _refuse_floats(value: object) -> None:
    match value:
        case float():
            raise ValueError("a digest's content may hold no floats")
        case Mapping():
            for item in value.values():
                _refuse_floats(item)
        case list() | tuple():
            for item in value:
                _refuse_floats(item)


def digest_of(content: Json) -> str:
    """sha256, 64 hex digits, of the canonical form."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()

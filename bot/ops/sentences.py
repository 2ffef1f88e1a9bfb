"""What the core says to people: plain sentences about where an operation stands. Markup is the front's business."""

from collections.abc import Sequence
from datetime import UTC, datetime

from bot.ops.model import Operation, Status, Verdict, Vote


def moment(at: datetime | None) -> str:
    """`2026-08-01 12:03 UTC`, or `an unknown time`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "an unknown time"


def title(operation: Operation) -> str:
    """`deploy of app to prod`."""
    return named(operation.kind, operation.service, operation.environment)


def named(kind: str, service: str, environment: str) -> str:
    """`deploy of app to prod`, `rollback of app in prod`, `reload in control`."""
    preposition = "to" if kind == "deploy" else "in"
    return f"{kind} of {service} {preposition} {environment}" if service else f"{kind} {preposition} {environment}"


def people(votes: Sequence[Vote], verdict: Verdict) -> str:
    """Who voted so: `sre and sre2`; empty when nobody did."""
    return " and ".join(vote.person for vote in votes if vote.verdict is verdict)


def already(operation: Operation, votes: Sequence[Vote]) -> str:
    """Why a vote on an operation that no longer waits for one changes nothing."""
    by = people(votes, Verdict.APPROVE)
    approved = f"was already approved by {by}" if by else "needed nobody's approval and was approved at once"
    head = f"{operation.short_id} {approved} at {moment(operation.approved_at)}"
    match operation.status:
        case Status.APPROVED:
            waits = f" and waits: {operation.waiting_for}" if operation.waiting_for else " and is about to start"
            return f"{head}{waits}."
        case Status.RUNNING:
            return f"{head} and runs since {moment(operation.started_at)}."
        case Status.INTERRUPTED:
            return f"{head}; it is interrupted and waits for somebody to look."
        case Status.SUCCEEDED | Status.FAILED:
            return f"{head} and {operation.status} at {moment(operation.ended_at)}."
        case Status.DENIED:
            denier = people(votes, Verdict.DENY) or "somebody"
            return f"{operation.short_id} was already denied by {denier} at {moment(operation.ended_at)}."
        case _:
            return over(operation)


def over(operation: Operation) -> str:
    """Why nothing can be done any more to an operation that has ended."""
    at = moment(operation.ended_at)
    match operation.status:
        case Status.CANCELLED:
            by = f" by {operation.cancel_requested_by}" if operation.cancel_requested_by else ""
            return f"{operation.short_id} was cancelled{by} at {at}."
        case Status.EXPIRED:
            return f"{operation.short_id} expired at {at}: {operation.reason}"
        case Status.STALE:
            return f"{operation.short_id} became stale at {at}: {operation.reason}"
        case Status.DENIED:
            return f"{operation.short_id} was denied at {at}."
        case Status.SUCCEEDED | Status.FAILED:
            return f"{operation.short_id} has already {operation.status} at {at}."
        case _:
            return f"{operation.short_id} is {operation.status}."


def left_out(hidden: int) -> str:
    """What is said of those that somebody may not look at; empty when there are none."""
    return f"{hidden:,} more in environments you may not see." if hidden else ""


def closed(operation: Operation) -> str:
    """What a person's closing of an interrupted operation has brought about, to that person."""
    taken_by = operation.locks_taken_by
    locks = f"#{taken_by} has taken its locks over" if taken_by is not None else "its locks are free"
    if taken_by is None and operation.startable_since is not None:
        former = " and ".join(f"#{other}" for other in operation.takes_over)
        locks = f"as far as is known it had sent nothing, so {former} has the locks back unless it is closed, too"
    return f"You closed {operation.short_id} as {operation.status}; {locks}."


def what_next(operation: Operation) -> str:
    """What somebody can do instead, once the operation's state no longer allows what was asked."""
    match operation.status:
        case Status.EXPIRED | Status.STALE | Status.DENIED | Status.CANCELLED | Status.FAILED:
            return "Ask for it anew; it gets an approval of its own."
        case Status.INTERRUPTED:
            return "Look at the host with /status, then resume or close it."
        case _:
            return ""

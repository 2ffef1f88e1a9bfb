"""Between rows and the core's dataclasses: reading operations, votes and events, and keeping the steps' times.

A step is stored with its starting and ending time; what people see is a duration, which only this room computes.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping

from bot.ops.model import Event, Json, Operation, Status, Step, StepState, Verdict, Vote
from bot.policy import Door

StoredStep = dict[str, Any]
"""`{"name", "state", "text", "started_at", "ended_at"}`; times are ISO 8601 in UTC or None."""


def operation_of(row: RowMapping, now: datetime) -> Operation:
    """The operation as it stands at `now` (steps that run have lasted until then)."""
    return Operation(
        id=row["id"],
        kind=row["kind"],
        environment=row["environment"],
        service=row["service"],
        target=row["target"],
        params=row["params"],
        plan=row["plan"],
        shown=row["shown"],
        locks=tuple(row["locks"]),
        digest=row["digest"],
        requester=row["requester"],
        status=Status(row["status"]),
        quorum=row["quorum"],
        approver_roles=tuple(row["approver_roles"]),
        policy_reason=row["policy_reason"],
        request_key=row["request_key"],
        parent_id=row["parent_id"],
        waiting_for=row["waiting_for"],
        reason=row["reason"],
        steps=tuple(_step_of(step, row["ended_at"] or now) for step in row["steps"]),
        log_tail=row["log_tail"],
        checkpoint=row["checkpoint"],
        result=row["result"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        approved_at=row["approved_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        cancel_requested_at=row["cancel_requested_at"],
        cancel_requested_by=row["cancel_requested_by"],
        seeded=row["seeded"],
        reminded_at=row["reminded_at"],
        door=Door(row["door"]),
        roles_confirmed=row["roles_confirmed"],
        takes_over=tuple(row["takes_over"]),
        locks_taken_by=row["locks_taken_by"],
        startable_since=row["startable_since"],
    )


def vote_of(row: RowMapping) -> Vote:
    """The vote of a row."""
    return Vote(**{**row, "verdict": Verdict(row["verdict"])})


def event_of(row: RowMapping) -> Event:
    """The event of a row; columns that only the store needs are left out."""
    return Event(**{name: row[name] for name in Event.__dataclass_fields__})


def _step_of(stored: Mapping[str, Any], until: datetime) -> Step:
    started = stored["started_at"]
    seconds = None
    if started is not None:
        end = datetime.fromisoformat(stored["ended_at"]) if stored["ended_at"] else until
        seconds = max(0, round((end - datetime.fromisoformat(started)).total_seconds()))
    return Step(stored["name"], stored["state"], stored["text"], seconds)


def with_step(steps: Sequence[StoredStep], name: str, state: StepState, text: str, now: datetime) -> list[StoredStep]:
    """The steps with that one added at the end, or changed in its place; its first start is kept."""
    before = next((step for step in steps if step["name"] == name), None)
    started = before["started_at"] if before else None
    if state != "waiting" and state != "skipped" and started is None:
        started = _iso(now)
    ended = _iso(now) if state in ("ok", "failed", "skipped") else None
    if before and before["state"] == state and before["ended_at"]:
        ended = before["ended_at"]
    changed = {"name": name, "state": state, "text": text, "started_at": started, "ended_at": ended}
    if before is None:
        return [*steps, changed]
    return [changed if step is before else step for step in steps]


def ended_steps(steps: Iterable[StoredStep], status: Status, now: datetime) -> list[StoredStep]:
    """What an ending makes of steps that were still under way: nothing may look as if it went on."""
    if status is Status.INTERRUPTED:
        return list(steps)
    under_way: StepState = {Status.SUCCEEDED: "ok", Status.FAILED: "failed"}.get(status, "skipped")  # type: ignore[assignment]
    return [_ended(step, under_way, now) for step in steps]


def _ended(step: StoredStep, under_way: StepState, now: datetime) -> StoredStep:
    if step["state"] == "running":
        return {**step, "state": under_way, "ended_at": _iso(now)}
    return {**step, "state": "skipped"} if step["state"] == "waiting" else step


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def merged(before: Json, values: Json) -> dict[str, Any]:
    """What was kept, a checkpoint or what is shown, with new values over the old ones."""
    return {**before, **values}

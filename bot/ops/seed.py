"""History for a demonstration: ended operations from a file of JSON lines, loaded once, without cards of their own."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import Connection

from bot.db.tables import operations, votes
from bot.errors import Misconfigured
from bot.ops.model import Verdict, digest_of
from bot.ops.sentences import named
from bot.ops.store import Store

Ended = Literal["succeeded", "failed", "denied", "expired", "cancelled", "stale"]


class _Line(BaseModel):
    """One operation of the past."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["deploy", "rollback"]
    environment: str
    service: str
    status: Ended
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    image: str
    requester: str
    created_at: AwareDatetime
    ended_at: AwareDatetime
    started_at: AwareDatetime | None = None
    approver: str | None = None
    built_from: str | None = None
    target: str | None = None
    title: str = ""
    author: str = ""
    reason: str = ""
    log_tail: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.created_at <= (self.started_at or self.created_at) <= self.ended_at:
            raise ValueError("created_at, started_at and ended_at are not in this order")
        return self


async def load_seed(store: Store, path: Path) -> int:
    """Write the file's operations unless that has been done before; returns how many were written.

    Raises:
        Misconfigured: the file cannot be read, or a line is not what it should be; nothing was written.
        Unavailable: the database could not store it; nothing was written.
    """
    lines = _read(path)
    return await store.database.write(lambda connection: _load(connection, store, lines))


def _read(path: Path) -> list[_Line]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The seed file {path} cannot be read: {error}. Nothing was loaded.") from error
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            lines.append(_Line.model_validate_json(line))
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"]) or "the line"
            raise Misconfigured(f"{path}, line {number}: {place}: {fault['msg']}. Nothing was loaded.") from error
    return sorted(lines, key=lambda line: line.created_at)


def _load(connection: Connection, store: Store, lines: Sequence[_Line]) -> int:
    if connection.execute(operations.select().where(operations.c.seeded).limit(1)).first() is not None:
        return 0
    for number, line in enumerate(lines, 1):
        values = _values(line)
        key = hashlib.sha256(line.model_dump_json().encode()).hexdigest()[:16]
        operation = store.insert(connection, {**values, "request_key": f"seed:{number}:{key}"})
        assert operation is not None
        if line.approver is not None:
            vote = {"person": line.approver, "verdict": Verdict.APPROVE, "digest": operation.digest, "reason": ""}
            connection.execute(votes.insert(), {**vote, "operation_id": operation.id, "at": values["approved_at"]})
        _events(connection, store, line, operation.id)
    return len(lines)


def _values(line: _Line) -> dict[str, Any]:
    content = {
        "kind": line.kind,
        "environment": line.environment,
        "service": line.service,
        "commit": line.commit,
        "seeded": True,
    }
    result = {"commit": line.commit, "image": line.image, "built_from": line.built_from or line.commit}
    return {
        "kind": line.kind,
        "environment": line.environment,
        "service": line.service,
        "target": line.target or line.commit[:7],
        "params": {"service": line.service},
        "plan": content,
        "shown": {"title": line.title, "author": line.author},
        "locks": [],
        "digest": digest_of({**content, "requester": line.requester}),
        "requester": line.requester,
        "status": line.status,
        "quorum": 1 if line.approver else 0,
        "approver_roles": [],
        "policy_reason": "Seeded history.",
        "reason": line.reason,
        "log_tail": line.log_tail,
        "steps": [],
        "checkpoint": {},
        "result": result if line.status == "succeeded" else {},
        "created_at": line.created_at,
        "approved_at": line.started_at,
        "started_at": line.started_at,
        "ended_at": line.ended_at,
        "seeded": True,
    }


def _events(connection: Connection, store: Store, line: _Line, operation_id: int) -> None:
    """The record of the past, with the times of the past."""
    asked = f"{line.requester} asked for {named(line.kind, line.service, line.environment)}: {line.commit[:7]}."
    told = [("operation.requested", line.requester, asked, line.created_at)]
    if line.approver is not None and line.started_at is not None:
        told.append(("vote.approve", line.approver, f"{line.approver} approved #{operation_id}.", line.started_at))
    told.append((f"operation.{line.status}", "bot", line.reason or f"It {line.status}.", line.ended_at))
    for name, actor, text, at in told:
        store.record(connection, name, actor, text, operation_id=operation_id, data={"seeded": True}, at=at)

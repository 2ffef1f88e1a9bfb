"""Longer private answers as text at phone width: the status of everything, and lists of operations."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from bot.ops.model import Operation
from bot.ops.store import Lock
from bot.services.status import EnvironmentStatus, Overview, ServiceStatus
from bot.ui.card_lines import address, face_of, short
from bot.ui.text import counted, escape, fitted, joined, stamp


def overview_text(overview: Overview, limit: int) -> str:
    """The whole status."""
    lines: list[str] = []
    for environment in overview.environments:
        lines += [*_environment(environment), ""]
    waiting = [operation_line(operation) for operation in overview.waits_for_you]
    lines += ["**waits for YOU**", *waiting] if waiting else ["waits for you: nothing"]
    lines += [f"! {escape(trouble)}" for trouble in overview.troubles]
    lines.append(f"-# as of {stamp(overview.as_of)}")
    return "\n".join(_cut(lines, limit))


def _cut(lines: Sequence[str], limit: int) -> Iterator[str]:
    used = 0
    for number, line in enumerate(lines):
        used += len(line) + 1
        if used > limit - 60:
            yield f"and {len(lines) - number} more lines: name an environment or a service"
            return
        yield line


def _environment(environment: EnvironmentStatus) -> Iterator[str]:
    yield f"**{environment.name.upper()}**"
    for service in environment.services:
        yield from _service(service)
    for operation in environment.going_on:
        yield operation_line(operation)
    yield _locks(environment.locks)
    heard = environment.agent_heard_at
    yield f"-# host heard {stamp(heard)}" if heard else "-# host: not heard"


def _service(status: ServiceStatus) -> Iterator[str]:
    running = status.running
    if not running.commit:
        listed = "" if status.deployable else " (only listed, not deployed from here)"
        yield f"{status.service}: *unknown*{listed}"
        return
    by = f" by {escape(running.by)}" if running.by else ""
    hand = " · put there by hand" if running.by_hand else ""
    yield f"{status.service} `{short(running.commit)}` *{running.known}*{_since(running.since)}{by}{hand}"
    yield f"  {'healthy' if running.healthy else 'NOT healthy'}{_behind(status)}"
    if status.url:
        yield f"  {address(status.url)}"


def _since(since: datetime | None) -> str:
    return f", since {stamp(since)}" if since else ""


def _behind(status: ServiceStatus) -> str:
    behind = status.behind
    if behind is None:
        return ""
    if behind.commits is None:
        return f" · behind {behind.of}: unknown"
    return f" · {behind.commits} behind {behind.of}" if behind.commits else f" · level with {behind.of}"


def _locks(locks: Sequence[Lock]) -> str:
    if not locks:
        return "locks: none"
    return "locks: " + ", ".join(f"{lock.resource} by #{lock.operation_id}, {stamp(lock.since)}" for lock in locks)


def operation_line(operation: Operation, link: str = "") -> str:
    """An operation in one line of a list."""
    why = f" ({escape(operation.waiting_for, 120)})" if operation.waiting_for else ""
    what = f"{operation.kind} {operation.service} > {operation.environment} {operation.target}"
    parts = [f"{operation.short_id} **{face_of(operation).word}**{why}", what, f"by {escape(operation.requester)}",
             stamp(operation.ended_at or operation.started_at or operation.created_at), link]  # fmt: skip
    return " · ".join(part for part in parts if part)


def operations_text(sections: Iterable[tuple[str, Sequence[str]]], limit: int) -> str:
    """Lists of operations under their headings; an empty list says so."""
    blocks = list(sections)
    each = limit // max(1, len(blocks)) - 40
    return joined(
        f"**{heading}** {counted(len(lines), 'operation') if lines else 'nothing'}\n{fitted(lines, each)}".rstrip()
        for heading, lines in blocks
    )

"""Longer private answers as text at phone width: the status of everything, and lists of operations."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from bot.alerts.model import FiringCount
from bot.ops.model import Operation
from bot.ops.store import Lock
from bot.services.history import Difference, Side
from bot.services.outside import State
from bot.services.plots import told
from bot.services.status import CHANGED_WITHIN, EnvironmentStatus, Overview, ServiceStatus
from bot.services.vitals import Vital
from bot.ui.card_lines import address, commit_line, face_of, short
from bot.ui.change_lines import change_lines
from bot.ui.standings import down_lines, foot_line
from bot.ui.text import counted, escape, fitted, joined, stamp


def overview_text(overview: Overview, limit: int) -> str:
    """The whole status."""
    lines: list[str] = []
    for environment in overview.environments:
        lines += [*_environment(environment, overview), ""]
    lines += list(_elsewhere(overview))
    lines += [f"{counted(overview.hidden, 'more environment')} you may not see."] if overview.hidden else []
    waiting = [operation_line(operation) for operation in overview.waits_for_you]
    lines += ["**waits for YOU**", *waiting] if waiting else ["waits for you: nothing"]
    lines += down_lines(overview.outside)
    lines += [f"! {escape(trouble)}" for trouble in overview.troubles]
    lines += [foot_line(overview.outside), f"-# as of {stamp(overview.as_of)}"]
    return "\n".join(_cut(lines, limit))


def _cut(lines: Sequence[str], limit: int) -> Iterator[str]:
    used = 0
    for number, line in enumerate(lines):
        used += len(line) + 1
        if used > limit - 60:
            yield f"and {len(lines) - number} more lines: name an environment or a service"
            return
        yield line


def _environment(environment: EnvironmentStatus, overview: Overview) -> Iterator[str]:
    as_of, firing = overview.as_of, overview.firing
    yield f"**{environment.name.upper()}**" + (f" · {firing_words(firing.of(environment.name))}" if firing else "")
    if firing and firing.unconfirmed_since:
        yield f"! alerts *unconfirmed* since {stamp(firing.unconfirmed_since)}: Alertmanager cannot be asked"
    for service in environment.services:
        yield from _service(service, as_of)
        count = firing.of(environment.name, service.service) if firing else None
        if count and count.firing:
            yield f"  {firing_words(count)}"
    if environment.changes is not None:
        yield from change_lines(environment.changes, CHANGED_WITHIN, limit=2)
    for operation in environment.going_on:
        yield operation_line(operation)
    if environment.hidden:
        yield f"{counted(environment.hidden, 'operation')} here you may not see, nor the locks they hold"
    else:
        yield _locks(environment.locks)
    yield _host(environment, as_of)
    yield from _vitals(environment.vitals, "-# ")


def _host(environment: EnvironmentStatus, as_of: datetime) -> str:
    """The host's agent, by AWS's word, with the age of that word where it is not of now."""
    asked, heard = environment.agent_asked_at, environment.agent_heard_at
    if asked is None:
        return "-# host: *unknown*"
    told = f", as AWS said {stamp(asked)} (*stale*)" if asked < as_of else ""
    return f"-# host heard {stamp(heard)}{told}" if heard else f"-# host: not heard{told}"


def _service(status: ServiceStatus, as_of: datetime) -> Iterator[str]:
    running = status.running
    if not running.commit:
        listed = "" if status.deployable else " (only listed, not deployed from here)"
        yield f"{status.service}: *unknown*{listed}"
        yield from _vitals(status.vitals, "  ")
        return
    by = f" by {escape(running.by)}" if running.by else ""
    hand = " · put there by hand" if running.by_hand else ""
    live = running.known == "live"
    worth = "*live*" if live else f"*stale*, seen {stamp(status.seen_at)}" if status.seen_at else "*stale*"
    yield f"{status.service} `{short(running.commit)}` {worth}{_since(running.since)}{by}{hand}"
    health = "does not answer" if not live else "healthy" if running.healthy else "NOT healthy"
    yield f"  {health}{_behind(status, as_of)}"
    if status.url:
        yield f"  {address(status.url)}"
    yield from _vitals(status.vitals, "  ")


def firing_words(count: FiringCount) -> str:
    """`2 firing, 1 of them silenced, worst critical`; that nothing fires is said, too."""
    if not count.firing:
        return "no alert fires"
    silenced = f", {count.suppressed} of them silenced" if count.suppressed else ""
    return f"{count.firing} firing{silenced}" + (f", worst {escape(count.worst, 30)}" if count.worst else "")


def _elsewhere(overview: Overview) -> Iterator[str]:
    """The alerts that name no environment, and so belong to all of them."""
    count = overview.firing.of("") if overview.firing else None
    if count and count.firing:
        yield f"without an environment: {firing_words(count)}"


FIGURES = {
    "cpu": "CPU", "memory": "memory", "disk": "disk", "requests": "requests", "errors": "errors", "p95": "p95",
    "slo_left": "SLO budget left",
}  # fmt: skip


def _vitals(vitals: Sequence[Vital], indent: str) -> Iterator[str]:
    """The measured figures, three or so a line; those of now together, and each old one with its age."""
    if vitals and all(vital.state is State.UNKNOWN for vital in vitals):
        yield f"{indent}figures: *unknown*"
        return
    if vitals and all(vital.state is State.LIVE and vital.value is None for vital in vitals):
        yield f"{indent}figures: no data"
        return
    said = [_vital(vital) for vital in vitals]
    for first in range(0, len(said), 3):
        yield indent + " · ".join(said[first : first + 3])


def _vital(vital: Vital) -> str:
    name = FIGURES.get(vital.name, vital.name)
    if vital.state is State.UNKNOWN:
        return f"{name} *unknown*"
    worst = f" (worst of {vital.of})" if vital.of > 1 else ""
    old = f" (*stale*, seen {stamp(vital.seen_at)})" if vital.state is State.STALE and vital.seen_at else ""
    return f"{name} {told(vital.value, vital.unit)}{worst}{old}"


def _since(since: datetime | None) -> str:
    return f", since {stamp(since)}" if since else ""


def _behind(status: ServiceStatus, as_of: datetime) -> str:
    behind = status.behind
    if behind is None:
        return ""
    if behind.commits is None:
        return f" · behind {behind.of}: *unknown*"
    age = f" (*stale*, seen {stamp(behind.seen_at)})" if behind.seen_at and behind.seen_at < as_of else ""
    return (f" · {behind.commits} behind {behind.of}" if behind.commits else f" · level with {behind.of}") + age


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


# ---- two environments ----------------------------------------------------------------------------------------------


def difference_text(found: Difference, limit: int) -> str:
    """What each side runs, and the commits that only one of them has, both ways."""
    head = joined(
        [
            f"**{found.service}** · {found.this.environment} against {found.other.environment}",
            *(_runs(side) for side in (found.this, found.other)),
            f"! {escape(found.trouble, 400)}" if found.trouble else "",
        ]
    )
    if found.trouble:
        return head
    if found.level:
        return joined([head, "Both run the same commit."])
    each = (limit - len(head)) // 2 - 60
    return joined([head, *_only_in(found.other, found.this, each), *_only_in(found.this, found.other, each)])


def _runs(side: Side) -> str:
    running = side.running
    if not running.commit:
        return f"{side.environment}: *unknown*"
    hand = " · put there by hand" if running.by_hand else ""
    return f"{side.environment} `{short(running.commit)}` *{running.known}*{_since(running.since)}{hand}"


def _only_in(side: Side, other: Side, limit: int) -> Iterator[str]:
    """The commits of one side, newest first, and how many there are; also that there are none."""
    where = f"in {side.environment}, not in {other.environment}"
    if side.total is None:
        yield f"{where}: *unknown*"
        return
    if side.total == 0:
        yield f"nothing {where}"
        return
    yield f"**{counted(side.total, 'commit')} {where}**"
    lines = [
        commit_line({"sha": short(commit.sha), "title": commit.title, "author": commit.author, "pr": commit.pull})
        for commit in side.commits
    ]
    yield fitted(lines, limit)
    if side.total > len(side.commits):
        yield f"only the newest {len(side.commits)} are known here"

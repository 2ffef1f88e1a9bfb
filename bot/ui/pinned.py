"""The pinned board of the ops channel: how everything stands, and by its age whether the bot lives.

Its time is a Discord timestamp, which every reader's client keeps counting: a dead bot's board grows old by itself.
When it is due is said in `pins`; posting, pinning and finding it again are the board's business.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from bot.alerts.rota import Turn
from bot.ops.model import Operation, Status
from bot.services.outside import Outside
from bot.services.status import EnvironmentStatus, Overview, ServiceStatus, StatusService
from bot.ui.card_lines import short
from bot.ui.overview import firing_words
from bot.ui.pins import foot
from bot.ui.standings import away_line, down_line, foot_line
from bot.ui.text import CONTENT_LIMIT, counted, escape, fitted, stamp

MARKER = re.compile(r"^\*\*On deck\*\* ")
OnCall = Callable[[], Awaitable[Turn | None]]
OUTAGES_SHOWN = 3
OUTAGES_FOR = timedelta(hours=12)
THEN = "Then on its host: `quarterdeck status`, `quarterdeck rollback SERVICE ENVIRONMENT`"


class PinnedBoard:
    """Writes the message from what the status service sees."""

    marker = MARKER

    def __init__(
        self, status: StatusService, outside: Outside, *, on_call: OnCall | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:  # fmt: skip
        self._status = status
        self._outside = outside
        self._on_call = on_call
        self._now = now or (lambda: datetime.now(UTC))

    async def text(self) -> str:
        """The whole message, as of now."""
        overview = await self._status.overview(None)
        turn = await self._on_call() if self._on_call is not None else None
        head = [f"**On deck** {_summary(overview)}", *_alerts(overview), *([on_call_line(turn)] if turn else [])]
        tail = list(self._tail(overview))
        middle = [line for environment in overview.environments for line in _environment(environment)]
        room = CONTENT_LIMIT - sum(len(line) + 1 for line in (*head, *tail)) - 40
        return "\n".join([*head, fitted(middle, room, more="and {} more lines"), *tail])

    def _tail(self, overview: Overview) -> Iterator[str]:
        yield from (down_line(standing) for standing in overview.outside if standing.down)
        recent = [outage for outage in self._outside.outages if self._now() - outage.until < OUTAGES_FOR]
        yield from (away_line(outage) for outage in recent[-OUTAGES_SHOWN:])
        yield foot_line(overview.outside)
        yield foot(overview.as_of, THEN)


def _summary(overview: Overview) -> str:
    every = [operation for environment in overview.environments for operation in environment.going_on]
    parts = [
        _listed("runs", [o for o in every if o.status is Status.RUNNING]),
        _listed("in the queue", [o for o in every if o.status is Status.APPROVED]),
        _listed("to approve", [o for o in every if o.status is Status.PENDING]),
        _listed("needs a human", [o for o in every if o.status is Status.INTERRUPTED]),
    ]
    return " · ".join(part for part in parts if part) or "· all quiet"


def _alerts(overview: Overview) -> Iterator[str]:
    """What fires where, environments with nothing among them; nothing at all where there are no alerts to know of."""
    firing = overview.firing
    if firing is None:
        return
    named = [environment.name for environment in overview.environments]
    others = sorted({place for place, _ in firing.counts} - set(named))
    counts = [(place, firing.of(place)) for place in (*named, *others)]
    told = [f"**{escape(place) or 'elsewhere'}** {firing_words(count)}" for place, count in counts
            if count.firing or place in named]  # fmt: skip
    yield f"alerts: {' · '.join(told)}"
    if firing.unconfirmed_since is not None:
        yield f"! alerts *unconfirmed* since {stamp(firing.unconfirmed_since)}: Alertmanager cannot be asked"


def on_call_line(turn: Turn) -> str:
    """Who is called next, and until when."""
    return f"on call: {escape(turn.person, 40)} until {stamp(turn.ends_at, 'f')}"


def _listed(word: str, operations: Sequence[Operation]) -> str:
    """`runs: #184, #185`; many are counted instead."""
    if not operations:
        return ""
    named = ", ".join(operation.short_id for operation in operations)
    return f"{word}: {named if len(operations) <= 4 else counted(len(operations), 'operation')}"


def _environment(environment: EnvironmentStatus) -> Iterator[str]:
    for service in environment.services:
        if service.deployable or service.running.commit:
            yield _service(environment.name, service)
    yield (
        f"locks of {escape(environment.name)}: "
        + ", ".join(f"{escape(lock.resource)} by #{lock.operation_id}" for lock in environment.locks)
        if environment.locks
        else ""
    )


def _service(environment: str, status: ServiceStatus) -> str:
    running = status.running
    place = f"**{escape(environment)}** {escape(status.service)}"
    if not running.commit:
        return f"{place} *unknown*: it does not answer, and no deploy of it is recorded"
    what = f"{place} `{short(running.commit)}`"
    if running.known != "live":
        return f"{what} *stale*, seen {stamp(status.seen_at)}; does not answer" if status.seen_at else f"{what} *stale*"
    by = f", by {escape(running.by)}" if running.by else ", by hand" if running.by_hand else ""
    since = f", since {stamp(running.since)}" if running.since else ""
    return f"{what} *live*, {'healthy' if running.healthy else 'NOT healthy'}{since}{by}"

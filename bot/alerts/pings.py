"""Which change of a group calls somebody, and whom. Pure.

The first firing, a higher severity, a newcomer after an ack, firing again long after an end or, of the worst severity,
after somebody had it, firing on when a silence ends, an escalation and a reminder do. Edits and ends never do, nor does
a flapping group. Quiet hours hold back all but the worst severity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bot.alert_settings import QuietHours
from bot.alerts.model import Reason


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction changed of a group, as far as it matters for calling somebody.

    `opened`: its row is new; `before`: there was a group of its key before. `first`: an ended group fires for which
    nobody was ever called; `again`: one that had ended long ago, or that somebody had and took for over. `worse`: fires
    with a severity that it has not had lately. `joined`: something fires that nobody has taken, in a group that
    somebody had taken whole. `loud_again`: it fires on after its silence, and nobody has it. `quiet`: all that fires is
    silenced or inhibited.
    """

    opened: bool = False
    before: bool = False
    first: bool = False
    again: bool = False
    worse: bool = False
    joined: bool = False
    flapping: bool = False
    quiet: bool = False
    loud_again: bool = False


def reason_to_call(change: Change) -> Reason | None:
    """Why somebody is to be called because of that change; None: nobody is."""
    if change.quiet:
        return None
    if change.opened:
        return Reason.REFIRED if change.before else Reason.FIRST
    if change.first:
        return Reason.FIRST
    if change.again:
        return Reason.REFIRED
    if change.worse:
        return Reason.SEVERITY
    if change.loud_again and not change.flapping:
        return Reason.REFIRED
    if change.joined and not change.flapping:
        return Reason.JOINED
    return None


def rank(severity: str, severities: Sequence[str]) -> int:
    """How bad that is; an unknown word or none is less than all known ones."""
    return severities.index(severity) if severity in severities else -1


def worst(found: Sequence[str], severities: Sequence[str]) -> str:
    """The worst of them; of none, an empty text."""
    return max(found, key=lambda one: rank(one, severities), default="")


def held_until(hours: QuietHours | None, at: datetime, *, severity: str, severities: Sequence[str]) -> datetime | None:
    """Until when quiet hours hold a call back that would go out now; None: it may go."""
    if hours is None or severity == severities[-1]:
        return None
    local = at.astimezone(ZoneInfo(hours.zone))
    over_midnight = hours.starts > hours.ends
    now = local.time()
    within = (now >= hours.starts or now < hours.ends) if over_midnight else hours.starts <= now < hours.ends
    if not within:
        return None
    day = local.date() + timedelta(days=1) if over_midnight and now >= hours.starts else local.date()
    return datetime.combine(day, hours.ends, tzinfo=ZoneInfo(hours.zone)).astimezone(UTC)


def last_end(hours: QuietHours | None, at: datetime) -> datetime | None:
    """When quiet hours last ended before that moment, or at it."""
    if hours is None:
        return None
    zone = ZoneInfo(hours.zone)
    today = at.astimezone(zone).date()
    ends = (datetime.combine(day, hours.ends, tzinfo=zone) for day in (today, today - timedelta(days=1)))
    return next(end.astimezone(UTC) for end in ends if end <= at)

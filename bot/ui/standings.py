"""How the parts of the outside stand, in the words of cards, of the status and of the pinned board."""

from collections.abc import Iterable

from bot.ops.model import FINAL, Operation
from bot.services.outside import GATEWAY, HOST, Outage, Standing, State
from bot.ui.text import escape, quoted, stamp


def down_line(standing: Standing) -> str:
    """One part that does not answer: since when, when it was last heard, what that means."""
    since = f" since {stamp(standing.silent_since, 't')}" if standing.silent_since else ""
    heard = f"last heard {stamp(standing.heard_at)}" if standing.heard_at else "not heard before"
    return f"! **{_named(standing)} DOWN**{since}, {heard}: {standing.means}"


def down_lines(standings: Iterable[Standing]) -> list[str]:
    """Those that do not answer, each with the reason below it."""
    return [line for s in standings if s.down for line in (down_line(s), quoted(s.why, 160)) if line]


def foot_line(standings: Iterable[Standing]) -> str:
    """All parts in small print: `GitHub live · AWS stale, heard 4 min ago`; the gateway only when there is trouble."""
    shown = (s for s in standings if s.part != GATEWAY or s.down)
    return "-# " + " · ".join(f"{escape(s.part) if s.part.startswith(HOST) else s.name} {_worth(s)}" for s in shown)


def _worth(standing: Standing) -> str:
    if standing.state is State.STALE and standing.heard_at is not None:
        return f"stale, heard {stamp(standing.heard_at)}"
    return standing.state.value


def away_line(outage: Outage) -> str:
    """An outage that is over: `Discord was away 03:12 – 03:15`."""
    away = Standing(outage.part, State.LIVE)
    return f"{_named(away)} was away {stamp(outage.since, 't')} – {stamp(outage.until, 't')} ({stamp(outage.until)})"


def concerning(operation: Operation, down: Iterable[Standing]) -> tuple[str, ...]:
    """The lines for an operation's card; none once it is over, and none about other environments' hosts."""
    if operation.status in FINAL:
        return ()
    ours = (s for s in down if not s.part.startswith(HOST) or s.part == f"{HOST}{operation.environment}")
    return tuple(down_line(standing) for standing in ours)


def _named(standing: Standing) -> str:
    name = escape(standing.name, 60)
    return name[:1].upper() + name[1:]

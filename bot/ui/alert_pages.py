"""Private answers about alerts as text at phone width: groups, silences, figures of the past, who is on call.

Texts only; labels, comments and names from outside are escaped. What the reader may not see is counted, never shown.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.alerts.model import AlertGroup, NameFigures, Override, Silence, SilenceKind, Statistics
from bot.alerts.rota import Turn
from bot.services.plots import MAX_BARS, BarSpec, Unit
from bot.ui.alert_lines import short_id, title_of, word_of
from bot.ui.text import age, counted, duration, escape, fitted, joined, stamp

NOISIEST = 8
COMMENT_MAX = 120
MATCHERS_SHOWN = 6


# ---- groups --------------------------------------------------------------------------------------------------------


def group_line(group: AlertGroup, link: str = "") -> str:
    """One group: how bad, which, since when, who has it; below it nothing."""
    since = stamp(group.fired_at if group.open else group.closed_at or group.fired_at)
    over = "since" if group.open else "over"
    held = f"{escape(group.acked_by, 24)} {'had' if group.waits else 'has'} it" if group.acked_by else ""
    what = "more since then, which nobody has" if group.acked_by else "nobody has it"
    waits = what if group.waits and not group.silenced else ""
    flapping = f"flapping {group.flaps}x" if group.flapping else ""
    doubt = "unconfirmed" if group.unconfirmed_since is not None and group.open and not group.own else ""
    head = f"**{word_of(group)}** {short_id(group.id)} {title_of(group, 60)}"
    return " · ".join(part for part in (head, f"{over} {since}", held, waits, flapping, doubt, link) if part)


def groups_text(
    heading: str, groups: Sequence[AlertGroup], links: Mapping[int, str], *, hidden: int, limit: int
) -> str:
    """A list of groups with how many may not be seen."""
    lines = fitted((group_line(group, links.get(group.id, "")) for group in groups), limit - 200)
    return joined(
        [
            f"**Alerts**: {heading}",
            lines or ("" if hidden else "none"),
            f"{counted(hidden, 'more group')} you may not see." if hidden else "",
        ]
    )


# ---- silences ------------------------------------------------------------------------------------------------------


def matchers_text(silence: Silence) -> str:
    """The matchers on one line, as Alertmanager writes them."""
    shown = [escape(str(matcher), 80) for matcher in silence.matchers[:MATCHERS_SHOWN]]
    rest = len(silence.matchers) - len(shown)
    return ", ".join([*shown, f"and {rest} more"] if rest else shown)


def short_silence(am_id: str) -> str:
    """The beginning of a silence's id, by which people call it; it stands in a code span, so nothing else may."""
    return "".join(character for character in am_id[:8] if character.isascii() and character.isalnum())


def silence_entry(silence: Silence, now: datetime) -> str:
    """One silence: its short id, what it hits, by whom, until when, why."""
    who = escape(silence.person, 40) or "somebody"
    if silence.starts_at > now:
        span = f"begins {stamp(silence.starts_at, 'f')}, ends {stamp(silence.ends_at, 'f')}"
    elif silence.kind is SilenceKind.UNTIL_RESOLVED:
        span = "until it resolves"
    else:
        span = f"until {stamp(silence.ends_at, 'f')} ({stamp(silence.ends_at)})"
    where = " (made elsewhere)" if silence.kind is SilenceKind.FOREIGN else ""
    why = f"\n-# {escape(silence.comment, COMMENT_MAX)}" if silence.comment else ""
    return f"`{short_silence(silence.am_id)}` by {who}{where}, {span}\n{matchers_text(silence)}{why}"


def silences_text(heading: str, silences: Sequence[Silence], now: datetime, *, hidden: int, limit: int) -> str:
    """A list of silences or maintenance windows, the one that ends first at the top."""
    ordered = sorted(silences, key=lambda silence: silence.ends_at)
    return joined(
        [
            f"**{heading}**",
            fitted((silence_entry(silence, now) for silence in ordered), limit - 200) or ("" if hidden else "none"),
            f"{counted(hidden, 'more')} you may not see." if hidden else "",
        ]
    )


# ---- who is on call ------------------------------------------------------------------------------------------------


def on_call_text(turns: Sequence[Turn], now: datetime, *, overrides: Sequence[Override], zone: str) -> str:
    """Who it is now, who comes next, and which overrides are set."""
    if not turns or turns[0].starts_at > now:
        first = "Nobody is on call now."
    else:
        first = f"{escape(turns[0].person, 40)} is on call until {stamp(turns[0].ends_at, 'f')}{_why(turns[0])}"
    later = [turn for turn in turns if turn.starts_at > now]
    nexts = [f"from {stamp(turn.starts_at, 'f')} {escape(turn.person, 40)}{_why(turn)}" for turn in later]
    listed = [
        f"`{one.id}` {escape(one.person, 40)} {stamp(one.starts_at, 'f')} to {stamp(one.ends_at, 'f')}, "
        f"by {escape(one.by, 40)}" + (f": {escape(one.reason, COMMENT_MAX)}" if one.reason else "")
        for one in overrides
    ]
    return joined(
        [
            first,
            *nexts,
            "**overrides**" if listed else "",
            *listed,
            f"-# the rota's days are those of {escape(zone, 40)}" if zone else "-# no rota is configured",
        ]
    )


def _why(turn: Turn) -> str:
    if turn.override is None:
        return ""
    reason = f": {escape(turn.override.reason, COMMENT_MAX)}" if turn.override.reason else ""
    return f", set by {escape(turn.override.by, 40)}{reason}"


# ---- figures of the past -------------------------------------------------------------------------------------------


def statistics_text(found: Statistics, limit: int, *, hidden: bool = False) -> str:
    """The noisiest alerts of a span, and how fast people took them and they ended."""
    span = found.until - found.since
    head = [
        f"**Alert figures** of {age(span)}",
        f"{counted(found.episodes, 'alert')} fired, people were called {counted(found.pings, 'time')}",
        f"taken after {_mean(found.mtta_s)}, over after {_mean(found.mttr_s)} (means)",
        _flaps(found.flaps, span),
    ]
    lines = [_name_line(figures, span) for figures in found.names[:NOISIEST]]
    rest = len(found.names) - len(lines)
    more = [f"and {counted(rest, 'more name')}"] if rest > 0 else []
    left_out = ["-# without environments that you may not see"] if hidden else []
    return fitted([*head, *(["**noisiest**"] if lines else []), *lines, *more, *left_out], limit)


def _name_line(figures: NameFigures, span: timedelta) -> str:
    taken, over = _mean(figures.mtta_s, figures.acked), _mean(figures.mttr_s, figures.ended)
    name = f"{figures.episodes}x {escape(figures.name, 60)}"
    return f"{name} · taken after {taken} · over after {over} · {_flaps(figures.flaps, span)}"


def noise_chart(found: Statistics) -> BarSpec:
    """The noisiest alerts as bars."""
    bars = tuple((figures.name, float(figures.episodes)) for figures in found.names[:MAX_BARS])
    return BarSpec(
        title=f"Noisiest alerts of {age(found.until - found.since)}",
        bars=bars,
        unit=Unit.COUNT,
        more=max(0, len(found.names) - len(bars)),
        note=f"{counted(found.episodes, 'alert')} in all",
    )


def _mean(seconds: float | None, of: int | None = None) -> str:
    """A mean, with of how many it is where that was not all; nothing measured is no 0."""
    if seconds is None:
        return "–"
    return duration(seconds) + (f" ({of} of them)" if of is not None else "")


def _flaps(number: int, span: timedelta) -> str:
    """How often it came back at once: a week where the span has weeks, else as counted."""
    weeks = span / timedelta(weeks=1)
    if weeks < 1:
        return counted(number, "flap")
    rate = number / weeks
    return f"{rate:.0f} flaps a week" if rate >= 10 or rate == round(rate) else f"{rate:.1f} flaps a week"

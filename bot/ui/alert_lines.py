"""An alert group in words: heading, alerts, who has it, what changed before it. Texts only; `alert_card` lays them out.

Labels and annotations are foreign and may hold anything: they are escaped, cut, and never begin a line of ours. Long
lists shrink before they are cut: first the names of labels go, then the times, then what does not fit is counted.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from bot.alerts.model import AlertGroup, Episode, Silence, SilenceKind
from bot.services.changes import Change
from bot.ui.change_lines import change_lines
from bot.ui.text import age, counted, cut, escape, joined, quoted, stamp

CRITICAL_COLOUR, WARNING_COLOUR, INFO_COLOUR = 0xDA373C, 0xE8A33D, 0x3B82F6
RESOLVED_COLOUR, SILENCED_COLOUR = 0x2E9E5B, 0x80848E
WORDS = {"critical": "CRITICAL", "warning": "WARNING", "info": "INFO", "none": "NOTE"}
"""Severities that have a word of their own; every other one is an ALERT, and is named below."""
COLOURS = {"CRITICAL": CRITICAL_COLOUR, "INFO": INFO_COLOUR, "NOTE": INFO_COLOUR,
           "RESOLVED": RESOLVED_COLOUR, "SILENCED": SILENCED_COLOUR}  # fmt: skip
ITS_OWN = ("instance", "device", "mountpoint", "pod", "container", "name", "host")
"""The labels that say which one it is, where a single alert leaves nothing to compare with."""
VALUES = ("value", "current_value", "currentValue")
"""Annotations that hold what was measured."""
LOOKED_BACK = timedelta(hours=2)
CHANGES_SHOWN = 3
NAME_LIMIT, VALUE_LIMIT, LABELS_SHOWN = 80, 48, 12
LINES_MOST = 30
"""Alerts that get a line each, while there is room: on a phone that is a screen or two."""
NAMED_MOST = 500
"""Alerts that are looked at one by one: a message does not hold the names of more, and a group may have 10,000."""
UNCONFIRMED = "resolved, not confirmed by Alertmanager"
"""In a pack, where room is scarce: `resolved?`, with a word about it below."""
FIRING, RESOLVED, QUIET = "●", "○", "◌"


@dataclass(frozen=True, slots=True)
class GroupSight:
    """What is said of a group. `changes` is None where nobody looked; `silences` are known by their ids."""

    group: AlertGroup
    silences: Mapping[str, Silence]
    changes: Sequence[Change] | None = None
    flapping_within: timedelta = timedelta(minutes=30)
    away: str = ""
    """A line about an Alertmanager that does not answer."""


def short_id(group_id: int) -> str:
    """How people call a group: `A17`."""
    return f"A{group_id}"


def word_of(group: AlertGroup) -> str:
    """The word before all others: how bad it is, or that it is over or silenced."""
    if group.firing == 0:
        return "RESOLVED"
    return "SILENCED" if group.silenced else WORDS.get(group.severity, "ALERT")


def colour_of(group: AlertGroup) -> int:
    return COLOURS.get(word_of(group), WARNING_COLOUR)


def name_of(group: AlertGroup, limit: int = NAME_LIMIT) -> str:
    """What fires where: `HighCPUUsage - prod`."""
    place = f" - {escape(group.environment, 40)}" if group.environment else ""
    return f"{escape(group.title or 'no name', limit)}{place}"


def title_of(group: AlertGroup, limit: int = NAME_LIMIT) -> str:
    """`[2 firing / 5] HighCPUUsage - prod`."""
    return f"[{group.firing} firing / {group.members}] {name_of(group, limit)}"


def heading(group: AlertGroup) -> str:
    """The first line of a card: nothing foreign stands before the id by which it is found again."""
    return f"**{word_of(group)}** {short_id(group.id)} {title_of(group)}"


def headline(group: AlertGroup) -> str:
    """One plain line that says it all, for a post that pings and for a crash right after it."""
    line = f"{word_of(group)} {short_id(group.id)} {title_of(group)}"
    varying = _varying(group)
    named = ", ".join(_name(episode, varying, 24) for episode in group.episodes[:8])
    return f"{line}: {named}" if named else line


def marker(group_id: int) -> re.Pattern[str]:
    """Finds the group's own message, whatever labels say: the word and the id are the bot's."""
    return re.compile(rf"^(?:\*\*)?[A-Z]+(?:\*\*)? {short_id(group_id)} \[\d+ firing /")


# ---- labels --------------------------------------------------------------------------------------------------------


def common_labels(group: AlertGroup) -> dict[str, str]:
    """What all its alerts share and its heading does not say."""
    episodes = group.episodes
    if not episodes:
        return {}
    shared = dict(episodes[0].labels)
    for episode in episodes[1:]:
        shared = {name: value for name, value in shared.items() if episode.labels.get(name) == value}
    said = {"alertname", "environment"} | ({"severity"} if group.severity in WORDS else set())
    own = ITS_OWN if len(episodes) == 1 else ()
    return {name: value for name, value in shared.items() if name not in said and name not in own}


def _common_line(group: AlertGroup, limit: int = 400) -> str:
    labels = sorted(common_labels(group).items(), key=lambda item: (item[0] != "service", item[0]))
    parts = [f"{escape(name, 40)} {escape(value, VALUE_LIMIT)}" for name, value in labels]
    shown: list[str] = []
    for part in parts[:LABELS_SHOWN]:
        if sum(len(one) + 3 for one in shown) + len(part) > limit:
            break
        shown.append(part)
    rest = len(parts) - len(shown)
    return " · ".join([*shown, f"and {counted(rest, 'more label')}"] if rest else shown)


def _varying(group: AlertGroup) -> tuple[str, ...]:
    """The names of the labels in which its alerts differ, in order; computed once for long lists."""
    episodes = group.episodes
    if len(episodes) < 2:
        return tuple(name for name in ITS_OWN if episodes and name in episodes[0].labels)
    values: dict[str, set[str | None]] = {}
    for name in {name for one in episodes for name in one.labels}:
        values[name] = {one.labels.get(name) for one in episodes}
    return tuple(sorted(name for name, found in values.items() if len(found) > 1))


def _name(episode: Episode, varying: Sequence[str], limit: int) -> str:
    values = [episode.labels[name] for name in varying if episode.labels.get(name)]
    return escape(" ".join(values), limit) or episode.fingerprint[:6]


def _described(episode: Episode, varying: Sequence[str]) -> str:
    """As `_name`, with the names of the labels where there is more than one."""
    found = [(name, episode.labels[name]) for name in varying if episode.labels.get(name)]
    if len(found) < 2:
        return _name(episode, varying, VALUE_LIMIT)
    return " · ".join(f"{escape(name, 24)} {escape(value, VALUE_LIMIT)}" for name, value in found[:6])


# ---- the alerts ----------------------------------------------------------------------------------------------------


def alert_lines(group: AlertGroup, limit: int) -> str:
    """Its alerts within that many characters: whole lines, shorter ones, mere names, and at last `+N more`."""
    varying, rest = _varying(group), group.members - len(group.episodes)
    ordered = _ordered(group, varying)
    if not ordered:
        return ""
    for line in (_whole_line, _short_line):
        if len(ordered) > LINES_MOST or rest:
            break
        text = "\n".join(line(group, episode, varying) for episode in ordered)
        if len(text) <= limit:
            return text
    for width in (VALUE_LIMIT, 32, 20):
        text = _listed(group, ordered, varying, width)
        if len(text) <= limit:
            return text
    return _listed(group, ordered, varying, 20, limit=limit)


def _ordered(group: AlertGroup, varying: Sequence[str]) -> list[Episode]:
    """What fires first, and equals by the labels that tell them apart: the same alerts in the same order."""

    def place(one: Episode) -> tuple[bool, bool, list[str]]:
        return not one.firing, one.suppressed, [one.labels.get(name, "") for name in varying]

    return sorted(group.episodes, key=place)


def _whole_line(group: AlertGroup, episode: Episode, varying: Sequence[str]) -> str:
    return _line(group, episode, _described(episode, varying))


def _short_line(group: AlertGroup, episode: Episode, varying: Sequence[str]) -> str:
    return _line(group, episode, _name(episode, varying, 32), timed=False)


def _line(group: AlertGroup, episode: Episode, who: str, *, timed: bool = True) -> str:
    value = next((escape(episode.annotations[name], 24) for name in VALUES if episode.annotations.get(name)), "")
    said = " ".join(part for part in (value, who) if part)
    if not episode.firing:
        ended = f" {stamp(episode.ended_at)}" if timed and episode.ended_at else ""
        certain = episode.confirmed or group.unconfirmed_since is None
        doubt = "" if certain else ", not confirmed by Alertmanager"
        return f"{RESOLVED} {said} resolved{ended}{doubt}"
    since = f" since {stamp(episode.starts_at)}" if timed else ""
    quiet = " silenced" if episode.silenced_by else " inhibited" if episode.inhibited else ""
    return f"{QUIET if quiet else FIRING} {said}{quiet}{since}"


def _listed(
    group: AlertGroup, ordered: Sequence[Episode], varying: Sequence[str], width: int, *, limit: int | None = None
) -> str:
    """The alerts as mere names: one paragraph for each state."""
    left = limit
    paragraphs: list[str] = []
    for symbol, word, episodes, unread in _by_state(group, ordered):
        names = [_name(episode, varying, width) for episode in episodes[:NAMED_MOST]]
        room = 1_000_000 if left is None else max(60, left)
        paragraphs.append(fitted_names(f"{symbol} {word}: ", names, room, total=len(episodes) + unread))
        left = None if left is None else left - len(paragraphs[-1]) - 1
    return "\n".join(paragraphs)


def _by_state(group: AlertGroup, episodes: Sequence[Episode]) -> Iterator[tuple[str, str, list[Episode], int]]:
    """The states that occur, with a sign, a word, their alerts, and how many of them there are beside those read.

    An end is doubted only while nobody can be asked: it is confirmed at the next look otherwise.
    """
    asked = group.unconfirmed_since is None
    tests: tuple[tuple[str, str, Callable[[Episode], bool]], ...] = (
        (FIRING, "firing", lambda one: one.firing and not one.suppressed),
        (QUIET, "silenced", lambda one: one.firing and bool(one.silenced_by)),
        (QUIET, "inhibited", lambda one: one.firing and one.inhibited and not one.silenced_by),
        (RESOLVED, "resolved", lambda one: not one.firing and (one.confirmed or asked)),
        (RESOLVED, UNCONFIRMED, lambda one: not one.firing and not one.confirmed and not asked),
    )
    firing = sum(one.firing for one in episodes)
    rest = {True: max(0, group.firing - firing), False: 0}
    rest[False] = max(0, group.members - group.firing - (len(episodes) - firing))
    for symbol, word, test in tests:
        found = [episode for episode in episodes if test(episode)]
        unread = rest[symbol != RESOLVED] if found or word == "resolved" else 0
        if found or unread:
            rest[symbol != RESOLVED] -= unread
            yield symbol, word, found, unread


def fitted_names(before: str, names: Sequence[str], limit: int, *, total: int, between: str = ", ") -> str:
    """As many of the names as fit behind the first words, and how many of all do not."""
    length, shown = len(before), 0
    for name in names:
        more = len(name) + (len(between) if shown else 0)
        if length + more + len(f"{between}+{total} more") > limit:
            break
        length, shown = length + more, shown + 1
    rest = [f"+{total - shown} more"] if total > shown else []
    return before + between.join([*names[:shown], *rest])


def compact(group: AlertGroup, limit: int = 100_000) -> str:
    """A group as it stands in a pack: a heading, and its alerts by name. Every character counts here."""
    acked = f" · {escape(group.acked_by, 24)} has it" if group.acked_by else ""
    counts = f"{group.firing}/{group.members} firing"
    head = f"**{word_of(group)}** {short_id(group.id)} {counts} {name_of(group, 48)}{acked}"
    varying = _varying(group)
    lines, left = [head], limit - len(head) - 1
    for _, word, episodes, unread in _by_state(group, _ordered(group, varying)):
        names = [_name(episode, varying, 24) for episode in episodes[:NAMED_MOST]]
        before = "" if word == "firing" else f"{'resolved?' if word == UNCONFIRMED else word}: "
        between = ", " if any(" " in name for name in names) else " "
        lines.append(fitted_names(before, names, max(24, left), total=len(episodes) + unread, between=between))
        left -= len(lines[-1]) + 1
    return "\n".join(lines)


# ---- the state of it -----------------------------------------------------------------------------------------------


def summary(group: AlertGroup) -> str:
    """What all its alerts say of themselves, quoted; empty where they differ."""
    said = group.common_annotations
    text = said.get("summary") or said.get("message") or said.get("description", "")
    if not text and len(group.episodes) == 1:
        own = group.episodes[0].annotations
        text = own.get("summary") or own.get("message") or own.get("description", "")
    return quoted(text, 240)


def state_lines(sight: GroupSight) -> list[str]:
    """Who has it, what is silenced, what is not certain."""
    return [line for line in (*_doubts(sight), *_silences(sight), _held(sight)) if line]


def _doubts(sight: GroupSight) -> Iterator[str]:
    group = sight.group
    if group.flapping:
        yield f"flapping ({group.flaps}x in {age(sight.flapping_within)}): only edits until it is calm"
    if group.unconfirmed_since is not None and group.open and not group.own:
        yield f"unconfirmed since {stamp(group.unconfirmed_since)}: Alertmanager cannot be asked"
    if not group.firing and group.in_doubt:
        yield "resolved, not confirmed by Alertmanager"
    if group.elsewhere is not None and group.elsewhere.certain:
        some = "" if group.elsewhere.many >= group.firing else f"{group.elsewhere.many} of {group.firing} "
        yield f"{some}told by another Alertmanager ({escape(group.elsewhere.teller, 120)}), which this bot cannot ask"
    if group.truncated:
        yield f"+{group.truncated} more that Alertmanager cut"
    if sight.away:
        yield sight.away


def _silences(sight: GroupSight) -> Iterator[str]:
    firing = [episode for episode in sight.group.episodes if episode.firing]
    ids = dict.fromkeys(number for episode in firing for number in episode.silenced_by)
    for number in list(ids)[:4]:
        many = sum(number in episode.silenced_by for episode in firing)
        of = "" if many == len(firing) or len(firing) < sight.group.firing else f"{many} of {len(firing)} "
        yield silence_line(sight.silences.get(number), before=of) or f"{of}silenced in Alertmanager"
    inhibited = sum(episode.inhibited for episode in firing)
    if inhibited:
        yield f"{inhibited} inhibited by a worse alert"


def silence_line(silence: Silence | None, *, before: str = "") -> str:
    """Who silenced it and until when, with what they said about it."""
    if silence is None:
        return ""
    who = escape(silence.person, 40) or "somebody"
    match silence.kind:
        case SilenceKind.UNTIL_RESOLVED:
            text = f"silenced by {who} until it resolves"
        case SilenceKind.MAINTENANCE:
            text = f"in maintenance by {who} until {stamp(silence.ends_at, 'f')}"
        case SilenceKind.SILENCE | SilenceKind.FOREIGN:
            text = f"silenced by {who} until {stamp(silence.ends_at, 'f')} ({stamp(silence.ends_at)})"
        case _:
            assert_never(silence.kind)
    comment = escape(silence.comment, 120)
    return f"{before}{text}" + (f": {comment}" if comment else "")


def _held(sight: GroupSight) -> str:
    group = sight.group
    if not group.firing:
        had = f"{escape(group.acked_by, 40)} had it" if group.acked_by else "nobody had it"
        return f"over {stamp(group.closed_at)} · {had}" if group.closed_at else ""
    if group.acked_by:
        since = f" since {stamp(group.acked_at)}" if group.acked_at else ""
        new = sum(episode.firing and not episode.acked_by and not episode.suppressed for episode in group.episodes)
        whole = sum(episode.firing for episode in group.episodes) == group.firing
        told = f", {new if whole else 'more'} new since then" if new else ""
        return f"**{escape(group.acked_by, 40)} has it**{since}{told}"
    if group.silenced or group.unacked_since is None:
        return ""
    following = group.calls_next
    calls = f" · calls {escape(following.who, 40)} {stamp(following.at)}" if following else ""
    return f"**nobody has it**{calls}"


def before_lines(changes: Sequence[Change] | None) -> list[str]:
    """What was done in that place just before; that nothing was is said, too."""
    if changes is None:
        return []
    lines = change_lines(changes, LOOKED_BACK, limit=CHANGES_SHOWN)
    return (
        ["changed just before:", *(f"- {line}" for line in lines)] if changes else [f"changed just before: {lines[0]}"]
    )


def body(sight: GroupSight, limit: int) -> str:
    """Everything below the heading, within that many characters: the alerts get what the rest leaves."""
    group = sight.group
    above = [_common_line(group), summary(group)]
    below = [*state_lines(sight), *before_lines(sight.changes)]
    taken = sum(len(line) + 1 for line in (*above, *below) if line)
    alerts = alert_lines(group, max(200, limit - taken - 2))
    return cut(joined([*above, alerts, *below]), limit)


def footer(group: AlertGroup) -> str:
    """Small print: where it came from and since when."""
    again = f" · fired again {group.reopened}x" if group.reopened else ""
    severity = "" if group.severity in WORDS or not group.severity else f" · {escape(group.severity, 24)}"
    return f"-# {short_id(group.id)}{severity} · route {escape(group.route, 40)} · since {stamp(group.fired_at)}{again}"

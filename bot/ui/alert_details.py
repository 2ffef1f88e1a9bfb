"""Everything that is known of an alert group, in pages: each alert with all its labels and annotations, and what was.

A page is drawn when it is asked for; the next one comes by a button. All of it is foreign and shows as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bot.alerts.model import AlertGroup, Episode
from bot.ui.alert_lines import FIRING, RESOLVED, footer, heading, silence_line
from bot.ui.text import escape, joined, quoted, stamp

PAGE_ROOM = 3500
BLOCK_ROOM = 3000
"""Of one alert: sixty long labels are cut, so that every page can be sent."""
LABEL_TEXT, ANNOTATION_TEXT = 160, 1600
ADDRESSES = frozenset({"runbook_url", "dashboard_url"})


def details_page(group: AlertGroup, history: Sequence[str], number: int) -> tuple[str, bool]:
    """The page of that number, from 1 on, and whether another one follows."""
    last: list[str] = []
    for place, blocks in enumerate(_pages(_blocks(group, history)), 1):
        if place > number:
            return _whole(group, last, number), True
        last = blocks
    return _whole(group, last, number), False


def _whole(group: AlertGroup, blocks: Sequence[str], number: int) -> str:
    head = heading(group) if number == 1 else f"{heading(group)} · page {number}"
    return joined([head, *blocks, footer(group)])


def _pages(blocks: Iterable[str]) -> Iterator[list[str]]:
    """The blocks, as many on a page as fit."""
    now: list[str] = []
    used = 0
    for block in blocks:
        if now and used + len(block) > PAGE_ROOM:
            yield now
            now, used = [], 0
        now.append(block)
        used += len(block) + 1
    yield now


def _blocks(group: AlertGroup, history: Sequence[str]) -> Iterator[str]:
    for silence in group.silences:
        matchers = ", ".join(str(matcher) for matcher in silence.matchers)
        yield joined([silence_line(silence), quoted(matchers, 600)])
    for episode in sorted(group.episodes, key=lambda one: (not one.firing, sorted(one.labels.items()))):
        yield _alert(episode)
    if history:
        yield "**what happened**"
        yield from history


def _alert(episode: Episode) -> str:
    symbol, state = (FIRING, "firing") if episode.firing else (RESOLVED, "resolved")
    until = f", ended {stamp(episode.ended_at)}" if episode.ended_at else ""
    acked = f" · {escape(episode.acked_by, 40)} took it" if episode.acked_by else ""
    head = f"{symbol} **{state}** since {stamp(episode.starts_at)}{until}{acked}"
    lines = [head, *_annotations(episode.annotations), *_labels(episode.labels)]
    shown: list[str] = []
    for line in lines:
        if sum(len(one) + 1 for one in shown) + len(line) > BLOCK_ROOM:
            shown.append(f"and {len(lines) - len(shown)} more lines")
            break
        shown.append(line)
    return "\n".join(shown)


def _annotations(annotations: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(annotations.items(), key=lambda item: (item[0] in ADDRESSES, item[0])):
        yield quoted(f"{name}: {value}", ANNOTATION_TEXT)


def _labels(labels: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(labels.items()):
        yield f"- {escape(name, 60)}: {escape(value, LABEL_TEXT)}"

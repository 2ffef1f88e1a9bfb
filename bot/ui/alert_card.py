"""An alert group as a card, and the groups of a storm as one: rows in, components out. Sends nothing.

The same rows give the same card, so that nothing is edited for nothing. As with all cards, views are stopped at once
and every press comes in by its custom_id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import discord
from discord.ui import ActionRow, Button, Container, MediaGallery, Select, Separator, TextDisplay

from bot.alerts.model import AlertGroup
from bot.services.changes import Change
from bot.ui.alert_lines import (
    CRITICAL_COLOUR,
    RESOLVED_COLOUR,
    SILENCED_COLOUR,
    WARNING_COLOUR,
    GroupSight,
    body,
    colour_of,
    compact,
    footer,
    heading,
    name_of,
    short_id,
    title_of,
    word_of,
)
from bot.ui.card import MENU_PREFIX, PRESS_PREFIX, Sheet, link_button
from bot.ui.text import CHOICES_LIMIT, DISPLAY_LIMIT, counted, cut, joined, label

ROOM = DISPLAY_LIMIT - 60
"""Of the texts of one message, less what a profile's mark and the text around it take."""
GROWTH = 12
"""Of each group of a pack: what it says once it is over is so much longer."""
PACK_ROOM = 3700
"""Of a new pack: its members change, and their changes need room, too."""


class AlertPress(StrEnum):
    """What a button or a menu's entry on an alert's card asks for. All begin alike, and unlike those of operations.

    The later ones stand on private questions.
    """

    ACK = "alert.ack"
    SILENCE = "alert.silence"
    ROLL_BACK = "alert.roll back"
    GRAPH = "alert.graph"
    RUNBOOK = "alert.runbook"
    DETAILS = "alert.details"
    THREAD = "alert.thread"
    UNACK = "alert.unack"
    UNSILENCE = "alert.unsilence"
    HOUR = "alert.silence 1 h"
    HOURS = "alert.silence 4 h"
    DAY = "alert.silence 1 d"
    UNTIL_RESOLVED = "alert.silence until resolved"
    CUSTOM = "alert.silence custom"
    CONFIRM = "alert.silence confirm"
    PAGE = "alert.page"


OPEN = "alert.open "
"""The action of a pack's menu entry, followed by the group's id."""
_LABELS = {
    AlertPress.ACK: "Ack", AlertPress.SILENCE: "Silence…", AlertPress.GRAPH: "Graph", AlertPress.RUNBOOK: "Runbook",
    AlertPress.DETAILS: "Details", AlertPress.THREAD: "Thread", AlertPress.UNACK: "Un-ack",
    AlertPress.UNSILENCE: "Unsilence", AlertPress.HOUR: "1 h", AlertPress.HOURS: "4 h", AlertPress.DAY: "1 d",
    AlertPress.UNTIL_RESOLVED: "Until resolved", AlertPress.CUSTOM: "Custom…", AlertPress.CONFIRM: "Silence",
    AlertPress.PAGE: "Next page", AlertPress.ROLL_BACK: "Roll back…",
}  # fmt: skip
_HINTS = {
    AlertPress.GRAPH: "The expression around the event", AlertPress.DETAILS: "All labels and annotations",
    AlertPress.THREAD: "Talk about it below the card", AlertPress.UNACK: "Nobody has it any more",
    AlertPress.UNSILENCE: "End the silence", AlertPress.UNTIL_RESOLVED: "Kept up until it is over",
    AlertPress.CUSTOM: "Labels, length and comment of your own",
}  # fmt: skip
_STYLES = {AlertPress.ACK: discord.ButtonStyle.primary, AlertPress.CONFIRM: discord.ButtonStyle.primary}


@dataclass(frozen=True, slots=True)
class Offers:
    """What can be pressed on a group's card: at most three buttons, and a menu for the rest."""

    beside: tuple[AlertPress, ...]
    menu: tuple[AlertPress, ...]

    @property
    def every(self) -> tuple[AlertPress, ...]:
        return (*self.beside, *self.menu)


def offers(group: AlertGroup, *, undo: Change | None, ours: bool, graph: bool) -> Offers:
    """What is offered. `undo` is the deploy before it, `ours`: the bot made its silence, `graph`: one can be drawn."""
    firing = group.firing > 0
    beside = [
        *((AlertPress.ACK,) if firing and group.unacked_since is not None else ()),
        *((AlertPress.SILENCE,) if firing and not group.silenced and not group.own else ()),
        *((AlertPress.ROLL_BACK,) if firing and undo is not None else ()),
    ]
    menu = [
        *((AlertPress.GRAPH,) if graph else ()),
        *((AlertPress.RUNBOOK,) if runbook_of(group) else ()),
        AlertPress.DETAILS,
        AlertPress.THREAD,
        *((AlertPress.UNACK,) if firing and group.acked_by else ()),
        *((AlertPress.UNSILENCE,) if firing and ours else ()),
    ]
    return Offers(tuple(beside), tuple(menu))


def runbook_of(group: AlertGroup) -> str:
    """The address of its runbook, foreign as it is; empty where it has none."""
    said = (group.common_annotations, *(episode.annotations for episode in group.episodes))
    return next((one["runbook_url"] for one in said if one.get("runbook_url")), "")


def drawn_as(group: AlertGroup, offered: Offers) -> str:
    """What the buttons depend on; when it changes, those that were drawn before are superseded."""
    state = "firing" if group.firing else "over"
    return f"{state} {group.acked_by} {'silenced' if group.silenced else ''} {' '.join(offered.every)}"


def alert_card(
    sight: GroupSight, offered: Offers, handles: Mapping[str, str], *, link_hosts: Sequence[str] = (),
    undo: Change | None = None, picture: str = "", remark: str = "",
) -> Sheet:  # fmt: skip
    """The group's card. `picture` is the name of the attached file, `remark` why there is none."""
    group = sight.group
    head, small = heading(group), joined([footer(group), f"-# {remark}" if remark else ""])
    text = body(sight, ROOM - len(head) - len(small))
    items: list[discord.ui.Item[Any]] = [TextDisplay(head)]
    if text:
        items.append(TextDisplay(text))
    if picture:
        gallery: MediaGallery[Any] = MediaGallery(discord.MediaGalleryItem(f"attachment://{picture}"))
        items.append(gallery)
    items += [Separator(spacing=discord.SeparatorSpacing.small), TextDisplay(small)]
    rows = rows_of(offered, handles, undo=undo, link=link_button(runbook_of(group), link_hosts))
    return Sheet(Container(*items, *rows, accent_colour=colour_of(group)))


def rows_of(
    offered: Offers, handles: Mapping[str, str], *, undo: Change | None = None, link: Button[Any] | None = None
) -> list[ActionRow[Any]]:
    """The buttons, and one menu for what does not fit beside them."""
    row: list[discord.ui.Item[Any]] = [
        press_button(press, handles[press], undo=undo) for press in offered.beside[:3] if press in handles
    ]
    if link is not None and len(row) < 3:
        link.label = "Runbook"
        row.append(link)
    rows = [ActionRow(*row)] if row else []
    entries = [press for press in offered.menu if press in handles]
    if entries:
        rows.append(ActionRow(_menu(entries, handles)))
    return rows


def press_button(press: AlertPress, handle: str, *, undo: Change | None = None) -> Button[Any]:
    """The button for one offer."""
    text = _LABELS[press]
    if press is AlertPress.ROLL_BACK and undo is not None:
        text = f"Roll back {undo.operation_id}…"
    style = _STYLES.get(press, discord.ButtonStyle.secondary)
    return Button(label=label(text), style=style, custom_id=PRESS_PREFIX + handle)


def _menu(entries: Sequence[AlertPress], handles: Mapping[str, str]) -> Select[Any]:
    options = [
        discord.SelectOption(label=_LABELS[press], value=handles[press], description=_HINTS.get(press))
        for press in entries
    ]
    first = handles[entries[0]]
    return Select(custom_id=MENU_PREFIX + first, placeholder="More", options=options, required=False)


# ---- packs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PackSight:
    """What a pack is drawn from: its groups in their order, and where those went that have cards of their own."""

    id: int
    groups: Sequence[AlertGroup]
    cards: Mapping[int, str]
    """Addresses of members' own cards."""
    handles: Mapping[str, str]


def pack_heading(sight: PackSight) -> str:
    """`STORM P4 · 10 groups: 9 fire, 1 resolved`."""
    firing = sum(group.firing > 0 for group in sight.groups)
    over = len(sight.groups) - firing
    parts = ([f"{firing} fire"] if firing else []) + ([f"{over} resolved"] if over else [])
    return f"**STORM** P{sight.id} · {counted(len(sight.groups), 'group')}: {', '.join(parts)}"


def pack_marker_text(pack_id: int) -> str:
    """What begins its message, as a regular expression."""
    return rf"^(?:\*\*)?STORM(?:\*\*)? P{pack_id} · "


def pack_body(sight: PackSight, limit: int) -> str:
    """Every member by name, with its alerts by name: what is long gives way to what is short."""
    whole = [_packed(sight, group) for group in sight.groups]
    allowed = shares([len(text) + 1 for text in whole], limit)
    return "\n".join(
        text if len(text) < room else _packed(sight, group, room - 1)
        for group, text, room in zip(sight.groups, whole, allowed, strict=True)
    )


def _packed(sight: PackSight, group: AlertGroup, limit: int = 100_000) -> str:
    if group.id in sight.cards:
        return f"{short_id(group.id)} {name_of(group, 48)}: has a [card]({sight.cards[group.id]}) of its own"
    return cut(compact(group, limit), limit)


def shares(wanted: Sequence[int], limit: int) -> list[int]:
    """The room that each gets of a limit: what asks for less than its share leaves the rest to the others."""
    given = [0] * len(wanted)
    left, waiting = limit, sorted(range(len(wanted)), key=lambda number: wanted[number])
    for place, number in enumerate(waiting):
        given[number] = min(wanted[number], left // (len(waiting) - place))
        left -= given[number]
    return given


def packed_size(group: AlertGroup) -> int:
    """The room that a group takes in a pack in which nothing has to be cut."""
    return len(compact(group)) + 1 + GROWTH


def pack_card(sight: PackSight) -> Sheet:
    """The card of a storm's groups."""
    head = pack_heading(sight)
    doubt = " · resolved?: Alertmanager has not confirmed it" if any(group.in_doubt for group in sight.groups) else ""
    small = f"-# P{sight.id} · many groups at once; those that go on get cards of their own when it is calm{doubt}"
    text = pack_body(sight, ROOM - len(head) - len(small))
    items: list[discord.ui.Item[Any]] = [TextDisplay(head), TextDisplay(text)] if text else [TextDisplay(head)]
    items += [Separator(spacing=discord.SeparatorSpacing.small), TextDisplay(small)]
    entries = [group for group in sight.groups if OPEN + str(group.id) in sight.handles][:CHOICES_LIMIT]
    if entries:
        options = [
            discord.SelectOption(
                label=label(f"{short_id(group.id)} {group.title}", 100),
                value=sight.handles[OPEN + str(group.id)],
                description=label(f"{word_of(group)} {group.firing} of {group.members} {group.environment}", 100),
            )
            for group in entries
        ]
        menu: Select[Any] = Select(
            custom_id=MENU_PREFIX + options[0].value, placeholder="Open a group", options=options, required=False
        )
        items.append(ActionRow(menu))
    return Sheet(Container(*items, accent_colour=_worst(sight.groups)))


def _worst(groups: Sequence[AlertGroup]) -> int:
    words = {word_of(group) for group in groups}
    for word, colour in (("CRITICAL", CRITICAL_COLOUR), ("WARNING", WARNING_COLOUR), ("ALERT", WARNING_COLOUR)):
        if word in words:
            return colour
    return RESOLVED_COLOUR if words <= {"RESOLVED"} else SILENCED_COLOUR


def pack_line(sight: PackSight, limit: int) -> str:
    """The pack in plain words, for a post that pings and for a crash right after it."""
    head = pack_heading(sight).replace("**", "")
    return f"{head}\n{pack_body(sight, limit - len(head) - 1).replace('**', '')}"


def opened(sight: GroupSight, rows: Sequence[ActionRow[Any]], *, before: str = "") -> Sheet:
    """A group as a private answer, with its buttons."""
    head = joined([before, heading(sight.group)])
    text = joined([head, body(sight, ROOM - len(head) - 200), footer(sight.group)])
    return Sheet(Container(TextDisplay(cut(text, ROOM)), *rows, accent_colour=colour_of(sight.group)))


def named(group: AlertGroup) -> str:
    """How answers call it: `A17 [2 firing / 5] HighCPUUsage - prod`."""
    return f"{short_id(group.id)} {title_of(group)}"

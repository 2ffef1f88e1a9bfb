"""A handover as a card: what the giver leaves, the note, and one button by which the receiver takes the shift.

The lines of the shift are made once, when it is asked for: the card tells of that moment, and says so.
"""

import re
from collections.abc import Mapping
from typing import Any

from discord.ui import ActionRow, Button, Container, Item, Separator, TextDisplay

from bot.people import People
from bot.services.handover import Handed, Handover, Shift
from bot.ui.alert_lines import short_id, title_of, word_of
from bot.ui.alert_pages import matchers_text
from bot.ui.board_store import BoardStore, CardRow, Mint, utc_now
from bot.ui.card import PRESS_PREFIX, Sheet, fingerprint
from bot.ui.overview import operation_line
from bot.ui.rendering import Rendering, only, with_pings
from bot.ui.text import DISPLAY_LIMIT, counted, cut, escape, fitted, joined, quoted, stamp

OPEN_COLOUR, TAKEN_COLOUR = 0x3B82F6, 0x2E9E5B
SECTION_LINES = 12
NOTE_MAX = 500
TAKE_OVER = "handover.take"
"""The action of the button's handle."""
Sections = tuple[tuple[str, tuple[str, ...]], ...]


def sections_of(shift: Shift, links: Mapping[int, str]) -> Sections:
    """The shift in lines. Every heading stands there, so that “none” is said, too."""
    firing = [
        " · ".join(
            part
            for part in (
                f"{word_of(group)} {short_id(group.id)} {title_of(group, 48)}",
                f"since {stamp(group.fired_at)}",
                f"{escape(group.acked_by, 24)} has it" if group.acked_by and not group.waits else "nobody has it",
                links.get(group.id, ""),
            )
            if part
        )
        for group in shift.firing.found
    ]
    if shift.firing.hidden:
        firing.append(f"{counted(shift.firing.hidden, 'more group')} that may not be shown")
    acked = [f"{short_id(group.id)} {title_of(group, 48)}" for group in shift.acked]
    silences = [
        f"{matchers_text(silence)} by {escape(silence.person, 24)}, ends {stamp(silence.ends_at)}"
        for silence in shift.silences
    ]
    operations = [operation_line(operation) for operation in shift.operations.found]
    if shift.operations.hidden:
        operations.append(f"{counted(shift.operations.hidden, 'more operation')} that may not be shown")
    locks = [f"{escape(lock.resource, 60)} by #{lock.operation_id}, since {stamp(lock.since)}" for lock in shift.locks]
    return (
        ("firing", _some(firing)),
        ("acked by me", _some(acked)),
        ("silences that end within a day", _some(silences)),
        ("operations", _some(operations)),
        ("locks", _some(locks)),
    )


def _some(lines: list[str]) -> tuple[str, ...]:
    rest = len(lines) - SECTION_LINES
    return (*lines[:SECTION_LINES], *((f"and {rest} more",) if rest > 0 else ()))


def handover_card(handed: Handed, handle: str) -> Sheet:
    """The card; without a handle, or once it is taken, it has no button."""
    text = joined(
        [
            quoted(handed.note, NOTE_MAX),
            fitted(
                (line for heading, lines in handed.sections for line in (_heading(heading, lines), *lines)),
                DISPLAY_LIMIT - 1000,
            ),
        ]
    )
    items: list[Item[Any]] = [TextDisplay(heading(handed)), TextDisplay(cut(text, DISPLAY_LIMIT - 500))]
    items += [Separator(), TextDisplay(footer(handed))]
    if handle and handed.taken_at is None:
        items.append(ActionRow(Button(label="Take over", custom_id=PRESS_PREFIX + handle)))
    return Sheet(Container(*items, accent_colour=TAKEN_COLOUR if handed.taken_at else OPEN_COLOUR))


def _heading(heading: str, lines: tuple[str, ...]) -> str:
    return f"**{heading}**" if lines else f"**{heading}**: none"


def heading(handed: Handed) -> str:
    """Who hands over to whom, and whether it is taken."""
    state = "TAKEN" if handed.taken_at else "HANDOVER"
    return f"**{state}** H{handed.id} {escape(handed.giver, 40)} to {escape(handed.receiver, 40)}"


def headline(handed: Handed) -> str:
    """One plain line, for a post that pings and for a crash right after it."""
    return f"HANDOVER H{handed.id} {escape(handed.giver, 40)} hands the shift over to you"


def marker(handed: Handed) -> re.Pattern[str]:
    """Finds the message again."""
    return re.compile(rf"^\W*(?:HANDOVER|TAKEN)\W* H{handed.id} ")


def footer(handed: Handed) -> str:
    """Whether somebody has it, until when it counts, and of which moment the lines are."""
    taken = (
        f"{escape(handed.receiver, 40)} is on call since {stamp(handed.taken_at, 'f')}"
        if handed.taken_at
        else "nobody has taken it over yet"
    )
    return f"-# {taken} · until {stamp(handed.until, 'f')} · as of {stamp(handed.at)}"


async def handover_rendering(
    row: CardRow, *, handover: Handover, store: BoardStore, people: People, guild_id: int
) -> Rendering:
    """The message for a handover's card; its first post calls the receiver.

    Raises:
        Refused: there is no such handover.
    """
    handed = await handover.known(row.subject_id)
    mint = Mint(row.key, 0, None, "", guild_id, row.channel_id)
    handles = await store.mint(mint, [TAKE_OVER], utc_now(), message_id=row.message_id)
    sheet = handover_card(handed, handles[TAKE_OVER])
    account = people.discord_id(handed.receiver)
    called = [account] if account is not None and handed.taken_at is None and not row.state.get("pinged") else []
    return Rendering(
        marker=marker(handed),
        content=with_pings(headline(handed), [f"<@{account}>" for account in called]),
        sheet=sheet,
        pings=only(users=called),
        state={**row.state, "generation": 0, "fingerprint": fingerprint(sheet)},
        born_at=handed.at,
    )

"""An operation as a card: rows in, components out, and the same rows always give the same card. Sends nothing.

Views are stopped as soon as they are made: discord.py then keeps none of them in memory, and every press comes in by
its custom_id (`buttons`), before a restart as after it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import discord
from discord.ui import ActionRow, Button, Container, LayoutView, Select, Separator, TextDisplay

from bot.ops.model import Operation, Status, Vote
from bot.ui.card_lines import WAYS, body, face_of, footer, heading, replaced, short, subject, title
from bot.ui.text import DISPLAY_LIMIT, cut, escape, joined, label, marked_text

PRESS_PREFIX = "qd:"
MENU_PREFIX = "qm:"
SHARE_ID = "qs:share"
BUTTONS_BESIDE = 3
"""Buttons that fit beside each other on a phone; the rest goes into one select."""


class Press(StrEnum):
    """What a button or a menu's entry asks for. The later ones stand only on ephemeral questions."""

    APPROVE = "approve"
    DENY = "deny"
    CANCEL = "cancel"
    RETRY = "retry"
    ROLL_BACK = "roll back"
    NEWEST = "use newest"
    LOG = "log"
    DETAILS = "details"
    LOOK_AGAIN = "look again"
    CLOSE = "close"
    CONFIRM = "confirm"
    OLDER = "older"


@dataclass(frozen=True, slots=True)
class CardSight:
    """What a card is drawn from. `handles` holds the custom_id's handle of each offer."""

    operation: Operation
    votes: Sequence[Vote]
    handles: Mapping[Press, str]
    link_hosts: tuple[str, ...]
    self_approval: bool
    withdrawn: tuple[str, ...] = ()
    """Who has taken the own approval back since."""
    outside: tuple[str, ...] = ()
    """Lines about parts of the outside that do not answer now and concern this operation."""


class Sheet(LayoutView):
    """A message of components, stopped at once so that nothing is kept in memory for it."""

    def __init__(self, *items: discord.ui.Item[Any]) -> None:
        super().__init__(timeout=None)
        for item in items:
            self.add_item(item)
        self.stop()


def redacted(sheet: Sheet, clean: Callable[[str], str]) -> Sheet:
    """The same sheet with secrets taken out of all its texts."""
    for item in sheet.walk_children():
        if isinstance(item, TextDisplay):
            item.content = clean(item.content)
    return sheet


def marked(sheet: Sheet, mark: str) -> Sheet:
    """The same sheet with the mark at the end of its first line, where a profile asks for one."""
    first = next((item for item in sheet.walk_children() if isinstance(item, TextDisplay)), None)
    if first is not None:
        room = DISPLAY_LIMIT - sum(
            len(item.content) for item in sheet.walk_children() if isinstance(item, TextDisplay) and item is not first
        )
        first.content = cut(marked_text(first.content, mark), room)
    return sheet


def offers(operation: Operation) -> tuple[Press, ...]:
    """What can be pressed on the card in this status, most wanted first."""
    match operation.status:
        case Status.PENDING:
            newest = (Press.NEWEST,) if _newer_exists(operation) else ()
            return (Press.APPROVE, Press.DENY, *newest, Press.CANCEL, Press.DETAILS)
        case Status.APPROVED:
            newest = (Press.NEWEST,) if _newer_exists(operation) else ()
            return (Press.CANCEL, *newest, Press.DETAILS)
        case Status.RUNNING:
            return (Press.LOG,) if operation.cancel_requested_at else (Press.CANCEL, Press.LOG)
        case Status.SUCCEEDED:
            return (Press.ROLL_BACK, Press.LOG) if _can_go_back(operation) else (Press.LOG,)
        case Status.FAILED:
            return (Press.LOG, *_again(operation))
        case Status.INTERRUPTED:
            if operation.locks_taken_by is not None:  # it cannot go on, and another one says what serves
                return (Press.CLOSE, Press.LOG)
            back = (Press.ROLL_BACK,) if operation.kind in WAYS else ()
            return (Press.LOOK_AGAIN, Press.CLOSE, *back, Press.LOG)
        case Status.EXPIRED | Status.CANCELLED | Status.STALE:
            return _again(operation)
        case Status.DENIED:
            return ()


def _again(operation: Operation) -> tuple[Press, ...]:
    """Only what can be asked for by its parameters is offered again."""
    return (Press.RETRY,) if operation.kind in WAYS else ()


def drawn_as(operation: Operation) -> str:
    """What the offers of a card depend on; when it changes, the card's older buttons are superseded."""
    taken = operation.locks_taken_by is not None
    return f"{operation.status}{'+' if operation.cancel_requested_at else ''}{'-' if taken else ''}"


def _newer_exists(operation: Operation) -> bool:
    return operation.kind == "deploy" and int(operation.shown.get("branch_ahead") or 0) > 0


def _can_go_back(operation: Operation) -> bool:
    before = replaced(operation)
    return bool(before) and before != operation.result.get("commit")


def card(sight: CardSight) -> Sheet:
    """The operation's card."""
    operation = sight.operation
    text = body(operation, sight.votes, self_approval=sight.self_approval)
    if sight.withdrawn and operation.status is Status.PENDING:
        text = joined([text, f"{escape(', '.join(sight.withdrawn))} took the approval back"])
    text = joined([text, *sight.outside])
    small = footer(operation, sight.votes)
    room = DISPLAY_LIMIT - len(small) - 200
    items: list[discord.ui.Item[Any]] = [TextDisplay(heading(operation))]
    if text:
        items.append(TextDisplay(cut(text, room)))
    items += [Separator(spacing=discord.SeparatorSpacing.small), TextDisplay(small)]
    return Sheet(Container(*items, *_rows(sight), accent_colour=face_of(operation).colour))


def _rows(sight: CardSight) -> list[ActionRow[Any]]:
    """The buttons, at most three, and one menu for what does not fit."""
    operation = sight.operation
    offered = [press for press in offers(operation) if press in sight.handles]
    link = link_button(str(operation.result.get("url", "")), sight.link_hosts)
    row: list[discord.ui.Item[Any]] = [link] if link and operation.status is Status.SUCCEEDED else []
    beside = BUTTONS_BESIDE - len(row)
    if len(offered) > beside:
        beside = min(beside, 2) if operation.status is Status.PENDING else beside
    row += [press_button(press, operation, sight.handles[press]) for press in offered[:beside]]
    rows = [ActionRow(*row)] if row else []
    rest = offered[beside:]
    if rest:
        rows.append(ActionRow(_menu(operation, {press: sight.handles[press] for press in rest})))
    return rows


def press_button(press: Press, operation: Operation, handle: str) -> Button[Any]:
    """The button for one offer."""
    return Button(label=_label(press, operation), style=_STYLES.get(press, discord.ButtonStyle.secondary),
                  custom_id=PRESS_PREFIX + handle)  # fmt: skip


_STYLES = {
    Press.APPROVE: discord.ButtonStyle.success,
    Press.DENY: discord.ButtonStyle.danger,
    Press.CONFIRM: discord.ButtonStyle.primary,
}


def _label(press: Press, operation: Operation) -> str:
    before = short(replaced(operation))
    names = {
        Press.APPROVE: "Approve",
        Press.DENY: "Deny…",
        Press.CANCEL: "Cancel",
        Press.RETRY: "Retry…" if operation.status is Status.FAILED else "Ask again…",
        Press.ROLL_BACK: "Roll back…" if operation.status is Status.INTERRUPTED else f"Roll back to {before}…",
        Press.NEWEST: "Use newest",
        Press.LOG: "Log",
        Press.DETAILS: "Details",
        Press.LOOK_AGAIN: "Look again",
        Press.CLOSE: "Close, free lock…",
        Press.CONFIRM: "Yes, do it",
        Press.OLDER: "Older",
    }
    return label(names[press])


def _menu(operation: Operation, handles: Mapping[Press, str]) -> Select[Any]:
    """The rest of the offers; each entry's value is its own handle."""
    options = [
        discord.SelectOption(label=_label(press, operation), value=handle, description=_hint(press, operation))
        for press, handle in handles.items()
    ]
    first = next(iter(handles.values()))
    return Select(custom_id=MENU_PREFIX + first, placeholder="More", options=options, required=False)


def _hint(press: Press, operation: Operation) -> str | None:
    if press is Press.NEWEST:
        ahead = int(operation.shown.get("branch_ahead") or 0)
        return label(f"{operation.shown.get('branch', 'The branch')} is {ahead} ahead; replaces this request", 100)
    return {Press.CANCEL: "Withdraw it", Press.DETAILS: "Commits, checks, rule, digest"}.get(press)


def link_button(url: str, link_hosts: Iterable[str]) -> Button[Any] | None:
    """A button that opens the address; None for hosts that the configuration does not name."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname not in set(link_hosts) or len(url) > 512:
        return None
    return Button(label="Open", url=url)


def headline(operation: Operation) -> str:
    """One plain line that says it all, for a post that pings and for a crash right after it."""
    needs = f"needs {operation.quorum} {' or '.join(operation.approver_roles)}"
    return f"{title(operation)} · {subject(operation)} asked {escape(operation.requester)}, {needs}"


def outcome_line(operation: Operation) -> str:
    """How it ended, in one plain line for the person who asked."""
    reason = f" {escape(operation.reason, 300)}" if operation.reason else ""
    return f"{operation.short_id} {operation.kind} {face_of(operation).word}: {subject(operation)}.{reason}"


def fingerprint(sheet: LayoutView) -> str:
    """A text that is equal for equal cards."""
    return json.dumps(sheet.to_components(), sort_keys=True)  # type: ignore[no-untyped-call]


def notice(text: str, *buttons: Button[Any], colour: int | None = None, share: bool = False) -> Sheet:
    """A short answer as a sheet, with buttons below it."""
    row: list[Button[Any]] = list(buttons)
    if share:
        row.append(share_button())
    rows: list[discord.ui.Item[Any]] = [ActionRow(*row)] if row else []
    display: discord.ui.Item[Any] = TextDisplay(cut(text, DISPLAY_LIMIT))
    return Sheet(Container(display, *rows, accent_colour=colour))


def enclosing(text: str, filename: str) -> Sheet:
    """A short answer with a file that is sent along under that name."""
    display: discord.ui.Item[Any] = TextDisplay(cut(text, DISPLAY_LIMIT))
    return Sheet(Container(display, discord.ui.File(f"attachment://{filename}")))


def share_button() -> Button[Any]:
    """Shows an ephemeral answer to everybody in the channel."""
    return Button(label="Share", custom_id=SHARE_ID)

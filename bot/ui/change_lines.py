"""What changed, in words: the same lines on an alert's card, below a graph and in a status."""

from collections.abc import Sequence
from datetime import timedelta

from bot.services.changes import VERSIONED, Change, no_change
from bot.ui.text import counted, escape, stamp

TEXT_MAX = 140


def change_line(change: Change) -> str:
    """One change: what, by whom, how long ago; an operation by its number."""
    number = f"#{change.operation_id} " if change.operation_id is not None else ""
    where = f" of {escape(change.service, 40)}" if change.service and change.kind in VERSIONED else ""
    told = escape(change.text, TEXT_MAX)
    kind = "" if change.operation_id is not None else f"{change.kind}: "
    return f"{number}{kind}{told}{where}, {escape(change.person, 40)}, {stamp(change.at)}"


def change_lines(changes: Sequence[Change], window: timedelta, *, limit: int = 3) -> list[str]:
    """The newest changes, one a line, and how many more there are; or that nothing changed in the window."""
    if not changes:
        return [no_change(window)]
    rest = len(changes) - limit
    more = [f"and {counted(rest, 'more change')}"] if rest > 0 else []
    return [*(change_line(change) for change in changes[:limit]), *more]

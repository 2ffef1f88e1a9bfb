"""The chat's words for a terminal: the same sentences without their markup, and nothing that a terminal would obey.

Texts are made once, for Discord (`ui.overview`, `ui.card_lines`); here their marks are taken off again, the escapes of
foreign text undone, and timestamps written out. Control and format characters are left out of every line that is
printed, so that a commit's title can move no cursor and hide no line.
"""

import re
import unicodedata
from datetime import UTC, datetime

from bot.ui.text import age

_STAMP = re.compile(r"<t:(\d{1,12})(?::([a-zA-Z]))?>")
_MARK = re.compile(r"\\([^\w\s]|_)|\*\*|\*|`|~~|^-# ", re.MULTILINE)
"""An escaped character, which stays as it is, or a mark of ours, which goes."""
_BROKEN_MENTION = "@\u200b"
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def plain(markup: str, now: datetime) -> str:
    """Our own text for Discord as text for a terminal."""
    text = _MARK.sub(lambda found: found.group(1) or "", markup.replace(_BROKEN_MENTION, "@"))
    return _STAMP.sub(lambda found: _written_out(found.group(2), int(found.group(1)), now), text)


def _written_out(style: str | None, seconds: int, now: datetime) -> str:
    """What Discord's client would show: an age for the style R, else the moment."""
    at = datetime.fromtimestamp(seconds, UTC)
    if style != "R":
        return f"{at:%Y-%m-%d %H:%M} UTC"
    return f"{age(now - at)} ago" if at <= now else f"in {age(at - now)}"


def legible(line: str) -> str:
    """One line that shows what it holds and does nothing else to a terminal."""
    return "".join(c if unicodedata.category(c) not in _HIDDEN else " " for c in line).rstrip()

"""Text for Discord: limits, escaping of foreign text, times and durations. Knows no operation and sends nothing.

Limits: Discord's developer documentation, "Component Reference" and "Message" (read 2026-07-18).
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta

CONTENT_LIMIT = 2000
"""Characters of a plain message (resources/message, "Create Message")."""
DISPLAY_LIMIT = 4000
"""Characters of all text displays of one message together."""
LABEL_LIMIT = 80
"""Characters of a button's label (components/reference)."""
CHOICE_LIMIT = 100
"""Characters of a choice's name and value (autocomplete and selects)."""
CHOICES_LIMIT = 25

_MARKDOWN = re.compile(r"([\\*~`|\[\]<]|(?<![^\W_])_|_(?![^\W_]))|^(?=(?:#{1,3}|-#|[+-]|>|>>>)\s)")
"""What means something anywhere in a line (a single underscore inside a word does not), or at its beginning."""
_NUMBERED = re.compile(r"^(\d+)(?=[.)]\s)")
_LINK = re.compile(r":(?=//)")
_MENTION = re.compile(r"@(?=\S)")
_INVITE = re.compile(r"(?<=discord\.gg)/|(?<=discord\.com/invite)/", re.IGNORECASE)
"""Discord makes an invitation of these even without `https://`."""
_SPACES = re.compile(r"\s+")
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_PILED = re.compile(f"([{_MARKS}]{{2}})[{_MARKS}]+")
"""More marks above one letter than any language piles up: they would run over the lines around."""


def clean(foreign: str) -> str:
    """Without control, format and bidirectional characters and without towers of marks, on one line."""
    if foreign.isascii() and foreign.isprintable():
        return _SPACES.sub(" ", foreign).strip()
    kept = (c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else " " for c in foreign)
    return _SPACES.sub(" ", _PILED.sub(r"\1", "".join(kept))).strip()


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the last of them an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + "…"


def escape(foreign: str, limit: int = 200) -> str:
    """Foreign text that shows as it is: no markdown, mention, link or heading takes effect. Cut, then escaped."""
    text = cut(clean(foreign), limit)
    text = _MARKDOWN.sub(lambda found: "\\" + (found.group(1) or ""), text)
    text = _NUMBERED.sub(r"\1\\", text)
    text = _LINK.sub(r"\\:", text)
    text = _INVITE.sub("\u200b/", text)
    return _MENTION.sub("@\u200b", text)


def quoted(foreign: str, limit: int = 200) -> str:
    """Foreign text alone on a quoted line; empty for empty text."""
    text = escape(foreign, limit)
    return f"> {text}" if text else ""


def quoted_tail(foreign: str, *, lines: int, limit: int) -> str:
    """The last lines of a foreign log, each quoted and escaped, together at most `limit` characters."""
    shown: list[str] = []
    for line in reversed([raw for raw in foreign.splitlines() if clean(raw)][-lines:]):
        entry = quoted(line, 160)
        if sum(len(s) + 1 for s in shown) + len(entry) > limit:
            break
        shown.append(entry)
    return "\n".join(reversed(shown))


def label(text: str, limit: int = LABEL_LIMIT) -> str:
    """Text for a label or a choice, where Discord reads no markdown."""
    return cut(clean(text), limit)


def stamp(at: datetime, style: str = "R") -> str:
    """A Discord timestamp: every reader sees it in their own zone, and ages are kept up to date by the client."""
    return f"<t:{int(at.timestamp())}:{style}>"


def message_url(guild_id: int, channel_id: int, message_id: int) -> str:
    """The address of a message (a link to it opens the client there)."""
    return f"https://discord.com/channels/{guild_id}/{channel_id}/{message_id}"


def moment(iso: str | None) -> datetime | None:
    """The time that a plan wrote down as ISO 8601, if it did."""
    return datetime.fromisoformat(iso) if iso else None


def duration(length: timedelta | float) -> str:
    """A length of time as people read it: `6 s`, `1:12 min`, `2 h 03 min`, `3 d 4 h`."""
    seconds = max(0, round(length.total_seconds() if isinstance(length, timedelta) else length))
    minutes, rest = divmod(seconds, 60)
    hours, left = divmod(minutes, 60)
    if seconds < 60:
        return f"{seconds} s"
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    if hours < 48:
        return f"{hours} h {left:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def age(length: timedelta) -> str:
    """How old something is, roughly: `6 min`, `26 h`, `3 d`."""
    seconds = max(0, round(length.total_seconds()))
    for size, unit, up_to in ((1, "s", 90), (60, "min", 90 * 60), (3600, "h", 48 * 3600)):
        if seconds < up_to:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86400} d"


def counted(number: int, noun: str) -> str:
    """`1 commit`, `3 commits`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def joined(lines: Iterable[str]) -> str:
    """The lines that are not empty, one below the other."""
    return "\n".join(line for line in lines if line)


def fitted(lines: Iterable[str], limit: int, *, more: str = "and {} more") -> str:
    """As many of the lines as fit, and how many did not."""
    every = [line for line in lines if line]
    shown: list[str] = []
    for number, line in enumerate(every):
        if sum(len(s) + 1 for s in shown) + len(line) + 20 > limit:
            return "\n".join([*shown, more.format(len(every) - number)])
        shown.append(line)
    return "\n".join(shown)


def marked_text(text: str, mark: str) -> str:
    """The text with the mark at the end of its first line: what finds a message again looks at the line's beginning.

    Marked once is marked; without a mark, and of nothing, it stays as it is.
    """
    first, newline, rest = text.partition("\n")
    if not (mark and text) or first.endswith(f" · {mark}"):
        return text
    return f"{first} · {mark}{newline}{rest}"

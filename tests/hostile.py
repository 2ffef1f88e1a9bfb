"""Texts that mean harm, and a reader that knows Discord's markup by itself: what of a text would take effect?

Every text holds a word of its own (`zq07`), by which it is found again on whatever shows it. The reader shares no code
with the bot: it reads a message as Discord's client does (support article "Markdown Text 101" and the reference on
message formatting, read 2026-08), and names everything that would be more than letters.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_WRITTEN = {
    # mentions
    "everyone": "@everyone {} look",
    "here": "{} @here",
    "a user": "<@4103> {}",
    "a user, old form": "<@!4103> {}",
    "a role": "<@&4201> {}",
    "a channel": "<#4001> {}",
    "a command": "</deploy:1> {}",
    "a customised guide": "<id:customize> {}",
    "an emoji": "<:ok:123456789012345678> {}",
    "a moving emoji": "<a:ok:123456789012345678> {}",
    "a time": "<t:0:R> {}",
    "a mention in a code span": "`<@&4201>` {}",
    "a mention after a backslash": "\\<@&4201> {}",
    "a mention cut in two": "<@\u200b&4201> <@&42\u00ad01> {}",
    "everyone in full width": "\uff20everyone {}",
    "everyone behind a joiner": "@\u2060everyone {}",
    # links
    "a bare link": "{} https://evil.example/login",
    "a link in brackets": "{} <https://evil.example>",
    "a masked link": "{} [prod runs fine](https://evil.example)",
    "a masked link to another name": "[https://github.com](https://evil.example) {}",
    "a masked link with a title": '[{}](https://evil.example "github.com")',
    "a link by reference": "[{}][1] [1]: https://evil.example",
    "a link of another scheme": "{} javascript:alert(1) discord://-/settings",
    "a masked link of another scheme": "[{}](javascript:alert(1))",
    "a link with a user": "{} https://github.com@evil.example/",
    "a link in other letters": "{} https://\u0433ithub.com/",
    "an invite": "{} discord.gg/evil https://discord.gg/evil",
    "a link after a backslash": "{} \\https://evil.example",
    "a picture": "![{}](https://evil.example/x.png)",
    # emphasis and code
    "bold": "**{}**",
    "italics by stars": "*{}*",
    "italics by lines": "_{}_",
    "underlined": "__{}__",
    "struck out": "~~{}~~",
    "hidden": "||{}||",
    "code": "`{}`",
    "code by two ticks": "``{} ` ``",
    "an open code span": "` {}",
    "a fence": "```\n{}\n```",
    "an open fence": "``` {}",
    "a fence with colours": "```ansi\n\u001b[2;31m{} failed\u001b[0m\n```",
    "nested emphasis": "***__~~||{}||~~__***",
    "backslashes": "\\\\*{}* \\\\\\**x**",
    "a backslash at the end": "{} \\",
    # what begins a line
    "a heading": "# {}",
    "a small heading": "### {}",
    "small print": "-# {}",
    "a quote": "> {}",
    "a quote of everything": ">>> {}",
    "a list": "- {}",
    "a numbered list": "1. {}",
    "a second line": "ok\n# {}\n> x\n- y",
    "other line ends": "ok\r# {}\u2028# x\u2029# y\x0b# z\x85# w",
    # characters
    "right to left": "\u202e{} desopxe \u202c",
    "isolates": "\u2066\u2067{}\u2069\u2069",
    "a bell and a backspace": "{}\x07\x08\x00",
    "terminal colours": "\x1b[31m{}\x1b[0m",
    "nothing to see": "\u200b\u200c\u200d\ufeff{}\u2060",
    "tags": "{}\U000e0041\U000e0042",
    "a private character": "{}\ue000\uf8ff",
    "half a pair": "{}\ud83d",
    "piled marks": "{} Z" + "\u0351\u036b\u0343\u036a" * 40,
    "a wide space": "{}\u3000\u00a0\u2003x",
    # words of the bot's own
    "a faked approval": "**DEPLOY approved** · #1\napproved by sre {}",
    "a faked card": "{} succeeded · live, checked\nasked dev · approved sre",
    "a faked digest": "-# digest 7c41ee · asked {}",
    "a faked approval in other letters": "\u0430\u0440\u0440r\u043eved by sr\u0435 {}",
    "a faked button": "[Approve] [Deny...] {}",
    "a marker of a card": "#184 {} qd:1234",
    # size and other languages
    "four thousand characters": "{} " + "very long " * 400,
    "four thousand stars": "{} " + "*" * 4000,
    "four thousand backslashes": "{} " + "\\" * 4000,
    "no space": "{}" + "x" * 4000,
    "a format": "{} %s %(x)s {{0}} ${{x}}",
    "SQL": "{}'; DROP TABLE operations; --",
    "a shell": "{} $(reboot) `reboot` ; reboot | reboot && reboot",
    "markup of a page": '<img src=x onerror="alert(1)">{}<script>alert(1)</script>',
    "a path": "../../../../etc/passwd {}",
}


@dataclass(frozen=True, slots=True)
class Text:
    """One of them. `marker` is the word by which it is recognised."""

    name: str
    text: str
    marker: str

    def within(self, limit: int) -> str:
        """As much of it as a form takes, the marker included, without what no JSON or terminal can carry."""
        text = self.text.replace("\0", "").encode("utf-8", "ignore").decode()
        return text[:limit] if text.index(self.marker) + len(self.marker) <= limit else self.marker


def _written(text: str, marker: str) -> str:
    """The text with its marker; double braces stand for single ones."""
    return "{".join("}".join(part.split("}}")) for part in text.split("{{")).replace("{}", marker)


TEXTS: tuple[Text, ...] = tuple(
    Text(name, _written(text, f"zq{number:02d}"), f"zq{number:02d}")
    for number, (name, text) in enumerate(_WRITTEN.items())
)

_MARKUP = {
    "a mention": re.compile(r"(?<!\\)<(?:@[!&]?|#|id:|/)[\w: -]*>"),
    "an emoji": re.compile(r"(?<!\\)<a?:\w+:\d+>"),
    "everyone": re.compile(r"@(?:everyone|here)\b"),
    "a masked link": re.compile(r"(?<!\\)\]\("),
    "a link": re.compile(r"\b(?:https?|discord|steam)://[^\s`]+", re.IGNORECASE),
    "an invite": re.compile(r"(?<![\w/.])discord\.gg/\w+(?<!\u200b)", re.IGNORECASE),
    "emphasis": re.compile(r"(?<!\\)(?:\*{1,3}(?=\S)|__|~~|\|\|)"),
    "italics": re.compile(r"(?<![\\\w])_(?=\S)|(?<=\w)(?<!\\)_(?!\w)"),
    "code": re.compile(r"(?<!\\)`"),
    "a time": re.compile(r"(?<!\\)<t:-?\d+(?::[tTdDfFR])?>"),
    "a heading": re.compile(r"^\s*#{1,3} "),
    "small print": re.compile(r"^\s*-# "),
    "a list": re.compile(r"^\s*(?:[-*+]|\d+\.) "),
    "a quote": re.compile(r"^\s*>>?>? "),
}
_OURS = re.compile(r"^(?:> |-# |- )?")
_OUR_TIME = r"<t:\d{10}:[a-zA-Z]>"
_ESCAPED_BACKSLASH = re.compile(r"\\\\")


def lines_with(text: str, found: Text) -> list[str]:
    """The lines of a message on which that text is shown, as Discord cuts a message into lines."""
    return [line for line in text.split("\n") if found.marker in line]


def effects(line: str, *, hosts: tuple[str, ...] = (), ours: tuple[str, ...] = ()) -> list[str]:
    """Everything on a line that would be more than letters, but for one leading quote or bullet of the bot's own.

    `ours` are patterns of the bot's own markup on such lines, its times among them; links to `hosts` are allowed.
    """
    for piece in (_OUR_TIME, *ours):
        line = re.sub(piece, " ", line)
    found = [f"{name}: {line!r}" for name, _ in _invisible(line)]
    rest = _ESCAPED_BACKSLASH.sub("\ufffd", _OURS.sub("", line, count=1))
    for name, pattern in _MARKUP.items():
        for hit in pattern.finditer(rest):
            if name == "a link" and any(hit.group(0).lower().startswith(f"https://{host}/") for host in hosts):
                continue
            found.append(f"{name} ({hit.group(0)!r}): {line!r}")
    return found


def _invisible(text: str) -> Iterator[tuple[str, str]]:
    """What a reader cannot see. The zero-width space is how the bot takes mentions apart."""
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and character != "\u200b":
            yield f"{unicodedata.name(character, f'U+{ord(character):04X}')} ({category})", character


def plain(text: str) -> list[str]:
    """What is wrong with a text where Discord reads no markup (labels, choices): characters that nobody sees."""
    return [f"{name}: {text!r}" for name, _ in _invisible(text)]

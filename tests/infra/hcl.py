"""Reads HCL as far as rules about it need: blocks within blocks, with their labels and the texts of their attributes.

Values stay texts. What stands in strings, heredocs and comments is never taken for structure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

NAME = re.compile(r"[A-Za-z_][\w-]*")
HEREDOC = re.compile(r"<<-?([A-Za-z_]\w*)\n")
OPENING, CLOSING = "([{", ")]}"


@dataclass(slots=True)
class Block:
    """`kind "label" ... { }`; the outermost one is a file, without kind and labels. `line` counts from one."""

    kind: str
    labels: tuple[str, ...]
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    blocks: list["Block"] = field(default_factory=list)

    def of(self, kind: str) -> list["Block"]:
        return [block for block in self.blocks if block.kind == kind]


def read(file: Path) -> Block:
    """A file's blocks and attributes."""
    return parse(file.read_text(encoding="utf-8"))


def parse(text: str) -> Block:
    """Raises ValueError with the line at which the text is not understood."""
    found = Block("", (), 1)
    _body(text, _masked(text), 0, len(text), found)
    return found


def _body(text: str, plain: str, at: int, end: int, into: Block) -> None:
    """Read what stands between `at` and `end` into a block. `plain` is the text without what is no structure."""
    while (at := _skip_blank(plain, at, end)) < end:
        name = NAME.match(plain, at, end)
        if name is None:
            raise ValueError(f"line {_line(text, at)}: {text[at : at + 40]!r} is not understood")
        after = _skip_blank(plain, name.end(), end, blank=" \t")
        if plain[after : after + 1] == "=":
            stop = _end_of_value(plain, after + 1, end)
            into.attributes[name[0]] = text[after + 1 : stop].strip()
            at = stop
            continue
        opening = plain.find("{", after, end)
        if opening < 0:
            raise ValueError(f"line {_line(text, at)}: {name[0]} has neither a value nor a block")
        closing = _closing(plain, opening, end)
        labels = tuple(word.strip('"') for word in text[name.end() : opening].split())
        block = Block(name[0], labels, _line(text, at))
        _body(text, plain, opening + 1, closing, block)
        into.blocks.append(block)
        at = closing + 1


def _skip_blank(plain: str, at: int, end: int, blank: str = " \t\r\n,") -> int:
    while at < end and plain[at] in blank:
        at += 1
    return at


def _end_of_value(plain: str, at: int, end: int) -> int:
    """Where a value ends: with its line, unless a bracket is open there."""
    depth = 0
    while at < end:
        if plain[at] in OPENING:
            depth += 1
        elif plain[at] in CLOSING:
            depth -= 1
        elif plain[at] == "\n" and depth == 0:
            return at
        at += 1
    return end


def _closing(plain: str, opening: int, end: int) -> int:
    depth = 0
    for at in range(opening, end):
        if plain[at] == "{":
            depth += 1
        elif plain[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    raise ValueError("a block is not closed")


def _masked(text: str) -> str:
    """The text with strings, heredocs and comments blanked; its length and its lines are the same."""
    kept = list(text)
    for start, stop in _insides(text):
        for at in range(start, stop):
            if kept[at] != "\n":
                kept[at] = " "
    return "".join(kept)


def _insides(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(text):
        if text[at] == "#" or text.startswith("//", at):
            stop = _find(text, "\n", at)
        elif text.startswith("/*", at):
            stop = _find(text, "*/", at) + 2
        elif text[at] == '"':
            stop = _end_of_string(text, at + 1)
        elif heredoc := HEREDOC.match(text, at):
            last = re.compile(rf"^[ \t]*{heredoc[1]}[ \t]*$", re.MULTILINE).search(text, heredoc.end())
            stop = last.end() if last else len(text)
        else:
            at += 1
            continue
        yield at, stop
        at = stop


def _end_of_string(text: str, at: int) -> int:
    """The place after the closing quote; templates `${...}` may hold strings of their own."""
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 2
        elif text[at : at + 2] in ("${", "%{") and text[at - 1] != text[at]:
            at = _end_of_template(text, at + 2)
        else:
            at += 1
    return at + 1


def _end_of_template(text: str, at: int) -> int:
    depth = 1
    while at < len(text) and depth:
        if text[at] == '"':
            at = _end_of_string(text, at + 1)
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return at


def _find(text: str, wanted: str, at: int) -> int:
    found = text.find(wanted, at)
    return found if found >= 0 else len(text)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1

"""Long JSON read in steps, so that reading it on a thread lets the others run: one call of the library's for all of it
keeps the whole interpreter for as long as it takes.
"""

import json
import re
from collections.abc import Callable
from typing import Any

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


def in_steps(text: str, depth: int) -> Any:
    """What the text means. Lists and objects are gone through one by one for so many levels, and below them at once.

    Raises:
        json.JSONDecodeError: it is no JSON.
    """
    value, at = _read(text, _skip(text, 0), depth)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return value


def _read(text: str, at: int, depth: int) -> tuple[Any, int]:
    """What begins there, and where the text goes on after it and the space behind."""
    opening = text[at : at + 1]
    if depth and opening == "[":
        return _gathered(text, at + 1, "]", lambda start: _read(text, start, depth - 1))
    if depth and opening == "{":
        members, at = _gathered(text, at + 1, "}", lambda start: _member(text, start, depth - 1))
        return dict(members), at
    value, at = _DECODER.raw_decode(text, at)
    return value, _skip(text, at)


def _gathered(text: str, at: int, closing: str, read: Callable[[int], tuple[Any, int]]) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _skip(text, at)
    if text[at : at + 1] == closing:
        return found, _skip(text, at + 1)
    while True:
        value, at = read(at)
        found.append(value)
        if text[at : at + 1] == closing:
            return found, _skip(text, at + 1)
        at = _after(text, at, ",")


def _member(text: str, at: int, depth: int) -> tuple[tuple[str, Any], int]:
    if text[at : at + 1] != '"':
        raise json.JSONDecodeError("Expecting a name in quotes", text, at)
    name, at = _DECODER.raw_decode(text, at)
    value, at = _read(text, _after(text, _skip(text, at), ":"), depth)
    return (name, value), at


def _after(text: str, at: int, mark: str) -> int:
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, at)
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at

"""PromQL as text: placeholders with escaped values, and an alert's expression split into its curve and its threshold.

Pure. This is no parser: it knows strings, comments, brackets and the operators at the outermost level, which is enough
to find where an expression is compared with a number. What it does not understand stays whole.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_PLACEHOLDER = re.compile(r"""((?:=~|!~)\s*["'])?\$(?:\{(\w+)\}|(\w+))""")
_REGEX_LETTERS = re.compile(r"([\\.+*?()|\[\]{}^$])")
ANYTHING = ".*"
_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|(?P<comment>\#[^\n]*)|(?P<word>[A-Za-z_:][\w:]*)"""
    r"""|(?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))|(?P<operator>==|!=|<=|>=|=~|!~|.)""",
    re.DOTALL,
)
_OPENING, _CLOSING = "([{", ")]}"
_SETS = ("and", "or", "unless")
"""The operators that bind more loosely than comparisons; what decides is on their left."""
_COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_FLIPPED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_MODIFIERS = re.compile(r"\A\s*bool\b")
VALUE_MAX = 500
"""Characters of a value that is put into a query."""
_LAYERS = 20
"""Brackets around the whole, and operators in a row, that are looked through."""
_NUMBER_MAX = 300
"""Characters of a constant: a longer one is no threshold that somebody wrote."""


@dataclass(frozen=True, slots=True)
class Condition:
    """An alert's expression: the part that is a curve, and the number it is held against, if it is."""

    curve: str
    comparison: str = ""
    threshold: float | None = None

    @property
    def beyond(self) -> str:
        """On which side of the threshold the trouble is: `>`, `<`, or neither."""
        return self.comparison[0] if self.comparison[:1] in ("<", ">") else ""


def string_literal(value: str) -> str:
    """The value as it may stand between double quotes of PromQL (its strings are Go's)."""
    escaped = value[:VALUE_MAX].replace("\\", "\\\\").replace('"', '\\"')
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in escaped)


def pattern(value: str) -> str:
    """A regular expression (RE2) that is this value and nothing else; of nothing: anything."""
    return _REGEX_LETTERS.sub(r"\\\1", value[:VALUE_MAX]) if value else ANYTHING


def placeholders(query: str) -> Mapping[str, bool]:
    """The names that stand in the query as `$name` or `${name}`, and whether each must have a value.

    It need not have one where it is all of a regular expression (`=~"$name"`): that can stand for anything.
    """
    found: dict[str, bool] = {}
    for place in _PLACEHOLDER.finditer(query):
        name = place.group(2) or place.group(3)
        found[name] = found.get(name, False) or not place.group(1)
    return found


def filled(query: str, values: Mapping[str, str]) -> str:
    """The query with the values in place of their names, escaped; names without a value stay as they are.

    A value in a regular expression stands for itself, an empty one for anything.
    """

    def value(found: re.Match[str]) -> str:
        before, name = found.group(1) or "", found.group(2) or found.group(3)
        if name not in values:
            return found.group(0)
        return before + string_literal(pattern(values[name]) if before else values[name])

    return _PLACEHOLDER.sub(value, query)


def condition(expression: str) -> Condition:
    """Where the expression compares with a constant, at its outermost level; else it stays whole.

    `a > 5 and b` is about `a`; a comparison of two curves shows the left one without a threshold.
    """
    text = _bare(expression)
    for _ in range(_LAYERS):
        left, found, _right = _split(text, lambda token: token.lower() in _SETS)
        if not found:
            break
        text = _bare(left)
    left, comparison, right = _split(text, lambda token: token in _COMPARISONS)
    if not comparison:
        return Condition(text)
    right = _MODIFIERS.sub("", right)
    threshold = constant(right)
    if threshold is not None:
        return Condition(_bare(left), comparison, threshold)
    threshold = constant(left)
    if threshold is not None:
        return Condition(_bare(right), _FLIPPED[comparison], threshold)
    return Condition(_bare(left))


def constant(text: str) -> float | None:
    """The value of an expression of nothing but numbers: `80`, `1e9`, `(14.4 * (1 - 0.999))`; None for all others."""
    bare = text.strip()
    if not bare or len(bare) > _NUMBER_MAX:
        return None
    if any(found.group("word") for found in _TOKEN.finditer(bare)):  # also Inf and NaN: no threshold can be drawn there
        return None
    try:
        value = _value(ast.parse(bare.replace("^", "**"), mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None
    return value if math.isfinite(value) else None


_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: math.fmod,
    ast.Pow: math.pow,
}


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool()):
            raise ValueError("no number")
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _ARITHMETIC[type(op)](_value(left), _value(right))
    raise ValueError("no constant")


# ---- the outermost level -------------------------------------------------------------------------------------------


def _outermost(text: str) -> Iterator[tuple[int, str, int]]:
    """(position, token, depth) of everything that is neither string nor comment; a bracket has the depth around it."""
    depth = 0
    for found in _TOKEN.finditer(text):
        token = found.group(0)
        if found.group("string") or found.group("comment"):
            continue
        if token in _CLOSING:
            depth -= 1
        yield found.start(), token, depth
        if token in _OPENING:
            depth += 1


def _split(text: str, wanted: Callable[[str], bool]) -> tuple[str, str, str]:
    """What stands before the first such operator at the outermost level, the operator, and what stands after it."""
    for position, token, depth in _outermost(text):
        if depth == 0 and wanted(token):
            return text[:position].strip(), token, text[position + len(token) :].strip()
    return text, "", ""


def _bare(text: str) -> str:
    """Without comments around it, and without brackets around the whole."""
    bare = _uncommented(text).strip()
    for _ in range(_LAYERS):
        if not (bare.startswith("(") and bare.endswith(")") and _encloses(bare)):
            break
        bare = bare[1:-1].strip()
    return bare


def _uncommented(text: str) -> str:
    return "".join(" " if found.group("comment") else found.group(0) for found in _TOKEN.finditer(text))


def _encloses(text: str) -> bool:
    """Whether the first bracket is closed only by the last letter."""
    closings = (position for position, found, depth in _outermost(text) if found in _CLOSING and depth == 0)
    return next(closings, -1) == len(text) - 1

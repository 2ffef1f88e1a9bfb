"""Where alerts belong: matchers in Alertmanager's syntax, and the first route that all of them fit. Pure.

Labels are compared as Alertmanager compares them: an absent label is an empty one, and regular expressions match the
whole value (https://prometheus.io/docs/alerting/latest/configuration/#matcher). Python's regular expressions stand in
for Go's; what both know is nearly everything.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from bot.alert_settings import EscalationStep, QuietHours, RouteSettings
from bot.alerts.model import Labels, Matcher
from bot.errors import Misconfigured, Refused

_MATCHER = re.compile(
    r"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*|\"(?:[^\"\\]|\\.)+\")\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>.*?)\s*\Z",
    re.DOTALL,
)
_PIECE = re.compile(
    r"(?P<piece>\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?[^:)]*:)?|[^(])(?P<repeat>[*+]|\{\d*,\d*\}|\{\d{2,}\})?",
    re.DOTALL,
)
REPETITIONS_MAX = 4
"""In one branch of a regular expression."""
_NO_PATTERN = (re.error, OverflowError, RecursionError)
"""What Python raises where it cannot compile a regular expression: a wrong one, too large a number, too deep a nest."""
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def matcher(text: str) -> Matcher:
    r"""Read one matcher: `name="value"`; quotes may be left out, and inside them `\"`, `\\` and `\n` are escapes.

    A name that holds more than letters, digits, `_` and `:` stands in quotes (Alertmanager >= 0.27).

    Raises:
        Refused: it is none, or its regular expression is none.
    """
    found = _MATCHER.match(text)
    if found is None:
        raise Refused(
            f"`{text.strip()[:100]}` is no matcher.",
            rule="matcher",
            hint='Write one like severity="critical" or job=~"node.*".',
        )
    value = _unquoted(found["value"])
    operator = found["operator"]
    made = Matcher(_unquoted(found["name"]), value, is_regex="~" in operator, is_equal=operator.startswith("="))
    if made.is_regex:
        try:
            _pattern(value)
        except _NO_PATTERN as error:
            raise Refused(f"`{value[:100]}` is no regular expression: {error}.", rule="matcher") from None
        if is_costly(value):
            raise Refused(
                f"`{value[:100]}` repeats what is repeated already, which may take for ever to compare.",
                rule="matcher",
                hint="Write it without a repetition within a repetition, and with few of them.",
            )
    return made


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _ESCAPED.sub(lambda one: "\n" if one[1] == "n" else one[1], text[1:-1])
    return text


def matchers(text: str) -> tuple[Matcher, ...]:
    """Read several, with commas or line ends between them, and braces around them or not.

    Raises:
        Refused: one of them is none.
    """
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    return tuple(matcher(part) for part in _parts(inner) if part.strip())


def _parts(text: str) -> Iterable[str]:
    """The text between commas and line ends that stand in no quotes."""
    part, quoted, escaped = "", False, False
    for character in text:
        if not quoted and character in ",\n":
            yield part
            part = ""
            continue
        if character == '"' and not escaped:
            quoted = not quoted
        escaped = character == "\\" and not escaped
        part += character
    yield part


def only(wanted: Iterable[Matcher], label: str) -> str:
    """The value that the matchers want that label to have; empty where they leave it open."""
    return next((one.value for one in wanted if one.name == label and one.is_equal and not one.is_regex), "")


def fits(labels: Labels, wanted: Iterable[Matcher]) -> bool:
    """Whether all of them say yes; no matchers at all fit everything."""
    return all(_fits(labels.get(one.name, ""), one) for one in wanted)


def _fits(value: str, one: Matcher) -> bool:
    if not one.is_regex:
        return (value == one.value) is one.is_equal
    # Made elsewhere: what cannot be judged holds nothing back. Nobody waits for an answer that takes for ever, and Go
    # has expressions that Python has not.
    if is_costly(one.value):
        return False
    try:
        return (_pattern(one.value).fullmatch(value) is not None) is one.is_equal
    except _NO_PATTERN:
        return False


@lru_cache(maxsize=512)
def is_costly(text: str) -> bool:
    """Whether to compare with that regular expression may take time without bound.

    Go's never do; Python's try all ways, and everybody waits meanwhile. Costly is a repeated group that holds a
    repetition or a choice, and a branch with many repetitions.
    """
    many, held = [0], [False]
    for found in _PIECE.finditer(text):
        piece, after = found["piece"], found["repeat"]
        if piece.startswith("("):
            many.append(0)
            held.append(False)
        elif piece == "|":
            many[-1], held[-1] = 0, True
        elif piece == ")" and len(many) > 1:
            inner, choice = many.pop(), held.pop()
            if after and (inner or choice):
                return True
            many[-1] += inner
            held[-1] = held[-1] or choice
        if after:
            many[-1] += 1
        if many[-1] > REPETITIONS_MAX:
            return True
    return False


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)


@dataclass(frozen=True, slots=True)
class Route:
    """Where alerts are shown and whom they call. `role` is None where the first firing calls nobody."""

    name: str
    channel: str
    role: str | None
    escalation: tuple[EscalationStep, ...]
    quiet_hours: QuietHours | None
    anew_after_s: int
    ack_reminder_s: int
    matchers: tuple[Matcher, ...] = ()


def _configured(route: RouteSettings) -> tuple[Matcher, ...]:
    try:
        return tuple(map(matcher, route.matchers))
    except Refused as error:
        raise Misconfigured(f"alerts.routes, the route {route.name}: {error} {error.hint}".strip()) from None


class Routes:
    """The routes of the file in their order; the last one fits everything.

    Raises:
        Misconfigured: a matcher is none.
    """

    def __init__(self, routes: Sequence[RouteSettings], *, anew_after_s: int, ack_reminder_s: int) -> None:
        if not routes or routes[-1].matchers:
            raise Misconfigured("The last route of [alerts] must fit everything.")
        self._routes = tuple(
            Route(
                name=one.name,
                channel=one.channel,
                role=one.role,
                escalation=one.escalation,
                quiet_hours=one.quiet_hours,
                anew_after_s=anew_after_s if one.anew_after_s is None else one.anew_after_s,
                ack_reminder_s=ack_reminder_s if one.ack_reminder_s is None else one.ack_reminder_s,
                matchers=_configured(one),
            )
            for one in routes
        )

    def of(self, labels: Labels) -> Route:
        """The first route whose matchers all fit."""
        return next(route for route in self._routes if fits(labels, route.matchers))

    def own(self, channel: str, labels: Labels) -> Route:
        """A route for the bot's own alerts: shown in that channel, and escalated as others with these labels are."""
        return replace(self.of(labels), name="", channel=channel)

    def named(self, name: str) -> Route:
        """The route of that name; the last one where the file no longer has it."""
        return next((route for route in self._routes if route.name == name), self._routes[-1])

"""What a picture of figures says: curves, a threshold, marks, bars. Pure data: whoever collects it draws nothing.

`bot.ui.chart` draws it. Times are aware UTC; the points of a curve are (seconds since 1970, value), as Prometheus
sends them, and what is missing there is missing: never 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

Point = tuple[float, float]
MAX_CURVES = 6
"""Curves that one picture shows, so that each can be told from the others on a phone."""
MAX_BARS = 10


class Unit(StrEnum):
    """In what a panel's values are counted. `ratio` is 0 to 1 and is shown as a percentage."""

    NONE = ""
    PERCENT = "percent"
    RATIO = "ratio"
    BYTES = "bytes"
    BYTES_PER_S = "bytes/s"
    SECONDS = "seconds"
    MILLISECONDS = "ms"
    REQUESTS = "requests/s"
    COUNT = "count"
    CELSIUS = "celsius"


class MarkKind(StrEnum):
    """What a vertical mark stands for."""

    ALERT = "alert"
    END = "end"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Curve:
    """One series. Two points further apart than one and a half steps have a gap between them."""

    name: str
    points: tuple[Point, ...]

    def at_end(self, end: datetime, step_s: float) -> float | None:
        """What it stands at by `end`; None where it has no point there, whatever it was before."""
        at, value = self.points[-1] if self.points else (0.0, math.nan)
        return value if math.isfinite(value) and end.timestamp() - at < 0.75 * step_s + 1 else None

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(value for _, value in self.points if math.isfinite(value))


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one moment: an alert began, a version was brought there."""

    at: datetime
    text: str
    kind: MarkKind = MarkKind.CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSpec:
    """A line chart from `start` to `end`. `more` counts the series that were found and are not among the curves.

    `threshold` is in the curves' unit; `beyond` says on which side of it is the trouble (`>`, `<`, or neither).
    """

    title: str
    start: datetime
    end: datetime
    step_s: float
    curves: tuple[Curve, ...] = ()
    unit: Unit = Unit.NONE
    threshold: float | None = None
    beyond: str = ""
    marks: tuple[Mark, ...] = ()
    more: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSpec:
    """Amounts beside each other, the most first: what was noisiest, who fires most. `more` counts those left out."""

    title: str
    bars: tuple[tuple[str, float], ...] = ()
    unit: Unit = Unit.COUNT
    more: int = 0
    note: str = ""


def foremost(curves: Sequence[Curve], limit: int, *, lowest: bool = False) -> tuple[Curve, ...]:
    """The curves that matter most: those with the highest peak, or the lowest trough; in that order.

    What has no value at all comes last; equals stay in the order in which they came.
    """

    def rank(curve: Curve) -> tuple[bool, float]:
        values = curve.values
        return (not values, 0.0 if not values else min(values) if lowest else -max(values))

    return tuple(sorted(curves, key=rank)[:limit])


# ---- values as text ------------------------------------------------------------------------------------------------

_IEC = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SI = ("", "k", "M", "G", "T")


@dataclass(frozen=True, slots=True)
class Scale:
    """How values of one size are written: divided by `divisor`, with `suffix` behind."""

    divisor: float
    suffix: str

    def text(self, value: float) -> str:
        return f"{rounded(value / self.divisor)}{self.suffix}"


def scale_of(unit: Unit, largest: float) -> Scale:
    """The scale that fits values up to `largest`: bytes in IEC units, seconds from µs to days, the rest in k and M."""
    size = abs(largest) if math.isfinite(largest) else 0.0
    match unit:
        case Unit.PERCENT:
            return Scale(1, " %")
        case Unit.RATIO:
            return Scale(0.01, " %")
        case Unit.BYTES | Unit.BYTES_PER_S:
            power = min(len(_IEC) - 1, int(math.log2(size) // 10)) if size >= 1 else 0
            return Scale(1024.0**power, f" {_IEC[power]}{'/s' if unit is Unit.BYTES_PER_S else ''}")
        case Unit.SECONDS:
            return _time_scale(size)
        case Unit.MILLISECONDS:
            seconds = _time_scale(size / 1000)
            return Scale(seconds.divisor * 1000, seconds.suffix)
        case Unit.CELSIUS:
            return Scale(1, " °C")
        case Unit.NONE | Unit.COUNT | Unit.REQUESTS:
            power = min(len(_SI) - 1, int(math.log10(size) // 3)) if size >= 10_000 else 0
            return Scale(1000.0**power, f"{_SI[power]}{' req/s' if unit is Unit.REQUESTS else ''}")


def _time_scale(size: float) -> Scale:
    if 0 < size < 0.001:
        return Scale(1e-6, " µs")
    if 0 < size < 1:
        return Scale(1e-3, " ms")
    if size < 180:
        return Scale(1, " s")
    if size < 3 * 3600:
        return Scale(60, " min")
    return Scale(3600, " h") if size < 3 * 86400 else Scale(86400, " d")


def rounded(value: float) -> str:
    """Three digits that mean something, without an exponent for what people count: `0.12`, `84.2`, `1240`."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-3:
        return f"{value:.3g}"
    digits = max(0, 2 - math.floor(math.log10(size)))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def told(value: float | None, unit: Unit) -> str:
    """One value with its unit; `no data` for a missing one, which is never 0."""
    if value is None or math.isnan(value):
        return "no data"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    return scale_of(unit, value).text(value)

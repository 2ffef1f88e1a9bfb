"""Pictures of figures: a spec in, a PNG out, and the same spec always gives the same picture. Knows no Discord.

Drawn by matplotlib's Figure on its Agg canvas, never by pyplot, whose figures are global. Importing it takes half a
second and drawing holds the interpreter, so only the child process of `chart_process` calls `draw`; this module itself
imports matplotlib only when it draws. The colours are those of Discord's dark theme, and the letters are large: a
phone shows the picture at a third of its size.
"""

import io
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from bot.services.plots import (
    MAX_BARS,
    MAX_CURVES,
    BarSpec,
    ChartSpec,
    Curve,
    Mark,
    MarkKind,
    Scale,
    Unit,
    foremost,
    scale_of,
    told,
)
from bot.ui.text import clean, cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure

__all__ = ["HEIGHT", "WIDTH", "BarSpec", "ChartSpec", "Curve", "Mark", "MarkKind", "Unit", "draw", "plain"]

WIDTH, HEIGHT = 1200, 675
"""Pixels. Discord shows 16:9 uncropped; a phone has some 1100 pixels across."""
DPI = 150
FONT = "DejaVu Sans"
"""It comes with matplotlib, so that a picture looks the same on every machine."""
PAPER, PANEL, GRID = "#2B2D31", "#313338", "#4E5058"
INK, FAINT = "#F2F3F5", "#B5BAC1"
COLOURS = ("#5EB1FF", "#FFB13D", "#4ED48A", "#D88CFF", "#FF8FA3", "#7CE5E5")
LIMIT_COLOUR = "#FF5C5C"
MARK_COLOURS = {MarkKind.ALERT: "#FF5C5C", MarkKind.END: "#4ED48A", MarkKind.CHANGE: "#FFE08A"}
TITLE_PT, TEXT_PT, SMALL_PT = 17.0, 14.0, 12.5
RIGHT = 1176.0
"""The panel's right edge in pixels; on its left stand the values, and it begins behind them."""
LEGEND_ROW, MARK_ROW = 38.0, 34.0
MARK_ROWS = 3
MARKS_MAX = 12
"""Marks that one picture shows; more of them would be a fence."""
TITLE_CHARS, NAME_CHARS, MARK_CHARS, BAR_CHARS = 60, 60, 26, 34


def draw(spec: ChartSpec | BarSpec) -> bytes:
    """The picture as PNG, `WIDTH` x `HEIGHT`. Takes some 0.1 s; not for the bot's own process."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"text.parse_math": False, "font.family": [FONT]}):
        figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor=PAPER)
        canvas = FigureCanvasAgg(figure)
        sheet = _Sheet(figure, canvas.get_renderer())  # type: ignore[no-untyped-call]
        if isinstance(spec, BarSpec):
            sheet.title(spec.title, spec.note)
            _bars(sheet, spec)
        else:
            days = _days(spec.start, spec.end)
            sheet.title(spec.title, f"{spec.note} · {days}" if spec.note else days)
            _lines(sheet, spec)
        out = io.BytesIO()
        canvas.print_png(out, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return out.getvalue()


def plain(foreign: str, limit: int) -> str:
    """Foreign text for a picture: one line, no control or direction marks, one accent a letter at most, cut."""
    text = unicodedata.normalize("NFC", clean(foreign))
    kept: list[str] = []
    for letter in text:
        accent = unicodedata.category(letter) in ("Mn", "Me")
        if accent and (not kept or unicodedata.category(kept[-1]) in ("Mn", "Me")):
            continue
        kept.append(letter)
    return cut("".join(kept), limit)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The paper, with places in pixels from the lower left corner."""

    figure: "Figure"
    renderer: "RendererAgg"

    def text(
        self, at: tuple[float, float], said: str, *, size: float = TEXT_PT, colour: str = INK, place: str = "left",
        covering: bool = False,
    ) -> None:  # fmt: skip
        """One line of text, its middle at that height; `covering` hides what passes behind it."""
        under = {"facecolor": PAPER, "edgecolor": "none", "pad": 2.0} if covering else None
        self.figure.text(
            at[0] / WIDTH, at[1] / HEIGHT, said, fontsize=size, color=colour, ha=place, va="center", parse_math=False,
            bbox=under, zorder=5,
        )  # fmt: skip

    def line(
        self, begin: tuple[float, float], end: tuple[float, float], colour: str, *, thick: float, dotted: bool = False
    ) -> None:
        from matplotlib.lines import Line2D

        across, up = [begin[0] / WIDTH, end[0] / WIDTH], [begin[1] / HEIGHT, end[1] / HEIGHT]
        self.figure.add_artist(Line2D(across, up, color=colour, linewidth=thick, linestyle=":" if dotted else "-"))

    def plain(self, foreign: str, limit: int) -> str:
        """Foreign text as `plain` makes it, with a box for each letter that the font does not have."""
        from matplotlib.font_manager import findfont, get_font

        has = get_font(findfont(FONT)).get_char_index
        return "".join(letter if has(ord(letter)) else "□" for letter in plain(foreign, limit))

    def width(self, said: str, size: float) -> float:
        from matplotlib.font_manager import FontProperties

        measure = self.renderer.get_text_width_height_descent
        wide, _, _ = measure(said, FontProperties(size=size), False)  # type: ignore[no-untyped-call]
        return float(wide)

    def fitted(self, said: str, size: float, room: float) -> str:
        """The text, cut until it is no wider than `room` pixels."""
        length = len(said)
        while length > 1 and self.width(cut(said, length), size) > room:
            length -= max(1, length // 12)
        return cut(said, length)

    def title(self, title: str, note: str) -> None:
        room = WIDTH - 40.0
        if note:
            said = self.fitted(self.plain(note, TITLE_CHARS), SMALL_PT, 560)
            room -= self.width(said, SMALL_PT) + 30
            self.text((WIDTH - 24, HEIGHT - 34), said, size=SMALL_PT, colour=FAINT, place="right")
        self.text((24, HEIGHT - 34), self.fitted(self.plain(title, TITLE_CHARS), TITLE_PT, room), size=TITLE_PT)

    def panel(self, bottom: float, top: float, left: float) -> "Axes":
        place = (left / WIDTH, bottom / HEIGHT, (RIGHT - left) / WIDTH, (top - bottom) / HEIGHT)
        axes = self.figure.add_axes(place, facecolor=PANEL)
        axes.tick_params(colors=INK, labelsize=TEXT_PT, length=0, pad=8)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_axisbelow(True)
        return axes


# ---- lines ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the panel stands, in pixels, and which time it shows."""

    left: float
    bottom: float
    top: float
    begin: float
    end: float

    def x(self, at: float) -> float:
        return self.left + (at - self.begin) / (self.end - self.begin) * (RIGHT - self.left)


def _lines(sheet: _Sheet, spec: ChartSpec) -> None:
    curves = foremost(spec.curves, MAX_CURVES, lowest=spec.beyond == "<")
    more = spec.more + len(spec.curves) - len(curves)
    scale = scale_of(spec.unit, max((abs(value) for value in _heights(curves, spec.threshold)), default=0.0))
    entries = [
        (sheet.plain(curve.name, NAME_CHARS), told(curve.at_end(spec.end, spec.step_s), spec.unit)) for curve in curves
    ]
    rows = _legend_rows(len(entries), more)
    low, high = _span(curves, spec, scale)
    ticks = _value_ticks(low, high, scale)
    left = 34 + max(sheet.width(said, TEXT_PT) for said in ticks.values())
    frame = _Frame(left, 64 + LEGEND_ROW * rows, HEIGHT - 66, spec.start.timestamp(), spec.end.timestamp())
    labels = _labels(sheet, spec, frame)
    frame = replace(frame, top=frame.top - MARK_ROW * (1 + max((label.row for label in labels), default=-1)))
    axes = sheet.panel(frame.bottom, frame.top, frame.left)
    axes.set_xlim(frame.begin, frame.end)
    axes.set_ylim(low, high)
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.grid(axis="y", color=GRID, linewidth=1.0)
    _time_ticks(sheet, axes, frame)
    for number, curve in enumerate(curves):
        _curve(axes, curve, COLOURS[number], step_s=spec.step_s, divisor=scale.divisor)
    if not any(curve.values for curve in curves):
        middle = (frame.left + RIGHT) / 2, (frame.bottom + frame.top) / 2
        sheet.text(middle, "no data", size=26, colour=FAINT, place="center")
    if spec.threshold is not None:
        _limit(axes, spec, scale)
    for label in labels:
        _mark(sheet, label, frame)
    _legend(sheet, entries, more, rows)


def _heights(curves: Sequence[Curve], threshold: float | None) -> Iterator[float]:
    for curve in curves:
        yield from curve.values
    if threshold is not None and math.isfinite(threshold):
        yield threshold


def _span(curves: Sequence[Curve], spec: ChartSpec, scale: Scale) -> tuple[float, float]:
    """From 0 (or below) to a little over the highest value; a limit is always in sight."""
    heights = [value / scale.divisor for value in _heights(curves, spec.threshold)]
    low, high = min([0.0, *heights]), max([0.0, *heights])
    if high == low:
        high = low + 1
    room = (high - low) * 0.12
    top = high + room
    if spec.unit in (Unit.PERCENT, Unit.RATIO) and 88 < top <= 112:
        top = 104.0 if high <= 100 else top
    return (low - room if low < 0 else low), top


def _value_ticks(low: float, high: float, scale: Scale) -> dict[float, str]:
    """Round values between the two, and how they are written."""
    from matplotlib.ticker import MaxNLocator

    found = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return {float(tick): f"{tick:.6g}{scale.suffix}" for tick in found if low <= tick <= high}


def _time_ticks(sheet: _Sheet, axes: "Axes", frame: _Frame) -> None:
    """Five or so times in UTC below the panel."""
    step, pattern = _time_step(frame.end - frame.begin)
    first = math.ceil(frame.begin / step) * step
    ticks = [first + step * number for number in range(int((frame.end - first) // step) + 1)]
    axes.set_xticks(ticks, ["" for _ in ticks])
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    edge = frame.left - 14
    for tick in ticks:
        said = f"{datetime.fromtimestamp(tick, UTC):{pattern}}"
        half = sheet.width(said, TEXT_PT) / 2
        middle = min(frame.x(tick), WIDTH - 10 - half)
        if middle - half > edge:
            sheet.text((middle, frame.bottom - 30), said, place="center")
            edge = middle + half + 12


def _days(begin: datetime, end: datetime) -> str:
    """`23 Nov 2026 UTC`, `22 – 23 Nov 2026 UTC`: on which days the times of the axis are."""
    begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    if begin.date() == end.date():
        return f"{end:%-d %b %Y} UTC"
    pattern = "%-d" if (begin.year, begin.month) == (end.year, end.month) else "%-d %b"
    return f"{begin:{pattern}} – {end:%-d %b %Y} UTC"


_TIME_STEPS = (
    (1, "%H:%M:%S"), (5, "%H:%M:%S"), (15, "%H:%M:%S"), (60, "%H:%M"), (120, "%H:%M"), (300, "%H:%M"),
    (600, "%H:%M"), (900, "%H:%M"), (1800, "%H:%M"), (3600, "%H:%M"), (7200, "%H:%M"), (4 * 3600, "%H:%M"),
    (6 * 3600, "%-d %b %H:%M"), (12 * 3600, "%-d %b %H:%M"), (86400, "%-d %b"), (2 * 86400, "%-d %b"),
    (5 * 86400, "%-d %b"), (7 * 86400, "%-d %b"), (14 * 86400, "%-d %b"), (30 * 86400, "%-d %b %Y"),
)  # fmt: skip


def _time_step(length_s: float) -> tuple[int, str]:
    for step, pattern in _TIME_STEPS:
        if length_s / step <= (6.5 if len(pattern) < 8 else 4.5):
            return step, pattern
    return math.ceil(length_s / 5 / 86400) * 86400, "%-d %b %Y"


def _curve(axes: "Axes", curve: Curve, colour: str, *, step_s: float, divisor: float) -> None:
    """A line with gaps where nothing is known; a value that stands alone is a dot, or it would not be seen."""
    runs = list(_unbroken(curve, step_s))
    for run in runs:
        at, heights = [moment for moment, _ in run], [value / divisor for _, value in run]
        if len(run) == 1:
            axes.plot(at, heights, color=colour, marker="o", markersize=5, linestyle="none")
        else:
            axes.plot(at, heights, color=colour, linewidth=2.4, solid_joinstyle="round", solid_capstyle="round")


def _unbroken(curve: Curve, step_s: float) -> Iterator[list[tuple[float, float]]]:
    """The stretches of the curve without a gap between them."""
    points = [(at, value) for at, value in curve.points if math.isfinite(value)]
    if not points:
        return
    run = [points[0]]
    for before, now in pairwise(points):
        if now[0] - before[0] > 1.5 * step_s:
            yield run
            run = []
        run.append(now)
    yield run


def _limit(axes: "Axes", spec: ChartSpec, scale: Scale) -> None:
    """The threshold: a line with its value, and a shade on the side where the trouble is."""
    assert spec.threshold is not None
    height = spec.threshold / scale.divisor
    low, high = axes.get_ylim()
    axes.axhline(height, color=LIMIT_COLOUR, linewidth=1.8, linestyle=(0, (5, 3)))
    if spec.beyond:
        edge = high if spec.beyond == ">" else low
        axes.axhspan(min(height, edge), max(height, edge), color=LIMIT_COLOUR, alpha=0.08, linewidth=0)
    under = (high - height) < (high - low) * 0.12
    axes.annotate(
        f"limit {told(spec.threshold, spec.unit)}",
        (0, height), xycoords=("axes fraction", "data"), xytext=(8, -5 if under else 5), textcoords="offset points",
        color=LIMIT_COLOUR, fontsize=SMALL_PT, va="top" if under else "bottom", parse_math=False,
        bbox={"facecolor": PANEL, "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


# ---- marks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Label:
    """A mark at `x` pixels, and its text around `middle` in that row above the panel (-1: no room for a text)."""

    mark: Mark
    x: float
    middle: float
    row: int
    said: str


def _labels(sheet: _Sheet, spec: ChartSpec, frame: _Frame) -> list[_Label]:
    """The marks within the time shown, each with a row for its text in which it touches no other one.

    Starts and ends of alerts are placed first, then the newest changes. A text without room is left out, not its line.
    """
    inside = [mark for mark in spec.marks if frame.begin <= mark.at.timestamp() <= frame.end]
    inside.sort(key=lambda mark: (mark.kind is MarkKind.CHANGE, -mark.at.timestamp()))
    taken: list[list[tuple[float, float]]] = [[] for _ in range(MARK_ROWS)]
    placed: list[_Label] = []
    for mark in inside[:MARKS_MAX]:
        x = frame.x(mark.at.timestamp())
        said = sheet.plain(mark.text, MARK_CHARS)
        half = sheet.width(said, SMALL_PT) / 2 + 10
        middle = min(max(x, 20 + half), WIDTH - 20 - half)
        free = (n for n, row in enumerate(taken) if said and _free(row, middle - half, middle + half))
        row = next(free, -1)
        if row >= 0:
            taken[row].append((middle - half, middle + half))
        placed.append(_Label(mark, x, middle, row, said))
    return placed


def _free(taken: Sequence[tuple[float, float]], left: float, right: float) -> bool:
    return all(right <= begin or left >= end for begin, end in taken)


def _mark(sheet: _Sheet, label: _Label, frame: _Frame) -> None:
    """The line through the panel up to its text, which covers what passes behind it."""
    colour = MARK_COLOURS[label.mark.kind]
    reach = frame.top + MARK_ROW * max(label.row, 0) + (10 if label.row >= 0 else 0)
    sheet.line((label.x, frame.bottom), (label.x, reach), colour, thick=1.8, dotted=label.mark.kind is MarkKind.CHANGE)
    if label.row >= 0:
        y = frame.top + MARK_ROW * label.row + 21
        sheet.text((label.middle, y), label.said, size=SMALL_PT, colour=colour, place="center", covering=True)


# ---- legend --------------------------------------------------------------------------------------------------------


def _legend_rows(entries: int, more: int) -> int:
    return math.ceil((entries + (more > 0)) / 2) if entries > 1 or more else min(entries, 1)


def _legend(sheet: _Sheet, entries: Sequence[tuple[str, str]], more: int, rows: int) -> None:
    """Two columns under the picture: colour, name, newest value. The name is cut, never the value."""
    wide = (WIDTH - 48) / 2 if len(entries) > 1 or more else WIDTH - 48.0
    for number, (name, value) in enumerate(entries):
        x = 24 + wide * (number % 2)
        y = 18 + LEGEND_ROW * (rows - 1 - number // 2)
        sheet.line((x, y), (x + 30, y), COLOURS[number], thick=5)
        room = wide - 60 - sheet.width(f"  {value}", SMALL_PT)
        shown = sheet.fitted(name, SMALL_PT, room) if name else ""
        sheet.text((x + 42, y), f"{shown}  {value}" if shown else value, size=SMALL_PT)
    if more > 0:
        number = len(entries)
        said = f"+{more} more" if entries else f"{more} series"
        sheet.text((24 + wide * (number % 2), 18 + LEGEND_ROW * (rows - 1 - number // 2)), said, colour=FAINT)


# ---- bars ----------------------------------------------------------------------------------------------------------


def _bars(sheet: _Sheet, spec: BarSpec) -> None:
    """Horizontal bars, the longest on top, with name and value as text."""
    bars = sorted(spec.bars, key=lambda bar: -bar[1] if math.isfinite(bar[1]) else math.inf)[:MAX_BARS]
    more = spec.more + len(spec.bars) - len(bars)
    top, bottom = HEIGHT - 70.0, 24.0 + (34 if more else 0)
    if not bars:
        sheet.text((WIDTH / 2, (top + bottom) / 2), "no data", size=26, colour=FAINT, place="center")
    else:
        left = 470.0
        axes = sheet.panel(bottom, top, left)
        axes.set_axis_off()
        amounts = [amount if math.isfinite(amount) else 0.0 for _, amount in bars]
        axes.barh(range(len(bars)), amounts, color=COLOURS[0], height=0.62)
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(0, (max(amounts) or 1) * 1.25)
        for number, (name, amount) in enumerate(bars):
            y = top - (number + 0.5) * (top - bottom) / len(bars)
            said = sheet.fitted(sheet.plain(name, BAR_CHARS), TEXT_PT, left - 48)
            sheet.text((left - 14, y), said, place="right")
            x = left + amounts[number] / ((max(amounts) or 1) * 1.25) * (RIGHT - left)
            sheet.text((x + 12, y), told(amount, spec.unit))
    if more:
        sheet.text((24, 26), f"+{more} more", size=SMALL_PT, colour=FAINT)

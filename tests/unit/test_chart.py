"""The pictures: their size, what stands where, gaps that stay gaps, and foreign text that does nothing but stand there.

Each picture is decoded again and looked at by its colours; the drawing itself is the same that the child process does.
"""

import io
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from PIL import Image

from bot.services.plots import (
    MAX_CURVES,
    BarSpec,
    ChartSpec,
    Curve,
    Mark,
    MarkKind,
    Unit,
    foremost,
    rounded,
    scale_of,
    told,
)  # fmt: skip
from bot.ui import chart
from bot.ui.chart import COLOURS, HEIGHT, LIMIT_COLOUR, MARK_COLOURS, PANEL, PAPER, WIDTH, draw, plain
from bot.ui.chart_process import packed, unpacked
from tests.hostile import TEXTS

END = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
START = END - timedelta(hours=3)
STEP_S = 36.0
SMALLEST, LARGEST = 4_000, 260_000
"""Bytes of a picture: below it would be empty paper, above it would not be worth sending to a phone."""


def wave(base: float, swing: float, *, without: range = range(0)) -> tuple[tuple[float, float], ...]:
    at = [START.timestamp() + number * STEP_S for number in range(301)]
    return tuple((t, base + swing * math.sin(n / 20)) for n, t in enumerate(at) if n not in without)


def spec(*curves: Curve, **changed: Any) -> ChartSpec:
    given = {"title": "CPU · prod", "start": START, "end": END, "step_s": STEP_S, "unit": Unit.PERCENT}
    return ChartSpec(curves=curves, **{**given, **changed})


def opened(png: bytes) -> Image.Image:
    """The decoded picture, which is of the one size that there is."""
    assert SMALLEST < len(png) < LARGEST
    image = Image.open(io.BytesIO(png))
    image.load()
    assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
    return image.convert("RGB")


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[n : n + 2], 16) for n in (1, 3, 5))


def columns(image: Image.Image, colour: str, rows: tuple[int, int] = (0, HEIGHT)) -> list[int]:
    """The columns of pixels in which that colour stands, between those rows."""
    wanted, pixels = rgb(colour), image.load()
    return [x for x in range(image.width) if any(pixels[x, y] == wanted for y in range(*rows))]


def amount(image: Image.Image, colour: str) -> int:
    return sum(count for count, found in image.getcolors(WIDTH * HEIGHT) or () if found == rgb(colour))


# ---- what stands in it ---------------------------------------------------------------------------------------------


def test_a_picture_has_its_size_and_shows_curves_limit_and_marks_in_their_colours() -> None:
    marks = (
        Mark(END - timedelta(hours=1), "firing 19:00", MarkKind.ALERT),
        Mark(END - timedelta(hours=2), "#184 deploy"),
    )
    image = opened(
        draw(spec(Curve("a", wave(65, 20)), Curve("b", wave(40, 9)), threshold=80.0, beyond=">", marks=marks))
    )
    for colour in (PAPER, PANEL, COLOURS[0], COLOURS[1], LIMIT_COLOUR, *MARK_COLOURS.values()):
        expected = colour != MARK_COLOURS[MarkKind.END]
        assert (amount(image, colour) > 30) is expected, colour


def test_the_same_spec_is_the_same_picture() -> None:
    one = spec(Curve("a", wave(65, 20)), threshold=80.0)
    assert draw(one) == draw(one)


@pytest.mark.parametrize("end", [timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=31)])
@pytest.mark.parametrize("unit", [Unit.BYTES, Unit.SECONDS, Unit.REQUESTS, Unit.RATIO])
def test_every_unit_and_length_makes_a_picture_of_that_size(end: timedelta, unit: Unit) -> None:
    step_s = end.total_seconds() / 299
    points = tuple((END.timestamp() - n * step_s, 1.5e8 * abs(math.sin(n))) for n in range(300, -1, -1))
    opened(draw(spec(Curve("a", points), start=END - end, step_s=step_s, unit=unit, threshold=1e8)))


def test_where_nothing_is_known_there_is_no_line() -> None:
    gap = range(100, 200)
    broken, whole = Curve("a", wave(50, 0, without=gap)), Curve("a", wave(50, 0))
    assert [len(run) for run in chart._unbroken(broken, STEP_S)] == [100, 101]
    assert [len(run) for run in chart._unbroken(whole, STEP_S)] == [301]
    there = columns(opened(draw(spec(broken))), COLOURS[0], (100, 560))
    holes = [b - a for a, b in pairwise(there) if b - a > 50]
    assert len(holes) == 1
    assert holes[0] == pytest.approx((WIDTH - 150) / 3, rel=0.15), "a third of the time is missing"


def test_a_value_that_is_no_number_is_a_gap_and_one_that_stands_alone_is_seen() -> None:
    at = START.timestamp()
    odd = Curve("a", ((at, 1.0), (at + 36, math.nan), (at + 72, math.inf), (at + 108, 4.0)))
    assert [[value for _, value in run] for run in chart._unbroken(odd, STEP_S)] == [[1.0], [4.0]]
    assert amount(opened(draw(spec(Curve("a", ((END.timestamp() - 5000, 3.0),))))), COLOURS[0]) > 100


@pytest.mark.parametrize("points", [(), ((START.timestamp(), math.nan),)])
def test_no_data_is_written_into_the_picture_and_no_line_is_drawn(points: tuple[tuple[float, float], ...]) -> None:
    curves = (Curve("a", points),) if points else ()
    image = opened(draw(spec(*curves, threshold=80.0)))
    assert not columns(image, COLOURS[0], (70, 560))
    middle = image.crop((450, 200, 900, 400))
    assert amount(middle, chart.FAINT) > 500, "the words stand in the middle"


def test_more_curves_than_can_be_told_apart_are_counted() -> None:
    many = tuple(Curve(f"c{n}", wave(n, 0.1)) for n in range(20))
    shown = foremost(many, MAX_CURVES)
    assert [curve.name for curve in shown] == ["c19", "c18", "c17", "c16", "c15", "c14"]
    assert [curve.name for curve in foremost(many, 2, lowest=True)] == ["c0", "c1"]
    image = opened(draw(spec(*many, more=7)))
    assert all(amount(image, colour) > 100 for colour in COLOURS)
    (again,) = [unpacked(packed(spec(*many, more=7)))]
    assert isinstance(again, ChartSpec)
    assert (len(again.curves), again.more) == (MAX_CURVES, 14 + 7)


def test_texts_of_marks_never_touch_each_other() -> None:
    marks = tuple(
        Mark(END - timedelta(minutes=3 * n), f"#{180 + n} deploy by somebody", MarkKind(kind))
        for n, kind in enumerate(["change", "alert", "end"] * 7)
    )
    sheet, frame = _paper(), chart._Frame(120, 100, 600, START.timestamp(), END.timestamp())
    labels = chart._labels(sheet, spec(marks=marks), frame)
    assert len(labels) == chart.MARKS_MAX
    assert all(label.mark.kind is not MarkKind.CHANGE for label in labels), "starts and ends come first"
    told_ones = [label for label in labels if label.row >= 0]
    assert 3 <= len(told_ones) < len(labels)
    for row in range(chart.MARK_ROWS):
        places = sorted(
            (label.middle - half, label.middle + half)
            for label in told_ones
            if label.row == row and (half := sheet.width(label.said, chart.SMALL_PT) / 2)
        )
        assert all(before[1] < after[0] for before, after in pairwise(places))
        assert all(left >= 0 and right <= WIDTH for left, right in places)


def test_marks_outside_of_the_time_are_not_shown() -> None:
    outside = (Mark(START - timedelta(seconds=1), "before"), Mark(END + timedelta(seconds=1), "after"))
    image = opened(draw(spec(Curve("a", wave(5, 1)), marks=outside)))
    assert amount(image, MARK_COLOURS[MarkKind.CHANGE]) == 0


def test_bars_have_the_same_size_and_say_what_is_left_out() -> None:
    bars = tuple((f"Alert{n}", float(n)) for n in range(14))
    image = opened(draw(BarSpec(title="Noisiest", bars=bars)))
    assert amount(image, COLOURS[0]) > 50_000
    opened(draw(BarSpec(title="Noisiest")))
    assert unpacked(packed(BarSpec(title="x", bars=bars, more=3))) == BarSpec(title="x", bars=bars, more=3)


def _paper() -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / chart.DPI, HEIGHT / chart.DPI), dpi=chart.DPI)
    return chart._Sheet(figure, FigureCanvasAgg(figure).get_renderer())


# ---- foreign text --------------------------------------------------------------------------------------------------


def test_formulas_in_foreign_text_are_letters() -> None:
    """`$...$` would be typeset, and a broken one would end the drawing."""
    for text in (r"$\frac{1}{0}$", "$", "$$", r"\$x$", r"$\undefined$", "a$b$c", r"${\n}$"):
        opened(draw(spec(Curve(text, wave(5, 1)), title=text, note=text, marks=(Mark(END, text),))))
        opened(draw(BarSpec(title=text, bars=((text, 1.0),))))


def test_every_hostile_text_stands_in_a_picture_of_the_usual_size() -> None:
    texts = [one.text for one in TEXTS]
    for first in range(0, len(texts), 6):
        some = texts[first : first + 6]
        marks = tuple(Mark(START + timedelta(minutes=25 * n), text) for n, text in enumerate(some))
        opened(draw(spec(*(Curve(text, wave(5, n)) for n, text in enumerate(some)), title=some[0], marks=marks)))


def test_controls_directions_and_piles_of_accents_are_taken_out() -> None:
    assert plain("a\u202eb\u2066c\u200bd\x07e\nf\tg", 50) == "a b c d e f g"
    assert plain("Z" + "\u0336" * 200 + "o" + "\u0301" * 9, 50) == "Z\u0336ó\u0301"
    assert plain("\u0301\u0301x", 50) == "x"
    assert plain("x" * 4500, 20) == "x" * 19 + "…"


# ---- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (62.94, Unit.PERCENT, "62.9 %"),
        (0.629, Unit.RATIO, "62.9 %"),
        (0.0, Unit.PERCENT, "0 %"),
        (1536.0, Unit.BYTES, "1.5 KiB"),
        (2.5 * 2**30, Unit.BYTES_PER_S, "2.5 GiB/s"),
        (0.084, Unit.SECONDS, "84 ms"),
        (84.0, Unit.MILLISECONDS, "84 ms"),
        (4200.0, Unit.MILLISECONDS, "4.2 s"),
        (7200.0, Unit.SECONDS, "120 min"),
        (12500.0, Unit.REQUESTS, "12.5k req/s"),
        (0.0421, Unit.REQUESTS, "0.0421 req/s"),
        (-40.0, Unit.CELSIUS, "-40 °C"),
        (3.0, Unit.COUNT, "3"),
        (None, Unit.PERCENT, "no data"),
        (math.nan, Unit.PERCENT, "no data"),
        (math.inf, Unit.SECONDS, "infinite"),
    ],
)
def test_values_have_their_unit_and_what_is_missing_is_never_0(value: float | None, unit: Unit, words: str) -> None:
    assert told(value, unit) == words


def test_every_unit_of_the_configuration_has_a_scale() -> None:
    from typing import get_args

    from bot import alert_settings

    assert {unit.value for unit in Unit} == set(get_args(alert_settings.Unit))
    for unit in Unit:
        for size in (0.0, 1e-9, 0.5, 1.0, 1e4, 1e12, 1e30, math.inf, math.nan):
            scale_of(unit, size)
    assert [rounded(value) for value in (0.12345, 99.96, 1240.4, 1e9, 1e-9)] == [
        "0.123",
        "100",
        "1240",
        "1e+09",
        "1e-09",
    ]


def test_what_a_curve_stood_at_earlier_is_not_what_it_stands_at_now() -> None:
    ended = Curve("a", wave(50, 0, without=range(200, 301)))
    assert ended.at_end(END, STEP_S) is None
    assert Curve("a", wave(50, 0)).at_end(END, STEP_S) == 50
    assert Curve("a", ()).at_end(END, STEP_S) is None

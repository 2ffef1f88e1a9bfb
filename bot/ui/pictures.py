"""Private answers with a picture: figures over time as a chart, with the same as a small table and, on wish, as a file.

The figures are told also where they could not be drawn. Foreign text in the picture is inert (`chart`), and secrets are
taken out of it as of every answer.
"""

import asyncio
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import discord
from discord.ui import ActionRow, Container, File, MediaGallery, TextDisplay

from bot.errors import Unavailable
from bot.services.export import curves_csv
from bot.services.figures import Picture, Reading
from bot.services.plots import BarSpec, ChartSpec, told
from bot.ui.answers import send
from bot.ui.card import Sheet, share_button
from bot.ui.house import house_of
from bot.ui.text import DISPLAY_LIMIT, cut, duration, escape, fitted, joined, label, stamp

PICTURE = "chart.png"
SHARED_MAX = 8 * 2**20
"""Bytes of a picture that is shown once more to everybody; ours have a tenth of a megabyte."""
FETCHED_WITHIN_S = 10.0
TABLE_LIMIT = 2400
NAME_CHARS = 80

_log = logging.getLogger(__name__)


async def send_picture(interaction: discord.Interaction[Any], picture: Picture, *, export: bool = False) -> None:
    """Answer with the chart and the table, and with all series as CSV where that is wished for."""
    house = house_of(interaction)
    clean = house.redactor.clean
    trouble, files = "", []
    try:
        png = await house.charts.render(cleaned(picture.spec, clean))
        files.append(discord.File(io.BytesIO(png), filename=PICTURE))
    except Unavailable as error:
        trouble = f"! {escape(str(error))}"
    names = [file.filename for file in files]
    if export:
        name = f"metrics-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv"
        curves = [replace(curve, name=clean(curve.name)) for curve in picture.curves]
        text = await asyncio.to_thread(curves_csv, curves)  # up to 60,000 values: not for the event loop
        files.append(discord.File(io.BytesIO(text.encode()), filename=name))
        names.append(name)
    sheet = illustrated(joined([trouble, table_text(picture)]), *names, about=summary(picture))
    await send(interaction, sheet, files=files)


def illustrated(text: str, *filenames: str, about: str = "", share: bool = True) -> Sheet:
    """A text with the pictures (PNG) and files of those names, which are sent along."""
    items: list[discord.ui.Item[Any]] = [TextDisplay(cut(text, DISPLAY_LIMIT))]
    for name in filenames:
        place = f"attachment://{name}"
        if name.endswith(".png"):
            items.append(MediaGallery(discord.MediaGalleryItem(place, description=about or None)))
        else:
            items.append(File(place))
    if share:
        items.append(ActionRow(share_button()))
    return Sheet(Container(*items))


def has_pictures(message: discord.Message) -> bool:
    """Whether the message shows any."""
    return any(isinstance(component, discord.MediaGalleryComponent) for component in _every(message.components))


async def pictures_of(interaction: discord.Interaction[Any], message: discord.Message) -> list[discord.File]:
    """The pictures that came with a message of ours, to be shown once more. What cannot be fetched is left out."""
    galleries = (one for one in _every(message.components) if isinstance(one, discord.MediaGalleryComponent))
    ours = [item.media.url for gallery in galleries for item in gallery.items if item.media.attachment_id is not None]
    found: list[discord.File] = []
    for url in ours:
        try:
            async with asyncio.timeout(FETCHED_WITHIN_S):
                data = await interaction.client.http.get_from_cdn(url)
        except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.warning("a picture could not be fetched again: %s", error)
            continue
        if len(data) <= SHARED_MAX:
            found.append(discord.File(io.BytesIO(data), filename=f"{len(found) + 1}-{PICTURE}"))
    return found


def _every(components: Any) -> Iterator[Any]:
    for component in components:
        yield component
        yield from _every(getattr(component, "children", ()))


def cleaned(spec: ChartSpec | BarSpec, clean: Callable[[str], str]) -> ChartSpec | BarSpec:
    """The same picture with secrets taken out of all its texts."""
    if isinstance(spec, BarSpec):
        bars = tuple((clean(name), amount) for name, amount in spec.bars)
        return replace(spec, title=clean(spec.title), note=clean(spec.note), bars=bars)
    curves = tuple(replace(curve, name=clean(curve.name)) for curve in spec.curves)
    marks = tuple(replace(mark, text=clean(mark.text)) for mark in spec.marks)
    return replace(spec, title=clean(spec.title), note=clean(spec.note), curves=curves, marks=marks)


# ---- the table -----------------------------------------------------------------------------------------------------


def table_text(picture: Picture) -> str:
    """What is shown and over which time, then a line a series: what it stands at, its extremes, its name."""
    spec = picture.spec
    length = duration(spec.end - spec.start)
    lines = [_line(reading, picture) for reading in picture.readings]
    hidden = picture.found - len(picture.readings)
    return joined(
        [
            f"**{escape(spec.title, 300)}** · {length}",
            *(f"! Prometheus says that this may be partial: {escape(words, 200)}" for words in picture.warnings[:3]),
            fitted(lines, TABLE_LIMIT) or "**No data** in this time. That is not 0: nothing was measured.",
            f"+{hidden} more" if hidden else "",
            f"limit {told(spec.threshold, spec.unit)}" if spec.threshold is not None else "",
            f"-# {picture.found} series · a point every {duration(spec.step_s)} · as of {stamp(spec.end)}",
        ]
    )


def _line(reading: Reading, picture: Picture) -> str:
    unit = picture.spec.unit
    name = f" · {escape(reading.name, NAME_CHARS)}" if reading.name else ""
    if reading.highest is None:
        return f"**no data**{name}"
    now = f"**{told(reading.last, unit)}**" if reading.last is not None else "**no data** now"
    return f"{now} · {told(reading.lowest, unit)} to {told(reading.highest, unit)}{name}"


def summary(picture: Picture) -> str:
    """The picture in one plain line, for those who do not see it."""
    first = next((reading for reading in picture.readings if reading.highest is not None), None)
    if first is None:
        return label(f"{picture.spec.title}: no data", 300)
    unit = picture.spec.unit
    said = f"{told(first.last, unit)} now, {told(first.lowest, unit)} to {told(first.highest, unit)}"
    return label(f"{picture.spec.title}: {said}", 300)

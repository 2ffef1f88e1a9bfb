"""The mark of a trial: at the end of the first line of whatever is shown, once, and within every limit."""

import pytest
from discord.ui import Container, TextDisplay

from bot.ui.card import Sheet, marked, notice
from bot.ui.text import DISPLAY_LIMIT, marked_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**DEPLOY running** · #12\napp > dev", "**DEPLOY running** · #12 · SANDBOX\napp > dev"),
        ("one line", "one line · SANDBOX"),
        ("already · SANDBOX\nmore", "already · SANDBOX\nmore"),
        ("", ""),
    ],
)
def test_the_mark_ends_the_first_line_and_stands_there_once(text: str, shown: str) -> None:
    assert marked_text(text, "SANDBOX") == shown
    assert marked_text(marked_text(text, "SANDBOX"), "SANDBOX") == shown


def test_without_a_mark_everything_stays_as_it_is() -> None:
    assert marked_text("one\ntwo", "") == "one\ntwo"


def texts(sheet: Sheet) -> list[str]:
    return [item.content for item in sheet.walk_children() if isinstance(item, TextDisplay)]


async def test_a_sheet_bears_it_in_its_first_text_only() -> None:
    sheet = marked(Sheet(Container(TextDisplay("head\nmore"), TextDisplay("foot"))), "SANDBOX")
    assert texts(sheet) == ["head · SANDBOX\nmore", "foot"]


async def test_a_full_answer_still_fits_once_it_is_marked() -> None:
    (text,) = texts(marked(notice("x\n" * DISPLAY_LIMIT), "SANDBOX"))
    assert len(text) <= DISPLAY_LIMIT
    assert text.startswith("x · SANDBOX\n")


async def test_a_sheet_without_a_mark_is_untouched() -> None:
    assert texts(marked(notice("as it is"), "")) == ["as it is"]

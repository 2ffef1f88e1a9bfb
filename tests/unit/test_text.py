"""Text for Discord: what comes from outside must show as it is and do nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.ui.text import clean, cut, duration, escape, fitted, quoted, quoted_tail, stamp


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("plain words, 100 %", "plain words, 100 %"),
        ("**bold** `code` ~~gone~~ ||spoiler||", r"\*\*bold\*\* \`code\` \~\~gone\~\~ \|\|spoiler\|\|"),
        ("<@&1325> <t:0:R>", "\\<@\u200b&1325> \\<t:0:R>"),
        ("STRIPE_KEY __init__ a__b_", r"STRIPE_KEY \_\_init\_\_ a\_\_b\_"),
        ("# heading", r"\# heading"),
        ("- list", r"\- list"),
        ("> quote", r"\> quote"),
        ("fix #184 - again", "fix #184 - again"),
        ("#184 was approved", "#184 was approved"),
        ("-# small", r"\-# small"),
        ("[text](https://evil.example)", r"\[text\](https\://evil.example)"),
    ],
)
def test_markdown_of_others_takes_no_effect(foreign: str, shown: str) -> None:
    assert escape(foreign) == shown


def test_nobody_is_mentioned_by_foreign_text() -> None:
    assert "@everyone" not in escape("hello @everyone and @here")


def test_control_and_bidirectional_characters_are_taken_out() -> None:
    assert clean("a\u202eb\x00c\x1b[31md\u2066e\r\nf") == "a b c [31md e f"


@given(st.text())
def test_escaped_text_is_one_line_and_bounded(foreign: str) -> None:
    shown = escape(foreign, 100)
    assert "\n" not in shown
    assert len(shown) <= 2 * 100 + 1
    assert not any(mention in shown for mention in ("@everyone", "@here", "<@"))


def test_a_cut_text_says_so_and_keeps_its_limit() -> None:
    assert cut("a" * 50, 10) == "a" * 9 + "…"
    assert cut("short", 10) == "short"


def test_foreign_text_stands_alone_on_a_quoted_line() -> None:
    assert quoted("KeyError: 'STRIPE_KEY'") == "> KeyError: 'STRIPE_KEY'"
    assert quoted("\u202e \n") == ""


def test_the_end_of_a_log_is_kept_and_its_beginning_is_not() -> None:
    log = "\n".join(f"line {number}" for number in range(100))
    shown = quoted_tail(log, lines=3, limit=500)
    assert shown.splitlines() == ["> line 97", "> line 98", "> line 99"]
    assert len(quoted_tail("x" * 5000 + "\n" + "y" * 5000, lines=9, limit=200)) <= 200


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (72, "1:12 min"), (3600, "1 h 00 min"), (7380, "2 h 03 min"), (273600, "3 d 4 h")],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


def test_a_list_that_does_not_fit_says_how_much_is_missing() -> None:
    assert fitted([f"entry number {n}" for n in range(100)], 80).endswith("and 96 more")
    assert fitted(["one", "", "two"], 80) == "one\ntwo"


def test_times_are_told_in_the_readers_own_zone() -> None:
    assert stamp(datetime(2026, 8, 1, tzinfo=UTC)) == "<t:1785542400:R>"

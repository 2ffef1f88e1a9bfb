"""Hostile texts in every field that a message is drawn from: they show as letters, and nothing of them takes effect."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import discord
import pytest

from bot.errors import Refused, Unavailable
from bot.ops.model import Event, Operation, Status, Step, Verdict, Vote
from bot.ui.card import CardSight, Press, card, headline, outcome_line
from bot.ui.details import details_text, log_text
from bot.ui.failures import sentence_for
from bot.ui.overview import operation_line
from bot.ui.renderings import audit_line
from bot.ui.text import DISPLAY_LIMIT, LABEL_LIMIT
from tests.hostile import TEXTS, Text, effects, lines_with, plain
from tests.unit.test_card import NOW, RESULT, in_status

HOSTS = ("github.com",)
OURS = (
    r"^`\d+` ",
    r"^(?:#184 )?\*\*(?:[A-Z]+ )?[a-z]+\*\*",
    r"\*\*(?:needs [^*]*|(?:\w+ )+asked to cancel|NOT LIVE\.|roles not confirmed|Refused\.|Not possible now\.)\*\*",
)
"""The bot's own markup on lines with foreign text: an event's number, the word of a status, what somebody wants."""


def with_text(operation: Operation, text: str) -> Operation:
    """The operation with that text wherever a word from outside may stand."""
    commit = {"sha": "4f1c2a9", "title": text, "author": text, "pr": None}
    shown = {**operation.shown, "title": text, "author": text, "branch": text, "commits": [commit] * 6,
             "commits_total": 9, "lines": [text], "url": text, "replaces_known": "live",
             "ci": {"state": "failure", "passed": 1, "total": 2, "failing": [text, text]}}  # fmt: skip
    return replace(
        operation, shown=shown, reason=text, log_tail=f"{text}\n{text}", waiting_for=text,
        steps=(Step("Build", "ok", text, 1), Step("Verify", "failed", text, 2)),
        result={**RESULT, "url": text} if operation.result else {},
    )  # fmt: skip


def texts_of(operation: Operation, votes: tuple[Vote, ...]) -> Iterator[str]:
    """Every text that is drawn of an operation, where Discord reads markup."""
    sheet = card(CardSight(operation, votes, {press: press.name for press in Press}, HOSTS, self_approval=False))
    for item in sheet.walk_children():
        if isinstance(item, discord.ui.TextDisplay):
            yield item.content
    yield from (headline(operation), outcome_line(operation), operation_line(operation))
    yield from (details_text(operation, DISPLAY_LIMIT), log_text(operation, DISPLAY_LIMIT))


def labels_of(operation: Operation) -> Iterator[discord.ui.Button[Any]]:
    sheet = card(CardSight(operation, (), {press: press.name for press in Press}, HOSTS, self_approval=False))
    return (item for item in sheet.walk_children() if isinstance(item, discord.ui.Button))


@pytest.mark.parametrize("status", list(Status))
def test_no_text_from_outside_takes_effect_on_a_card(status: Status) -> None:
    found: list[str] = []
    for hostile in TEXTS:
        operation = with_text(in_status(status), hostile.text)
        votes = (Vote(184, "sre", Verdict.DENY, operation.digest, hostile.text, NOW),)
        for text in texts_of(operation, votes):
            assert len(text) <= DISPLAY_LIMIT, f"{hostile.name}: {len(text)} characters"
            for line in lines_with(text, hostile):
                found += [f"{hostile.name}: {effect}" for effect in effects(line, hosts=HOSTS, ours=OURS)]
    assert found == []


@pytest.mark.parametrize("status", list(Status))
def test_every_text_can_be_read_somewhere(status: Status) -> None:
    for hostile in TEXTS:
        drawn = "\n".join(texts_of(with_text(in_status(status), hostile.text), ()))
        assert hostile.marker in drawn, hostile.name


@pytest.mark.parametrize("status", list(Status))
def test_labels_stay_short_and_links_lead_only_to_configured_hosts(status: Status) -> None:
    for hostile in TEXTS:
        for address in (hostile.text, f"https://github.com/{hostile.text}", f"https://evil.example/{hostile.marker}"):
            operation = with_text(in_status(status), hostile.text)
            operation = replace(
                operation, target=hostile.text[:40], result={**RESULT, "url": address},
                shown={**operation.shown, "url": address},
            )  # fmt: skip
            for button in labels_of(operation):
                assert len(button.label or "") <= LABEL_LIMIT
                assert plain(button.label or "") == []
                assert button.url is None or button.url.startswith("https://github.com/"), button.url


def _refused(hostile: Text) -> str:
    return sentence_for(Refused(f"GitHub has no branch “{hostile.text[:80]}”.", rule="ref", hint="Name a ref."))


def _unavailable(hostile: Text) -> str:
    return sentence_for(Unavailable("github", f"GitHub says: {hostile.text}"))


def _audited(hostile: Text) -> str:
    return audit_line(Event(1, 7, "vote.deny", "sre", hostile.text, {}, 1, NOW))


@pytest.mark.parametrize("said", [_refused, _unavailable, _audited])
def test_no_text_from_outside_takes_effect_in_a_sentence(said: Callable[[Text], str]) -> None:
    found = [
        f"{hostile.name}: {effect}"
        for hostile in TEXTS
        for line in lines_with(said(hostile), hostile)
        for effect in effects(line, hosts=HOSTS, ours=OURS)
    ]
    assert found == []


def test_there_are_more_than_sixty_of_them_and_each_is_known_by_its_own_word() -> None:
    assert len(TEXTS) > 60
    assert len({hostile.marker for hostile in TEXTS}) == len(TEXTS)
    assert all(hostile.text.count(hostile.marker) == 1 for hostile in TEXTS)


def test_the_reader_itself_sees_the_harm_in_every_text_that_is_not_made_of_words_alone() -> None:
    harmless = {hostile.name for hostile in TEXTS if not any(effects(f"> {line}") for line in hostile.text.split("\n"))}
    assert harmless == {
        "everyone in full width", "a wide space", "a faked card", "a marker of a card",
        "a faked approval in other letters", "a faked button", "four thousand characters", "no space", "a format",
        "SQL", "a path", "piled marks", "a backslash at the end", "four thousand backslashes",
        "a mention after a backslash",
    }  # fmt: skip

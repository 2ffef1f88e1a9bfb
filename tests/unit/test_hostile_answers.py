"""Hostile texts in announcements, tallies, differences, histories and filters: letters, and nothing takes effect."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.clients.github_types import Commit
from bot.ops.model import Event, Status
from bot.ops.record import AuditFilter
from bot.services.history import Difference, Side
from bot.services.running import Running
from bot.ui.bulletins import announcement_text, tally_text
from bot.ui.details import details_text
from bot.ui.overview import difference_text
from bot.ui.pages import filter_text, history_line
from bot.ui.text import CONTENT_LIMIT, DISPLAY_LIMIT
from tests.hostile import TEXTS, Text, effects, lines_with
from tests.unit.test_card import NOW, in_status

HOSTS = ("github.com",)
OURS = (
    r"^\*\*(?:BUILD started outside the bot|CHECKS red|Again)\*\*",
    r"`1042`|\*\*[\d,]+ times\*\*|<t:\d+:[A-Z]>",
    r"^#184 \*\*[a-z]+\*\*|^-# |\*live\*",
)
"""The bot's own markup on lines with foreign text."""


def _build(said: str) -> str:
    facts = {"about": "build", "run": 7, "title": said, "actor": said, "branch": said, "sha": said, "url": said}
    return announcement_text(facts)


def _red(said: str) -> str:
    facts = {"about": "checks", "title": said, "actor": said, "branch": said, "sha": "4f1c2a9", "failing": [said] * 3}
    return announcement_text(facts)


def _tally(said: str) -> str:
    return tally_text(Event(1042, 184, "vote.refused", "guest", said, {}, 1000, NOW))


def _difference(said: str) -> str:
    runs: dict[str, Any] = {"image": "", "known": "live", "healthy": True, "since": NOW, "by": "dev"}
    this, that = (Running(commit=c * 40, operation_id=1, by_hand=False, **runs) for c in "ab")
    commit = Commit("c" * 40, said, said, NOW, None)
    found = Difference("app", Side("prod", this), Side("dev", that, (commit,) * 3, 3))
    trouble = replace(found, trouble=said)
    return f"{difference_text(found, 3900)}\n{difference_text(trouble, 3900)}"


def _history(said: str) -> str:
    return history_line(in_status(Status.FAILED, reason=said))


def _filter(said: str) -> str:
    return filter_text(AuditFilter(actor=said, service=said, environment=said))


def _reload(said: str) -> str:
    return details_text(in_status(Status.PENDING, kind="reload", shown={"title": said, "lines": [said]}), 3900)


def _taken_over(said: str) -> str:
    other = {"id": 183, "kind": said, "target": said, "requester": said, "reason": said}
    shown = {"takes_over": [other], "answers": {"commit": said, "known": "live", "healthy": True}}
    return details_text(in_status(Status.PENDING, kind="rollback", shown=shown, takes_over=(183,)), 3900)


@pytest.mark.parametrize("said", [_build, _red, _tally, _difference, _history, _filter, _reload, _taken_over])
def test_no_text_from_outside_takes_effect_in_these_answers(said: Callable[[str], str]) -> None:
    found = [
        f"{hostile.name}: {effect}"
        for hostile in TEXTS
        for line in lines_with(said(hostile.text), hostile)
        for effect in effects(line, hosts=HOSTS, ours=OURS)
    ]
    assert found == []


@pytest.mark.parametrize("hostile", TEXTS, ids=lambda hostile: hostile.name)
def test_these_answers_keep_discords_limits(hostile: Text) -> None:
    for said in (_build, _red, _tally):
        assert len(said(hostile.text)) <= CONTENT_LIMIT
    for said in (_difference, _reload, _taken_over):
        assert len(said(hostile.text)) <= 2 * DISPLAY_LIMIT

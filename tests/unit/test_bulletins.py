"""Messages that belong to no operation: what they say, how they are found again, and when a count has grown."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.clients.github_types import WorkflowRun
from bot.db.tables import cards
from bot.ops.model import Event
from bot.services.watch import is_ours
from bot.ui.bulletins import Tallies, announcement_marker, announcement_text, tally_marker, tally_text
from bot.ui.text import CONTENT_LIMIT
from tests.unit.engine_room import GUEST, Room, open_room
from tests.unit.test_card import PENDING

AUDIT = 77
RUN = {
    "about": "build", "run": 7001, "title": "build app", "actor": "harbour-dev", "branch": "main", "sha": "4f1c2a9" * 5,
    "url": "https://github.com/harbour-works/quarterdeck/actions/runs/7001",
}  # fmt: skip
RED = {
    "about": "checks", "branch": "main", "sha": "4f1c2a9" * 5, "title": "Fix cart rounding", "actor": "harbour-dev",
    "failing": ["test", "lint"], "closed": ["prod"],
}  # fmt: skip
HOSTILE = "@everyone [approve](http://evil) **DEPLOY succeeded** · #1\n`x`" + "z" * 4000


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(tmp_path) as opened:
        yield opened


def test_a_build_from_elsewhere_names_who_what_and_where() -> None:
    text = announcement_text(RUN)
    for needed in ("BUILD started outside the bot", "by harbour-dev", "main at 4f1c2a9", "> build app", "run 7001"):
        assert needed in text


def test_red_checks_name_the_commit_the_checks_and_what_is_closed_by_them() -> None:
    text = announcement_text(RED)
    for needed in ("CHECKS red", "main at 4f1c2a9: test, lint", "> Fix cart rounding", "prod: takes no deploy of it"):
        assert needed in text
    assert "takes no deploy" not in announcement_text({**RED, "closed": []})


@pytest.mark.parametrize("facts", [RUN, RED])
def test_foreign_words_in_an_announcement_stay_words(facts: dict[str, Any]) -> None:
    text = announcement_text({**facts, "title": HOSTILE, "actor": HOSTILE, "branch": HOSTILE, "failing": [HOSTILE] * 9})
    assert "@everyone" not in text
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)\*\*DEPLOY", text)
    assert len(text) < CONTENT_LIMIT


@pytest.mark.parametrize("facts", [RUN, RED])
def test_an_announcement_is_found_again_by_its_own_text_and_by_no_other(facts: dict[str, Any]) -> None:
    marker = announcement_marker(facts)
    assert marker.search(announcement_text(facts))
    assert not marker.search(announcement_text({**facts, "run": 700, "sha": "b" * 40}))


def test_a_tally_says_how_often_it_has_come_and_is_found_again() -> None:
    event = Event(
        1042, 184, "vote.refused", "guest", "Rule deploy:run: no.", {}, 1000, datetime(2026, 8, 1, tzinfo=UTC)
    )
    assert "1,000 times" in tally_text(event)
    assert tally_marker(1042).search(tally_text(event))
    assert not tally_marker(104).search(tally_text(event))


async def test_only_lines_that_were_told_and_have_grown_since_get_a_tally(room: Room) -> None:
    tallies = Tallies(room.database, channel_id=AUDIT)
    for _ in range(3):
        await room.engine.record("door.refused", GUEST.name, "No.", {"rule": "status:view"})
    await room.engine.record("audit.read", "sre", "sre read the audit.")
    told = await room.engine.events()
    await tallies.told(told)
    assert await wanted(room) == {}
    await tallies.look()
    assert await wanted(room) == {}
    await room.engine.record("door.refused", GUEST.name, "No.", {"rule": "status:view"})
    await tallies.look()
    await tallies.look()  # it waits to be drawn: wanted once is enough
    [(key, ahead)] = (await wanted(room)).items()
    assert ahead == 1
    event = await tallies.event(int(key.partition(":")[2]))
    assert event is not None and event.count == 4


async def test_a_tally_that_shows_the_count_is_left_alone(room: Room) -> None:
    tallies = Tallies(room.database, channel_id=AUDIT)
    await room.engine.record("door.refused", GUEST.name, "No.", {"rule": "status:view"})
    await tallies.told(await room.engine.events())
    await room.engine.record("door.refused", GUEST.name, "No.", {"rule": "status:view"})
    await tallies.look()
    shown = update(cards).values(shown=cards.c.wanted, state={"told": 2})
    await room.database.write(lambda db: db.execute(shown).close())
    await tallies.look()
    assert await wanted(room) == {}
    assert await tallies.event(10**6) is None


async def wanted(room: Room) -> dict[str, int]:
    """The cards that are to be drawn, and by how many versions they are behind."""
    statement = select(cards.c.key, cards.c.wanted - cards.c.shown).where(cards.c.wanted > cards.c.shown)
    return dict(await room.database.read(lambda db: db.execute(statement).all()))


def test_a_build_is_ours_by_its_number_or_by_its_mark_while_the_number_is_not_known() -> None:
    run = WorkflowRun(7001, "queued", "", "https://github.com", title="build app [abc]")
    by_number = replace(PENDING, checkpoint={"run_id": 7001, "request_id": "zzz"})
    by_mark = replace(PENDING, checkpoint={"request_id": "abc"})
    copied = replace(PENDING, checkpoint={"run_id": 6000, "request_id": "abc"})
    assert is_ours(run, [by_number])
    assert is_ours(run, [PENDING, by_mark])
    assert not is_ours(run, [copied])
    assert not is_ours(run, [PENDING])

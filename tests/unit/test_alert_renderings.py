"""Whom the posts of alerts ping, decided from the rows at the moment of the post; and pictures that wait for room."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot.alerts.model import AlertGroup, Ping, Reason
from bot.db.cards import Priority, mark_dirty
from bot.db.database import Database
from bot.people import People
from bot.ui.alert_pictures import KEPT, AlertPictures
from bot.ui.alert_renderings import AlertRenderings
from bot.ui.board_store import BoardStore, CardRow
from bot.ui.packing import Packs
from bot.ui.rendering import Rendering
from tests.unit.alert_room import NOW, episode, group, many, resolved
from tests.unit.test_card_pings import SETTINGS, SRE_ROLE

CHANNEL = 302
DEV_ROLE = SETTINGS.discord.roles["dev"]


@dataclass
class Rows:
    """The groups and pings as the table would tell them."""

    groups: dict[int, AlertGroup] = field(default_factory=dict)
    pings: dict[int, Ping] = field(default_factory=dict)

    async def group(self, group_id: int, *, most: int = 0) -> AlertGroup | None:
        return self.groups.get(group_id)

    async def groups_by_id(
        self, ids: Iterable[int], *, episodes: bool = True, most: int = 0
    ) -> Mapping[int, AlertGroup]:
        return {number: self.groups[number] for number in ids if number in self.groups}

    async def ping(self, ping_id: int) -> Ping | None:
        return self.pings.get(ping_id)


class Easel:
    """The renderings over a database of their own."""

    def __init__(self, database: Database) -> None:
        self.database, self.rows, self.cards, self.packs = database, Rows(), BoardStore(database), Packs(database)
        people = People(accounts=[("sre", 12)], roles=SETTINGS.discord.roles)
        self.renderings = AlertRenderings(
            alerts=self.rows, store=self.cards, packs=self.packs, settings=SETTINGS, people=people, now=lambda: NOW
        )

    async def marked(self, *keys: str) -> None:
        def work(db: Connection) -> None:
            for key in keys:
                mark_dirty(db, key, CHANNEL, Priority.OUTCOME)

        await self.database.write(work)

    async def row(self, key: str) -> CardRow:
        found = await self.cards.get(key)
        assert found is not None
        return found

    async def packed(self, *numbers: int, roles: Mapping[int, str] | None = None) -> CardRow:
        """A pack of groups that fire; `roles` says whom they call that do not call sre."""
        for number in numbers:
            self.rows.groups[number] = many(2, id=number, ping=first(number, (roles or {}).get(number, "sre")))
        await self.marked(*(f"alert:{number}" for number in numbers))
        rows = [await self.row(f"alert:{number}") for number in numbers]
        return await self.packs.pack(rows, (await self.renderings.fit(rows)).roles, NOW)

    async def drawn(self, key: str) -> Rendering | None:
        return await self.renderings.of(await self.row(key))

    async def posted(self, key: str, message_id: int) -> list[int]:
        """Post it as the board does; the roles that it pings."""
        row, rendering = await self.row(key), await self.drawn(key)
        assert rendering is not None
        state = {**rendering.state, "pinged": True}
        await self.cards.posted(row, message_id, NOW, holds=rendering.holds, shown=row.wanted, state=state)
        return [role.id for role in rendering.pings.roles or ()]  # type: ignore[union-attr]


def first(number: int, role: str = "sre") -> Ping:
    return Ping(id=number, group_id=number, reason=Reason.FIRST, at=NOW, roles=(role,), people=())


@pytest.fixture
async def easel(tmp_path: Path) -> AsyncIterator[Easel]:
    database = await Database.open(tmp_path / "q.sqlite3")
    yield Easel(database)
    await database.close()


async def test_of_the_packs_of_a_storm_the_first_pings_and_the_others_leave_it_to_that(easel: Easel) -> None:
    first, second = await easel.packed(1, 2), await easel.packed(3, 4)
    assert await easel.posted(second.key, 901) == []
    assert await easel.posted(first.key, 900) == [SRE_ROLE]
    assert await easel.posted(first.key, 900) == [], "an edit never pings"
    assert (await easel.row(first.key)).state["told"] == ["sre"]


async def test_a_pack_that_was_over_before_its_post_still_calls_for_those_that_left_it_to_it(easel: Easel) -> None:
    first, second = await easel.packed(1, 2), await easel.packed(3, 4)
    assert await easel.posted(second.key, 901) == []
    for number in (1, 2):
        easel.rows.groups[number] = group(resolved("a"), id=number)
    assert await easel.posted(first.key, 900) == [SRE_ROLE]


async def test_a_pack_calls_itself_where_the_older_one_pinged_nobody_or_cannot_be_posted(easel: Easel) -> None:
    first, second, third = await easel.packed(1, 2), await easel.packed(3, 4), await easel.packed(5, 6)
    await easel.cards.save(first.key, attempts=1)
    assert await easel.posted(second.key, 901) == [SRE_ROLE]
    assert await easel.posted(third.key, 902) == []
    assert await easel.posted(first.key, 900) == []


async def test_a_storm_that_is_over_altogether_pings_nobody(easel: Easel) -> None:
    first = await easel.packed(1, 2)
    for number in (1, 2):
        easel.rows.groups[number] = group(resolved("a"), id=number)
    assert await easel.posted(first.key, 900) == []


@pytest.mark.parametrize(
    "since",
    [
        group(resolved("a"), id=2, ping=first(2, "dev")),
        group(episode(silenced_by=("s-1",)), id=2, ping=first(2, "dev")),
        many(2, id=2, ping=first(2, "dev"), acked_by="dev", unacked_since=None),
    ],
    ids=["ended", "silenced", "taken"],
)
async def test_a_pack_calls_nobody_for_whom_its_groups_have_no_call_any_more(easel: Easel, since: AlertGroup) -> None:
    pack = await easel.packed(1, 2, roles={2: "dev"})
    before = await easel.drawn(pack.key)
    assert before is not None and before.pings.to_dict()["roles"] == [DEV_ROLE, SRE_ROLE]
    easel.rows.groups[2] = since
    assert await easel.posted(pack.key, 900) == [SRE_ROLE]
    assert (await easel.row(pack.key)).state["told"] == ["sre"]


async def test_what_quiet_hours_held_back_pings_once_also_where_the_card_is_not_posted_yet(easel: Easel) -> None:
    ping = Ping(id=1, group_id=17, reason=Reason.FIRST, at=NOW, roles=("sre",), people=(), detail="")
    held = replace(ping, id=2, group_id=18, held_until=NOW)
    easel.rows.pings |= {1: ping, 2: replace(held, held_until=None)}
    easel.rows.groups |= {17: group(ping=ping), 18: group(id=18, ping=held)}
    await easel.marked("alert:17", "alertping:1", "alert:18", "alertping:2")
    assert await easel.drawn("alertping:1") is None, "the card's own post pings"
    assert await easel.posted("alert:17", 900) == [SRE_ROLE]
    assert await easel.drawn("alertping:1") is None, "and has pinged"
    assert await easel.posted("alert:18", 901) == []
    rendering = await easel.drawn("alertping:2")
    assert rendering is not None and rendering.reply_to == 901, "let go once the card stands, it is a message"


async def test_a_call_of_a_group_whose_pack_waits_is_left_to_that_where_it_pings_the_same(easel: Easel) -> None:
    pack = await easel.packed(1, 2)
    easel.rows.pings |= {8: replace(first(1), id=8), 9: replace(first(2, "dev"), id=9)}
    await easel.marked("alertping:8", "alertping:9")
    assert await easel.drawn("alertping:8") is None
    assert await easel.drawn("alertping:9") is not None
    await easel.posted(pack.key, 900)
    assert await easel.drawn("alertping:8") is not None


@pytest.mark.parametrize(
    ("reason", "unchanged", "taken_or_given_back"),
    [
        (Reason.JOINED, {"acked_by": "dev"}, {"acked_by": "sre", "unacked_since": None}),
        (Reason.ESCALATION, {}, {"acked_by": "sre", "unacked_since": None}),
        (Reason.REMINDER, {"acked_by": "dev", "unacked_since": None}, {}),
    ],
)
async def test_a_call_that_comes_late_is_not_made_any_more(
    easel: Easel, reason: Reason, unchanged: dict[str, Any], taken_or_given_back: dict[str, Any]
) -> None:
    easel.rows.groups[17] = group()
    await easel.marked("alert:17", "alertping:2")
    await easel.posted("alert:17", 900)
    easel.rows.pings[2] = Ping(id=2, group_id=17, reason=reason, at=NOW, roles=("sre",), people=("dev",), detail="")
    easel.rows.groups[17] = group(**unchanged)
    assert await easel.drawn("alertping:2") is not None
    easel.rows.groups[17] = group(**taken_or_given_back)
    assert await easel.drawn("alertping:2") is None


async def test_a_card_whose_picture_found_no_room_gets_it_when_there_is_some() -> None:
    free, stirred = asyncio.Event(), []

    async def draw(shown: AlertGroup) -> bytes:
        await free.wait()
        return b"picture"

    async def stir(key: str) -> None:
        stirred.append(key)

    pictures = AlertPictures(draw, stir, now=lambda: NOW + timedelta())
    groups = [group(id=number) for number in range(1, KEPT + 4)]
    assert {pictures.look(one, "on") for one in groups} == {""}
    free.set()
    async with asyncio.timeout(5):
        while len(stirred) < len(groups):
            await asyncio.sleep(0.01)
    assert set(stirred) == {one.card_key for one in groups}, "also those that were left out"
    await pictures.close()

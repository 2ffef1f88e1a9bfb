"""Which alert groups are packed, what is written of it, and how packs dissolve. Decided from rows alone."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bot.db.cards import Priority, mark_dirty
from bot.db.database import Database
from bot.ui.board_store import BoardStore, CardRow
from bot.ui.buckets import USUAL
from bot.ui.packing import FEW, PACKED, PACKED_MOST, Packs, chosen, may_be_packed, members, to_ping
from bot.ui.reach import LONGEST_PAUSE_S, Reach
from bot.ui.storms import Fit, Storms

CHANNEL, OTHER = 302, 303
NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)


def waiting(number: int, *, due_s: float = -0.1, priority: int = Priority.OUTCOME, **state: object) -> CardRow:
    due_at = NOW + timedelta(seconds=due_s)
    return CardRow(f"alert:{number}", CHANNEL, None, "", 1, 0, priority, due_at, 0, state)


def several(many: int, *, due_s: float = -0.1) -> list[CardRow]:
    return [waiting(number, due_s=due_s) for number in range(1, many + 1)]


# ---- the choice ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", range(1, FEW + 1))
def test_a_few_groups_get_cards_of_their_own(many: int) -> None:
    choice = chosen(several(many), NOW, left=USUAL, stormy=False)
    assert choice.alone and not choice.together


@pytest.mark.parametrize(("many", "left", "packed"), [(6, 5, 6), (10, 5, 10), (40, 5, 10), (100, 5, 20), (60, 2, 20)])
def test_more_groups_than_a_channel_takes_are_packed_as_tightly_as_needed(many: int, left: int, packed: int) -> None:
    choice = chosen(several(many), NOW, left=left, stormy=False)
    assert len(choice.together) == packed
    assert PACKED <= PACKED_MOST == 20


def test_in_a_storm_even_two_are_packed_where_only_one_message_is_left() -> None:
    assert len(chosen(several(2), NOW, left=1, stormy=True).together) == 2
    assert chosen(several(2), NOW, left=2, stormy=True).alone


def test_groups_wait_for_those_that_come_with_them_but_not_for_ever() -> None:
    coming = [*several(6), waiting(7, due_s=0.4)]
    assert chosen(coming, NOW, left=5, stormy=False).together == ()
    assert not chosen(coming, NOW, left=5, stormy=False).alone
    late = [*several(6, due_s=-1.1), waiting(7, due_s=0.4)]
    assert len(chosen(late, NOW, left=5, stormy=False).together) == 7


def test_the_most_urgent_and_then_the_oldest_go_first() -> None:
    rows = [*several(12), waiting(90, priority=Priority.CRITICAL), waiting(91, due_s=-5)]
    together = chosen(rows, NOW, left=5, stormy=False).together
    assert [row.subject_id for row in together][:3] == [90, 91, 1]


def test_what_may_stand_somewhere_already_is_never_packed() -> None:
    assert may_be_packed(waiting(1))
    assert not may_be_packed(CardRow("alert:1", CHANNEL, None, "tried", 1, 0, 30, NOW, 1, {}))
    assert not may_be_packed(CardRow("alert:1", CHANNEL, 77, "tried", 2, 1, 30, NOW, 0, {}))
    assert not may_be_packed(waiting(1, pack="pack:1"))
    assert not may_be_packed(waiting(1, unfolded="pack:1"))
    assert not may_be_packed(CardRow("operation:1", CHANNEL, None, "", 1, 0, 30, None, 0, {}))


# ---- the rows ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = await Database.open(tmp_path / "q.sqlite3")
    yield found
    await found.close()


@pytest.fixture
def cards(database: Database) -> BoardStore:
    return BoardStore(database)


@pytest.fixture
def packs(database: Database) -> Packs:
    return Packs(database, calm=timedelta(minutes=3))


async def marked(database: Database, *numbers: int, channel: int = CHANNEL) -> None:
    def work(db: Connection) -> None:
        for number in numbers:
            mark_dirty(db, f"alert:{number}", channel, Priority.OUTCOME)

    await database.write(work)


async def row(cards: BoardStore, key: str) -> CardRow:
    found = await cards.get(key)
    assert found is not None
    return found


async def opened(database: Database, packs: Packs, *numbers: int, role: str = "sre", now: datetime = NOW) -> CardRow:
    await marked(database, *numbers)
    rows = [one for one in (await packs.waiting())[CHANNEL] if one.subject_id in numbers]
    return await packs.pack(rows, {one.key: (role,) for one in rows}, now)


def pushed(pack: CardRow) -> dict[str, object]:
    """Its state once its post has pinged all that its groups ask for."""
    return {**pack.state, "pinged": True, "told": pack.state["roles"]}


async def test_a_pack_takes_its_members_off_the_list_in_one_step(
    database: Database, cards: BoardStore, packs: Packs
) -> None:
    pack = await opened(database, packs, 1, 2, 3)
    assert sorted(members(pack)) == [1, 2, 3]
    assert await packs.waiting() == {}
    assert [one.key for one in await cards.dirty(NOW, limit=10)] == [pack.key]
    assert (await row(cards, "alert:2")).state["pack"] == pack.key


async def test_a_role_is_pushed_once_a_storm_and_again_in_the_next_one(database: Database, packs: Packs) -> None:
    first = await opened(database, packs, 1, 2)
    second = await opened(database, packs, 3, 4, now=NOW + timedelta(seconds=5))
    other = await opened(database, packs, 5, 6, role="dev", now=NOW + timedelta(seconds=6))
    later = await opened(database, packs, 7, 8, now=NOW + timedelta(minutes=10))
    every = [first, second, other, later]
    assert [to_ping(one, every) for one in every] == [{"sre"}, set(), {"dev"}, {"sre"}]


async def test_a_role_is_left_only_to_a_pack_that_has_really_pinged_it_or_is_about_to(
    database: Database, cards: BoardStore, packs: Packs
) -> None:
    first, second = await opened(database, packs, 1, 2), await opened(database, packs, 3, 4)
    await cards.save(first.key, attempts=1)
    assert to_ping(second, await packs.open()) == {"sre"}, "its post has failed, and may stay away for long"
    await cards.posted(first, 900, NOW, shown=first.wanted, state={**first.state, "pinged": True, "told": []})
    assert to_ping(second, await packs.open()) == {"sre"}, "all of it was over by then"
    await cards.posted(first, 900, NOW, shown=first.wanted, state={**first.state, "pinged": True, "told": ["sre"]})
    assert to_ping(second, await packs.open()) == set()


async def test_a_members_change_is_the_packs_and_its_message_is_the_members(
    database: Database, cards: BoardStore, packs: Packs
) -> None:
    pack = await opened(database, packs, 1, 2)
    await cards.posted(pack, 900, NOW, holds=("alert:1", "alert:2"), shown=pack.wanted)
    assert (await row(cards, "alert:2")).message_id == 900
    assert await cards.dirty(NOW, limit=10) == []
    await marked(database, 2)
    [changed] = await cards.dirty(NOW, limit=10)
    await packs.fold([changed])
    assert [one.key for one in await cards.dirty(NOW, limit=10)] == [pack.key]


async def test_a_change_during_the_folding_is_not_lost(database: Database, cards: BoardStore, packs: Packs) -> None:
    await opened(database, packs, 1, 2)
    await marked(database, 2)
    [changed] = [one for one in await cards.dirty(NOW, limit=10) if one.key == "alert:2"]
    await marked(database, 2)
    await packs.fold([changed])
    assert (await row(cards, "alert:2")).wanted > (await row(cards, "alert:2")).shown


async def test_calm_comes_with_the_last_group_of_the_channel(database: Database, packs: Packs) -> None:
    await opened(database, packs, 1, 2)
    young = await opened(database, packs, 3, 4, now=NOW + timedelta(minutes=2))
    assert packs.calm(await packs.open(), NOW + timedelta(minutes=4)) == []
    await marked(database, 5)
    await packs.join(young, (await packs.waiting())[CHANNEL], {}, NOW + timedelta(minutes=4))
    assert packs.calm(await packs.open(), NOW + timedelta(minutes=6)) == []
    assert len(packs.calm(await packs.open(), NOW + timedelta(minutes=7))) == 2


async def test_what_still_fires_gets_a_card_of_its_own_and_pings_nobody(
    database: Database, cards: BoardStore, packs: Packs
) -> None:
    pack = await opened(database, packs, 1, 2)
    await cards.posted(pack, 900, NOW, holds=("alert:1", "alert:2"), shown=pack.wanted)
    await packs.unfold(await row(cards, pack.key), [2])
    over, going_on = await row(cards, "alert:1"), await row(cards, "alert:2")
    assert over.state["pack"] == pack.key and over.message_id == 900
    assert "pack" not in going_on.state and going_on.message_id is None and going_on.nonce == ""
    assert going_on.state["pinged"] and going_on.priority == Priority.BACKGROUND
    assert {one.key for one in await cards.dirty(NOW, limit=10)} == {pack.key, "alert:2"}
    assert await packs.open() == []
    assert not may_be_packed(going_on)


async def test_a_pack_whose_member_fires_again_opens_again(database: Database, cards: BoardStore, packs: Packs) -> None:
    pack = await opened(database, packs, 1, 2)
    await packs.unfold(pack, [])
    await marked(database, 1)
    await packs.fold([await row(cards, "alert:1")])
    assert [one.key for one in await packs.open()] == [pack.key]


# ---- before the board takes its cards ------------------------------------------------------------------------------


class Groups:
    """Groups that all have the same size, of which so many fit into a message."""

    def __init__(self, most: int = PACKED_MOST) -> None:
        self.most = most
        self.fire: set[int] = set()

    async def fit(self, rows: Sequence[CardRow], *, beside: Collection[int] = ()) -> Fit:
        return Fit(min(len(rows), self.most - len(beside)), {one.key: ("sre",) for one in rows})

    async def firing(self, ids: Collection[int]) -> set[int]:
        return self.fire & set(ids)


async def test_without_room_for_messages_the_rest_joins_packs_that_stand(
    database: Database, cards: BoardStore, packs: Packs
) -> None:
    storms, now = Storms(packs, Groups()), datetime.now(UTC)
    await marked(database, *range(1, 13))
    await storms.tidy(await cards.dirty(now, limit=50), now, busy=(), slots=lambda _: 1)
    [pack] = await packs.open()
    assert len(members(pack)) == 12
    await cards.posted(pack, 900, now, holds=(), shown=pack.wanted, state=pushed(pack))
    await marked(database, *range(13, 25))
    tidied = await storms.tidy(await cards.dirty(now, limit=50), now, busy=(), slots=lambda _: 0)
    assert tidied.changed
    [pack] = await packs.open()
    assert len(members(pack)) == PACKED_MOST
    assert {one.subject_id for one in (await packs.waiting())[CHANNEL]} == set(range(21, 25))


async def test_a_group_that_pushes_somebody_else_waits_for_a_message(
    database: Database, cards: BoardStore, packs: Packs
) -> None:
    groups, now = Groups(), datetime.now(UTC)
    pack = await opened(database, packs, *range(1, 8), role="dev", now=now)
    await cards.posted(pack, 900, now, shown=pack.wanted, state=pushed(pack))
    await marked(database, 20, 21)
    await Storms(packs, groups).tidy(await cards.dirty(now, limit=50), now, busy=(), slots=lambda _: 0)
    assert len((await packs.waiting())[CHANNEL]) == 2


async def test_a_group_that_fills_a_message_by_itself_gets_one(
    database: Database, cards: BoardStore, packs: Packs
) -> None:
    now = datetime.now(UTC)
    await marked(database, *range(1, 9))
    dirty = await cards.dirty(now, limit=50)
    tidied = await Storms(packs, Groups(most=1)).tidy(dirty, now, busy=(), slots=lambda _: 5)
    assert await packs.open() == []
    assert len(tidied.held) == 7


# ---- whether Discord is there --------------------------------------------------------------------------------------


def test_a_connection_that_fails_is_an_outage_and_one_card_that_fails_is_none() -> None:
    clock = [0.0]
    reach = Reach(lambda: clock[0])
    reach.failed("alert:1", connection=False)
    reach.failed("alert:1", connection=False)
    assert not reach.away and reach.wait_s == 0
    reach.failed("alert:2", connection=False)
    assert reach.away
    for _ in range(10):
        reach.failed("alert:2", connection=True)
    assert 0 < reach.wait_s <= LONGEST_PAUSE_S
    clock[0] += LONGEST_PAUSE_S
    assert reach.wait_s == 0
    assert reach.answered() and not reach.away
    assert not reach.answered()

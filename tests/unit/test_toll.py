"""What chaos has cost is counted from the world: each kind of loss and of doubling is seen when it is there."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.sandbox import toll as tolls
from bot.sandbox.ledger import Ledger
from bot.sandbox.toll import COMPONENTS_V2, Sources, Toll


@dataclass
class Begun:
    inputs: dict[str, str]


@dataclass
class Outside:
    """The world, as the toll asks it."""

    killed: int = 0
    connected: bool = True
    runs: list[Begun] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)

    async def given(self) -> list[str]:
        return self.orders


class Room:
    def __init__(self) -> None:
        self.ledger, self.outside = Ledger(), Outside()
        sources = Sources(
            killed=lambda: self.outside.killed,
            connected=lambda: self.outside.connected,
            runs=lambda: self.outside.runs,
            orders=self.outside.given,
        )
        self.toll = Toll(ledger=self.ledger, sources=sources)
        self._ids = iter(range(1, 1000))

    def answer(self, text: str) -> None:
        self._message(text, ephemeral=True, flags=0)

    def card(self, text: str, *, number: int = 0) -> int:
        return self._message(text, ephemeral=False, flags=COMPONENTS_V2, number=number)

    def _message(self, text: str, *, ephemeral: bool, flags: int, number: int = 0) -> int:
        number = number or next(self._ids)
        data = {"id": str(number), "text": text, "ephemeral": ephemeral, "raw": {"flags": flags}}
        self.ledger.publish("message.created", data)
        return number

    async def figures(self) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        self.toll.watch()
        return await self.toll.count()


@pytest.fixture
async def room(monkeypatch):
    monkeypatch.setattr(tolls, "SETTLING_S", -1.0)
    async with _followed() as room:
        yield room


@asynccontextmanager
async def _followed():
    room = Room()
    following = asyncio.create_task(room.toll.follow())
    try:
        yield room
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def test_nothing_is_lost_when_every_answer_has_its_card(room: Room) -> None:
    room.answer("#12 **deploy approved** · app > dev")
    room.card("**DEPLOY running** · #12\napp > dev")
    room.outside.killed = 3
    room.outside.runs = [Begun({"request": "a"}), Begun({"request": "b"}), Begun({})]
    room.outside.orders = [
        "quarterdeck op 12 abc",
        "quarterdeck op 12 abc back",
        "quarterdeck seed",
        "quarterdeck seed",
    ]
    figures = await room.figures()
    assert {name: figures[name] for name in ("killed", "taken", "lost", "doubled", "on_the_way", "said")} == {
        "killed": 3,
        "taken": 1,
        "lost": 0,
        "doubled": 0,
        "on_the_way": 0,
        "said": [],
    }


async def test_an_answer_without_a_card_is_lost_once_the_bot_had_time_to_post_it(room: Room) -> None:
    room.answer("#12 **deploy approved** · app > dev")
    room.outside.connected = False
    figures = await room.figures()
    assert (figures["lost"], figures["on_the_way"]) == (0, 1)
    room.outside.connected = True
    figures = await room.figures()
    assert (figures["lost"], figures["on_the_way"]) == (1, 0)
    assert figures["said"] == ["#12 was taken and has no card."]
    room.card("**DEPLOY failed** · #12\napp > dev")
    assert (await room.figures())["lost"] == 0


async def test_a_card_that_was_removed_does_not_count(room: Room) -> None:
    room.answer("#12 **deploy approved** · app > dev")
    number = room.card("**DEPLOY failed** · #12\napp > dev")
    room.ledger.publish("message.deleted", {"id": str(number)})
    assert (await room.figures())["lost"] == 1


async def test_two_cards_two_builds_and_two_orders_of_one_operation_are_doubled(room: Room) -> None:
    room.card("**DEPLOY running** · #12\napp > dev")
    room.card("**DEPLOY running** · #12\napp > dev")
    room.outside.runs = [Begun({"request": "a"}), Begun({"request": "a"})]
    room.outside.orders = ["quarterdeck op 12 abc"] * 3
    figures = await room.figures()
    assert figures["doubled"] == 3
    assert figures["said"] == [
        "#12 has 2 cards.",
        "The build a was begun 2 times.",
        "“quarterdeck op 12 abc” was sent 3 times.",
    ]


async def test_an_edit_of_a_card_is_no_second_card_and_a_mention_of_it_is_none(room: Room) -> None:
    number = room.card("**DEPLOY running** · #12\napp > dev")
    room.card("**DEPLOY succeeded** · #12\napp > dev", number=number)
    room.card("#12 is told of here\n**DEPLOY** · #12")
    assert (await room.figures())["doubled"] == 0

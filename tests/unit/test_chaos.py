"""The chaos switch: the same seed brings the same blows in the same order, also when chaos is on already."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.sandbox import chaos as chaoses
from bot.sandbox.bodies import ChaosBody, FaultBody
from bot.sandbox.chaos import Chaos
from bot.sandbox.faults import Fault, Faults
from bot.sandbox.ledger import Ledger
from bot.sandbox.supervisor import State
from bot.sandbox.toll import Sources, Toll

BLOWS = 12


class Struck:
    """A bot that is always back at once, and wires that note what is done to them."""

    state = State.RUNNING

    def __init__(self) -> None:
        self.blows: list[str] = []
        self._faults = Faults()

    async def slay(self) -> None:
        self.blows.append("slain")

    async def start(self) -> None:
        pass

    def add_fault(self, wanted: FaultBody) -> Fault:
        self.blows.append(f"{wanted.part} {wanted.kind} {wanted.skip}")
        return self._faults.add(wanted.part, wanted.kind, for_s=wanted.for_s)

    def remove_fault(self, fault: Fault) -> None:
        self._faults.remove(fault.id)

    def connected(self) -> bool:
        return True

    def watched(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaoses, "REST_S", (0.0, 0.001))
    monkeypatch.setattr(chaoses, "DOWN_S", (0.0, 0.001))


@asynccontextmanager
async def switch() -> AsyncIterator[tuple[Chaos, Struck]]:
    async def no_orders() -> list[str]:
        return []

    struck, ledger = Struck(), Ledger()
    sources = Sources(killed=lambda: 0, connected=lambda: True, runs=list, orders=no_orders)
    chaos = Chaos(victim=lambda: struck, wires=struck, ledger=ledger, toll=Toll(ledger=ledger, sources=sources))
    try:
        yield chaos, struck
    finally:
        await chaos.switch(ChaosBody(on=False))


async def several(struck: Struck) -> list[str]:
    while len(struck.blows) < BLOWS:
        await asyncio.sleep(0.001)
    return struck.blows[:BLOWS]


async def blows_of(seed: int) -> list[str]:
    async with switch() as (chaos, struck):
        await chaos.switch(ChaosBody(on=True, seed=seed))
        return await several(struck)


async def test_the_same_seed_brings_the_same_blows_and_another_one_others() -> None:
    first = await blows_of(7)
    assert await blows_of(7) == first
    assert await blows_of(8) != first


async def test_a_seed_that_comes_while_chaos_is_on_has_it_begin_anew() -> None:
    async with switch() as (chaos, struck):
        await chaos.switch(ChaosBody(on=True))
        await several(struck)
        struck.blows.clear()
        assert (await chaos.switch(ChaosBody(on=True, seed=7)))["on"]
        assert await several(struck) == await blows_of(7)


async def test_a_wish_without_a_seed_only_prolongs_chaos() -> None:
    async with switch() as (chaos, struck):
        await chaos.switch(ChaosBody(on=True, seed=7, for_s=60.0))
        told = await chaos.switch(ChaosBody(on=True, for_s=600.0))
        assert told["left_s"] > 60.0
        assert await several(struck) == await blows_of(7)

"""The whole bot under a load of webhooks, killed with SIGKILL or given a new configuration: what it answered 200 stands
on a card afterwards.
"""

import asyncio
import random
import re
import time
import tomllib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import aiohttp
import pytest

from bot.console.environment import read
from tests.alert_senders import Senders
from tests.payloads import alert, payload
from tests.story.world_driver import World

KILLS = 6
SEED = 20261124
GROUPS = 24
ID = re.compile(r"(?:storm|reload)-\d{5}")


@dataclass(frozen=True, slots=True)
class Room:
    """A world, where its bot takes alerts, and where it shows them."""

    world: World
    url: str
    token: str
    channel: str

    async def shown(self) -> set[str]:
        """The alerts that stand on a card."""
        messages = await self.world.every_message(self.channel)
        return {found for message in messages for found in ID.findall(message.text)}

    async def until_shown(self, taken: set[str]) -> set[str]:
        async def all_there() -> set[str] | None:
            shown = await self.shown()
            return shown if taken <= shown else None

        return await self.world.until("every alert on a card", all_there, timeout_s=60)


@pytest.fixture(scope="module")
async def room() -> AsyncIterator[Room]:
    async with World() as world:
        config = tomllib.loads((world.home / "quarterdeck.toml").read_text(encoding="utf-8"))["alerts"]
        token = read(world.home / "quarterdeck.env")["QUARTERDECK_ALERTMANAGER_TOKEN"]
        url = f"http://127.0.0.1:{config['listen_port']}/webhooks/alertmanager"
        yield Room(world, url, token, config["channel"])


async def test_every_payload_that_was_answered_200_is_on_a_card_after_all_kills(room: Room) -> None:
    senders, chance = Senders(room.token, groups=GROUPS, pause_s=0.05), random.Random(SEED)
    for _ in range(KILLS):
        load = asyncio.create_task(senders.until_it_dies(room.url, senders=4))
        await asyncio.sleep(chance.uniform(0.05, 1.5))
        await room.world.bot("kill")
        await load
        await room.world.bot("start")
        await room.world.wait_ready(timeout_s=45)
    shown = await room.until_shown(senders.taken)
    print(
        f"{KILLS} kills: {senders.sent} payloads sent, {len(senders.taken)} answered 200, "
        f"{len(senders.taken & shown)} of them on a card, {len(shown - senders.taken)} more though nobody heard so"
    )
    assert len(senders.taken) > KILLS


async def test_a_new_configuration_costs_senders_a_moment_and_no_alert(room: Room) -> None:
    taken: dict[str, float] = {}

    async def send() -> None:
        """As Alertmanager does: what is not answered 200 is sent again."""
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {room.token}"}) as session:
            while True:
                name = f"reload-{len(taken):05d}"
                with suppress(aiohttp.ClientError):
                    async with session.post(room.url, data=payload([alert("Reloaded", name)])) as response:
                        if response.status == 200:
                            taken[name] = time.monotonic()
                await asyncio.sleep(0.02)

    sender = asyncio.create_task(send())
    await asyncio.sleep(0.5)
    await room.world.reconfigure(patch={"log_level": "debug"})
    await asyncio.sleep(0.5)
    sender.cancel()
    await asyncio.gather(sender, return_exceptions=True)
    longest = max(after - before for before, after in pairwise(taken.values()))
    print(f"{len(taken)} payloads; the longest pause between two answers was {longest:.1f} s")
    await room.until_shown(set(taken))

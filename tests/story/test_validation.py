"""A whole world beside the descriptions of others: what its parts and the real bot say to each other."""

import pytest

from bot.sandbox.validation.documents import missing
from tests.story.world_driver import World


async def test_a_world_tells_what_it_compared_and_that_everything_fits(world: World):
    await world.ask("dev", "status")
    told = await world.get("/validation")
    if sentence := missing():
        pytest.skip(sentence)
    assert told["on"]
    assert told["exchanges"]["discord"] > 0 and told["exchanges"]["gateway"] > 0
    assert told["mismatches"] == []

"""Worlds for the stories: one that many tests share and leave as they found it, and fresh ones for what breaks."""

from collections.abc import AsyncIterator

import pytest

from tests.story.world_driver import World

SPEED = 8.0
"""Builds take one second instead of eight."""
ROLES = {"owner": ("owner", "sre"), "sre": ("sre",), "sre2": ("sre",), "dev": ("dev",), "dev2": ("dev",), "guest": ()}


@pytest.fixture(scope="session")
async def shared_world() -> AsyncIterator[World]:
    """The world of the whole session; tests take `world` instead."""
    async with World(speed=SPEED) as world:
        yield world


@pytest.fixture
async def world(shared_world: World) -> AsyncIterator[World]:
    """The shared world; afterwards faults, speed, roles, configuration and the bot are as they were."""
    state, toml = await shared_world.state(), (await shared_world.get("/config"))["toml"]
    yield shared_world
    await shared_world.clear_faults()
    await shared_world.clock(state["world"]["speed"])
    now = {member["name"]: set(member["roles"]) for member in (await shared_world.state())["members"]}
    for name, roles in ROLES.items():
        if now.get(name) != set(roles):
            await shared_world.roles(name, *roles)
    changed = (await shared_world.get("/config"))["toml"] != toml
    if changed and (await shared_world.part("bot"))["detail"] == "running":
        await shared_world.reconfigure(toml=toml)
    elif changed:
        await shared_world.put_config(toml=toml)
    await shared_world.bot("start")
    await shared_world.wait_ready(timeout_s=45)


@pytest.fixture(scope="session")
async def unmanned_world() -> AsyncIterator[World]:
    """A world in which no bot runs, for what comes before the first start; tests put its levers back."""
    async with World(speed=SPEED, with_bot=False) as world:
        yield world


@pytest.fixture
async def fresh_world() -> AsyncIterator[World]:
    """A world of this test's own, for what cannot be undone."""
    async with World(speed=SPEED) as world:
        yield world

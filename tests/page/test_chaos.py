"""The chaos switch: the bot is killed and wires are cut while members work, and the page counts what it cost."""

import re

from playwright.async_api import expect

from tests.page.visitor import Visitor
from tests.story.steps import ended, green, new_commit
from tests.story.world_driver import SHORT_ID, World, WorldFailure

KILLS = 2
SEED = 7
PATIENCE_S = 3.0
"""An answer that is thought about for longer will not come: the bot that thought is dead."""


async def taken_by_the_bot(world: World) -> str | None:
    """Ask for a deploy; its short id, or None when the bot died before it had taken it."""
    await green(world, await new_commit(world))
    asked = await world.command("dev", "deploy", service="app", environment="dev", ref="main")
    try:
        reply = await world.settle(asked, timeout_s=PATIENCE_S)
    except WorldFailure:
        return None
    found = SHORT_ID.match(reply.text)
    return found.group(0) if found else None


async def test_the_bot_is_killed_again_and_again_and_the_world_counts_what_was_lost_and_doubled(
    visitor: Visitor, world: World
) -> None:
    page = visitor.page
    killed = (await world.get("/chaos"))["killed"]
    switch = page.get_by_role("switch", name=re.compile("^Chaos"))
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "true")
    await world.post("/chaos", {"on": True, "for_s": 300.0, "seed": SEED})
    taken: list[str] = []
    try:
        while (await world.get("/chaos"))["killed"] < killed + KILLS:
            if operation := await taken_by_the_bot(world):
                taken.append(operation)
                await ended(world, operation, timeout_s=90)
    finally:
        await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "false")
    await world.wait_ready()
    assert taken, "nothing was asked for that the bot took"
    figures = page.get_by_label("What it cost")
    await expect(figures.locator("[data-figure=killed]")).to_have_text(re.compile("[1-9]"))
    for name in ("lost", "doubled"):
        await expect(figures.locator(f"[data-figure={name}]")).to_have_text("0")
    counted = await world.get("/chaos")
    assert (counted["on"], counted["lost"], counted["doubled"], counted["said"]) == (False, 0, 0, [])
    assert counted["taken"] >= len(taken)
    assert counted["killed"] >= killed + KILLS

"""The chaos switch: the bot is killed and wires are cut while members work, and the page counts what it cost."""

import re

from playwright.async_api import Locator, expect

from tests.page.aftermath import all_ended
from tests.page.visitor import RUN_MS, Visitor
from tests.story.steps import ended, green, new_commit
from tests.story.world_driver import SHORT_ID, World, WorldFailure

KILLS = 2
SEED = 180
FIRST_BLOWS = ("discord loses an answer", "github hangs up", "killed the bot")
"""What this seed begins with, before and with the first of its two kills."""
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


async def worked(world: World) -> str | None:
    """Deploy once, whatever happens; what a kill at the wrong instant leaves to a human is seen to, as people would."""
    operation = await taken_by_the_bot(world)
    if operation is None:
        return None
    card = await ended(world, operation, timeout_s=90)
    if "interrupted" in card.text.split("\n", 1)[0]:
        await world.until("the interrupted to be closed", lambda: all_ended(world), timeout_s=90)
    return operation


async def switch_off(switch: Locator) -> None:
    """Click it, unless chaos has ended by itself."""
    if await switch.get_attribute("aria-checked") == "true":
        await switch.click()


async def test_the_bot_is_killed_again_and_again_and_the_world_counts_what_was_lost_and_doubled(
    visitor: Visitor, world: World
) -> None:
    page = visitor.page
    before = await world.get("/chaos")
    switch = page.get_by_role("switch", name=re.compile("^Chaos"))
    await world.post("/chaos", {"on": True, "seed": SEED})
    await expect(switch).to_have_attribute("aria-checked", "true")
    taken: list[str] = []
    try:
        while (now := await world.get("/chaos"))["killed"] < before["killed"] + KILLS:
            assert now["on"], f"chaos has ended early: {now}"
            if operation := await worked(world):
                taken.append(operation)
    finally:
        await switch_off(switch)
    await expect(switch).to_have_attribute("aria-checked", "false")
    await world.wait_ready()
    assert taken, "nothing was asked for that the bot took"
    struck = {blow for blow, times in now["blows"].items() if times > before["blows"].get(blow, 0)}
    assert struck >= set(FIRST_BLOWS)

    counted = await world.until("every request to be counted", lambda: settled(world), timeout_s=60)
    assert (counted["on"], counted["lost"], counted["doubled"], counted["said"]) == (False, 0, 0, [])
    assert counted["taken"] >= before["taken"] + len(taken)
    figures = page.get_by_label("What it cost")
    await expect(figures.locator("[data-figure=killed]")).to_have_text(str(counted["killed"]), timeout=RUN_MS)
    for name in ("lost", "doubled"):
        await expect(figures.locator(f"[data-figure={name}]")).to_have_text("0")


async def settled(world: World) -> dict[str, object] | None:
    """The figures, once nothing that was taken is on its way any more: it has its card, or counts as lost."""
    counted = await world.get("/chaos")
    return counted if counted["on_the_way"] == 0 else None


async def test_a_click_lets_chaos_loose_and_another_one_ends_it(visitor: Visitor, world: World) -> None:
    switch = visitor.page.get_by_role("switch", name=re.compile("^Chaos"))
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "true")
    assert (await world.get("/chaos"))["on"]
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "false")
    assert not (await world.get("/chaos"))["on"]

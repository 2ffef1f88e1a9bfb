"""What a visit may leave behind in a world that others share, and how it is put right: by the levers of the world, and
for its operations by what people themselves can do about them.
"""

import re

from tests.story.world_driver import Refusal, World

BROKEN_SETTINGS = "app/settings/__init__.py"
"""The sample commit that breaks the service lays this over the module of that name (page/js/samples.js)."""
HEADLINE = re.compile(r"\*\*[A-Z]+ ([a-z]+)\*\* · #(\d+)\n")
UNDERWAY = ("approved", "queued", "running", "interrupted")
WHO_MAY = "owner"


async def put_right(world: World, *, speed: float) -> None:
    """Nothing is cut or slow, the bot runs, no operation is under way or holds a lock, and main can be deployed."""
    await world.post("/chaos", {"on": False})
    await world.clear_faults()
    await world.clock(speed)
    await world.bot("start")
    await world.wait_ready()
    await world.until("every operation to have ended", lambda: all_ended(world), timeout_s=90)
    try:
        await world.push({BROKEN_SETTINGS: None}, "Take the payment key away again")
    except Refusal as error:
        if error.status != 404:  # 404: nobody has pushed the broken version, or it was taken away again.
            raise


async def all_ended(world: World) -> bool:
    """Whether no operation is under way. One that waits for a human gets one: it is closed."""
    underway = [(number, status) for number, status in (await standings(world)).items() if status in UNDERWAY]
    for number, status in underway:
        if status == "interrupted":
            await world.ask(WHO_MAY, "ops close", operation=number, reason="Looked at: nothing of it is under way.")
    return not underway


async def standings(world: World) -> dict[str, str]:
    """How each operation stands by its card, such as `succeeded`, by its number."""
    headlines = [HEADLINE.match(message.text) for message in await world.messages()]
    return {found[2]: found[1] for found in headlines if found}

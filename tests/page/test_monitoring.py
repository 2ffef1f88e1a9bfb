"""The monitoring box of the world panel, where nothing measures: a click stops a service, another posts a payload."""

import aiohttp
from playwright.async_api import expect

from tests.page.visitor import Visitor
from tests.story.world_driver import World


async def status_of(world: World, environment: str) -> int:
    url = f"{await world.service_url(environment)}/health"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status


async def test_a_click_stops_the_service_of_one_environment_and_another_one_starts_it(
    visitor: Visitor, world: World
) -> None:
    await visitor.page.get_by_role("radio", name="dev", exact=True).check()
    switch = visitor.page.get_by_role("switch", name="Stop the app")
    await expect(switch).to_have_attribute("aria-checked", "false")
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "true")
    try:
        assert await status_of(world, "dev") in (502, 503)
        assert await status_of(world, "prod") == 200
    finally:
        await switch.click()
        await expect(switch).to_have_attribute("aria-checked", "false")

    async def back() -> bool:
        return await status_of(world, "dev") == 200

    await world.until("the service to be back", back)


async def test_a_captured_alert_is_posted_by_a_click_and_shown_in_its_channel(visitor: Visitor, world: World) -> None:
    assert (await world.get("/monitoring"))["present"] is False
    await expect(visitor.page.get_by_text("Nothing measures here.")).to_be_visible()
    await visitor.page.get_by_role("button", name="firing-single").click()
    await world.card("AppDown", "[1 firing / 1]", channel="alerts-critical")
    await visitor.page.get_by_role("button", name="resolved-single").click()
    await world.card("AppDown", "RESOLVED", channel="alerts-critical")

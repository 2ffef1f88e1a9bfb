"""The page asks and is told at the same time: what the stream has told stays, however late an older answer comes."""

from playwright.async_api import expect

from tests.page.late import late
from tests.page.visitor import Visitor
from tests.story.steps import asked, card_of, green, new_commit
from tests.story.world_driver import World


async def test_a_late_answer_takes_no_message_back(visitor: Visitor, world: World) -> None:
    await green(world, await new_commit(world))
    first = await asked(world, "dev", "prod")
    await expect(visitor.card(first)).to_contain_text("waiting")
    async with late(visitor.page, "messages?channel=ops") as answers:
        await visitor.become("sre")
        await answers.there()
        await world.ask("dev", "ops cancel", operation=first.lstrip("#"))
        await card_of(world, first, "cancelled")
        second = await asked(world, "dev2", "prod")
        await expect(visitor.card(first)).to_contain_text("cancelled")
        await expect(visitor.card(second)).to_be_visible()
    assert "cancelled" in await visitor.card(first).inner_text()
    assert await visitor.card(second).count() == 1


async def test_a_late_answer_takes_no_request_back(visitor: Visitor, world: World) -> None:
    page = visitor.page
    discord = (await world.part("discord"))["url"]
    async with late(page, "requests?") as answers:
        await page.reload()
        await answers.there()
        assert (await page.request.get(f"{discord}/users/@me")).status == 401
        mine = (
            page.get_by_label("Newest requests first").locator(".request", has_text="/users/@me").filter(has_text="401")
        )
        await expect(mine).to_be_visible()
    assert await mine.count() == 1

"""The main job, done in a browser: ask, approve as another member, watch, refuse; at a desk and on a phone."""

import pytest
from playwright.async_api import expect

from tests.page.visitor import RUN_MS, Visitor
from tests.story.steps import green, new_commit
from tests.story.world_driver import World


async def deploys_to_prod_with_approval(visitor: Visitor, world: World) -> None:
    sha = await green(world, await new_commit(world))
    await visitor.become("dev")
    operation = await visitor.click_deploy(service="app", environment="prod", ref="main")
    card = visitor.card(operation)
    await expect(card).to_contain_text("waiting")
    await expect(card).to_contain_text(sha[:7])
    await visitor.become("sre")
    await visitor.press(operation, "Approve")
    await expect(card).to_contain_text("succeeded", timeout=RUN_MS)
    assert (await world.health("prod"))["commit"] == sha


async def test_a_deploy_to_prod_is_asked_for_approved_and_watched_by_clicking_alone(
    visitor: Visitor, world: World
) -> None:
    await deploys_to_prod_with_approval(visitor, world)


async def test_the_same_works_at_the_width_of_a_phone(phone_visitor: Visitor, world: World) -> None:
    await deploys_to_prod_with_approval(phone_visitor, world)
    page = phone_visitor.page
    wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wide, "the page can be scrolled sideways on a phone"


@pytest.mark.parametrize("way", ["typed", "pasted"])
@pytest.mark.parametrize("line", ["/deploy app dev main", "/deploy service:app environment:dev ref:main"])
async def test_a_whole_line_deploys_to_dev(visitor: Visitor, world: World, line: str, way: str) -> None:
    sha = await green(world, await new_commit(world))
    await visitor.become("dev")
    operation = await (visitor.type_line(line) if way == "typed" else visitor.paste_line(line))
    await expect(visitor.card(operation)).to_contain_text("succeeded", timeout=RUN_MS)
    assert (await world.health("dev"))["commit"] == sha


async def test_denying_opens_a_dialog_that_wants_a_reason_and_the_card_then_gives_it(
    visitor: Visitor, world: World
) -> None:
    await green(world, await new_commit(world))
    await visitor.become("dev")
    operation = await visitor.click_deploy(service="app", environment="prod", ref="main")
    await visitor.become("sre")
    await visitor.press(operation, "Deny…")
    dialog = visitor.page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("button", name="Submit").click()
    await expect(dialog).to_contain_text("This field is required")
    await dialog.get_by_role("textbox").fill("The freeze ends on Monday")
    await dialog.get_by_role("button", name="Submit").click()
    await expect(dialog).to_be_hidden()
    card = visitor.card(operation)
    await expect(card).to_contain_text("denied")
    await expect(card).to_contain_text("The freeze ends on Monday")


async def test_a_refusal_is_seen_by_the_one_who_pressed_and_by_nobody_else(visitor: Visitor, world: World) -> None:
    await green(world, await new_commit(world))
    await visitor.become("dev")
    operation = await visitor.click_deploy(service="app", environment="prod", ref="main")
    before = await visitor.private_answers.count()
    await visitor.press(operation, "Approve")
    refusal = visitor.private_answers.nth(before)
    await expect(refusal).to_contain_text("sre")
    words = (await refusal.locator(".components, .text").first.inner_text()).strip()
    await visitor.become("guest")
    await expect(visitor.card(operation)).to_contain_text("waiting")
    await expect(visitor.page.get_by_text(words.splitlines()[0])).to_have_count(0)
    await visitor.become("dev")
    await expect(refusal).to_be_visible()
    await refusal.get_by_role("button", name="Dismiss message").click()
    await expect(visitor.private_answers).to_have_count(before)

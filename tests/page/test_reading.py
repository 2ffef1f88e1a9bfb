"""What the page shows and how it can be reached: foreign text, unread marks, keys, a bot that is gone, a new world."""

import re

from playwright.async_api import expect

from tests.page.visitor import RUN_MS, Visitor
from tests.story.steps import green, new_commit
from tests.story.world_driver import World

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> [x](javascript:alert(1)) **b**"


async def test_foreign_text_in_a_card_stays_text(visitor: Visitor, world: World) -> None:
    await green(world, await new_commit(world, title=HOSTILE))
    await visitor.become("dev")
    operation = await visitor.click_deploy(service="app", environment="prod", ref="main")
    card = visitor.card(operation)
    await expect(card).to_contain_text("onerror")
    assert await card.locator("img[src='x'], a[href^='javascript']").count() == 0
    assert "owned" not in await visitor.page.title()


async def test_an_approver_elsewhere_gets_a_notice_and_a_mark_on_the_channel(visitor: Visitor, world: World) -> None:
    page = visitor.page
    await green(world, await new_commit(world))
    await visitor.become("sre")
    await page.get_by_role("button", name=re.compile("^channel general")).click()
    await world.ask("dev", "deploy", service="app", environment="prod", ref="main")
    await expect(page.get_by_role("button", name=re.compile(r"^channel ops, .*for you"))).to_be_visible()
    notice = page.locator(".toast.ping").last
    await expect(notice).to_be_visible()
    await notice.get_by_role("button").first.click()
    await expect(page.get_by_role("heading", name="#ops", exact=True).first).to_be_visible()
    await expect(page.get_by_role("button", name="channel ops", exact=True)).to_be_visible()


async def test_everything_can_be_done_with_the_keyboard(visitor: Visitor, world: World) -> None:
    page = visitor.page
    await visitor.become("dev")
    await visitor.open()
    before = await visitor.private_answers.count()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("combobox", name="Command line")).to_be_focused()
    await page.keyboard.type("/whoa")
    await expect(page.get_by_role("option", name="/whoami")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await expect(visitor.private_answers.nth(before)).to_contain_text("dev", timeout=RUN_MS)
    await page.get_by_role("button", name="Switch member").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("listbox", name="Act as")).to_be_focused()
    for key in ("End", "ArrowUp", "Enter"):
        await page.keyboard.press(key)
    await expect(page.get_by_role("button", name="You act as dev2.")).to_be_focused()


async def test_a_bot_that_is_stopped_does_not_respond_and_the_page_says_so(visitor: Visitor, world: World) -> None:
    page = visitor.page
    await visitor.become("dev")
    await world.bot("stop")
    try:
        await visitor.pick_command("ping")
        await visitor.run_command("ping")
        await expect(page.get_by_text("The application did not respond").last).to_be_visible()
    finally:
        await world.bot("start")
        await world.wait_ready()


async def test_what_the_world_refuses_is_said_in_a_notice(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.become("dev")
    await page.get_by_role("combobox", name="Command line").fill("hello")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("begin with /")


async def test_a_broken_version_from_the_panel_fails_and_the_next_good_one_runs(visitor: Visitor, world: World) -> None:
    page = visitor.page
    await visitor.become("dev")
    for name, outcome in (("Broken version", "failed"), ("Good version", "succeeded")):
        await page.get_by_role("button", name=name).click()
        await page.locator(".toast", has_text="Pushed to main").get_by_role("button", name="Close the notice").click()
        await green(world, "main")
        operation = await visitor.click_deploy(service="app", environment="dev", ref="main")
        await expect(visitor.card(operation)).to_contain_text(outcome, timeout=RUN_MS)


async def test_a_fault_is_switched_on_and_off_in_the_panel(visitor: Visitor, world: World) -> None:
    switch = visitor.page.get_by_role("switch", name=re.compile("GitHub rate limit"))
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "true")
    assert [fault["kind"] for fault in (await world.get("/faults"))["faults"]] == ["rate_limit"]
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "false")
    assert (await world.get("/faults"))["faults"] == []

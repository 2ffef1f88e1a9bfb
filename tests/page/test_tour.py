"""The guided tour: with the keyboard alone, and on a phone by its own hands while the bot is killed under it."""

import re

import pytest
from playwright.async_api import expect

from tests.page.conftest import SPEED
from tests.page.late import late
from tests.page.visitor import RUN_MS, Visitor
from tests.story.steps import asked, card_of, cards_of, ended, green, mark, new_commit
from tests.story.world_driver import World

STEPS = ("Deploy to dev", "Approve for prod", "Break a deploy", "Take an alert", "Pull the plug")
MANY_TABS = 40
QUICK = 40.0
"""Builds take a fifth of a second, where they are not what is looked at."""
AS_THE_ROLLOUT_IS_FOLLOWED = {"part": "aws", "kind": "kill", "match": "ssm:GetCommandInvocation", "when": "after"}
"""Where a killed bot can always go on. At other instants it may have to ask a human, as it should: between the words
that something is sent and its arrival nobody knows whether it was."""
WORDS = """() => {
    const node = document.activeElement;
    return `${node.getAttribute("aria-label") ?? ""} ${node.textContent}`;
}"""

LISTEN_TO_THE_TOUR = """
    window.told = [];
    const tell = (words) => { if (words && words !== window.told.at(-1)) window.told.push(words); };
    new MutationObserver(() => {
        tell(document.querySelector(".tour-count")?.textContent);
        const said = document.getElementById("announcer")?.textContent ?? "";
        if (said.startsWith("Tour:")) tell(said);
    }).observe(document, {childList: true, subtree: true, characterData: true});
"""


class Keys:
    """A visitor without a mouse."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.page = visitor.page

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def focused(self) -> str:
        return str(await self.page.evaluate(WORDS))

    async def to_tour(self, button: str) -> None:
        """Go to the tour by F6, and on to one of its buttons by Tab."""
        await expect(self.visitor.tour.get_by_role("button", name=button)).to_be_enabled(timeout=RUN_MS)
        await self.page.keyboard.press("F6")
        for _ in range(MANY_TABS):
            if button in await self.focused():
                return
            inside = await self.page.evaluate("document.getElementById('tour').contains(document.activeElement)")
            await self.page.keyboard.press("Tab" if inside else "F6")
        raise AssertionError(f"the keyboard does not reach {button!r}")

    async def send(self) -> None:
        """Enter, and again while it only took a suggestion."""
        form = self.page.locator(".command-form")
        await expect(form).to_be_visible()
        for _ in range(4):
            await self.page.keyboard.press("Enter")
            if not await form.count():
                return
        raise AssertionError("the command was not sent")

    async def command(self, button: str) -> None:
        await self.to_tour(button)
        await self.press("Enter")
        await self.send()


async def done(visitor: Visitor, number: int) -> None:
    await expect(visitor.step(number, STEPS[number - 1], done=True)).to_be_visible(timeout=RUN_MS)


async def test_the_whole_tour_is_gone_through_with_the_keyboard_alone(visitor: Visitor, world: World) -> None:
    keys, page = Keys(visitor), visitor.page
    await world.clock(QUICK)
    await green(world, await new_commit(world))
    await visitor.begin_tour()
    await keys.command("Lay the command ready")
    await done(visitor, 1)

    await keys.command("Lay the command ready")
    await keys.to_tour("Become sre, show the card")
    await keys.press("Enter")
    await expect(page.get_by_role("button", name="You act as sre.")).to_be_visible()
    assert (await keys.focused()).strip() == "Approve"
    await keys.press("Enter")
    await done(visitor, 2)

    await keys.command("Push it, lay the command ready")
    await expect(visitor.tour.locator(".task.done")).to_have_count(1, timeout=RUN_MS)
    await keys.command("Lay the command ready")
    await done(visitor, 3)

    await keys.to_tour("Make it fire, show its channel")
    await keys.press("Enter")
    await keys.to_tour("Become sre, show the card")
    await keys.press("Enter")
    assert (await keys.focused()).strip() == "Ack"
    await keys.press("Enter")
    await keys.to_tour("End it, show the card")
    await keys.press("Enter")
    await done(visitor, 4)

    await world.clock(1.0)
    try:
        await keys.command("Push a version, lay the command ready")
        await keys.to_tour("Show the switch")
        await keys.press("Enter")
        assert "Discord refuses" in await keys.focused()
        await keys.press(" ")
        await keys.to_tour("Show the card")
        await world.clock(SPEED)
        switch = page.get_by_role("switch", name=re.compile("Discord refuses"))
        await switch.focus()
        await keys.press(" ")
        await done(visitor, 5)
    finally:
        await world.clock(SPEED)
        await world.clear_faults()
    await expect(visitor.tour).to_contain_text("5 of 5 done")

    await keys.to_tour("Show the chaos switch")
    while "Close the tour" not in await keys.focused():
        await keys.press("Shift+Tab")
    await keys.press("Enter")
    await expect(visitor.tour).to_be_hidden()
    assert (await keys.focused()).strip() == "Tour"
    await keys.press("Enter")
    await expect(visitor.tour).to_contain_text("5 of 5 done")


async def test_on_a_phone_the_tour_does_it_all_by_itself_while_the_bot_is_killed(
    phone_visitor: Visitor, world: World
) -> None:
    page, tour = phone_visitor.page, phone_visitor.tour
    await world.clock(QUICK)
    await green(world, await new_commit(world))
    await phone_visitor.begin_tour()
    for number, title in enumerate(STEPS, 1):
        await expect(phone_visitor.step(number, title, done=False)).to_be_visible()
        before = {m.operation for m in await world.messages()}
        killed = await kills(world)
        if number == len(STEPS):
            await world.clock(SPEED)
        if number in (1, 2):
            await world.post("/faults", AS_THE_ROLLOUT_IS_FOLLOWED | {"times": 1})
        await tour.get_by_role("button", name="Do it for me").tap()
        if number in (1, 2):
            operation = await world.until("a card", lambda known=before: _new_card(world, known))
            await world.until("the kill", lambda known=killed: _one_more(world, known), timeout_s=90)
            await world.bot("start")
            await done(phone_visitor, number)
            assert len(await cards_of(world, operation)) == 1
        await done(phone_visitor, number)
        wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, f"the page can be scrolled sideways at step {number}"
    await expect(tour).to_contain_text("5 of 5 done")
    await page.reload()
    await expect(tour).to_contain_text("5 of 5 done")


async def kills(world: World) -> int:
    """How often the bot was killed so far."""
    return int((await world.get("/chaos"))["killed"])


async def _one_more(world: World, known: int) -> bool:
    return await kills(world) > known


async def _new_card(world: World, known: set[str]) -> str | None:
    fresh = [m.operation for m in await world.messages() if m.operation and m.operation not in known]
    return fresh[0] if fresh else None


async def test_a_step_is_ticked_by_whoever_does_it_and_by_nothing_else(visitor: Visitor, world: World) -> None:
    await green(world, await new_commit(world))
    await visitor.begin_tour()
    await expect(visitor.step(1, STEPS[0], done=False)).to_be_visible()
    await world.ask("dev2", "deploy", service="app", environment="dev", ref="main")
    await done(visitor, 1)
    await expect(visitor.step(2, STEPS[1], done=False)).to_be_visible()


async def test_only_a_discord_that_is_away_pulls_the_plug_and_a_reload_tells_no_old_news(
    visitor: Visitor, world: World
) -> None:
    page, reached = visitor.page, visitor.tour.locator(".task.done")
    await world.clock(QUICK)
    await green(world, await new_commit(world))
    await visitor.begin_tour()
    operation = await asked(world, "dev", "prod")
    card = await card_of(world, operation, "waiting")
    await visitor.step(5, STEPS[4], done=False).click()
    for kind in ("lost_reply", "kill"):
        await talk_into(world, kind)
    await world.bot("start")
    cut = page.get_by_label("Newest requests first").get_by_text("cut", exact=True)
    await expect(cut.nth(1)).to_be_visible()
    await expect(reached).to_have_count(0)
    await talk_into(world, "refuse")
    await expect(reached).to_have_count(2)
    await world.settle(await world.press("sre", card, "Approve"))
    assert "succeeded" in (await ended(world, operation)).text
    await done(visitor, 2)
    await done(visitor, 5)

    await page.add_init_script(LISTEN_TO_THE_TOUR)
    for question in ("messages?channel=ops", "requests?"):
        async with late(page, question) as answers:
            await page.reload()
            await answers.there()
            await expect(visitor.tour.locator(".tour-count")).to_have_count(0)
        await expect(visitor.tour).to_contain_text("2 of 5 done")
        assert await page.evaluate("window.told") == ["2 of 5 done"]


async def talk_into(world: World, kind: str) -> None:
    """Have the bot answer a member just as Discord misbehaves so."""
    before = await mark(world, "discord")
    await world.fault("discord", kind, match="POST .*/callback", times=1)

    async def met() -> bool:
        await world.ask("dev2", "ping")
        return kind in {request["fault"] for request in await world.requests("discord", after=before)}

    await world.until(f"a {kind} of Discord", met, timeout_s=60)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [("the host", "DEPLOY failed"), ("the dispatch", "DEPLOY interrupted")],
)
async def test_the_tour_ends_at_once_with_the_words_of_a_card_that_ended_badly(
    visitor: Visitor, world: World, trouble: str, words: str
) -> None:
    await green(world, await new_commit(world))
    await visitor.begin_tour()
    if trouble == "the host":
        await world.host_outcome(document="quarterdeck-deploy", exit_code=1, seconds=1, times=1)
    else:
        await world.fault("github", "status", match="POST .*/dispatches", status=502, times=1)
    await visitor.tour.get_by_role("button", name="Do it for me").click()
    notice = visitor.page.get_by_role("alert").filter(has_text="The tour cannot go on by itself")
    await expect(notice).to_contain_text(words)
    await expect(notice).to_contain_text("app > dev")
    await expect(visitor.tour.get_by_role("button", name="Do it for me")).to_be_enabled()
    await expect(visitor.step(1, STEPS[0], done=False)).to_be_visible()


@pytest.mark.parametrize("member", ["guest"])
async def test_the_tour_says_why_it_cannot_go_on(visitor: Visitor, world: World, member: str) -> None:
    page = visitor.page
    await visitor.begin_tour()
    await world.bot("stop")
    try:
        await visitor.become(member)
        await visitor.tour.get_by_role("button", name="Do it for me").click()
        await expect(page.get_by_role("button", name="You act as dev.")).to_be_visible()
        await expect(page.get_by_text("The application did not respond").last).to_be_visible()
        await visitor.tour.get_by_role("button", name="Stop").click()
        await expect(visitor.tour.get_by_role("button", name="Do it for me")).to_be_enabled()
    finally:
        await world.bot("start")
        await world.wait_ready()

"""A thousand messages in a channel and a hundred presses in flight: the page stays usable, and how quick it is then is
measured by the browser itself and written into the report. No time is asserted: the machine decides that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from playwright.async_api import Browser, Page, expect

from tests.page.conftest import DESKTOP
from tests.page.gallery_bot import CROWD
from tests.page.visitor import Visitor
from tests.story.world_driver import World

MESSAGES = 1000
PRESSES = 100
SHOWN_FIRST = 100
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
EPOCH_MS = 1_420_070_400_000
"""Where Discord's ids begin to count (documentation, "Snowflakes"): an id says when its message was taken."""
DELAY_MS = """([words, epoch_ms]) => new Promise((resolve) => {
    const list = document.getElementById("messages");
    const look = () => {
        const row = [...list.querySelectorAll(":scope > [data-id]")].at(-1);
        if (!row?.textContent.includes(words)) return;
        const taken_ms = Number(BigInt(row.dataset.id) >> 22n) + epoch_ms;
        requestAnimationFrame(() => resolve(performance.timeOrigin + performance.now() - taken_ms));
    };
    new MutationObserver(look).observe(list, {childList: true, subtree: true});
})"""
PRESS_ALL = """(most) => {
    const all = [...document.querySelectorAll("#messages .button")];
    const last = all.filter((one) => one.textContent.startsWith("Press")).slice(-most);
    for (const one of last) one.click();
    return last.length;
}"""

Record = Callable[[str, object], None]


@pytest.fixture
async def crowded(gallery: World) -> AsyncIterator[World]:
    """The gallery with a thousand messages in #alerts; Discord's own pace would take a quarter of an hour for them."""
    quick = {"requests": 10_000, "per_s": 1.0}
    await gallery.send("PUT", "/discord/limits", {"posts": quick, "overall": quick, "webhook": quick})
    await gallery.ask("dev", "flood", "alerts", count=MESSAGES)

    async def all_there() -> bool:
        return len(await gallery.messages("alerts", limit=1000)) >= MESSAGES

    await gallery.until("a thousand messages", all_there, timeout_s=60)
    yield gallery
    await gallery.send("PUT", "/discord/limits", {"reset": True})


async def delay_ms(page: Page, world: World, words: str) -> int:
    """From the moment at which Discord took a message to the frame that shows it."""
    watching = asyncio.create_task(page.evaluate(DELAY_MS, [words, EPOCH_MS]))
    await page.evaluate("0")
    await world.command("dev2", "tell", "alerts", words=words)
    return round(float(await watching))


async def test_a_thousand_messages_and_a_hundred_presses_leave_the_page_usable(
    browser: Browser, crowded: World, record_property: Record
) -> None:
    context = await browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, reduced_motion="reduce")
    page = await context.new_page()
    one = Visitor(page, crowded.url)
    await one.open()
    await one.become("dev")
    await one.go("alerts")
    await page.reload()
    await expect(page.locator("#messages > .message")).to_have_count(SHOWN_FIRST)
    record_property("the page, first paint (ms)", round(float(await page.evaluate(FIRST_PAINT))))
    await page.get_by_role("button", name="Show earlier messages").click()
    await expect(page.locator("#messages > .message")).to_have_count(MESSAGES)
    await page.evaluate("document.getElementById('scroll').scrollTo({top: 1e9, behavior: 'instant'})")
    delays = [await delay_ms(page, crowded, f"calm {number}") for number in range(3)]
    record_property(f"the page, a new message among {MESSAGES} is shown after (ms)", delays)

    await crowded.ask("dev", "crowd", "alerts")
    await expect(page.get_by_role("button", name=f"Press {CROWD - 1}", exact=True)).to_have_count(PRESSES // CROWD)
    assert await page.evaluate(PRESS_ALL, PRESSES) == PRESSES
    busy = page.locator("#messages [aria-busy=true]")
    await expect(busy).to_have_count(PRESSES)
    delay = await delay_ms(page, crowded, "busy now")
    record_property(f"the page, a new message with {PRESSES} presses in flight is shown after (ms)", delay)
    await page.get_by_role("combobox", name="Command line").fill("/tel")
    await expect(page.get_by_role("option", name="/tell")).to_be_visible()
    await expect(busy).to_have_count(0)
    await expect(page.locator("#messages .failure")).to_have_count(0)
    await context.close()

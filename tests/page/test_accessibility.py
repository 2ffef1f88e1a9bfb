"""axe-core, which others wrote, looks at the page in its many states and finds nothing serious or critical."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.page.conftest import DESKTOP, PHONE
from tests.page.visitor import Visitor
from tests.story.world_driver import World

AXE = Path(__file__).resolve().parents[2] / ".cache" / "foreign" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .map(({id, impact, nodes}) => ({id, impact, nodes: nodes.map((one) => `${one.html} ${one.failureSummary}`)}))"""
GRAVE = ("serious", "critical")


async def faults(page: Page) -> list[dict[str, Any]]:
    """What axe holds to be serious or critical in the page as it stands."""
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate(RUN)
    return [one for one in found if one["impact"] in GRAVE]


@pytest.fixture(
    params=[("dark", DESKTOP), ("light", DESKTOP), ("dark", PHONE), ("light", PHONE)],
    ids=["dark", "light", "dark phone", "light phone"],
)
async def onlooker(request: pytest.FixtureRequest, browser: Browser, gallery: World) -> AsyncIterator[Visitor]:
    """Somebody who looks at the page by day or by night, at a desk or on a phone."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (.ci/foreign installs it)")
    scheme, size = request.param
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    one = Visitor(await context.new_page(), gallery.url)
    await one.open()
    yield one
    await context.close()


async def test_no_serious_fault_in_any_state_of_the_page(onlooker: Visitor, gallery: World) -> None:
    page, found = onlooker.page, {}
    found["with the tour"] = await faults(page)
    await gallery.ask("dev", "everything", "ops")
    await gallery.ask("dev", "classic", "ops")
    await gallery.ask("dev", "thread", "ops")
    await expect(page.get_by_role("heading", name="Everything").last).to_be_visible()
    await onlooker.tour.get_by_role("button", name="Close the tour").click()
    found["with messages of every kind"] = await faults(page)
    await page.get_by_role("button", name="Fruit", exact=True).last.click()
    found["with a list of options"] = await faults(page)
    await page.keyboard.press("Escape")
    await page.get_by_role("combobox", name="Command line").fill("/pick")
    found["with the list of commands"] = await faults(page)
    await page.keyboard.press("Enter")
    found["with a command's chips"] = await faults(page)
    await page.get_by_role("button", name="Leave this command").click()
    for name in ("words", "things"):
        await page.get_by_role("combobox", name="Command line").fill(f"/{name}")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_be_visible()
        await dialog.get_by_role("button", name="Submit").click()
        found[f"with the modal {name} and what it lacks"] = await faults(page)
        await dialog.get_by_role("button", name="Cancel").click()
    switcher = page.get_by_role("button", name="Switch member").locator("visible=true")
    await switcher.click()
    found["with the member switcher"] = await faults(page)
    await page.keyboard.press("Escape")
    toggle = page.get_by_role("button", name="World", exact=True)
    if await toggle.get_attribute("aria-expanded") == "false":
        await toggle.click()
    found["with the world panel"] = await faults(page)
    said = [f"{state}: {one['id']}: {node}" for state, all_ in found.items() for one in all_ for node in one["nodes"]]
    assert not said, "\n".join(said)

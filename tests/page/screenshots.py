"""Makes the README's pictures from a running demo: `python -m tests.page.screenshots [URL [FOLDER]]`.

It plays a short story as members do (the guided tour's first step, a request for prod that waits, its approval, a
processor that is busy, chaos) and takes pictures on the way, at a desk and on a phone, dark and light. When no demo
runs at the address it starts a world of its own for them; without Prometheus and Alertmanager there is none of the
alert. Where `pngquant` is installed it makes them small.
"""

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

import aiohttp
from playwright.async_api import Browser, async_playwright, expect

from bot.sandbox.monitoring.part import PROGRAMS
from tests.page.conftest import ARGUMENTS, DESKTOP, PHONE, chromium_path
from tests.page.visitor import RUN_MS, Visitor
from tests.story.world_driver import World

URL = "http://127.0.0.1:8700"
FOLDER = Path(__file__).resolve().parents[2] / ".github" / "screenshots"
SPEED = 3.0
"""Of the world that is started here: quick, and still slow enough to be seen at work."""
ROUNDS = 12
KILLS = 3
CRITICAL = "alerts-critical"
ENDED = re.compile("succeeded|failed|interrupted")


async def _visitor(browser: Browser, url: str, size: tuple[int, int], scheme: str, *, tour: bool = False) -> Visitor:
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="light" if scheme == "light" else "dark",
        reduced_motion="reduce",
        is_mobile=size == PHONE,
        has_touch=size == PHONE,
    )
    visitor = Visitor(await context.new_page(), url)
    await visitor.open()
    if not tour:
        await visitor.tour.get_by_role("button", name="Close the tour").click()
    return visitor


async def _shoot(visitor: Visitor, folder: Path, name: str) -> None:
    path = folder / f"{name}.png"
    page = visitor.page
    await page.mouse.move(0, 0)
    # A picture is no place for a ring around what was pressed last, nor for a notice that is about to go.
    await page.evaluate("document.activeElement?.matches('input') || document.activeElement?.blur()")
    await page.evaluate("document.querySelectorAll('.toast').forEach((one) => one.remove())")
    await page.screenshot(path=path)
    if small := shutil.which("pngquant"):
        command = [small, "--force", "--quality=80-98", "--strip", "--output", str(path), str(path)]
        subprocess.run(command, check=True, timeout=60)
    print(f"{path} {path.stat().st_size // 1024} KiB")


async def _ask_for_prod(desk: Visitor, folder: Path) -> str:
    await desk.pick_command("deploy")
    await desk.pick_value("service", "app")
    await desk.page.get_by_role("button", name="Add ref:").click()
    await expect(desk.page.locator(".suggest-item").nth(2)).to_be_visible()
    await _shoot(desk, folder, "desktop-picker")
    await desk.page.get_by_role("button", name="Leave this command").click()
    operation = await desk.click_deploy(service="app", environment="prod", ref="main")
    await expect(desk.card(operation)).to_contain_text("waiting")
    return operation


async def _approve(browser: Browser, url: str, operation: str, folder: Path) -> None:
    desk = await _visitor(browser, url, DESKTOP, "dark")
    await desk.become("sre")
    await desk.card(operation).scroll_into_view_if_needed()
    await _shoot(desk, folder, "desktop-waiting")
    phone = await _visitor(browser, url, PHONE, "dark")
    await phone.become("sre")
    await phone.card(operation).scroll_into_view_if_needed()
    await _shoot(phone, folder, "phone-waiting")
    await phone.press(operation, "Approve")
    await expect(phone.card(operation)).to_contain_text("running", timeout=RUN_MS)
    await _shoot(phone, folder, "phone-running")
    await expect(phone.card(operation)).to_contain_text("succeeded", timeout=RUN_MS)
    await _shoot(phone, folder, "phone-succeeded")
    light = await _visitor(browser, url, DESKTOP, "light")
    await light.become("dev")
    await _shoot(light, folder, "desktop-light")


async def _alert(browser: Browser, url: str, desk: Visitor, folder: Path) -> None:
    """Burn the processor of prod right after its deploy, and look at what comes of it."""
    if not await _burn(url, on=True):
        print("no pictures of an alert: nothing measures in that world")
        return
    await desk.go(CRITICAL)
    card = desk.page.locator(".card", has_text="HighCPUUsage").last
    await expect(card.locator("img")).to_be_visible(timeout=RUN_MS)
    await expect(desk.page.locator(".message", has_text="On watch")).to_contain_text("HighCPUUsage", timeout=RUN_MS)
    await card.scroll_into_view_if_needed()
    await _shoot(desk, folder, "desktop-alert")
    phone = await _visitor(browser, url, PHONE, "dark")
    await phone.become("sre")
    await phone.page.get_by_role("button", name="Open the channel list").click()
    await phone.go(CRITICAL)
    await phone.page.locator(".card", has_text="HighCPUUsage").last.scroll_into_view_if_needed()
    await _shoot(phone, folder, "phone-alert")
    await _burn(url, on=False)
    await desk.go("ops")


async def _burn(url: str, *, on: bool) -> bool:
    """Have the host of prod measure a busy processor; False where nothing measures."""
    body = {"lever": "burn_cpu", "environment": "prod", "on": on, "severity": "critical"}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/control/v1/monitoring", json=body) as answer:
        return answer.status == 200


async def _chaos(desk: Visitor, folder: Path) -> None:
    """Work a little while the bot is killed, and show what it cost."""
    page = desk.page
    await desk.become("dev")
    switch = page.get_by_role("switch", name=re.compile("^Chaos"))
    await switch.click()
    killed = page.locator("[data-figure=killed]")
    for _ in range(ROUNDS):
        await page.get_by_role("button", name="Good version").click()
        await desk.paste_into_line("/deploy app dev main")
        await asyncio.sleep(3)
        await expect(page.locator(".message:not(.ephemeral) .card").last).to_contain_text(ENDED, timeout=RUN_MS)
        for dismiss in (await page.get_by_role("button", name="Dismiss message").all())[::-1]:
            await dismiss.click()
        if int(re.sub(r"\D", "", await killed.inner_text()) or 0) >= KILLS:
            break
    await expect(page.locator("#ready")).to_have_text("", timeout=RUN_MS)
    await page.locator(".world-section", has=page.locator(".chaos")).scroll_into_view_if_needed()
    await _shoot(desk, folder, "desktop-chaos")
    await switch.click()


async def _play(browser: Browser, url: str, folder: Path) -> None:
    desk = await _visitor(browser, url, DESKTOP, "dark", tour=True)
    await desk.tour.get_by_role("button", name="Do it for me").click()
    await expect(desk.tour).to_contain_text("1 of 5 done", timeout=RUN_MS)
    await _shoot(desk, folder, "desktop-tour")
    phone = await _visitor(browser, url, PHONE, "light", tour=True)
    await _shoot(phone, folder, "phone-tour")
    await desk.tour.get_by_role("button", name="Close the tour").click()
    await _approve(browser, url, await _ask_for_prod(desk, folder), folder)
    await _alert(browser, url, desk, folder)
    await _chaos(desk, folder)


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/control/v1/state") as answer:
            return bool((await answer.json())["ready"])
    except (aiohttp.ClientError, ValueError, KeyError):
        return False


async def main(url: str, folder: Path) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    path = chromium_path()
    if path is None:
        sys.exit("Chromium is not installed (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        if await _answers(url):
            await _play(browser, url, folder)
        else:
            measured = all(program.find() for program in PROGRAMS.values())
            async with World(speed=SPEED, validate=False, monitoring=measured) as world:
                await _play(browser, world.url, folder)
        await browser.close()


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(main(given[0] if given else URL, Path(given[1]) if len(given) > 1 else FOLDER))

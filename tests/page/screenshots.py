"""Makes the README's pictures from a demo that is running: `python -m tests.page.screenshots [URL [FOLDER]]`.

It plays a short story as members do (a deploy to dev, one to prod that waits, its approval) and takes pictures on the
way, at a desk and on a phone. Where `pngquant` is installed it makes them small.
"""

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.async_api import Browser, async_playwright, expect

from tests.page.conftest import ARGUMENTS, DESKTOP, PHONE, chromium_path
from tests.page.visitor import RUN_MS, Visitor

URL = "http://127.0.0.1:8700"
FOLDER = Path(__file__).resolve().parents[2] / ".github" / "screenshots"


async def _visitor(browser: Browser, url: str, size: tuple[int, int], scheme: str) -> Visitor:
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="light" if scheme == "light" else "dark",
        reduced_motion="reduce",
        is_mobile=size == PHONE,
        has_touch=size == PHONE,
    )
    visitor = Visitor(await context.new_page(), url)
    await visitor.open()
    return visitor


async def _shoot(visitor: Visitor, folder: Path, name: str) -> None:
    path = folder / f"{name}.png"
    await visitor.page.mouse.move(0, 0)
    await visitor.page.screenshot(path=path)
    if small := shutil.which("pngquant"):
        command = [small, "--force", "--quality=80-98", "--strip", "--output", str(path), str(path)]
        subprocess.run(command, check=True, timeout=60)
    print(f"{path} {path.stat().st_size // 1024} KiB")


async def _play(browser: Browser, url: str, folder: Path) -> None:
    desk = await _visitor(browser, url, DESKTOP, "dark")
    await desk.become("dev")
    first = await desk.click_deploy(service="app", environment="dev", ref="main")
    await expect(desk.card(first)).to_contain_text(re.compile("succeeded|failed"), timeout=RUN_MS)
    await desk.pick_command("deploy")
    await desk.pick_value("service", "app")
    await desk.page.get_by_role("button", name="Add ref:").click()
    await expect(desk.page.locator(".suggest-item").first).to_be_visible()
    await _shoot(desk, folder, "desktop-picker")
    await desk.page.get_by_role("button", name="Leave this command").click()
    second = await desk.click_deploy(service="app", environment="prod", ref="main")
    await expect(desk.card(second)).to_contain_text("waiting")
    await desk.become("sre")
    await desk.card(second).scroll_into_view_if_needed()
    await _shoot(desk, folder, "desktop-waiting")
    phone = await _visitor(browser, url, PHONE, "dark")
    await phone.become("sre")
    await phone.card(second).scroll_into_view_if_needed()
    await _shoot(phone, folder, "phone-waiting")
    await phone.press(second, "Approve")
    await expect(phone.card(second)).to_contain_text("running", timeout=RUN_MS)
    await _shoot(phone, folder, "phone-running")
    await expect(phone.card(second)).to_contain_text("succeeded", timeout=RUN_MS)
    await _shoot(phone, folder, "phone-succeeded")
    light = await _visitor(browser, url, DESKTOP, "light")
    await _shoot(light, folder, "desktop-light")


async def main(url: str, folder: Path) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    path = chromium_path()
    if path is None:
        sys.exit("Chromium is not installed (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        await _play(browser, url, folder)
        await browser.close()


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(main(given[0] if given else URL, Path(given[1]) if len(given) > 1 else FOLDER))

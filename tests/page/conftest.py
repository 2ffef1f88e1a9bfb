"""A real browser in front of a real world. Without Chromium these tests are skipped, and say so."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.page.aftermath import put_right
from tests.page.visitor import Visitor
from tests.story.world_driver import World

SPEED = 8.0
"""Builds take one second instead of eight."""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP, PHONE = (1280, 800), (390, 844)
TIMEOUT_MS = 60_000


def chromium_path() -> Path | None:
    """Where the system's Chromium lies; `QUARTERDECK_CHROMIUM` names another one."""
    named = os.environ.get("QUARTERDECK_CHROMIUM")
    found = named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return Path(found) if found else None


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, once for all tests of this folder."""
    path = chromium_path()
    if path is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    expect.set_options(timeout=TIMEOUT_MS)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield chromium
        await chromium.close()


@pytest.fixture(scope="session")
async def shared_world(browser: Browser) -> AsyncIterator[World]:
    """One world for all tests of this folder; it is asked for after the browser, so that a skip starts nothing."""
    async with World(speed=SPEED) as world:
        yield world


@pytest.fixture
async def world(shared_world: World) -> AsyncIterator[World]:
    """The shared world; whatever becomes of the test, the next one finds it in order."""
    try:
        yield shared_world
    finally:
        await put_right(shared_world, speed=SPEED)


@pytest.fixture(scope="session")
async def gallery(browser: Browser) -> AsyncIterator[World]:
    """A world whose bot shows every kind of component and field; it has a port of its own, so that it can come back."""
    world = World(speed=SPEED)
    try:
        await world.start("--bot-module", "tests.page.gallery_bot")
        yield world
    finally:
        await world.__aexit__()


@pytest.fixture(scope="module")
async def guest(browser: Browser, gallery: World) -> AsyncIterator[Visitor]:
    """Somebody at a desk who has opened the page of the gallery."""
    async for one in _visit(browser, gallery, DESKTOP):
        yield one


@pytest.fixture
async def visitor(browser: Browser, world: World) -> AsyncIterator[Visitor]:
    """Somebody at a desk who has just opened the page."""
    async for one in _visit(browser, world, DESKTOP):
        yield one


@pytest.fixture(scope="module")
async def reader(browser: Browser, shared_world: World) -> AsyncIterator[Visitor]:
    """One open page for many tests that leave it as it is."""
    async for one in _visit(browser, shared_world, DESKTOP):
        yield one


@pytest.fixture
async def phone_visitor(browser: Browser, world: World) -> AsyncIterator[Visitor]:
    """Somebody with a phone who has just opened the page."""
    async for one in _visit(browser, world, PHONE):
        yield one


async def _visit(browser: Browser, world: World, size: tuple[int, int]) -> AsyncIterator[Visitor]:
    # The last card of the test before may have been there while the gateway was still on its way back.
    await world.wait_ready()
    on_phone = size == PHONE
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, is_mobile=on_phone, has_touch=on_phone, reduced_motion="reduce"
    )
    context.set_default_timeout(TIMEOUT_MS)
    troubles = _collect_troubles(context)
    one = Visitor(await context.new_page(), world.url)
    await _open(one, troubles)
    yield one
    await context.close()
    serious = [line for line in troubles if not any(word in line for word in one.forgiven)]
    assert not serious, f"the page complained: {serious}"


async def _open(one: Visitor, troubles: list[str]) -> None:
    """Open the page. Chromium drops what it is loading when a network interface of the machine comes or goes (another
    process starts a container, say); that says nothing of the page, so it is opened once more then."""
    try:
        await one.open()
    except AssertionError as error:
        if not any("ERR_NETWORK_CHANGED" in line for line in troubles):
            raise AssertionError(f"the page did not open; it said {troubles}") from error
        troubles.clear()
        await one.open()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the browser measured goes to the end of the report; no test fails for it."""
    lines = [
        f"{name}: {value}"
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if str(name).startswith("the page, ")
    ]
    if lines:
        terminalreporter.section("measured by the browser")
        for line in lines:
            terminalreporter.write_line(line)


def _collect_troubles(context: BrowserContext) -> list[str]:
    """Errors of scripts and what the browser refused to load, as they come."""
    troubles: list[str] = []
    context.on("weberror", lambda error: troubles.append(str(error.error)))
    context.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    return troubles

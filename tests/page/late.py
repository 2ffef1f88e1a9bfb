"""Answers of the world that are late: the page has asked, the world has answered, and the answer is on its way."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page, Route

DRAWN = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"


class Late:
    """The answers to one question of the page, until they are let go."""

    def __init__(self) -> None:
        self._given = asyncio.Event()
        self._arrived = asyncio.Event()
        self._on_their_way: list[asyncio.Future[None]] = []

    async def there(self) -> None:
        """Wait until the world has given the first answer."""
        await self._given.wait()

    async def carry(self, route: Route) -> None:
        """Take the question to the world at once, and its answer to the page when it is let go."""
        over = asyncio.get_running_loop().create_future()
        self._on_their_way.append(over)
        try:
            answer = await route.fetch()
            self._given.set()
            await self._arrived.wait()
            await route.fulfill(response=answer)
        finally:
            over.set_result(None)

    async def let_go(self) -> None:
        """Let the answers arrive; returns when they have."""
        self._arrived.set()
        await asyncio.gather(*self._on_their_way)


@asynccontextmanager
async def late(page: Page, question: str) -> AsyncIterator[Late]:
    """What is asked by a `GET` that begins so is answered only at the end of the block, and drawn then."""
    answers, address = Late(), re.compile(re.escape(f"/control/v1/{question}"))
    await page.route(address, answers.carry)
    try:
        yield answers
    finally:
        await answers.let_go()
        await page.unroute(address)
    await page.evaluate(DRAWN)

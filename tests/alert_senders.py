"""Senders of webhooks that remember what was answered: for tests that kill whoever takes them."""

import asyncio
from contextlib import suppress

import aiohttp

from tests.payloads import alert, payload


class Senders:
    """Hand in payloads, each with one alert that no other has, and remember which were answered 200."""

    def __init__(self, token: str, *, groups: int, pause_s: float = 0.0) -> None:
        self._token = token
        self._groups = groups
        self._pause_s = pause_s
        self.sent = 0
        self.taken: set[str] = set()

    async def until_it_dies(self, url: str, *, senders: int) -> None:
        """Send without end; returns when nobody listens there any more."""
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._token}"}) as session:
            await asyncio.gather(*(self._send(session, url) for _ in range(senders)))

    async def _send(self, session: aiohttp.ClientSession, url: str) -> None:
        with suppress(aiohttp.ClientError, ConnectionError):
            while True:
                self.sent += 1
                name = f"storm-{self.sent:05d}"
                body = payload([alert(f"Storm{self.sent % self._groups:02d}", name)])
                async with session.post(url, data=body) as response:
                    if response.status == 200:
                        self.taken.add(name)
                await asyncio.sleep(self._pause_s)

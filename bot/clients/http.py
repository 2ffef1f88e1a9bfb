"""Plain HTTP reads of our own services' health and of signed log addresses; no credentials are ever sent."""

import json
from typing import Any

import aiohttp

from bot.errors import Unavailable

BODY_LIMIT_BYTES = 2 * 2**20


class HttpClient:
    """One session with deadlines; redirects are not followed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get_json(self, url: str, *, timeout_s: float = 3.0) -> dict[str, Any]:
        """The JSON object at that address.

        Raises:
            Unavailable: no connection, no answer in time, a status other than 200, or no JSON object.
        """
        try:
            value = json.loads(await self.get_text(url, timeout_s=timeout_s))
        except ValueError as error:
            raise Unavailable("http", f"{_named(url)} did not answer with JSON.") from error
        if not isinstance(value, dict):
            raise Unavailable("http", f"{_named(url)} did not answer with a JSON object.")
        return value

    async def get_text(self, url: str, *, timeout_s: float = 3.0) -> str:
        """The text at that address, at most 2 MiB of it, from its end.

        Raises:
            Unavailable: no connection, no answer in time, or a status other than 200.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=True)
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as response:
                if response.status != 200:
                    raise Unavailable("http", f"{_named(url)} answered {response.status}.", status=response.status)
                body = b""
                async for piece in response.content.iter_chunked(65536):
                    body = (body + piece)[-BODY_LIMIT_BYTES:]
                return body.decode(errors="replace")
        except TimeoutError as error:
            raise Unavailable("http", f"{_named(url)} did not answer within {timeout_s:g} s.") from error
        except aiohttp.ClientError as error:
            raise Unavailable("http", f"{_named(url)} cannot be reached ({type(error).__name__}).") from error


def _named(url: str) -> str:
    """The address as it may be shown: without its query, in which a signed address carries its signature."""
    return url.split("?", 1)[0]

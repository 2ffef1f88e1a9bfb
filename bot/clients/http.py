"""Plain HTTP: our own services' health, signed log addresses, and the REST of clients that bring their own headers.

No credentials are sent but those that a client hands over for its own service.
"""

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from bot.errors import Unavailable, Unreachable

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
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._opened().get(url, timeout=timeout, allow_redirects=False) as response:
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

    async def exchange(
        self, verb: str, url: str, *, headers: Mapping[str, str], timeout_s: float, body: bytes | None = None,
        limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> tuple[int, Mapping[str, str], str]:  # fmt: skip
        """One request, and whatever comes back: status, headers, text of at most `limit_bytes` (2 MiB).

        Raises:
            Unreachable: no connection could be made; nothing was sent.
            Unavailable: the connection broke, or nothing came in time.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._opened().request(
                verb, url, headers=headers, data=body, timeout=timeout, allow_redirects=False
            ) as response:
                answer = bytearray()
                while len(answer) < limit_bytes and (piece := await response.content.read(limit_bytes)):
                    answer += piece
                return response.status, response.headers.copy(), answer[:limit_bytes].decode(errors="replace")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable("http", f"{_named(url)} cannot be reached ({type(error).__name__}).") from error
        except TimeoutError as error:
            raise Unavailable("http", f"{_named(url)} did not answer within {timeout_s:g} s.") from error
        except aiohttp.ClientError as error:
            raise Unavailable("http", f"{_named(url)} cannot be reached ({type(error).__name__}).") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=True)
        return self._session


def _named(url: str) -> str:
    """The address as it may be shown: without its query, in which a signed address carries its signature."""
    return url.split("?", 1)[0]

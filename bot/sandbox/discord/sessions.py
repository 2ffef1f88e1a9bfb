"""Gateway sessions and sockets: what outlives a connection, and the one that carries it now; packets in and out.

A session keeps what was sent to it, so that a client whose socket was cut can ask for what it missed.
"""

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bot.sandbox.cast import GUILD_ID
from bot.sandbox.discord.compression import Squeeze
from bot.sandbox.discord.errors import dumps
from bot.sandbox.discord.limits import Rate
from bot.sandbox.validation.gateway import GatewayCheck

Json = dict[str, Any]

EVENTS_KEPT = 2_000


class Closed(Exception):
    """The socket is to be closed with one of Discord's close codes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class Session:
    """What a client identified as. `events` are those that a resume may ask for, with their sequence numbers."""

    id: str
    intents: int
    shard: tuple[int, int]
    seq: int = 0
    events: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    socket: "Socket | None" = None
    cut_at: float = 0.0
    """When the last socket ended, on the monotonic clock."""

    @property
    def holds_guild(self) -> bool:
        """Whether the server's events belong to this session's shard."""
        number, count = self.shard
        return (GUILD_ID >> 22) % count == number


class Socket:
    """One connection: texts go out in order through one writer, so that a shared compression stream stays whole."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        request: web.Request,
        squeeze: Squeeze,
        *,
        sends: Rate,
        check: GatewayCheck | None,
    ) -> None:
        self._ws = ws
        self._check = check
        self._request = request
        self._squeeze = squeeze
        self._outbox: asyncio.Queue[str | Closed] = asyncio.Queue()
        self._rate = sends
        self._sends: deque[float] = deque(maxlen=sends.requests)
        self.session: Session | None = None

    def send(self, text: str) -> None:
        if self._check is not None:
            self._check.sent(text)
        self._outbox.put_nowait(text)

    def end(self, code: int, reason: str) -> None:
        """Close after what was sent before."""
        self._outbox.put_nowait(Closed(code, reason))

    def cut(self) -> None:
        """Reset the connection: no close frame."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def write(self) -> None:
        """Send until the end."""
        while True:
            item = await self._outbox.get()
            if isinstance(item, Closed):
                await self._ws.close(code=item.code, message=item.reason.encode())
                return
            data = self._squeeze(item)
            if isinstance(data, bytes):
                await self._ws.send_bytes(data)
            else:
                await self._ws.send_str(data)

    def count_send(self) -> None:
        """Count one payload of the client.

        Raises:
            Closed: 4008, more than the limit allows (120 in 60 seconds).
        """
        now = time.monotonic()
        if len(self._sends) == self._rate.requests and now - self._sends[0] < self._rate.per_s:
            raise Closed(4008, "Rate limited.")
        self._sends.append(now)


def packet(op: int, data: object) -> str:
    return dumps({"op": op, "d": data, "s": None, "t": None})


def parsed(data: str | bytes) -> Json:
    try:
        packet = json.loads(data)
    except (ValueError, RecursionError):
        raise Closed(4002, "Error while decoding payload.") from None
    if not isinstance(packet, dict):
        raise Closed(4002, "Error while decoding payload.")
    return packet


def object_of(packet: Json) -> Json:
    data = packet.get("d")
    if not isinstance(data, dict):
        raise Closed(4002, "Error while decoding payload.")
    return data


def shard_of(raw: object) -> tuple[int, int]:
    """Shard number and count.

    Raises:
        Closed: 4010, they make no sense.
    """
    if raw is None:
        return 0, 1
    match raw:
        case [int(number), int(count)] if 0 <= number < count <= 1000:
            return number, count
    raise Closed(4010, "Invalid shard.")

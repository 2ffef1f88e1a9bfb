"""A load generator in a process of its own: keep-alive connections that ask again as soon as they are answered.

Usage: `python -m tests.bench.http_load PORT CONNECTIONS SECONDS`; prints one JSON object. It speaks just enough HTTP to
be faster than what it measures, and counts every answer that is not a whole 200.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat

Requests = Callable[[int], Iterator[bytes]]
"""What the connection of that number sends, one after the other."""

REQUEST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
WARM_UP_S = 1.0
LENGTH = b"content-length:"


@dataclass
class Tally:
    """What all connections saw since the warm-up ended; `answered` counts the warm-up, too."""

    counting: bool = False
    answered: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One connection, one request in flight on it."""

    def __init__(self, tally: Tally, requests: Iterator[bytes]) -> None:
        self._tally = tally
        self._requests = requests
        self._buffer = b""
        self._asked_at = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, rest = self._buffer.partition(b"\r\n\r\n")
        if not mark or len(rest) < _content_length(head):
            return
        self._buffer = b""
        self._tally.answered += 1
        if self._tally.counting:
            self._tally.seconds.append(time.perf_counter() - self._asked_at)
            self._tally.failed += not head.startswith(b"HTTP/1.1 200 ")
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.failed += self._tally.counting

    def _ask(self) -> None:
        assert self.transport is not None
        self._asked_at = time.perf_counter()
        self.transport.write(next(self._requests))


def _content_length(head: bytes) -> int:
    found = head.lower().partition(LENGTH)[2]
    return int(found.split(b"\r\n", 1)[0]) if found else 0


async def load(
    port: int, connections: int, seconds: float, requests: Requests = lambda _: repeat(REQUEST)
) -> dict[str, float]:
    """Requests per second, latencies in milliseconds, and failures of one run."""
    loop, tally = asyncio.get_running_loop(), Tally()
    opened = [
        await loop.create_connection(partial(Connection, tally, requests(number)), "127.0.0.1", port)
        for number in range(connections)
    ]
    await asyncio.sleep(WARM_UP_S)
    began, tally.counting = time.perf_counter(), True
    await asyncio.sleep(seconds)
    tally.counting, took = False, time.perf_counter() - began
    for transport, _ in opened:
        transport.abort()
    quantiles = statistics.quantiles(tally.seconds, n=100)
    return {
        "requests_per_s": len(tally.seconds) / took,
        "p50_ms": quantiles[49] * 1000,
        "p99_ms": quantiles[98] * 1000,
        "failed": tally.failed,
        "answered": tally.answered,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(load(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))

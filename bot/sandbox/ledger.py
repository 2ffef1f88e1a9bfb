"""What happened in the world, in order: the request list and the event stream of the control API."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

REQUESTS_KEPT = 20_000
EVENTS_KEPT = 5_000


@dataclass(slots=True)
class Exchange:
    """One request to a part of the world.

    `status` is what the caller was told (0: the connection was cut), `carried_out` what the part itself answered
    (0: a fault kept the request from it), `fault` the kind of the fault that met it (empty: none).
    """

    n: int
    part: str
    at: float
    method: str
    path: str
    action: str
    status: int
    ms: float
    bucket: str
    caller: str
    carried_out: int
    fault: str


@dataclass(slots=True, frozen=True)
class Event:
    """One thing that happened: `name` is dotted (`message.created`), `data` is JSON."""

    id: int
    name: str
    data: dict[str, Any]

    def sse(self) -> bytes:
        return f"id: {self.id}\nevent: {self.name}\ndata: {json.dumps(self.data)}\n\n".encode()


class Ledger:
    """Numbered requests and events; the newest are kept, readers wait for more."""

    def __init__(self) -> None:
        self._requests: deque[Exchange] = deque(maxlen=REQUESTS_KEPT)
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._requests_seen = 0
        self._last_event = 0
        self._changed = asyncio.Event()

    def record(self, exchange: Exchange) -> None:
        """Take an exchange in; its number is given here."""
        self._requests_seen += 1
        exchange.n = self._requests_seen
        self._requests.append(exchange)
        self.publish("request", asdict(exchange))

    def requests(self, part: str | None, after: int) -> list[dict[str, Any]]:
        return [asdict(r) for r in self._requests if r.n > after and (part is None or r.part == part)]

    def publish(self, name: str, data: dict[str, Any]) -> None:
        self._last_event += 1
        self._events.append(Event(self._last_event, name, data))
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def last_event(self) -> int:
        return self._last_event

    async def follow(self, after: int) -> AsyncIterator[Event]:
        """Every event with a greater id, then each new one as it comes."""
        while True:
            changed = self._changed
            # Ids have no gaps, so what is new stands at the end.
            fresh = min(len(self._events), self._last_event - after)
            for event in list(islice(reversed(self._events), max(0, fresh)))[::-1]:
                after = event.id
                yield event
            await changed.wait()

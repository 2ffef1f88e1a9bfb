"""Load of Alertmanager's kind in a process of its own: each connection hands in payloads of one group, on and on.

Usage: `python -m tests.bench.webhook_load PORT TOKEN CONNECTIONS SECONDS SIZE_BYTES`; prints one JSON object. Groups
take turns between two states, so that no payload is the repeat of the one before it.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from itertools import cycle

from tests.bench.http_load import Requests, load
from tests.payloads import of_size

PATH = "/webhooks/alertmanager"


def request(token: str, body: bytes) -> bytes:
    """The bytes of one webhook as Alertmanager sends it."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Alertmanager/0.25.0\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\r\n"
    )
    return head.encode() + body


def of_groups(token: str, size_bytes: int) -> Requests:
    """What the connections send: the payloads of a group each, with ten alerts and with nine."""

    def of_one(number: int) -> Iterator[bytes]:
        bodies = (of_size(f"Storm{number:03d}", size_bytes, alerts=alerts) for alerts in (10, 9))
        return cycle([request(token, body) for body in bodies])

    return of_one


def main() -> None:
    port, token, connections, seconds, size_bytes = sys.argv[1:]
    requests = of_groups(token, int(size_bytes))
    print(json.dumps(asyncio.run(load(int(port), int(connections), float(seconds), requests))))


if __name__ == "__main__":
    main()

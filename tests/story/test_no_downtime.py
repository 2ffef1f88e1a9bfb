"""Nobody who uses the service notices a deploy: no request fails while versions come and go."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.story.steps import asked, ended, green, new_commit, operation_in
from tests.story.world_driver import World

KEEP_ALIVE_CLIENTS = 10
ONE_SHOT_CLIENTS = 10
DEPLOYS = 10


@dataclass
class Tally:
    """What the clients saw."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    commits: set[str] = field(default_factory=set)


async def request_once(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, *, close: bool
) -> tuple[int, bytes, bool]:
    """One bare HTTP/1.1 request without any retry; status, body, and whether the server wants to close."""
    connection = "close" if close else "keep-alive"
    writer.write(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n".encode())
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(next(line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length:")))
    body = await reader.readexactly(length)
    return int(head.split(" ", 2)[1]), body, "connection: close" in head


async def client(url: str, tally: Tally, stop: asyncio.Event, *, keep_alive: bool) -> None:
    """Ask without pause until told to stop; a connection that the server announced to close is opened anew."""
    address = urlsplit(url)
    assert address.hostname and address.port
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while not stop.is_set():
        try:
            if connection is None:
                connection = await asyncio.open_connection(address.hostname, address.port)
            status, body, closing = await request_once(*connection, address.netloc, close=not keep_alive)
            if status != 200:
                tally.failures.append(f"status {status}")
            tally.answered += 1
            tally.commits.add(body.decode().split('"commit"', 1)[1].split('"')[1][:7])
        except (OSError, EOFError, asyncio.IncompleteReadError) as error:
            tally.failures.append(repr(error))
            closing = True
        if connection is not None and (closing or not keep_alive):
            connection[1].close()
            connection = None
    if connection is not None:
        connection[1].close()


async def test_no_request_fails_during_ten_deploys_and_rollbacks(world: World):
    tally, stop = Tally(), asyncio.Event()
    url = await world.service_url("dev")
    clients = [
        asyncio.create_task(client(url, tally, stop, keep_alive=number < KEEP_ALIVE_CLIENTS))
        for number in range(KEEP_ALIVE_CLIENTS + ONE_SHOT_CLIENTS)
    ]
    try:
        for number in range(DEPLOYS):
            if number % 3 == 2:
                reply = await world.ask("dev", "rollback", service="app", environment="dev")
                operation = operation_in(reply)
            else:
                await green(world, await new_commit(world))
                operation = await asked(world, "dev", "dev")
            assert "succeeded" in (await ended(world, operation, timeout_s=120)).text
    finally:
        stop.set()
        await asyncio.gather(*clients)
    assert tally.failures == []
    assert tally.answered > 1000
    assert len(tally.commits) >= 7
    print(f"{tally.answered} requests, {len(tally.failures)} failed, {len(tally.commits)} versions seen")

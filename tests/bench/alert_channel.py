"""What became visible in a channel, and when: read from the sandbox's stream of events, which tells every message.

An alert is known from the moment at which its id stands in a message that Discord has taken. Ids that were posted in
two messages are counted as shown twice; edits are not, nor is the end of what was shown firing.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.bench.alert_storm import ID

FRESH = ("message.created", "message.updated")


@dataclass
class Channel:
    """What was seen in one channel since the storm began; times are of `time.monotonic()`."""

    known: dict[str, float] = field(default_factory=dict)
    first_message: dict[tuple[str, bool], str] = field(default_factory=dict)
    """Where each id was first posted, and where its end was."""
    twice: set[tuple[str, str]] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    posts: int = 0
    edits: int = 0

    def take(self, name: str, message: Mapping[str, Any]) -> None:
        number, text = str(message["id"]), str(message["text"])
        self.texts[number] = text
        posted = name == "message.created"
        self.posts += posted
        self.edits += not posted
        for found in set(ID.findall(text)):
            self.known.setdefault(found, time.monotonic())
            if posted and self.first_message.setdefault((found, is_resolved(text, found)), number) != number:
                self.twice.add((found, number))

    def gone(self, number: str) -> None:
        self.texts.pop(number, None)


class Channels:
    """All channels of a world, and the answers of its Discord."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._limited: list[tuple[str, str, str, float]] = []

    def __getitem__(self, name: str) -> Channel:
        return self._channels.setdefault(name, Channel())

    def forget(self) -> None:
        """Begin anew: what was seen before the storm does not count."""
        self._channels.clear()
        self._limited.clear()

    @asynccontextmanager
    async def followed(self, session: aiohttp.ClientSession) -> AsyncIterator[None]:
        """Follow the world's events for as long as the context lasts."""
        listening = asyncio.Event()
        follower = asyncio.create_task(self._follow(session, listening))
        try:
            await listening.wait()
            yield
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)

    async def _follow(self, session: aiohttp.ClientSession, listening: asyncio.Event) -> None:
        forever = aiohttp.ClientTimeout(total=None)
        async with session.get("/control/v1/events", timeout=forever, read_bufsize=2**22) as stream:
            listening.set()
            name = ""
            async for line in _lines(stream.content):
                key, _, value = line.partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    self._take(name, json.loads(value))

    def _take(self, name: str, data: Mapping[str, Any]) -> None:
        if name in FRESH and not data["ephemeral"]:
            self[str(data["channel"])].take(name, data)
        elif name == "message.deleted":
            self[str(data["channel"])].gone(str(data["id"]))
        elif name == "request" and data["part"] == "discord" and data["status"] == 429:
            self._limited.append((str(data["caller"]), str(data["path"]), str(data["bucket"]), time.monotonic()))

    def limited_of(self, *, bot: bool, hook: str = "") -> list[tuple[str, float]]:
        """The 429s that the bot met, or who posts to this webhook: bucket and time."""
        return [
            (bucket, at)
            for caller, path, bucket, at in self._limited
            if (caller == "bot" if bot else path.startswith(urlsplit(hook).path))
        ]


def most_in_a_window(limited: Iterable[tuple[str, float]], window_s: float = 5.0) -> int:
    """The most 429s of one bucket within one window of it."""
    by_bucket: dict[str, list[float]] = {}
    for bucket, at in limited:
        by_bucket.setdefault(bucket, []).append(at)
    return max((sum(0 <= at - first < window_s for at in times) for times in by_bucket.values() for first in times),
               default=0)  # fmt: skip


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[str]:
    """Lines of any length; aiohttp's own reading of lines knows a limit."""
    rest = b""
    async for chunk in stream.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode()


def standing(channel: Channel, names: Iterable[str]) -> dict[str, list[str]]:
    """The texts of the messages that stand there now and bear each of the ids."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for text in channel.texts.values():
        for name in set(ID.findall(text)) & found.keys():
            found[name].append(text)
    return found


def is_resolved(text: str, name: str) -> bool:
    """Whether the message says that this alert is over: by its line, or by the heading that its line stands under."""
    heading = ""
    for line in text.lower().splitlines():
        if line.startswith("alerts "):
            heading = line
        if name in line:
            return "resolved" in (line if "firing" in line or "resolved" in line else heading)
    return False

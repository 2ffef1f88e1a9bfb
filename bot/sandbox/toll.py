"""What crashes and cut wires have cost, counted from what the world itself saw and never from what the bot says of
itself: which requests members were told are taken, which cards stand in the channels, which builds GitHub has begun
and which commands the hosts have been given. It counts from the world's start and remembers numbers only.

It reads the cards' own words: an answer that begins `#12 **` says that the request is taken, a card's first line is
`**WORDS** · #12`, and a rollout's comment begins `quarterdeck op 12 `.
"""

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from bot.sandbox.ledger import Event, Ledger

TAKEN = re.compile(r"#(\d+) \*\*")
HEADLINE = re.compile(r"\*\*[^*\n]+\*\* · #(\d+)\b")
ORDER = re.compile(r"quarterdeck op (\d+) ")
COMPONENTS_V2 = 1 << 15
SETTLING_S = 20.0
"""A bot that came back has so long to post what waits before it counts as lost."""
MOST_NAMED = 20

Json = dict[str, Any]


class Begun(Protocol):
    """A workflow run, as far as this counts it."""

    @property
    def inputs(self) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the figures come from."""

    killed: Callable[[], int]
    connected: Callable[[], bool]
    runs: Callable[[], Iterable[Begun]]
    orders: Callable[[], Awaitable[list[str]]]


class Toll:
    """Follows the world's events; `count()` gives the figures."""

    def __init__(self, *, ledger: Ledger, sources: Sources) -> None:
        self._ledger = ledger
        self._sources = sources
        self._taken: set[int] = set()
        self._cards: dict[str, int] = {}
        self._orders: list[str] = []
        self._steady_since: float | None = None

    async def follow(self) -> None:
        """Take in every event, until cancelled."""
        async for event in self._ledger.follow(0):
            self._take(event)

    def _take(self, event: Event) -> None:
        if event.name in ("message.created", "message.updated"):
            self._message(event.data)
        elif event.name == "message.deleted":
            self._cards.pop(str(event.data["id"]), None)

    def _message(self, message: Json) -> None:
        text = str(message["text"])
        if message["ephemeral"]:
            if found := TAKEN.match(text):
                self._taken.add(int(found[1]))
        elif int(message["raw"].get("flags") or 0) & COMPONENTS_V2 and (found := HEADLINE.match(text)):
            self._cards[str(message["id"])] = int(found[1])

    async def count(self) -> Json:
        """`killed`, `taken`, `lost`, `doubled`, and what is `on_the_way`; `said` names what is wrong in sentences."""
        missing = sorted(self._taken - set(self._cards.values()))
        settled = self._settled()
        doubles = await self._doubles()
        lost = missing if settled else []
        said = [f"#{number} was taken and has no card." for number in lost] + list(doubles.values())
        return {
            "killed": self._sources.killed(),
            "taken": len(self._taken),
            "lost": len(lost),
            "doubled": len(doubles),
            "on_the_way": 0 if settled else len(missing),
            "said": said[:MOST_NAMED],
        }

    def mark(self) -> tuple[int, int, int]:
        """Something that changes with the figures and costs nothing to ask for."""
        return self._sources.killed(), len(self._taken), len(self._cards)

    def watch(self) -> None:
        """Look whether the bot is connected; to be called about once a second."""
        if not self._sources.connected():
            self._steady_since = None
        elif self._steady_since is None:
            self._steady_since = time.monotonic()

    def _settled(self) -> bool:
        return self._steady_since is not None and time.monotonic() - self._steady_since > SETTLING_S

    async def _doubles(self) -> dict[str, str]:
        """What was done twice, by what it is: more than one card, build or rollout where one was asked for."""
        try:
            self._orders = await self._sources.orders()
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass  # The hosts' part is closing or still starting: what was seen last counts.
        cards = Counter(self._cards.values())
        builds = Counter(run.inputs["request"] for run in self._sources.runs() if run.inputs.get("request"))
        orders = Counter(comment for comment in self._orders if ORDER.match(comment))
        return (
            {f"card {one}": f"#{one} has {times} cards." for one, times in cards.items() if times > 1}
            | {
                f"build {one}": f"The build {one} was begun {times} times."
                for one, times in builds.items()
                if times > 1
            }
            | {f"order {one}": f"“{one}” was sent {times} times." for one, times in orders.items() if times > 1}
        )

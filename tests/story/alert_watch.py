"""Two witnesses of the same alerts: Alertmanager's own API, and what stands in the channels. Stories hold the one
against the other; neither knows anything of the bot's inside.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp

from tests.story.world_driver import Message, World

Json = dict[str, Any]
Count = Counter[tuple[str, str, str]]
"""How many alerts by name, environment and state: `firing`, `silenced`, `inhibited`."""

CHANNELS = ("alerts", "alerts-critical")
HEADING = re.compile(
    r"^\**(?P<word>[A-Z]+)\** (?P<id>A\d+) \[(?P<firing>\d+) firing / \d+\] (?P<name>\S+) - (?P<where>\S+)"
)
ALWAYS_FIRING = "Watchdog"
SIGNS = {"●": "firing", "◌": "silenced"}
DOUBTS = ("not confirmed", "unconfirmed", "resolved?")
"""Words that are true only while Alertmanager cannot be asked."""


class AlertWatch:
    """Looks at both sides of one world."""

    def __init__(self, world: World, alertmanager: str) -> None:
        self._world = world
        self._alertmanager = alertmanager

    async def asked(self, path: str) -> Any:
        """What Alertmanager's API answers."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._alertmanager}/api/v2{path}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def alertmanagers_word(self) -> Count:
        """The truth."""
        return Counter(
            (alert["labels"]["alertname"], alert["labels"].get("environment", ""), _state(alert["status"]))
            for alert in await self.asked("/alerts")
            if alert["labels"]["alertname"] != ALWAYS_FIRING
        )

    async def silences(self) -> list[Json]:
        return [one for one in await self.asked("/silences") if one["status"]["state"] == "active"]

    async def cards(self) -> list[Message]:
        """Every alert card, the oldest first."""
        found = [message for channel in CHANNELS for message in await self._world.messages(channel)]
        return [message for message in found if HEADING.match(message.text)]

    async def channels_word(self) -> Count:
        """What a reader of the channels believes: the lines of all cards, each with its sign."""
        return Counter(line for card in await self.cards() for line in _lines(card))

    async def doubts(self) -> list[str]:
        """The lines of cards that say that something is not sure."""
        return [line for card in await self.cards() for line in card.text.splitlines() if doubtful(line)]

    async def card(self, name: str, environment: str) -> Message:
        """The newest card about that."""
        fitting = [one for one in await self.cards() if named(one) == (name, environment)]
        assert fitting, f"there is no card about {name} in {environment}"
        return fitting[-1]

    async def on_board(self, channel: str, said: str) -> str:
        """Wait until the channel's pinned board says that; returns all that it says."""

        async def found() -> str | None:
            boards = [message.text for message in await self._world.messages(channel) if message.raw["pinned"]]
            assert len(boards) <= 1, f"#{channel} has more than one pinned message: {boards}"
            return next((board for board in boards if said in board), None)

        return await self._world.until(f"the pinned board of #{channel} to say {said!r}", found)

    async def agree(self, expected: Count, *, timeout_s: float = 30.0) -> None:
        """Wait until Alertmanager says what is expected, and the channels say what Alertmanager says.

        It answers, so none of them may leave it in doubt either.
        """

        async def so() -> bool:
            return (await self.alertmanagers_word()) == expected

        async def same() -> bool:
            shown = await self.channels_word()
            return shown == expected == await self.alertmanagers_word() and not await self.doubts()

        await self._world.until(f"Alertmanager to say {dict(expected)}", so, timeout_s=timeout_s)
        try:
            await self._world.until("the channels to say the same", same, timeout_s=timeout_s)
        except AssertionError as error:
            said = f"{dict(await self.channels_word())} instead of {dict(expected)}, in doubt: {await self.doubts()}"
            texts = "\n".join(card.text for card in await self.cards())
            raise AssertionError(f"the channels say {said}\n{texts}\n{error}") from None
        ids = Counter(HEADING.match(card.text)["id"] for card in await self.cards())  # type: ignore[index]
        assert set(ids.values()) <= {1}, f"an alert group has more than one card: {ids}"

    async def pings(self, channel: str, *, after: str = "0") -> list[Json]:
        """Whom the messages of a channel pinged, in their order, those that pinged nobody left out."""
        found = [message.raw["pings"] for message in await self._world.messages(channel, after=after)]
        return [ping for ping in found if ping["users"] or ping["roles"] or ping["everyone"]]


def doubtful(line: str) -> bool:
    """Whether a line of a card says that Alertmanager has not confirmed something."""
    return any(doubt in line for doubt in DOUBTS)


def named(card: Message) -> tuple[str, str]:
    """Name and environment of a card."""
    found = HEADING.match(card.text)
    assert found is not None
    return found["name"], found["where"]


def word(card: Message) -> str:
    """The word before all others, such as CRITICAL or RESOLVED."""
    found = HEADING.match(card.text)
    assert found is not None
    return found["word"]


def _state(status: Json) -> str:
    if status["silencedBy"]:
        return "silenced"
    return "inhibited" if status["inhibitedBy"] else "firing"


def _lines(card: Message) -> Iterator[tuple[str, str, str]]:
    name, environment = named(card)
    for line in card.text.splitlines():
        state = SIGNS.get(line[:1], "")
        if state == "silenced" and " inhibited" in line:
            state = "inhibited"
        if state:
            yield name, environment, state

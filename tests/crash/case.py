"""One case of the table: a flow, an instant at which the bot is killed, and an outage that begins in that moment.

The bot is started again while the outage lasts; then the outage ends, and what is left is held against what really
happened. Whoever had asked in vain asks again, as a person would.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.crash.flows import Flow, Ground, flow_of
from tests.crash.instants import Ending, Instant, Request
from tests.crash.mortal_bot import ORDER
from tests.crash.witness import Mark
from tests.story.steps import cards_of
from tests.story.world_driver import Json, World

SPEED = 60.0
"""Builds take no time; what is waited for is the bot."""
OUTAGE_S = 1.2
"""So long an outage lasts once the bot that was started again has met it."""
MET_S = 4.0
DEATH_S = 40.0
END_S = 60.0
AUDITED = re.compile(r"operation\.(?!running).*|vote\..*|cancel\.requested")
WORDS = {"pending": "waiting"}
"""What a card calls a status, where it has another word."""
GOING_ON = {"pending", "approved", "running"}
MODULE = "tests.crash.mortal_bot"


class Outage(StrEnum):
    """What else is away when the bot comes back."""

    NOTHING = "nothing"
    DISCORD = "Discord"
    GITHUB = "GitHub"


OUTAGES: Sequence[Outage] = tuple(Outage)


@dataclass(frozen=True, slots=True)
class Result:
    """What a case has come to: everything that the table counts."""

    ending: Ending
    deaths: int
    runs: int
    rollouts: int
    cards: int


class MortalWorld(World):
    """A world whose bot dies at will."""

    async def start(self, *options: str) -> None:
        await super().start("--bot-module", MODULE, *options)


async def run_case(ground: Ground, instant: Instant, outage: Outage) -> Result:
    """Let the bot die at that instant, and see what comes of it; the world can be used on unless this fails.

    Raises:
        AssertionError: something was done twice, lost, or told wrongly.
    """
    case = _Case(ground, instant, outage)
    result = await case.run()
    await case.tidy()
    return result


class _Case:
    def __init__(self, ground: Ground, instant: Instant, outage: Outage) -> None:
        self.ground, self.world, self.witness = ground, ground.world, ground.witness
        self.instant, self.outage = instant, outage
        self.flow: Flow = flow_of(instant.flow, ground)
        self.asked_again = False
        self.deaths = 0

    async def run(self) -> Result:
        since = await self.witness.mark()
        await self.flow.prepare()
        if self.flow.operation is not None:
            await self.every_line(since)
        await self.arm()
        await self.flow.act()
        await self.dies()
        await self.comes_back()
        return await self.judged(since)

    # -- dying ---------------------------------------------------------------------------------------------------------

    async def arm(self) -> None:
        """Order the deaths, and have the bot stay dead when it dies."""
        await self.world.post("/bot", {"action": "start", "keep": False})
        trigger = self.instant.trigger
        if isinstance(trigger, Request):
            await self.kill_at(trigger, self.instant.side)
        else:
            order = {"instant": self.instant.name, "side": self.instant.side}
            (self.world.home / ORDER).write_text(json.dumps(order), encoding="utf-8")
        if self.instant.then is not None:
            await self.kill_at(self.instant.then, "after")

    async def kill_at(self, request: Request, side: str) -> None:
        match = request.match
        for name, place in (await self.places()).items():
            match = match.replace(name, place)
        await self.world.fault(request.part, "kill", match=match, skip=request.skip, when=side)

    async def places(self) -> dict[str, str]:
        """The ids that stand for names in a request: channels, and the operation's card if there is one."""
        found = {channel["name"].upper(): str(channel["id"]) for channel in (await self.world.state())["channels"]}
        found["BOARD"] = self.ground.board
        return found | ({"CARD": (await self.flow.card()).id} if self.flow.operation is not None else {})

    async def dies(self) -> None:
        async def dead() -> bool:
            return not str((await self.world.part("bot"))["detail"]).startswith("running")

        await self.world.until(f"the bot to die {self.instant.name!r}", dead, timeout_s=DEATH_S)
        self.deaths += 1

    async def comes_back(self) -> None:
        """Start the bot into the outage, and end that; once more when it dies on its way back."""
        if self.outage is not Outage.NOTHING:
            await self.world.fault(self.outage.value.lower(), "refuse", for_s=60)
        await self.world.post("/bot", {"action": "start", "keep": False})
        if self.outage is not Outage.NOTHING:
            await self.lasts()
        if self.instant.then is not None:
            await self.dies()
            await self.world.post("/bot", {"action": "start", "keep": False})
        await self.world.wait_ready(timeout_s=END_S)

    async def lasts(self) -> None:
        """Have the bot meet the outage, and end it a little later; the deaths that were ordered stay."""
        with contextlib.suppress(TimeoutError):  # some have nothing to ask there
            async with asyncio.timeout(MET_S):
                while not any(fault["hits"] for fault in await self.outages()):
                    await asyncio.sleep(0.1)
        await asyncio.sleep(OUTAGE_S)
        for fault in await self.outages():
            await self.world.send("DELETE", f"/faults/{fault['fault']}")

    async def outages(self) -> list[Json]:
        return [fault for fault in (await self.world.get("/faults"))["faults"] if fault["kind"] == "refuse"]

    # -- judging -------------------------------------------------------------------------------------------------------

    async def judged(self, since: Mark) -> Result:
        if not self.flow.recorded():
            self.asked_again = True
            await self.flow.act()
            await self.world.until("it to be written when asked again", self.written)
        row = await self.world.until("its end", self.over, timeout_s=END_S)
        runs, rollouts = self.witness.runs(since), self.witness.rollouts(since)
        cards = await self.one_true_card(str(row["status"]))
        await self.every_line(since)
        ending = self.ending(row)
        assert ending is self.instant.ending, f"{ending} ({row['status']}: {row['reason']})"
        assert len(runs) <= self.flow.runs
        assert len(rollouts) <= self.flow.rollouts
        if ending is Ending.INTERRUPTED:
            assert self.witness.locks() == [self.flow.operation]
        else:
            assert (len(runs), len(rollouts)) == (self.flow.runs, self.flow.rollouts)
            assert self.witness.locks() == []
            await self.flow.right()
        return Result(ending, self.deaths, len(runs), len(rollouts), cards)

    async def written(self) -> bool:
        return self.flow.recorded()

    async def over(self) -> dict[str, Any] | None:
        """The operation's row, once nothing goes on with it."""
        assert self.flow.operation is not None
        row = self.witness.operation(self.flow.operation)
        return None if row["status"] in GOING_ON - {self.flow.status} else row

    def ending(self, row: dict[str, Any]) -> Ending:
        if row["status"] == "interrupted":
            assert "not known" in row["reason"], row["reason"]
            return Ending.INTERRUPTED
        assert row["status"] == self.flow.status, f"{row['status']}: {row['reason']}"
        return Ending.ASKED_AGAIN if self.asked_again else Ending.FINISHED

    async def one_true_card(self, status: str) -> int:
        """Wait until the card tells the end; there is one, and at most one line beside it."""
        await self.flow.card(WORDS.get(status, status))
        cards = await cards_of(self.world, self.flow.short_id)
        assert len(cards) == 1, [card.text for card in cards]
        lines = [
            m
            for m in await self.world.messages(after=cards[0].id)
            if m.operation == self.flow.short_id and m not in cards
        ]
        assert len(lines) <= 1, [line.text for line in lines]
        return len(cards)

    async def every_line(self, since: Mark) -> None:
        """Wait until #audit has every decision and outcome, each once."""
        assert self.flow.operation is not None
        wanted = {e["id"] for e in self.witness.events(self.flow.operation) if AUDITED.fullmatch(e["name"])}

        async def told() -> dict[int, int] | None:
            found = await self.witness.audited(since)
            return found if wanted <= set(found) else None

        found = await self.world.until(f"the lines {wanted} of #audit", told)
        assert {number: times for number, times in found.items() if times > 1} == {}

    # -- tidying -------------------------------------------------------------------------------------------------------

    async def tidy(self) -> None:
        """Leave the world as the next case wants it: no faults, a bot, no interrupted operation."""
        (self.world.home / ORDER).unlink(missing_ok=True)
        await self.world.clear_faults()
        await self.world.bot("start")
        await self.world.wait_ready(timeout_s=END_S)
        for number in set(self.witness.locks()):
            await self.closed(number)
        await self.ground.heal()

    async def closed(self, number: int) -> None:
        self.flow.operation = number
        opened = await self.world.settle(await self.flow.press("dev", "Close, free lock…"))
        await self.world.submit("dev", opened.id, {opened.modal["fields"][0]["label"]: "Seen to."})

        async def free() -> bool:
            return number not in self.witness.locks()

        await self.world.until("its lock to be free", free)

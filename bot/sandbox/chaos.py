"""The chaos switch: while it is on, the bot is killed and wires are cut at random, a little at a time.

One thing happens at a time and the next only once the bot has come back, so that it gets anywhere at all. It ends by
itself: with the world, after its time, and when nobody has watched the world for a while. What it cost is counted
elsewhere, from the world (`toll`).
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from bot.sandbox.bodies import ChaosBody, FaultBody
from bot.sandbox.faults import Fault
from bot.sandbox.ledger import Ledger
from bot.sandbox.supervisor import State
from bot.sandbox.toll import Toll
from bot.sandbox.wire import Rejected

Json = dict[str, Any]

REST_S = (2.5, 7.0)
"""Between two blows, once the bot is connected again."""
DOWN_S = (0.3, 1.5)
RECOVERY_S = 25.0
"""The bot's time to come back before the next blow falls regardless: it is only started, never helped."""
UNWATCHED_S = 60.0
WATCH_S = 1.0
TOLD_S = 1.0
QUIET_S = 40.0
PARTS = ("discord", "github", "aws")


class Victim(Protocol):
    """The bot, as far as this room needs it."""

    @property
    def state(self) -> State: ...

    async def slay(self) -> None: ...

    async def start(self) -> None: ...


class Wires(Protocol):
    """The world's wires."""

    def add_fault(self, wanted: FaultBody) -> Fault: ...

    def remove_fault(self, fault: Fault) -> None: ...

    def connected(self) -> bool: ...

    def watched(self) -> bool: ...


class Chaos:
    """On or off; `describe()` is `GET /chaos`."""

    def __init__(self, *, victim: Callable[[], Victim], wires: Wires, ledger: Ledger, toll: Toll) -> None:
        self._victim = victim
        self._wires = wires
        self._ledger = ledger
        self._toll = toll
        self._random = random.Random()
        self._blows: Counter[str] = Counter()
        self._faults: list[Fault] = []
        self._last = ""
        self._ends_at = 0.0
        self._rampage: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._told: Json = {}

    @property
    def on(self) -> bool:
        return self._rampage is not None and not self._rampage.done()

    def start(self) -> None:
        """Begin to count; nothing is done to the world yet."""
        self._tasks = [
            asyncio.create_task(self._toll.follow(), name="toll"),
            asyncio.create_task(self._tell(), name="chaos-figures"),
        ]

    async def close(self) -> None:
        """End with the world."""
        await self._stop("")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def switch(self, wanted: ChaosBody) -> Json:
        """Switch it on for a while, or off; what was cut is mended when it goes off.

        While it is on, it goes on for so long from now; a seed has it begin anew, so that the blows are its own.

        Raises:
            Rejected: there is no bot to be killed.
        """
        if wanted.on and self._victim().state not in (State.RUNNING, State.WAITING):
            raise Rejected("The bot does not run, so that nothing can be done to it: start it first.")
        if not wanted.on:
            await self._stop("switched off")
        else:
            self._ends_at = time.monotonic() + wanted.for_s
            if wanted.seed is not None:
                await self._stop("")
            if not self.on:
                self._rampage = asyncio.create_task(self._run(random.Random(wanted.seed)), name="chaos")
        return await self.describe()

    async def describe(self) -> Json:
        """Whether it is on, what it did, and what that cost."""
        left_s = max(0.0, self._ends_at - time.monotonic()) if self.on else 0.0
        return {
            "on": self.on,
            "left_s": round(left_s, 1),
            "blows": dict(self._blows),
            "last": self._last,
            **await self._toll.count(),
        }

    async def _tell(self) -> None:
        """Publish the figures when they have changed. They are counted only while something goes on, or just did."""
        mark, quiet_s = self._toll.mark(), QUIET_S
        while True:
            await asyncio.sleep(TOLD_S)
            self._toll.watch()
            busy = self.on or mark != self._toll.mark()
            mark, quiet_s = self._toll.mark(), 0.0 if busy else quiet_s + TOLD_S
            if quiet_s > QUIET_S:
                continue
            now = await self.describe()
            if now | {"left_s": 0} != self._told:
                self._told = now | {"left_s": 0}
                self._ledger.publish("chaos", now)

    async def _stop(self, why: str) -> None:
        rampage, self._rampage = self._rampage, None
        if rampage is None:
            return
        rampage.cancel()
        await asyncio.gather(rampage, return_exceptions=True)
        self._last = why or self._last

    # -- blows --------------------------------------------------------------------------------------------------------

    async def _run(self, chance: random.Random) -> None:
        """Strike again and again until the time is over or nobody looks any more; then mend everything."""
        blows = (self._kill, self._kill, self._kill_at_a_request, self._cut_the_gateway, self._hang_up, self._lose)
        self._random = chance
        unwatched_s = 0.0
        try:
            while time.monotonic() < self._ends_at and unwatched_s < UNWATCHED_S:
                began = time.monotonic()
                await self._recovered()
                await asyncio.sleep(self._between(REST_S))
                await self._random.choice(blows)()
                unwatched_s = 0.0 if self._wires.watched() else unwatched_s + time.monotonic() - began
            self._last = "its time was over" if unwatched_s < UNWATCHED_S else "nobody was watching any more"
        finally:
            for fault in self._faults:
                self._wires.remove_fault(fault)
            self._faults.clear()
            await self._hasten()

    async def _hasten(self) -> None:
        """Spare a bot that died its back-off; one that somebody has stopped stays so."""
        if self._victim().state is State.WAITING:
            await self._victim().start()

    async def _recovered(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECOVERY_S):
                while not self._wires.connected():
                    await self._hasten()
                    await asyncio.sleep(WATCH_S / 4)

    async def _kill(self) -> None:
        self._strike("killed the bot")
        await self._victim().slay()
        await asyncio.sleep(self._between(DOWN_S))
        await self._hasten()

    async def _kill_at_a_request(self) -> None:
        when = self._random.choice(("before", "after"))
        part = self._random.choice(PARTS)
        self._strike(f"kills the bot {when} a request to {part}")
        self._arm(
            {"part": part, "kind": "kill", "when": when, "skip": self._random.randint(0, 3), "times": 1, "for_s": 8.0}
        )

    async def _cut_the_gateway(self) -> None:
        self._strike("cut the bot's gateway")
        self._arm({"part": "discord", "kind": "drop_gateway", "times": 1, "for_s": 5.0})

    async def _hang_up(self) -> None:
        part = self._random.choice(PARTS)
        self._strike(f"{part} hangs up")
        self._arm({"part": part, "kind": "refuse", "for_s": round(self._between((0.5, 2.5)), 1)})

    async def _lose(self) -> None:
        part = self._random.choice(PARTS)
        self._strike(f"{part} loses an answer")
        self._arm({"part": part, "kind": "lost_reply", "skip": self._random.randint(0, 3), "times": 1, "for_s": 8.0})

    def _arm(self, wanted: Json) -> None:
        self._faults = [fault for fault in self._faults if fault.alive()]
        fault = self._wires.add_fault(FaultBody.read(wanted))
        self._faults.append(fault)
        self._ledger.publish("fault", {"event": "added", **fault.describe()})

    def _strike(self, what: str) -> None:
        self._blows[what] += 1
        self._last = what

    def _between(self, bounds: tuple[float, float]) -> float:
        return self._random.uniform(*bounds)

"""Runs cases side by side: a few worlds, each with its own bot, take one case after the other from the same line."""

import asyncio
from collections.abc import Iterable
from typing import Self

from tests.crash.case import SPEED, MortalWorld, Outage, Result, run_case
from tests.crash.flows import Ground
from tests.crash.instants import Instant
from tests.crash.witness import Witness

Case = tuple[Instant, Outage]
WORLDS = 2


class SideBySide:
    """The results of all cases, as they come in; `async with` it, and what is not done by its end is given up."""

    def __init__(self, cases: Iterable[Case], *, worlds: int = WORLDS) -> None:
        loop = asyncio.get_running_loop()
        self._results: dict[Case, asyncio.Future[Result]] = {case: loop.create_future() for case in cases}
        self._line = iter(list(self._results))
        self._worlds = worlds
        self._workers: list[asyncio.Task[None]] = []
        self._running: set[asyncio.Task[Result]] = set()

    async def __aenter__(self) -> Self:
        for number in range(min(self._worlds, len(self._results))):
            self._workers.append(asyncio.create_task(self._work(), name=f"world-{number}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._line = iter(())
        for running in self._running:  # and not the workers: they end their worlds first
            running.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for result in self._results.values():
            if result.done() and not result.cancelled():
                result.exception()  # whoever did not ask for it has no use for it

    async def result(self, case: Case) -> Result:
        """What has come of the case.

        Raises:
            AssertionError: something was done twice, lost, or told wrongly. (Or whatever else went wrong.)
        """
        return await asyncio.shield(self._results[case])

    async def _work(self) -> None:
        """Take case after case; a new world after one that went wrong."""
        while (case := next(self._line, None)) is not None:
            try:
                await self._work_from(case)
            except Exception as error:  # the border of one world: whatever it is belongs to its first case
                if not self._results[case].done():
                    self._results[case].set_exception(error)

    async def _work_from(self, case: Case | None) -> None:
        async with MortalWorld(speed=SPEED) as world:
            ground = Ground(world, Witness(world))
            await ground.prepare()
            while case is not None:
                try:
                    self._results[case].set_result(await self._run(ground, case))
                except Exception as error:  # the border of one case
                    self._results[case].set_exception(error)
                    return
                case = next(self._line, None)

    async def _run(self, ground: Ground, case: Case) -> Result:
        running = asyncio.create_task(run_case(ground, *case))
        self._running.add(running)
        try:
            return await running
        finally:
            self._running.discard(running)

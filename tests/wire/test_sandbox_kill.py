"""The fault that kills the bot at a request: when it does so, what was done by then, and what the ledger says."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.sandbox.faults import Faults
from bot.sandbox.ledger import Ledger
from bot.sandbox.supervisor import State, Supervisor
from bot.sandbox.wire import fault_middleware, ledger_middleware, listen


@dataclass
class Part:
    """A part of the world with one route, a bot that sleeps, and what happened in which order."""

    faults: Faults
    ledger: Ledger
    url: str
    bot: Supervisor
    happened: list[str]

    async def post(self, query: str = "") -> int:
        """The status, or 0 when the connection was cut."""
        try:
            async with aiohttp.ClientSession() as session, session.post(f"{self.url}/order{query}") as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0


@pytest.fixture
async def part(tmp_path: Path) -> AsyncIterator[Part]:
    faults, ledger = Faults(), Ledger()
    sleeper = Supervisor(
        arguments=(sys.executable, "-c", "import time; time.sleep(600)"),
        environ={"PATH": os.defpath},
        folder=tmp_path,
        log=tmp_path / "bot.log",
        ledger=ledger,
    )
    app = web.Application(
        middlewares=[
            ledger_middleware("github", ledger, lambda _: "bot"),
            fault_middleware("github", faults, lambda fault: web.Response(status=fault.status or 500)),
        ]
    )
    happened: list[str] = []

    async def order(_: web.Request) -> web.Response:
        happened.append("carried out" if sleeper.pid else "carried out for a dead bot")
        return web.Response(status=201)

    async def slay() -> None:
        await sleeper.slay()
        happened.append("dead")

    app.router.add_post("/order", order)
    runner, port = await listen(app)
    faults.executioner = slay
    await sleeper.start(keep=False)
    yield Part(faults, ledger, f"http://127.0.0.1:{port}", sleeper, happened)
    await runner.cleanup()
    await sleeper.close()


async def dead(bot: Supervisor) -> None:
    async with asyncio.timeout(10):
        while bot.state is not State.STOPPED:
            await asyncio.sleep(0.01)


async def test_killed_before_the_part_has_done_anything(part: Part) -> None:
    part.faults.add("github", "kill", match="POST /order", times=1)
    assert await part.post() == 0
    await dead(part.bot)
    assert part.happened == ["dead"]
    assert [(r["status"], r["carried_out"]) for r in part.ledger.requests("github", 0)] == [(0, 0)]


async def test_killed_when_it_was_carried_out_and_before_the_answer(part: Part) -> None:
    part.faults.add("github", "kill", match="POST /order", times=1, when="after")
    assert await part.post() == 0
    await dead(part.bot)
    assert part.happened == ["carried out", "dead"]
    assert [(r["status"], r["carried_out"]) for r in part.ledger.requests("github", 0)] == [(0, 201)]


async def test_the_first_matching_requests_may_pass_and_the_query_may_tell_them_apart(part: Part) -> None:
    part.faults.add("github", "kill", match=r"\?of=us$", times=1, skip=1)
    assert [await part.post("?of=them"), await part.post("?of=us"), await part.post("?of=us")] == [201, 201, 0]


async def test_one_that_was_not_to_be_kept_stays_dead_until_it_is_started_again(part: Part) -> None:
    await part.bot.slay()
    await dead(part.bot)
    assert "SIGKILL" in part.bot.detail
    await part.bot.start()
    assert part.bot.state is State.RUNNING


async def test_killing_one_that_does_not_run_does_nothing(part: Part) -> None:
    await part.bot.stop()
    await part.bot.slay()
    assert part.bot.pid is None

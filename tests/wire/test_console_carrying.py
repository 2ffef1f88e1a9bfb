"""A command without a bot: it carries its own line on, leaves the rest alone, and gives the lock back."""

import argparse
import asyncio
import io
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bot.console.arguments import add_parsers
from bot.console.carrying import Carrier, carrying
from bot.console.command import do
from bot.console.exits import Exit
from bot.console.following import Follower
from bot.console.paper import Paper
from bot.console.session import Session
from bot.db.opening import FileLock, Role
from bot.groundwork import Core, open_core
from bot.logs import Redactor
from bot.ops.handler import Failed, Interrupted
from bot.ops.lookout import Lookout
from bot.ops.model import Operation, Request, Status
from bot.policy import Action, Door, PolicyRow
from bot.sandbox import cast
from bot.sandbox.botconfig import Endpoints, compose
from bot.settings import Settings
from tests.unit.engine_room import Deploy
from tests.wire.front_room import NOBODY

INSTANCES = {"dev": "i-0123456789abcdef0", "prod": "i-0123456789abcdef1"}


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[tuple[Core, Deploy]]:
    """The groundwork beside whoever holds the lock, with an outside that the test steers."""
    document = compose(Endpoints(f"{NOBODY}/api/v10", "", NOBODY, NOBODY, INSTANCES, {}), home=path)
    document.pop("seed_file")
    settings = Settings.model_validate({**document, "discord_token": cast.new_discord_token(), "github_token": "g"})
    async with AsyncExitStack() as stack:
        core = await open_core(settings, Redactor(), stack, exclusive=False)
        deploys = Deploy()
        core.registry.add(deploys)
        yield core, deploys


async def asked(core: Core, service: str, environment: str = "dev") -> Operation:
    sre = core.people.person("sre", door=Door.COMMAND_LINE, discord_roles=None)
    request = Request(f"{service}-{environment}-{id(object())}", "deploy", environment, {"service": service})
    return await core.engine.request(request, sre)


async def becomes(core: Core, operation: Operation, status: Status) -> Operation:
    async with asyncio.timeout(20):
        while (now := await core.engine.operation(operation.id)).status is not status:
            await asyncio.sleep(0.01)
    return now


async def test_it_carries_its_operation_and_whatever_stands_in_its_way_and_nothing_else(tmp_path):
    async with opened(tmp_path) as (core, deploys):
        deploys.gate.set()
        other, before, ours = await asked(core, "web"), await asked(core, "app"), await asked(core, "app")
        carrier = Carrier(core, ours.id)
        assert await carrier.look(ours)
        await becomes(core, ours, Status.SUCCEEDED)
        await carrier.close()
        assert deploys.dispatched == [before.id, ours.id]
        left = await core.engine.operation(other.id)
        assert (left.status, left.waiting_for) == (Status.APPROVED, "")


async def test_what_it_writes_holds_no_secret_either(tmp_path):
    async with opened(tmp_path) as (core, deploys):
        core.redactor.register("canary-canary-canary")
        deploys.error = Failed("The host said canary-canary-canary.", log_tail="export TOKEN=canary-canary-canary")
        deploys.gate.set()
        ours = await asked(core, "app")
        carrier = Carrier(core, ours.id)
        await carrier.look(ours)
        failed = await becomes(core, ours, Status.FAILED)
        await carrier.close()
        assert "canary" not in failed.reason + failed.log_tail
        assert "redacted" in failed.reason


async def test_what_a_dead_bot_left_running_is_found_again_and_not_begun_anew(tmp_path):
    async with opened(tmp_path) as (core, deploys):
        ours = await asked(core, "app")
        first = Carrier(core, ours.id)
        await first.look(ours)
        await becomes(core, ours, Status.RUNNING)
        async with asyncio.timeout(20):
            while not (await core.engine.operation(ours.id)).checkpoint:
                await asyncio.sleep(0.01)
        await first.close()
        assert (await core.engine.operation(ours.id)).status is Status.RUNNING
        deploys.gate.set()
        second = Carrier(core, ours.id)
        assert await second.look(await core.engine.operation(ours.id))
        await becomes(core, ours, Status.SUCCEEDED)
        await second.close()
        assert (deploys.dispatched, deploys.resumed) == ([ours.id], [ours.id])


async def test_while_a_bot_lives_it_only_watches(tmp_path):
    async with opened(tmp_path) as (core, deploys):
        ours = await asked(core, "app")
        with FileLock.take(core.settings.database_file):
            assert carrying(core).by_bot
            carrier = Carrier(core, ours.id)
            assert not await carrier.look(ours)
            await carrier.close()
        assert carrying(core).holder is None
        assert deploys.dispatched == []


async def test_a_bot_that_is_started_again_comes_before_a_command_that_was_watching(tmp_path):
    async with opened(tmp_path) as (core, _):
        ours = await asked(core, "app")
        patient, carrier = Carrier(core, ours.id, grace_s=600), Carrier(core, ours.id, grace_s=0)
        with FileLock.take(core.settings.database_file):
            assert not await patient.look(ours)
            assert not await carrier.look(ours)
        assert not await patient.look(ours)
        assert carrying(core).holder is None, "the lock was not given back"
        assert await carrier.look(ours)
        assert carrying(core).other == f"another quarterdeck command (process {os.getpid()})"
        await carrier.close()
        assert carrying(core).holder is None


async def test_what_only_a_bot_can_do_is_left_to_it(tmp_path):
    async with opened(tmp_path) as (core, _):
        ours = await asked(core, "app")
        reload = replace(ours, kind="reload")
        assert Carrier(core, ours.id).could_carry(ours)
        assert not await Carrier(core, ours.id).look(reload)
        assert carrying(core).holder is None


async def test_what_waits_for_a_vote_takes_no_lock(tmp_path):
    async with opened(tmp_path) as (core, _):
        ours = await asked(core, "app", "prod")
        carrier = Carrier(core, ours.id)
        assert ours.status is Status.PENDING
        assert not await carrier.look(ours)
        assert carrying(core).holder is None


async def looks_until(core: Core, carrier: Carrier, operation: Operation, held: bool) -> None:
    """Look as a follower does, until this process has the lock or has given it back."""
    async with asyncio.timeout(20):
        while (carrying(core).holder is not None) is not held:
            await carrier.look(await core.engine.operation(operation.id))
            await asyncio.sleep(0.05)


async def test_while_its_own_only_waits_the_lock_is_given_back_and_taken_again_once_it_can_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr("bot.console.carrying.AWAY_S", 0.4)
    async with opened(tmp_path) as (core, deploys):
        deploys.gate.set()
        deploys.error = Interrupted("Nobody knows.")
        before = await asked(core, "app")
        first = Carrier(core, before.id)
        await first.look(before)
        await becomes(core, before, Status.INTERRUPTED)
        await first.close()
        deploys.error = None
        ours = await asked(core, "app")
        carrier = Carrier(core, ours.id)
        assert await carrier.look(ours)
        await looks_until(core, carrier, ours, held=False)
        waits = await core.engine.operation(ours.id)
        assert (waits.status, carrier.ourselves) == (Status.APPROVED, False)
        assert f"behind #{before.id}" in waits.waiting_for
        FileLock.take(core.settings.database_file).release()
        for _ in range(12):
            assert not await carrier.look(waits), "nothing can start, and it keeps a bot away all the same"
            await asyncio.sleep(0.05)
        sre = core.people.person("sre", door=Door.COMMAND_LINE, discord_roles=None)
        await core.engine.close(before.id, sre, Status.FAILED, reason="Looked.")
        await looks_until(core, carrier, ours, held=True)
        await becomes(core, ours, Status.SUCCEEDED)
        await carrier.close()
        assert carrying(core).holder is None


async def test_what_works_for_long_keeps_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr("bot.console.carrying.IDLE_S", 0.0)
    async with opened(tmp_path) as (core, deploys):
        ours = await asked(core, "app")
        carrier = Carrier(core, ours.id)
        assert await carrier.look(ours)
        running = await becomes(core, ours, Status.RUNNING)
        for _ in range(5):
            await carrier.look(running)
        assert carrier.ourselves
        deploys.gate.set()
        await becomes(core, ours, Status.SUCCEEDED)
        await carrier.close()


async def test_the_terminal_cannot_put_it_to_sleep_while_it_has_the_lock(tmp_path):
    async with opened(tmp_path) as (core, _):
        ours = await asked(core, "app")
        carrier, before = Carrier(core, ours.id), signal.getsignal(signal.SIGTSTP)
        assert before is not signal.SIG_IGN
        assert await carrier.look(ours)
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGTSTP)  # without that this process sleeps here for ever
        await carrier.close()
        assert signal.getsignal(signal.SIGTSTP) is before
        with FileLock.take(core.settings.database_file, Role.CARRIER):
            assert not await Carrier(core, ours.id).look(ours)
            assert signal.getsignal(signal.SIGTSTP) is before


# ---- what one may not see ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("person", "sees"), [("sre", True), ("dev", False)])
async def test_of_somebody_elses_operation_that_one_may_not_see_only_the_state_is_told(tmp_path, person, sees):
    async with opened(tmp_path) as (whole, deploys):
        rows = (*whole.settings.policy_rows, PolicyRow(Action.OPERATION_VIEW, "dev", requesters=("sre",)))
        core = replace(whole, lookout=Lookout(whole.store, rows))
        deploys.gate.set()
        deploys.error = Failed("The engine smoked.", log_tail="black smoke")
        ours, out = await asked(core, "app"), io.StringIO()
        assert await Follower(sitting(core, out, person=person), ours, timeout_s=60).follow() is Exit.FAILED
        said = out.getvalue()
        assert f"{ours.short_id} failed" in said
        for hidden in ("It started.", "The engine smoked.", "black smoke"):
            assert (hidden in said) is sees, said
        assert (f"of the record of {ours.short_id} you may not see" in said) is not sees
        paper = Paper(core.redactor, as_json=True, out=(out := io.StringIO()), err=io.StringIO())
        again = replace(sitting(core, out, person=person), paper=paper)
        await Follower(again, await core.engine.operation(ours.id), timeout_s=60).follow()
        assert ("plan" in json.loads(out.getvalue())) is sees


async def test_ones_own_operation_is_told_whoever_else_may_look(tmp_path):
    async with opened(tmp_path) as (whole, deploys):
        core = replace(whole, lookout=Lookout(whole.store, ()))
        deploys.gate.set()
        ours, out = await asked(core, "app"), io.StringIO()
        await Follower(sitting(core, out), ours, timeout_s=60).follow()
        assert "It started." in out.getvalue()


# ---- another command that has the lock -----------------------------------------------------------------------------


def sitting(core: Core, out: io.StringIO, command: str = "deploy", person: str = "sre") -> Session:
    """Somebody at the command line, whose answers and complaints go to `out`."""
    actor = core.people.person(person, door=Door.COMMAND_LINE, discord_roles=None)
    return Session(core, actor, Paper(core.redactor, out=out, err=out), command)


async def typed(core: Core, *words: str) -> tuple[Exit, str]:
    """The exit code, and everything that the command said, as sre."""
    parser, out = argparse.ArgumentParser(), io.StringIO()
    add_parsers(parser.add_subparsers(dest="command"))
    options = parser.parse_args([*words, "--config", "none"])
    code = await do(sitting(core, out, words[0]), options)
    return code, out.getvalue()


OTHER = f"another quarterdeck command (process {os.getpid()})"


async def test_nothing_is_handed_to_a_bot_while_another_command_has_the_lock(tmp_path):
    async with opened(tmp_path) as (core, _):
        with FileLock.take(core.settings.database_file, Role.CARRIER):
            code, said = await typed(core, "deploy", "app", "dev", "--no-wait", "--yes")
            assert code is Exit.NOT_OVER
            assert f"is written down; no bot lives, and {OTHER} carries only its own line out" in said
            assert "handed over" not in said
            code, said = await typed(core, "deploy", "web", "dev", "--timeout", "1", "--yes")
            assert code is Exit.NOT_OVER
            assert f"{OTHER} carries only its own line out" in said
        with FileLock.take(core.settings.database_file):
            code, said = await typed(core, "deploy", "app", "dev", "--no-wait", "--yes")
            assert code is Exit.DONE
            assert "is handed over to the bot" in said


async def test_a_command_that_watches_takes_over_once_the_other_one_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("bot.console.following.Carrier", partial(Carrier, grace_s=0.0))
    async with opened(tmp_path) as (core, deploys):
        deploys.gate.set()
        ours, out = await asked(core, "app"), io.StringIO()
        follower = Follower(sitting(core, out), ours, timeout_s=60)
        with FileLock.take(core.settings.database_file, Role.CARRIER):
            following = asyncio.create_task(follower.follow())
            async with asyncio.timeout(20):
                while OTHER not in out.getvalue():
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.7)
            assert not following.done()
            assert deploys.dispatched == []
        async with asyncio.timeout(20):
            assert await following is Exit.DONE
        said = out.getvalue()
        assert said.count(f"{OTHER} carries its own line out") == 1
        assert said.count("No bot lives here: this command carries it out.") == 1
        assert deploys.dispatched == [ours.id]


async def test_the_status_says_that_only_a_command_is_at_work(tmp_path):
    async with opened(tmp_path) as (core, _):
        with FileLock.take(core.settings.database_file, Role.CARRIER):
            _, said = await typed(core, "status")
        assert f"NOT RUNNING: {OTHER} carries its own line out" in said
        with FileLock.take(core.settings.database_file):
            _, said = await typed(core, "status")
        assert "Quarterdeck lives" in said

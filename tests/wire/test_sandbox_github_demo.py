"""The demo with REAL_WORKFLOWS=1, from the bot's side: checks and builds are what the workflow files really make."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox.github.act.process import find
from tests.story.steps import asked, ended
from tests.story.world_driver import World
from tests.wire.test_sandbox_process import run_sandbox

if find() is None:
    pytest.skip("act is not installed: .ci/venv dev brings it", allow_module_level=True)

WITHIN_S = 180.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world() -> AsyncIterator[World]:
    async with World(environ={"REAL_WORKFLOWS": "1"}) as opened:
        yield opened


async def test_a_deploy_goes_out_with_an_image_whose_workflow_was_executed(world: World) -> None:
    parts = {part["name"]: part for part in (await world.state())["parts"]}
    assert "executed by act" in parts["github"]["detail"]
    sha = await world.push({"app/CHANGES.md": "# Changes\n\n- really built\n"}, "Really built")
    card = await ended(world, await asked(world, "dev", "dev"), timeout_s=WITHIN_S)
    assert "succeeded" in card.text, card.text
    assert (await world.health("dev"))["commit"] == sha
    logs = [log.read_text(encoding="utf-8") for log in (world.home / "github" / "logs").glob("*.log")]
    built = [log for log in logs if f"Image of `app` at `{sha}`" in log]
    assert len(built) == 1
    assert f"{sha} is on refs/remotes/origin/main" in built[0]


async def test_a_deploy_that_is_cancelled_while_it_builds_stops_the_workflow(world: World) -> None:
    await world.push({"app/CHANGES.md": "# Changes\n\n- never out\n"}, "Never out")
    before = await world.health("dev")
    await world.clock(0.2)
    operation = await asked(world, "dev", "dev")
    await world.until("the build's first step", lambda: _building(world.home), timeout_s=WITHIN_S)
    await world.ask("dev", "ops cancel", operation=operation.lstrip("#"))
    card = await ended(world, operation, timeout_s=WITHIN_S)
    await world.clock(1)
    assert "cancelled" in card.text, card.text
    assert (await world.health("dev"))["commit"] == before["commit"]
    newest = (await _builds(world.home))[-1]
    assert newest["cancel_at"] is not None
    assert newest["execution"]["jobs"][0]["conclusion"] == "cancelled"


async def _builds(home: Path) -> list[Any]:
    """What GitHub's part has written down about its builds, oldest first."""
    text = await asyncio.to_thread((home / "github" / "journal.json").read_text, encoding="utf-8")
    runs = json.loads(text)["runs"]
    return [runs[number] for number in sorted(runs) if runs[number]["builds"]]


async def _building(home: Path) -> bool:
    newest = (await _builds(home))[-1:]
    return any(run["execution"]["jobs"] and run["execution"]["over_at"] is None for run in newest)


async def test_without_act_the_demo_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib\n_is_file = pathlib.Path.is_file\n"
        "pathlib.Path.is_file = lambda path: path.name != 'act' and _is_file(path)\n"
    )
    environ = {"REAL_WORKFLOWS": "1", "PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    code, err = await run_sandbox("--port", "0", "--home", str(tmp_path / "home"), "--no-bot", **environ)
    assert (code, "Traceback" in err) == (69, False)
    assert "needs act, which is not installed here: .ci/venv dev brings it." in err

"""GitHub's own client for JavaScript, unmodified, over every endpoint in use; and that it notices what is wrong."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from bot.sandbox.cast import GITHUB_REPOSITORY
from bot.sandbox.github.api_actions import ActionsApi
from bot.sandbox.validation.inspector import Inspector
from bot.sandbox.wire import listen
from tests.wire.foreign_client import INSTALLED, NODE, SCRIPTS
from tests.wire.sandbox_github import DIGEST, TAG, TOKEN, GithubWorld, RunningClock, make_source, opened

if not (INSTALLED / "node_modules" / "@octokit" / "rest").exists():
    pytest.skip("@octokit/rest is not installed: .ci/foreign brings it", allow_module_level=True)

SPEED = 20.0
WITHIN_S = 90
WRITES = ("actions", "deployments", "statuses", "repository_hooks")
READS = ("checks", "contents", "metadata", "pull_requests")


@asynccontextmanager
async def opened_wide(folder: Path) -> AsyncIterator[GithubWorld]:
    """A world whose token may do everything that the script does."""
    source = make_source(folder / "source")
    clock = RunningClock(SPEED)
    async with opened(folder / "github", source, clock=clock) as world:
        await world.part.token({"permissions": dict.fromkeys(WRITES, "write") | dict.fromkeys(READS, "read")})
        yield world


@dataclass(frozen=True)
class Tour:
    """What the script told of a sound world, and that world's newest commit."""

    told: dict[str, Any]
    main: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    async with opened_wide(tmp_path_factory.mktemp("octokit")) as world:
        return Tour(await run_script(world), await world.part.head("main"))


async def run_script(world: GithubWorld) -> dict[str, Any]:
    """What it said, by step; under `broke` why it went no further."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    receiver, port = await listen(app)
    process = await asyncio.create_subprocess_exec(
        *(NODE, SCRIPTS / "octokit.mjs"),
        cwd=INSTALLED,
        env={
            "PATH": os.environ["PATH"],
            "API": world.part.api_url,
            "TOKEN": TOKEN,
            "REPOSITORY": GITHUB_REPOSITORY,
            "RECEIVER": f"http://127.0.0.1:{port}/",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await receiver.cleanup()
    steps = {told["step"]: told for told in map(json.loads, out.splitlines())}
    assert steps, err.decode()[-2000:]
    return steps


async def test_octokit_reads_the_repository(tour: Tour) -> None:
    told, main = tour.told, tour.main
    assert "broke" not in told, told["broke"]["what"]
    assert told["login"] | {"step": ""} == {
        "step": "", "login": "quarterdeck-bot", "name": GITHUB_REPOSITORY, "branch": "main"
    }  # fmt: skip
    assert told["refs"]["main"] == main
    assert told["refs"]["branches"] == ["feature/banner", "main"]
    assert told["refs"]["matching"] == ["refs/heads/feature/banner", "refs/heads/main"]
    assert sum(told["commits"]["pages"]) == 9
    assert told["commits"]["pages"][0] == 4
    assert told["commits"]["dockerfile"] == "FROM scratch AS app\n"
    assert "app/__main__.py" in told["commits"]["tree"]
    assert (told["compare"]["status"], told["compare"]["commits"]) == ("ahead", [main])
    assert (told["pulls"]["number"], told["pulls"]["merged"]) == (21, True)
    assert told["compare"]["files"] == ["app/CHANGES.md"]


async def test_octokit_reads_ci_and_drives_a_run_through_its_attempts(tour: Tour) -> None:
    told, main = tour.told, tour.main
    assert told["ci"]["checks"] == [["app", "success"], ["bot", "success"], ["workflows", "success"]]
    assert (told["ci"]["before"], told["ci"]["after"], told["ci"]["statuses"]) == ("pending", "failure", 2)
    assert told["ci"]["contexts"] == ["other/ci", "other/lint"]
    run = told["run"]
    assert (run["title"], run["conclusion"], run["status"]) == (f"build app {main} [octo-1]", "success", 200)
    assert run["seen"][-1] == "completed"
    assert len(run["seen"]) > 1, "it was never seen under way"
    assert {conclusion for _, conclusion in run["steps"]} == {"success"}
    assert f"{TAG}: digest: {DIGEST}" in run["log"]
    assert run["logOrigin"].startswith("http://localhost:"), "the log lies on another origin"
    assert run["zip"] == "PK"
    attempts = told["attempts"]
    assert attempts["late"] == {"status": 409, "message": "Cannot cancel a workflow run that is completed."}
    assert (attempts["again"], attempts["second"], attempts["first"]) == (201, [2, "cancelled"], "success")
    assert (attempts["firstJobs"], attempts["all"]) == (1, [2, 1])
    assert (attempts["archive"], attempts["failed"], attempts["forced"]) == (200, 201, 202)
    assert (told["runs"]["rerun"], told["runs"]["listed"], told["runs"]["total"]) == (201, [run["run_id"]], 1)


async def test_octokit_deploys_and_is_told_by_webhooks(tour: Tour) -> None:
    told, main = tour.told, tour.main
    deployments = told["deployments"]
    assert (deployments["sha"], deployments["payload"], deployments["listed"]) == (main, {"n": 1}, [True])
    assert (deployments["statuses"], deployments["status"]) == (["success", "in_progress"], "success")
    assert deployments["environments"] == ["dev", "prod", "preview"]
    hooks = told["hooks"]
    assert hooks["events"] == ["push", "ping", "ping"]
    assert (hooks["ref"], hooks["again"], hooks["same"]) == ("refs/heads/main", 202, True)
    assert (hooks["changed"], hooks["secret"], hooks["gone"]) == (["push", "deployment"], "********", 204)


async def test_octokit_meets_etags_and_refusals(tour: Tour) -> None:
    assert "done" in tour.told, tour.told.get("broke")
    limits = tour.told["limits"]
    assert (limits["unchanged"], limits["used"] - limits["before"]) == (304, 0)
    assert limits["wrong"] == {"status": 401, "message": "Bad credentials"}
    assert limits["absent"] == {"status": 404, "message": "Not Found"}
    assert limits["unknown"] == {"status": 422, "message": "No ref found for: gone"}


async def test_both_octokit_and_the_description_notice_a_field_that_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_inspector: Inspector
) -> None:
    sound = ActionsApi.job_body

    def broken(self: ActionsApi, *about: Any) -> dict[str, Any]:
        body = sound(self, *about)
        return body | {"id": f"job {body['id']}"}

    monkeypatch.setattr(ActionsApi, "job_body", broken)
    async with opened_wide(tmp_path) as world:
        told = await run_script(world)
    assert "run" not in told
    assert "/jobs/0/id" in {mismatch.pointer for mismatch in own_inspector.findings.mismatches}
    assert "404" in told["broke"]["what"] or "Not Found" in told["broke"]["what"]


async def test_octokit_notices_pages_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.sandbox.github.pages.links", lambda *about, **more: "")
    async with opened_wide(tmp_path) as world:
        told = await run_script(world)
    assert told["refs"]["branches"] == ["feature/banner"]
    assert told["commits"]["pages"] == [4]

"""The sandbox's GitHub with act as its runner: each shipped workflow is really executed, live, failing, cancelled."""

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox.github.act.process import find
from bot.sandbox.github.act.stage import without_news
from bot.sandbox.images import BuildOrder
from tests.wire.sandbox_github import DIGEST, PROJECT, GithubWorld, RunningClock, opened

if find() is None:
    pytest.skip("act is not installed: .ci/venv dev brings it", allow_module_level=True)

WITHIN_S = 60
SPEED = 10.0
APP_PATHS = ("Dockerfile", "app", "locks/app.txt")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GithubWorld]:
    home = tmp_path_factory.mktemp("real") / "github"
    async with opened(
        home, make_sample(home.parent / "source"), clock=RunningClock(SPEED), real_workflows=True
    ) as opened_world:
        yield opened_world
    assert left_over(home) == [], "the runner left processes behind"
    assert not list((home / "attempts").glob("*")), "the runner left folders behind"


def make_sample(folder: Path) -> Path:
    """The project's own files, as far as its workflows read them; the bot's many modules are left out."""
    for name in ("app", "cogs", "locks", ".github/workflows"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Dockerfile", "README.md", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder / name)
    return folder


def left_over(home: Path) -> list[str]:
    """The command lines of all processes that an attempt has started and that still live."""
    mark, found = f"QUARTERDECK_RUN={home}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def git(world: GithubWorld, *arguments: str) -> str:
    command = ["git", "--git-dir", str(world.part.repository_path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def fingerprint(world: GithubWorld, commit: str) -> str:
    """The tag of the app's content, by the definition."""
    text = "".join(f"{path} {git(world, 'rev-parse', f'{commit}:{path}')}\n" for path in APP_PATHS)
    return "fp-" + hashlib.sha256(text.encode()).hexdigest()[:16]


async def ended(world: GithubWorld, run_id: int) -> Any:
    async with asyncio.timeout(WITHIN_S):
        while (run := await world.run(run_id))["status"] != "completed":
            await asyncio.sleep(0.1)
    return run


def steps(job: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["conclusion"] or step["status"] for step in job["steps"]}


async def checks_run(world: GithubWorld, sha: str) -> int:
    return int((await world.get(f"/actions/runs?head_sha={sha}"))["workflow_runs"][0]["id"])


async def test_build_image_is_executed_from_its_file_and_its_image_is_built(world: GithubWorld) -> None:
    world.orders.clear()
    sha = await world.part.head("main~2")
    tag = fingerprint(world, sha)
    run_id = await world.dispatch(sha=sha, tag=tag, request="real-1")
    seen: list[dict[str, str]] = []
    async with asyncio.timeout(WITHIN_S):
        while (await world.run(run_id))["status"] != "completed":
            if found := steps(await world.job(run_id)):
                seen.append(found)
            await asyncio.sleep(0.02)
    run, job = await world.run(run_id), await world.job(run_id)
    log = await world.log(job["id"])
    assert (run["conclusion"], job["conclusion"]) == ("success", "success"), log
    assert set(steps(job).values()) == {"success"}
    live = [name for found in seen for name, state in found.items() if state == "in_progress"]
    assert live, "no step was ever seen in progress"
    assert world.orders == [BuildOrder("app", sha, tag, "real-1")]
    assert f"Image of `app` at `{sha}`" in log
    assert DIGEST in log
    assert f"{sha} is on refs/remotes/origin/" in log


async def test_an_input_that_has_no_form_fails_in_the_workflows_own_step(world: GithubWorld) -> None:
    world.orders.clear()
    run_id = await world.dispatch(sha="main")
    assert (await ended(world, run_id))["conclusion"] == "failure"
    job = await world.job(run_id)
    found = steps(job)
    assert (found["Check inputs"], found["Check out"], found["Push image"]) == ("failure", "skipped", "skipped")
    log = await world.log(job["id"])
    assert "##[error]The input sha does not have its form." in log
    assert "##[error]Process completed with exit code 1." in log
    assert world.orders == []


async def test_a_tag_that_is_not_the_contents_own_fails_by_git_itself(world: GithubWorld) -> None:
    sha = await world.part.head("main")
    run_id = await world.dispatch(sha=sha, tag="fp-0000000000000000")
    assert (await ended(world, run_id))["conclusion"] == "failure"
    job = await world.job(run_id)
    assert steps(job)["Check the fingerprint"] == "failure"
    assert fingerprint(world, sha) in await world.log(job["id"])


async def test_a_forks_commit_is_checked_out_and_refused(world: GithubWorld) -> None:
    fork = await world.part.fork_pull({"files": {"Dockerfile": "FROM evil AS app\n"}, "message": "x"})
    run_id = await world.dispatch(sha=fork["sha"], tag=fingerprint(world, fork["sha"]))
    assert (await ended(world, run_id))["conclusion"] == "failure"
    found = steps(await world.job(run_id))
    assert (found["Check out"], found["Check that the commit is on a branch"]) == ("success", "failure")
    checks = await checks_run(world, fork["sha"])
    await world.send("POST", f"/actions/runs/{checks}/cancel")
    await ended(world, checks)


async def test_a_build_that_is_cancelled_is_stopped_and_leaves_nothing(world: GithubWorld) -> None:
    world.gate.clear()
    world.orders.clear()
    sha = await world.part.head("main")
    run_id = await world.dispatch(sha=sha, tag=fingerprint(world, sha))
    async with asyncio.timeout(WITHIN_S):
        while not world.orders:
            await asyncio.sleep(0.05)
    status, body, _ = await world.send("POST", f"/actions/runs/{run_id}/cancel")
    assert (status, body) == (202, {})
    run, job = await ended(world, run_id), await world.job(run_id)
    world.gate.set()
    assert (run["conclusion"], job["conclusion"]) == ("cancelled", "cancelled")
    assert (steps(job)["Push image"], steps(job)["Build image"]) == ("cancelled", "success")
    assert "##[error]The operation was canceled." in await world.log(job["id"])
    again = await world.send("POST", f"/actions/runs/{run_id}/rerun")
    assert again[0] == 201
    assert (await ended(world, run_id))["conclusion"] == "success"
    first = await world.get(f"/actions/runs/{run_id}/attempts/1")
    assert (first["conclusion"], (await world.run(run_id))["run_attempt"]) == ("cancelled", 2)


async def test_a_run_cancelled_at_once_never_begins_to_build(world: GithubWorld) -> None:
    world.orders.clear()
    sha = await world.part.head("main")
    run_id = await world.dispatch(sha=sha, tag=fingerprint(world, sha))
    await world.send("POST", f"/actions/runs/{run_id}/cancel")
    assert (await ended(world, run_id))["conclusion"] == "cancelled"
    assert world.orders == []


async def test_a_run_that_waits_for_a_runner_is_cancelled_at_once(world: GithubWorld) -> None:
    world.gate.clear()
    sha = await world.part.head("main")
    tag = fingerprint(world, sha)
    runs = [await world.dispatch(sha=sha, tag=tag, request=f"q{number}") for number in range(3)]
    async with asyncio.timeout(WITHIN_S):
        while [(await world.run(run))["status"] for run in runs] != ["in_progress", "in_progress", "queued"]:
            await asyncio.sleep(0.05)
    await world.send("POST", f"/actions/runs/{runs[2]}/cancel")
    last = await world.run(runs[2])
    assert (last["status"], last["conclusion"]) == ("completed", "cancelled")
    for run in runs[:2]:
        await world.send("POST", f"/actions/runs/{run}/cancel")
    assert {(await ended(world, run))["conclusion"] for run in runs} == {"cancelled"}
    world.gate.set()


async def test_checks_are_executed_for_a_push_and_the_page_really_answers(world: GithubWorld) -> None:
    sha = (await world.part.push({"files": {"README.md": "# Harbour\n"}, "message": "Say less"}))["sha"]
    run = await ended(world, await checks_run(world, sha))
    jobs = (await world.get(f"/actions/runs/{run['id']}/jobs"))["jobs"]
    logs = {job["name"]: await world.log(job["id"]) for job in jobs}
    assert {job["name"]: job["conclusion"] for job in jobs} == dict.fromkeys(("app", "bot", "workflows"), "success"), (
        logs
    )
    assert '"status": "ok"' in logs["app"] or '"status":"ok"' in logs["app"], logs["app"]
    assert "cogs compiles" in logs["bot"]
    assert all(sha in log for log in logs.values()), "each job checks the commit out"
    assert not any("Press RETURN" in log or "\x1b" in log for log in logs.values()), "no step waits at a terminal"
    assert "No findings to report" in logs["workflows"], logs["workflows"]


async def test_a_push_that_breaks_the_code_makes_its_check_red(world: GithubWorld) -> None:
    broken = {"files": {"cogs/typo.py": "def main(:\n"}, "branch": "fix/typo", "message": "Break it"}
    sha = (await world.part.push(broken))["sha"]
    run = await ended(world, await checks_run(world, sha))
    assert (run["event"], run["conclusion"]) == ("pull_request", "failure")
    found = {c["name"]: c["conclusion"] for c in (await world.get(f"/commits/{sha}/check-runs"))["check_runs"]}
    assert found == {"app": "success", "bot": "failure", "workflows": "success"}


async def test_an_action_without_a_stand_in_fails_the_set_up_and_never_reaches_the_internet(world: GithubWorld) -> None:
    text = "on: [push, pull_request]\njobs: {one: {runs-on: ubuntu-24.04, steps: [{uses: nobody/nothing@v1}]}}\n"
    pushed = {"files": {".github/workflows/checks.yml": text}, "branch": "other", "message": "Use a stranger"}
    sha = (await world.part.push(pushed))["sha"]
    run_id = await checks_run(world, sha)
    assert (await ended(world, run_id))["conclusion"] == "failure"
    job = await world.job(run_id)
    assert steps(job)["Set up job"] == "failure"
    assert "nobody/nothing" in await world.log(job["id"])


async def test_the_last_words_of_a_step_that_fails_stand_in_its_log(world: GithubWorld) -> None:
    script = (
        "seq 5000; text=$(bash -c 'echo inner; exit 3') || echo \"$text $?\"; printf '::error::No end of line'; exit 7"
    )
    step = json.dumps({"run": script})
    text = f"on: [push, pull_request]\njobs: {{one: {{runs-on: ubuntu-24.04, steps: [{step}]}}}}\n"
    pushed = {"files": {".github/workflows/checks.yml": text}, "branch": "last-words", "message": "Fail at length"}
    run_id = await checks_run(world, (await world.part.push(pushed))["sha"])
    assert (await ended(world, run_id))["conclusion"] == "failure"
    said = [line.partition(" ")[2] for line in (await world.log((await world.job(run_id))["id"])).splitlines()]
    first, last = said.index("1"), said.index("##[error]No end of line")
    assert said[first:last] == [*map(str, range(1, 5001)), "inner 3"]
    assert said.index("##[endgroup]", first) == last + 1, "the step ends after its last words"
    assert "##[error]Process completed with exit code 7." in said
    assert not any("end of output" in line for line in said)


async def test_an_outcome_that_a_lever_settled_goes_by_the_clock(world: GithubWorld) -> None:
    await world.part.outcome({"workflow": "build-image.yml", "conclusion": "failure", "seconds": 1})
    run_id = await world.dispatch()
    assert (await ended(world, run_id))["conclusion"] == "failure"
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in await world.log((await world.job(run_id))["id"])


def test_what_act_does_not_know_is_left_out_of_its_copy_and_nothing_else() -> None:
    text = """\
on: {push: {branches: [main]}}
concurrency: {group: x, queue: max}
jobs:
  one:
    environment: {name: build, deployment: false}
    runs-on: ubuntu-24.04
    steps: [{run: 'echo "${{ github.sha }}"'}]
"""
    changed = without_news(text)
    assert "queue" not in changed
    assert "deployment" not in changed
    assert all(word in changed for word in ("on:", "group: x", "name: build", "${{ github.sha }}"))
    untouched = (PROJECT / ".github" / "workflows" / "build-image.yml").read_text()
    assert without_news(untouched) == untouched


async def test_a_world_that_ends_leaves_no_runner_and_its_run_is_lost(tmp_path: Path) -> None:
    source = make_sample(tmp_path / "source")
    async with opened(tmp_path / "github", source, clock=RunningClock(SPEED), real_workflows=True) as world:
        world.gate.clear()
        sha = await world.part.head("main")
        run_id = await world.dispatch(sha=sha, tag=fingerprint(world, sha))
        async with asyncio.timeout(WITHIN_S):
            while not world.orders:
                await asyncio.sleep(0.05)
        await world.part.close()
        assert left_over(tmp_path) == []
    async with opened(tmp_path / "github", source, clock=RunningClock(SPEED), real_workflows=True) as again:
        assert (await again.run(run_id))["conclusion"] == "failure"
        assert "lost communication" in await again.log((await again.job(run_id))["id"])


async def test_without_act_the_world_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.sandbox.github.part.find", lambda: None)
    with pytest.raises(Exception, match=r"needs act, which is not installed here: \.ci/venv dev brings it"):
        async with opened(tmp_path / "github", PROJECT, real_workflows=True):
            pass

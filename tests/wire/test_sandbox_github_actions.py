"""The sandbox's GitHub, Actions side: dispatch, the life of a run, logs, cancelling, running again, outcomes."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from github import GithubException

from bot.sandbox.images import BuildOrder
from bot.sandbox.wire import Missing, Rejected
from tests.wire.sandbox_github import DIGEST, TAG, GithubWorld, make_source, opened, until

DISPATCHES = "/actions/workflows/build-image.yml/dispatches"
PUSH = "Push image"


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[GithubWorld]:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as opened_world:
        yield opened_world


async def inputs(world: GithubWorld, **others: str) -> dict[str, str]:
    return {"component": "app", "sha": await world.part.head("main"), "tag": TAG, "request": "r", **others}


def steps(job: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["conclusion"] or step["status"] for step in job["steps"]}


# ---- dispatch --------------------------------------------------------------------------------------------------------


async def test_pygithub_dispatches_and_learns_which_run_it_started(world: GithubWorld) -> None:
    wanted = await inputs(world, request="req_7-a")
    run = await world.ask(
        lambda repo: repo.get_workflow("build-image.yml").create_dispatch(  # type: ignore[call-overload]
            "main", wanted, throw=True, return_run_details=True
        )
    )
    assert run.display_title == f"build app {wanted['sha']} [req_7-a]"
    assert (run.event, run.status, run.head_branch, run.path, run.run_attempt) == (
        "workflow_dispatch",
        "queued",
        "main",
        ".github/workflows/build-image.yml",
        1,
    )


async def test_without_run_details_the_answer_is_empty_except_in_the_newest_version(world: GithubWorld) -> None:
    body = {"ref": "main", "inputs": await inputs(world)}
    assert (await world.send("POST", DISPATCHES, json=body))[:2] == (204, "")
    newest = {"X-GitHub-Api-Version": "2026-03-10"}
    status, answer, _ = await world.send("POST", DISPATCHES, json=body, headers=newest)
    assert (status, answer["run_url"]) == (200, world.url(f"/actions/runs/{answer['workflow_run_id']}"))
    assert (await world.get("/actions/runs"))["total_count"] == 2


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"ref": "gone"}, 422, "No ref found for: gone"),
        ({"ref": "SHA"}, 422, "No ref found for: "),
        ({"inputs": {"surprise": "1"}}, 422, 'Unexpected inputs provided: ["surprise"]'),
        ({"inputs": {"component": None}}, 422, "Required input 'component' not provided"),
        ({"inputs": {"component": "db"}}, 422, "Provided value 'db' for input 'component' not in the list of allowed"),
        ({"inputs": {"tag": 5}}, 422, "Invalid value for input 'tag'"),
        ({"extra": 1}, 422, '"extra" is not a permitted key.'),
        ({"ref": None}, 422, '"ref" wasn\'t supplied.'),
        ({"ref": 5}, 422, "For 'properties/ref', 5 is not a string."),
        ({"inputs": "x"}, 422, "For 'properties/inputs', \"x\" is not an object."),
    ],
)
async def test_a_dispatch_that_github_refuses_starts_nothing(
    world: GithubWorld, change: dict[str, Any], status: int, message: str
) -> None:
    given = {"ref": "main", **change}
    if isinstance(change.get("inputs", {}), dict):
        given["inputs"] = {**await inputs(world), **change.get("inputs", {})}
        given["inputs"] = {name: value for name, value in given["inputs"].items() if value is not None}
    if given["ref"] == "SHA":
        given["ref"] = await world.part.head("main")
    body = {key: value for key, value in given.items() if value is not None}
    answered, refusal, _ = await world.send("POST", DISPATCHES, json=body)
    assert answered == status
    assert message in refusal["message"]
    assert (await world.get("/actions/runs"))["total_count"] == 0


async def test_a_workflow_that_is_not_there_or_cannot_be_dispatched_is_refused(world: GithubWorld) -> None:
    for name in ("none.yml", "..%2Fx.yml", "1"):
        path = f"/actions/workflows/{name}/dispatches"
        assert (await world.send("POST", path, json={"ref": "main"}))[0] == 404, name
    status, body, _ = await world.send("POST", "/actions/workflows/checks.yml/dispatches", json={"ref": "main"})
    assert (status, body["message"]) == (422, "Workflow does not have 'workflow_dispatch' trigger")


async def test_the_inputs_are_those_of_the_file_at_the_dispatched_ref(world: GithubWorld) -> None:
    text = "on:\n  workflow_dispatch:\n    inputs:\n      other: {required: true}\njobs:\n  one: {steps: [{run: x}]}\n"
    files = {".github/workflows/build-image.yml": text}
    await world.part.push({"branch": "changed", "files": files, "message": "Other inputs"})
    status, body, _ = await world.send("POST", DISPATCHES, json={"ref": "changed", "inputs": await inputs(world)})
    assert (status, body["message"].split(":")[0]) == (422, "Unexpected inputs provided")
    assert (await world.send("POST", DISPATCHES, json={"ref": "changed", "inputs": {"other": "1"}}))[0] == 204


# ---- the life of a run -----------------------------------------------------------------------------------------------


async def test_a_run_goes_from_queued_through_its_steps_to_success_and_builds_once(world: GithubWorld) -> None:
    run_id = await world.dispatch(request="life")
    assert (await world.run(run_id))["status"] == "queued"
    assert (await world.job(run_id))["steps"] == []
    world.clock.advance(1.2)
    job = await world.job(run_id)
    assert (job["status"], steps(job)["Set up job"], steps(job)["Check inputs"]) == (
        "in_progress",
        "in_progress",
        "queued",
    )
    assert world.orders == []
    await world.pushed(run_id)
    run, job = await world.run(run_id), await world.job(run_id)
    assert (run["status"], run["conclusion"], job["conclusion"]) == ("completed", "success", "success")
    assert set(steps(job).values()) == {"success"}
    assert [step["number"] for step in job["steps"]] == list(range(1, len(job["steps"]) + 1))
    expected = ("Set up job", "Check inputs", "Check out", "Log in to AWS", "Log in to ECR", "Build image", PUSH)
    names = [step["name"] for step in job["steps"]]
    assert [name for name in names if name in expected] == list(expected)
    assert names[-1] == "Complete job"
    assert world.orders == [BuildOrder("app", await world.part.head("main"), TAG, "life")]
    assert f"{TAG}: digest: {DIGEST}" in await world.log(job["id"])


async def test_a_build_takes_about_eight_seconds_of_the_worlds_time(world: GithubWorld) -> None:
    run_id = await world.dispatch()
    seconds = sum(step.seconds for step in world.part.runs[run_id].jobs[0].steps)
    assert 6 < seconds < 9


async def test_the_push_lasts_until_the_image_is_there(world: GithubWorld) -> None:
    world.gate.clear()
    run_id = await world.dispatch()
    world.clock.advance(60)
    await until(lambda: world.orders)
    job = await world.job(run_id)
    assert (job["status"], steps(job)[PUSH], steps(job)["Complete job"]) == ("in_progress", "in_progress", "queued")
    world.gate.set()
    await world.pushed(run_id)
    assert (await world.run(run_id))["conclusion"] == "success"


async def test_a_build_that_fails_fails_the_push_step_and_its_log_says_why(world: GithubWorld) -> None:
    world.failing = "denied: repository app not found"
    run_id = await world.dispatch()
    await world.pushed(run_id)
    job = await world.job(run_id)
    assert (job["conclusion"], steps(job)[PUSH], steps(job)["Build image"]) == ("failure", "failure", "success")
    log = await world.log(job["id"])
    assert "denied: repository app not found" in log
    assert "##[error]Process completed with exit code 1." in log


async def test_the_body_of_a_run_changes_only_when_the_run_does(world: GithubWorld) -> None:
    world.gate.clear()
    run_id = await world.dispatch()
    world.clock.advance(30)
    await until(lambda: world.orders)
    _, _, headers = await world.send("GET", f"/actions/runs/{run_id}")
    world.clock.advance(5)
    known = {"If-None-Match": headers["ETag"]}
    assert (await world.send("GET", f"/actions/runs/{run_id}", headers=known))[0] == 304
    world.gate.set()
    await world.pushed(run_id)
    assert (await world.send("GET", f"/actions/runs/{run_id}", headers=known))[0] == 200


@pytest.mark.parametrize(
    ("wrong", "step"),
    [
        ({"sha": "main"}, "Check inputs"),
        ({"tag": "latest"}, "Check inputs"),
        ({"request": "a b"}, "Check inputs"),
        ({"sha": "0" * 40}, "Check out"),
    ],
)
async def test_inputs_that_the_workflow_itself_refuses_fail_at_its_own_step(
    world: GithubWorld, wrong: dict[str, str], step: str
) -> None:
    run_id = await world.dispatch(**wrong)
    world.clock.advance(20)
    assert steps(await world.job(run_id))[step] == "failure"
    assert world.orders == []


async def test_a_forks_commit_is_refused_by_the_ancestry_check_and_a_branchs_is_built(world: GithubWorld) -> None:
    fork = await world.part.fork_pull({"files": {"Dockerfile": "FROM evil\n"}, "message": "x"})
    run_id = await world.dispatch(sha=fork["sha"])
    world.clock.advance(20)
    job = await world.job(run_id)
    assert steps(job)["Check that the commit is on a branch"] == "failure"
    assert fork["sha"] in await world.log(job["id"])
    assert world.orders == []
    branch = await world.dispatch(sha=await world.part.head("feature/banner"))
    await world.pushed(branch)
    assert (await world.run(branch))["conclusion"] == "success"


# ---- cancelling and running again ------------------------------------------------------------------------------------


async def test_a_cancelled_build_is_never_pushed(world: GithubWorld) -> None:
    run_id = await world.dispatch()
    world.clock.advance(3)
    status, body, _ = await world.send("POST", f"/actions/runs/{run_id}/cancel")
    assert (status, body) == (202, {})
    assert (await world.run(run_id))["status"] == "in_progress", "the runner has not heard of it yet"
    world.clock.advance(1)
    run, job = await world.run(run_id), await world.job(run_id)
    assert (run["status"], run["conclusion"], job["conclusion"]) == ("completed", "cancelled", "cancelled")
    assert list(steps(job).values()).count("cancelled") == 1
    assert steps(job)[PUSH] == "skipped"
    world.clock.advance(60)
    await until(lambda: finished(world, run_id) == "cancelled")
    assert world.orders == []


async def test_a_run_cancelled_while_it_waits_ends_at_once(world: GithubWorld) -> None:
    run_id = await world.dispatch()
    cancelled = await world.ask(lambda repo: repo.get_workflow_run(run_id).cancel())
    assert cancelled is True
    assert (await world.run(run_id))["conclusion"] == "cancelled"


async def test_what_is_over_cannot_be_cancelled(world: GithubWorld) -> None:
    run_id = await world.dispatch()
    await world.pushed(run_id)
    status, body, _ = await world.send("POST", f"/actions/runs/{run_id}/cancel")
    assert (status, body["message"]) == (409, "Cannot cancel a workflow run that is completed.")
    assert (await world.send("POST", "/actions/runs/1/cancel"))[0] == 404


async def test_a_run_can_run_again_as_its_next_attempt(world: GithubWorld) -> None:
    world.failing = "no space left on device"
    run_id = await world.dispatch()
    status, body, _ = await world.send("POST", f"/actions/runs/{run_id}/rerun")
    assert (status, body["message"]) == (403, "This workflow is already running")
    await world.pushed(run_id)
    first = await world.job(run_id)
    world.failing = ""
    assert (await world.send("POST", f"/actions/runs/{run_id}/rerun-failed-jobs"))[0] == 201
    run = await world.run(run_id)
    assert (run["run_attempt"], run["status"], run["conclusion"]) == (2, "queued", None)
    await world.pushed(run_id)
    second = await world.job(run_id)
    assert (second["conclusion"], second["run_attempt"], second["id"] != first["id"]) == ("success", 2, True)
    assert len(world.orders) == 2
    assert (await world.get("/actions/runs"))["total_count"] == 1


# ---- lists and logs --------------------------------------------------------------------------------------------------


async def test_runs_are_listed_newest_first_and_filtered(world: GithubWorld) -> None:
    first = await world.dispatch(request="one")
    await world.pushed(first)
    world.clock.advance(100)
    second = await world.dispatch(request="two")
    pushed = await world.part.push({"files": {"app/x": "1"}, "message": "Change"})

    async def listed(query: str) -> list[int]:
        runs = (await world.get(f"/actions/runs?{query}"))["workflow_runs"]
        return [run["id"] for run in runs if run["event"] == "workflow_dispatch"]

    created = (await world.run(second))["created_at"]
    assert await listed("") == [second, first]
    assert await listed("event=workflow_dispatch") == [second, first]
    assert await listed("event=push") == []
    assert await listed(f"created=%3E%3D{created}") == [second]
    assert await listed(f"created=%3C{created}") == [first]
    assert await listed(f"created=*..{created}") == [second, first]
    assert await listed(f"created={created[:10]}") == [second, first]
    assert await listed("status=success") == [first]
    assert await listed("status=queued") == [second]
    assert await listed("branch=other") == []
    assert (await world.send("GET", "/actions/runs?created=yesterday"))[0] == 422
    of_push = (await world.get(f"/actions/runs?head_sha={pushed['sha']}"))["workflow_runs"]
    assert [(run["event"], run["name"], run["display_title"]) for run in of_push] == [("push", "checks", "Change")]
    titles = await world.ask(
        lambda repo: [r.display_title for r in repo.get_workflow("build-image.yml").get_runs(branch="main")]
    )
    assert [re.findall(r"\[(\w+)\]", title) for title in titles] == [["two"], ["one"]]


async def test_a_log_is_on_another_origin_signed_and_refuses_a_token(world: GithubWorld) -> None:
    run_id = await world.dispatch()
    job_id = (await world.job(run_id))["id"]
    assert (await world.send("GET", f"/actions/jobs/{job_id}/logs"))[0] == 404, "it is written when the job is over"
    await world.pushed(run_id)
    address = await world.ask(lambda repo: repo.get_workflow_run(run_id).jobs()[0].logs_url())
    assert address.startswith("http://localhost:")
    assert (await world.send("GET", address))[0] == 400
    assert (await world.send("GET", address.replace("signature=", "signature=0"), headers={"Authorization": ""}))[
        0
    ] == 403
    status, text, headers = await world.send("GET", address, headers={"Authorization": ""})
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert "##[group]Build image" in text
    world.clock.advance(120)
    assert (await world.send("GET", address, headers={"Authorization": ""}))[0] == 403


async def test_a_link_to_a_run_opens_a_page_without_a_token(world: GithubWorld) -> None:
    run_id = await world.dispatch(request="seen")
    await world.pushed(run_id)
    page = (await world.run(run_id))["html_url"]
    status, text, headers = await world.send("GET", page, headers={"Authorization": ""})
    assert status == 200
    assert "[seen]: success" in text and "Push image" in text
    assert "script-src" not in headers["Content-Security-Policy"]
    sha = await world.part.head("main")
    commit = (await world.get(f"/commits/{sha}"))["html_url"]
    assert "tide table" in (await world.send("GET", commit, headers={"Authorization": ""}))[1]


# ---- outcomes --------------------------------------------------------------------------------------------------------


async def test_an_outcome_fails_the_next_runs_at_a_named_step_and_then_no_more(world: GithubWorld) -> None:
    await world.part.outcome(
        {"workflow": "build-image.yml", "job": "build", "step": "Log in to ECR", "conclusion": "failure", "times": 2}
    )
    for _ in range(2):
        run_id = await world.dispatch()
        world.clock.advance(20)
        job = await world.job(run_id)
        assert (job["conclusion"], steps(job)["Log in to ECR"], steps(job)[PUSH]) == ("failure", "failure", "skipped")
    last = await world.dispatch()
    await world.pushed(last)
    assert (await world.run(last))["conclusion"] == "success"
    assert len(world.orders) == 1


async def test_a_failed_build_shows_what_the_builder_said(world: GithubWorld) -> None:
    await world.part.outcome({"workflow": "build-image", "conclusion": "failure"})
    run_id = await world.dispatch()
    world.clock.advance(20)
    job = await world.job(run_id)
    assert steps(job)["Build image"] == "failure"
    log = await world.log(job["id"])
    assert "COPY locks/app.txt" in log and "exit code: 1" in log and "##[error]" in log


async def test_seconds_stretch_a_run_and_other_conclusions_are_kept(world: GithubWorld) -> None:
    await world.part.outcome({"workflow": "build-image.yml", "conclusion": "success", "seconds": 100})
    await world.part.outcome({"workflow": "build-image.yml", "conclusion": "timed_out"})
    slow = await world.dispatch()
    world.clock.advance(50)
    assert (await world.run(slow))["status"] == "in_progress"
    late = await world.dispatch()
    world.clock.advance(52)
    await until(lambda: world.part.runs[slow].pushed)
    world.clock.advance(5)
    assert (await world.run(slow))["conclusion"] == "success"
    assert (await world.run(late))["conclusion"] == "timed_out"


async def test_an_outcome_for_what_is_not_there_is_refused(world: GithubWorld) -> None:
    good = {"workflow": "build-image.yml", "conclusion": "failure"}
    for change in ({"workflow": "none.yml"}, {"job": "none"}, {"step": "none"}):
        with pytest.raises(Missing):
            await world.part.outcome({**good, **change})
    for wrong in (
        {"conclusion": "maybe"},
        {"times": 0},
        {"times": True},
        {"seconds": "1"},
        {"seconds": 0},
        {"more": 1},
    ):
        with pytest.raises(Rejected):
            await world.part.outcome({**good, **wrong})


# ---- restarts --------------------------------------------------------------------------------------------------------


async def test_a_run_in_flight_goes_on_when_the_world_starts_again(world: GithubWorld, tmp_path: Path) -> None:
    done = await world.dispatch(request="done")
    await world.pushed(done)
    waiting = await world.dispatch(request="waiting")
    world.clock.advance(2)
    await world.part.close()
    async with opened(tmp_path / "github", tmp_path / "source") as again:
        assert (await again.run(done))["conclusion"] == "success"
        assert (await again.run(waiting))["status"] == "in_progress"
        await again.pushed(waiting)
        assert (await again.run(waiting))["conclusion"] == "success"
        assert [order.request for order in again.orders] == ["waiting"]


async def test_a_push_that_was_under_way_when_the_world_ended_is_never_begun_again(
    world: GithubWorld, tmp_path: Path
) -> None:
    world.gate.clear()
    run_id = await world.dispatch()
    world.clock.advance(20)
    await until(lambda: world.orders)
    await world.part.close()
    async with opened(tmp_path / "github", tmp_path / "source") as again:
        again.clock.advance(30)
        job = await again.job(run_id)
        assert job["conclusion"] == "failure"
        assert "lost communication" in await again.log(job["id"])
        assert again.orders == []


async def test_the_ledger_hears_of_every_run(world: GithubWorld) -> None:
    run_id = await world.dispatch()
    await world.pushed(run_id)
    await until(lambda: finished(world, run_id))
    events = [event.data["action"] for event in await heard(world) if event.name == "github.run"]
    assert events[0] == "requested"
    assert events[-1] == "completed"


async def test_a_failed_dispatch_is_an_exception_with_githubs_words(world: GithubWorld) -> None:
    with pytest.raises(GithubException) as caught:
        await world.ask(lambda repo: repo.get_workflow("build-image.yml").create_dispatch("gone", {}, throw=True))
    assert caught.value.status == 422
    assert caught.value.message == "No ref found for: gone"


async def heard(world: GithubWorld) -> list[Any]:
    """Every event so far."""
    events = []
    async with asyncio.timeout(5):
        async for event in world.ledger.follow(0):
            events.append(event)
            if event.id == world.ledger.last_event:
                break
    return events


def finished(world: GithubWorld, run_id: int) -> str | None:
    """The conclusion with which the ledger was told of the run's end."""
    for event in world.ledger._events:
        if event.name == "github.run" and event.data["id"] == run_id and event.data["status"] == "completed":
            return str(event.data["conclusion"])
    return None

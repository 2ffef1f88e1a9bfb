"""The rest of the sandbox's GitHub: attempts, archives, statuses, environments, secondary limits, one source of all."""

import io
import shutil
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox.github.secondary import SecondaryLimits
from bot.sandbox.wire import Rejected
from tests.wire.sandbox_github import GithubWorld, HandClock, make_source, opened

STATUS_RIGHTS = {"permissions": {"contents": "read", "statuses": "write", "actions": "write", "deployments": "write",
                                 "checks": "read", "metadata": "read", "pull_requests": "read"}}  # fmt: skip


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[GithubWorld]:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as opened_world:
        yield opened_world


# ---- attempts and their logs -----------------------------------------------------------------------------------------


async def test_every_attempt_stays_as_it_was_with_its_own_jobs_and_log(world: GithubWorld) -> None:
    world.failing = "no space left on device"
    run_id = await world.dispatch()
    await world.pushed(run_id)
    first_job = await world.job(run_id)
    world.failing = ""
    assert (await world.send("POST", f"/actions/jobs/{first_job['id']}/rerun"))[0] == 201
    await world.pushed(run_id)
    one, two = [await world.get(f"/actions/runs/{run_id}/attempts/{number}") for number in (1, 2)]
    assert (one["conclusion"], two["conclusion"]) == ("failure", "success")
    assert two["previous_attempt_url"] == one["url"].partition("/attempts")[0] + "/attempts/1"
    jobs = (await world.get(f"/actions/runs/{run_id}/attempts/1/jobs"))["jobs"]
    assert [(job["id"], job["conclusion"], job["run_attempt"]) for job in jobs] == [(first_job["id"], "failure", 1)]
    every = (await world.get(f"/actions/runs/{run_id}/jobs?filter=all"))["jobs"]
    assert [job["run_attempt"] for job in every] == [2, 1]
    assert "no space left" in await world.log(first_job["id"])
    assert (await world.send("GET", f"/actions/runs/{run_id}/attempts/3"))[0] == 404
    assert (await world.send("GET", f"/actions/runs/{run_id}/jobs?filter=none"))[0] == 422


async def test_earlier_attempts_survive_a_restart(world: GithubWorld, tmp_path: Path) -> None:
    run_id = await world.dispatch()
    await world.pushed(run_id)
    await world.send("POST", f"/actions/runs/{run_id}/rerun")
    await world.part.close()
    async with opened(tmp_path / "github", tmp_path / "source") as again:
        assert (await again.get(f"/actions/runs/{run_id}/attempts/1"))["conclusion"] == "success"


async def archive(world: GithubWorld, path: str) -> dict[str, str]:
    """The files of a log archive, fetched as GitHub wants it."""
    status, _, headers = await world.send("GET", path)
    assert status == 302
    assert headers["Location"].startswith("http://localhost:")
    assert (await world.send("GET", headers["Location"]))[0] == 400, "it refuses the token"
    async with world.plain(headers["Location"]) as response:
        assert (response.status, response.content_type) == (200, "application/zip")
        with zipfile.ZipFile(io.BytesIO(await response.read())) as found:
            return {name: found.read(name).decode() for name in found.namelist()}


async def test_the_logs_of_a_run_come_as_an_archive_from_another_origin(world: GithubWorld) -> None:
    run_id = await world.dispatch()
    assert (await world.send("GET", f"/actions/runs/{run_id}/logs"))[0] == 404, "not while it is under way"
    await world.pushed(run_id)
    found = await archive(world, f"/actions/runs/{run_id}/logs")
    assert list(found) == ["0_build.txt"]
    assert "digest: sha256:" in found["0_build.txt"]
    assert await archive(world, f"/actions/runs/{run_id}/attempts/1/logs") == found
    _, _, headers = await world.send("GET", f"/actions/runs/{run_id}/logs")
    forged = headers["Location"].replace(f"/run/{run_id}-1", f"/run/{run_id}-2")
    assert (await world.send("GET", forged, headers={"Authorization": ""}))[0] == 403


# ---- checks and statuses ---------------------------------------------------------------------------------------------


async def test_a_dispatched_build_is_a_check_of_the_branchs_head_too(world: GithubWorld) -> None:
    sha = await world.part.head("main")
    run_id = await world.dispatch()
    found = (await world.get(f"/commits/{sha}/check-runs"))["check_runs"]
    assert [check["name"] for check in found] == ["app", "bot", "workflows", "build"]
    job = await world.job(run_id) if (await world.run(run_id))["status"] != "queued" else found[-1]
    one = await world.get(f"/check-runs/{job['id']}")
    assert (one["name"], one["status"], one["head_sha"]) == ("build", "queued", sha)
    seeded = await world.get(f"/check-runs/{found[0]['id']}")
    assert (seeded["name"], seeded["conclusion"]) == ("app", "success")
    assert (await world.send("GET", "/check-runs/12345"))[0] == 404


async def test_statuses_of_other_services_are_combined_by_context(world: GithubWorld) -> None:
    sha = await world.part.head("main")
    assert (await world.send("POST", f"/statuses/{sha}", json={"state": "success"}))[0] == 403, (
        "the bot only reads them"
    )
    await world.part.token(STATUS_RIGHTS)
    states = []
    for context, state in (("a", "pending"), ("b", "success"), ("a", "success"), ("b", "error"), ("b", "success")):
        body = {"state": state, "context": context, "target_url": "http://127.0.0.1:1/", "description": state}
        assert (await world.send("POST", f"/statuses/{sha}", json=body))[0] == 201
        states.append((await world.get(f"/commits/{sha}/status"))["state"])
    assert states == ["pending", "pending", "success", "failure", "success"]
    combined = await world.get(f"/commits/{sha}/status?per_page=1")
    assert (combined["total_count"], [one["context"] for one in combined["statuses"]]) == (2, ["a"])
    assert len(await world.get(f"/commits/{sha}/statuses")) == 5
    for wrong in ({"state": "green"}, {"state": "success", "description": "x" * 141}, {}, {"state": "success", "x": 1}):
        assert (await world.send("POST", f"/statuses/{sha}", json=wrong))[0] == 422, wrong
    assert (await world.send("POST", f"/statuses/{'0' * 40}", json={"state": "success"}))[0] == 422


async def test_environments_are_those_set_up_and_those_deployed_to(world: GithubWorld) -> None:
    assert [e["name"] for e in (await world.get("/environments"))["environments"]] == ["dev", "prod"]
    await world.send("POST", "/deployments", json={"ref": "main", "environment": "a b/c", "required_contexts": []})
    found = (await world.get("/environments"))["environments"]
    assert [e["name"] for e in found] == ["dev", "prod", "a b/c"]
    assert (await world.get("/environments/prod"))["protection_rules"] == []
    assert (await world.get("/environments/a%20b%2Fc"))["name"] == "a b/c"
    assert (await world.send("GET", "/environments/none"))[0] == 404


# ---- secondary limits ------------------------------------------------------------------------------------------------


def admitted(limits: SecondaryLimits, method: str, count: int) -> int:
    return sum(limits.wait_s(method) is None for _ in range(count))


def test_a_minute_has_900_points_and_80_writes_and_an_hour_500() -> None:
    clock = HandClock()
    limits = SecondaryLimits(clock)
    assert admitted(limits, "GET", 1000) == 900
    clock.advance(61)
    assert admitted(limits, "POST", 100) == 80
    assert limits.wait_s("GET") is None, "80 writes are 400 points"
    for _ in range(5):
        clock.advance(61)
        admitted(limits, "POST", 80)
    clock.advance(61)
    assert admitted(limits, "POST", 80) == 20
    clock.advance(3600)
    assert admitted(limits, "POST", 80) == 80


async def test_a_client_in_a_hurry_meets_the_secondary_limit_and_is_told_when_to_come_back(world: GithubWorld) -> None:
    await world.part.secondary({"points_a_minute": 3})
    answers = [await world.send("GET", "/branches") for _ in range(5)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 403, 403]
    _, body, headers = answers[-1]
    assert "secondary rate limit" in body["message"]
    assert headers["Retry-After"] == "60"
    assert int(headers["X-RateLimit-Remaining"]) > 0, "the primary limit is another one"
    world.clock.advance(61)
    assert (await world.send("GET", "/branches"))[0] == 200
    await world.part.secondary({"writes_a_minute": 0})
    body = {"ref": "main", "environment": "dev", "required_contexts": []}
    assert (await world.send("POST", "/deployments", json=body))[0] == 403
    await world.part.secondary({"at_once": 0})
    assert (await world.send("GET", "/branches"))[0] == 403
    assert (await world.part.secondary({}))["at_once"] == 100
    assert await world.get("/deployments") == []
    for wrong in ({"surplus": 1}, {"at_once": -1}, {"at_once": "1"}, {"at_once": True}):
        with pytest.raises(Rejected):
            await world.part.secondary(wrong)


# ---- one source ------------------------------------------------------------------------------------------------------


async def everything(world: GithubWorld, run_id: int, deployment: int) -> dict[str, Any]:
    """What the API shows of all that changes, without the port that it was asked at."""
    sha = await world.part.head("main")
    paths = [
        "", "/branches", "/commits", f"/commits/{sha}/check-runs", f"/commits/{sha}/status", "/actions/runs",
        f"/actions/runs/{run_id}", f"/actions/runs/{run_id}/jobs?filter=all", f"/actions/runs/{run_id}/attempts/1",
        "/deployments", f"/deployments/{deployment}/statuses", "/environments", "/hooks",
    ]  # fmt: skip
    found = {}
    for path in paths:
        _, body, _ = await world.send("GET", path)
        found[path] = str(body).replace(world.part.api_url, "")
    return found


async def test_what_is_shown_depends_on_git_the_journal_and_the_clock_alone(world: GithubWorld, tmp_path: Path) -> None:
    """Another part on the same folder, its clock at the same moment, shows the same to the letter, at any moment."""
    run_id = await world.dispatch()
    await world.pushed(run_id)
    await world.send("POST", f"/actions/runs/{run_id}/rerun")
    await world.part.push({"files": {"app/x": "1"}, "message": "x"})
    _, made, _ = await world.send(
        "POST", "/deployments", json={"ref": "main", "environment": "dev", "required_contexts": []}
    )
    await world.send("POST", f"/deployments/{made['id']}/statuses", json={"state": "success"})
    await world.part.close()
    clock, shown = world.clock, []
    begin = clock.now()
    for number in range(2):
        clock._at = begin
        shutil.copytree(tmp_path / "github", tmp_path / f"copy-{number}")
        async with opened(tmp_path / f"copy-{number}", tmp_path / "source", clock=clock) as again:
            moments = []
            for step_s in (0, 1.2, 1.0):
                clock.advance(step_s)
                moments.append(await everything(again, run_id, made["id"]))
            shown.append(moments)
    assert shown[0] == shown[1]
    assert shown[0][0] != shown[0][1], "and the clock does move it"

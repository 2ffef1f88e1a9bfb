"""The sandbox's GitHub as a server: who may ask, limits, ETags, versions, faults, and the Deployments side."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from github import BadCredentialsException, GithubException, RateLimitExceededException

from bot.sandbox.cast import GITHUB_REPOSITORY
from tests.wire.sandbox_github import GithubWorld, make_source, opened

LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Used")


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[GithubWorld]:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as opened_world:
        yield opened_world


# ---- who may ask -----------------------------------------------------------------------------------------------------


async def test_the_token_opens_it_in_both_spellings_and_belongs_to_a_user(world: GithubWorld) -> None:
    token = "sandbox-token-of-a-test"
    for scheme in ("token", "Bearer", "bearer"):
        headers = {"Authorization": f"{scheme} {token}"}
        status, body, _ = await world.send("GET", f"{world.part.api_url}/user", headers=headers)
        assert (status, body["login"]) == (200, "quarterdeck-bot")


async def test_another_token_is_bad_credentials_even_for_addresses_that_do_not_exist(world: GithubWorld) -> None:
    for path in ("", "/nothing", "/actions/runs"):
        for header in ("Bearer wrong", "Basic c2FuZGJveA==", "Bearer"):
            status, body, _ = await world.send("GET", path, headers={"Authorization": header})
            assert (status, body["message"]) == (401, "Bad credentials")
    assert (await world.send("GET", "", headers={"Authorization": ""}))[1]["message"] == "Requires authentication"

    def ask() -> None:
        with world.client(token="wrong") as client:
            client.get_user().login  # noqa: B018 - reading it asks the server

    with pytest.raises(BadCredentialsException):
        await asyncio.to_thread(ask)


async def test_another_repository_is_not_found(world: GithubWorld) -> None:
    base = f"{world.part.api_url}/repos"
    assert (await world.send("GET", f"{base}/harbour-works/other"))[0] == 404
    assert (await world.send("GET", f"{base}/{GITHUB_REPOSITORY.upper()}"))[1]["full_name"] == GITHUB_REPOSITORY
    repository = await world.ask(lambda repo: repo)
    assert (repository.default_branch, repository.permissions.push) == ("main", True)


async def test_a_foreign_host_or_origin_is_refused_before_anything_is_done(world: GithubWorld) -> None:
    body = {"ref": "main", "environment": "dev", "required_contexts": []}
    for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        status, _, _ = await world.send("POST", "/deployments", json=body, headers=header)
        assert status == 403, header
    assert await world.get("/deployments") == []


# ---- limits, ETags, versions -----------------------------------------------------------------------------------------


async def test_every_answer_counts_against_the_limit_except_a_304(world: GithubWorld) -> None:
    _, _, first = await world.send("GET", "/branches")
    assert all(name in first for name in LIMIT_HEADERS)
    status, body, second = await world.send("GET", "/branches", headers={"If-None-Match": first["ETag"]})
    assert (status, body, second["ETag"]) == (304, "", first["ETag"])
    assert second["X-RateLimit-Remaining"] == first["X-RateLimit-Remaining"]
    _, rates, _ = await world.send("GET", f"{world.part.api_url}/rate_limit")
    assert rates["resources"]["core"]["used"] == int(first["X-RateLimit-Used"])


async def test_an_etag_changes_with_the_content(world: GithubWorld) -> None:
    _, _, before = await world.send("GET", "/branches")
    await world.part.push({"files": {"app/new.txt": "1"}, "message": "New"})
    status, _, after = await world.send("GET", "/branches", headers={"If-None-Match": before["ETag"]})
    assert status == 200
    assert after["ETag"] != before["ETag"]


async def test_an_hour_has_five_thousand_requests(world: GithubWorld) -> None:
    assert (await world.send("GET", "/branches"))[0] == 200
    for _ in range(4999):
        world.part.meter.count()
    status, body, headers = await world.send("GET", "/branches")
    assert (status, headers["X-RateLimit-Remaining"]) == (403, "0")
    assert "API rate limit exceeded" in body["message"]
    world.clock.advance(3601)
    assert (await world.send("GET", "/branches"))[0] == 200


async def test_an_unknown_api_version_is_refused(world: GithubWorld) -> None:
    assert (await world.send("GET", "/branches", headers={"X-GitHub-Api-Version": "2026-03-10"}))[0] == 200
    assert (await world.send("GET", "/branches", headers={"X-GitHub-Api-Version": "2020-01-01"}))[0] == 400


async def test_what_is_not_json_or_not_there_gets_githubs_own_answer(world: GithubWorld) -> None:
    url, token = world.url("/deployments"), {"Authorization": "Bearer sandbox-token-of-a-test"}
    async with aiohttp.ClientSession(headers=token) as session, session.post(url, data="{") as response:
        assert (response.status, (await response.json())["message"]) == (400, "Problems parsing JSON")
    status, body, _ = await world.send("GET", "/codespaces")
    assert (status, body["message"], body["status"]) == (404, "Not Found", "404")


# ---- faults ----------------------------------------------------------------------------------------------------------


async def test_a_secondary_limit_is_githubs_403_with_retry_after(world: GithubWorld) -> None:
    world.faults.add("github", "rate_limit", seconds=7, times=1)
    with pytest.raises(RateLimitExceededException) as caught:
        await world.ask(lambda repo: repo.get_branch("main"))
    assert caught.value.headers is not None
    assert caught.value.headers["retry-after"] == "7"
    assert "secondary rate limit" in str(caught.value)
    assert (await world.send("GET", "/branches"))[0] == 200


async def test_a_lost_reply_has_started_the_run_all_the_same(world: GithubWorld) -> None:
    sha = await world.part.head("main")
    inputs = {"component": "app", "sha": sha, "tag": "fp-0123456789abcdef", "request": "lost"}
    world.faults.add("github", "lost_reply", match="POST .*dispatches", status=502, times=1)

    with pytest.raises(GithubException) as caught:
        await world.ask(lambda repo: repo.get_workflow("build-image.yml").create_dispatch("main", inputs, throw=True))
    assert caught.value.status == 502
    runs = (await world.get("/actions/runs"))["workflow_runs"]
    assert [run["display_title"] for run in runs] == [f"build app {sha} [lost]"]


async def test_a_fault_elsewhere_leaves_github_alone(world: GithubWorld) -> None:
    world.faults.add("discord", "status", status=500)
    world.faults.add("github", "status", status=503, match="GET .*/branches$")
    assert (await world.send("GET", "/branches"))[0] == 503
    assert (await world.send("GET", "/commits"))[0] == 200


async def test_the_ledger_names_the_operation_of_every_request(world: GithubWorld) -> None:
    await world.dispatch()
    await world.send("GET", "/nothing")
    entries = world.ledger.requests("github", 0)
    assert [(e["method"], e["action"], e["status"]) for e in entries] == [
        ("POST", "actions:create-workflow-dispatch", 200),
        ("GET", "", 404),
    ]
    assert all("sandbox-token" not in str(entry) for entry in entries)


# ---- deployments -----------------------------------------------------------------------------------------------------


async def test_a_deployment_and_its_statuses_as_pygithub_makes_them(world: GithubWorld) -> None:
    sha = await world.part.head("main~1")
    made = await world.ask(
        lambda repo: repo.create_deployment(
            sha,
            environment="dev",
            auto_merge=False,
            required_contexts=[],
            description="Deploy of app",
            payload={"n": 1},
        )
    )
    assert (made.sha, made.ref, made.environment, made.production_environment) == (sha, sha, "dev", False)
    assert made.payload == {"n": 1}

    def report(state: str) -> None:
        with world.client() as client:
            deployment = client.get_repo(GITHUB_REPOSITORY).get_deployment(made.id)
            deployment.create_status(state, environment_url="http://127.0.0.1:1/", description=f"It is {state}")

    for state in ("in_progress", "success"):
        await asyncio.to_thread(report, state)
    listed = await world.get(f"/deployments/{made.id}/statuses")
    assert [s["state"] for s in listed] == ["success", "in_progress"], "newest first"
    assert listed[0]["environment_url"] == "http://127.0.0.1:1/"
    assert [d["id"] for d in await world.get("/deployments?environment=dev")] == [made.id]
    assert await world.get("/deployments?environment=prod") == []


async def deploy(world: GithubWorld, environment: str, **more: object) -> int:
    body = {"ref": "main", "environment": environment, "required_contexts": [], **more}
    status, answer, _ = await world.send("POST", "/deployments", json=body)
    assert status == 201, answer
    return int(answer["id"])


async def state(world: GithubWorld, deployment: int) -> str:
    return str((await world.get(f"/deployments/{deployment}/statuses"))[0]["state"])


async def test_a_new_success_makes_older_ones_of_the_environment_inactive(world: GithubWorld) -> None:
    first, elsewhere, failed = await deploy(world, "dev"), await deploy(world, "prod"), await deploy(world, "dev")
    kept = await deploy(world, "dev", transient_environment=True)
    second = await deploy(world, "dev")
    succeeded = {"state": "success", "auto_inactive": False}
    for one in (first, elsewhere, kept):
        await world.send("POST", f"/deployments/{one}/statuses", json=succeeded)
    await world.send("POST", f"/deployments/{failed}/statuses", json={"state": "failure"})
    assert await state(world, first) == "success"
    await world.send("POST", f"/deployments/{second}/statuses", json={"state": "success"})
    states = {one: await state(world, one) for one in (first, elsewhere, failed, kept, second)}
    assert list(states.values()) == ["inactive", "success", "failure", "success", "success"]


async def test_a_production_environment_is_never_retired_by_github(world: GithubWorld) -> None:
    old, new = await deploy(world, "production"), await deploy(world, "production")
    for one in (old, new):
        await world.send("POST", f"/deployments/{one}/statuses", json={"state": "success"})
    assert await state(world, old) == "success"


async def test_a_deployment_demands_green_checks_unless_told_otherwise(world: GithubWorld) -> None:
    sha = await world.part.head("main")
    await world.part.checks({"sha": sha, "conclusion": "failure"})
    status, body, _ = await world.send("POST", "/deployments", json={"ref": sha})
    assert (status, body["message"]) == (409, f"Conflict: Commit status checks failed for {sha}.")
    assert (await world.send("POST", "/deployments", json={"ref": sha, "required_contexts": []}))[0] == 201
    await world.part.checks({"sha": sha, "conclusion": None})
    assert (await world.send("POST", "/deployments", json={"ref": sha}))[0] == 201


async def test_bad_deployments_and_statuses_are_refused(world: GithubWorld) -> None:
    one = await deploy(world, "dev")
    assert (await world.send("POST", "/deployments", json={"ref": "gone"}))[0] == 422
    assert (await world.send("POST", "/deployments", json={"ref": "main", "log": "x"}))[0] == 422
    statuses = f"/deployments/{one}/statuses"
    for wrong in ({"state": "done"}, {"state": "success", "description": "x" * 141}, {}, {"state": "success", "x": 1}):
        assert (await world.send("POST", statuses, json=wrong))[0] == 422, wrong
    assert (await world.send("POST", "/deployments/1/statuses", json={"state": "success"}))[0] == 404
    assert await world.get(statuses) == []


async def test_deployments_survive_a_restart(world: GithubWorld, tmp_path: Path) -> None:
    one = await deploy(world, "dev")
    await world.send("POST", f"/deployments/{one}/statuses", json={"state": "success"})
    await world.part.close()
    async with opened(tmp_path / "github", tmp_path / "source") as again:
        assert await state(again, one) == "success"
        assert await deploy(again, "dev") > one


# ---- checks ----------------------------------------------------------------------------------------------------------


async def checks(world: GithubWorld, sha: str) -> dict[str, str]:
    found = (await world.get(f"/commits/{sha}/check-runs"))["check_runs"]
    return {check["name"]: check["conclusion"] or check["status"] for check in found}


async def test_seeded_commits_are_green_and_have_no_commit_statuses(world: GithubWorld) -> None:
    sha = await world.part.head("main~3")
    assert await checks(world, sha) == {"app": "success", "bot": "success", "workflows": "success"}
    combined = await world.ask(lambda repo: repo.get_commit(sha).get_combined_status())
    assert (combined.state, combined.total_count) == ("pending", 0)
    names = await world.ask(lambda repo: [check.name for check in repo.get_commit(sha).get_check_runs()])
    assert names == ["app", "bot", "workflows"]
    status, body, _ = await world.send("GET", f"/commits/{'0' * 40}/check-runs")
    assert (status, body["message"]) == (422, f"No commit found for SHA: {'0' * 40}")


async def test_a_pushed_commits_checks_run_and_pass_within_seconds(world: GithubWorld) -> None:
    sha = (await world.part.push({"branch": "feature/banner", "files": {"app/x": "1"}, "message": "x"}))["sha"]
    assert set((await checks(world, sha)).values()) == {"queued"}
    world.clock.advance(1.3)
    assert set((await checks(world, sha)).values()) == {"in_progress"}
    world.clock.advance(10)
    assert set((await checks(world, sha)).values()) == {"success"}


async def test_forced_checks_hold_for_one_commit_until_they_are_taken_back(world: GithubWorld) -> None:
    sha, other = await world.part.head("main"), await world.part.head("main~1")
    await world.part.checks({"sha": sha, "conclusion": "failure", "name": "bot"})
    assert await checks(world, sha) == {"app": "success", "bot": "failure", "workflows": "success"}
    await world.part.checks({"sha": sha, "conclusion": "pending"})
    assert set((await checks(world, sha)).values()) == {"in_progress"}
    assert set((await checks(world, other)).values()) == {"success"}
    await world.part.checks({"sha": sha, "conclusion": None})
    assert set((await checks(world, sha)).values()) == {"success"}


async def test_a_failing_checks_run_is_red_where_it_failed(world: GithubWorld) -> None:
    await world.part.outcome({"workflow": "checks.yml", "job": "bot", "conclusion": "failure"})
    sha = (await world.part.push({"files": {"app/x": "1"}, "message": "x"}))["sha"]
    world.clock.advance(10)
    assert await checks(world, sha) == {"app": "success", "bot": "failure", "workflows": "success"}
    run = (await world.get(f"/actions/runs?head_sha={sha}"))["workflow_runs"][0]
    assert run["conclusion"] == "failure"

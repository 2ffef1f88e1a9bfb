"""Every route of the sandbox's GitHub is asked once, and each exchange is held against GitHub's own description."""

from pathlib import Path
from typing import Any

from bot.sandbox.validation.findings import Kind
from bot.sandbox.validation.inspector import Inspector
from tests.wire.sandbox_github import TAG, GithubWorld, make_source, opened

RIGHTS = ("actions", "checks", "contents", "deployments", "metadata", "pull_requests", "repository_hooks", "statuses")


async def ask(world: GithubWorld, method: str, path: str, body: Any = None, *, expected: int = 200) -> Any:
    status, answer, _ = await world.send(method, path, json=body)
    assert status == expected, (method, path, answer)
    return answer


async def read_git(world: GithubWorld, sha: str, pushed: str) -> None:
    for path in (
        "", "/git/ref/heads/main", "/git/matching-refs/heads", "/branches", "/branches/main", "/commits",
        "/commits/main", f"/commits/{pushed}", f"/git/commits/{sha}", f"/git/trees/{sha}?recursive=1",
        "/contents/Dockerfile", "/contents/app", f"/compare/{sha}...feature/banner", f"/commits/{sha}/pulls",
        "/pulls/21", "/pulls/101", f"/commits/{sha}/check-runs", f"/commits/{pushed}/check-runs",
        f"/commits/{sha}/status", "/environments", "/environments/dev",
    ):  # fmt: skip
        await ask(world, "GET", path)
    for path in ("user", "rate_limit", "users/harbour-dev"):
        await ask(world, "GET", f"{world.part.api_url}/{path}")
    check = (await ask(world, "GET", f"/commits/{sha}/check-runs"))["check_runs"][0]
    await ask(world, "GET", f"/check-runs/{check['id']}")
    await ask(world, "POST", f"/statuses/{sha}", {"state": "success", "context": "other"}, expected=201)
    for path in (f"/commits/{sha}/status", f"/commits/{sha}/statuses"):
        await ask(world, "GET", path)


async def work_actions(world: GithubWorld) -> None:
    queued, running = await world.dispatch(), await world.dispatch()
    world.clock.advance(3)
    done = await world.dispatch()
    await world.pushed(done)
    job = (await world.job(done))["id"]
    one = f"/actions/runs/{done}"
    for path in (
        "/actions/workflows", "/actions/workflows/checks.yml", "/actions/workflows/build-image.yml/runs",
        "/actions/runs", "/actions/runs?status=completed&event=workflow_dispatch&per_page=1", one,
        *(f"/actions/runs/{run}/jobs" for run in (queued, running, done)), f"/actions/jobs/{job}",
        f"{one}/attempts/1", f"{one}/attempts/1/jobs", f"{one}/approvals", f"{one}/pending_deployments",
    ):  # fmt: skip
        await ask(world, "GET", path)
    for path in (f"/actions/jobs/{job}/logs", f"{one}/logs", f"{one}/attempts/1/logs"):
        await ask(world, "GET", path, expected=302)
    inputs = {"component": "app", "sha": await world.part.head("main"), "tag": TAG}
    dispatch = {"ref": "main", "inputs": inputs}
    await ask(world, "POST", "/actions/workflows/build-image.yml/dispatches", dispatch, expected=204)
    for again in (f"{one}/rerun", f"{one}/rerun-failed-jobs", f"/actions/jobs/{job}/rerun"):
        await ask(world, "POST", again, expected=201)
        await ask(world, "POST", f"{one}/cancel", expected=202)
    await ask(world, "POST", f"/actions/runs/{await world.dispatch()}/force-cancel", expected=202)
    await ask(world, "POST", f"{one}/cancel", expected=409)


async def deploy(world: GithubWorld) -> None:
    made = {"ref": "main", "environment": "dev", "required_contexts": []}
    one = (await ask(world, "POST", "/deployments", made, expected=201))["id"]
    for state in ("in_progress", "success"):
        status = await ask(world, "POST", f"/deployments/{one}/statuses", {"state": state}, expected=201)
    for path in ("", f"/{one}", f"/{one}/statuses", f"/{one}/statuses/{status['id']}"):
        await ask(world, "GET", f"/deployments{path}")


async def hook(world: GithubWorld) -> None:
    config = {"url": "http://127.0.0.1:1/", "secret": "s", "content_type": "json"}
    one = f"/hooks/{(await ask(world, 'POST', '/hooks', {'config': config, 'events': ['push']}, expected=201))['id']}"
    for path in ("/pings", "/tests"):
        await ask(world, "POST", f"{one}{path}", expected=204)
    while len(sent := await ask(world, "GET", f"{one}/deliveries")) < 3:
        pass
    delivery = f"{one}/deliveries/{sent[0]['id']}"
    for path in ("/hooks", one, f"{one}/config", delivery):
        await ask(world, "GET", path)
    await ask(world, "POST", f"{delivery}/attempts", expected=202)
    await ask(world, "PATCH", one, {"active": False})
    await ask(world, "DELETE", one, expected=204)


async def test_every_route_answers_as_github_describes_it(tmp_path: Path, own_inspector: Inspector) -> None:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as world:
        await world.part.token({"permissions": dict.fromkeys(RIGHTS, "write")})
        sha = await world.part.head("main")
        pushed = await world.part.push({"files": {"app/x": "1", "README.md": None}, "message": "x"})
        await world.part.fork_pull({"files": {"app/x": "1"}, "message": "x"})
        await read_git(world, sha, pushed["sha"])
        await work_actions(world)
        await deploy(world)
        await hook(world)
        asked = {entry["action"] for entry in world.ledger.requests("github", 0)}
        missed = {name for name in world.part.operations if name not in asked}
    assert missed == set()
    assert [str(mismatch) for mismatch in own_inspector.findings.mismatches] == []
    assert own_inspector.findings.describe()["exchanges"][Kind.GITHUB] > 70

"""The sandbox's GitHub against GitHub's own OpenAPI description, wherever that lies (`QUARTERDECK_SPECS`).

The description (npm `@octokit/openapi`, its `generated/api.github.com.json`, gzipped) is no part of this project and no
server that could be missing, so without it there is nothing here to run. The comparison knows types, required keys,
null, enumerations, lists and references; formats and patterns are left to the clients.
"""

import gzip
import json
import os
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.wire.sandbox_github import PROJECT, GithubWorld, make_source, opened

SPEC = Path(os.environ.get("QUARTERDECK_SPECS", PROJECT.parent / "shared" / "specs")) / "github-openapi.json.gz"
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@cache
def spec() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(SPEC.read_bytes()))
    return found


@cache
def operations() -> dict[str, dict[str, Any]]:
    """Operations by id, as the ledger writes them: `actions:get-workflow-run`."""
    return {
        operation["operationId"].replace("/", ":"): operation
        for path in spec()["paths"].values()
        for method, operation in path.items()
        if method in ("get", "post")
    }


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        target: Any = spec()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def violations(value: Any, schema: dict[str, Any], place: str) -> Iterator[str]:
    """Where a value is not what its schema says."""
    schema = resolved(schema)
    if value is None:
        if not schema.get("nullable") and not any(resolved(s).get("nullable") for s in schema.get("anyOf", [])):
            yield f"{place} is null"
        return
    options = schema.get("oneOf") or schema.get("anyOf")
    if options and all(list(violations(value, option, place)) for option in options):
        yield f"{place} fits none of its {len(options)} schemas"
    for part in schema.get("allOf", []):
        yield from violations(value, part, place)
    kind = schema.get("type")
    if kind in TYPES and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{place} is no {kind}: {value!r:.60}"
    elif isinstance(value, dict):
        yield from (f"{place}.{key} is missing" for key in schema.get("required", []) if key not in value)
        known = schema.get("properties", {})
        for key, inner in value.items():
            if key in known:
                yield from violations(inner, known[key], f"{place}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from violations(inner, schema.get("items", {}), f"{place}[{index}]")
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{place} is not in its enumeration: {value!r}"


async def compare(world: GithubWorld, method: str, path: str, body: Any = None) -> list[str]:
    """Ask, and hold the answer against the schema of its operation and status."""
    status, answer, _ = await world.send(method, path, json=body)
    action = world.ledger.requests("github", 0)[-1]["action"]
    described = resolved(operations()[action]["responses"][str(status)]).get("content")
    if described is None:
        return []
    schema = described["application/json"]["schema"]
    return list(violations(answer, schema, f"{method} {path.split('?')[0]} {status}"))


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[GithubWorld]:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as opened_world:
        yield opened_world


if SPEC.exists():

    async def test_every_body_has_the_shape_that_github_describes(world: GithubWorld) -> None:
        sha = await world.part.head("main")
        pushed = await world.part.push({"files": {"app/x": "1", "README.md": None}, "message": "x"})
        await world.part.fork_pull({"files": {"app/x": "1"}, "message": "x"})
        queued = await world.dispatch()
        running = await world.dispatch()
        world.clock.advance(3)
        done = await world.dispatch()
        await world.pushed(done)
        job = (await world.job(done))["id"]
        paths = [
            "/git/ref/heads/main", "/git/matching-refs/heads", "/branches", "/branches/main", "/commits",
            "/commits/main", f"/commits/{pushed['sha']}", f"/git/commits/{sha}", f"/git/trees/{sha}?recursive=1",
            "/contents/Dockerfile", "/contents/app", f"/compare/{sha}...feature/banner",
            f"/commits/{sha}/pulls", "/pulls/21", "/pulls/101", f"/commits/{sha}/check-runs",
            f"/commits/{pushed['sha']}/check-runs", f"/commits/{sha}/status", f"/commits/{sha}/statuses",
            "/actions/workflows", "/actions/workflows/checks.yml", "/actions/runs", f"/actions/runs/{queued}",
            f"/actions/runs/{done}", f"/actions/runs/{queued}/jobs", f"/actions/runs/{running}/jobs",
            f"/actions/runs/{done}/jobs", f"/actions/jobs/{job}", "/actions/workflows/build-image.yml/runs", "",
        ]  # fmt: skip
        found = [wrong for path in paths for wrong in await compare(world, "GET", path)]
        for path in ("user", "rate_limit", "users/harbour-dev"):
            found += await compare(world, "GET", f"{world.part.api_url}/{path}")
        made = {"ref": "main", "environment": "dev", "required_contexts": []}
        found += await compare(world, "POST", "/deployments", made)
        one = (await world.get("/deployments"))[0]["id"]
        found += await compare(world, "POST", f"/deployments/{one}/statuses", {"state": "success"})
        for path in ("/deployments", f"/deployments/{one}", f"/deployments/{one}/statuses"):
            found += await compare(world, "GET", path)
        inputs = {"component": "app", "sha": sha, "tag": "fp-0123456789abcdef"}
        dispatch = {"ref": "main", "inputs": inputs, "return_run_details": True}
        found += await compare(world, "POST", "/actions/workflows/build-image.yml/dispatches", dispatch)
        found += await compare(world, "POST", f"/actions/runs/{done}/rerun")
        found += await compare(world, "POST", f"/actions/runs/{done}/cancel")
        assert found == []

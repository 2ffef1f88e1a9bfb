"""Requests that schemathesis makes of Discord's and GitHub's own descriptions, fitting and unfitting ones: whatever
comes, the sandbox has an answer of the service's kind, and never breaks (5xx).

The descriptions are read from their files, requests go to parts of the sandbox. Examples are few and always the same;
each operation is asked about things that exist as well as about things that do not.
"""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import requests
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation

from bot.sandbox import cast
from bot.sandbox.validation.accepted import Document
from bot.sandbox.validation.documents import load
from bot.sandbox.validation.inspector import Inspector
from tests.wire.discord_world import bare_http, discord_part
from tests.wire.sandbox_github import TOKEN, make_source, opened

EXAMPLES = int(os.environ.get("QUARTERDECK_FUZZ_EXAMPLES", "4"))
"""Of each operation and each mode; more of them find more."""
METHODS = ("get", "put", "post", "patch", "delete")
TWINS = "/applications/{application_id}/commands"
"""Served by the same handlers as a server's own commands."""
NAME = re.compile(r"\{[^}]*\}")
Json = dict[str, Any]


def served(app: web.Application, prefix: str = "") -> set[tuple[str, str]]:
    """Method and path of every route, parameters without their names."""
    return {
        (route.method.lower(), NAME.sub("{}", route.resource.canonical.removeprefix(prefix)))
        for route in app.router.routes()
        if route.resource is not None
    }


def narrowed(document: Json, routes: set[tuple[str, str]]) -> Json:
    """The description with those operations only that the sandbox serves."""
    paths: Json = {}
    for path, item in document["paths"].items():
        kept = {m: op for m, op in item.items() if m in METHODS and (m, NAME.sub("{}", path)) in routes}
        if kept and not path.startswith(TWINS):
            paths[path] = {**{k: v for k, v in item.items() if k not in METHODS}, **kept}
    return {**document, "paths": paths}


class Fuzz:
    """Sends the requests of one description; `known` are values of path parameters that name what exists."""

    def __init__(self, document: Json, *, url: str, headers: Mapping[str, str], known: Mapping[str, str]) -> None:
        self.schema = schemathesis.openapi.from_dict(document)
        self.url = url
        self.headers = dict(headers)
        self.known = known
        self.session = requests.Session()
        self.sent = 0
        self.accepted = 0
        self.broken: list[str] = []

    def run(self) -> None:
        """All operations with fitting requests, and those that take a body with unfitting ones, too."""
        with self.session:
            for found in self.schema.get_all_operations():
                operation = found.ok()
                self._operation(operation, GenerationMode.POSITIVE)
                if operation.body:
                    self._operation(operation, GenerationMode.NEGATIVE)

    def _operation(self, operation: APIOperation, mode: GenerationMode) -> None:
        existing = cycle((True, False))

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Case) -> None:
            self._send(case, existing=next(existing))

        with suppress(Unsatisfiable):  # nothing about the operation can be wrong: it takes nothing
            send()

    def _send(self, case: Case, *, existing: bool) -> None:
        if existing:
            case.path_parameters.update({k: v for k, v in self.known.items() if k in case.path_parameters})
        answer = case.call(
            base_url=self.url, session=self.session, headers=self.headers, timeout=20, allow_redirects=False
        )
        self.sent += 1
        self.accepted += answer.status_code < 400
        if answer.status_code >= 500:
            self.broken.append(f"{case.method} {case.formatted_path} {case.body!r:.400}: {answer.status_code}")


async def fuzzed(make: Callable[[], Fuzz]) -> Fuzz:
    """Run it beside the event loop that answers."""

    def run() -> Fuzz:
        fuzz = make()
        fuzz.run()
        return fuzz

    return await asyncio.to_thread(run)


def wrong_answers(inspector: Inspector) -> list[str]:
    """What was answered other than described. Requests are wrong on purpose here, and both services overlook a lot."""
    return [str(mismatch) for mismatch in inspector.findings.mismatches if mismatch.direction == "response"]


MALFORMED: tuple[tuple[str, bytes], ...] = (
    ("application/json", b"\xaf"),
    ("application/json", b'{"content": '),
    ("application/json", b'{"content": NaN}'),
    ("application/json", b"[" * 100_000),
    ("application/json", b"null"),
    ("application/json", b'"text"'),
    ("application/json; charset=nonsense", b'{"content": "x"}'),
    ("application/x-www-form-urlencoded", b"%ff=%00"),
    ("multipart/form-data", b"no boundary"),
)


async def malformed(app: web.Application, *, url: str, headers: Mapping[str, str], known: Mapping[str, str]) -> int:
    """Send each malformed body to every route that takes one; how many were sent."""
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method in ("POST", "PUT", "PATCH")
    }
    broken: list[str] = []
    async with aiohttp.ClientSession(headers=headers) as http:
        for method, path in sorted(routes):
            where = NAME.sub(lambda found: known.get(found.group()[1:-1].split(":")[0], "1"), path)
            for media, body in MALFORMED:
                async with http.request(method, url + where, data=body, headers={"Content-Type": media}) as answer:
                    if answer.status >= 500:
                        broken.append(f"{method} {where}, {media}: {body[:40]!r}: {answer.status}")
    assert broken == []
    return len(routes) * len(MALFORMED)


async def test_no_malformed_body_breaks_a_route_of_discords(tmp_path: Path, own_inspector: Inspector) -> None:
    async with discord_part(tmp_path) as part:
        assert part._runner is not None
        known = {"channel": str(cast.CHANNELS["general"]), "guild": str(cast.GUILD_ID), "app": str(cast.APPLICATION_ID)}
        origin = part.api_url.removesuffix("/api/v10")
        headers = {"Authorization": f"Bot {part.token}"}
        assert await malformed(part._runner.app, url=origin, headers=headers, known=known) > 100
    assert wrong_answers(own_inspector) == []


async def test_no_malformed_body_breaks_a_route_of_githubs(tmp_path: Path, own_inspector: Inspector) -> None:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as world:
        assert world.part._runner is not None
        owner, repo = cast.GITHUB_REPOSITORY.split("/")
        known = {"owner": owner, "repo": repo, "workflow": "build-image.yml"}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert await malformed(world.part._runner.app, url=world.part.api_url, headers=headers, known=known) > 50
    assert wrong_answers(own_inspector) == []


async def test_no_request_that_discords_description_can_make_breaks_the_sandbox(
    tmp_path: Path, own_inspector: Inspector
) -> None:
    async with discord_part(tmp_path) as part, bare_http(part) as http:
        channel = cast.CHANNELS["general"]
        async with http.post(f"{part.api_url}/channels/{channel}/messages", json={"content": "here"}) as answer:
            message = (await answer.json())["id"]
        known = {
            "channel_id": str(channel),
            "message_id": message,
            "guild_id": str(cast.GUILD_ID),
            "application_id": str(cast.APPLICATION_ID),
            "user_id": str(cast.PEOPLE[0].id),
            "role_id": str(cast.ROLES["dev"]),
            "emoji_name": "%F0%9F%91%8D",
        }
        assert part._runner is not None
        document = narrowed(load(Document.DISCORD), served(part._runner.app, "/api/v10"))
        headers = {"Authorization": f"Bot {part.token}"}
        fuzz = await fuzzed(lambda: Fuzz(document, url=part.api_url, headers=headers, known=known))
    assert fuzz.broken == []
    assert wrong_answers(own_inspector) == []
    assert fuzz.sent > 200 and fuzz.accepted > 30


async def test_no_request_that_githubs_description_can_make_breaks_the_sandbox(
    tmp_path: Path, own_inspector: Inspector
) -> None:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as world:
        sha, run = await world.part.head("main"), await world.dispatch()
        owner, repo = cast.GITHUB_REPOSITORY.split("/")
        known = {
            "owner": owner,
            "repo": repo,
            "ref": "main",
            "branch": "main",
            "commit_sha": sha,
            "tree_sha": sha,
            "run_id": str(run),
            "workflow_id": "build-image.yml",
            "basehead": f"{sha}...main",
            "path": "app",
        }
        assert world.part._runner is not None
        document = narrowed(load(Document.GITHUB), served(world.part._runner.app))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        fuzz = await fuzzed(lambda: Fuzz(document, url=world.part.api_url, headers=headers, known=known))
    assert fuzz.broken == []
    assert wrong_answers(own_inspector) == []
    assert fuzz.sent > 200 and fuzz.accepted > 30

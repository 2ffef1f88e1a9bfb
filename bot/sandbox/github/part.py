"""The GitHub part: opens the repository and the server, puts the pieces together, and passes the levers on."""

import asyncio
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from bot.sandbox.clock import Clock
from bot.sandbox.faults import Faults
from bot.sandbox.github.api_actions import NEWEST_VERSION, ActionsApi
from bot.sandbox.github.api_checks import Checks, ChecksApi
from bot.sandbox.github.api_deployments import DeploymentsApi
from bot.sandbox.github.api_git import GitApi, names_repository
from bot.sandbox.github.errors import GithubError, answer, fault_answer
from bot.sandbox.github.git import Git
from bot.sandbox.github.journal import JournalFile
from bot.sandbox.github.levers import Levers
from bot.sandbox.github.pages import RateMeter, dump, with_etag
from bot.sandbox.github.people import BOT_LOGIN, full_user
from bot.sandbox.github.repository import Repository
from bot.sandbox.github.runner import Actions, Build
from bot.sandbox.github.runs import Run
from bot.sandbox.github.seed import seed
from bot.sandbox.github.shapes import Shapes
from bot.sandbox.github.site import Site
from bot.sandbox.github.token import Token
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import (
    ACTION,
    BUCKET,
    Guard,
    Handler,
    fault_middleware,
    guard_middleware,
    ledger_middleware,
    listen,
)

VERSIONS = ("2022-11-28", NEWEST_VERSION)
BODY_LIMIT = 1024 * 1024


class GithubPart:
    """GitHub's REST API for one repository and one token; `build` makes the image when a run's push begins."""

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        faults: Faults,
        guard: Guard,
        home: Path,
        token: str,
        source: Path,
        build: Build,
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._faults = faults
        self._guard = guard
        self._home = home
        self._token = token
        self._rights = Token()
        self._source = source
        self._build = build
        self.meter = RateMeter(clock)
        self._repository = Repository(Git(self.repository_path))
        self._file = JournalFile(path=home / "journal.json", clock=clock)
        self._runner: web.AppRunner | None = None
        self._actions: Actions | None = None
        self._levers: Levers | None = None
        self.api_url = ""

    @property
    def repository_path(self) -> Path:
        """The bare repository's directory."""
        return self._home / "quarterdeck.git"

    @property
    def runs(self) -> Mapping[int, Run]:
        """What is written down about every workflow run, by its id."""
        return self._file.journal.runs

    async def start(self) -> None:
        """Seed the repository when it is new, serve, and take up the runs that were in flight.

        Raises:
            SeedFailed: the sample repository cannot be made.
            JournalUnreadable: what an earlier world wrote is damaged.
            OSError: nothing can be served or written.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        if not (self.repository_path / "HEAD").exists():
            await asyncio.to_thread(seed, source=self._source, repository=self.repository_path, now=self._clock.now())
        self._file.load()
        self._actions = Actions(
            clock=self._clock, ledger=self._ledger, repository=self._repository, file=self._file, build=self._build
        )
        self._levers = Levers(
            clock=self._clock,
            ledger=self._ledger,
            repository=self._repository,
            actions=self._actions,
            file=self._file,
        )
        await self._serve(self._actions)
        self._actions.resume()

    async def close(self) -> None:
        """Stop serving; runs in flight stay as they are and go on when the world starts again."""
        if self._actions is not None:
            await self._actions.close()
            self._file.save()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ---- serving ---------------------------------------------------------------------------------------------

    async def _serve(self, actions: Actions) -> None:
        govern: Middleware = self._govern
        app = web.Application(
            client_max_size=BODY_LIMIT,
            middlewares=[
                ledger_middleware("github", self._ledger, lambda request: "bot"),
                guard_middleware(self._guard),
                fault_middleware("github", self._faults, fault_answer),
                govern,
            ],
        )
        shapes = Shapes()
        self._route(app, actions, shapes)
        self._runner, port = await listen(app)
        self.api_url = f"http://127.0.0.1:{port}"
        shapes.settle(self.api_url)

    def _route(self, app: web.Application, actions: Actions, shapes: Shapes) -> None:
        git = GitApi(repository=self._repository, shapes=shapes, journal=self._file.journal)
        checks = Checks(actions=actions, journal=self._file.journal, shapes=shapes)
        runs = ActionsApi(clock=self._clock, actions=actions, repository=self._repository, shapes=shapes)
        deployments = DeploymentsApi(
            clock=self._clock,
            ledger=self._ledger,
            file=self._file,
            repository=self._repository,
            checks=checks,
            shapes=shapes,
        )
        app.add_routes(self._own_routes(shapes))
        app.add_routes(runs.routes() + runs.open_routes())
        app.add_routes(deployments.routes())
        app.add_routes(ChecksApi(checks=checks, git=git, shapes=shapes).routes())
        app.add_routes(git.routes() + git.last_routes())
        app.add_routes(Site(actions=actions, repository=self._repository).routes())

    def _own_routes(self, shapes: Shapes) -> list[web.RouteDef]:
        async def user(request: web.Request) -> web.Response:
            return dump(full_user(shapes.base, BOT_LOGIN))

        async def rate_limit(request: web.Request) -> web.Response:
            figures = self.meter.figures()
            search = {**figures, "limit": 30, "used": 0, "remaining": 30, "resource": "search"}
            return dump({"resources": {"core": figures, "search": search}, "rate": figures})

        return [
            web.get("/user", user, name="users:get_authenticated"),
            web.get("/rate_limit", rate_limit, name="rate_limit:get"),
        ]

    @web.middleware
    async def _govern(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Token, API version, rate limit and refusals around every API answer; open pages only get refusals."""
        route = request.match_info.route.name or ""
        request[ACTION] = route.replace("_", "-")
        if route.startswith("open:"):
            return await _translated(request, handler)
        request[BUCKET] = "core"
        response = self._refusal(request) or with_etag(request, await _translated(request, handler))
        if response.status != 304 and route != "rate_limit:get":
            self.meter.count()
        response.headers.update(self.meter.headers() | self._rights.headers())
        response.headers["X-GitHub-Api-Version-Selected"] = request.headers.get("X-GitHub-Api-Version", VERSIONS[0])
        response.headers["X-GitHub-Media-Type"] = "github.v3; format=json"
        return response

    def _refusal(self, request: web.Request) -> web.Response | None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return answer(401, "Requires authentication")
        known = scheme.lower() in ("token", "bearer")
        if not known or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return answer(401, "Bad credentials")
        if request.headers.get("X-GitHub-Api-Version", VERSIONS[0]) not in VERSIONS:
            return answer(400, f"Unsupported X-GitHub-Api-Version; supported are {', '.join(VERSIONS)}.")
        if self.meter.exhausted():
            return answer(403, "API rate limit exceeded for user ID 1.")
        return self._rights.refusal(request) if names_repository(request) else answer(404, "Not Found")

    # ---- levers ----------------------------------------------------------------------------------------------

    def _lever(self) -> Levers:
        if self._levers is None:
            raise RuntimeError("the GitHub part has not been started")
        return self._levers

    async def head(self, ref: str) -> str:
        """The commit that a branch, tag, full ref or `branch~N` stands for.

        Raises:
            Missing: there is none.
        """
        return await self._lever().head(ref)

    async def push(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A commit on top of a branch: `{branch, files, message, author}`."""
        return await self._lever().push(body)

    async def branch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A branch pointed at any commit: `{name, sha}`."""
        return await self._lever().branch(body)

    async def tag(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A tag pointed at any commit: `{name, sha}`."""
        return await self._lever().tag(body)

    async def token(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the bot's token may do: `{permissions}` of a fine-grained one or `{scopes}` of a classic one."""
        return self._rights.change(body)

    async def fork_pull(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A pull request from a fork: `{branch, files, message, author, title}`."""
        return await self._lever().fork_pull(body)

    async def checks(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a commit's checks: `{sha, conclusion, name}`."""
        return await self._lever().checks(body)

    async def outcome(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """How the next runs of a workflow end: `{workflow, job, step, conclusion, seconds, times}`."""
        return await self._lever().outcome(body)


async def _translated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, with refusals and unknown addresses as GitHub words them."""
    try:
        return await handler(request)
    except GithubError as error:
        return error.response()
    except web.HTTPNotFound:
        return answer(404, "Not Found")
    except web.HTTPMethodNotAllowed:
        return answer(404, "Not Found")
    except web.HTTPRequestEntityTooLarge:
        return answer(413, "Payload too large")

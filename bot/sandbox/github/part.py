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
from bot.sandbox.github.act.process import ABSENT, Act, ActAbsent, find
from bot.sandbox.github.announcer import Announcer
from bot.sandbox.github.api_actions import NEWEST_VERSION, ActionsApi
from bot.sandbox.github.api_checks import Checks, ChecksApi
from bot.sandbox.github.api_deployments import DeploymentsApi
from bot.sandbox.github.api_environments import EnvironmentsApi
from bot.sandbox.github.api_git import GitApi, names_repository
from bot.sandbox.github.api_hooks import HooksApi
from bot.sandbox.github.api_logs import LogsApi
from bot.sandbox.github.api_statuses import StatusesApi
from bot.sandbox.github.errors import GithubError, answer, fault_answer, secondary_limit
from bot.sandbox.github.git import Git
from bot.sandbox.github.hooks import Hooks
from bot.sandbox.github.journal import JournalFile
from bot.sandbox.github.levers import Levers
from bot.sandbox.github.pages import RateMeter, dump, sent_json, with_etag
from bot.sandbox.github.people import BOT_LOGIN, full_user
from bot.sandbox.github.repository import Repository
from bot.sandbox.github.runner import Actions, Build
from bot.sandbox.github.runs import Run
from bot.sandbox.github.secondary import SecondaryLimits
from bot.sandbox.github.seed import seed
from bot.sandbox.github.shapes import Shapes
from bot.sandbox.github.site import Site
from bot.sandbox.github.token import Token
from bot.sandbox.ledger import Ledger
from bot.sandbox.validation.inspector import Inspector, Watched, watched
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
WATCHED = Watched(
    prefix="",
    read=sent_json,
    refusal=GithubError,
    applies=lambda request: not (request.match_info.route.name or "").startswith("open:"),
)


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
        inspector: Inspector | None = None,
        real_workflows: bool = False,
    ) -> None:
        self._real_workflows = real_workflows
        self._act: Act | None = None
        self._inspector = inspector
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
        self.limits = SecondaryLimits(clock)
        self._repository = Repository(Git(self.repository_path))
        self._file = JournalFile(path=home / "journal.json", clock=clock)
        inspect = inspector.check_webhook if inspector else None
        self.hooks = Hooks(clock=clock, ledger=ledger, file=self._file, inspect=inspect)
        self._runner: web.AppRunner | None = None
        self._shapes = Shapes()
        self._actions: Actions | None = None
        self._announcer: Announcer | None = None
        self._hooks_api: HooksApi | None = None
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

    @property
    def operations(self) -> frozenset[str]:
        """The operations that are served, as the request list names them."""
        served = self._runner.app.router.routes() if self._runner is not None else ()
        names = {route.name for route in served if route.name and not route.name.startswith("open:")}
        return frozenset(name.replace("_", "-") for name in names)

    async def start(self) -> None:
        """Seed the repository when it is new, serve, and take up the runs that were in flight.

        Raises:
            SeedFailed: the sample repository cannot be made.
            JournalUnreadable: what an earlier world wrote is damaged.
            ActAbsent: workflows are to be executed, and there is no act.
            OSError: nothing can be served or written.
        """
        if self._real_workflows:
            self._act = self._runners()
        self._home.mkdir(parents=True, exist_ok=True)
        if not (self.repository_path / "HEAD").exists():
            await asyncio.to_thread(seed, source=self._source, repository=self.repository_path, now=self._clock.now())
        self._file.load()
        if self._act is not None:
            await self._act.start()
        self._actions = Actions(
            clock=self._clock,
            ledger=self._ledger,
            repository=self._repository,
            file=self._file,
            build=self._build,
            logs=self._home / "logs",
            act=self._act,
        )
        self._announcer = Announcer(hooks=self.hooks, repository=self._repository, shapes=self._shapes)
        self._actions.watchers.append(self._announcer.run)
        self._levers = Levers(
            clock=self._clock,
            ledger=self._ledger,
            repository=self._repository,
            actions=self._actions,
            file=self._file,
            announcer=self._announcer,
        )
        await self._serve(self._actions, self._announcer)
        for view in self._actions.newest_first():
            self._announcer.remember(view)
        self.hooks.start()
        self._announcer.start()
        self._actions.resume()

    def _runners(self) -> Act:
        program = find()
        if program is None:
            raise ActAbsent(ABSENT)
        return Act(
            program=program,
            home=self._home / "attempts",
            repository=self.repository_path,
            build=self._build,
            pause=self._clock.sleep,
        )

    async def close(self) -> None:
        """Stop serving; runs in flight stay as they are and go on when the world starts again."""
        if self._actions is not None:
            await self._actions.close()
            self._file.save()
        if self._announcer is not None:
            await self._announcer.close()
        await self.hooks.close()
        if self._act is not None:
            await self._act.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ---- serving ---------------------------------------------------------------------------------------------

    async def _serve(self, actions: Actions, announcer: Announcer) -> None:
        govern: Middleware = self._govern
        app = web.Application(
            client_max_size=BODY_LIMIT,
            middlewares=[
                ledger_middleware("github", self._ledger, lambda request: "bot"),
                guard_middleware(self._guard),
                *([watched(self._inspector.github, WATCHED)] if self._inspector else []),
                fault_middleware("github", self._faults, fault_answer),
                govern,
            ],
        )
        self._route(app, actions, announcer)
        self._runner, port = await listen(app)
        self.api_url = f"http://127.0.0.1:{port}"
        self._shapes.settle(self.api_url)

    def _route(self, app: web.Application, actions: Actions, announcer: Announcer) -> None:
        shapes = self._shapes
        git = GitApi(repository=self._repository, shapes=shapes, journal=self._file.journal)
        journal = self._file.journal
        checks = Checks(actions=actions, journal=journal, repository=self._repository, shapes=shapes)
        runs = ActionsApi(clock=self._clock, actions=actions, repository=self._repository, shapes=shapes)
        deployments = DeploymentsApi(
            clock=self._clock,
            ledger=self._ledger,
            file=self._file,
            repository=self._repository,
            checks=checks,
            shapes=shapes,
            announcer=announcer,
        )
        checks_api = ChecksApi(checks=checks, git=git, shapes=shapes)
        announcer.settle(actions=runs, checks=checks, checks_api=checks_api)
        self._hooks_api = HooksApi(clock=self._clock, hooks=self.hooks, announcer=announcer, shapes=shapes)
        app.add_routes(self._own_routes(shapes))
        app.add_routes(runs.routes() + LogsApi(clock=self._clock, actions=actions, shapes=shapes).routes())
        app.add_routes(deployments.routes())
        app.add_routes(checks_api.routes() + self._hooks_api.routes())
        app.add_routes(StatusesApi(clock=self._clock, file=self._file, git=git, shapes=shapes).routes())
        app.add_routes(EnvironmentsApi(journal=journal, shapes=shapes).routes())
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
        response: web.StreamResponse | None = self._refusal(request)
        if response is None:
            with self.limits.being_served():
                response = with_etag(request, await _translated(request, handler))
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
        if (wait_s := self.limits.wait_s(request.method)) is not None:
            return secondary_limit(wait_s)
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

    async def webhook(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A webhook of the repository: `{url, secret, events}`, as an owner would set it up; it is pinged."""
        if self._hooks_api is None:
            raise RuntimeError("the GitHub part has not been started")
        return self._hooks_api.set_up(body)

    async def deliveries(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """How webhooks travel: `{lose, double, shuffle, seed}`."""
        return self.hooks.misbehave(body)

    async def secondary(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The secondary rate limits: `{at_once, points_a_minute, writes_a_minute, writes_an_hour}`."""
        return self.limits.change(body)

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

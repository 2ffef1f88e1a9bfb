"""Logs over the REST API: of a job as text, of a run or an attempt as an archive, each by a redirect to another origin.

GitHub keeps them in a blob store under a signed address that works for a minute. Here that store is this server under
its other name, `localhost`, so that clients which follow with their token are seen doing it.
"""

import hashlib
import hmac
import io
import re
import secrets
import zipfile

from aiohttp import web

from bot.sandbox.clock import Clock
from bot.sandbox.github.api_git import REPO
from bot.sandbox.github.errors import not_found
from bot.sandbox.github.pages import positive
from bot.sandbox.github.runner import Actions
from bot.sandbox.github.runs import RunView
from bot.sandbox.github.shapes import Shapes

LOG_LIFE_S = 60
"""How long a signed address works: GitHub REST documentation, "Download job logs for a workflow run", 2026."""
UNSAFE = re.compile(r"[^A-Za-z0-9 ._-]")
FIRST_DAY = (1980, 1, 1, 0, 0, 0)


class LogsApi:
    """The API's redirects and the blob store behind them."""

    def __init__(self, *, clock: Clock, actions: Actions, shapes: Shapes) -> None:
        self._clock = clock
        self._actions = actions
        self._shapes = shapes
        self._key = secrets.token_bytes(32)

    def routes(self) -> list[web.RouteDef]:
        """Named as GitHub's OpenAPI names its operations, with `_` for `-`; `open:` ones need no token."""
        one = REPO + "/actions/runs/{run}"
        attempt = "actions:download_workflow_run_attempt_logs"
        return [
            web.get(REPO + "/actions/jobs/{job}/logs", self._job, name="actions:download_job_logs_for_workflow_run"),
            web.get(one + "/logs", self._run, name="actions:download_workflow_run_logs"),
            web.get(one + "/attempts/{attempt}/logs", self._attempt, name=attempt),
            web.get("/_logs/{what}/{number}", self._stored, name="open:log"),
        ]

    async def _job(self, request: web.Request) -> web.Response:
        _, job = self._actions.find_job(positive(request, "job"))
        return self._redirect(f"job/{job.id}", over=job.status == "completed")

    async def _run(self, request: web.Request) -> web.Response:
        view = self._actions.view(self._actions.find(positive(request, "run")))
        return self._redirect(_archive(view), over=view.status == "completed")

    async def _attempt(self, request: web.Request) -> web.Response:
        run = self._actions.attempt(positive(request, "run"), positive(request, "attempt"))
        view = self._actions.view(run)
        return self._redirect(_archive(view), over=view.status == "completed")

    def _redirect(self, name: str, *, over: bool) -> web.Response:
        if not over:
            not_found()
        expires = int(self._clock.now()) + LOG_LIFE_S
        origin = self._shapes.base.replace("127.0.0.1", "localhost")
        address = f"{origin}/_logs/{name}?expires={expires}&signature={self._sign(name, expires)}"
        return web.Response(status=302, headers={"Location": address})

    def _sign(self, name: str, expires: int) -> str:
        return hmac.new(self._key, f"{name}:{expires}".encode(), hashlib.sha256).hexdigest()

    # ---- the blob store --------------------------------------------------------------------------------------

    async def _stored(self, request: web.Request) -> web.Response:
        """It takes the signature and refuses a request that brings a token, too."""
        if "Authorization" in request.headers:
            return web.Response(
                status=400, text="InvalidAuthenticationInfo: send no Authorization with a signed address"
            )
        name, expires = f"{request.match_info['what']}/{request.match_info['number']}", request.query.get("expires", "")
        given = request.query.get("signature", "").encode()
        if not expires.isdecimal() or not hmac.compare_digest(given, self._sign(name, int(expires)).encode()):
            return web.Response(status=403, text="AuthenticationFailed: the signature does not match")
        if int(expires) < self._clock.now():
            return web.Response(status=403, text="AuthenticationFailed: the address has expired")
        what, _, number = name.partition("/")
        if what == "job":
            view, job = self._actions.find_job(int(number))
            return web.Response(text=self._actions.log(view.run, job), content_type="text/plain", charset="utf-8")
        run, _, attempt = number.partition("-")
        return self._zip(self._actions.view(self._actions.attempt(int(run), int(attempt))))

    def _zip(self, view: RunView) -> web.Response:
        """One file a job, as GitHub names them: its place and its name."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for index, job in enumerate(view.jobs):
                name = f"{index}_{UNSAFE.sub('_', job.plan.name)}.txt"
                archive.writestr(zipfile.ZipInfo(name, FIRST_DAY), self._actions.log(view.run, job))
        return web.Response(body=buffer.getvalue(), content_type="application/zip")


def _archive(view: RunView) -> str:
    return f"run/{view.run.id}-{view.run.attempt}"

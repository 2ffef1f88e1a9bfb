"""What happens in the repository, told to the webhooks in GitHub's words and shapes, one thing after the other.

A run that the clock has carried over several states at once is told state by state, as GitHub would have. Bodies are
made when it is a thing's turn, from what was known when it happened.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.sandbox.github.api_actions import ActionsApi, suite_id
from bot.sandbox.github.api_checks import Checks, ChecksApi
from bot.sandbox.github.errors import GithubError
from bot.sandbox.github.git import GitFailed
from bot.sandbox.github.hooks import Hooks
from bot.sandbox.github.journal import Hook
from bot.sandbox.github.people import BOT_LOGIN, OWNER, noreply
from bot.sandbox.github.repository import Commit, Repository
from bot.sandbox.github.runs import JobView, RunView, Status
from bot.sandbox.github.shapes import DEFAULT_BRANCH, Shapes, stamp

Payload = dict[str, Any]
NOTHING = "0" * 40
"""The commit of a ref that is not there."""
COMMITS_LISTED = 20
"""Of a push; GitHub lists up to 2048."""
RUNS_REMEMBERED = 400
ZEN = "Anything added dilutes everything else."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A ref that was moved, made (`before` is NOTHING) or removed (`after` is)."""

    ref: str
    before: str
    after: str
    login: str
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Saying:
    """An event whose payload is made when its turn comes; `only` one hook hears of it."""

    event: str
    make: Callable[[], Awaitable[Payload]]
    only: int | None = None


@dataclass(slots=True)
class _Told:
    """What was last told of an attempt."""

    run: str
    jobs: dict[int, str]


class Announcer:
    """Watches runs, deployments and pushes; `settle` gives it the rooms that know the shapes."""

    def __init__(self, *, hooks: Hooks, repository: Repository, shapes: Shapes) -> None:
        self._hooks = hooks
        self._repository = repository
        self._shapes = shapes
        self._told: dict[tuple[int, int], _Told] = {}
        self._queue: asyncio.Queue[Saying] = asyncio.Queue()
        self._created: datetime | None = None
        self._speaker: asyncio.Task[None] | None = None
        self._actions: ActionsApi | None = None
        self._checks: tuple[Checks, ChecksApi] | None = None

    def settle(self, *, actions: ActionsApi, checks: Checks, checks_api: ChecksApi) -> None:
        """Take the rooms that make the bodies."""
        self._actions, self._checks = actions, (checks, checks_api)

    def start(self) -> None:
        """Begin to speak."""
        self._speaker = asyncio.create_task(self._speak(), name="webhook payloads")

    async def close(self) -> None:
        """Say nothing more."""
        if self._speaker is not None:
            self._speaker.cancel()
            await asyncio.gather(self._speaker, return_exceptions=True)

    async def _speak(self) -> None:
        while True:
            saying = await self._queue.get()
            try:
                self._hooks.tell(saying.event, await saying.make(), only=saying.only)
            except (GitFailed, GithubError, KeyError) as error:
                log.warning("the event %s could not be told: %s", saying.event, error)

    def _say(self, event: str, make: Callable[[], Awaitable[Payload]]) -> None:
        if self._hooks.wanted(event):
            self._queue.put_nowait(Saying(event, make))

    async def _whole(self, payload: Payload, *, sender: str) -> Payload:
        repository = self._shapes.repository(**await self._times())
        return payload | {"repository": repository, "sender": self._shapes.user(sender)}

    async def _times(self) -> dict[str, datetime]:
        """When the repository was made, and last pushed to."""
        main = [f"refs/heads/{DEFAULT_BRANCH}"]
        newest = (await self._repository.history(main, count=1))[0]
        if self._created is None:
            whole = await self._repository.history(main, count=10_000)
            self._created = whole[-1].committer.at
        return {"created": self._created, "pushed": newest.committer.at}

    # ---- runs ------------------------------------------------------------------------------------------------

    def remember(self, view: RunView) -> None:
        """Take a run as told as it stands: an earlier world has said it."""
        jobs = {index: job.status for index, job in enumerate(view.jobs)}
        self._told[view.run.id, view.run.attempt] = _Told(view.status, dict(jobs))

    def run(self, view: RunView) -> None:
        """Tell what has changed about a run since the last time."""
        key = (view.run.id, view.run.attempt)
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = _Told("", {})
            if len(self._told) > RUNS_REMEMBERED:
                del self._told[next(iter(self._told))]
        if not told.run:
            self._say_run("requested", _queued(view))
            told.run = "queued"
        for index, job in enumerate(view.jobs):
            for state, shown in _states(told.jobs.get(index, ""), job):
                told.jobs[index] = state
                self._say_job(state, view, shown)
        if told.run == "queued" and view.status != "queued":
            told.run = "in_progress"
            self._say_run("in_progress", replace(view, status="in_progress", conclusion=None))
        if told.run == "in_progress" and view.status == "completed":
            told.run = "completed"
            self._say_run("completed", view)

    def _say_run(self, action: str, view: RunView) -> None:
        async def make() -> Payload:
            actions = self._room()
            body = {"action": action, "workflow_run": await actions.run_body(view)}
            workflow = actions.workflow_body(view.run.workflow, view.run.path)
            return await self._whole(body | {"workflow": workflow}, sender=view.run.actor)

        self._say("workflow_run", make)

    def _say_job(self, state: str, view: RunView, job: JobView) -> None:
        async def make_job() -> Payload:
            return await self._whole(
                {"action": state, "workflow_job": self._room().job_body(view, job)}, sender=view.run.actor
            )

        async def make_check() -> Payload:
            if self._checks is None:
                raise KeyError("checks")
            checks, api = self._checks
            body = api.body(checks.of_job(view, job), check_sha=view.run.sha) | {"check_suite": self._suite(view, api)}
            action = "created" if state == "queued" else "completed"
            return await self._whole({"action": action, "check_run": body}, sender=view.run.actor)

        self._say("workflow_job", make_job)
        if state != "in_progress":
            self._say("check_run", make_check)

    def _suite(self, view: RunView, api: ChecksApi) -> Payload:
        run, number = view.run, suite_id(view.run.id)
        return {
            "id": number,
            "node_id": f"CS_{number}",
            "head_branch": run.branch,
            "head_sha": run.sha,
            "status": view.status,
            "conclusion": view.conclusion,
            "url": f"{self._shapes.repo}/check-suites/{number}",
            "before": NOTHING,
            "after": run.sha,
            "pull_requests": [],
            "app": api.app(),
            "created_at": stamp(run.created_at),
            "updated_at": stamp(view.updated_at),
        }

    def _room(self) -> ActionsApi:
        if self._actions is None:
            raise KeyError("actions")
        return self._actions

    # ---- deployments -----------------------------------------------------------------------------------------

    def deployment(self, body: Payload) -> None:
        """A deployment was created."""

        async def make() -> Payload:
            told = {"action": "created", "deployment": body, "workflow": None, "workflow_run": None}
            return await self._whole(told, sender=BOT_LOGIN)

        self._say("deployment", make)

    def deployment_status(self, body: Payload, deployment: Payload) -> None:
        """A status of a deployment was created."""

        async def make() -> Payload:
            told = {"action": "created", "deployment_status": body, "deployment": deployment}
            more = {"check_run": None, "workflow": None, "workflow_run": None}
            return await self._whole(told | more, sender=BOT_LOGIN)

        self._say("deployment_status", make)

    # ---- pushes and pings ------------------------------------------------------------------------------------

    def push(self, pushed: Pushed) -> None:
        """A ref has moved."""
        self._say("push", lambda: self._push_body(pushed))

    def newest_push(self, hook: Hook) -> None:
        """Tell one hook of the newest commit of the default branch."""

        async def make() -> Payload:
            newest = (await self._repository.history([f"refs/heads/{DEFAULT_BRANCH}"], count=1))[0]
            before = newest.parents[0] if newest.parents else NOTHING
            return await self._push_body(Pushed(f"refs/heads/{DEFAULT_BRANCH}", before, newest.sha, OWNER))

        self._queue.put_nowait(Saying("push", make, hook.id))

    def ping(self, hook: Hook, body: Payload) -> None:
        """Tell a hook that it is one."""

        async def make() -> Payload:
            return await self._whole({"zen": ZEN, "hook_id": hook.id, "hook": body}, sender=OWNER)

        self._queue.put_nowait(Saying("ping", make, hook.id))

    async def _push_body(self, pushed: Pushed) -> Payload:
        made, gone = pushed.before == NOTHING, pushed.after == NOTHING
        since = [] if made else [f"^{pushed.before}"]
        among = [] if gone else await self._repository.history([pushed.after, *since], count=COMMITS_LISTED)
        head = None if gone else await self._repository.commit(pushed.after)
        span = f"{pushed.before[:12]}...{pushed.after[:12]}"
        body = {
            "ref": pushed.ref,
            "before": pushed.before,
            "after": pushed.after,
            "created": made,
            "deleted": gone,
            "forced": pushed.forced,
            "base_ref": None,
            "compare": f"{self._shapes.site}/compare/{span}",
            "commits": [await self._commit(commit) for commit in reversed(among)],
            "head_commit": None if head is None else await self._commit(head),
            "pusher": {"name": pushed.login, "email": noreply(pushed.login)},
        }
        repository = self._shapes.pushed_repository(**await self._times())
        return await self._whole(body, sender=pushed.login) | {"repository": repository}

    async def _commit(self, commit: Commit) -> Payload:
        changes = await self._repository.changes(commit.parents[0] if commit.parents else None, commit.sha)
        paths: dict[str, list[str]] = {"added": [], "removed": [], "modified": []}
        for change in changes:
            paths[change.status if change.status in paths else "modified"].append(change.path)
        return paths | self._shapes.pushed_commit(commit)


def _queued(view: RunView) -> RunView:
    return replace(view, status="queued", conclusion=None)


def _states(before: str, job: JobView) -> Iterator[tuple[str, JobView]]:
    """The states that a job went through since, each with the job as it stood; one that was skipped never ran."""
    never_ran = job.status == "completed" and job.started_at == job.completed_at and not job.steps
    order: list[Status] = ["queued", "completed"] if never_ran else ["queued", "in_progress", "completed"]
    begin = next((index + 1 for index, state in enumerate(order) if state == before), 0)
    for state in order[begin : order.index(job.status) + 1]:
        if state == job.status:
            yield state, job
        else:
            yield state, replace(job, status=state, conclusion=None, completed_at=None, steps=())

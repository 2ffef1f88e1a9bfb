"""The Actions side of the REST API: workflows, dispatches, runs, attempts, jobs, cancelling and running again."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from aiohttp import web

from bot.sandbox.clock import Clock
from bot.sandbox.github.api_git import REPO
from bot.sandbox.github.errors import GithubError, invalid, not_found
from bot.sandbox.github.pages import as_json, choice, dump, paged, positive, read_object, window
from bot.sandbox.github.repository import Repository
from bot.sandbox.github.runner import Actions
from bot.sandbox.github.runs import JobView, Run, RunView, StepView
from bot.sandbox.github.shapes import DEFAULT_BRANCH, Shapes, stamp
from bot.sandbox.github.workflows import FOLDER, Workflow

DISPATCH_KEYS = {"ref": (str,), "inputs": (dict,), "return_run_details": (bool,)}
INPUTS_MAX = 25
"""Inputs of one dispatch: GitHub Actions documentation, "workflow_dispatch", 2026."""
NEWEST_VERSION = "2026-03-10"
CREATED = re.compile(r"(?P<sign>>=|<=|>|<|)(?P<first>[^.]+?)(?:\.\.(?P<last>.+))?")
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda at, bound: at >= bound,
    "<=": lambda at, bound: at <= bound,
    ">": lambda at, bound: at > bound,
    "<": lambda at, bound: at < bound,
}


class ActionsApi:
    """Handlers over the runs, their attempts and jobs."""

    def __init__(self, *, clock: Clock, actions: Actions, repository: Repository, shapes: Shapes) -> None:
        self._clock = clock
        self._actions = actions
        self._repository = repository
        self._shapes = shapes

    def routes(self) -> list[web.RouteDef]:
        """Named as GitHub's OpenAPI names its operations, with `_` for `-`."""
        runs = REPO + "/actions/runs"
        one, workflow = runs + "/{run}", REPO + "/actions/workflows/{workflow}"
        attempt = one + "/attempts/{attempt}"
        return [
            web.get(REPO + "/actions/workflows", self._workflows, name="actions:list_repo_workflows"),
            web.get(workflow, self._workflow, name="actions:get_workflow"),
            web.get(workflow + "/runs", self._runs, name="actions:list_workflow_runs"),
            web.post(workflow + "/dispatches", self._dispatch, name="actions:create_workflow_dispatch"),
            web.get(runs, self._runs, name="actions:list_workflow_runs_for_repo"),
            web.get(one, self._run, name="actions:get_workflow_run"),
            web.get(one + "/jobs", self._jobs, name="actions:list_jobs_for_workflow_run"),
            web.post(one + "/cancel", self._cancel, name="actions:cancel_workflow_run"),
            web.post(one + "/rerun", self._rerun, name="actions:re_run_workflow"),
            web.post(one + "/rerun-failed-jobs", self._rerun, name="actions:re_run_workflow_failed_jobs"),
            web.get(REPO + "/actions/jobs/{job}", self._job, name="actions:get_job_for_workflow_run"),
            web.post(REPO + "/actions/jobs/{job}/rerun", self._rerun_job, name="actions:re_run_job_for_workflow_run"),
            web.post(one + "/force-cancel", self._cancel, name="actions:force_cancel_workflow_run"),
            web.get(attempt, self._attempt, name="actions:get_workflow_run_attempt"),
            web.get(attempt + "/jobs", self._attempt_jobs, name="actions:list_jobs_for_workflow_run_attempt"),
            web.get(one + "/approvals", self._nobody, name="actions:get_reviews_for_run"),
            web.get(one + "/pending_deployments", self._nobody, name="actions:get_pending_deployments_for_run"),
        ]

    # ---- workflows -------------------------------------------------------------------------------------------

    async def _main(self) -> str:
        head = await self._repository.resolve(f"refs/heads/{DEFAULT_BRANCH}")
        if head is None:
            not_found()
        return head

    async def _named_workflow(self, request: web.Request) -> Workflow:
        """The workflow of the path, by file name or id, as it is on the default branch.

        Raises:
            GithubError: 404.
        """
        name, head = request.match_info["workflow"], await self._main()
        if name.isdecimal():
            files = [w for w in await self._on_main(head) if workflow_id(w.path) == int(name)]
            workflow = files[0] if files else None
        else:
            workflow = await self._actions.workflow(name, head)
        if workflow is None:
            not_found()
        return workflow

    async def _on_main(self, head: str) -> list[Workflow]:
        entries = await self._repository.tree(head, paths=[f"{FOLDER}/"]) or []
        found = [await self._actions.workflow(entry.path.rsplit("/", 1)[-1], head) for entry in entries]
        return [workflow for workflow in found if workflow is not None]

    async def _workflows(self, request: web.Request) -> web.Response:
        found = await self._on_main(await self._main())
        bodies = [self.workflow_body(workflow.name, workflow.path) for workflow in found]
        return paged(request, self._shapes.base, bodies, key="workflows")

    async def _workflow(self, request: web.Request) -> web.Response:
        workflow = await self._named_workflow(request)
        return dump(self.workflow_body(workflow.name, workflow.path))

    def workflow_body(self, name: str, path: str) -> dict[str, Any]:
        """A workflow in GitHub's shape."""
        number, site = workflow_id(path), self._shapes.site
        return {
            "id": number,
            "node_id": f"W_{number}",
            "name": name,
            "path": path,
            "state": "active",
            "created_at": "2026-01-05T08:00:00Z",
            "updated_at": "2026-01-05T08:00:00Z",
            "url": f"{self._shapes.repo}/actions/workflows/{number}",
            "html_url": f"{site}/blob/{DEFAULT_BRANCH}/{path}",
            "badge_url": f"{site}/workflows/{path.rsplit('/', 1)[-1]}/badge.svg",
        }

    async def _dispatch(self, request: web.Request) -> web.Response:
        body = await read_object(request, DISPATCH_KEYS, required=["ref"])
        inputs = body.get("inputs", {})
        if len(inputs) > INPUTS_MAX:
            raise GithubError(422, f"Workflow dispatch inputs are limited to {INPUTS_MAX}")
        workflow = await self._named_workflow(request)
        run = await self._actions.dispatch(workflow.path.rsplit("/", 1)[-1], body["ref"], inputs)
        if not body.get("return_run_details") and request.headers.get("X-GitHub-Api-Version") != NEWEST_VERSION:
            return web.Response(status=204)
        return dump(
            {
                "workflow_run_id": run.id,
                "run_url": f"{self._shapes.repo}/actions/runs/{run.id}",
                "html_url": f"{self._shapes.site}/actions/runs/{run.id}",
            }
        )

    # ---- runs ------------------------------------------------------------------------------------------------

    async def _runs(self, request: web.Request) -> web.Response:
        views = self._actions.newest_first()
        if "workflow" in request.match_info:
            path = (await self._named_workflow(request)).path
            views = [view for view in views if view.run.path == path]
        kept = [view for view in views if _matches(view, request)]
        page, per_page = window(request)
        bodies = [await self.run_body(view) for view in kept[(page - 1) * per_page : page * per_page]]
        return paged(request, self._shapes.base, bodies, key="workflow_runs", total=len(kept))

    async def _run(self, request: web.Request) -> web.Response:
        return dump(await self.run_body(self._view(request)))

    def _view(self, request: web.Request) -> RunView:
        return self._actions.view(self._actions.find(positive(request, "run")))

    async def run_body(self, view: RunView) -> dict[str, Any]:
        """A workflow run in GitHub's shape."""
        run, shapes = view.run, self._shapes
        url = f"{shapes.repo}/actions/runs/{run.id}"
        previous = f"{url}/attempts/{run.attempt - 1}" if run.attempt > 1 else None
        links = {f"{name}_url": f"{url}/{name}" for name in ("jobs", "logs", "cancel", "rerun", "artifacts")}
        return links | {
            "id": run.id,
            "name": run.workflow,
            "node_id": f"WFR_{run.id}",
            "head_branch": run.branch,
            "head_sha": run.sha,
            "path": run.path,
            "display_title": run.title,
            "run_number": run.number,
            "run_attempt": run.attempt,
            "event": run.event,
            "status": view.status,
            "conclusion": view.conclusion,
            "workflow_id": workflow_id(run.path),
            "check_suite_id": suite_id(run.id),
            "check_suite_node_id": f"CS_{suite_id(run.id)}",
            "check_suite_url": f"{shapes.repo}/check-suites/{suite_id(run.id)}",
            "url": url,
            "html_url": f"{shapes.site}/actions/runs/{run.id}",
            "pull_requests": [],
            "created_at": stamp(run.created_at),
            "updated_at": stamp(view.updated_at),
            "run_started_at": stamp(run.started_at),
            "actor": shapes.user(run.actor),
            "triggering_actor": shapes.user(run.actor),
            "referenced_workflows": [],
            "previous_attempt_url": previous,
            "workflow_url": f"{shapes.repo}/actions/workflows/{workflow_id(run.path)}",
            "head_commit": shapes.head_commit(await self._repository.commit(run.sha)),
            "repository": shapes.short_repository(),
            "head_repository": shapes.short_repository(),
        }

    async def _cancel(self, request: web.Request) -> web.Response:
        self._actions.cancel(self._actions.find(positive(request, "run")))
        return as_json({}, 202)

    async def _rerun(self, request: web.Request) -> web.Response:
        await read_object(request, {"enable_debug_logging": (bool,)})
        await self._actions.rerun(self._actions.find(positive(request, "run")))
        return as_json({}, 201)

    async def _rerun_job(self, request: web.Request) -> web.Response:
        """The jobs that need it run again, too; here that is the whole run."""
        await read_object(request, {"enable_debug_logging": (bool,)})
        view, _ = self._actions.find_job(positive(request, "job"))
        await self._actions.rerun(self._actions.find(view.run.id))
        return as_json({}, 201)

    async def _nobody(self, request: web.Request) -> web.Response:
        """No environment of this repository asks for a reviewer, so nothing waits and nobody has reviewed."""
        self._actions.find(positive(request, "run"))
        return dump([])

    # ---- attempts and jobs ----------------------------------------------------------------------------------

    async def _jobs(self, request: web.Request) -> web.Response:
        """Those of the newest attempt; of all attempts with `filter=all`."""
        wanted = choice(request, "filter", ("latest", "all"), "WorkflowJob")
        attempts = self._actions.attempts(positive(request, "run"))
        return self._listed(request, attempts if wanted == "all" else attempts[:1])

    async def _attempt(self, request: web.Request) -> web.Response:
        run = self._actions.attempt(positive(request, "run"), positive(request, "attempt"))
        return dump(await self.run_body(self._actions.view(run)))

    async def _attempt_jobs(self, request: web.Request) -> web.Response:
        return self._listed(request, [self._actions.attempt(positive(request, "run"), positive(request, "attempt"))])

    def _listed(self, request: web.Request, attempts: list[Run]) -> web.Response:
        views = [self._actions.view(run) for run in attempts]
        bodies = [self.job_body(view, job) for view in views for job in view.jobs]
        return paged(request, self._shapes.base, bodies, key="jobs")

    async def _job(self, request: web.Request) -> web.Response:
        return dump(self.job_body(*self._actions.find_job(positive(request, "job"))))

    def job_body(self, view: RunView, job: JobView) -> dict[str, Any]:
        """A job with its steps in GitHub's shape."""
        run, repo = view.run, self._shapes.repo
        began = job.status != "queued"
        return {
            "id": job.id,
            "run_id": run.id,
            "workflow_name": run.workflow,
            "head_branch": run.branch,
            "run_url": f"{repo}/actions/runs/{run.id}",
            "run_attempt": run.attempt,
            "node_id": f"CR_{job.id}",
            "head_sha": run.sha,
            "url": f"{repo}/actions/jobs/{job.id}",
            "html_url": f"{self._shapes.site}/actions/runs/{run.id}/job/{job.id}",
            "status": job.status,
            "conclusion": job.conclusion,
            "created_at": stamp(run.started_at),
            "started_at": stamp(job.started_at),
            "completed_at": _or_none(job.completed_at),
            "name": job.plan.name,
            "steps": [_step_body(step) for step in job.steps],
            "check_run_url": f"{repo}/check-runs/{job.id}",
            "labels": ["ubuntu-24.04"],
            "runner_id": 1 if began else None,
            "runner_name": "GitHub Actions 1" if began else None,
            "runner_group_id": 0 if began else None,
            "runner_group_name": "GitHub Actions" if began else None,
        }


def workflow_id(path: str) -> int:
    """Stable, made from the path."""
    return 50_000_000 + crc32(path.encode()) % 40_000_000


def suite_id(run_id: int) -> int:
    """The check suite that belongs to a run."""
    return 21_000_000_000 + run_id


def _step_body(step: StepView) -> dict[str, Any]:
    return {
        "name": step.plan.name,
        "status": step.status,
        "conclusion": step.conclusion,
        "number": step.number,
        "started_at": _or_none(step.started_at),
        "completed_at": _or_none(step.completed_at),
    }


def _or_none(at: float | None) -> str | None:
    return None if at is None else stamp(at)


def _matches(view: RunView, request: web.Request) -> bool:
    """Whether a run passes the query's filters. An empty value filters nothing, as on GitHub."""
    run, query = view.run, request.query
    exact = {"event": run.event, "branch": run.branch, "head_sha": run.sha, "actor": run.actor}
    if any(query.get(name) and query[name] != value for name, value in exact.items()):
        return False
    if (status := query.get("status")) and status not in (view.status, view.conclusion):
        return False
    return not query.get("created") or _created_within(run.created_at, query["created"])


def _created_within(at: float, condition: str) -> bool:
    """GitHub's search syntax for dates: `>=T`, `<T`, `T..T`, `*` for an open end, or one day or moment."""
    found = CREATED.fullmatch(condition)
    if found is None:
        invalid("WorkflowRun", "created")
    at, first, last = float(int(at)), found["first"], found["last"]
    if found["sign"]:
        return COMPARISONS[found["sign"]](at, _moment(first))
    if last is not None:
        return (first == "*" or at >= _moment(first)) and (last == "*" or at <= _moment(last, end=True))
    return _moment(first) <= at <= _moment(first, end=True)


def _moment(text: str, *, end: bool = False) -> float:
    """Unix seconds of a date or a time; with `end`, the last second of a date."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        invalid("WorkflowRun", "created")
    day_s = 86_399 if end and len(text) == 10 else 0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() + day_s

"""What CI says of a commit: check runs made of the jobs of its workflow runs.

Commits of the seeded history have no runs: their checks are the jobs of `checks.yml` at that commit, long since passed.
The jobs of dispatched runs stand among the checks of the branch's head, too, as on GitHub.
"""

from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from bot.sandbox.github.api_actions import suite_id
from bot.sandbox.github.api_git import REPO, GitApi
from bot.sandbox.github.errors import not_found
from bot.sandbox.github.journal import ForcedCheck, Journal
from bot.sandbox.github.pages import dump, paged, positive
from bot.sandbox.github.repository import Commit, Repository
from bot.sandbox.github.runner import CHECKS_FILE, Actions
from bot.sandbox.github.runs import JobView, RunView
from bot.sandbox.github.shapes import Shapes, stamp

CHECK_S = 95.0
"""How long a check of the seeded history took."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check run. `page` is where it is shown."""

    id: int
    suite: int
    name: str
    status: str
    conclusion: str | None
    started_at: float
    completed_at: float | None
    page: str


class Checks:
    """Knows the checks of every commit."""

    def __init__(self, *, actions: Actions, journal: Journal, repository: Repository, shapes: Shapes) -> None:
        self._actions = actions
        self._repository = repository
        self._journal = journal
        self._shapes = shapes

    async def of(self, commit: Commit) -> list[Check]:
        """The checks of a commit as they stand, forced results included."""
        views = [view for view in self._actions.newest_first() if view.run.sha == commit.sha]
        of_ci = [view for view in views if view.run.event != "workflow_dispatch"][:1]
        dispatched = [self.of_job(v, job) for v in views if v.run.event == "workflow_dispatch" for job in v.jobs]
        checks = [self.of_job(view, job) for view in of_ci for job in view.jobs] or await self._seeded(commit)
        forced = self._journal.checks.get(commit.sha)
        if forced is None:
            return [*checks, *dispatched]
        if not checks:
            checks = [self._check(commit, 0, forced.name or "checks")]
        return [*(self._force(check, forced) for check in checks), *dispatched]

    def of_job(self, view: RunView, job: JobView) -> Check:
        """The check run that a job is."""
        return Check(
            id=job.id,
            suite=suite_id(view.run.id),
            name=job.plan.name,
            status=job.status,
            conclusion=job.conclusion,
            started_at=job.started_at,
            completed_at=job.completed_at,
            page=f"{self._shapes.site}/actions/runs/{view.run.id}/job/{job.id}",
        )

    async def owner(self, check_id: int) -> str | None:
        """The commit that a check run of this id would belong to; None for an id that nothing has."""
        run = self._actions.known(check_id // 10_000)
        if run is not None:
            return run.sha
        return await self._repository.resolve(f"{check_id // 100:09x}") if check_id < 16**9 * 100 else None

    async def _seeded(self, commit: Commit) -> list[Check]:
        workflow = await self._actions.workflow(CHECKS_FILE, commit.sha)
        jobs = workflow.jobs if workflow else ()
        return [self._check(commit, index, job.name) for index, job in enumerate(jobs)]

    def _check(self, commit: Commit, index: int, name: str) -> Check:
        at, number = commit.committer.at.timestamp(), int(commit.sha[:9], 16)
        return Check(
            id=number * 100 + index,
            suite=number,
            name=name,
            status="completed",
            conclusion="success",
            started_at=at,
            completed_at=at + CHECK_S,
            page=f"{self._shapes.site}/commit/{commit.sha}/checks",
        )

    def _force(self, check: Check, forced: ForcedCheck) -> Check:
        if forced.name and forced.name != check.name:
            return check
        if forced.conclusion == "pending":
            return replace(check, status="in_progress", conclusion=None, completed_at=None)
        at = max(forced.at, check.started_at)
        return replace(check, status="completed", conclusion=forced.conclusion, completed_at=at)


class ChecksApi:
    """Handlers over the checks."""

    def __init__(self, *, checks: Checks, git: GitApi, shapes: Shapes) -> None:
        self._checks = checks
        self._git = git
        self._shapes = shapes

    def routes(self) -> list[web.RouteDef]:
        """Named as GitHub's OpenAPI names its operations, with `_` for `-`."""
        commit = REPO + "/commits/{ref:.+}"
        return [
            web.get(commit + "/check-runs", self._check_runs, name="checks:list_for_ref"),
            web.get(REPO + "/check-runs/{check}", self._check_run, name="checks:get"),
        ]

    async def _check_run(self, request: web.Request) -> web.Response:
        wanted = positive(request, "check")
        sha = await self._checks.owner(wanted)
        commit = await self._git.commit_of(sha) if sha else None
        for check in await self._checks.of(commit) if commit else ():
            if check.id == wanted:
                return dump(self.body(check, check_sha=commit.sha if commit else ""))
        not_found()

    async def _check_runs(self, request: web.Request) -> web.Response:
        commit = await self._git.commit_of(request.match_info["ref"])
        name, status = request.query.get("check_name"), request.query.get("status")
        found = [c for c in await self._checks.of(commit) if name in (None, c.name) and status in (None, c.status)]
        bodies = [self.body(check, check_sha=commit.sha) for check in found]
        return paged(request, self._shapes.base, bodies, key="check_runs")

    def body(self, check: Check, *, check_sha: str) -> dict[str, Any]:
        """A check run in GitHub's shape."""
        url = f"{self._shapes.repo}/check-runs/{check.id}"
        output = {"title": None, "summary": None, "text": None, "annotations_count": 0}
        return {
            "id": check.id,
            "name": check.name,
            "node_id": f"CR_{check.id}",
            "head_sha": check_sha,
            "external_id": "",
            "url": url,
            "html_url": check.page,
            "details_url": check.page,
            "status": check.status,
            "conclusion": check.conclusion,
            "started_at": stamp(check.started_at),
            "completed_at": None if check.completed_at is None else stamp(check.completed_at),
            "output": output | {"annotations_url": f"{url}/annotations"},
            "check_suite": {"id": check.suite},
            "app": self.app(),
            "pull_requests": [],
        }

    def app(self) -> dict[str, Any]:
        """GitHub Actions' own app."""
        return {
            "id": 15368,
            "slug": "github-actions",
            "node_id": "MDM6QXBwMTUzNjg=",
            "owner": self._shapes.user("github"),
            "name": "GitHub Actions",
            "description": "Automate your workflow from idea to production",
            "external_url": f"{self._shapes.base}/features/actions",
            "html_url": f"{self._shapes.base}/apps/github-actions",
            "created_at": "2018-07-30T09:30:17Z",
            "updated_at": "2026-01-05T08:00:00Z",
            "permissions": {"actions": "write", "checks": "write", "contents": "read"},
            "events": ["check_run", "push"],
        }

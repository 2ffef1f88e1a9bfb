"""The Deployments side of the REST API: deployments, their statuses, and what a new success does to older ones."""

from dataclasses import replace
from typing import Any

from aiohttp import web

from bot.sandbox.clock import Clock
from bot.sandbox.github.announcer import Announcer
from bot.sandbox.github.api_checks import Checks
from bot.sandbox.github.api_git import REPO
from bot.sandbox.github.errors import GithubError, invalid, not_found, unprocessable
from bot.sandbox.github.journal import Deployment, DeploymentStatus, JournalFile
from bot.sandbox.github.pages import as_json, dump, paged, positive, read_object
from bot.sandbox.github.people import BOT_LOGIN
from bot.sandbox.github.repository import Commit, Repository
from bot.sandbox.github.shapes import Shapes, stamp
from bot.sandbox.ledger import Ledger

DEPLOYMENT_KEYS: dict[str, tuple[type, ...]] = {
    "ref": (str,),
    "task": (str,),
    "auto_merge": (bool,),
    "required_contexts": (list, type(None)),
    "payload": (dict, str),
    "environment": (str,),
    "description": (str, type(None)),
    "transient_environment": (bool,),
    "production_environment": (bool,),
}
STATUS_KEYS: dict[str, tuple[type, ...]] = {
    "state": (str,),
    "target_url": (str,),
    "log_url": (str,),
    "description": (str,),
    "environment": (str,),
    "environment_url": (str,),
    "auto_inactive": (bool,),
}
STATES = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")
DESCRIPTION_MAX = 140
"""Characters of a status's description: GitHub REST documentation, "Create a deployment status", 2026."""


class DeploymentsApi:
    """Handlers over the deployments."""

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        file: JournalFile,
        repository: Repository,
        checks: Checks,
        shapes: Shapes,
        announcer: Announcer,
    ) -> None:
        self._announcer = announcer
        self._clock = clock
        self._ledger = ledger
        self._file = file
        self._journal = file.journal
        self._repository = repository
        self._checks = checks
        self._shapes = shapes

    def routes(self) -> list[web.RouteDef]:
        """Named as GitHub's OpenAPI names its operations, with `_` for `-`."""
        one = REPO + "/deployments/{deployment}"
        return [
            web.get(REPO + "/deployments", self._list, name="repos:list_deployments"),
            web.post(REPO + "/deployments", self._create, name="repos:create_deployment"),
            web.get(one, self._get, name="repos:get_deployment"),
            web.get(one + "/statuses", self._list_statuses, name="repos:list_deployment_statuses"),
            web.post(one + "/statuses", self._create_status, name="repos:create_deployment_status"),
            web.get(one + "/statuses/{status}", self._get_status, name="repos:get_deployment_status"),
        ]

    # ---- deployments -----------------------------------------------------------------------------------------

    async def _list(self, request: web.Request) -> web.Response:
        wanted = {name: request.query.get(name) for name in ("sha", "ref", "task", "environment")}
        newest = sorted(self._journal.deployments.values(), key=lambda d: d.id, reverse=True)
        kept = [d for d in newest if all(v in (None, "", getattr(d, name)) for name, v in wanted.items())]
        return paged(request, self._shapes.base, [self._body(d) for d in kept])

    async def _get(self, request: web.Request) -> web.Response:
        return dump(self._body(self._find(request)))

    def _find(self, request: web.Request) -> Deployment:
        found = self._journal.deployments.get(positive(request, "deployment"))
        if found is None:
            not_found()
        return found

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_object(request, DEPLOYMENT_KEYS, required=["ref"])
        sha = await self._repository.resolve(body["ref"])
        if sha is None:
            unprocessable(f"No ref found for: {body['ref']}")
        await self._demand_checks(await self._repository.commit(sha), body.get("required_contexts"), body["ref"])
        environment = body.get("environment") or "production"
        deployment = Deployment(
            id=self._journal.next_deployment(),
            sha=sha,
            ref=body["ref"],
            task=body.get("task", "deploy"),
            environment=environment,
            description=body.get("description") or "",
            payload=body.get("payload", ""),
            transient=body.get("transient_environment", False),
            production=body.get("production_environment", environment == "production"),
            created_at=self._clock.now(),
        )
        self._journal.deployments[deployment.id] = deployment
        self._save(deployment, "pending")
        self._announcer.deployment(self._body(deployment))
        return as_json(self._body(deployment), 201)

    async def _demand_checks(self, commit: Commit, contexts: list[Any] | None, ref: str) -> None:
        """Without a list every check must have passed; with one, those that it names; an empty one demands nothing."""
        results = {check.name: check.conclusion for check in await self._checks.of(commit)}
        demanded = list(results) if contexts is None else [str(context) for context in contexts]
        if failing := [name for name in demanded if results.get(name) not in ("success", "neutral", "skipped")]:
            errors = [{"resource": "Deployment", "field": "required_contexts", "code": "invalid", "contexts": failing}]
            raise GithubError(409, f"Conflict: Commit status checks failed for {ref}.", errors=errors)

    def _save(self, deployment: Deployment, state: str) -> None:
        self._file.save()
        self._ledger.publish(
            "github.deployment",
            {"id": deployment.id, "environment": deployment.environment, "sha": deployment.sha, "state": state},
        )

    def _body(self, deployment: Deployment) -> dict[str, Any]:
        url = f"{self._shapes.repo}/deployments/{deployment.id}"
        statuses = self._statuses(deployment.id)
        environment = statuses[0].environment if statuses else deployment.environment
        changed = statuses[0].created_at if statuses else deployment.created_at
        return {
            "url": url,
            "id": deployment.id,
            "node_id": f"DE_{deployment.id}",
            "sha": deployment.sha,
            "ref": deployment.ref,
            "task": deployment.task,
            "payload": deployment.payload,
            "original_environment": deployment.environment,
            "environment": environment,
            "description": deployment.description,
            "creator": self._shapes.user(BOT_LOGIN),
            "created_at": stamp(deployment.created_at),
            "updated_at": stamp(changed),
            "statuses_url": f"{url}/statuses",
            "repository_url": self._shapes.repo,
            "transient_environment": deployment.transient,
            "production_environment": deployment.production,
            "performed_via_github_app": None,
        }

    # ---- statuses --------------------------------------------------------------------------------------------

    def _statuses(self, deployment_id: int) -> list[DeploymentStatus]:
        """Newest first."""
        return [status for status in reversed(self._journal.statuses) if status.deployment == deployment_id]

    async def _list_statuses(self, request: web.Request) -> web.Response:
        deployment = self._find(request)
        bodies = [self._status_body(status) for status in self._statuses(deployment.id)]
        return paged(request, self._shapes.base, bodies)

    async def _get_status(self, request: web.Request) -> web.Response:
        deployment, wanted = self._find(request), positive(request, "status")
        for status in self._statuses(deployment.id):
            if status.id == wanted:
                return dump(self._status_body(status))
        not_found()

    async def _create_status(self, request: web.Request) -> web.Response:
        deployment = self._find(request)
        body = await read_object(request, STATUS_KEYS, required=["state"])
        if body["state"] not in STATES:
            invalid("DeploymentStatus", "state")
        if len(body.get("description", "")) > DESCRIPTION_MAX:
            invalid("DeploymentStatus", "description")
        before = self._statuses(deployment.id)
        environment = body.get("environment") or (before[0].environment if before else deployment.environment)
        if body["state"] == "success" and body.get("auto_inactive", True):
            self._retire(deployment, environment)
        status = DeploymentStatus(
            id=self._journal.next_status(),
            deployment=deployment.id,
            state=body["state"],
            environment=environment,
            description=body.get("description", ""),
            log_url=body.get("log_url") or body.get("target_url", ""),
            environment_url=body.get("environment_url", ""),
            created_at=self._clock.now(),
        )
        self._journal.statuses.append(status)
        self._save(deployment, status.state)
        self._announcer.deployment_status(self._status_body(status), self._body(deployment))
        return as_json(self._status_body(status), 201)

    def _retire(self, newest: Deployment, environment: str) -> None:
        """Older successes of the environment become inactive, unless they are transient or of production."""
        for older in self._journal.deployments.values():
            statuses = self._statuses(older.id)
            live = bool(statuses) and statuses[0].state == "success" and statuses[0].environment == environment
            if older.id < newest.id and live and not older.transient and not older.production:
                number = self._journal.next_status()
                retired = replace(statuses[0], id=number, state="inactive", created_at=self._clock.now())
                self._journal.statuses.append(retired)
                self._announcer.deployment_status(self._status_body(retired), self._body(older))

    def _status_body(self, status: DeploymentStatus) -> dict[str, Any]:
        deployment = f"{self._shapes.repo}/deployments/{status.deployment}"
        return {
            "url": f"{deployment}/statuses/{status.id}",
            "id": status.id,
            "node_id": f"DES_{status.id}",
            "state": status.state,
            "creator": self._shapes.user(BOT_LOGIN),
            "description": status.description,
            "environment": status.environment,
            "target_url": status.log_url,
            "log_url": status.log_url,
            "environment_url": status.environment_url,
            "created_at": stamp(status.created_at),
            "updated_at": stamp(status.created_at),
            "deployment_url": deployment,
            "repository_url": self._shapes.repo,
            "performed_via_github_app": None,
        }

"""Deploying: what would go out, and the way from a commit to a verified, running service.

`plan` only looks. `run` builds (or finds) the image, records a GitHub deployment, rolls out on the host, and checks
the outcome; a check that fails switches back to what ran before. `resume` goes on from the checkpoint.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bot.clients.github import GithubClient
from bot.clients.github_types import Checks, Comparison
from bot.errors import QuarterdeckError, Refused, Unavailable, Undecided
from bot.ops.handler import Failed, Run
from bot.ops.model import Json, Operation, Plan, Request
from bot.services.build import Builder
from bot.services.catalog import Catalog, Target
from bot.services.images import Content, Images
from bot.services.release import Release
from bot.services.rollout import Rollout
from bot.services.running import Running, Versions
from bot.settings import ServiceSettings, Settings

COMMITS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _Sight:
    """All that a plan looks at, read at one moment."""

    target: Target
    running: Running
    content: Content
    checks: Checks
    between: Comparison | None
    document: Mapping[str, str]
    workflow: str


class DeployHandler:
    """Operations of the kind `deploy`."""

    kind = "deploy"

    def __init__(
        self,
        settings: Settings,
        *,
        github: GithubClient,
        catalog: Catalog,
        images: Images,
        versions: Versions,
        builder: Builder,
        rollout: Rollout,
        release: Release,
    ) -> None:
        self._settings = settings
        self._github = github
        self._catalog = catalog
        self._images = images
        self._versions = versions
        self._builder = builder
        self._rollout = rollout
        self._release = release

    # ---- planning --------------------------------------------------------------------------------------------

    async def plan(self, request: Request, requester: str) -> Plan:
        """See `Handler.plan`. Params: `service`, and `ref` (empty: the environment's default)."""
        environment, name = request.environment, str(request.params.get("service", ""))
        self._catalog.environment(environment)
        service = self._catalog.deployable(name)
        ref = str(request.params.get("ref") or "") or await self._default_ref(environment, name)
        sight = await self._look(environment, name, service, ref)
        self._refuse_red(environment, sight)
        commit = sight.target.commit
        return Plan(
            environment=environment,
            service=name,
            target=commit.sha[:7],
            locks=(f"{environment}/{name}",),
            content=self._content(environment, name, sight),
            shown=await self._shown(environment, name, sight),
            confirm=_confirmation(environment, name, sight),
        )

    async def _default_ref(self, environment: str, service: str) -> str:
        """What is deployed when no ref is named: the version of the environment that this one follows, or a branch."""
        chosen = self._catalog.environment(environment)
        if chosen.follows is None:
            return chosen.default_ref
        running = await self._versions.running(chosen.follows, service)
        if not running.commit:
            raise Refused(
                f"What runs in {chosen.follows} is not known now, so there is no default version for {environment}.",
                hint="Name a ref.",
            )
        return running.commit

    async def _look(self, environment: str, name: str, service: ServiceSettings, ref: str) -> _Sight:
        target = await self._catalog.resolve(ref, environment)
        sha = target.commit.sha
        running, content, checks, document, workflow = await asyncio.gather(
            self._versions.running(environment, name),
            self._images.content(service, sha),
            self._github.checks(sha),
            self._rollout.document(),
            self._workflow_blob(),
        )
        between = await self._compare(running.commit, sha)
        return _Sight(target, running, content, checks, between, asdict(document), workflow)

    async def _workflow_blob(self) -> str:
        """The object id of the workflow file that a dispatch would run."""
        github = self._settings.github
        path = f".github/workflows/{github.workflow}"
        head = await self._github.branch_head(github.default_branch)
        if head is None:
            raise Refused(f"GitHub has no branch “{github.default_branch}”, from which builds are dispatched.")
        return (await self._github.object_ids(head, (path,)))[path]

    async def _compare(self, base: str, head: str) -> Comparison | None:
        if not base:
            return None
        try:
            return await self._github.compare(base, head)
        except Unavailable as error:
            if error.status == 404:  # what runs was never on this repository: nothing to compare with
                return None
            raise

    def _refuse_red(self, environment: str, sight: _Sight) -> None:
        if not self._catalog.environment(environment).require_checks:
            return
        if reason := _not_green(sight.target.commit.sha, sight.checks):
            raise Refused(reason, hint=f"{environment} takes only commits whose checks have passed.", rule="checks")

    def _content(self, environment: str, name: str, sight: _Sight) -> dict[str, Any]:
        running = sight.running
        return {
            "kind": self.kind,
            "environment": environment,
            "service": name,
            "commit": sight.target.commit.sha,
            "fingerprint": sight.content.fingerprint,
            "image_tag": sight.content.tag,
            "image": sight.content.digest,
            "replaces": {"commit": running.commit, "image": running.image} if running.commit else None,
            "workflow_blob": sight.workflow,
            "document": dict(sight.document),
            "parameters": {"branch": sight.target.branch},
            "catalog": self._catalog.entry(environment, name),
        }

    async def _shown(self, environment: str, name: str, sight: _Sight) -> dict[str, Any]:
        target, between = sight.target, sight.between
        commits = between.commits[-COMMITS_SHOWN:] if between else ()
        total = between.ahead_by if between else 0
        return {
            "title": target.commit.title,
            "author": target.commit.author,
            "branch": target.branch,
            "branch_ahead": target.ahead,
            "commits": [
                {"sha": c.sha[:7], "title": c.title, "author": c.author, "pr": c.pull} for c in reversed(commits)
            ],
            "commits_total": total,
            "commits_more": total > len(commits),
            "goes_back": between is not None and between.status in ("behind", "diverged"),
            "ci": {**asdict(sight.checks), "failing": list(sight.checks.failing)},
            "image_ready": bool(sight.content.digest),
            "ran_in": await self._ran_in(environment, name, target.commit.sha),
            "replaces_since": sight.running.since.isoformat() if sight.running.since else None,
            "replaces_known": sight.running.known,
            "by_hand": sight.running.by_hand,
            "url": self._versions.url(environment, name),
        }

    async def _ran_in(self, environment: str, name: str, sha: str) -> dict[str, str] | None:
        """Whether the same commit runs in the environment that this one follows, and since when."""
        follows = self._catalog.environment(environment).follows
        if follows is None:
            return None
        running = await self._versions.running(follows, name)
        if running.commit != sha or running.since is None:
            return None
        return {"environment": follows, "since": running.since.isoformat()}

    # ---- rechecking ------------------------------------------------------------------------------------------

    async def recheck(self, operation: Operation) -> str:
        """See `Handler.recheck`: commit, checks, what it replaces and the catalog entry must still be the same."""
        plan = operation.plan
        environment, name, sha = operation.environment, operation.service, str(plan["commit"])
        if name not in self._catalog.services or environment not in self._catalog.environments:
            return f"{name} in {environment} is no longer in the catalog."
        if dict(plan["catalog"]) != self._catalog.entry(environment, name):
            return f"The catalog entry of {name} in {environment} has changed since it was shown."
        try:
            target = await self._catalog.resolve(sha, environment)
        except Refused as error:
            return f"{error}"
        if target.commit.sha != sha:
            return f"{sha[:7]} is now also the name of a branch, whose head is another commit."
        if reason := await self._no_longer_green(environment, sha):
            return reason
        if operation.quorum == 0:  # nobody approved a particular replacement: a queued one follows the one before it
            return ""
        if not plan["image"] and await self._workflow_blob() != plan["workflow_blob"]:
            return "The workflow that builds the image has changed since it was shown."
        running = await self._versions.running(environment, name)
        before = str((plan.get("replaces") or {}).get("commit", ""))
        if running.known != "unknown" and running.commit != before:
            return f"{environment} now runs {running.commit[:7]}, not {before[:7] or 'nothing'} as it was shown."
        return ""

    async def _no_longer_green(self, environment: str, sha: str) -> str:
        """Why the checks speak against it now. Checks that run anew have not turned red: they are waited for.

        Raises:
            Undecided: CI has not made up its mind. Unavailable: it cannot be asked.
        """
        if not self._catalog.environment(environment).require_checks:
            return ""
        checks = await self._github.checks(sha)
        reason = _not_green(sha, checks)
        if checks.state == "pending":
            raise Undecided("github", reason)
        return reason

    # ---- running ---------------------------------------------------------------------------------------------

    async def run(self, run: Run) -> Json:
        """See `Handler.run`."""
        operation = run.operation
        service = self._catalog.service(operation.service)
        try:
            await self._builder.begin(run, service)  # first of all: nobody waits for a build that could have begun
            await self._tell_how_far(run)
            await self._release.opened(run)
            digest, reused = await self._builder.image(run, service)
            result = await self._release.rolled_out(run, self._images.reference(service, digest))
        except QuarterdeckError as error:
            await self._release.ended(run, "failure" if isinstance(error, Failed) else "error", str(error))
            raise
        await self._release.ended(run, "success", "live, checked")
        run_url = str(run.operation.checkpoint.get("run_url", ""))
        return {**result, "reused_image": reused, "build_run": run_url}

    async def _tell_how_far(self, run: Run) -> None:
        """Let the card say, once, how far the branch has moved on since; a courtesy, which a silent GitHub may omit."""
        plan, branch = run.operation.plan, str(run.operation.shown.get("branch") or "")
        if not branch or "newest" in run.operation.shown:
            return
        try:
            ahead, newest = await self._catalog.moved_on(branch, str(plan["commit"]))
        except Unavailable:
            return
        head = {"sha": newest.sha, "title": newest.title} if newest else None
        await run.shown(branch_ahead=ahead, newest=head)

    async def begun(self, run: Run) -> bool:
        """See `Handler.begun`: only the host's command counts, because a build alone changes nothing that serves."""
        return await self._rollout.begun(run)

    async def dropped(self, run: Run, why: str) -> str:
        """See `Handler.dropped`."""
        await self._release.ended(run, "error", why)
        saved = run.operation.checkpoint
        asked_for = saved.get("run_id") is not None or saved.get("dispatch_sent_at") is not None
        building = asked_for and saved.get("image_digest") is None
        return "Nothing was rolled out" + ("; its build on GitHub was not stopped." if building else ".")

    async def resume(self, run: Run) -> Json | None:
        """See `Handler.resume`: every step reads the checkpoint first, so going on is running again."""
        return await self.run(run)


def _not_green(sha: str, checks: Checks) -> str:
    match checks.state:
        case "success":
            return ""
        case "failure":
            return f"The checks of {sha[:7]} are red: {', '.join(checks.failing[:3])}."
        case "pending":
            return f"The checks of {sha[:7]} are still running ({checks.passed} of {checks.total} passed)."
        case "none":
            return f"No check has reported on {sha[:7]}."


def _confirmation(environment: str, name: str, sight: _Sight) -> str:
    running, sha = sight.running, sight.target.commit.sha
    if running.commit != sha or not running.healthy:
        return ""
    since = f" since <t:{int(running.since.timestamp())}:R>" if running.since else ""
    return (
        f"{name} in {environment} already runs {sha[:7]}{since}. Deploying it again restarts it with the same content."
    )

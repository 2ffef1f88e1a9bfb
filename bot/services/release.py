"""The half that deploys and rollbacks share: the GitHub deployment, the rollout, the check, the switch back."""

from collections.abc import Mapping
from typing import Any

from bot.clients.github import GithubClient
from bot.errors import Unavailable
from bot.ops.handler import Failed, Run
from bot.services.rollout import Rollout
from bot.services.running import Versions


class Release:
    """Used by the handlers of deploys and rollbacks."""

    def __init__(self, github: GithubClient, rollout: Rollout, versions: Versions) -> None:
        self._github = github
        self._rollout = rollout
        self._versions = versions

    async def opened(self, run: Run) -> None:
        """Record the deployment on GitHub. GitHub's record is a courtesy: without it the work still goes on."""
        operation = run.operation
        if "deployment_id" in operation.checkpoint:
            return
        await run.checkpoint(deployment_id=None)
        try:
            deployment_id = await self._github.create_deployment(
                commit=str(operation.plan["commit"]),
                environment=operation.environment,
                description=f"{operation.kind} {operation.short_id} of {operation.service} by {operation.requester}",
                payload={"service": operation.service, "operation": str(operation.id)},
            )
            await run.checkpoint(deployment_id=deployment_id)
            await self._github.deployment_status(deployment_id, "in_progress")
        except Unavailable as error:
            await run.note(f"GitHub has no deployment record of this: {error}")

    async def ended(self, run: Run, state: str, description: str) -> None:
        """Tell GitHub how it ended; what GitHub does not take is noted and changes nothing."""
        operation = run.operation
        deployment_id = operation.checkpoint.get("deployment_id")
        if deployment_id is None:
            return
        url = self._versions.url(operation.environment, operation.service)
        try:
            await self._github.deployment_status(int(deployment_id), state, description=description, url=url)
        except Unavailable as error:
            await run.note(f"GitHub was not told how it ended: {error}")

    async def rolled_out(self, run: Run, image: str) -> dict[str, Any]:
        """Put the image on the host and check it; the operation's result.

        Raises:
            Failed: with the old version serving again where a check failed after the switch.
            Cancelled, Interrupted: as their names say.
        """
        operation = run.operation
        commit = str(operation.plan["commit"])
        said = await self._rollout.put(run, image, commit)
        previous = {"image": str(said.get("previous_image", "")), "commit": str(said.get("previous_commit", ""))}
        try:
            health = await self._rollout.verify(run, image, commit)
        except Failed as error:
            raise await self._switched_back(run, error, previous, image) from error
        return {
            "commit": commit,
            "image": image,
            "url": self._versions.url(operation.environment, operation.service),
            "built_from": health["built_from"],
            "previous": previous,
            "health": health,
            "command_id": run.operation.checkpoint.get("command_id"),
            "github_deployment_id": run.operation.checkpoint.get("deployment_id"),
        }

    async def _switched_back(self, run: Run, error: Failed, previous: Mapping[str, str], image: str) -> Failed:
        if not previous["image"] or previous["image"] == image:
            return Failed(f"{error} There is no earlier version to switch back to.", log_tail=error.log_tail)
        await run.step("Switch back", "running", previous["commit"][:7])
        back = await self._rollout.put_back(run, previous["image"], previous["commit"])
        await run.step("Switch back", "ok" if back else "failed", previous["commit"][:7])
        if back:
            return Failed(f"{error} Switched back: {previous['commit'][:7]} serves again.", log_tail=error.log_tail)
        return Failed(
            f"{error} Switching back to {previous['commit'][:7]} FAILED too: look at the host now.",
            log_tail=error.log_tail,
        )

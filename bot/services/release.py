"""The half that deploys and rollbacks share: the GitHub deployment, the rollout, the check, the switch back."""

from collections.abc import Mapping
from typing import Any

from bot.clients.github import GithubClient
from bot.errors import Unavailable
from bot.ops.handler import Failed, Interrupted, Run
from bot.ops.model import Operation
from bot.services.restore import was_restored
from bot.services.rollout import Rollout
from bot.services.running import Versions

SWITCH_BACK = "Switch back"


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
        if was_restored(operation):
            await run.note("It came back from a copy, so it may have a deployment record on GitHub: none was made.")
            return
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
        if (begun := operation.checkpoint.get("switch_back")) is not None:  # a crash met us on the way back
            raise await self._switched_back(run, begun)
        said = await self._rollout.put(run, image, commit)
        previous = _previous(said, operation)
        try:
            health = await self._rollout.verify(run, image, commit)
        except Failed as error:
            if was_restored(operation):
                raise Interrupted(
                    f"{error} This state came back from a copy: a later operation, of which nothing is known any more, "
                    "may have brought that. Nothing was switched back. Look at /status, then close this operation."
                ) from error
            if not previous["image"] or previous["image"] == image:
                nowhere = f"{error} There is no earlier version to switch back to."
                raise Failed(nowhere, log_tail=error.log_tail) from error
            back = {**previous, "why": str(error), "log_tail": error.log_tail}
            await run.checkpoint(switch_back=back)
            raise await self._switched_back(run, back) from error
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

    async def _switched_back(self, run: Run, back: Mapping[str, str]) -> Failed:
        """Bring the version before back, and say what has come of it."""
        short = back["commit"][:7]
        await run.step(SWITCH_BACK, "running", short)
        try:
            serves_again = await self._rollout.put_back(run, back["image"], back["commit"])
        except Interrupted as error:
            unknown = f"{back['why']} Whether {short} serves again is not certain. {error}"
            raise Interrupted(unknown) from error
        if not serves_again:
            await run.step(SWITCH_BACK, "failed", short)
            still = str(run.operation.plan["commit"])[:7]
            return Failed(
                f"{back['why']} Switching back to {short} FAILED too, {still} still serves: look at the host now.",
                log_tail=back["log_tail"],
            )
        await run.step(SWITCH_BACK, "ok", short)
        sentence = f"{back['why']} Switched back: {short} serves again{await self._doubt(run, back['commit'])}."
        return Failed(sentence, log_tail=back["log_tail"])

    async def _doubt(self, run: Run, commit: str) -> str:
        """What speaks against the host's word that this version serves; empty: nothing does."""
        environment, service = run.operation.environment, run.operation.service
        if not self._versions.url(environment, service):
            return ""
        health = await self._versions.health(environment, service)
        if health is None:
            return " by the host's word, but /health does not answer: look at it now"
        return "" if health.commit == commit else f" by the host's word, but /health answers with {health.commit[:7]}"


def _previous(said: Mapping[str, Any], operation: Operation) -> dict[str, str]:
    """The version before: by the host's own result, else as the plan knew it."""
    known = operation.plan.get("replaces") or {}
    if "previous_image" in said:
        known = {"image": said["previous_image"], "commit": said.get("previous_commit", "")}
    return {"image": str(known.get("image", "")), "commit": str(known.get("commit", ""))}

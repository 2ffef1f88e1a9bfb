"""Rolling back: the same rollout with an image that has already served there. Nothing is built, so it also works
while GitHub cannot be reached.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from bot.clients.aws import AwsClient
from bot.errors import QuarterdeckError, Refused
from bot.ops.handler import Failed, Run
from bot.ops.model import Json, Operation, Plan, Request, Status
from bot.ops.sentences import title
from bot.ops.store import Lock
from bot.services.catalog import Catalog
from bot.services.release import Release
from bot.services.rollout import Rollout
from bot.services.running import Running, Versions

CANDIDATES = 25


class Past(Protocol):
    """The part of the core that remembers what was deployed."""

    async def deployed(self, environment: str, service: str, *, limit: int) -> Sequence[Operation]: ...

    async def operations(
        self, *, statuses: Collection[Status], environment: str, service: str
    ) -> Sequence[Operation]: ...

    async def locks(self) -> Sequence[Lock]: ...


class RollbackHandler:
    """Operations of the kind `rollback`."""

    kind = "rollback"

    def __init__(
        self, *, catalog: Catalog, aws: AwsClient, versions: Versions, past: Past, rollout: Rollout, release: Release
    ) -> None:
        self._catalog = catalog
        self._aws = aws
        self._versions = versions
        self._past = past
        self._rollout = rollout
        self._release = release

    async def candidates(self, environment: str, service: str) -> list[Operation]:
        """Earlier deploys to go back to, newest first, one a version, without what runs now.

        A version that was rolled back from, and not deployed again since, comes after all others: whoever rolls back
        a second time wants to go further back, not to return to what was just left.

        While an operation runs or is interrupted there, what runs now is not settled: then the newest verified
        version is a target as well, even where it still answers, and first of all comes the version that a rollback
        under way was to bring back.
        """
        unsettled = await self._holding(environment, service)
        found = await self._earlier(environment, service, settled=not unsettled)
        meant = [str(holder.plan["commit"]) for holder in unsettled if holder.kind == self.kind]
        return sorted(found, key=lambda operation: operation.result["commit"] not in meant)

    async def _holding(self, environment: str, service: str) -> list[Operation]:
        """The running and interrupted operations that hold the service's lock."""
        holding = {lock.operation_id for lock in await self._past.locks()}
        under_way = (Status.RUNNING, Status.INTERRUPTED)
        found = await self._past.operations(statuses=under_way, environment=environment, service=service)
        return [operation for operation in found if operation.id in holding]

    async def _earlier(self, environment: str, service: str, *, settled: bool) -> list[Operation]:
        running = await self._versions.running(environment, service)
        seen, left = {running.commit} if settled else set[str](), set[str]()
        kept, shunned = list[Operation](), list[Operation]()
        for operation in await self._past.deployed(environment, service, limit=200):
            commit = str(operation.result.get("commit", ""))
            if commit and commit not in seen:
                seen.add(commit)
                (shunned if commit in left else kept).append(operation)
            if operation.kind == self.kind:
                left.add(str((operation.result.get("previous") or {}).get("commit", "")))
        return [*kept, *shunned][:CANDIDATES]

    async def plan(self, request: Request, requester: str) -> Plan:
        """See `Handler.plan`. Params: `service`, `to` (an operation's number or a commit; empty: the last one)."""
        environment, name = request.environment, str(request.params.get("service", ""))
        self._catalog.environment(environment)
        service = self._catalog.deployable(name)
        running = await self._versions.running(environment, name)
        under_way = await self._holding(environment, name)
        holders = [operation for operation in under_way if operation.status is Status.INTERRUPTED]
        chosen = self._chosen(await self.candidates(environment, name), str(request.params.get("to") or ""))
        image = str(chosen.result["image"])
        if await self._aws.image_by_digest(service.image_repository, image.rsplit("@", 1)[-1]) is None:
            raise Refused(f"The image of {chosen.target} is no longer in the registry.", hint="Pick a newer version.")
        return Plan(
            environment=environment,
            service=name,
            target=chosen.target,
            locks=(f"{environment}/{name}",),
            content=await self._content(environment, name, running, chosen)
            | {"takes_over": [holder.id for holder in holders]},
            shown=self._shown(environment, name, running, chosen) | _held(holders, running),
            confirm=_confirmation(holders, running),
            takes_over=tuple(holder.id for holder in holders),
        )

    def _chosen(self, candidates: Sequence[Operation], wanted: str) -> Operation:
        wanted = wanted.strip().lstrip("#")
        for operation in candidates:
            if (
                not wanted
                or wanted == str(operation.id)
                or (len(wanted) >= 7 and str(operation.result["commit"]).startswith(wanted))
            ):
                return operation
        if not candidates:
            raise Refused("No earlier version is known here to go back to.")
        versions = ", ".join(o.target for o in candidates[:5])
        raise Refused(
            f"“{wanted[:40]}” is no earlier version of this service here.", hint=f"Earlier versions: {versions}."
        )

    async def _content(self, environment: str, name: str, running: Running, chosen: Operation) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "environment": environment,
            "service": name,
            "commit": str(chosen.result["commit"]),
            "image": str(chosen.result["image"]),
            "replaces": {"commit": running.commit, "image": running.image} if running.commit else None,
            "document": asdict(await self._rollout.document()),
            "parameters": {"to_operation": chosen.id},
            "catalog": self._catalog.entry(environment, name),
        }

    def _shown(self, environment: str, name: str, running: Running, chosen: Operation) -> dict[str, Any]:
        ended = chosen.ended_at or chosen.created_at
        return {
            "title": str(chosen.shown.get("title", "")),
            "author": str(chosen.shown.get("author", "")),
            "to_operation": chosen.id,
            "verified_at": ended.isoformat(),
            "replaces_since": running.since.isoformat() if running.since else None,
            "replaces_known": running.known,
            "by_hand": running.by_hand,
            "image_ready": True,
            "url": self._versions.url(environment, name),
        }

    async def recheck(self, operation: Operation) -> str:
        """See `Handler.recheck`. A rollback goes ahead whatever GitHub says; only what it replaces must be the same,
        when somebody has approved that.
        """
        plan, environment, name = operation.plan, operation.environment, operation.service
        if name not in self._catalog.services or environment not in self._catalog.environments:
            return f"{name} in {environment} is no longer in the catalog."
        if dict(plan["catalog"]) != self._catalog.entry(environment, name):
            return f"The catalog entry of {name} in {environment} has changed since it was shown."
        running = await self._versions.running(environment, name)
        if running.known == "live" and running.commit == plan["commit"] and not operation.takes_over:
            return f"{environment} already runs {running.commit[:7]}."
        before = str((plan.get("replaces") or {}).get("commit", ""))
        if operation.quorum > 0 and running.known != "unknown" and running.commit != before:
            return f"{environment} now runs {running.commit[:7]}, not {before[:7] or 'nothing'} as it was shown."
        return ""

    async def run(self, run: Run) -> Json:
        """See `Handler.run`."""
        await self._release.opened(run)
        try:
            result = await self._release.rolled_out(run, str(run.operation.plan["image"]))
        except QuarterdeckError as error:
            await self._release.ended(run, "failure" if isinstance(error, Failed) else "error", str(error))
            raise
        await self._release.ended(run, "success", "rolled back, checked")
        return {**result, "reused_image": True, "build_run": ""}

    async def begun(self, run: Run) -> bool:
        """See `Handler.begun`."""
        return await self._rollout.begun(run)

    async def dropped(self, run: Run, why: str) -> str:
        """See `Handler.dropped`."""
        await self._release.ended(run, "error", why)
        return "Nothing was rolled out."

    async def resume(self, run: Run) -> Json | None:
        """See `Handler.resume`: every step reads the checkpoint first, so going on is running again."""
        return await self.run(run)


def _held(holders: Sequence[Operation], running: Running) -> dict[str, Any]:
    """What the card shows of the interrupted operations whose locks are taken over, and what answers meanwhile."""
    if not holders:
        return {}
    return {
        "takes_over": [
            {"id": o.id, "kind": o.kind, "target": o.target, "requester": o.requester, "reason": o.reason}
            for o in holders
        ],
        "answers": {"commit": running.commit, "known": running.known, "healthy": running.healthy},
    }


def _confirmation(holders: Sequence[Operation], running: Running) -> str:
    if not holders:
        return ""
    held = ", ".join(f"{o.short_id} ({title(o)}, {o.target})" for o in holders)
    if running.known == "live":
        answers = f"The service answers with {running.commit[:7]}" + ("." if running.healthy else ", and is not well.")
    else:
        answers = "The service does not answer now."
    return (
        f"{held} is interrupted, so what it has done is not certain, and it holds the lock. {answers} "
        f"Rolling back takes the lock over; what was interrupted can then only be closed."
    )

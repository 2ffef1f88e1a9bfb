"""The build: one dispatch of the workflow, followed job by job and step by step until the registry holds the image.

Exactly one dispatch: it carries a request id that follows from the operation, and an answer that was lost is looked up
by that id in the run's name. Only a refusal that GitHub itself has worded (a rate limit) is asked again. An operation
that came back from a copy of the database looks for its run before it asks for one.
"""

import asyncio
import hashlib
import time
from typing import NoReturn

from bot.clients.github import GithubClient
from bot.clients.github_types import Job, WorkflowRun
from bot.errors import Unavailable, Unknown
from bot.ops.handler import Cancelled, Failed, Interrupted, Run
from bot.ops.model import Operation
from bot.services.images import Images
from bot.services.patience import CancelAsked, heed, look_for, pause, persist
from bot.services.restore import was_restored
from bot.settings import GithubSettings, ServiceSettings

STEP = "Build"
LOG_TAIL_LINES = 25
CANCEL_POLL_S = 1.0


class Builder:
    """Brings an image into the registry, or finds it there."""

    def __init__(self, settings: GithubSettings, github: GithubClient, images: Images) -> None:
        self._settings = settings
        self._github = github
        self._images = images

    async def begin(self, run: Run, service: ServiceSettings) -> None:
        """Find the image, or have its build dispatched; waits for no build. Begun before: does nothing.

        Raises:
            Failed, Cancelled, Interrupted: as their names say; nothing has been rolled out.
        """
        saved = run.operation.checkpoint
        if saved.get("image_digest") is not None or saved.get("run_id") is not None:
            return
        try:
            if not _was_sent(run) and await self._reused(run, service):
                return
            await run.step(STEP, "running", "asking GitHub")
            await self._dispatched(run)
        except CancelAsked:
            await self._stop(run)

    async def image(self, run: Run, service: ServiceSettings) -> tuple[str, bool]:
        """The digest of the image for the operation's content, and whether it was there already.

        Raises:
            Failed, Cancelled, Interrupted: as their names say; nothing has been rolled out.
        """
        await self.begin(run, service)
        saved = run.operation.checkpoint
        if saved.get("image_digest") is None:  # else it is there, and after a restart more may have been done since
            try:
                await self._built(run, service, int(saved["run_id"]))
            except CancelAsked:
                await self._stop(run)
        saved = run.operation.checkpoint
        return str(saved["image_digest"]), bool(saved.get("image_reused"))

    async def _reused(self, run: Run, service: ServiceSettings) -> bool:
        """Whether the registry has the image of this content, which then needs no build."""
        tag = str(run.operation.plan["image_tag"])
        digest = await self._digest(run, service, tag)
        if digest is None:
            await self._refuse_gone(run, tag)
            return False
        await self._refuse_moved(run, tag, digest)
        await run.checkpoint(image_digest=digest, image_reused=True)
        await run.step(STEP, "ok", "reused image")
        return True

    async def _built(self, run: Run, service: ServiceSettings, run_id: int) -> None:
        tag = str(run.operation.plan["image_tag"])
        await self._follow(run, run_id)
        digest = await self._digest(run, service, tag)
        if digest is None:
            await run.step(STEP, "failed", "no image")
            raise Failed(f"The build succeeded on GitHub, but the registry has no image {tag}.")
        await run.checkpoint(image_digest=digest, image_reused=False)
        await run.step(STEP, "ok", "built")

    async def _digest(self, run: Run, service: ServiceSettings, tag: str) -> str | None:
        try:
            return await persist(run, lambda: self._images.digest(service, tag))
        except Unavailable as error:
            await run.step(STEP, "failed", "the registry")
            raise Failed(
                f"The registry does not tell whether it has the image. {error} Nothing was rolled out."
            ) from error

    async def _refuse_gone(self, run: Run, tag: str) -> None:
        """A build could bring another image under the same tag than the one that somebody approved."""
        if run.operation.quorum > 0 and run.operation.plan.get("image"):
            await run.step(STEP, "failed", "image gone")
            raise Failed(
                f"The image {tag} that was approved is no longer in the registry. Nothing was rolled out; ask for it "
                "anew."
            )

    async def _refuse_moved(self, run: Run, tag: str, digest: str) -> None:
        approved = str(run.operation.plan.get("image") or digest)
        if approved != digest:
            await run.step(STEP, "failed", "another image")
            raise Failed(
                f"The image {tag} in the registry is not the one that was approved: the tag was moved since. "
                "Nothing was rolled out; ask for it anew."
            )

    async def _dispatched(self, run: Run) -> int:
        """The id of our one workflow run: dispatched now, or found again."""
        if _was_sent(run):
            return await self._found(run, str(run.operation.checkpoint["request_id"]))
        if (before := await self._sent_before(run)) is not None:
            return before
        request_id = request_id_of(run.operation)
        plan = run.operation.plan
        inputs = {
            "component": str(plan["service"]),
            "sha": str(plan["commit"]),
            "tag": str(plan["image_tag"]),
            "request": request_id,
        }

        async def send() -> int | None:
            heed(run)
            await run.checkpoint(request_id=request_id, dispatch_sent_at=int(time.time()))
            try:
                return await self._github.dispatch(self._settings.workflow, self._settings.default_branch, inputs)
            except Unavailable as error:
                if not isinstance(error, Unknown):  # refused in so many words: nothing was sent
                    await run.checkpoint(dispatch_sent_at=None)
                raise

        try:
            run_id = await persist(run, send)
        except Unknown as error:
            await run.note(f"{error} Looking for the run by its request id.")
            run_id = None
        except Unavailable as error:
            await run.step(STEP, "failed", "refused")
            raise Failed(f"The build was not started. {error}") from error
        if run_id is None:
            return await self._found(run, request_id)
        await run.checkpoint(run_id=run_id)
        return run_id

    async def _sent_before(self, run: Run) -> int | None:
        """The run that was dispatched after the copy was made from which this operation came back; None: there is none,
        or it never was in a copy.
        """
        if not was_restored(run.operation):
            return None
        request_id = request_id_of(run.operation)
        found = await look_for(run, lambda: self._github.find_run(request_id), of="build", within_s=0)
        if found is None:
            return None
        await run.note("GitHub has the build already: it was asked for after the copy from which this state came back.")
        await run.checkpoint(request_id=request_id, run_id=found.id)
        return found.id

    async def _found(self, run: Run, request_id: str) -> int:
        found = await look_for(run, lambda: self._github.find_run(request_id), of="build")
        if found is None:
            raise Interrupted(
                "The build was asked for, but whether GitHub started it is not known: no run carries our request id. "
                "Look at the repository's Actions page, then close this operation."
            )
        await run.checkpoint(run_id=found.id)
        return found.id

    async def _follow(self, run: Run, run_id: int) -> None:
        deadline = time.monotonic() + self._settings.build_timeout_s
        while True:
            now, jobs = await self._seen(run, run_id, deadline)
            if "run_url" not in run.operation.checkpoint:
                await run.checkpoint(run_url=now.url)
            if now.status == "completed":
                if now.conclusion != "success":
                    await self._report(run, now, jobs)
                return
            await run.step(STEP, "running", _progress(now, jobs))
            if time.monotonic() > deadline:
                await run.step(STEP, "failed", "too slow")
                raise Failed(
                    f"The build is not over after {self._settings.build_timeout_s / 60:.0f} min; it goes on, see "
                    f"{now.url}. Nothing was rolled out."
                )
            await pause(run, self._settings.poll_s)

    async def _seen(self, run: Run, run_id: int, deadline: float) -> tuple[WorkflowRun, list[Job]]:
        """How far the run is. That GitHub does not show it (just begun: 404) or refuses us may pass."""
        try:
            return await persist(run, lambda: self._look(run_id), until=deadline)
        except Unavailable as error:
            raise Interrupted(f"What became of the build is not known: {error} Nothing was rolled out.") from error

    async def _look(self, run_id: int) -> tuple[WorkflowRun, list[Job]]:
        now, jobs = await asyncio.gather(self._github.run(run_id), self._github.jobs(run_id))
        return now, jobs

    async def _report(self, run: Run, now: WorkflowRun, jobs: list[Job]) -> None:
        """Say which step of which job went wrong, with the end of its log.

        Raises:
            Failed, Cancelled: always one of them.
        """
        if now.conclusion == "cancelled":
            await run.step(STEP, "failed", "cancelled on GitHub")
            if run.cancel_requested.is_set():
                raise Cancelled("The build was cancelled on GitHub. Nothing was rolled out.")
            raise Failed("Somebody cancelled the build on GitHub. Nothing was rolled out.")
        job = next((j for j in jobs if j.conclusion not in ("success", "skipped", "")), None)
        step = next((s for s in job.steps if s.conclusion == "failure"), None) if job else None
        where = f"{job.name} / {step.name}" if job and step else job.name if job else "the workflow"
        await run.step(STEP, "failed", where)
        raise Failed(f"Build failed in {where}.", log_tail=await self._log_tail(job))

    async def _log_tail(self, job: Job | None) -> str:
        if job is None:
            return ""
        try:
            log = await self._github.job_log(job.id)
        except Unavailable as error:
            return f"(the log cannot be read: {error})"
        return "\n".join(log.rstrip().splitlines()[-LOG_TAIL_LINES:])

    async def _stop(self, run: Run) -> NoReturn:
        """Cancel on GitHub and wait until GitHub says that it is over.

        Raises:
            Cancelled: always, once it is verified.
        """
        run_id = run.operation.checkpoint.get("run_id")
        if run_id is None and _was_sent(run):
            run_id = await self._found(run, str(run.operation.checkpoint["request_id"]))
        if run_id is None:
            run_id = await self._sent_before(run)
        if run_id is None:
            await run.step(STEP, "skipped", "not started")
            raise Cancelled("Cancelled before the build was started. Nothing was rolled out.")
        await run.step(STEP, "running", "asking GitHub to cancel")
        asked, wait_s = False, CANCEL_POLL_S
        while True:
            try:
                if not asked:
                    await self._github.cancel_run(int(run_id))
                    asked = True
                now = await self._github.run(int(run_id))
            except Unavailable as error:
                wait_s = error.retry_after_s or CANCEL_POLL_S
                await run.waiting(f"{error} The cancel is not verified yet.")
            else:
                wait_s = CANCEL_POLL_S
                if now.status == "completed":
                    await run.step(
                        STEP, "ok" if now.conclusion == "success" else "failed", f"{now.conclusion} on GitHub"
                    )
                    raise Cancelled(
                        f"GitHub confirms that the build ended as {now.conclusion}. Nothing was rolled out."
                    )
            await asyncio.sleep(wait_s)


def request_id_of(operation: Operation) -> str:
    """The mark of the operation's one build: the same from every copy of its row, and no other operation's."""
    told = f"{operation.id} {operation.request_key} {operation.created_at.isoformat()} {operation.digest}"
    return hashlib.sha256(f"quarterdeck build {told}".encode()).hexdigest()[:32]


def _was_sent(run: Run) -> bool:
    """Whether a dispatch may have reached GitHub."""
    return run.operation.checkpoint.get("dispatch_sent_at") is not None


def _progress(now: WorkflowRun, jobs: list[Job]) -> str:
    """Where the build is, in a few words: `Build image 5/8`."""
    for job in jobs:
        if job.status != "in_progress":
            continue
        for step in job.steps:
            if step.status == "in_progress":
                return f"{step.name} {step.number}/{len(job.steps)}"
        return job.name
    return (
        "queued on GitHub"
        if now.status in ("queued", "waiting", "pending", "requested")
        else now.status.replace("_", " ")
    )

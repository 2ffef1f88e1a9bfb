"""Actions: starts runs, writes down what happens to them, and has the image built when a run's push begins.

Every run in flight has one task, which only watches the clock. What the API shows comes from `runs.observe`; the task
publishes changes and calls `build` once for an attempt, after that has been written down. With `act` runs are really
executed instead, except those whose end a lever has settled beforehand.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from bot.sandbox.clock import Clock
from bot.sandbox.github.act.process import Act
from bot.sandbox.github.errors import GithubError, not_found, unprocessable
from bot.sandbox.github.execution import Execution
from bot.sandbox.github.executions import RUNNER_LOST, Executions
from bot.sandbox.github.job_log import RunnerLog, job_log
from bot.sandbox.github.journal import JournalFile, Outcome
from bot.sandbox.github.people import BOT_LOGIN
from bot.sandbox.github.repository import SHA, Repository
from bot.sandbox.github.runs import (
    JobView,
    Pushed,
    Run,
    RunView,
    Verdict,
    next_change,
    observe,
    push_is_due,
    stretched,
)
from bot.sandbox.github.workflows import FILE_NAME, FOLDER, PUSH_STEP, Workflow, WorkflowInvalid, accept_inputs, parse
from bot.sandbox.images import BuildFailed, BuildOrder
from bot.sandbox.ledger import Ledger

Build = Callable[[BuildOrder], Awaitable[str]]

BUILD_FILE = "build-image.yml"
CHECKS_FILE = "checks.yml"
GLANCE_S = 0.25
"""How long the task of a run sleeps at most, in real seconds: the clock may change its speed meanwhile."""
INPUT_FORMS = {
    "sha": re.compile(r"[0-9a-f]{40}"),
    "tag": re.compile(r"fp-[0-9a-f]{16}"),
    "request": re.compile(r"[A-Za-z0-9_-]{1,64}"),
}

log = logging.getLogger(__name__)


class Actions:
    """The runs of one repository."""

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        repository: Repository,
        file: JournalFile,
        build: Build,
        logs: Path,
        act: Act | None = None,
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._repository = repository
        self._file = file
        self._journal = file.journal
        self._build = build
        self._log = RunnerLog(logs)
        self._executions = Executions(clock=clock, act=act, log=self._log, runs=file.journal.runs, took=self._took)
        self.watchers: list[Callable[[RunView], None]] = []
        """Called with a run's view whenever it may have changed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed: dict[int, asyncio.Event] = {}

    def resume(self) -> None:
        """Watch again over the runs that were in flight when the world ended."""
        for run in list(self._journal.runs.values()):
            if self.view(run).status == "completed":
                continue
            if run.push_began and run.pushed is None:
                self._write(replace(run, pushed=Pushed(self._clock.now(), error=RUNNER_LOST)))
            if run.execution is not None:
                self._executions.over(run, "failure", RUNNER_LOST)
            else:
                self._watch(run.id)

    async def close(self) -> None:
        """Watch over nothing any more; a push under way is given up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- reading ---------------------------------------------------------------------------------------------

    def view(self, run: Run) -> RunView:
        """The run as it is shown now."""
        return observe(run, self._clock.now())

    def find(self, run_id: int) -> Run:
        """The run of that id.

        Raises:
            GithubError: 404.
        """
        run = self._journal.runs.get(run_id)
        if run is None:
            not_found()
        return run

    def known(self, run_id: int) -> Run | None:
        """The run of that id, if there is one."""
        return self._journal.runs.get(run_id)

    def attempt(self, run_id: int, number: int) -> Run:
        """The run as one of its attempts, the present one or an earlier one.

        Raises:
            GithubError: 404.
        """
        for one in self.attempts(run_id):
            if one.attempt == number:
                return one
        not_found()

    def attempts(self, run_id: int) -> list[Run]:
        """Every attempt of a run, newest first.

        Raises:
            GithubError: 404.
        """
        return [self.find(run_id), *reversed(self._journal.earlier.get(run_id, ()))]

    def find_job(self, wanted: int) -> tuple[RunView, JobView]:
        """A job of any attempt, with its attempt.

        Raises:
            GithubError: 404.
        """
        for run in self.attempts(wanted // 10_000):
            view = self.view(run)
            if found := [job for job in view.jobs if job.id == wanted]:
                return view, found[0]
        not_found()

    def log(self, run: Run, job: JobView) -> str:
        """The text of a job's log."""
        return job_log(run, job) if run.execution is None else self._log.text(job.id)

    def newest_first(self) -> list[RunView]:
        """Every run as it is shown now."""
        return [self.view(run) for _, run in sorted(self._journal.runs.items(), reverse=True)]

    async def workflow(self, file: str, commit: str) -> Workflow | None:
        """The workflow file of that name at a commit; None when it is not there or is no workflow."""
        if FILE_NAME.fullmatch(file) is None:
            return None
        path = f"{FOLDER}/{file}"
        content = await self._repository.file(commit, path)
        if content is None:
            return None
        try:
            return parse(path, content)
        except WorkflowInvalid:
            return None

    # ---- starting --------------------------------------------------------------------------------------------

    async def dispatch(self, file: str, ref: str, given: Mapping[str, Any]) -> Run:
        """Start a run of a workflow file at the head of a branch or tag.

        Raises:
            GithubError: 404 for an unknown file, 422 for a ref or inputs that GitHub would refuse.
        """
        found = await self._repository.branch_or_tag(ref)
        if found is None:
            unprocessable(f"No ref found for: {ref}")
        name, sha = found
        workflow = await self.workflow(file, sha)
        if workflow is None:
            raise GithubError(422, f"Workflow file {FOLDER}/{file} was not found at {ref} or is not valid.")
        inputs = accept_inputs(workflow, given)
        builds = file == BUILD_FILE and any(step.key == PUSH_STEP for job in workflow.jobs for step in job.steps)
        now = self._clock.now()
        run = Run(
            id=0,
            number=0,
            path=workflow.path,
            workflow=workflow.name,
            title=workflow.title(inputs, workflow.name),
            event="workflow_dispatch",
            branch=name.split("/", 2)[2],
            sha=sha,
            actor=BOT_LOGIN,
            inputs=inputs,
            jobs=workflow.jobs,
            created_at=now,
            started_at=now,
            builds=builds,
            verdict=await self._examine(workflow, inputs) if builds else None,
        )
        return self._begin(run)

    async def check(self, *, branch: str, sha: str, event: str, actor: str) -> Run | None:
        """Start the checks of a commit that was just pushed; None when it has no workflow for them."""
        workflow = await self.workflow(CHECKS_FILE, sha)
        if workflow is None or not workflow.jobs:
            return None
        now, commit = self._clock.now(), await self._repository.commit(sha)
        run = Run(
            id=0,
            number=0,
            path=workflow.path,
            workflow=workflow.name,
            title=commit.title,
            event=event,
            branch=branch,
            sha=sha,
            actor=actor,
            inputs={},
            jobs=workflow.jobs,
            created_at=now,
            started_at=now,
        )
        return self._begin(run)

    def _begin(self, run: Run) -> Run:
        """Number the run, let a waiting outcome settle how it ends, and set it going."""
        numbered = replace(run, id=self._journal.next_run(), number=self._journal.run_number(run.path))
        return self._go(self._arranged(numbered), "requested")

    def _arranged(self, run: Run) -> Run:
        """The run with what settles its end: a lever's outcome, else a runner where there is one, else its plan."""
        settled = self._settled(run)
        if not self._executions.possible or settled is not run:
            return settled
        return replace(run, execution=Execution(), verdict=None)

    def _go(self, run: Run, action: str) -> Run:
        self._write(run)
        self._publish(self.view(run), action)
        self._watch(run.id)
        return run

    async def _examine(self, workflow: Workflow, inputs: Mapping[str, str]) -> Verdict | None:
        """What the workflow's own first steps would find wrong with these inputs, as the verdict that they end in."""
        odd = [name for name, form in INPUT_FORMS.items() if not form.fullmatch(inputs.get(name, ""))]
        if odd:
            return _verdict(workflow, "inputs", f"::error::The input {odd[0]} does not have its form.")
        sha = inputs["sha"]
        if not SHA.fullmatch(sha) or await self._repository.first_commit(sha) is None:
            return _verdict(workflow, "checkout", f"##[error]fatal: remote error: upload-pack: not our ref {sha}")
        if not await self._repository.branches_with(sha):
            return _verdict(workflow, "ancestry", f"##[error]{sha} is on no branch of this repository.")
        return None

    def _settled(self, run: Run) -> Run:
        """The run with the first outcome that waits for its workflow, which is used up by that; else the run itself."""
        outcomes = self._journal.outcomes
        index = next((i for i, o in enumerate(outcomes) if run.path == f"{FOLDER}/{o.workflow}"), None)
        if index is None:
            return run
        outcome = outcomes[index]
        outcomes[index : index + 1] = [replace(outcome, times=outcome.times - 1)] if outcome.times > 1 else []
        if outcome.seconds is not None:
            run = replace(run, jobs=stretched(run.jobs, outcome.seconds))
        if outcome.conclusion == "success":
            return run
        return replace(run, verdict=place(run, outcome))

    # ---- acting on a run -------------------------------------------------------------------------------------

    def cancel(self, run: Run) -> None:
        """Ask a run to end; it takes a moment, and asking twice changes nothing.

        Raises:
            GithubError: 409, it is over.
        """
        if self.view(run).status == "completed":
            raise GithubError(409, "Cannot cancel a workflow run that is completed.")
        if run.cancel_at is None:
            run = replace(run, cancel_at=self._clock.now())
            self._write(run)
            self._publish(self.view(run), "cancel_requested")
            self._nudge(run.id)
            if run.execution is not None:
                self._executions.cancel(run)

    async def rerun(self, run: Run) -> None:
        """Start the run's next attempt; every job runs again.

        Raises:
            GithubError: 403, it is not over yet.
        """
        if self.view(run).status != "completed":
            raise GithubError(403, "This workflow is already running")
        self._journal.earlier.setdefault(run.id, []).append(run)
        fresh = replace(
            run,
            attempt=run.attempt + 1,
            started_at=self._clock.now(),
            push_began=False,
            pushed=None,
            cancel_at=None,
            execution=None,
        )
        workflow = await self.workflow(run.path.rsplit("/", 1)[-1], run.sha)
        verdict = await self._examine(workflow, run.inputs) if workflow and run.builds else None
        jobs = workflow.jobs if workflow else run.jobs
        self._go(self._arranged(replace(fresh, jobs=jobs, verdict=verdict)), "requested")

    # ---- the life of a run -----------------------------------------------------------------------------------

    def _write(self, run: Run) -> None:
        self._journal.add_run(run)
        self._file.save()

    def _publish(self, view: RunView, action: str) -> None:
        run = view.run
        data = {"id": run.id, "attempt": run.attempt, "workflow": run.path, "title": run.title, "action": action}
        self._ledger.publish("github.run", data | {"status": view.status, "conclusion": view.conclusion})
        self._notice(view)

    def _notice(self, view: RunView) -> None:
        for watcher in self.watchers:
            watcher(view)

    def _watch(self, run_id: int) -> None:
        run = self._journal.runs[run_id]
        self._changed[run_id] = asyncio.Event()
        if run.execution is None:
            self._spawn(self._live(run_id, run.attempt))
        else:
            task = self._spawn(self._executions.execute(run))
            task.add_done_callback(lambda done: self._executions.broke(run, done))

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _nudge(self, run_id: int) -> None:
        if event := self._changed.get(run_id):
            event.set()

    async def _live(self, run_id: int, attempt: int) -> None:
        """Follow one attempt to its end: publish what changes, begin the push when it is due."""
        shown = "queued"
        while (run := self._journal.runs.get(run_id)) is not None and run.attempt == attempt:
            now = self._clock.now()
            view = observe(run, now)
            self._notice(view)
            if view.status != shown:
                shown = view.status
                self._publish(view, shown)
            if view.status == "completed":
                return
            due = inf if run.push_began or run.cancel_at is not None else push_is_due(run)
            if due <= now:
                self._begin_push(run)
                continue
            await self._pause(run_id, min(due, next_change(run, now)) - now)

    async def _pause(self, run_id: int, virtual_s: float) -> None:
        """Until that time has passed, something was written down about the run, or a glance is due."""
        event = self._changed[run_id]
        event.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(virtual_s / self._clock.speed, GLANCE_S)):
                await event.wait()

    def _took(self, run: Run, before: str) -> None:
        """Something was heard of a run that is executed; `before` is what its status was."""
        self._write(run)
        view = self.view(run)
        if view.status != before:
            self._publish(view, view.status)
        else:
            self._notice(view)

    # ---- the push of a run that goes by its plan -------------------------------------------------------------

    def _begin_push(self, run: Run) -> None:
        self._write(replace(run, push_began=True))
        task = self._spawn(self._push(run))
        task.add_done_callback(lambda done: self._push_broke(run, done))

    async def _push(self, run: Run) -> None:
        order = BuildOrder(
            component=run.inputs["component"],
            commit=run.inputs["sha"],
            tag=run.inputs["tag"],
            request=run.inputs["request"],
        )
        try:
            self._pushed(run, digest=await self._build(order))
        except BuildFailed as error:
            self._pushed(run, error=str(error) or "The image could not be built.")

    def _push_broke(self, run: Run, task: asyncio.Task[None]) -> None:
        """A bug of the world itself must not leave a run in flight for ever."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the build of run %s broke", run.id, exc_info=error)
            self._pushed(run, error=f"The runner itself failed: {type(error).__name__}: {error}")

    def _pushed(self, run: Run, *, digest: str = "", error: str = "") -> None:
        current = self._journal.runs.get(run.id)
        if current is not None and current.attempt == run.attempt:
            self._write(replace(current, pushed=Pushed(self._clock.now(), digest, error)))
            self._nudge(run.id)


def _verdict(workflow: Workflow, key: str, text: str) -> Verdict | None:
    """A failure at the step with that `id`; None when the file has no such step."""
    for job in workflow.jobs:
        for step in job.steps:
            if step.key == key:
                return Verdict(job.key, step.name, "failure", text)
    return None


def place(run: Run, outcome: Outcome) -> Verdict:
    """Where an outcome strikes: at the job and step that it names, else at the build, else at the last real step."""
    job = next((j for j in run.jobs if outcome.job in (j.key, j.name)), run.jobs[0])
    named = next((s for s in job.steps if outcome.step in (s.name, s.key) and outcome.step), None)
    building = next((s for s in job.steps if s.key == "build"), None)
    step = named or building or job.steps[-2]
    return Verdict(job.key, step.name, outcome.conclusion)

"""Runs that are really executed: hands attempts to the runner, and takes down what it is heard to do."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from bot.sandbox.clock import Clock
from bot.sandbox.github.act.process import Act, ActFailed
from bot.sandbox.github.execution import Heard
from bot.sandbox.github.job_log import RunnerLog
from bot.sandbox.github.runs import Run, job_id, observe

RUNNER_LOST = "The hosted runner lost communication with the server."

log = logging.getLogger(__name__)


class Executions:
    """Between the runner and what is written down: `runs` are all of them, `took` keeps a changed one.

    `took` also gets the status that was shown before.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        act: Act | None,
        log: RunnerLog,
        runs: Mapping[int, Run],
        took: Callable[[Run, str], None],
    ) -> None:
        self._clock = clock
        self._act = act
        self._log = log
        self._runs = runs
        self._took = took

    @property
    def possible(self) -> bool:
        """Whether there is a runner."""
        return self._act is not None

    async def execute(self, run: Run) -> None:
        """Have one attempt executed to its end."""
        try:
            if self._act is None:
                raise ActFailed(RUNNER_LOST)
            await self._act.execute(run, lambda heard: self._heard(run, heard))
        except ActFailed as error:
            self.over(run, "failure", str(error))
        else:
            self.over(run, "failure", RUNNER_LOST)

    def cancel(self, run: Run) -> None:
        """Ask the runner to stop, which takes a moment; a run that still waits for one is over at once."""
        if self._act is not None:
            self._act.cancel(run.id)
            if not self._act.has(run.id):
                self.over(run, "cancelled", "The operation was canceled.")

    def _heard(self, run: Run, heard: Heard) -> None:
        """Take down one thing of the present attempt."""
        present, now = self._runs.get(run.id), self._clock.now()
        if present is None or present.execution is None or present.attempt != run.attempt:
            return
        index = next(i for i, job in enumerate(present.jobs) if job.key == heard.job)
        self._log.take(job_id(present, index), present.jobs[index], heard, at=now)
        if heard.event == "said":
            return
        before, cancelled = observe(present, now).status, present.cancel_at is not None
        self._took(replace(present, execution=present.execution.after(heard, at=now, cancelled=cancelled)), before)

    def over(self, run: Run, conclusion: str, why: str) -> None:
        """The attempt's runner is gone. What is still open ends so, or as cancelled where somebody asked for that."""
        present = self._runs.get(run.id, run)
        if present.execution is None or present.execution.over_at is not None or present.attempt != run.attempt:
            return
        now, ends = self._clock.now(), "cancelled" if present.cancel_at is not None else conclusion
        began = {job.key: job for job in present.execution.jobs}
        for index, job in enumerate(present.jobs):
            if (not began and index == 0) or (job.key in began and began[job.key].completed_at is None):
                self._log.take(job_id(present, index), job, Heard(job.key, "said", text=f"##[error]{why}"), at=now)
        self._took(replace(present, execution=present.execution.over(at=now, conclusion=ends)), "")

    def broke(self, run: Run, task: asyncio.Task[None]) -> None:
        """A bug of the world itself must not leave a run in flight for ever."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the execution of run %s broke", run.id, exc_info=error)
            self.over(run, "failure", f"The runner itself failed: {type(error).__name__}: {error}")

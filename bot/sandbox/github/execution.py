"""What a real runner did so far: jobs and steps with the moments at which they began and ended.

The record only ever grows, by one thing heard after the other; what is shown of it at a moment is `runs.observe`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

Event = Literal["step began", "step ended", "job ended", "said"]


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing that a runner says of a job. `step` counts from 0, the runner's own first and last ones included.

    At a job's end it is how many steps the job has.
    """

    job: str
    event: Event
    step: int = 0
    conclusion: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class StepRecord:
    index: int
    started_at: float
    completed_at: float | None = None
    conclusion: str | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    key: str
    started_at: float
    completed_at: float | None = None
    conclusion: str | None = None
    steps: tuple[StepRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Execution:
    """The record of one attempt; `over_at` is set when its runner is gone. Times are Unix seconds."""

    jobs: tuple[JobRecord, ...] = ()
    over_at: float | None = None

    def job(self, key: str) -> JobRecord | None:
        """What is known of a job; None while no runner has it."""
        return next((job for job in self.jobs if job.key == key), None)

    def after(self, heard: Heard, *, at: float, cancelled: bool) -> "Execution":
        """The record with one thing more. After a cancellation a failure is one of the runner's being stopped.

        So is a success that did not come to all of its steps: act calls a job so that it stopped before the first.
        """
        if heard.event == "said":
            return self
        known = self.job(heard.job) or JobRecord(heard.job, at)
        conclusion = "cancelled" if cancelled and heard.conclusion == "failure" else heard.conclusion
        if heard.event == "job ended":
            if cancelled and sum(step.completed_at is not None for step in known.steps) < heard.step:
                conclusion = "cancelled"
            changed = _closed(known, at, conclusion)
        elif heard.event == "step began":
            changed = _with_step(known, heard.step, lambda step: step, at)
        else:
            ended = conclusion if conclusion in ("success", "skipped", "cancelled") else "failure"
            changed = _with_step(known, heard.step, lambda step: replace(step, completed_at=at, conclusion=ended), at)
        jobs = tuple(changed if job.key == heard.job else job for job in self.jobs)
        return replace(self, jobs=jobs if self.job(heard.job) else (*jobs, changed))

    def moved(self, seconds: float) -> "Execution":
        """The same record at another time."""
        return Execution(
            tuple(
                replace(
                    job,
                    started_at=job.started_at + seconds,
                    completed_at=_moved(job.completed_at, seconds),
                    steps=tuple(
                        replace(
                            step,
                            started_at=step.started_at + seconds,
                            completed_at=_moved(step.completed_at, seconds),
                        )
                        for step in job.steps
                    ),
                )
                for job in self.jobs
            ),
            _moved(self.over_at, seconds),
        )

    def over(self, *, at: float, conclusion: str) -> "Execution":
        """The record after the runner's end: what it left open ends with that conclusion."""
        jobs = tuple(job if job.completed_at is not None else _closed(job, at, conclusion) for job in self.jobs)
        return replace(self, jobs=jobs, over_at=at)


def _moved(at: float | None, seconds: float) -> float | None:
    return None if at is None else at + seconds


def _closed(job: JobRecord, at: float, conclusion: str) -> JobRecord:
    open_end = "cancelled" if conclusion == "cancelled" else "failure"
    steps = tuple(
        step if step.completed_at is not None else replace(step, completed_at=at, conclusion=open_end)
        for step in job.steps
    )
    return replace(job, completed_at=at, conclusion=conclusion, steps=steps)


def _with_step(job: JobRecord, index: int, change: Callable[[StepRecord], StepRecord], at: float) -> JobRecord:
    """The job with one step changed, which begins now when nothing was known of it."""
    found = next((step for step in job.steps if step.index == index), None)
    changed = change(found or StepRecord(index, at))
    others = tuple(step for step in job.steps if step.index != index)
    return replace(job, steps=tuple(sorted((*others, changed), key=lambda step: step.index)))

"""Workflow runs as a pure function of the clock: from what is written down about a run and the time, what is shown.

Nothing here moves, waits or stores. The one thing that a plan cannot know is when the image is really pushed: the step
`push` of a run that builds lasts until that is written down. A run that is really executed has no plan: what its
runner was heard to do is written down, and shown as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from bot.sandbox.github.execution import Execution, JobRecord, StepRecord

Status = Literal["queued", "in_progress", "completed"]

QUEUE_S = 1.0
"""How long a run waits for a runner."""
CANCEL_S = 0.7
"""How long a runner takes to hear of a cancellation and to stop."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step and how long it takes; `key` is its `id` in the file, often empty."""

    name: str
    key: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job with its steps, the runner's own first and last ones included. Jobs start together."""

    key: str
    name: str
    steps: tuple[PlannedStep, ...]

    @property
    def seconds(self) -> float:
        """How long the job takes once a runner has it."""
        return sum(step.seconds for step in self.steps)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An end other than success that is settled beforehand: at which step of which job, and what the log says."""

    job: str
    step: str
    conclusion: str
    log: str = ""


@dataclass(frozen=True, slots=True)
class Pushed:
    """How the push ended: a digest, or an error."""

    at: float
    digest: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What is written down about one run; a re-run is the same run with a higher `attempt`. Times are Unix seconds."""

    id: int
    number: int
    path: str
    workflow: str
    title: str
    event: str
    branch: str
    sha: str
    actor: str
    inputs: dict[str, str]
    jobs: tuple[PlannedJob, ...]
    created_at: float
    started_at: float
    builds: bool = False
    attempt: int = 1
    verdict: Verdict | None = None
    push_began: bool = False
    pushed: Pushed | None = None
    cancel_at: float | None = None
    execution: Execution | None = None


@dataclass(frozen=True, slots=True)
class StepView:
    """A step as it stands; times are None until they have come."""

    number: int
    plan: PlannedStep
    status: Status
    conclusion: str | None
    started_at: float | None
    completed_at: float | None


@dataclass(frozen=True, slots=True)
class JobView:
    id: int
    plan: PlannedJob
    status: Status
    conclusion: str | None
    started_at: float
    completed_at: float | None
    steps: tuple[StepView, ...]


@dataclass(frozen=True, slots=True)
class RunView:
    run: Run
    status: Status
    conclusion: str | None
    updated_at: float
    jobs: tuple[JobView, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """A step on the time line, as it will be if nothing else is written down."""

    start: float
    end: float
    conclusion: str


def job_id(run: Run, index: int) -> int:
    """The id of a job of the present attempt, which is the id of its check run, too."""
    return run.id * 10_000 + run.attempt * 100 + index


def stretched(jobs: tuple[PlannedJob, ...], seconds: float) -> tuple[PlannedJob, ...]:
    """The same jobs, their steps made longer or shorter so that the longest job takes that many seconds."""
    factor = seconds / max(job.seconds for job in jobs)
    return tuple(
        replace(job, steps=tuple(replace(step, seconds=step.seconds * factor) for step in job.steps)) for job in jobs
    )


def push_is_due(run: Run) -> float:
    """When the push begins; infinite for a run that pushes nothing or ends before, or pushes by itself."""
    if not run.builds or run.execution is not None:
        return inf
    for job in run.jobs:
        for step, span in zip(job.steps, _timeline(run, job), strict=True):
            if step.key == "push" and span.conclusion != "skipped":
                return span.start
    return inf


def observe(run: Run, now: float) -> RunView:
    """The run as GitHub shows it at that moment."""
    if run.execution is not None:
        return _observe_executed(run, run.execution)
    jobs = tuple(_observe_job(run, index, now) for index in range(len(run.jobs)))
    moments = [run.started_at, *_moments(jobs)]
    updated_at = max(moment for moment in moments if moment <= now or moment == run.started_at)
    if all(job.status == "completed" for job in jobs):
        return RunView(run, "completed", _conclusion(jobs), updated_at, jobs)
    status: Status = "queued" if all(job.status == "queued" for job in jobs) else "in_progress"
    return RunView(run, status, None, updated_at, jobs)


def next_change(run: Run, now: float) -> float:
    """When the run will look different by itself; infinite when it is over, waits for the push, or is executed."""
    if run.execution is not None:
        return inf
    begin = run.started_at + QUEUE_S
    later = [begin] + [moment for job in run.jobs for span in _timeline(run, job) for moment in (span.start, span.end)]
    return min((moment for moment in later if moment > now), default=inf)


def _moments(jobs: tuple[JobView, ...]) -> Iterator[float]:
    for job in jobs:
        yield from (at for step in job.steps for at in (step.started_at, step.completed_at) if at is not None)
        if job.completed_at is not None:
            yield job.completed_at


def _conclusion(jobs: tuple[JobView, ...]) -> str:
    ends = {job.conclusion for job in jobs}
    return next((c for c in ("startup_failure", "failure", "timed_out", "cancelled") if c in ends), "success")


def _timeline(run: Run, job: PlannedJob) -> list[_Span]:
    """Every step's span in order: as planned, then bent by the verdict, the push and a cancellation."""
    at, broken, spans = run.started_at + QUEUE_S, False, []
    for index, step in enumerate(job.steps):
        last = index == len(job.steps) - 1
        if broken and not last:
            spans.append(_Span(at, at, "skipped"))
            continue
        end, conclusion = _outcome(run, job, step, at)
        broken = broken or conclusion != "success"
        spans.append(_Span(at, end, conclusion))
        at = end
    return _cut(spans, run.cancel_at)


def _outcome(run: Run, job: PlannedJob, step: PlannedStep, start: float) -> tuple[float, str]:
    """When the step ends, and how."""
    planned = start + step.seconds
    verdict = run.verdict
    if verdict is not None and verdict.job == job.key and verdict.step == step.name:
        return planned, verdict.conclusion
    if not (run.builds and step.key == "push"):
        return planned, "success"
    if run.pushed is None:
        return inf, "success"
    return max(planned, run.pushed.at), "failure" if run.pushed.error else "success"


def _cut(spans: list[_Span], cancel_at: float | None) -> list[_Span]:
    """The same spans, ended by a cancellation that comes before the last of them is over."""
    if cancel_at is None or spans[-1].end <= cancel_at:
        return spans
    # Before a runner has taken the job there is nobody to wait for.
    stop = cancel_at if cancel_at < spans[0].start else cancel_at + CANCEL_S
    if spans[-1].end <= stop:
        return spans
    kept = [span for span in spans if span.end <= stop]
    rest = spans[len(kept) :]
    running = [replace(s, end=stop, conclusion="cancelled") for s in rest[:1] if s.start < stop]
    skipped = [_Span(stop, stop, "skipped") for _ in rest[len(running) :]]
    return [*kept, *running, *skipped]


def _observe_job(run: Run, index: int, now: float) -> JobView:
    plan, identity = run.jobs[index], job_id(run, index)
    spans = _timeline(run, plan)
    begin, end = min(run.started_at + QUEUE_S, spans[-1].end), spans[-1].end
    cancelled = run.cancel_at is not None and any(s.conclusion in ("cancelled", "skipped") for s in spans[-1:])
    if now < begin:
        return JobView(identity, plan, "queued", None, run.started_at, None, ())
    steps = tuple(
        _observe_step(number, step, span, now)
        for number, (step, span) in enumerate(zip(plan.steps, spans, strict=True), start=1)
    )
    if now < end:
        return JobView(identity, plan, "in_progress", None, begin, None, steps)
    bad = [span.conclusion for span in spans if span.conclusion not in ("success", "skipped")]
    conclusion = "cancelled" if cancelled else (bad[0] if bad else "success")
    return JobView(identity, plan, "completed", conclusion, begin, end, steps)


def _observe_step(number: int, plan: PlannedStep, span: _Span, now: float) -> StepView:
    if now < span.start or span.start == inf:
        return StepView(number, plan, "queued", None, None, None)
    if now < span.end:
        return StepView(number, plan, "in_progress", None, span.start, None)
    # A step that ran out of time is shown as cancelled; only its job says why.
    conclusion = span.conclusion if span.conclusion in ("success", "skipped", "failure") else "cancelled"
    return StepView(number, plan, "completed", conclusion, span.start, span.end)


# ---- what is really executed -----------------------------------------------------------------------------------------


def _observe_executed(run: Run, execution: Execution) -> RunView:
    over = execution.over_at is not None
    jobs = tuple(
        _job_heard(run, index, execution.job(plan.key), execution.over_at) for index, plan in enumerate(run.jobs)
    )
    moments = [run.started_at, *_moments(jobs), *([execution.over_at] if execution.over_at is not None else [])]
    if over:
        ends = _conclusion(jobs) if execution.jobs else ("cancelled" if run.cancel_at else "startup_failure")
        return RunView(run, "completed", ends, max(moments), jobs)
    status: Status = "in_progress" if execution.jobs else "queued"
    return RunView(run, status, None, max(moments), jobs)


def _job_heard(run: Run, index: int, record: JobRecord | None, over_at: float | None) -> JobView:
    plan, identity = run.jobs[index], job_id(run, index)
    if record is None:
        if over_at is None:
            return JobView(identity, plan, "queued", None, run.started_at, None, ())
        unheard = "cancelled" if run.cancel_at is not None else "skipped"
        return JobView(identity, plan, "completed", unheard, over_at, over_at, ())
    known = {step.index: step for step in record.steps}
    steps = tuple(_step_heard(n, step, known.get(n), record.completed_at) for n, step in enumerate(plan.steps))
    status: Status = "in_progress" if record.completed_at is None else "completed"
    return JobView(identity, plan, status, record.conclusion, record.started_at, record.completed_at, steps)


def _step_heard(index: int, plan: PlannedStep, record: StepRecord | None, over_at: float | None) -> StepView:
    if record is not None:
        status: Status = "in_progress" if record.completed_at is None else "completed"
        return StepView(index + 1, plan, status, record.conclusion, record.started_at, record.completed_at)
    if over_at is None:
        return StepView(index + 1, plan, "queued", None, None, None)
    return StepView(index + 1, plan, "completed", "skipped", over_at, over_at)

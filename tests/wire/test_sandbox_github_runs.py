"""Workflow runs as a function of time: whatever is written down about a run, what is shown never goes back."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.github.runs import (
    PlannedJob,
    PlannedStep,
    Pushed,
    Run,
    Verdict,
    next_change,
    observe,
    push_is_due,
    stretched,
)

RANK = {"queued": 0, "in_progress": 1, "completed": 2}
STEPS = (
    PlannedStep("Set up job", "", 0.5),
    PlannedStep("Build image", "build", 3.0),
    PlannedStep("Push image", "push", 1.0),
    PlannedStep("Complete job", "", 0.2),
)
OTHER = PlannedJob("other", "other", (PlannedStep("Set up job", "", 1.0), PlannedStep("Complete job", "", 1.0)))
START = 1000.0
RUN = Run(
    id=7,
    number=1,
    path=".github/workflows/build-image.yml",
    workflow="build-image",
    title="build app",
    event="workflow_dispatch",
    branch="main",
    sha="0" * 40,
    actor="quarterdeck-bot",
    inputs={},
    jobs=(PlannedJob("build", "build", STEPS), OTHER),
    created_at=START,
    started_at=START,
    builds=True,
)
times = st.floats(min_value=0, max_value=20)
verdicts = st.none() | st.builds(
    Verdict,
    job=st.sampled_from(["build", "other"]),
    step=st.sampled_from([step.name for step in STEPS]),
    conclusion=st.sampled_from(["failure", "cancelled", "timed_out"]),
)


def finished(run: Run, cancel_after: float | None, push_took: float) -> Run:
    """The run with its cancellation written down, and its push where it came to one."""
    cancel_at = None if cancel_after is None else START + cancel_after
    run = replace(run, cancel_at=cancel_at)
    due = push_is_due(run)
    if due == float("inf") or (cancel_at is not None and cancel_at <= due):
        return run
    return replace(run, pushed=Pushed(due + push_took, digest="sha256:1"))


@given(
    verdict=verdicts, cancel_after=st.none() | times, push_took=times, moments=st.lists(times, min_size=2, max_size=8)
)
def test_a_run_only_ever_goes_forward(
    verdict: Verdict | None, cancel_after: float | None, push_took: float, moments: list[float]
) -> None:
    run = finished(replace(RUN, verdict=verdict), cancel_after, push_took)
    views = [observe(run, START + moment) for moment in sorted(moments)]
    for earlier, later in itertools.pairwise(views):
        assert RANK[earlier.status] <= RANK[later.status]
        assert earlier.updated_at <= later.updated_at
        for before, after in zip(earlier.jobs, later.jobs, strict=True):
            assert RANK[before.status] <= RANK[after.status]
            for one, two in zip(before.steps, after.steps, strict=False):
                assert RANK[one.status] <= RANK[two.status]
                assert one.conclusion in (None, two.conclusion)


@given(verdict=verdicts, cancel_after=st.none() | times, push_took=times)
def test_every_run_comes_to_an_end_with_one_conclusion(
    verdict: Verdict | None, cancel_after: float | None, push_took: float
) -> None:
    run = finished(replace(RUN, verdict=verdict), cancel_after, push_took)
    view = observe(run, START + 100)
    assert view.status == "completed"
    assert view.conclusion in ("success", "failure", "cancelled", "timed_out")
    assert all(job.completed_at is not None and job.conclusion is not None for job in view.jobs)
    assert all(step.status == "completed" for job in view.jobs for step in job.steps)
    assert next_change(run, START + 100) == float("inf")
    if verdict is None and cancel_after is None:
        assert view.conclusion == "success"


@given(verdict=verdicts, cancel_after=st.none() | times, push_took=times, moment=times)
def test_nothing_changes_between_two_changes(
    verdict: Verdict | None, cancel_after: float | None, push_took: float, moment: float
) -> None:
    run = finished(replace(RUN, verdict=verdict), cancel_after, push_took)
    now = START + moment
    change = min(next_change(run, now), now + 10)
    before = observe(run, now)
    assert observe(run, now + (change - now) / 2) == before
    assert observe(run, now) == before


def test_a_run_that_waits_for_its_push_waits_for_ever() -> None:
    view = observe(RUN, START + 10_000)
    assert view.status == "in_progress"
    assert [step.status for step in view.jobs[0].steps] == ["completed", "completed", "in_progress", "queued"]
    assert view.jobs[1].status == "completed"


def test_a_step_that_fails_skips_the_rest_but_not_the_cleaning_up() -> None:
    run = replace(RUN, verdict=Verdict("build", "Build image", "failure"))
    job = observe(run, START + 60).jobs[0]
    assert [step.conclusion for step in job.steps] == ["success", "failure", "skipped", "success"]
    assert push_is_due(run) == float("inf")


def test_a_failed_push_is_its_own_steps_failure() -> None:
    run = replace(RUN, pushed=Pushed(START + 6, error="denied"))
    view = observe(run, START + 60)
    assert [step.conclusion for step in view.jobs[0].steps] == ["success", "success", "failure", "success"]
    assert view.conclusion == "failure"


def test_jobs_can_be_stretched_to_a_total() -> None:
    jobs = stretched(RUN.jobs, 94.0)
    assert abs(jobs[0].seconds - 94.0) < 1e-6
    assert jobs[1].seconds < 94.0

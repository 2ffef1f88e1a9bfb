"""What a real runner is heard to do, taken down and shown: act's lines, records that only grow, ends of every kind."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.github.act.lines import read
from bot.sandbox.github.act.step_shell import without_end
from bot.sandbox.github.execution import Execution, Heard
from bot.sandbox.github.runs import PlannedJob, PlannedStep, Run, next_change, observe, push_is_due

STEPS = tuple(PlannedStep(name, key, 1.0) for name, key in
              (("Set up job", ""), ("Check inputs", "inputs"), ("Run tests", ""), ("Complete job", "")))  # fmt: skip
JOB = PlannedJob("build", "Build it", STEPS)
JOBS = {"build": JOB}
RUN = Run(
    id=7, number=1, path="x.yml", workflow="x", title="x", event="push", branch="main", sha="0" * 40, actor="a",
    inputs={}, jobs=(JOB, PlannedJob("after", "After it", STEPS)), created_at=0.0, started_at=0.0, builds=True,
    execution=Execution(),
)  # fmt: skip
RANK = {"queued": 0, "in_progress": 1, "completed": 2}


def line(**more: Any) -> bytes:
    return json.dumps({"jobID": "build", "level": "info", "msg": "", **more}).encode()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (line(stepid=["--setup-job"], msg="⭐ Run Set up job"), Heard("build", "step began", 0)),
        (line(stepid=["--complete-job"], stepResult="success"), Heard("build", "step ended", 3, "success")),
        (line(stage="Main", stepID=["inputs"], msg="⭐ Run Main Check inputs"), Heard("build", "step began", 1)),
        (line(stage="Main", stepID=["1"], stepResult="failure"), Heard("build", "step ended", 2, "failure")),
        (line(stage="Main", stepID=["1"], raw_output=True, msg="hello\n"), Heard("build", "said", 2, text="hello")),
        (line(stage="Main", stepID=["1", "0"], stepResult="success"), None),
        (line(stage="Main", stepID=["1", "0"], raw_output=True, msg="deep"), Heard("build", "said", 2, text="deep")),
        (line(stage="Main", stepID=["1"], command="error", arg="no"), Heard("build", "said", 2, text="##[error]no")),
        (line(stage="Main", stepID=["1"], level="error", msg="exit status 3"),
         Heard("build", "said", 2, text="##[error]Process completed with exit code 3.")),
        (line(stage="Main", stepID=["1"], level="error", msg="context canceled"),
         Heard("build", "said", 2, text="##[error]The operation was canceled.")),
        (line(stage="Pre", stepID=["1"], level="error", msg="no such action"),
         Heard("build", "step ended", 0, "failure", "##[error]no such action")),
        (line(stage="Post", stepID=["1"], stepResult="success"), None),
        (line(jobResult="failure"), Heard("build", "job ended", 4, "failure")),
        (line(jobID="other", jobResult="success"), None),
        (b"Error: not JSON", None),
        (b"5", None),
    ],
)  # fmt: skip
def test_acts_lines_are_understood(said: bytes, heard: Heard | None) -> None:
    assert read(said, JOBS) == heard


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("[end of output of /w/7-1] 42", ("", "42")),
        ("no end of line[end of output of /w/7-1] 42", ("no end of line", "42")),
        ("[end of output of /w/7-2] 42", ("[end of output of /w/7-2] 42", "")),
        ("[end of output of /w/7-1] soon", ("[end of output of /w/7-1] soon", "")),
        ("hello", ("hello", "")),
    ],
)
def test_the_end_of_a_shells_output_is_taken_out_of_what_it_said(said: str, parts: tuple[str, str]) -> None:
    assert without_end(said, mark="/w/7-1") == parts


things = st.one_of(
    st.builds(Heard, job=st.sampled_from(["build", "after"]), event=st.just("step began"), step=st.integers(0, 3)),
    st.builds(Heard, job=st.sampled_from(["build", "after"]), event=st.just("step ended"), step=st.integers(0, 3),
              conclusion=st.sampled_from(["success", "failure", "skipped"])),
)  # fmt: skip


@given(heard=st.lists(things, max_size=12), cancelled=st.booleans())
def test_whatever_is_heard_a_run_only_goes_forward_and_ends_when_its_runner_is_gone(
    heard: list[Heard], cancelled: bool
) -> None:
    run = replace(RUN, cancel_at=1.0 if cancelled else None)
    record, views = Execution(), []
    for at, thing in enumerate(heard):
        record = record.after(thing, at=float(at), cancelled=cancelled)
        views.append(observe(replace(run, execution=record), float(at)))
    over = replace(run, execution=record.over(at=99.0, conclusion="cancelled" if cancelled else "failure"))
    views.append(observe(over, 99.0))
    assert [RANK[view.status] for view in views] == sorted(RANK[view.status] for view in views)
    assert views[-1].status == "completed"
    assert all(job.status == "completed" and job.conclusion for job in views[-1].jobs)
    assert all(step.status == "completed" for job in views[-1].jobs for step in job.steps)
    assert observe(over, 1e9) == views[-1], "the clock moves nothing any more"
    assert next_change(over, 0.0) == push_is_due(over) == float("inf")


def test_a_job_that_was_stopped_before_its_steps_is_cancelled_whatever_act_calls_it() -> None:
    began = Execution().after(Heard("build", "step began", 0), at=1.0, cancelled=False)
    ended = Heard("build", "job ended", 4, "success")
    assert began.after(ended, at=2.0, cancelled=True).jobs[0].conclusion == "cancelled"
    assert began.after(ended, at=2.0, cancelled=False).jobs[0].conclusion == "success"


def test_a_runner_that_found_no_job_is_a_failed_start_and_steps_it_never_reached_are_skipped() -> None:
    nothing = replace(RUN, execution=Execution().over(at=5.0, conclusion="failure"))
    assert observe(nothing, 6.0).conclusion == "startup_failure"
    record = Execution().after(Heard("build", "step ended", 1, "failure"), at=2.0, cancelled=False)
    record = record.after(Heard("build", "job ended", 4, "failure"), at=3.0, cancelled=False)
    view = observe(replace(RUN, execution=record.over(at=4.0, conclusion="failure")), 5.0)
    assert (view.conclusion, [job.conclusion for job in view.jobs]) == ("failure", ["failure", "skipped"])
    assert [step.conclusion for step in view.jobs[0].steps] == ["skipped", "failure", "skipped", "skipped"]
    assert record.moved(10.0).jobs[0].completed_at == 13.0

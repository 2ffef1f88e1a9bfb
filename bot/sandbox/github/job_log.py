"""The log of a job: plain text with a time on each line, as GitHub hands it out.

It is made from the steps as they went, or was written while a real runner spoke.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bot.sandbox.github.execution import Heard
from bot.sandbox.github.runs import JobView, PlannedJob, Run, StepView

INSTALL = "python3 -m venv /venv && /venv/bin/python -m pip install --require-hashes -r {component}.txt"
BUILD_OUTPUT = (
    "#1 [internal] load build definition from Dockerfile",
    "#2 [internal] load metadata for docker.io/library/python:3.12-slim",
    "#3 [{component}-build 1/5] FROM docker.io/library/python:3.12-slim",
    "#4 [{component}-build 2/5] WORKDIR /build",
    "#5 [{component}-build 3/5] COPY locks/{component}.txt ./",
    f"#6 [{{component}}-build 4/5] RUN {INSTALL}",
)
BUILD_SUCCEEDED = (
    "#7 [{component}-build 5/5] COPY {component} /srv/{component}",
    "#8 exporting to image",
    "#8 DONE 0.4s",
)
BUILD_FAILED = (
    "#6 1.904 ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    "#6 1.904     aiohttp from {component}.txt: the expected sha256 is not the one of the file that was downloaded",
    f'#6 ERROR: process "/bin/sh -c {INSTALL}" did not complete successfully: exit code: 1',
    "------",
    f'ERROR: failed to solve: process "/bin/sh -c {INSTALL}" did not complete successfully: exit code: 1',
)
CHECKS_FAILED = (
    "=================================== FAILURES ===================================",
    "E       AssertionError: assert 503 == 200",
    "=========================== short test summary info ============================",
    "FAILED tests/test_health.py::test_the_health_check_answers - AssertionError: assert 503 == 200",
    "1 failed, 41 passed in 6.12s",
)
RUNNER_STOPPED = "The operation was canceled."
EXIT_ONE = "Process completed with exit code 1."
TIMED_OUT = "The job has exceeded the maximum execution time of 30m0s"


class RunnerLog:
    """What real runners said: one file a job, written as it comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, job_id: int, job: PlannedJob, heard: Heard, *, at: float) -> None:
        """Append what was heard, if it stands in a log."""
        lines = heard.text.splitlines()
        if heard.event == "step began":
            lines = [f"##[group]{job.steps[heard.step].name}"]
        elif heard.event == "step ended":
            lines = [*lines, "##[endgroup]"]
        if lines:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / f"{job_id}.log").open("a", encoding="utf-8") as file:
                file.writelines(f"{_stamp(at)} {line}\n" for line in lines)

    def text(self, job_id: int) -> str:
        """The whole log; empty for a job that no runner had."""
        try:
            return (self._folder / f"{job_id}.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""


def job_log(run: Run, job: JobView) -> str:
    """The whole text. Only steps that ran speak in it."""
    return "".join(f"{_stamp(at)} {line}\n" for at, line in _lines(run, job))


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _lines(run: Run, job: JobView) -> Iterator[tuple[float, str]]:
    for step in job.steps:
        if step.started_at is None or step.conclusion == "skipped":
            continue
        yield step.started_at, f"##[group]{step.plan.name}"
        end = step.completed_at if step.completed_at is not None else step.started_at
        for line in _words(run, job, step):
            yield end, line
        yield end, "##[endgroup]"


def _words(run: Run, job: JobView, step: StepView) -> Iterator[str]:
    component = run.inputs.get("component", "app")
    if step.number == 1:
        yield from (
            "Current runner version: '2.330.0'",
            "Operating System: Ubuntu 24.04",
            "Complete job name: " + job.plan.name,
        )
    elif step.conclusion == "failure":
        yield from _failure(run, step, component)
    elif step.conclusion == "cancelled":
        yield "##[error]" + (TIMED_OUT if job.conclusion == "timed_out" else RUNNER_STOPPED)
    elif step.plan.key == "build":
        yield from (line.format(component=component) for line in BUILD_OUTPUT + BUILD_SUCCEEDED)
    elif step.plan.key == "push" and run.pushed is not None:
        yield f"{run.inputs.get('tag', '')}: digest: {run.pushed.digest}"


def _failure(run: Run, step: StepView, component: str) -> Iterator[str]:
    if run.verdict is not None and run.verdict.log:
        yield from run.verdict.log.splitlines()
    elif step.plan.key == "push" and run.pushed is not None and run.pushed.error:
        yield from run.pushed.error.splitlines()
    elif step.plan.key == "build":
        yield from (line.format(component=component) for line in BUILD_OUTPUT + BUILD_FAILED)
    elif not run.builds:
        yield from CHECKS_FAILED
    yield f"##[error]{EXIT_ONE}"

"""What act says, line by line (`--json`), in the terms of a run: which step began, ended, and what was printed.

Steps of actions lie deeper (their id has several parts) and are their step's output; what act does before and after
the steps is the runner's own business, except that an action which cannot be had fails the set-up, as on GitHub.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from bot.sandbox.github.execution import Heard
from bot.sandbox.github.runs import PlannedJob

EXIT = re.compile(r"exit status (\d+)")
STOPPED = re.compile(r"context canceled|step has been cancelled|signal: (?:killed|interrupt)")
COMMANDS = ("error", "warning", "notice")


def read(line: bytes, jobs: Mapping[str, PlannedJob]) -> Heard | None:
    """What a line means; None for what no run shows."""
    try:
        data = json.loads(line)
    except ValueError:
        return None
    if not isinstance(data, dict) or data.get("jobID") not in jobs:
        return None
    job = jobs[data["jobID"]]
    if "jobResult" in data:
        return Heard(job.key, "job ended", len(job.steps), str(data["jobResult"]))
    if own := data.get("stepid"):
        return _edge(job, len(job.steps) - 1 if own == ["--complete-job"] else 0, data)
    stage, identity = data.get("stage"), data.get("stepID") or []
    if stage == "Pre" and data.get("level") == "error":
        return Heard(job.key, "step ended", 0, "failure", f"##[error]{_text(data)}")
    if stage != "Main" or not identity:
        return None
    index = _index(job, str(identity[0]))
    said = _said(data, whole=len(identity) == 1)
    if said is not None:
        return Heard(job.key, "said", index, text=said)
    return _edge(job, index, data) if len(identity) == 1 else None


def _edge(job: PlannedJob, index: int, data: Mapping[str, Any]) -> Heard | None:
    """The begin or the end of a step."""
    if "stepResult" in data:
        return Heard(job.key, "step ended", index, str(data["stepResult"]))
    return Heard(job.key, "step began", index) if "⭐ Run" in _text(data) else None


def _index(job: PlannedJob, identity: str) -> int:
    """A step by its `id`, or by its place in the file. The runner's own first step stands before them."""
    for index, step in enumerate(job.steps):
        if step.key == identity:
            return index
    return int(identity) + 1 if identity.isdecimal() and int(identity) + 2 < len(job.steps) else len(job.steps) - 1


def _said(data: Mapping[str, Any], *, whole: bool) -> str | None:
    """What stands in the log for this line."""
    if data.get("raw_output"):
        return _text(data).rstrip("\n")
    if data.get("command") in COMMANDS:
        return f"##[{data['command']}]{data.get('arg', '')}"
    if data.get("level") != "error" or not whole:
        return None
    text = _text(data)
    if found := EXIT.search(text):
        return f"##[error]Process completed with exit code {found[1]}."
    return "##[error]The operation was canceled." if STOPPED.search(text) else f"##[error]{text}"


def _text(data: Mapping[str, Any]) -> str:
    return str(data.get("msg", ""))

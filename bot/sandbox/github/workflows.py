"""Workflow files as the repository holds them: inputs, jobs and steps, and what GitHub refuses at a dispatch.

The steps of a run are the steps written in the file; they are not executed, they take their time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from bot.sandbox.github.errors import unprocessable
from bot.sandbox.github.runs import PlannedJob, PlannedStep

FOLDER = ".github/workflows"
FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}\.ya?ml")
EXPRESSION = re.compile(r"\$\{\{\s*(?:github\.event\.)?inputs\.([A-Za-z0-9_-]+)\s*\}\}")
PUSH_STEP = "push"
"""The `id` of the step at which an image comes into being."""
STEP_SECONDS = {"checkout": 0.6, "build": 3.2, "push": 1.2}
STEP_SECONDS_ELSE = 0.3
SET_UP = PlannedStep("Set up job", "", 0.5)
COMPLETE = PlannedStep("Complete job", "", 0.2)


class WorkflowInvalid(Exception):
    """The file is no workflow; the text says where."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of `workflow_dispatch`."""

    name: str
    required: bool
    default: str | None
    kind: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow file at one commit. `inputs` is None when it cannot be dispatched."""

    path: str
    name: str
    run_name: str
    inputs: tuple[Input, ...] | None
    jobs: tuple[PlannedJob, ...]

    def title(self, inputs: Mapping[str, str], otherwise: str) -> str:
        """The run's name with the inputs filled in; `otherwise` where the file gives none."""
        return EXPRESSION.sub(lambda found: inputs.get(found.group(1), ""), self.run_name) or otherwise


def parse(path: str, content: bytes) -> Workflow:
    """Read a workflow file.

    Raises:
        WorkflowInvalid: it is no YAML mapping with `on` and `jobs`.
    """
    try:
        data = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WorkflowInvalid(f"{path}: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("jobs"), dict):
        raise WorkflowInvalid(f"{path}: a workflow is a mapping with jobs")
    on = data.get("on", data.get(True))  # YAML 1.1 reads the bare word `on` as true
    return Workflow(
        path=path,
        name=str(data.get("name") or path),
        run_name=str(data.get("run-name") or ""),
        inputs=_inputs(on),
        jobs=tuple(_job(str(key), job) for key, job in data["jobs"].items() if isinstance(job, dict)),
    )


def _inputs(on: Any) -> tuple[Input, ...] | None:
    if isinstance(on, str | list):
        return () if "workflow_dispatch" in on else None
    if not isinstance(on, dict) or "workflow_dispatch" not in on:
        return None
    declared = (on["workflow_dispatch"] or {}).get("inputs") or {}
    return tuple(_input(str(name), spec or {}) for name, spec in declared.items())


def _input(name: str, spec: Mapping[str, Any]) -> Input:
    default = spec.get("default")
    return Input(
        name=name,
        required=bool(spec.get("required", False)),
        default=None if default is None else str(default),
        kind=str(spec.get("type", "string")),
        options=tuple(str(option) for option in spec.get("options") or ()),
    )


def _job(key: str, job: Mapping[str, Any]) -> PlannedJob:
    steps = [_step(step) for step in job.get("steps") or () if isinstance(step, dict)]
    return PlannedJob(key=key, name=str(job.get("name") or key), steps=(SET_UP, *steps, COMPLETE))


def _step(step: Mapping[str, Any]) -> PlannedStep:
    uses, script, key = str(step.get("uses", "")), str(step.get("run", "")), str(step.get("id", ""))
    first_line = script.strip().split("\n", 1)[0]
    name = str(step.get("name") or f"Run {uses or first_line}")
    word = "checkout" if uses.startswith("actions/checkout@") else key
    return PlannedStep(name, key, STEP_SECONDS.get(word, STEP_SECONDS_ELSE))


def accept_inputs(workflow: Workflow, given: Mapping[str, Any]) -> dict[str, str]:
    """The inputs of a run: what was given, and the defaults of the rest.

    Raises:
        GithubError: 422, as GitHub words it.
    """
    if workflow.inputs is None:
        unprocessable("Workflow does not have 'workflow_dispatch' trigger")
    declared = {each.name: each for each in workflow.inputs}
    if unknown := [name for name in given if name not in declared]:
        unprocessable(f"Unexpected inputs provided: {_quoted(unknown)}")
    values = {name: _value(declared[name], value) for name, value in given.items()}
    for each in workflow.inputs:
        if values.get(each.name, "") == "" and each.default is not None:
            values[each.name] = each.default
        if each.required and values.get(each.name, "") == "":
            unprocessable(f"Required input '{each.name}' not provided")
        values.setdefault(each.name, "false" if each.kind == "boolean" else "")
    return values


def _value(spec: Input, value: Any) -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str):
        unprocessable(f"Invalid value for input '{spec.name}'")
    if spec.kind == "choice" and value not in spec.options:
        unprocessable(f"Provided value '{value}' for input '{spec.name}' not in the list of allowed values")
    return value


def _quoted(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"

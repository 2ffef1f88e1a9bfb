"""The shipped workflow files: their shell steps really run here, and the sandbox's GitHub reads the same files."""

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.sandbox.github.workflows import WorkflowInvalid, parse
from tests.wire.sandbox_github import PROJECT

FOLDER = PROJECT / ".github" / "workflows"
BUILD = FOLDER / "build-image.yml"
COMPONENTS = {
    "app": ("app", "Dockerfile", "locks/app.txt"),
    "bot": ("bot", "cogs", "pyproject.toml", "Dockerfile", "locks/bot.txt"),
}
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")


def step(key: str) -> dict[str, Any]:
    steps = yaml.safe_load(BUILD.read_text())["jobs"]["build"]["steps"]
    found: dict[str, Any] = next(step for step in steps if step.get("id") == key)
    return found


def run_step(key: str, folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as the runner does: bash, stopping at the first error, inputs in the environment."""
    script, temporary = folder.parent / f"{key}.sh", folder.parent / "temporary"
    script.write_text(step(key)["run"])
    temporary.mkdir(exist_ok=True)
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "RUNNER_TEMP": str(temporary), **inputs}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *IDENTITY, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone, as actions/checkout leaves it, of a repository with both components."""
    origin = tmp_path / "origin"
    for name in ("app/a.py", "bot/b.py", "cogs/c.py", "locks/app.txt", "Dockerfile", "pyproject.toml"):
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text(name)
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(origin))
    git(origin, "add", ".")
    git(origin, "commit", "--quiet", "--message=first")
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    return tmp_path / "clone"


def tag_of(folder: Path, component: str) -> str:
    """The tag by the definition, written anew: sorted paths, each with git's object id or a dash."""
    text = ""
    for path in sorted(COMPONENTS[component]):
        listed = git(folder, "ls-tree", "HEAD", "--", path).split()
        text += f"{path} {listed[2] if listed else '-'}\n"
    return "fp-" + hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("component", ["app", "bot"])
def test_the_workflow_computes_the_fingerprint_that_everybody_computes(checkout: Path, component: str) -> None:
    tag = tag_of(checkout, component)
    done = run_step("fingerprint", checkout, COMPONENT=component, SHA=git(checkout, "rev-parse", "HEAD"), TAG=tag)
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_tag_than_the_contents_own_is_refused(checkout: Path) -> None:
    done = run_step("fingerprint", checkout, COMPONENT="app", SHA="x", TAG="fp-0000000000000000")
    assert done.returncode == 1
    assert f"has the fingerprint {tag_of(checkout, 'app')}" in done.stdout


def test_a_commit_on_any_branch_passes_and_one_on_none_does_not(checkout: Path) -> None:
    origin = checkout.parent / "origin"
    git(origin, "checkout", "--quiet", "-b", "feature/x")
    git(origin, "commit", "--quiet", "--allow-empty", "--message=on a branch")
    on_branch = git(origin, "rev-parse", "HEAD")
    git(origin, "checkout", "--quiet", "--detach")
    git(origin, "commit", "--quiet", "--allow-empty", "--message=from a fork")
    git(origin, "update-ref", "refs/pull/1/head", "HEAD")
    git(checkout, "fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/pull/*:refs/pull/*")
    assert run_step("ancestry", checkout, SHA=on_branch).returncode == 0
    refused = run_step("ancestry", checkout, SHA=git(origin, "rev-parse", "refs/pull/1/head"))
    assert refused.returncode == 1
    assert "on no branch" in refused.stdout


GOOD = {"COMPONENT": "app", "SHA": "a" * 40, "TAG": "fp-0123456789abcdef", "REQUEST": "r-1_a"}


@pytest.mark.parametrize(
    "change",
    [
        {"COMPONENT": "db"},
        {"COMPONENT": "app\nbot"},
        {"SHA": "main"},
        {"SHA": "a" * 40 + "\n"},
        {"SHA": "A" * 40},
        {"TAG": "latest"},
        {"TAG": "fp-0123456789abcdef; true"},
        {"REQUEST": "$(touch gone)"},
        {"REQUEST": ""},
        {"REQUEST": "r" * 65},
    ],
)
def test_inputs_without_their_form_stop_the_workflow(tmp_path: Path, change: dict[str, str]) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    assert run_step("inputs", folder, **GOOD).returncode == 0
    assert run_step("inputs", folder, **{**GOOD, **change}).returncode == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yml")), ids=lambda file: file.name)
def test_every_action_is_pinned_to_a_commit_and_nothing_of_an_input_reaches_a_script(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        for each in job["steps"]:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each.get("uses", f"x@{'0' * 40}")), each
            assert "${{" not in each.get("run", ""), each


def test_the_sandbox_reads_the_files_that_are_shipped() -> None:
    build = parse("build-image.yml", BUILD.read_bytes())
    assert build.inputs is not None
    assert [(i.name, i.required, i.options) for i in build.inputs] == [
        ("component", True, ("app", "bot")),
        ("sha", True, ()),
        ("tag", True, ()),
        ("request", False, ()),
    ]
    keys = [step.key for step in build.jobs[0].steps if step.key]
    assert keys == ["inputs", "checkout", "ancestry", "fingerprint", "aws", "ecr", "build", "push"]
    inputs = {"component": "app", "sha": "s", "request": "r"}
    assert build.title(inputs, "") == "build app s [r]"
    checks = parse("checks.yml", (FOLDER / "checks.yml").read_bytes())
    assert checks.inputs is None
    assert [job.name for job in checks.jobs] == ["app", "bot", "workflows"]


@pytest.mark.parametrize("text", [b"", b"- a", b"on: push", b"jobs: 5", b"a: [", b"\xff\xfe\x00"])
def test_what_is_no_workflow_is_said_to_be_none(text: bytes) -> None:
    with pytest.raises(WorkflowInvalid):
        parse("x.yml", text)

"""Where act runs an attempt: a folder with the workflow at its commit, the event, and programs that stand for others.

act 0.2 refuses two keys that GitHub has taken up since; they are left out of the copy that it reads.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.sandbox.cast import AWS_ACCOUNT, AWS_REGION, GITHUB_REPOSITORY
from bot.sandbox.github.act import step_shell
from bot.sandbox.github.git import run_git
from bot.sandbox.github.people import OWNER
from bot.sandbox.github.runs import Run
from bot.sandbox.github.shapes import DEFAULT_BRANCH
from bot.sandbox.host.machine_files import write_program

HERE = Path(__file__).resolve().parent
STUBS = HERE / "stubs"
SHIM = HERE.parents[1] / "host" / "shim.py"
NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody serves: an action without a stand-in fails at once instead of coming from the internet."""
VARIABLES = {
    "AWS_REGION": AWS_REGION,
    "AWS_BUILD_ROLE_ARN": f"arn:aws:iam::{AWS_ACCOUNT}:role/quarterdeck-build",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One attempt's folder. `mark` is in the environment of every process of the attempt, and of no other."""

    folder: Path
    run: Run
    mark: str

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def workspaces(self) -> Path:
        """Where act makes one folder a job."""
        return self.folder / "cache"

    def lay_out(self, *, repository: Path, socket: Path) -> None:
        """Make the folder; whatever an earlier world left in it goes.

        Raises:
            GitFailed: the commit is not in the repository.
            OSError: it cannot be written.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        for folder in (self.home, self.workspaces):
            folder.mkdir(parents=True)
        actrc = self.home / ".config" / "act" / "actrc"
        actrc.parent.mkdir(parents=True)
        actrc.touch()
        self._clone(repository)
        file = self.source / self.run.path
        file.write_text(without_news(file.read_text(encoding="utf-8")), encoding="utf-8")
        (self.folder / "event.json").write_text(json.dumps(self._event()), encoding="utf-8")
        self._write_programs(socket)

    def _clone(self, repository: Path) -> None:
        source = ["-C", str(self.source)]
        run_git(["clone", "--quiet", "--shared", "--no-checkout", str(repository), str(self.source)], home=self.folder)
        run_git([*source, "checkout", "--quiet", "-B", self.run.branch, self.run.sha], home=self.folder)
        run_git([*source, "remote", "remove", "origin"], home=self.folder)

    def _event(self) -> dict[str, Any]:
        name = GITHUB_REPOSITORY.split("/", 1)[1]
        repository = {"default_branch": DEFAULT_BRANCH, "full_name": GITHUB_REPOSITORY, "name": name}
        event: dict[str, Any] = {"repository": repository | {"owner": {"login": OWNER}}, "ref": self._ref}
        if self.run.event == "workflow_dispatch":
            event["inputs"] = self.run.inputs
        elif self.run.event == "push":
            event["after"] = self.run.sha
        return event

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.run.branch}"

    def _write_programs(self, socket: Path) -> None:
        python = shlex.quote(sys.executable)
        shim = f"{python} -I -S {shlex.quote(str(SHIM))} {shlex.quote(str(socket))}"
        place = '"$PWD" "$RUNNER_TEMP" "$QUARTERDECK_RUN"'
        real = shutil.which("curl") or "curl"
        curl = f"exec {python} -I -S {shlex.quote(str(HERE / 'curl_shim.py'))} {shlex.quote(real)}"
        lines = {
            "docker": f'exec {shim} docker {place} "$@"',
            "aws": f'exec {shim} aws {place} "$@"',
            "curl": f'{curl} "$@"',
            "python3": f'exec {python} "$@"',
            **step_shell.scripts(wait=f"{shim} end-of-output {place}"),
        }
        for name, line in lines.items():
            write_program(self.folder / "bin" / name, f"#!/bin/sh\n{line}\n")

    def environ(self, *, repository: Path) -> dict[str, str]:
        """The whole environment of act, which its steps inherit; nothing of the sandbox's own is in it."""
        path = [str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        return {
            "PATH": os.pathsep.join(path),
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.workspaces),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            # act gives every step a terminal, which GitHub does not: nothing may wait at it for a key.
            "GIT_PAGER": "cat",
            "PAGER": "cat",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "http_proxy": NOWHERE,
            "https_proxy": NOWHERE,
            "no_proxy": "127.0.0.1,localhost",
            "QUARTERDECK_ORIGIN": str(repository),
            "QUARTERDECK_RUN": self.mark,
        }

    def command(self, program: Path) -> list[str]:
        """Act's own arguments."""
        run = self.run
        told = {"GITHUB_RUN_ID": run.id, "GITHUB_RUN_NUMBER": run.number, "GITHUB_RUN_ATTEMPT": run.attempt}
        fixed = ["--platform", "ubuntu-24.04=-self-hosted", "--no-cache-server", "--no-skip-checkout", "--json"]
        fixed += ["--actor", run.actor]
        places = [
            "--directory",
            str(self.source),
            "--workflows",
            run.path,
            "--eventpath",
            str(self.folder / "event.json"),
        ]
        environ = {"GITHUB_REPOSITORY": GITHUB_REPOSITORY, **told}
        settings = [word for name, value in environ.items() for word in ("--env", f"{name}={value}")]
        settings += [word for name, value in VARIABLES.items() for word in ("--var", f"{name}={value}")]
        text = (self.source / run.path).read_text(encoding="utf-8")
        stubs = [w for uses, stub in stand_ins(yaml.safe_load(text)) for w in ("--local-repository", f"{uses}={stub}")]
        return [str(program), run.event, *fixed, *places, *settings, *stubs]

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def stand_ins(workflow: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    """(`owner/name@ref`, folder) for every action of the workflow that a stand-in exists for, each once."""
    used = {
        str(step["uses"])
        for job in workflow["jobs"].values()
        for step in job.get("steps") or ()
        if isinstance(step, dict) and "uses" in step
    }
    for uses in sorted(used):
        stub = STUBS / uses.partition("@")[0]
        if (stub / "action.yml").is_file() and ".." not in uses:
            yield uses, stub


def without_news(text: str) -> str:
    """The workflow without `environment.deployment` and `concurrency.queue`; as it stands where it has neither."""
    workflow = yaml.safe_load(text)
    places = [workflow, *workflow["jobs"].values()]
    pairs = [(place.get(key), news) for place in places for key, news in NEWS.items() if isinstance(place, dict)]
    found = [(inner, news) for inner, news in pairs if isinstance(inner, dict) and news in inner]
    if not found:
        return text
    for inner, news in found:
        del inner[news]
    if True in workflow:  # YAML 1.1 reads the bare word `on` as true
        workflow = {"on": workflow.pop(True), **workflow}
    return yaml.safe_dump(workflow, sort_keys=False)


NEWS = {"environment": "deployment", "concurrency": "queue"}

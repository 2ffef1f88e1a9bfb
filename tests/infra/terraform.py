"""The real Terraform with the real AWS provider: where they are found, how they are shielded, and how they are run.

Runs happen in a copy of `infra/` outside the tree, each in a process group of its own with a time limit. Beside what
the checkout has, the copy has one `provider_override.tf` in every root: moto answers 500 for calls that it lacks, which
the provider would repeat for minutes.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
ENVIRONMENTS = ("control", "dev", "prod")
REGION = "eu-central-1"
ACCESS_KEY, SECRET_KEY = "testing", "testing"
MIRROR = "QUARTERDECK_TF_MIRROR"
MIRROR_NAME = "registry.terraform.io"
MIRROR_ROOTS = (Path("/opt"), Path("/usr/share"), Path("/usr/local/share"))
TERRAFORM = shutil.which("terraform")
LIMIT_S, GRACE_S = 200.0, 30.0
MAX_RETRIES = 1
ALIAS = re.compile(r'^\s*alias\s*=\s*"(\w+)"', re.MULTILINE)
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")
EMPTY: tuple[Any, ...] = (None, {}, [], "")


def mirror() -> Path | None:
    """The folder of a filesystem mirror that holds the AWS provider, as `MIRROR` says or where such folders lie."""
    named = os.environ.get(MIRROR)
    places = [Path(named)] if named else [p for root in MIRROR_ROOTS for p in (root, *_folders(root))]
    for place in places:
        if (place / MIRROR_NAME / "hashicorp" / "aws").is_dir():
            return place
    return None


def _folders(root: Path) -> Iterator[Path]:
    for pattern in ("*", "*/*"):
        yield from sorted(p for p in root.glob(pattern) if (p / MIRROR_NAME).is_dir())


def missing() -> str:
    """What is absent, in a sentence; empty when Terraform can run."""
    if TERRAFORM is None:
        return "terraform is not on PATH"
    if mirror() is None:
        looked = os.environ.get(MIRROR) or ", ".join(map(str, MIRROR_ROOTS))
        return f"no mirror of Terraform's AWS provider ({MIRROR_NAME}/hashicorp/aws) in {looked}; {MIRROR} names one"
    return ""


def need() -> None:
    """Skip by name where Terraform or its provider is absent."""
    if reason := missing():
        pytest.skip(reason, allow_module_level=True)


GOGC = "400"
"""Go collects garbage less often: a third less CPU for a run of the provider, whose schemas are most of its memory."""


def environment(work: Path, endpoint: str = "") -> dict[str, str]:
    """All of the environment that Terraform gets: the mirror, dummy keys, one region and, if given, one endpoint.

    Without an endpoint it points at a port where nothing listens: no run may reach a real account. Writes `work/tfrc`.
    """
    work.mkdir(parents=True, exist_ok=True)
    tfrc = work / "tfrc"
    tfrc.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror()}"\n  }}\n}}\n')
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    nowhere = dict.fromkeys(("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"), os.devnull)
    return {
        **kept,
        **nowhere,
        "AWS_ENDPOINT_URL": endpoint or "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CHECKPOINT_DISABLE": "1",
        "GOGC": GOGC,
        "TF_CLI_CONFIG_FILE": str(tfrc),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
    }


def copy_infra(work: Path, *, source: Path = INFRA) -> Path:
    """A copy of `infra/` under `work` with the override in every root; returns its folder."""
    copied = work / "infra"
    ignored = shutil.ignore_patterns(".terraform", "*.tfstate*", "backend.hcl", "*.tfplan")
    shutil.copytree(source, copied, ignore=ignored, symlinks=True)
    for root in (copied / "bootstrap", *(copied / "environments" / name for name in ENVIRONMENTS)):
        if root.is_dir():
            (root / "provider_override.tf").write_text(_override(root))
    return copied


def _override(root: Path) -> str:
    """The root's provider, and each of its aliases, with few repetitions."""
    written = "".join(file.read_text() for file in sorted(root.glob("*.tf")))
    named = ["", *(f'  alias = "{alias}"\n' for alias in ALIAS.findall(written))]
    return "".join(f'provider "aws" {{\n{alias}  max_retries = {MAX_RETRIES}\n}}\n' for alias in named)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of Terraform said. `events` are the objects of `-json`, `text` is everything else."""

    argv: tuple[str, ...]
    code: int
    events: tuple[Mapping[str, Any], ...]
    text: str
    seconds: float

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [event for event in self.events if event.get("type") == kind]

    @property
    def planned(self) -> dict[str, str]:
        """What a plan would do: address and action."""
        changes = (event["change"] for event in self.of("planned_change"))
        return {change["resource"]["addr"]: change["action"] for change in changes}

    @property
    def drifted(self) -> dict[str, str]:
        """What was changed outside Terraform: address and action."""
        changes = (event["change"] for event in self.of("resource_drift"))
        return {change["resource"]["addr"]: change["action"] for change in changes}

    @property
    def done(self) -> list[str]:
        """The resources that an apply or destroy has finished with, in its order."""
        hooks = (event["hook"] for event in self.of("apply_complete"))
        return [hook["resource"]["addr"] for hook in hooks if hook["action"] != "read"]

    @property
    def outputs(self) -> dict[str, Any]:
        """What an apply has put out last; sensitive values are not in it."""
        found = self.of("outputs")[-1]["outputs"] if self.of("outputs") else {}
        return {name: one.get("value") for name, one in found.items()}

    @property
    def errors(self) -> list[str]:
        """Each error: summary, detail and the address that it is about."""
        found = [event["diagnostic"] for event in self.of("diagnostic")]
        wrong = [one for one in found if one["severity"] == "error"]
        return [f"{one['summary']}: {one.get('detail', '')} [{one.get('address', '')}]" for one in wrong]

    def ok(self, *codes: int) -> "Run":
        """This run, when it ended with 0 or one of these codes.

        Raises:
            AssertionError: it ended otherwise; the text has its errors.
        """
        said = "\n".join(self.errors) or self.text[-4000:]
        assert self.code in (0, *codes), (
            f"{' '.join(self.argv)} ended with {self.code} in {self.seconds:.1f} s:\n{said}"
        )
        return self


@dataclass(frozen=True, slots=True)
class Beside:
    """A process that goes on beside the test, in a group of its own. It writes to files: a pipe that nobody reads fills
    up, and the process would wait until somebody does.
    """

    process: subprocess.Popen[bytes]
    out: Path
    err: Path
    began: float

    @classmethod
    def start(cls, argv: Sequence[str], *, directory: Path, environ: Mapping[str, str]) -> "Beside":
        folder = Path(tempfile.mkdtemp(prefix="said-", dir=directory))
        out, err = folder / "out", folder / "err"
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(
                argv,
                cwd=directory,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                start_new_session=True,
            )
        return cls(process, out, err, time.time())

    def wait(self, limit_s: float) -> tuple[str, str, float]:
        """What it wrote to both, and its seconds; at the limit its whole group is interrupted, and later killed."""
        late = ""
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            late = f"\nIt was interrupted after {limit_s:.0f} s."
            self._stop()
        # It may have ended long ago: the last that it wrote is its end.
        ended = max(self.began, self.out.stat().st_mtime, self.err.stat().st_mtime)
        return self.out.read_text(), f"{self.err.read_text()}{late}", ended - self.began

    def _stop(self) -> None:
        """Interrupt the group once, as a person would; kill it when that takes too long."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass(frozen=True, slots=True)
class Started:
    """A run of Terraform that goes on beside the test."""

    beside: Beside
    argv: tuple[str, ...]

    def end(self, *, limit_s: float = LIMIT_S) -> Run:
        """Wait for it, as `Beside.wait` does."""
        out, err, seconds = self.beside.wait(limit_s)
        events, rest = _read(out)
        return Run(self.argv, self.beside.process.returncode, events, f"{rest}{err}", seconds)


@dataclass(frozen=True)
class Stack:
    """One root in the copy, with the environment that its runs get and the variables that they are given."""

    directory: Path
    environ: Mapping[str, str]
    variables: Mapping[str, Any] = field(default_factory=dict)

    def start(self, *argv: str, **environ: str) -> Started:
        """Begin `terraform ARGV` in the root."""
        assert TERRAFORM is not None
        command = (TERRAFORM, *argv)
        beside = Beside.start(command, directory=self.directory, environ={**self.environ, **environ})
        return Started(beside, command)

    def run(self, *argv: str, limit_s: float = LIMIT_S, **environ: str) -> Run:
        return self.start(*argv, **environ).end(limit_s=limit_s)

    def init(self, *arguments: str) -> Run:
        return self.run("init", "-input=false", "-no-color", *arguments).ok()

    def plan(self, *arguments: str, out: str = "", **variables: Any) -> Run:
        """`plan -json -detailed-exitcode`; `variables` change the stack's own for this run."""
        saved = (f"-out={out}",) if out else ()
        given = self.given(variables)
        return self.run("plan", "-json", "-input=false", "-detailed-exitcode", *saved, *given, *arguments)

    def apply(self, *arguments: str, saved: str = "", **variables: Any) -> Run:
        """`apply -json` of a saved plan, or of a new one without a question."""
        what = (*arguments, saved) if saved else ("-auto-approve", *self.given(variables), *arguments)
        return self.run("apply", "-json", "-input=false", *what)

    def destroy(self, *arguments: str, **variables: Any) -> Run:
        given = self.given(variables)
        return self.run("destroy", "-json", "-input=false", "-auto-approve", *given, *arguments)

    def show(self, saved: str = "") -> dict[str, Any]:
        """A saved plan, or the state, as data."""
        run = self.run("show", "-json", *((saved,) if saved else ())).ok()
        found: dict[str, Any] = dict(run.events[0])
        return found

    def outputs(self) -> dict[str, Any]:
        run = self.run("output", "-json").ok()
        found: dict[str, Any] = json.loads(run.text or "{}")
        return {name: one["value"] for name, one in found.items()}

    def given(self, changed: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """The arguments that hand over the variables: a file, where null is null."""
        with tempfile.NamedTemporaryFile(
            "w", dir=self.directory, prefix="given-", suffix=".tfvars.json", delete=False
        ) as file:
            json.dump({**self.variables, **(changed or {})}, file)
        return (f"-var-file={file.name}",)


def _read(out: str) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """The JSON objects that stand on lines of their own, and the other lines."""
    events: list[Mapping[str, Any]] = []
    rest: list[str] = []
    for line in out.splitlines():
        try:
            found = json.loads(line) if line.startswith("{") else None
        except ValueError:
            found = None
        if isinstance(found, dict):
            events.append(found)
        else:
            rest.append(line)
    return tuple(events), "".join(f"{line}\n" for line in rest)


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The paths at which two values differ; what is absent and what is empty count as the same."""
    if before in EMPTY and after in EMPTY:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}[{at}]")
    elif before != after:
        yield path

"""Every check of infra/ that needs no cloud, two at a time, each with its seconds:  python -m tests.infra.lint [WORD]

With a word only the checks whose name has it. What is absent is skipped by name, or fails under
QUARTERDECK_TEST_STRICT=1. Terraform runs in copies of the tree. The provider, which is slow to start, is started once
and shared: all of these runs ask it for its schema only.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.infra import documents, module_rules, terraform, units

ROOT = terraform.ROOT
INFRA = terraform.INFRA
CHECKOV = ROOT / ".cache" / "checkov"
ATTACH = re.compile(r"TF_REATTACH_PROVIDERS='(.*)'")
STRICT = os.environ.get("QUARTERDECK_TEST_STRICT") == "1"
LIMIT_S = 600


class Absent(Exception):
    """A part that a check needs is not here; the text names it."""


@dataclass(frozen=True, slots=True)
class Check:
    """`run` returns complaints; none is good."""

    name: str
    run: Callable[[], list[str]]


def said(argv: list[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> list[str]:
    """Run a program that complains by its exit code: what it said then."""
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    return [] if done.returncode == 0 else [f"{done.stdout}{done.stderr}".strip() or f"{argv[0]} ended with an error"]


def program(name: str) -> str:
    """A program of the environment or of the machine.

    Raises:
        Absent: it is in neither.
    """
    own = ROOT / ".venv" / "bin" / name
    found = str(own) if own.is_file() else shutil.which(name)
    if found is None:
        raise Absent(f"{name} is not installed")
    return found


def tracked(*patterns: str) -> list[str]:
    """The files that belong to the tree, new ones too."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({name for name in listed if (ROOT / name).is_file()})


# ---- single files ----------------------------------------------------------------------------------------------------


def shell() -> list[str]:
    scripts = [n for n in tracked("infra") if n.endswith(".sh") or _is_shell(ROOT / n)]
    return said([program("shellcheck"), "--external-sources", "--source-path=SCRIPTDIR", *scripts])


def _is_shell(file: Path) -> bool:
    with file.open("rb") as opened:
        return re.match(rb"#!.*[/ ](ba)?sh( |$)", opened.readline(64).rstrip()) is not None


def dockerfiles() -> list[str]:
    return said([program("hadolint"), *tracked("*Dockerfile*")])


def yaml() -> list[str]:
    files = tracked("infra/*.yml", "infra/*.yaml")
    return said([program("yamllint"), "--strict", *files]) if files else ["there is no YAML file under infra/"]


def packer() -> list[str]:
    return said([program("packer"), "fmt", "-check", "-diff", str(INFRA / "packer")])


def explained() -> list[str]:
    return module_rules.unexplained(INFRA)


# ---- Terraform -------------------------------------------------------------------------------------------------------


def formatted() -> list[str]:
    if reason := terraform.missing():
        raise Absent(reason)
    return said([str(terraform.TERRAFORM), "fmt", "-check", "-recursive", "-diff", str(INFRA)])


@contextmanager
def provider(environ: dict[str, str]) -> Iterator[str]:
    """The provider as a server of its own; yields what Terraform needs to find it."""
    mirror = terraform.mirror()
    assert mirror is not None
    (binary,) = sorted((mirror / terraform.MIRROR_NAME).glob("hashicorp/aws/*/*/terraform-provider-aws*"))[-1:]
    with subprocess.Popen(
        [binary, "-debug"],
        env=environ,
        text=True,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdout is not None
        try:
            found = next((m for m in map(ATTACH.search, server.stdout) if m), None)
            if found is None:
                raise RuntimeError(f"{binary.name} did not start as a server")
            yield found[1]
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def terraform_checks(copied: Path, environ: dict[str, str]) -> list[Check]:
    """For every root and module: validate, and its tests."""

    def check(folder: Path) -> list[str]:
        if wrong := said([tf, "init", "-backend=false", "-input=false", "-no-color"], cwd=folder, env=environ):
            return wrong
        if wrong := said([tf, "validate", "-no-color"], cwd=folder, env=environ):
            return wrong
        tests = any((folder / "tests").glob("*.tftest.hcl"))
        return said([tf, "test", "-no-color"], cwd=folder, env=environ) if tests else []

    tf = str(terraform.TERRAFORM)
    folders = [*module_rules.modules(copied), *module_rules.roots(copied)]
    # Those with the most tests first, so that none of them is the last one alone.
    folders.sort(key=lambda folder: -sum(file.stat().st_size for file in folder.glob("tests/*.tftest.hcl")))
    return [
        Check(f"terraform validate, test: {folder.relative_to(copied)}", partial(check, folder)) for folder in folders
    ]


# ---- checkov ---------------------------------------------------------------------------------------------------------


def checkov(copied: Path) -> list[str]:
    """What checkov finds, and suppressions that suppress nothing any more."""
    own = CHECKOV / "bin" / "checkov"
    if not own.is_file():
        raise Absent("checkov is not installed (.ci/checkov)")
    argv = [str(own), "--directory", str(copied), "--framework", "terraform", "--skip-download", "--output", "json"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    argv += ["--compact", "--skip-path", "tests"]
    done = subprocess.run(argv, env=kept, capture_output=True, text=True, check=False, timeout=LIMIT_S, cwd=copied)
    if done.returncode not in (0, 1):
        return [f"checkov ended with {done.returncode}: {done.stderr[-2000:]}"]
    results = json.loads(done.stdout)["results"]
    found = {f"{_place(one)}: {one['check_id']} {one['check_name']}" for one in results["failed_checks"]}
    used = {(one["file_path"].lstrip("/"), one["check_id"]) for one in results["skipped_checks"]}
    stale = [key for key in module_rules.suppressions(copied) if key not in used]
    return sorted(found) + [f"{file}: the suppression of {check} suppresses nothing" for file, check in stale]


def _place(one: dict[str, Any]) -> str:
    return f"{one['file_path'].lstrip('/')}:{one['file_line_range'][0]} ({one['resource']})"


# ---- all -------------------------------------------------------------------------------------------------------------


def plain_checks(copied: Path) -> list[Check]:
    return [
        Check("checkov", lambda: checkov(copied)),
        Check("rules of roots and modules", lambda: module_rules.complaints(INFRA)),
        Check("suppressions are explained", explained),
        Check("terraform fmt", formatted),
        Check("packer fmt", packer),
        Check("shellcheck", shell),
        Check("hadolint", dockerfiles),
        Check("yamllint", yaml),
        Check("SSM documents", lambda: documents.complaints(INFRA / "host" / "ssm", program("shellcheck"))),
        Check("systemd units", lambda: units.complaints(INFRA / "host")),
    ]


def outcome(check: Check) -> tuple[float, str, list[str]]:
    """Its seconds, the word for it, and its complaints."""
    began = time.monotonic()
    try:
        complaints = check.run()
    except Absent as absent:
        word, complaints = ("absent", [str(absent)]) if STRICT else (f"skipped: {absent}", [])
    except subprocess.TimeoutExpired as late:
        word, complaints = "too slow", [str(late)]
    else:
        word = "not clean" if complaints else "ok"
    return time.monotonic() - began, word, complaints


def run_all(checks: list[Check]) -> Counter[str]:
    """Run them two at a time and print each when it is done; counts those with complaints under `failed`."""
    counted: Counter[str] = Counter()
    with ThreadPoolExecutor(2) as pool:
        began = {pool.submit(outcome, check): check for check in checks}
        for future in as_completed(began):
            seconds, word, complaints = future.result()
            print(f"lint-infra: {seconds:5.1f} s  {began[future].name}: {word}", flush=True)
            for text in complaints:
                print("\n".join(f"    {line}" for line in text.splitlines()), flush=True)
            counted["failed" if complaints else "good"] += 1
    return counted


def main(word: str = "") -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="qd-lint-") as folder:
        work = Path(folder)
        copied = work / "infra"
        shutil.copytree(INFRA, copied, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "__pycache__"))
        checks = plain_checks(copied)
        if terraform.missing():
            counted = run_all([check for check in checks if word in check.name])
            print(f"lint-infra: skipped: Terraform's own checks: {terraform.missing()}")
            counted["failed"] += STRICT
        else:
            environ = terraform.environment(work / "terraform")
            with provider(environ) as attached:
                # The long ones first; checkov's memory is better not needed beside another's at the end.
                checks[1:1] = terraform_checks(copied, {**environ, "TF_REATTACH_PROVIDERS": attached})
                counted = run_all([check for check in checks if word in check.name])
    result = f"{counted['failed']} not clean" if counted["failed"] else "clean"
    print(f"lint-infra: {result}; {counted.total()} checks in {time.monotonic() - began:.0f} s")
    return 1 if counted["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))

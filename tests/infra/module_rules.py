"""What every Terraform root and module under infra/ keeps to, found by reading: each rule yields complaints."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.infra import hcl
from tests.infra.hcl import Block

SENTENCE = re.compile(r"[A-Za-z].{15,}[.:)]?$", re.DOTALL)
ROOT_FILES = ("terraform.tf", "providers.tf", "main.tf", "variables.tf", "outputs.tf")
MODULE_FILES = ("terraform.tf", "main.tf", "variables.tf", "outputs.tf", "README.md")
SUPPRESSION = re.compile(r"#\s*checkov:skip\s*=\s*([A-Z0-9_]+)\s*(?::(.*))?$", re.MULTILINE)


def roots(infra: Path) -> list[Path]:
    """The folders from which Terraform is run."""
    return [p for p in (infra / "bootstrap", *sorted((infra / "environments").glob("*"))) if any(p.glob("*.tf"))]


def modules(infra: Path) -> list[Path]:
    return sorted(p for p in (infra / "modules").glob("*") if any(p.glob("*.tf")))


def complaints(infra: Path) -> list[str]:
    """All that is against the rules."""
    found: list[str] = []
    for folder in (*roots(infra), *modules(infra)):
        is_root = folder.parent.name != "modules"
        for rule in (files, declared, two_sided):
            found += [f"{folder.relative_to(infra.parent)}: {text}" for text in rule(folder, is_root)]
    return found


def files(folder: Path, is_root: bool) -> Iterator[str]:
    """The names of HashiCorp's style guide; a lock file in roots only; versions pinned."""
    for name in ROOT_FILES if is_root else MODULE_FILES:
        if not (folder / name).is_file():
            yield f"{name} is missing"
    locked = (folder / ".terraform.lock.hcl").is_file()
    if locked != is_root:
        yield "its .terraform.lock.hcl is missing" if is_root else "a lock file belongs into roots only"
    if not is_root and not any((folder / "tests").glob("*.tftest.hcl")):
        yield "it has no tests/*.tftest.hcl"
    text = "".join(file.read_text() for file in sorted(folder.glob("*.tf")))
    if not re.search(r'required_version\s*=\s*">= 1\.1[01]"', text):
        yield 'required_version is not ">= 1.10" or ">= 1.11"'
    if not re.search(r'version\s*=\s*"~> 5\.90"', text):
        yield 'the AWS provider is not pinned to "~> 5.90"'


def declared(folder: Path, is_root: bool) -> Iterator[str]:
    """Variables typed, described and, where a value can be wrong, refused with a sentence; outputs described."""
    for block in _blocks(folder):
        name = " ".join((block.kind, *block.labels))
        if block.kind in ("variable", "output") and len(block.attributes.get("description", "")) < 12:
            yield f"{name} has no description"
        if block.kind != "variable":
            continue
        if "type" not in block.attributes:
            yield f"{name} has no type"
        for validation in block.of("validation"):
            message = validation.attributes.get("error_message", "").strip('"')
            if not SENTENCE.match(message):
                yield f"{name}: its error_message is no sentence"


def two_sided(folder: Path, is_root: bool) -> Iterator[str]:
    """For each validation a run that expects its variable to fail, and a run in which the variable's value passes."""
    validated = {b.labels[0]: b for b in _blocks(folder) if b.kind == "variable" and b.of("validation")}
    tests = sorted((folder / "tests").glob("*.tftest.hcl"))
    if is_root and not tests:
        return
    refused: Counter[str] = Counter()
    passed: set[str] = set()
    for file in tests:
        content = hcl.read(file)
        common = {name for block in content.of("variables") for name in block.attributes}
        for run in content.of("run"):
            expected = set(re.findall(r"var\.(\w+)", run.attributes.get("expect_failures", "")))
            refused.update(expected)
            given = {name for block in run.of("variables") for name in block.attributes}
            if not expected:
                passed |= common | given | {n for n, b in validated.items() if "default" in b.attributes}
    for name, block in validated.items():
        wanted = len(block.of("validation"))
        if refused[name] < wanted:
            yield f"variable {name}: {wanted} validations, but {refused[name]} runs expect it to be refused"
        if name not in passed:
            yield f"variable {name}: no run in which its value passes"


def unexplained(infra: Path) -> list[str]:
    """Suppressions of checkov's without a reason that says something."""
    found = []
    for file in sorted(p for pattern in ("*.tf", "*.yaml", "Dockerfile*") for p in infra.rglob(pattern)):
        for match in SUPPRESSION.finditer(file.read_text(encoding="utf-8")):
            reason = (match[2] or "").strip()
            if len(reason) < 15 or " " not in reason:
                found.append(f"{file.relative_to(infra.parent)}: {match[1]} is skipped without a reason")
    return found


def suppressions(infra: Path) -> Counter[tuple[str, str]]:
    """How often each file skips each check."""
    counted: Counter[tuple[str, str]] = Counter()
    for file in sorted(infra.rglob("*.tf")):
        counted.update((str(file.relative_to(infra)), m[1]) for m in SUPPRESSION.finditer(file.read_text()))
    return counted


def _blocks(folder: Path) -> list[Block]:
    return [block for file in sorted(folder.glob("*.tf")) for block in hcl.read(file).blocks]

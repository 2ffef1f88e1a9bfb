"""The checks of infra/ themselves: each names what is made wrong here, and has nothing to say about the tree."""

import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.infra import documents, hcl, lint, module_rules, terraform, units

SHELLCHECK = lint.program("shellcheck")
TERRAFORM_TF = """\
terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.90" }
  }
}
"""
VARIABLES_TF = """\
variable "name" {
  type        = string
  description = "The prefix of every name."

  validation {
    condition     = can(regex("^[a-z]+$", var.name))
    error_message = "The name must be of lower-case letters."
  }
  validation {
    condition     = length(var.name) < 9
    error_message = "The name must be of at most eight letters."
  }
}
"""
OUTPUTS_TF = 'output "name" {\n  description = "The prefix of every name."\n  value       = var.name\n}\n'
TESTS = """\
run "passes" {
  command = plan
  variables { name = "quarter" }
}
run "refuses_capitals" {
  command = plan
  variables { name = "Q" }
  expect_failures = [var.name]
}
run "refuses_long_names" {
  command = plan
  variables { name = "quarterdeck" }
  expect_failures = [var.name]
}
"""
MODULE = {
    "terraform.tf": TERRAFORM_TF,
    "main.tf": "",
    "variables.tf": VARIABLES_TF,
    "outputs.tf": OUTPUTS_TF,
    "README.md": "# A module\n",
    "tests/name.tftest.hcl": TESTS,
}
DOCUMENT = """\
schemaVersion: "2.2"
description: Say something.
parameters:
  Word:
    type: String
    description: What to say.
    allowedPattern: "^[a-z]+$"
    interpolationType: ENV_VAR
mainSteps:
  - action: aws:runShellScript
    name: say
    inputs:
      timeoutSeconds: "10"
      runCommand:
        - exec echo "$SSM_Word"
"""


def module(infra: Path, **changed: str) -> Path:
    """A module that keeps every rule but for the files that are changed (`__` stands for a dot)."""
    folder = infra / "modules" / "sample"
    files = MODULE | {name.replace("__", "."): text for name, text in changed.items()}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def one(found: Iterable[str], wanted: str) -> bool:
    """Whether there is exactly one complaint, and it says that."""
    return [wanted in text for text in found] == [True]


# ---- the tree --------------------------------------------------------------------------------------------------------


def test_every_root_and_module_keeps_the_rules() -> None:
    assert module_rules.complaints(terraform.INFRA) == []
    assert len(module_rules.modules(terraform.INFRA)) >= 13
    assert len(module_rules.roots(terraform.INFRA)) == 4


def test_every_suppression_has_a_reason() -> None:
    assert module_rules.unexplained(terraform.INFRA) == []


def test_every_ssm_document_keeps_the_rules() -> None:
    assert documents.complaints(terraform.INFRA / "host" / "ssm", SHELLCHECK) == []


def test_systemd_understands_every_unit_and_none_is_exposed() -> None:
    assert units.complaints(terraform.INFRA / "host") == []


# ---- reading HCL -----------------------------------------------------------------------------------------------------


def test_what_stands_in_texts_and_comments_is_no_structure() -> None:
    text = """
    # variable "commented" {
    variable "a" { # {
      type = map(object({ b = optional(string, "}") }))
      description = "a } b ${jsonencode({ c = "}" })} \\" {"
      /* validation { */
      default = <<-EOT
        validation {
      EOT
    }
    // }
    variable "b" { type = string }
    """
    read = hcl.parse(textwrap.dedent(text))
    assert [(block.kind, *block.labels) for block in read.blocks] == [("variable", "a"), ("variable", "b")]
    first = read.blocks[0]
    assert list(first.attributes) == ["type", "description", "default"]
    assert first.attributes["type"] == 'map(object({ b = optional(string, "}") }))'
    assert first.blocks == []


def test_a_block_that_is_not_closed_is_refused() -> None:
    with pytest.raises(ValueError, match="not closed"):
        hcl.parse('variable "a" {\n  type = string\n')


# ---- rules of modules ------------------------------------------------------------------------------------------------


def test_a_module_that_keeps_the_rules_has_no_complaints(tmp_path: Path) -> None:
    module(tmp_path / "infra")
    assert module_rules.complaints(tmp_path / "infra") == []


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"terraform__tf": TERRAFORM_TF.replace("~> 5.90", ">= 5")}, "not pinned"),
        ({"terraform__tf": TERRAFORM_TF.replace(">= 1.10", ">= 1.5")}, "required_version"),
        ({"variables__tf": VARIABLES_TF.replace("  type        = string\n", "")}, "has no type"),
        ({"variables__tf": VARIABLES_TF.replace("The prefix of every name.", "")}, "has no description"),
        ({"variables__tf": VARIABLES_TF.replace("The name must be of lower-case letters.", "bad")}, "no sentence"),
        ({"outputs__tf": OUTPUTS_TF.replace("The prefix of every name.", "")}, "has no description"),
        ({"__terraform__lock__hcl": ""}, "belongs into roots only"),
    ],
)
def test_a_module_against_a_rule_is_named(tmp_path: Path, changed: dict[str, str], complaint: str) -> None:
    module(tmp_path / "infra", **changed)
    assert one(module_rules.complaints(tmp_path / "infra"), complaint)


@pytest.mark.parametrize(
    ("gone", "complaint"),
    [
        ("refuses_long_names", "2 validations, but 1 runs expect it to be refused"),
        ("passes", "no run in which its value passes"),
    ],
)
def test_a_validation_with_one_side_tested_is_named(tmp_path: Path, gone: str, complaint: str) -> None:
    folder = module(tmp_path / "infra")
    runs = TESTS.split('run "')[1:]
    kept = "".join(f'run "{run}' for run in runs if not run.startswith(gone))
    (folder / "tests" / "name.tftest.hcl").write_text(kept)
    assert one(module_rules.complaints(tmp_path / "infra"), complaint)


@pytest.mark.parametrize("reason", ["", ":", ":ok", ":because-it-is-so-and-so"])
def test_a_suppression_without_a_reason_is_named(tmp_path: Path, reason: str) -> None:
    module(tmp_path / "infra", main__tf=f'resource "aws_s3_bucket" "a" {{\n  #checkov:skip=CKV_AWS_18{reason}\n}}\n')
    assert one(module_rules.unexplained(tmp_path / "infra"), "CKV_AWS_18 is skipped without a reason")


def test_what_terraform_says_of_a_broken_module_is_told(tmp_path: Path) -> None:
    terraform.need()
    folder = module(tmp_path / "infra", terraform__tf="")
    (check,) = lint.terraform_checks(tmp_path / "infra", terraform.environment(tmp_path / "work"))
    assert check.run() == []
    (folder / "tests" / "name.tftest.hcl").write_text(TESTS.replace('"Q"', '"q"'))
    assert one(check.run(), "Missing expected failure")
    (folder / "main.tf").write_text("locals {\n  a = var.nothing\n}\n")
    assert one(check.run(), "Reference to undeclared input variable")


# ---- SSM documents ---------------------------------------------------------------------------------------------------


def test_a_document_that_keeps_the_rules_has_no_complaints(tmp_path: Path) -> None:
    (tmp_path / "say.yaml").write_text(DOCUMENT)
    assert documents.complaints(tmp_path, SHELLCHECK) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('schemaVersion: "2.2"', 'schemaVersion: "0.3"', "schemaVersion is not 2.2"),
        ("description: Say something.\n", "", "no description"),
        ('"^[a-z]+$"', '"[a-z]+"', "no allowedPattern from ^ to $"),
        ('    allowedPattern: "^[a-z]+$"\n', "", "no allowedPattern from ^ to $"),
        ('"^[a-z]+$"', '"^[a-z;]+$"', "allows 'a;b'"),
        ("    interpolationType: ENV_VAR\n", "", "not interpolationType ENV_VAR"),
        ("    type: String", "    type: StringList", "not of type String"),
        ('      timeoutSeconds: "10"\n', "", "no timeoutSeconds"),
        ('echo "$SSM_Word"', "echo", "is never used"),
        ('echo "$SSM_Word"', 'echo "$SSM_Word" "{{ Word }}"', "as variables only"),
        ('echo "$SSM_Word"', "echo $SSM_Word", "SC2086"),
        ("aws:runShellScript", "aws:runPowerShellScript", "is not aws:runShellScript"),
    ],
)
def test_a_document_against_a_rule_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in DOCUMENT
    (tmp_path / "say.yaml").write_text(DOCUMENT.replace(old, new))
    assert any(complaint in text for text in documents.complaints(tmp_path, SHELLCHECK))


# ---- units -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("Type=oneshot", "Type=oneshot\nRestrat=no", "Restrat"),
        (
            "ExecStart=/usr/local/bin/quarterdeck-backup",
            "ExecStart=/usr/local/bin/quarterdeck-nothing",
            "not executable",
        ),
    ],
)
def test_a_unit_that_systemd_does_not_like_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    host = tmp_path / "host"
    shutil.copytree(terraform.INFRA / "host", host)
    unit = host / "systemd" / "quarterdeck-backup.service"
    text = unit.read_text()
    assert old in text
    unit.write_text(text.replace(old, new))
    found = units.complaints(host)
    assert found
    assert all(complaint in text for text in found)


def test_a_unit_without_its_fences_is_named(tmp_path: Path) -> None:
    host = tmp_path / "host"
    shutil.copytree(terraform.INFRA / "host", host)
    unit = host / "systemd" / "quarterdeck-backup.service"
    unit.write_text(unit.read_text().split("NoNewPrivileges=")[0])
    assert one(units.complaints(host), "quarterdeck-backup.service: more exposed than 3.0")


def test_a_timer_of_no_calendar_is_named(tmp_path: Path) -> None:
    host = tmp_path / "host"
    shutil.copytree(terraform.INFRA / "host", host)
    unit = host / "systemd" / "quarterdeck-backup.timer"
    unit.write_text(unit.read_text().replace("OnCalendar=", "OnCalendar=every "))
    assert any("does not understand OnCalendar" in text for text in units.complaints(host))


# ---- the runner ------------------------------------------------------------------------------------------------------


def test_a_check_says_its_seconds_and_its_complaints(capsys: pytest.CaptureFixture[str]) -> None:
    counted = lint.run_all([lint.Check("good", list), lint.Check("bad", lambda: ["this is wrong"])])
    assert counted == {"good": 1, "failed": 1}
    said = capsys.readouterr().out
    assert "s  good: ok\n" in said
    assert "s  bad: not clean\n    this is wrong\n" in said


@pytest.mark.parametrize(("strict", "word", "failed"), [(False, "skipped: no such thing", 0), (True, "absent", 1)])
def test_what_is_absent_is_skipped_by_name_or_fails(
    strict: bool, word: str, failed: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lint, "STRICT", strict)

    def check() -> list[str]:
        raise lint.Absent("no such thing")

    assert lint.run_all([lint.Check("one", check)])["failed"] == failed
    assert f"one: {word}" in capsys.readouterr().out

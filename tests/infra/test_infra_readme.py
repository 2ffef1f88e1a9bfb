"""What infra/README.md claims about the code is what the code is."""

import re
from pathlib import Path

import pytest

from tests.infra import recovery
from tests.infra.plans import BY_MOCKS

INFRA = Path(__file__).resolve().parents[2] / "infra"
README = (INFRA / "README.md").read_text()
RESOURCE = re.compile(r'^resource "(aws_[a-z0-9_]+)"', re.MULTILINE)
MONEY = re.compile(r"\*{0,2}([0-9]+\.[0-9]{2})\*{0,2}$")


def between(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n(.*?)<!-- /{marker} -->", README, re.DOTALL)
    assert found, f"the README has no part {marker}"
    return found[1]


def cost_tables() -> dict[str, list[list[float]]]:
    """The rows of figures of each table of costs, the last of them the sum."""
    tables = re.findall(r"^\| `(\w+)`[^\n]*eu-central-1[^\n]*\n\|[-:| ]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    return {name: [_figures(line) for line in rows.splitlines()] for name, rows in tables}


def _figures(line: str) -> list[float]:
    cells = (cell.strip() for cell in line.strip("|").split("|")[1:])
    return [float(found[1]) for cell in cells if (found := MONEY.match(cell))]


def test_every_kind_of_resource_is_in_the_table_of_what_is_tested_how():
    made = {kind for path in INFRA.rglob("*.tf") for kind in RESOURCE.findall(path.read_text())}
    told = re.findall(r"`(aws_[a-z0-9_]+)`", between("resources"))
    assert sorted(told) == sorted(made)


def test_the_table_says_no_to_exactly_what_only_mocks_do():
    refused = re.findall(r"^\| no: `(aws_[a-z0-9_]+)`", between("resources"), re.MULTILINE)
    of_kind: dict[str, set[str]] = {}
    for path in INFRA.glob("modules/*/*.tf"):
        for kind, name in re.findall(r'^resource "(aws_\w+)" "(\w+)"', path.read_text(), re.MULTILINE):
            of_kind.setdefault(kind, set()).add(f"{path.parent.name}: {kind}.{name}")
    assert sorted(refused) == sorted(kind for kind, made in of_kind.items() if made <= BY_MOCKS.keys())


def test_every_module_and_root_is_described():
    for folder in ("modules", "environments"):
        for path in sorted((INFRA / folder).iterdir()):
            if folder == "modules":
                assert (path / "README.md").is_file(), f"{path.name} has no README"
            else:
                assert f"`{path.name}`" in README


@pytest.mark.parametrize("name", ["dev", "prod", "control"])
def test_the_sums_of_the_costs_are_right(name: str):
    *rows, total = cost_tables()[name]
    assert len(rows) >= 4
    assert [round(sum(column), 2) for column in zip(*rows, strict=True)] == total


@pytest.mark.parametrize("event", recovery.DRILLS)
def test_the_table_of_recovery_has_each_loss_with_a_measured_time_or_says_that_there_is_none(event: str):
    row = next(line for line in between("drills").splitlines() if line.startswith(f"| {event} "))
    assert re.search(rf"\| ({recovery.UNKNOWN}|[0-9]+\.[0-9] s .*) \|$", row)


def test_measured_times_are_written_into_the_table_and_nothing_else_changes():
    times = {drill: 4.25 for drills in recovery.DRILLS.values() for drill in drills} | {"reboot": 61.0}
    written = recovery.filled(README, times)
    assert "| 61.0 s from the start of the machine until it answers |" in written
    assert recovery.UNKNOWN not in written
    assert recovery.filled(written, {}) == recovery.filled(README, {})
    outside = re.compile(r"<!-- drills -->.*<!-- /drills -->", re.DOTALL)
    assert outside.sub("", written) == outside.sub("", README)


def test_the_sizes_that_the_costs_assume_are_the_defaults():
    prod, dev = ((INFRA / "environments" / name / "variables.tf").read_text() for name in ("prod", "dev"))
    for text in (prod, dev):
        assert re.search(r'variable "instance_type" \{[^}]*default\s*= "t3\.medium"', text)
        assert re.search(r'variable "root_volume_gib" \{[^}]*default\s*= 30\n', text)
    assert re.search(r'variable "min_size" \{[^}]*default\s*= 2\n', prod)
    assert re.search(r'variable "nat" \{[^}]*default\s*= "one"', prod)
    assert re.search(r'variable "endpoints" \{[^}]*default\s*= \["s3", "ssm", "ecr"\]', prod)

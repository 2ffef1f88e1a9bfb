"""The diagram is what the code says, and says what the code does."""

import subprocess
import sys
from pathlib import Path

import pytest

INFRA = Path(__file__).resolve().parents[2] / "infra"
SCRIPT = INFRA / "diagram.py"
VARIED = {
    "environments/small/main.tf": (
        'data "aws_ssm_parameter" "ami" {\n  name = "/quarterdeck/host/ami"\n}\n\n'
        'module "land" {\n  source = "../../modules/land"\n}\n\n'
        '# module "sea" { source = "../../modules/sea" }\n'
        'module "house" {\n  source = "../../modules/house"\n\n  ground = local.ground\n'
        "  image = data.aws_ssm_parameter.ami.value\n}\n"
    ),
    "environments/small/locals.tf": "locals {\n  ground = one(module.land[*].field_id)\n}\n",
    "modules/land/main.tf": 'resource "aws_vpc" "this" {\n}\n\nresource "aws_vpc_endpoint" "this" {\n}\n',
    "modules/house/main.tf": 'module "roof" {\n  source = "../roof"\n}\n\nresource "aws_instance" "this" {\n}\n',
    "modules/roof/main.tf": 'resource "aws_eip" "this" {\n}\n',
}


def draw(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, str(script), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def village(tmp_path: Path) -> Path:
    """A small infra/ of its own, with the script in it."""
    for name, text in VARIED.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    script = tmp_path / "diagram.py"
    script.write_text(SCRIPT.read_text())
    return script


def test_the_committed_diagram_is_up_to_date():
    checked = draw(SCRIPT, "--check")
    assert checked.returncode == 0, checked.stderr


def test_boxes_are_the_modules_with_the_kinds_in_them_also_of_modules_inside(village: Path):
    assert draw(village).returncode == 0
    drawn = village.with_name("diagram.md").read_text()
    assert 'house["<b>house</b><br/>eip, instance"]' in drawn
    assert 'land["<b>land</b><br/>vpc"]' in drawn
    assert "sea" not in drawn


def test_arrows_follow_values_through_locals_and_parameters(village: Path):
    draw(village)
    drawn = village.with_name("diagram.md").read_text()
    assert 'land -- "field_id" --> house' in drawn
    assert 'in_ami[("/quarterdeck/host/ami")]' in drawn
    assert "in_ami --> house" in drawn


def test_a_change_of_the_code_makes_the_diagram_out_of_date(village: Path):
    draw(village)
    assert draw(village, "--check").returncode == 0
    added = village.parent / "modules/land/extra.tf"
    added.write_text('resource "aws_subnet" "this" {\n}\n')
    checked = draw(village, "--check")
    assert checked.returncode == 1
    assert "out of date" in checked.stderr

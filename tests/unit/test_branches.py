"""The gate of `make test` on the core's branches, which lines cannot lift."""

import json
from pathlib import Path

import pytest

from tests.branches import main


def report(path: Path, **covered: int) -> Path:
    """A report in which each part has 1000 lines, all run, and 100 branches."""
    names = {"ops": "bot/ops/store.py", "policy": "bot/policy.py"}
    files = {
        names[part]: {"summary": {"covered_lines": 1000, "covered_branches": taken, "num_branches": 100}}
        for part, taken in covered.items()
    }
    found = path / "coverage.json"
    found.write_text(json.dumps({"files": files}), encoding="utf-8")
    return found


def test_each_part_must_have_its_branches_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(report(tmp_path, ops=95, policy=100)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "branches of bot.ops: 95 of 100 taken, 95.0 %",
        "branches of bot.policy: 100 of 100 taken, 100.0 %",
    ]
    assert main(report(tmp_path, ops=94, policy=100)) == 1
    assert "branches of bot.ops: 94 of 100 taken, 94.0 %: TOO FEW" in capsys.readouterr().out


def test_what_was_not_measured_is_not_covered(tmp_path: Path) -> None:
    assert main(report(tmp_path, ops=100)) == 1

"""What the crash table keeps of a run that was broken off: results of the same instants of the same bot."""

from pathlib import Path

from tests.crash.case import OUTAGES, Result
from tests.crash.instants import INSTANTS
from tests.crash.table import code, keep, kept, key


def test_the_results_of_another_bot_are_not_kept(tmp_path: Path) -> None:
    for folder in ("bot/ops", "cogs"):
        (tmp_path / folder).mkdir(parents=True)
    source = tmp_path / "bot/ops/executor.py"
    source.write_text("LIMIT_S = 60\n", encoding="utf-8")
    results = {key((INSTANTS[0], OUTAGES[0])): Result(INSTANTS[0].ending, 1, 1, 1, 1)}
    kept_in = tmp_path / "cache" / "crash.json"
    assert kept(code(tmp_path), kept_in) == {}
    keep(results, code(tmp_path), kept_in)
    (tmp_path / "bot/__pycache__").mkdir()
    (tmp_path / "bot/__pycache__/x.pyc").write_bytes(b"1")
    assert kept(code(tmp_path), kept_in) == results
    source.write_text("LIMIT_S = 61\n", encoding="utf-8")
    assert kept(code(tmp_path), kept_in) == {}


def test_results_that_were_kept_without_their_bot_are_not_taken(tmp_path: Path) -> None:
    kept_in = tmp_path / "crash.json"
    kept_in.write_text('{"an instant; nothing away": {"ending": "finished"}}', encoding="utf-8")
    assert kept("0" * 64, kept_in) == {}

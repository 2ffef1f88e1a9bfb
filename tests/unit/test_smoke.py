"""The walk beside a real Discord: what a person says becomes a dated file."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.sandbox.smoke import STEPS, Answer, Outcome, main, walk


def person(*words: str) -> Callable[[str], str]:
    """Somebody who says these things, and then is gone."""
    said: Iterator[str] = iter(words)

    def answer(_: str) -> str:
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    return answer


def test_each_answer_is_taken_for_its_own_step_and_a_note_is_a_difference() -> None:
    told: list[str] = []
    answers = walk(STEPS, ask=person("y", "", "n", "two boards", "s", "the suggestions flicker"), say=told.append)
    assert answers == [
        Answer(STEPS[0], Outcome.AS_DESCRIBED),
        Answer(STEPS[1], Outcome.DIFFERED, "two boards"),
        Answer(STEPS[2], Outcome.SKIPPED),
        Answer(STEPS[3], Outcome.DIFFERED, "the suggestions flicker"),
    ]
    assert STEPS[4].do in told[-1]


def test_who_ends_it_keeps_what_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    note = {"guild_name": "Harbour Works", "guild_id": 7}
    (tmp_path / "own_discord.json").write_text(json.dumps(note), encoding="utf-8")
    monkeypatch.setattr("builtins.input", person("y", "n", "no pin", "q"))
    assert main(["--home", str(tmp_path)]) == 1
    (written,) = tmp_path.glob("fidelity-20*.md")
    text = written.read_text(encoding="utf-8")
    assert "Harbour Works (7)" in text and "1 as described, 1 differed, 0 skipped" in text
    assert f"## {STEPS[1].title}" in text and "- seen: no pin" in text
    assert f"## {STEPS[0].title}" not in text
    assert str(written) in capsys.readouterr().out


def test_without_a_discord_of_ones_own_it_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--home", str(tmp_path)]) == 64
    assert "make demo DISCORD=1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

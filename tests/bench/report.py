"""A section of the bench as Markdown: a heading, one table, and the notes without which its figures mislead."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Row = tuple[str, ...]


class Skipped(Exception):
    """A section that cannot be measured here; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one part of the bench found."""

    title: str
    columns: Row
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        head = [f"### {self.title}", "", _line(self.columns), _line(("---",) * len(self.columns))]
        body = [_line(row) for row in self.rows]
        notes = ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join([*head, *body, *notes, ""])


def skipped(title: str, reason: str) -> str:
    return f"### {title}\n\nNot measured: {reason}\n"


def write(path: Path, sections: Sequence[str]) -> None:
    """Keep the sections as one file, which a next run replaces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sections), encoding="utf-8")


def _line(cells: Row) -> str:
    return "| " + " | ".join(cells) + " |"

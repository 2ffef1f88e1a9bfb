"""Writing a machine's files so that no reader ever sees half of one, and nobody else sees the private ones."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace the file at once; mode 0600 from its first byte."""
    _replace(path, text, mode=0o600)


def write_program(path: Path, text: str) -> None:
    """Replace an executable file at once."""
    _replace(path, text, mode=0o755)


def _replace(path: Path, text: str, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)

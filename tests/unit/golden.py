"""Texts that a test expects word by word, kept as files under `tests/golden`, where a change shows as a difference.

`QUARTERDECK_GOLDEN=write` writes them anew; what has changed is then to be read before it is committed.
"""

import difflib
import os
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def expect(name: str, text: str) -> None:
    """Hold the text against the file of that name.

    Raises:
        AssertionError: they differ; the difference is in it.
    """
    path = GOLDEN / name
    if os.environ.get("QUARTERDECK_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    expected = path.read_text(encoding="utf-8")
    if text != expected:
        lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), str(path), "now", n=1, lineterm="")
        raise AssertionError("\n".join(lines))

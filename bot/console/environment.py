"""The file that brings the secrets to a command on the host: `NAME=value` lines, as in a systemd EnvironmentFile.

A service gets them from its unit; a person at a shell names the same file with `--env-file`, so that no secret has to
be typed, exported or kept in a shell's history.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from bot.errors import Misconfigured

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read(path: Path) -> dict[str, str]:
    """The variables of the file: comments (`#`, `;`) and empty lines are left out, one pair of quotes is taken off.

    Raises:
        Misconfigured: it cannot be read, everybody may read it, or a line is no `NAME=value`.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The environment file {path} cannot be read: {error}.") from error
    if mode & stat.S_IRWXO:
        raise Misconfigured(f"Everybody may read {path}, which holds secrets.", hint=f"chmod 600 {path}")
    return dict(_pairs(path, text))


def _pairs(path: Path, text: str) -> Iterator[tuple[str, str]]:
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        name, mark, value = line.removeprefix("export ").partition("=")
        if not mark or not _NAME.fullmatch(name.strip()):
            raise Misconfigured(f"{path}, line {number}: this is no NAME=value.")
        yield name.strip(), _unquoted(value.strip())


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'" else value

"""Copies of the database file: made while a bot writes to it, checked, and kept in a limited number.

A copy is one file without a write-ahead log, for its owner alone, with its sha256 beside it (`FILE.sha256`, in the form
that `sha256sum -c` reads). What has to change in a copy before a bot may go on from it is not known here.
"""

import hashlib
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from bot.db.faults import as_ours
from bot.errors import Unavailable

PAGES_A_STEP = 256
"""Copied at once; between two steps a writer gets its turn (1 MiB at SQLite's usual page size)."""
STEP_PAUSE_S = 0.002
NAME = "quarterdeck-{at:%Y%m%dT%H%M%SZ}.sqlite3"
PATTERN = "quarterdeck-*Z.sqlite3"


@dataclass(frozen=True, slots=True)
class Copy:
    """A finished copy."""

    path: Path
    sha256: str
    size: int


def checksum_path(copy: Path) -> Path:
    """Where the checksum of that copy stands."""
    return copy.with_name(f"{copy.name}.sha256")


def name_at(at: datetime) -> str:
    """The name of a copy made at that moment (UTC)."""
    return NAME.format(at=at)


def make_copy(database: Path, to: Path) -> Copy:
    """Copy the database as it is at one moment, with all that was committed by then; blocks for as long as it takes.

    The copy gets its name only once it is complete, checked and on disk.

    Raises:
        Unavailable: no database, no room, not writable, a file of that name already, or the copy is not sound.
    """
    if not database.exists():
        raise Unavailable("database", f"There is no database at {database}, so there is nothing to copy.")
    if to.exists():
        raise Unavailable("database", f"{to} is there already and cannot be written over. Nothing was copied.")
    draft = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy_pages(database, draft)
        found = check(draft)
        if found:
            raise Unavailable("database", f"The copy of {database} is not sound ({found}). It was thrown away.")
        return _named(draft, to)
    except OSError as error:
        raise Unavailable("database", f"{to} cannot be written ({error.strerror}). Nothing was copied.") from error
    except sqlite3.Error as error:
        raise as_ours(error) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _copy_pages(database: Path, draft: Path) -> None:
    """SQLite's online backup: a reader's view, begun anew by SQLite itself whenever somebody else writes."""
    source = sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)
    target = sqlite3.connect(draft)
    try:
        # One read transaction holds the view, so that a busy writer cannot make it begin anew for ever.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(target, pages=PAGES_A_STEP, sleep=STEP_PAUSE_S)
        target.execute("PRAGMA journal_mode = DELETE").fetchone()
    finally:
        target.close()
        source.close()


def check(path: Path) -> str:
    """What SQLite finds wrong with the file; empty when it is sound.

    Raises:
        sqlite3.Error: it cannot be read at all.
    """
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
    finally:
        connection.close()
    if found != ["ok"]:
        return "; ".join(found)[:300]
    return f"a row of {broken[0]} points to nothing" if broken else ""


def _named(draft: Path, to: Path) -> Copy:
    """Bring the draft to disk, and give it its name together with its checksum."""
    sha256, size = digest_of_file(draft), draft.stat().st_size
    _sync(draft)
    written = checksum_path(to)
    beside = written.with_name(f".{written.name}.{os.getpid()}")
    beside.write_text(f"{sha256}  {to.name}\n", encoding="ascii")
    _sync(beside)
    beside.replace(written)
    draft.replace(to)
    _sync(to.parent)
    return Copy(to, sha256, size)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of_file(path: Path) -> str:
    """sha256 of the file's bytes, in hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(copy: Path) -> None:
    """Make sure that the file is what was once copied: checksum first, then SQLite's own check.

    Raises:
        Unavailable: it is not; the sentence says in which way.
    """
    try:
        said = checksum_path(copy).read_text(encoding="ascii").split()[0]
        is_now = digest_of_file(copy)
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise Unavailable(
            "database",
            f"{copy} and its checksum {checksum_path(copy).name} cannot both be read ({error}). Nothing was restored.",
        ) from error
    if is_now != said:
        raise Unavailable(
            "database",
            f"{copy} is not what was copied: its sha256 is {is_now[:12]}…, the checksum says {said[:12]}…. "
            "Nothing was restored: take another copy.",
        )
    try:
        found = check(copy)
    except sqlite3.Error as error:
        raise as_ours(error) from error
    if found:
        raise Unavailable("database", f"{copy} is not sound ({found}). Nothing was restored: take another copy.")


def prune(directory: Path, *, keep: int) -> list[Path]:
    """Remove all but the newest `keep` copies that were made by schedule; what else lies there is left alone.

    Raises:
        Unavailable: one of them cannot be removed.
    """
    old = sorted(directory.glob(PATTERN))[:-keep]
    try:
        for copy in old:
            copy.unlink(missing_ok=True)
            checksum_path(copy).unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable("database", f"An old copy cannot be removed ({error}).") from error
    return old

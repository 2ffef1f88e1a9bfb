"""What SQLite's and the disk's errors mean to the person who reads them. Errors of our own making pass unchanged."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from bot.errors import Unavailable

# Primary result codes: https://www.sqlite.org/rescode.html (read 2026-08).
_HELD = "The database is held by another program. Nothing was changed. Try again in a moment."
_SENTENCES = {
    sqlite3.SQLITE_FULL: "The disk is full: the database could not store this. Nothing was changed. "
    "Free some space and try again.",
    sqlite3.SQLITE_READONLY: "The database file cannot be written. Nothing was changed. "
    "Check the owner and the rights of the state directory.",
    sqlite3.SQLITE_CANTOPEN: "The database file cannot be opened. Nothing was changed. "
    "Check that the state directory exists and may be written.",
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_IOERR: "The disk does not answer as it should: the database could not store this. "
    "Nothing was changed. Check the disk and its free space.",
    sqlite3.SQLITE_CORRUPT: "The database file is damaged. Nothing was changed. Restore it from a backup.",
    sqlite3.SQLITE_NOTADB: "The database file is no database of Quarterdeck. Nothing was changed. "
    "Name another state directory, or move that file away.",
}


def as_ours(error: BaseException) -> BaseException:
    """The `Unavailable` that says what the storage's error means; every other error comes back as it is."""
    foreign = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(foreign, sqlite3.Error):
        return error
    code = getattr(foreign, "sqlite_errorcode", None)
    sentence = _SENTENCES.get(code & 0xFF) if code is not None else None
    if sentence is None:
        return error
    ours = Unavailable("database", sentence)
    ours.__cause__ = error
    return ours

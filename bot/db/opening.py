"""Opening the database file: its directory, the lock that keeps a second bot out, the settings, the schema.

Alembic is imported only when there is something to migrate: an up-to-date file opens in milliseconds.
"""

import fcntl
import logging
import os
import sqlite3
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from bot.db.backup import make_copy
from bot.db.migrations import REVISIONS
from bot.errors import Unavailable

BUSY_TIMEOUT_S = 10
LOCK_NAME = "quarterdeck.lock"
LOOKS_PATIENCE_S = 0.1
"""So long those who only look at the lock are waited for, and a holder that has not signed yet: both are at it for
microseconds.
"""
LOOK_AGAIN_S = 0.005

_log = logging.getLogger(__name__)


class Role(StrEnum):
    """What the holder of the lock does with the database, as the lock file says it."""

    BOT = "bot"
    CARRIER = "carrier"
    """A command on the host, for as long as it carries its own operation out or changes the file itself."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock. `pid` is None where the file does not name a process that lives here."""

    pid: int | None
    role: Role

    @property
    def named(self) -> str:
        """`bot (process 12)`, `quarterdeck command (process 12)`."""
        what = "bot" if self.role is Role.BOT else "quarterdeck command"
        return f"{what} ({'process unknown' if self.pid is None else f'process {self.pid}'})"


class InUse(Unavailable):
    """Another process has this database; `holder` says who, and is None while somebody only looks at the lock."""

    def __init__(self, database: Path, holder: Holder | None) -> None:
        who = holder.named if holder is not None else "process"
        match holder:
            case Holder(role=Role.BOT):
                what = f"already uses {database}"
                hint = "stop that one, name another state directory, or let this one wait with --standby"
            case Holder():
                what, hint = f"works on {database} now", "try again when it has ended"
            case None:
                what, hint = f"looks at {database} now", "try again"
        super().__init__("database", f"Another {who} {what}. Nothing was started: {hint}.")
        self.holder = holder


class FileLock(AbstractContextManager["FileLock"]):
    """An advisory lock beside the database file; the kernel drops it when the process ends, however it ends.

    The file says who has it: `PID role`. What stands there means nothing while nobody holds the lock, and may be a dead
    holder's for the moment between taking it and signing; whoever lets go leaves it empty.
    """

    def __init__(self, descriptor: int, directory: Path) -> None:
        self._descriptor = descriptor
        self._directory = directory

    def guards(self, database: Path) -> bool:
        """Whether it is held, and is the lock of that database."""
        return self._descriptor >= 0 and database.parent.resolve() == self._directory

    @classmethod
    def take(cls, database: Path, role: Role = Role.BOT) -> Self:
        """Take it now; whoever only looks at it is waited for.

        Raises:
            InUse: another process holds it.
            Unavailable: the directory cannot be written.
        """
        prepare_directory(database)
        try:
            descriptor = os.open(database.parent / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _not_writable(database.parent, error) from error
        try:
            _lock(descriptor, database)
            _sign(descriptor, role)
        except OSError as error:
            os.close(descriptor)
            raise _not_writable(database.parent, error) from error
        except InUse:
            os.close(descriptor)
            raise
        return cls(descriptor, database.parent.resolve())

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._descriptor >= 0:
            with suppress(OSError):  # on a full or failing disk the name stays, and says nothing once we are gone
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def __exit__(self, *_: object) -> None:
        self.release()


def holder_of(database: Path) -> Holder | None:
    """Who holds the database's lock now; None: nobody. Writes nothing, and does not look like a holder to others.

    A holder is looked at twice, and for a moment longer while it is not sure who it is.

    Raises:
        Unavailable: the lock file cannot be read.
    """
    try:
        descriptor = os.open(database.parent / LOCK_NAME, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _not_writable(database.parent, error) from error
    before, end = None, time.monotonic() + LOOKS_PATIENCE_S
    try:
        while (holder := _holder(descriptor)) is not None:
            if _counts(holder, before) or time.monotonic() >= end:
                break
            before = holder
            time.sleep(LOOK_AGAIN_S)
        return holder
    finally:
        os.close(descriptor)


def _counts(holder: Holder, before: Holder | None) -> bool:
    """Whether that is who holds the lock: named by a process that lives, and seen twice."""
    return holder.pid is not None and holder == before


def _lock(descriptor: int, database: Path) -> None:
    """Lock the file for us alone, or say who has it."""
    before, end = None, time.monotonic() + LOOKS_PATIENCE_S
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = _holder(descriptor)
        if (holder is not None and _counts(holder, before)) or time.monotonic() >= end:
            raise InUse(database, holder)
        before = holder
        time.sleep(LOOK_AGAIN_S)


def _holder(descriptor: int) -> Holder | None:
    """Who has locked the file for itself alone. Looking is a shared lock, so that those who look do not see each other;
    it is given back at once.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signed(os.pread(descriptor, 64, 0).decode("ascii", "replace"))
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return None


def _sign(descriptor: int, role: Role) -> None:
    written = f"{os.getpid()} {role}\n".encode()
    os.pwrite(descriptor, written, 0)
    os.ftruncate(descriptor, len(written))


def _signed(content: str) -> Holder:
    """What the holder has written. Whoever names no role is a bot: older versions wrote the process alone."""
    pid, _, role = next(iter(content.splitlines()), "").partition(" ")
    lives = pid.isdigit() and _lives(int(pid))
    return Holder(int(pid) if lives else None, Role.CARRIER if role == Role.CARRIER else Role.BOT)


def _lives(pid: int) -> bool:
    """Whether there is such a process here; one in another container is not seen."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid > 0


def prepare_directory(database: Path) -> None:
    """Make the state directory, for this user alone, unless it is there.

    Raises:
        Unavailable: it cannot be made, or something else has its name.
    """
    try:
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(database.parent, error) from error


def _not_writable(directory: Path, error: OSError) -> Unavailable:
    return Unavailable(
        "database",
        f"The state directory {directory} cannot be written ({error.strerror}). Nothing was started: "
        "mend its rights, or name another one as state_dir.",
    )


def sqlite_engine(path: Path) -> Engine:
    """An engine whose transactions are begun by us: IMMEDIATE to write, deferred on connections with `reads=True`."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_S, "cached_statements": 256},
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def refuse_foreign(path: Path) -> None:
    """Look at the file, read-only, before anything of it is touched (switching to WAL would already change it).

    Raises:
        Unavailable: the schema is newer than this program, or the file belongs to another one.
        sqlalchemy.exc.DBAPIError: the storage failed, or this is no database.
    """
    if not path.exists():
        return
    address = f"file:{quote(str(path))}?mode=ro"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool)
    with engine.connect() as connection:
        version = _version(connection, path)
    if version is not None and version not in REVISIONS:
        raise Unavailable(
            "database",
            f"{path} was written by a newer Quarterdeck (schema {version}; this one knows up to {REVISIONS[-1]}). "
            "Nothing was changed: start the newer version, or restore an older backup.",
        )


def bring_up_to_date(engine: Engine, path: Path, *, locked: bool, keep_old: bool = True) -> None:
    """Write the newest schema unless it is there; `locked` says that this process holds the file's lock already.

    With `keep_old` a file with an older schema is copied first, beside itself, so that one can go back to the older
    version of this program.

    Raises:
        sqlalchemy.exc.DBAPIError: the storage failed.
        Unavailable: the copy cannot be made; nothing was changed.
    """
    with engine.connect() as connection:
        version = _version(connection, path)
        if version == REVISIONS[-1]:
            return
        connection.rollback()
        with nullcontext() if locked else FileLock.take(path, Role.CARRIER):
            if version is not None and keep_old:
                _keep_old(path, version)
            _upgrade(connection)


def _keep_old(path: Path, version: str) -> None:
    kept = path.with_name(f"{path.stem}-schema-{version}{path.suffix}")
    if kept.is_file():  # of an upgrade that broke off, or of a version that was gone back to: the newest is what counts
        kept.unlink()
    _log.info("the database's schema %s becomes %s; the file as it was is kept at %s", version, REVISIONS[-1], kept)
    make_copy(path, kept)


def _version(connection: Connection, path: Path) -> str | None:
    """The schema's revision; None in a file without any table."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise Unavailable(
            "database", f"{path} belongs to another program. Nothing was changed: name another state_dir."
        )
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    with connection.begin():
        command.upgrade(config, "head")

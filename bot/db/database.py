"""The one way to the database file: a writer thread that commits in groups, and a few reader threads.

SQLAlchemy is used synchronously, on threads that belong to this room; callers hand over a function of a connection and
await its result. What the tables mean is not known here, how the file is opened stands in `opening`.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from bot.db.faults import as_ours
from bot.db.opening import FileLock, bring_up_to_date, prepare_directory, refuse_foreign, sqlite_engine
from bot.errors import Unavailable
from bot.metrics import Metrics

T = TypeVar("T")
Work = Callable[[Connection], T]

GROUP_MAX = 128
"""So many writes at most share one commit, so that the first of them does not wait for ever."""
READERS = 2


class Database:
    """An open database. Made by `open`, ended by `close`; used from one event loop."""

    def __init__(self, engine: Engine, lock: FileLock | None, metrics: Metrics) -> None:
        self._engine = engine
        self._lock = lock
        self._metrics = metrics
        self._writes = _Line()
        self._reads = _Line()
        self._closed = False
        self._threads = [threading.Thread(target=self._write_loop, name="database-writer", daemon=True)]
        for number in range(READERS):
            self._threads.append(
                threading.Thread(target=self._read_loop, name=f"database-reader-{number}", daemon=True)
            )
        for thread in self._threads:
            thread.start()

    @classmethod
    async def open(
        cls, path: Path, *, exclusive: bool = True, held: FileLock | None = None, metrics: Metrics | None = None
    ) -> Self:
        """Open the file, create or migrate it when needed, and keep every other bot out.

        `exclusive=False` is for the command line beside a running bot: it takes no lock. `held` is the file's lock
        where the caller has it already, and keeps it when this is closed; the lock of another file is refused.

        Raises:
            Unavailable: not writable, disk full, in use by another bot, no database, or newer than this program.
        """
        return await asyncio.to_thread(cls._open, path, exclusive and held is None, held, metrics or Metrics())

    @classmethod
    def _open(cls, path: Path, locks: bool, held: FileLock | None, metrics: Metrics) -> Self:
        if held is not None and not held.guards(path):
            raise Unavailable(
                "database",
                f"The lock that is held is not that of {path}, so another bot may have it. Nothing was opened: "
                "start anew.",
            )
        prepare_directory(path)
        lock = FileLock.take(path) if locks else None
        engine = sqlite_engine(path)
        try:
            refuse_foreign(path)
            bring_up_to_date(engine, path, locked=(held or lock) is not None)
        except BaseException as error:
            engine.dispose()
            if lock is not None:
                lock.release()
            raise as_ours(error) from None
        return cls(engine, lock, metrics)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction and return its result once that is safely on disk.

        Several writes may share one commit, and yet each succeeds or fails alone. When a group cannot be committed,
        `work` runs a second time: it may touch nothing but the connection.

        Raises:
            Unavailable: the database could not store it (disk full, file gone); nothing of it was changed.
        """
        item = _Item(work, self._open_loop())
        self._writes.put(item)
        result: T = await item.future
        return result

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a snapshot that holds every write that returned before; it can change nothing.

        Raises:
            Unavailable: the database could not be read.
        """
        item = _Item(work, self._open_loop())
        self._reads.put(item)
        result: T = await item.future
        return result

    async def close(self) -> None:
        """Finish what was handed over, then let go of the file and of its lock. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        # The writer goes last: the last connection folds the write-ahead log into the file, and readers may not write.
        writer, *readers = self._threads
        for _ in readers:
            self._reads.put(None)
        for thread in readers:
            await asyncio.to_thread(thread.join)
        self._writes.put(None)
        await asyncio.to_thread(writer.join)
        self._engine.dispose()
        if self._lock is not None:
            self._lock.release()

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise Unavailable("database", "The database is closed: the bot is shutting down. Nothing was changed.")
        return asyncio.get_running_loop()

    def _write_loop(self) -> None:
        with self._engine.connect() as connection:
            while group := self._writes.take():
                with self._metrics.database_write_seconds.time():
                    if not _write_together(connection, group):
                        for item in group:
                            _write_alone(connection, item)
                self._metrics.database_commit_writes.observe(len(group))
                _answer(group)

    def _read_loop(self) -> None:
        with self._engine.connect().execution_options(reads=True) as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
            connection.rollback()
            while (item := self._reads.get()) is not None:
                item.run(connection)
                with suppress(DBAPIError):
                    connection.rollback()
                _answer([item])


class _Item:
    """One piece of work on its way to a thread and back."""

    def __init__(self, work: Work[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, connection: Connection) -> None:
        self.result = self.error = None
        try:
            self.result = self.work(connection)
        except BaseException as error:  # the thread's border: whatever it is belongs to the awaiting task
            self.error = error

    def answer(self) -> None:
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(as_ours(self.error))


class _Line(queue.SimpleQueue["_Item | None"]):
    """Work that waits for a thread; None says that no more will come."""

    def take(self) -> list[_Item]:
        """Wait for work and return all that is there, at most a group; empty at the end."""
        item = self.get()
        group: list[_Item] = []
        while item is not None:
            group.append(item)
            if len(group) == GROUP_MAX:
                return group
            try:
                item = self.get_nowait()
            except queue.Empty:
                return group
        if group:
            self.put(None)
        return group


def _write_together(connection: Connection, group: list[_Item]) -> bool:
    """Run the whole group in one transaction; False, with nothing changed, when the storage objected to any of it."""
    if len(group) == 1:
        _write_alone(connection, group[0])
        return True
    try:
        transaction = connection.begin()
        raw = connection.connection.cursor()
        for item in group:
            raw.execute("SAVEPOINT item")
            item.run(connection)
            if isinstance(item.error, DBAPIError):
                raise item.error
            if item.error is not None:
                raw.execute("ROLLBACK TO item")
            raw.execute("RELEASE item")
        transaction.commit()
    except (DBAPIError, sqlite3.Error):
        _roll_back(connection)
        return False
    return True


def _write_alone(connection: Connection, item: _Item) -> None:
    item.run(connection)
    if item.error is None:
        try:
            connection.commit()
        except DBAPIError as error:
            item.error = error
    if item.error is not None:
        _roll_back(connection)


def _roll_back(connection: Connection) -> None:
    # A full disk makes SQLite roll back by itself; there is nothing left to undo then.
    with suppress(DBAPIError):
        connection.rollback()


def _answer(group: list[_Item]) -> None:
    """Wake the waiting tasks, with one call a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
    for item in group:
        by_loop.setdefault(item.loop, []).append(item)
    for loop, items in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_answer_all, items)


def _answer_all(items: list[_Item]) -> None:
    for item in items:
        item.answer()

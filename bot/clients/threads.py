"""Daemon worker threads for synchronous SDKs: a call that hangs never keeps the program from ending."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class NeverBegan(TimeoutError):
    """The deadline passed while the call still waited for a thread: it was not made, and never will be."""


class _Job:
    """One call on its way to a thread. Either a thread begins it, or its caller takes it back; never both."""

    def __init__(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.function = function
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self._lock = threading.Lock()
        self._settled = ""

    def begin(self) -> bool:
        return self._settle("begun")

    def take_back(self) -> bool:
        return self._settle("taken back")

    def _settle(self, how: str) -> bool:
        with self._lock:
            self._settled = self._settled or how
            return self._settled == how


class DaemonPool:
    """A fixed number of daemon threads. `call` awaits the result; cancelling it abandons what a thread has begun."""

    def __init__(self, name: str, size: int) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._size = size
        for number in range(size):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    async def call(self, function: Callable[[], T], *, deadline_s: float) -> T:
        """Run `function` on one of the threads.

        Raises:
            NeverBegan: no thread was free within the deadline; the call is not made.
            TimeoutError: no result within the deadline; the thread may still finish its call.
        """
        job = _Job(function, asyncio.get_running_loop())
        self._jobs.put(job)
        try:
            async with asyncio.timeout(deadline_s):
                result: T = await job.future
                return result
        except TimeoutError as error:
            if job.take_back():
                raise NeverBegan("no thread was free in time") from error
            raise
        except asyncio.CancelledError:
            job.take_back()
            raise

    def close(self) -> None:
        """Let every thread end after what it is doing; nobody waits for them."""
        for _ in range(self._size):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.begin():
                continue
            try:
                result = job.function()
            except BaseException as error:
                _deliver(job.loop, job.future, error=error)
            else:
                _deliver(job.loop, job.future, result=result)


def _deliver(
    loop: asyncio.AbstractEventLoop,
    future: "asyncio.Future[Any]",
    *,
    result: object = None,
    error: BaseException | None = None,
) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        pass  # the loop has closed: the program is ending and nobody waits any more

"""The world's home: one folder that one world at a time keeps everything in, held by a lock that ends with its process.

`world.lock` is the lock and names its holder; `world.json` says `{pid, port}` of the world that runs or ran last.
"""

import contextlib
import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from bot.sandbox.host.processes import end_process

LOCK = "world.lock"
NOTE = "world.json"
CONTAINER_RECORDS = "host/*/*/containers/*/container.json"
"""Where the host's stand-in writes down the processes that it runs."""


class HomeInUse(Exception):
    """Another world holds the home; the text names its pid and port."""


class NotAHome(Exception):
    """The folder holds something else than a world: nothing is written into it, and nothing deleted."""


@dataclass(slots=True)
class Home:
    """A home that is ours. Open it with `take`, leave it with `release`."""

    path: Path
    _lock: IO[str]

    @classmethod
    def take(cls, path: Path) -> Self:
        """Make the folder if need be and take its lock; what lies in it is left as it is.

        Raises:
            HomeInUse: a living world has it.
            NotAHome: it is a folder with foreign things in it.
            OSError: it cannot be made or written.
        """
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (path / LOCK).exists() and any(path.iterdir()):
            raise NotAHome(f"{path} is not empty and no world's home: choose another folder.")
        lock = (path / LOCK).open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            sentence = f"The home {path} is in use {_holder(lock.read())}. Stop that world, or choose another home."
            lock.close()
            raise HomeInUse(sentence) from None
        home = cls(path, lock)
        home.note(0)
        return home

    def note(self, port: int) -> None:
        """Write down who we are, for whoever finds the home in use and for scripts that look for the port."""
        text = json.dumps({"pid": os.getpid(), "port": port})
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(text)
        self._lock.flush()
        if port:
            draft = self.path / f"{NOTE}.new"
            draft.write_text(text + "\n", encoding="utf-8")
            draft.replace(self.path / NOTE)

    async def clear(self) -> None:
        """Delete everything but the lock, and first end what a world that was killed left running: begin anew."""
        for record in self.path.glob(CONTAINER_RECORDS):
            with contextlib.suppress(ValueError, KeyError, OSError):
                kept = json.loads(record.read_text(encoding="utf-8"))
                await end_process(int(kept["pid"]), ticks=int(kept["pid_ticks"]), grace_s=3.0)
        for entry in self.path.iterdir():
            if entry.name == LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def release(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.path / NOTE).unlink()
        self._lock.close()


def _holder(text: str) -> str:
    try:
        found = json.loads(text)
        port = f", port {found['port']}" if found["port"] else ""
        return f"by the world with pid {found['pid']}{port}"
    except (ValueError, KeyError, TypeError):
        return "by another world"

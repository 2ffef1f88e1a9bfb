"""The sample repository: the project's own tree with a month of invented history, written once when a world begins.

A commit that touches `app/` adds a line to `app/CHANGES.md`, so that versions differ in content and all of them run.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.sandbox.github.git import GitFailed, run_git
from bot.sandbox.github.people import signature
from bot.sandbox.github.repository import Draft, commit_head, put_file

SAMPLE = (
    "app",
    "bot",
    "cogs",
    "locks/app.txt",
    "locks/bot.txt",
    ".github/workflows",
    "Dockerfile",
    "README.md",
    "pyproject.toml",
)
LEFT_OUT = ("__pycache__", "node_modules")
OWN = Path(__file__).resolve().parent / "sample"
"""The sample's own `.ci/`: what its workflows run in place of the project's tests, which take many minutes."""
FILE_LIMIT = 2 * 1024 * 1024
CHANGES = "app/CHANGES.md"
README = "README.md"
MAIN = "refs/heads/main"


class SeedFailed(Exception):
    """The sample repository cannot be written; the text says why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One commit of the invented history: how long ago, by whom, what it says and which file gets a line."""

    ago: timedelta
    author: str
    title: str
    file: str = CHANGES


HISTORY = (
    Event(timedelta(days=30), "harbour-sre", "Start the harbour's public page"),
    Event(timedelta(days=23, hours=3), "harbour-dev2", "Show the name of the team (#12)"),
    Event(timedelta(days=12, hours=5), "harbour-dev", "Round the tide to ten minutes (#14)"),
    Event(timedelta(days=8, hours=2), "harbour-dev", "README: how to run the page at home (#15)", README),
    Event(timedelta(days=5, hours=1), "harbour-sre", "Answer the health check before the first request (#17)"),
    Event(timedelta(days=3, hours=4), "harbour-dev2", "Say which time zone the clock shows (#18)"),
    Event(timedelta(days=1, hours=2), "harbour-dev", "Keep the clock right over a daylight-saving change (#19)"),
    Event(timedelta(hours=2), "harbour-sre", "README: who is on call and how to reach them (#20)", README),
    Event(timedelta(minutes=6), "harbour-dev2", "Tell visitors when the tide table was last read (#21)"),
)
BANNER = Event(timedelta(minutes=40), "harbour-dev", "Draft a banner for planned downtime")
BANNER_BRANCH = "refs/heads/feature/banner"


def seed(*, source: Path, repository: Path, now: float) -> None:
    """Make the bare repository from the checkout `source`, its ages counted back from `now` (Unix seconds).

    Raises:
        SeedFailed: there is no git, or `source` holds no `app/`.
    """
    files = {path: _read(source / path) for path in sample_files(source)}
    files |= {f".ci/{name}": ((OWN / name).read_bytes(), "100755") for name in ("run", "venv")}
    if not any(path.startswith("app/") for path in files):
        raise SeedFailed(f"The sample repository needs a checkout of the project: {source} has no app/ folder.")
    try:
        run_git(["init", "--quiet", "--bare", "--initial-branch=main", str(repository)], home=repository.parent)
        stream = b"".join(_stream(files, datetime.fromtimestamp(now, UTC)))
        run_git(["--git-dir", str(repository), "fast-import", "--quiet"], home=repository.parent, stdin=stream)
    except GitFailed as error:
        raise SeedFailed(f"The sample repository could not be written: {error}") from error


def sample_files(source: Path) -> list[str]:
    """The files of the sample, relative to `source`: what git would track there, or else everything that lies there."""
    try:
        command = ["-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *SAMPLE]
        listed = run_git(command, home=source).decode(errors="surrogateescape").split("\0")
    except GitFailed:
        listed = []
    names: Iterable[str] = [name for name in listed if name] or _walk(source)
    return sorted({name for name in names if _fits(source / name)})


def _walk(source: Path) -> Iterator[str]:
    for part in SAMPLE:
        if (source / part).is_file():
            yield part
        for folder, folders, files in os.walk(source / part):
            folders[:] = sorted(f for f in folders if f not in LEFT_OUT)
            for name in files:
                if not name.endswith(".pyc"):
                    yield (Path(folder) / name).relative_to(source).as_posix()


def _fits(path: Path) -> bool:
    odd = any(ord(character) < 32 for character in str(path)) or path.name.startswith('"')
    return not odd and path.is_file() and not path.is_symlink() and path.stat().st_size <= FILE_LIMIT


def _read(path: Path) -> tuple[bytes, str]:
    """Content and git mode."""
    return path.read_bytes(), "100755" if os.access(path, os.X_OK) else "100644"


def _stream(files: dict[str, tuple[bytes, str]], now: datetime) -> Iterator[bytes]:
    texts = {name: files.get(name, (b"", ""))[0] or _first_text(name) for name in (CHANGES, README)}
    for mark, event in enumerate(HISTORY, start=1):
        yield _commit(event, now, ref=MAIN, mark=mark, parent=f":{mark - 1}" if mark > 1 else "")
        if mark == 1:
            yield from (put_file(path, content, mode) for path, (content, mode) in files.items())
        texts[event.file] += _line(event)
        yield put_file(event.file, texts[event.file])
    yield _commit(BANNER, now, ref=BANNER_BRANCH, mark=len(HISTORY) + 1, parent=f":{len(HISTORY) - 1}")
    # The branch left main before its newest commit, so the newest line is not on it.
    yield put_file(CHANGES, texts[CHANGES].removesuffix(_line(HISTORY[-1])) + _line(BANNER))


def _commit(event: Event, now: datetime, *, ref: str, mark: int, parent: str) -> bytes:
    author = signature(event.author, now - event.ago)
    return commit_head(Draft(ref, parent, {}, author, event.title), mark=mark)


def _first_text(name: str) -> bytes:
    return b"# What changed\n\n" if name == CHANGES else b"# The harbour's page\n\n"


def _line(event: Event) -> bytes:
    return f"- {event.title}\n".encode()

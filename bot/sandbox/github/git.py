"""Calls of the `git` program on one bare repository, untouched by the configuration of whoever runs the world."""

import asyncio
import os
import subprocess
from pathlib import Path

DEADLINE_S = 60
AMBIENT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")


class GitFailed(Exception):
    """git ended with an error; the text is the end of what it wrote to stderr."""


def environment(home: Path) -> dict[str, str]:
    """What git may see of the machine: where programs lie, and nobody's identity, hooks or settings."""
    kept = {name: os.environ[name] for name in AMBIENT if name in os.environ}
    return kept | {
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "sandbox",
        "GIT_AUTHOR_EMAIL": "sandbox@example.invalid",
        "GIT_COMMITTER_NAME": "sandbox",
        "GIT_COMMITTER_EMAIL": "sandbox@example.invalid",
    }


def run_git(arguments: list[str], *, home: Path, stdin: bytes = b"") -> bytes:
    """What git wrote to stdout.

    Raises:
        GitFailed: it is not installed, ended with an error, or took longer than a minute.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            input=stdin,
            capture_output=True,
            env=environment(home),
            timeout=DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(str(error)) from error
    if done.returncode != 0:
        raise GitFailed(done.stderr.decode(errors="replace").strip()[-2000:])
    return done.stdout


class Git:
    """git on the bare repository `directory`, off the event loop."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Standard output. Paths among the arguments are taken literally, never as patterns.

        Raises:
            GitFailed: git ended with an error.
        """
        vector = ["--git-dir", str(self.directory), "--literal-pathspecs", *arguments]
        return await asyncio.to_thread(run_git, vector, home=self.directory.parent, stdin=stdin)

    async def text(self, *arguments: str, stdin: bytes = b"") -> str:
        """Standard output as text; bytes that are no UTF-8 become replacement characters."""
        return (await self.run(*arguments, stdin=stdin)).decode(errors="replace")

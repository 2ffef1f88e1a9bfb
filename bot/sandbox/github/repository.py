"""The repository as the REST API sees it: names resolved, commits, trees and differences read, commits written.

Names are resolved by exact lookups and never handed to git as they came: `main~1`, `@{u}` or `--option` mean nothing.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.sandbox.github.git import Git, GitFailed

SHA = re.compile(r"[0-9a-f]{40}")
SHORT_SHA = re.compile(r"[0-9a-f]{7,39}")
REF_NAME = re.compile(r"(?![-/.])[A-Za-z0-9._/+@#-]{1,200}(?<![/.])")
FIELDS = "%H%x1f%T%x1f%P%x1f%an%x1f%ae%x1f%at%x1f%cn%x1f%ce%x1f%ct%x1f%B"
STATUSES = {"A": "added", "M": "modified", "D": "removed", "R": "renamed", "C": "copied", "T": "changed"}


@dataclass(frozen=True, slots=True)
class Signature:
    """Who git says it was, and when; anybody can write anything here."""

    name: str
    email: str
    at: datetime

    def line(self) -> str:
        """As fast-import wants it."""
        return f"{self.name} <{self.email}> {int(self.at.timestamp())} +0000"


@dataclass(frozen=True, slots=True)
class Commit:
    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a tree; `size` of blobs only."""

    mode: str
    kind: str
    sha: str
    size: int | None
    path: str


@dataclass(frozen=True, slots=True)
class Change:
    """One file of a difference."""

    path: str
    previous: str | None
    status: str
    sha: str | None
    additions: int
    deletions: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit to be written on `ref`: files by path, None deletes. `parent` is a commit's full id."""

    ref: str
    parent: str
    files: Mapping[str, bytes | None]
    author: Signature
    message: str


def is_ref_name(name: str) -> bool:
    """Whether git would take this as the name of a branch (a little stricter than git itself)."""
    return (
        REF_NAME.fullmatch(name) is not None
        and not any(bad in name for bad in ("..", "//", "@{", "/."))
        and not any(part.endswith(".lock") for part in name.split("/"))
    )


class Repository:
    """Reads and writes of one bare repository. Commits are immutable, so they are kept once read."""

    def __init__(self, git: Git) -> None:
        self.git = git
        self._commits: dict[str, Commit] = {}
        self._writing = asyncio.Lock()

    # ---- names -----------------------------------------------------------------------------------------------

    async def first_commit(self, *expressions: str) -> str | None:
        """The first of these revisions that is a commit; the caller has made sure that they are harmless."""
        asked = "".join(f"{expression}^{{commit}}\n" for expression in expressions)
        for line in (await self.git.text("cat-file", "--batch-check", stdin=asked.encode())).splitlines():
            sha, _, rest = line.partition(" ")
            if rest.startswith("commit ") and SHA.fullmatch(sha):
                return sha
        return None

    async def resolve(self, name: str) -> str | None:
        """The commit that a name stands for where GitHub takes a sha, a tag or a branch; tags go first, as in git."""
        if SHA.fullmatch(name):
            return name if name in self._commits else await self.first_commit(name)
        if not is_ref_name(name):
            return None
        full = [name] if name.startswith("refs/") else []
        short = [name] if SHORT_SHA.fullmatch(name) else []
        return await self.first_commit(*full, f"refs/tags/{name}", f"refs/heads/{name}", f"refs/{name}", *short)

    async def branch_or_tag(self, name: str) -> tuple[str, str] | None:
        """(full ref, commit) of a branch or tag by its short or full name; branches go first. No sha."""
        if not is_ref_name(name):
            return None
        candidates = [name] if name.startswith("refs/") else [f"refs/heads/{name}", f"refs/tags/{name}"]
        for ref in candidates:
            if ref.startswith(("refs/heads/", "refs/tags/")) and (sha := await self.first_commit(ref)):
                return ref, sha
        return None

    async def refs(self, prefix: str) -> list[tuple[str, str, str]]:
        """(ref, object type, object id) of every ref whose full name starts with the text `prefix`, sorted by name."""
        if not is_ref_name(prefix.rstrip("/")):
            return []
        text = await self.git.text("for-each-ref", "--format=%(refname) %(objecttype) %(objectname)")
        rows = (line.split(" ", 2) for line in text.splitlines())
        return [(ref, kind, sha) for ref, kind, sha in rows if ref.startswith(prefix)]

    # ---- reading ---------------------------------------------------------------------------------------------

    async def commit(self, sha: str) -> Commit:
        """A commit by its full id, which exists."""
        if sha not in self._commits:
            await self._log("-1", sha)
        return self._commits[sha]

    async def _log(self, *arguments: str) -> list[Commit]:
        raw = await self.git.text("log", "-z", f"--format={FIELDS}", *arguments)
        commits = [_commit(record) for record in raw.split("\0") if record.strip()]
        self._commits.update((commit.sha, commit) for commit in commits)
        return commits

    async def history(
        self, revisions: Sequence[str], *, skip: int = 0, count: int, path: str = "", oldest_first: bool = False
    ) -> list[Commit]:
        """Commits reachable as `revisions` say; newest first unless asked otherwise."""
        order = ["--reverse"] if oldest_first else []
        paths = ["--", path] if path else ["--"]
        return await self._log(*order, f"--skip={skip}", f"--max-count={count}", *revisions, *paths)

    async def count(self, revisions: Sequence[str], path: str = "") -> int:
        """How many commits `history` would give without its limits."""
        paths = ["--", path] if path else ["--"]
        return int(await self.git.text("rev-list", "--count", *revisions, *paths))

    async def tree(self, sha: str, *, recursive: bool = False, paths: Sequence[str] = ()) -> list[Entry] | None:
        """The entries of a tree or of a commit's tree; None when there is no such object."""
        flags = ["-r", "-t"] if recursive else []
        try:
            raw = await self.git.text("ls-tree", "-z", "-l", *flags, sha, "--", *paths)
        except GitFailed:
            return None
        return [_entry(line) for line in raw.split("\0") if line]

    async def blob(self, sha: str) -> bytes:
        """The content of a blob, which exists."""
        return await self.git.run("cat-file", "blob", sha)

    async def file(self, commit: str, path: str) -> bytes | None:
        """The content of one file at a commit; None when it is not there."""
        entries = await self.tree(commit, paths=[path]) or []
        found = [e for e in entries if e.path == path and e.kind == "blob"]
        return await self.blob(found[0].sha) if found else None

    async def merge_base(self, base: str, head: str) -> str | None:
        """The best common ancestor; None when the histories have nothing in common."""
        try:
            return (await self.git.text("merge-base", base, head)).strip()
        except GitFailed:
            return None

    async def distance(self, base: str, head: str) -> tuple[int, int]:
        """How many commits the head is ahead of the base, and behind it."""
        behind, ahead = (await self.git.text("rev-list", "--left-right", "--count", f"{base}...{head}")).split()
        return int(ahead), int(behind)

    async def changes(self, base: str | None, head: str) -> list[Change]:
        """The files that differ between two commits; everything in `head` when there is no base."""
        ends = [base, head] if base else ["--root", head]
        common = ["diff-tree", "-r", "-z", "-M", "--no-abbrev", "--no-commit-id"]
        raw, counts = await asyncio.gather(
            self.git.text(*common, "--raw", *ends), self.git.text(*common, "--numstat", *ends)
        )
        return _changes(raw.split("\0")[:-1], _counts(counts.split("\0")[:-1]))

    async def branches_with(self, sha: str) -> list[str]:
        """The full names of the branches from which a commit is reachable."""
        return (await self.git.text("for-each-ref", "--format=%(refname)", "--contains", sha, "refs/heads")).split()

    # ---- writing ---------------------------------------------------------------------------------------------

    async def write(self, draft: Draft) -> str:
        """Write a commit and move its ref there; returns the new commit's id. Files keep their executable bit.

        Raises:
            GitFailed: the ref's name collides with another.
        """
        async with self._writing:
            present = await self.tree(draft.parent, recursive=True, paths=list(draft.files)) or []
            modes = {entry.path: entry.mode for entry in present if entry.kind == "blob"}
            stream = b"".join(
                [
                    commit_head(draft, mark=1),
                    *(_file_change(p, c, modes) for p, c in draft.files.items()),
                    b"\nget-mark :1\n",
                ]
            )
            out = await self.git.text("fast-import", "--quiet", "--force", stdin=stream)
        return out.strip()

    async def point(self, ref: str, sha: str) -> None:
        """Make a ref, or move it wherever it was.

        Raises:
            GitFailed: the name collides with another ref (`a` and `a/b`), or git does not take it.
        """
        await self.git.run("update-ref", ref, sha)

    async def remove(self, ref: str) -> None:
        """Delete a ref; commits stay."""
        await self.git.run("update-ref", "-d", ref)


def commit_head(draft: Draft, *, mark: int) -> bytes:
    """The beginning of a commit in git's fast-import format; file changes follow. An empty parent starts a history."""
    message = draft.message.encode()
    head = f"commit {draft.ref}\nmark :{mark}\nauthor {draft.author.line()}\ncommitter {draft.author.line()}\n"
    parent = f"from {draft.parent}\n" if draft.parent else ""
    return head.encode() + b"data %d\n%s\n" % (len(message), message) + parent.encode()


def put_file(path: str, content: bytes, mode: str = "100644") -> bytes:
    """One file in the fast-import format; the path has no line break and starts with no quote."""
    return f"M {mode} inline {path}\n".encode() + b"data %d\n%s\n" % (len(content), content)


def _file_change(path: str, content: bytes | None, modes: Mapping[str, str]) -> bytes:
    if content is None:
        return f"D {path}\n".encode()
    return put_file(path, content, modes.get(path, "100644"))


def _commit(record: str) -> Commit:
    sha, tree, parents, name, email, at, c_name, c_email, c_at, message = record.lstrip("\n").split("\x1f", 9)
    return Commit(
        sha=sha,
        tree=tree,
        parents=tuple(parents.split()),
        author=Signature(name, email, datetime.fromtimestamp(int(at), UTC)),
        committer=Signature(c_name, c_email, datetime.fromtimestamp(int(c_at), UTC)),
        message=message.rstrip("\n"),
    )


def _entry(line: str) -> Entry:
    left, _, path = line.partition("\t")
    mode, kind, sha, size = left.split()
    return Entry(mode, kind, sha, None if size == "-" else int(size), path)


def _counts(fields: list[str]) -> dict[str, tuple[int, int]]:
    """Lines added and deleted by path; a rename comes as three fields: counts, old path, new path."""
    out: dict[str, tuple[int, int]] = {}
    at = 0
    while at < len(fields):
        added, deleted, path = fields[at].split("\t", 2)
        if not path:
            path = fields[at + 2]
            at += 2
        out[path] = (0, 0) if added == "-" else (int(added), int(deleted))
        at += 1
    return out


def _changes(fields: list[str], counts: Mapping[str, tuple[int, int]]) -> list[Change]:
    out: list[Change] = []
    at = 0
    while at < len(fields):
        *_, old_sha, new_sha, letter = fields[at].split(" ")
        renamed = letter[0] in "RC"
        path = fields[at + 2] if renamed else fields[at + 1]
        status = STATUSES.get(letter[0], "changed")
        sha = old_sha if status == "removed" else new_sha
        out.append(Change(path, fields[at + 1] if renamed else None, status, sha, *counts.get(path, (0, 0))))
        at += 3 if renamed else 2
    return out

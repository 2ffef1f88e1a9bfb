"""The levers on GitHub: pushes, branches, tags, a stranger's pull request, and how CI and builds end.

Bodies come from the control API as they are, so everything in them is checked here and refused with a sentence.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from bot.sandbox.clock import Clock
from bot.sandbox.github.announcer import NOTHING, Announcer, Pushed
from bot.sandbox.github.git import GitFailed
from bot.sandbox.github.journal import ForcedCheck, JournalFile, Outcome
from bot.sandbox.github.people import LOGINS, OWNER, login_of, signature
from bot.sandbox.github.repository import SHA, Draft, Repository, is_ref_name
from bot.sandbox.github.runner import Actions
from bot.sandbox.github.shapes import DEFAULT_BRANCH, Pull
from bot.sandbox.github.workflows import FOLDER
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Missing, Rejected

FILES_MAX = 2000
FILE_BYTES_MAX = 2 * 1024 * 1024
TITLE_MAX = 10_000
CONCLUSIONS = ("success", "failure", "cancelled", "timed_out", "neutral", "skipped", "action_required", "pending")
OUTCOMES = ("success", "failure", "cancelled", "timed_out")
HIDDEN_ALLOWED = (".github", ".gitignore")
FIRST_PULL = 101
STRANGER = "passing-stranger"


class Levers:
    """What the control API's `/github/...` addresses do."""

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        repository: Repository,
        actions: Actions,
        file: JournalFile,
        announcer: Announcer,
    ) -> None:
        self._announcer = announcer
        self._clock = clock
        self._ledger = ledger
        self._repository = repository
        self._actions = actions
        self._file = file
        self._journal = file.journal
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """One change after the other, so that none builds on a head that is no longer one."""
        async with self._one_at_a_time:
            try:
                yield
            except GitFailed as error:
                raise Rejected(f"git refuses it: {error}") from error

    async def head(self, ref: str) -> str:
        """The commit of a branch, a tag, a full ref or a sha; `main~2` counts first parents back.

        Raises:
            Missing: there is none.
        """
        name, _, back = ref.partition("~")
        sha = await self._repository.resolve(name)
        if sha is not None and back.isascii() and back.isdecimal():
            sha = await self._repository.first_commit(f"{sha}~{int(back)}")
        if sha is None or (not back.isdecimal() and "~" in ref):
            raise Missing(f"There is no commit {ref[:100]!r} in the repository.")
        return sha

    # ---- the repository --------------------------------------------------------------------------------------

    async def push(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A commit on top of a branch; an unknown branch begins at the default branch's head."""
        _only(body, "branch", "files", "message", "author")
        branch = _branch(body.get("branch", DEFAULT_BRANCH))
        ref = f"refs/heads/{branch}"
        async with self._writing():
            before = await self._repository.first_commit(ref)
            parent = before or await self.head(f"refs/heads/{DEFAULT_BRANCH}")
            sha, author = await self._write(body, ref=ref, parent=parent)
        self._announcer.push(Pushed(ref, before or NOTHING, sha, author))
        event = "push" if branch == DEFAULT_BRANCH else "pull_request"
        await self._actions.check(branch=branch, sha=sha, event=event, actor=author)
        self._publish(ref, sha, "commit")
        return {"sha": sha}

    async def branch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Point a branch at any commit, by force; it is made when it is new, and removed when `sha` is null."""
        _only(body, "name", "sha")
        ref = f"refs/heads/{_branch(body.get('name'))}"
        return await self._point(ref, body, "branch")

    async def tag(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Point a tag at any commit, by force; it is removed when `sha` is null."""
        _only(body, "name", "sha")
        ref = f"refs/tags/{_branch(body.get('name'))}"
        return await self._point(ref, body, "tag")

    async def _point(self, ref: str, body: Mapping[str, Any], what: str) -> dict[str, Any]:
        if "sha" not in body:
            raise Rejected("Say which commit: sha.")
        if body["sha"] is None:
            if ref == f"refs/heads/{DEFAULT_BRANCH}":
                raise Rejected("The default branch cannot be removed.")
            before = await self._repository.first_commit(ref)
            if before is None:
                raise Missing(f"There is no {what} {ref.split('/', 2)[2]!r}.")
            await self._repository.remove(ref)
            self._announcer.push(Pushed(ref, before, NOTHING, OWNER))
            self._publish(ref, "", "removed")
            return {"sha": None}
        sha = await self.head(_text(body, "sha"))
        async with self._writing():
            before = await self._repository.first_commit(ref)
            await self._repository.point(ref, sha)
        forced = before is not None and await self._repository.merge_base(before, sha) != before
        if before != sha:
            self._announcer.push(Pushed(ref, before or NOTHING, sha, OWNER, forced=forced))
        self._publish(ref, sha, what)
        return {"sha": sha}

    async def fork_pull(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A pull request from a fork: its commit is known here, and reachable by `refs/pull/N/head` alone."""
        _only(body, "branch", "files", "message", "author", "title")
        named = {"author": STRANGER, **body}
        async with self._writing():
            number = max(self._journal.pulls, default=FIRST_PULL - 1) + 1
            ref, branch = f"refs/pull/{number}/head", _branch(body.get("branch", f"patch-{number}"))
            sha, author = await self._write(named, ref=ref, parent=await self.head(f"refs/heads/{DEFAULT_BRANCH}"))
            commit = await self._repository.commit(sha)
            title = _text(body, "title", commit.title)
            self._journal.pulls[number] = Pull(number, title, author, branch, sha, "", commit.committer.at)
            self._file.save()
        await self._actions.check(branch=branch, sha=sha, event="pull_request", actor=author)
        self._publish(ref, sha, "pull")
        return {"number": number, "sha": sha}

    async def _write(self, body: Mapping[str, Any], *, ref: str, parent: str) -> tuple[str, str]:
        """(commit, login to show) of a commit with the body's files, message and author."""
        author = signature(_text(body, "author", LOGINS["dev"]), datetime.fromtimestamp(self._clock.now(), UTC))
        message = _text(body, "message", "Change without a message")[:TITLE_MAX].replace("\0", "")
        files = _files(body.get("files"))
        await self._demand_deleted(files, parent)
        sha = await self._repository.write(Draft(ref, parent, files, author, message))
        return sha, login_of(author.email) or STRANGER

    async def _demand_deleted(self, files: Mapping[str, bytes | None], parent: str) -> None:
        gone = [path for path, content in files.items() if content is None]
        present = {entry.path for entry in await self._repository.tree(parent, recursive=True, paths=gone) or []}
        for path in gone:
            if path not in present:
                raise Missing(f"There is no file {path[:200]!r} to delete.")

    def _publish(self, ref: str, sha: str, what: str) -> None:
        self._ledger.publish("github.push", {"ref": ref, "sha": sha, "what": what})

    # ---- CI --------------------------------------------------------------------------------------------------

    async def checks(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give the checks of a commit a result, all of them or the one called `name`; null takes it back."""
        _only(body, "sha", "conclusion", "name")
        sha = await self.head(_text(body, "sha"))
        conclusion = body.get("conclusion", "")
        if conclusion is not None and conclusion not in CONCLUSIONS:
            raise Rejected(f"conclusion must be null or one of {', '.join(CONCLUSIONS)}.")
        name = _text(body, "name", "")
        if conclusion is None:
            self._journal.checks.pop(sha, None)
        else:
            self._journal.checks[sha] = ForcedCheck(conclusion, self._clock.now(), name)
        self._file.save()
        self._ledger.publish("github.checks", {"sha": sha, "conclusion": conclusion, "name": name})
        return {"sha": sha, "conclusion": conclusion}

    async def outcome(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """How the next `times` runs of a workflow end, at which job and step, and how long they take."""
        _only(body, "workflow", "job", "step", "conclusion", "seconds", "times")
        file = _text(body, "workflow").removeprefix(f"{FOLDER}/")
        if not file.endswith((".yml", ".yaml")):
            file += ".yml"
        outcome = Outcome(
            workflow=file,
            conclusion=_text(body, "conclusion"),
            job=_text(body, "job", ""),
            step=_text(body, "step", ""),
            seconds=_seconds(body.get("seconds")),
            times=_times(body.get("times", 1)),
        )
        if outcome.conclusion not in OUTCOMES:
            raise Rejected(f"conclusion must be one of {', '.join(OUTCOMES)}.")
        await self._demand_place(outcome)
        self._journal.outcomes.append(outcome)
        self._file.save()
        return {"workflow": file, "conclusion": outcome.conclusion, "times": outcome.times}

    async def _demand_place(self, outcome: Outcome) -> None:
        """The workflow, job and step of an outcome must be there, as the default branch has them."""
        head = await self.head(f"refs/heads/{DEFAULT_BRANCH}")
        workflow = await self._actions.workflow(outcome.workflow, head)
        if workflow is None:
            raise Missing(f"There is no workflow {outcome.workflow[:100]!r} on {DEFAULT_BRANCH}.")
        jobs = [job for job in workflow.jobs if outcome.job in ("", job.key, job.name)]
        if not jobs:
            raise Missing(f"{outcome.workflow} has the jobs {', '.join(job.key for job in workflow.jobs)}.")
        steps = [step for step in jobs[0].steps if outcome.step in ("", step.key, step.name)]
        if not steps:
            raise Missing(f"The job {jobs[0].key} has the steps {', '.join(step.name for step in jobs[0].steps)}.")


def _only(body: Mapping[str, Any], *allowed: str) -> None:
    if unknown := [str(key) for key in body if key not in allowed]:
        raise Rejected(f"Unknown key {unknown[0][:100]!r}; known are {', '.join(allowed)}.")


def _text(body: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise Rejected(f"{key} must be a text.")
    return value


def _branch(name: object) -> str:
    if not isinstance(name, str) or not is_ref_name(name) or SHA.fullmatch(name) or name.startswith("refs/"):
        raise Rejected(f"{str(name)[:100]!r} is no name for a branch or tag.")
    return name


def _files(files: object) -> dict[str, bytes | None]:
    if not isinstance(files, dict) or not files or len(files) > FILES_MAX:
        raise Rejected(f"files must be an object of 1 to {FILES_MAX} paths with their texts, null to delete.")
    return {_path(path): _content(path, text) for path, text in files.items()}


def _path(path: object) -> str:
    """A path inside the repository that git would take and that touches nothing of git's own."""
    if not isinstance(path, str) or not path or len(path) > 500 or path.startswith('"') or not path.isprintable():
        raise Rejected(f"{str(path)[:200]!r} is no path of a file.")
    for part in path.split("/"):
        own = part.lower().startswith((".git", "git~")) and part not in HIDDEN_ALLOWED
        if part in ("", ".", "..") or own or "\\" in part:
            raise Rejected(f"The path {path[:200]!r} is refused: it must be relative, without '..' and without '.git'.")
    return path


def _content(path: str, text: object) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > FILE_BYTES_MAX:
        raise Rejected(f"The content of {path[:200]!r} must be a text of at most 2 MiB, or null to delete it.")
    return text.encode("utf-8", "surrogatepass")


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 86_400:
        raise Rejected("seconds must be a number from 1 to 86400.")
    return float(value)


def _times(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000:
        raise Rejected("times must be a whole number from 1 to 1000.")
    return value

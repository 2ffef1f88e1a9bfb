"""What the GitHub client hands out: the few fields that this program uses, read from GitHub's JSON.

Git's author text can be forged by whoever pushes; `author` here is the GitHub login, or empty when GitHub knows none.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

CheckState = Literal["success", "failure", "pending", "none"]
_PULL_NUMBER = re.compile(r"\(#(\d{1,7})\)$|^Merge pull request #(\d{1,7}) ")
_WORST_FIRST = ("failure", "pending", "success")
_BAD_CONCLUSIONS = frozenset({"failure", "timed_out", "cancelled", "action_required", "startup_failure", "stale"})


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: `title` is the first line of its message (foreign text), `pull` the number that the title names."""

    sha: str
    title: str
    author: str
    committed_at: datetime
    pull: int | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        title = str(value["commit"]["message"]).split("\n", 1)[0]
        found = _PULL_NUMBER.search(title)
        login = (value.get("author") or {}).get("login", "")
        return cls(
            sha=str(value["sha"]),
            title=title,
            author=str(login),
            committed_at=datetime.fromisoformat(value["commit"]["committer"]["date"]),
            pull=int(found.group(1) or found.group(2)) if found else None,
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a head stands to a base. `commits` are oldest first and may be fewer than `ahead_by`."""

    status: Literal["ahead", "behind", "diverged", "identical"]
    ahead_by: int
    behind_by: int
    commits: tuple[Commit, ...]

    @property
    def head_is_contained(self) -> bool:
        """Whether the head is an ancestor of the base, or the base itself."""
        return self.status in ("behind", "identical")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            status=value["status"],
            ahead_by=int(value["ahead_by"]),
            behind_by=int(value["behind_by"]),
            commits=tuple(Commit.from_json(commit) for commit in value["commits"]),
        )


@dataclass(frozen=True, slots=True)
class Checks:
    """CI's word on a commit: `none` means that nothing has reported at all."""

    state: CheckState
    passed: int
    total: int
    failing: tuple[str, ...]

    @classmethod
    def from_json(cls, runs: Sequence[Mapping[str, Any]], statuses: Sequence[Mapping[str, Any]]) -> Self:
        """Of several results with one name (two workflows may each have a job `test`) the worst counts."""
        found = [
            (str(run["name"]), "pending" if run["status"] != "completed" else _judged(str(run["conclusion"] or "")))
            for run in runs
        ]
        words = {"success": "success", "pending": "pending"}
        found += [(str(status["context"]), words.get(str(status["state"]), "failure")) for status in statuses]
        results: dict[str, str] = {}
        for name, result in found:
            results[name] = min(result, results.get(name, result), key=_WORST_FIRST.index)
        failing = tuple(sorted(name for name, result in results.items() if result == "failure"))
        passed = sum(result == "success" for result in results.values())
        if not results:
            return cls("none", 0, 0, ())
        if failing:
            return cls("failure", passed, len(results), failing)
        return cls("success" if passed == len(results) else "pending", passed, len(results), ())


def _judged(conclusion: str) -> str:
    return "failure" if conclusion in _BAD_CONCLUSIONS else "success"


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """One run of a workflow. `conclusion` is empty until `status` is `completed`."""

    id: int
    status: str
    conclusion: str
    url: str
    title: str = ""
    """Its name as GitHub shows it; who starts a run has a say in it."""
    actor: str = ""
    """The GitHub login that started it."""
    branch: str = ""
    sha: str = ""
    created_at: datetime | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            id=int(value["id"]),
            status=str(value["status"]),
            conclusion=str(value["conclusion"] or ""),
            url=str(value["html_url"]),
            title=str(value.get("display_title") or ""),
            actor=str((value.get("actor") or {}).get("login", "")),
            branch=str(value.get("head_branch") or ""),
            sha=str(value.get("head_sha") or ""),
            created_at=datetime.fromisoformat(value["created_at"]) if value.get("created_at") else None,
        )


@dataclass(frozen=True, slots=True)
class JobStep:
    number: int
    name: str
    status: str
    conclusion: str


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a run with its steps in order."""

    id: int
    name: str
    status: str
    conclusion: str
    steps: tuple[JobStep, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        steps = tuple(
            JobStep(int(s["number"]), str(s["name"]), str(s["status"]), str(s["conclusion"] or ""))
            for s in value.get("steps") or ()
        )
        return cls(int(value["id"]), str(value["name"]), str(value["status"]), str(value["conclusion"] or ""), steps)

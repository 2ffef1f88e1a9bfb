"""Bodies of the git side of the API: repository, commits, refs, trees, files, pull requests, in GitHub's shapes.

Every address in a body lies on this server itself, because clients follow them and refuse to leave the host.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from bot.sandbox.cast import GITHUB_REPOSITORY
from bot.sandbox.github.people import OWNER, login_of, user
from bot.sandbox.github.repository import Change, Commit, Entry, Signature

REPOSITORY_ID = 861_204_112
DEFAULT_BRANCH = "main"
LINKS = [
    "assignees{/user}",
    "branches{/branch}",
    "collaborators{/collaborator}",
    "comments{/number}",
    "commits{/sha}",
    "compare/{base}...{head}",
    "contents/{+path}",
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "hooks",
    "issues{/number}",
    "keys{/key_id}",
    "labels{/name}",
    "languages",
    "merges",
    "milestones{/number}",
    "notifications{?since,all,participating}",
    "pulls{/number}",
    "releases{/id}",
    "stargazers",
    "statuses/{sha}",
    "subscribers",
    "subscription",
    "tags",
    "teams",
]
DEEP_LINKS = {
    "archive_url": "{archive_format}{/ref}",
    "blobs_url": "git/blobs{/sha}",
    "git_commits_url": "git/commits{/sha}",
    "git_refs_url": "git/refs{/sha}",
    "git_tags_url": "git/tags{/sha}",
    "trees_url": "git/trees{/sha}",
    "issue_comment_url": "issues/comments{/number}",
    "issue_events_url": "issues/events{/number}",
}
ZEROS = ("forks", "stargazers", "watchers", "open_issues")
UNSIGNED = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


def stamp(at: datetime | float) -> str:
    """A moment as GitHub writes it, to the second; numbers are Unix seconds."""
    moment = datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else at.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request; `merged` is the commit on the default branch that it became, empty while it is open."""

    number: int
    title: str
    author: str
    head_ref: str
    head_sha: str
    merged: str
    created_at: datetime


class Shapes:
    """Builds bodies for one server. Its address is settled once it listens, because the kernel chooses the port."""

    def __init__(self) -> None:
        self.base = ""

    def settle(self, base: str) -> None:
        """Take the server's address, without a slash at the end."""
        self.base = base

    @property
    def repo(self) -> str:
        """The repository's address on the API."""
        return f"{self.base}/repos/{GITHUB_REPOSITORY}"

    @property
    def site(self) -> str:
        """The repository's address for people."""
        return f"{self.base}/{GITHUB_REPOSITORY}"

    def user(self, login: str) -> dict[str, Any]:
        """A user in GitHub's short form."""
        return user(self.base, login)

    def short_repository(self) -> dict[str, Any]:
        """The repository as it stands inside other bodies."""
        links = {f"{link.split('{')[0].split('/')[0]}_url": f"{self.repo}/{link}" for link in LINKS}
        deep = {key: f"{self.repo}/{link}" for key, link in DEEP_LINKS.items()}
        name = GITHUB_REPOSITORY.split("/", 1)[1]
        return (
            links
            | deep
            | {
                "id": REPOSITORY_ID,
                "node_id": f"R_{REPOSITORY_ID}",
                "name": name,
                "full_name": GITHUB_REPOSITORY,
                "owner": self.user(OWNER),
                "private": False,
                "html_url": self.site,
                "description": "The harbour's public page and the bot that ships it",
                "fork": False,
                "url": self.repo,
            }
        )

    def repository(self, *, created: datetime, pushed: datetime) -> dict[str, Any]:
        """The repository in full, as its own address answers."""
        counts = dict.fromkeys(ZEROS, 0) | {f"{name}_count": 0 for name in ZEROS}
        features = {f"has_{f}": f in ("issues", "downloads") for f in
                    ("issues", "projects", "wiki", "pages", "downloads", "discussions")}  # fmt: skip
        return (
            self.short_repository()
            | counts
            | features
            | {
                "clone_url": f"{self.site}.git",
                "git_url": f"{self.site}.git",
                "ssh_url": f"{self.site}.git",
                "svn_url": self.site,
                "mirror_url": None,
                "homepage": None,
                "language": "Python",
                "license": None,
                "size": 512,
                "default_branch": DEFAULT_BRANCH,
                "archived": False,
                "disabled": False,
                "visibility": "public",
                "topics": [],
                "network_count": 0,
                "subscribers_count": 0,
                "created_at": stamp(created),
                "updated_at": stamp(pushed),
                "pushed_at": stamp(pushed),
                "permissions": {"admin": False, "maintain": False, "push": True, "triage": True, "pull": True},
            }
        )

    def pushed_repository(self, *, created: datetime, pushed: datetime) -> dict[str, Any]:
        """The repository as it stands in the webhook of a push: two of its times are in Unix seconds there."""
        times = {"created_at": int(created.timestamp()), "pushed_at": int(pushed.timestamp())}
        more = {"master_branch": DEFAULT_BRANCH, "stargazers": 0, "url": self.site}
        return self.repository(created=created, pushed=pushed) | times | more

    def pushed_commit(self, commit: Commit) -> dict[str, Any]:
        """A commit as it stands in the webhook of a push, without its files."""
        return {
            "id": commit.sha,
            "tree_id": commit.tree,
            "distinct": True,
            "message": commit.message,
            "timestamp": stamp(commit.committer.at),
            "url": f"{self.site}/commit/{commit.sha}",
            "author": {"name": commit.author.name, "email": commit.author.email},
            "committer": {"name": commit.committer.name, "email": commit.committer.email},
        }

    # ---- commits ---------------------------------------------------------------------------------------------

    def commit(self, commit: Commit, changes: Iterable[Change] | None = None) -> dict[str, Any]:
        """A commit as `/commits` gives it; with its changes when they are asked for by address."""
        body: dict[str, Any] = {
            "sha": commit.sha,
            "node_id": f"C_{commit.sha[:20]}",
            "commit": {
                "author": _signature(commit.author),
                "committer": _signature(commit.committer),
                "message": commit.message,
                "tree": self.pointer("trees", commit.tree),
                "url": f"{self.repo}/git/commits/{commit.sha}",
                "comment_count": 0,
                "verification": UNSIGNED,
            },
            "url": f"{self.repo}/commits/{commit.sha}",
            "html_url": f"{self.site}/commit/{commit.sha}",
            "comments_url": f"{self.repo}/commits/{commit.sha}/comments",
            "author": self._account(commit.author),
            "committer": self._account(commit.committer),
            "parents": [
                {"sha": p, "url": f"{self.repo}/commits/{p}", "html_url": f"{self.site}/commit/{p}"}
                for p in commit.parents
            ],
        }
        if changes is not None:
            files = [self.change(change, commit.sha) for change in changes]
            added, deleted = sum(f["additions"] for f in files), sum(f["deletions"] for f in files)
            body["stats"] = {"total": added + deleted, "additions": added, "deletions": deleted}
            body["files"] = files
        return body

    def git_commit(self, commit: Commit) -> dict[str, Any]:
        """A commit as git's own object, from `/git/commits`."""
        return {
            "sha": commit.sha,
            "node_id": f"C_{commit.sha[:20]}",
            "url": f"{self.repo}/git/commits/{commit.sha}",
            "html_url": f"{self.site}/commit/{commit.sha}",
            "author": _signature(commit.author),
            "committer": _signature(commit.committer),
            "tree": self.pointer("trees", commit.tree),
            "message": commit.message,
            "parents": [self.pointer("commits", p) | {"html_url": f"{self.site}/commit/{p}"} for p in commit.parents],
            "verification": UNSIGNED,
        }

    def head_commit(self, commit: Commit) -> dict[str, Any]:
        """A commit as it stands inside a workflow run."""
        return {
            "id": commit.sha,
            "tree_id": commit.tree,
            "message": commit.message,
            "timestamp": stamp(commit.committer.at),
            "author": {"name": commit.author.name, "email": commit.author.email},
            "committer": {"name": commit.committer.name, "email": commit.committer.email},
        }

    def change(self, change: Change, sha: str) -> dict[str, Any]:
        """One file of a commit or a comparison; patches are left out."""
        path = quote(change.path)
        body = {
            "sha": change.sha,
            "filename": change.path,
            "status": change.status,
            "additions": change.additions,
            "deletions": change.deletions,
            "changes": change.additions + change.deletions,
            "blob_url": f"{self.site}/blob/{sha}/{path}",
            "raw_url": f"{self.site}/raw/{sha}/{path}",
            "contents_url": f"{self.repo}/contents/{path}?ref={sha}",
        }
        return body | ({"previous_filename": change.previous} if change.previous else {})

    def _account(self, author: Signature) -> dict[str, Any] | None:
        login = login_of(author.email)
        return self.user(login) if login else None

    # ---- refs, trees, files ----------------------------------------------------------------------------------

    def pointer(self, kind: str, sha: str) -> dict[str, Any]:
        """A git object's id with its address."""
        return {"sha": sha, "url": f"{self.repo}/git/{kind}/{sha}"}

    def ref(self, ref: str, kind: str, sha: str) -> dict[str, Any]:
        """A ref by its full name."""
        return {
            "ref": ref,
            "node_id": f"REF_{ref}",
            "url": f"{self.repo}/git/{quote(ref)}",
            "object": {"type": kind, "sha": sha, "url": f"{self.repo}/git/{kind}s/{sha}"},
        }

    def branch(self, name: str, sha: str) -> dict[str, Any]:
        """A branch as it stands in the list."""
        return {"name": name, "commit": {"sha": sha, "url": f"{self.repo}/commits/{sha}"}, "protected": False}

    def full_branch(self, name: str, commit: Commit) -> dict[str, Any]:
        """A branch as its own address answers."""
        url = f"{self.repo}/branches/{quote(name)}"
        return {
            "name": name,
            "commit": self.commit(commit),
            "_links": {"self": url, "html": f"{self.site}/tree/{quote(name)}"},
            "protected": False,
            "protection": {"enabled": False, "required_status_checks": {"contexts": [], "checks": []}},
            "protection_url": f"{url}/protection",
        }

    def tree(self, sha: str, entries: Iterable[Entry]) -> dict[str, Any]:
        """A tree; `sha` is the id that was asked for, also when that is a commit's."""
        return self.pointer("trees", sha) | {"tree": [self._entry(e) for e in entries], "truncated": False}

    def _entry(self, entry: Entry) -> dict[str, Any]:
        body: dict[str, Any] = {"path": entry.path, "mode": entry.mode, "type": entry.kind, "sha": entry.sha}
        if entry.size is not None:
            body["size"] = entry.size
        return body | {"url": f"{self.repo}/git/{entry.kind}s/{entry.sha}"}

    def content(self, entry: Entry, ref: str) -> dict[str, Any]:
        """One entry of `/contents`, without the content itself."""
        path, kind = quote(entry.path), "file" if entry.kind == "blob" else "dir"
        url, git_url = f"{self.repo}/contents/{path}?ref={ref}", f"{self.repo}/git/{entry.kind}s/{entry.sha}"
        html = f"{self.site}/{entry.kind}/{ref}/{path}"
        return {
            "type": kind,
            "name": entry.path.rsplit("/", 1)[-1],
            "path": entry.path,
            "sha": entry.sha,
            "size": entry.size or 0,
            "url": url,
            "git_url": git_url,
            "html_url": html,
            "download_url": f"{self.site}/raw/{ref}/{path}" if kind == "file" else None,
            "_links": {"self": url, "git": git_url, "html": html},
        }

    # ---- pull requests ---------------------------------------------------------------------------------------

    def pull(self, pull: Pull) -> dict[str, Any]:
        """A pull request as it stands in lists."""
        url, issue = f"{self.repo}/pulls/{pull.number}", f"{self.repo}/issues/{pull.number}"
        html, merged = f"{self.site}/pull/{pull.number}", bool(pull.merged)
        at = stamp(pull.created_at)
        links = {
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "issue_url": issue,
            "commits_url": f"{url}/commits",
            "review_comments_url": f"{url}/comments",
            "review_comment_url": f"{self.repo}/pulls/comments{{/number}}",
            "comments_url": f"{issue}/comments",
            "statuses_url": f"{self.repo}/statuses/{pull.head_sha}",
        }
        people: dict[str, Any] = {
            "user": self.user(pull.author),
            "assignee": None,
            "assignees": [],
            "requested_reviewers": [],
        }
        return links | people | {
            "url": url,
            "id": 2_000_000_000 + pull.number,
            "node_id": f"PR_{pull.number}",
            "html_url": html,
            "number": pull.number,
            "state": "closed" if merged else "open",
            "locked": False,
            "title": pull.title,
            "body": None,
            "labels": [],
            "milestone": None,
            "requested_teams": [],
            "draft": False,
            "created_at": at,
            "updated_at": at,
            "closed_at": at if merged else None,
            "merged_at": at if merged else None,
            "merge_commit_sha": pull.merged or None,
            "head": self._side(pull, pull.head_ref, pull.head_sha, pull.author),
            "base": self._side(pull, DEFAULT_BRANCH, pull.merged or pull.head_sha, OWNER),
            "_links": {name: {"href": url} for name in ("self", "html", "issue", "comments", "review_comments",
                                                         "review_comment", "commits", "statuses")},
            "author_association": "CONTRIBUTOR",
            "auto_merge": None,
        }  # fmt: skip

    def full_pull(self, pull: Pull, changes: Sequence[Change]) -> dict[str, Any]:
        """A pull request of one commit as its own address answers."""
        return self.pull(pull) | {
            "merged": bool(pull.merged),
            "mergeable": None if pull.merged else True,
            "mergeable_state": "unknown" if pull.merged else "clean",
            "rebaseable": None,
            "merged_by": self.user(pull.author) if pull.merged else None,
            "maintainer_can_modify": False,
            "comments": 0,
            "review_comments": 0,
            "commits": 1,
            "additions": sum(change.additions for change in changes),
            "deletions": sum(change.deletions for change in changes),
            "changed_files": len(changes),
        }

    def _side(self, pull: Pull, ref: str, sha: str, login: str) -> dict[str, Any]:
        repository = self.repository(created=pull.created_at, pushed=pull.created_at)
        return {"label": f"{login}:{ref}", "ref": ref, "sha": sha, "user": self.user(login), "repo": repository}


def _signature(author: Signature) -> Mapping[str, str]:
    return {"name": author.name, "email": author.email, "date": stamp(author.at)}

"""Commit statuses over the REST API: what services other than Actions say of a commit, and all of it combined.

Actions report check runs and no statuses, so a commit has none until somebody posts one; none is `pending` on GitHub.
"""

from typing import Any

from aiohttp import web

from bot.sandbox.clock import Clock
from bot.sandbox.github.api_git import REPO, GitApi
from bot.sandbox.github.errors import invalid
from bot.sandbox.github.journal import CommitStatus, JournalFile
from bot.sandbox.github.pages import as_json, dump, paged, read_object, window
from bot.sandbox.github.people import BOT_LOGIN
from bot.sandbox.github.shapes import Shapes, stamp

KEYS: dict[str, tuple[type, ...]] = {
    "state": (str,),
    "target_url": (str, type(None)),
    "description": (str, type(None)),
    "context": (str,),
}
STATES = ("error", "failure", "pending", "success")
PER_CONTEXT_MAX = 1000
"""Statuses of one commit and context: GitHub REST documentation, "Create a commit status", 2026."""
DESCRIPTION_MAX = 140


class StatusesApi:
    """Handlers over the commit statuses."""

    def __init__(self, *, clock: Clock, file: JournalFile, git: GitApi, shapes: Shapes) -> None:
        self._clock = clock
        self._file = file
        self._journal = file.journal
        self._git = git
        self._shapes = shapes

    def routes(self) -> list[web.RouteDef]:
        """Named as GitHub's OpenAPI names its operations, with `_` for `-`."""
        commit = REPO + "/commits/{ref:.+}"
        return [
            web.get(commit + "/status", self._combined, name="repos:get_combined_status_for_ref"),
            web.get(commit + "/statuses", self._list, name="repos:list_commit_statuses_for_ref"),
            web.post(REPO + "/statuses/{ref}", self._create, name="repos:create_commit_status"),
        ]

    def latest(self, sha: str) -> list[CommitStatus]:
        """The newest status of each context, in the order of the contexts' names."""
        newest = {status.context: status for status in self._journal.commit_statuses if status.sha == sha}
        return [newest[context] for context in sorted(newest)]

    async def _combined(self, request: web.Request) -> web.Response:
        commit = await self._git.commit_of(request.match_info["ref"])
        latest = self.latest(commit.sha)
        url, (page, per_page) = f"{self._shapes.repo}/commits/{commit.sha}", window(request)
        return dump(
            {
                "state": combined([status.state for status in latest]),
                "statuses": [self._simple(status) for status in latest[(page - 1) * per_page : page * per_page]],
                "sha": commit.sha,
                "total_count": len(latest),
                "repository": self._shapes.short_repository(),
                "commit_url": url,
                "url": f"{url}/status",
            }
        )

    async def _list(self, request: web.Request) -> web.Response:
        commit = await self._git.commit_of(request.match_info["ref"])
        newest = [status for status in reversed(self._journal.commit_statuses) if status.sha == commit.sha]
        return paged(request, self._shapes.base, [self._body(status) for status in newest])

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_object(request, KEYS, required=["state"])
        commit = await self._git.commit_of(request.match_info["ref"])
        context = body.get("context", "default")
        same = [s for s in self._journal.commit_statuses if (s.sha, s.context) == (commit.sha, context)]
        if body["state"] not in STATES:
            invalid("Status", "state")
        if len(body.get("description") or "") > DESCRIPTION_MAX:
            invalid("Status", "description")
        if len(same) >= PER_CONTEXT_MAX:
            invalid("Status", "base", "custom")
        status = CommitStatus(
            id=self._journal.next_commit_status(),
            sha=commit.sha,
            state=body["state"],
            context=context,
            description=body.get("description"),
            target_url=body.get("target_url"),
            created_at=self._clock.now(),
        )
        self._journal.commit_statuses.append(status)
        self._file.save()
        return as_json(self._body(status), 201)

    def _simple(self, status: CommitStatus) -> dict[str, Any]:
        """As it stands in the combined status."""
        return {
            "id": status.id,
            "node_id": f"SC_{status.id}",
            "url": f"{self._shapes.repo}/statuses/{status.sha}",
            "avatar_url": f"{self._shapes.base}/avatars/{BOT_LOGIN}",
            "state": status.state,
            "context": status.context,
            "description": status.description,
            "target_url": status.target_url,
            "created_at": stamp(status.created_at),
            "updated_at": stamp(status.created_at),
        }

    def _body(self, status: CommitStatus) -> dict[str, Any]:
        return self._simple(status) | {"creator": self._shapes.user(BOT_LOGIN)}


def combined(states: list[str]) -> str:
    """One word for all: GitHub REST documentation, "Get the combined status for a specific reference", 2026."""
    if "error" in states or "failure" in states:
        return "failure"
    return "pending" if not states or "pending" in states else "success"

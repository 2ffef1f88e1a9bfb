"""The git side of the REST API: repository, refs, branches, commits, trees, files, comparisons and pull requests."""

import asyncio
import base64
import re
from typing import Any

from aiohttp import web

from bot.sandbox.cast import GITHUB_REPOSITORY
from bot.sandbox.github.errors import GithubError, not_found
from bot.sandbox.github.journal import Journal
from bot.sandbox.github.pages import dump, flag, paged, positive, window
from bot.sandbox.github.people import KNOWN, full_user, login_of
from bot.sandbox.github.repository import SHA, Commit, Entry, Repository
from bot.sandbox.github.shapes import DEFAULT_BRANCH, Pull, Shapes

REPO = "/repos/{owner}/{repo}"
COMMITS_CAP = 250
FILES_CAP = 300
"""A comparison lists 250 commits at most and 300 files, those on its first page only: GitHub REST documentation,
"Compare two commits", 2026."""
INLINE_FILE_BYTES = 1024 * 1024
MERGED_PULL = re.compile(r"^(?P<title>.+) \(#(?P<number>\d{1,7})\)$")


class GitApi:
    """Handlers over the repository; they change nothing."""

    def __init__(self, *, repository: Repository, shapes: Shapes, journal: Journal) -> None:
        self._git = repository
        self._shapes = shapes
        self._journal = journal

    def routes(self) -> list[web.RouteDef]:
        """Named as GitHub's OpenAPI names its operations, with `_` for `-`."""
        return [
            web.get("/users/{login}", self._user, name="users:get_by_username"),
            web.get(REPO, self._repository, name="repos:get"),
            web.get(REPO + "/git/ref/{ref:.+}", self._ref, name="git:get_ref"),
            web.get(REPO + "/git/matching-refs/{ref:.*}", self._matching_refs, name="git:list_matching_refs"),
            web.get(REPO + "/git/commits/{sha}", self._git_commit, name="git:get_commit"),
            web.get(REPO + "/git/trees/{sha:.+}", self._tree, name="git:get_tree"),
            web.get(REPO + "/branches", self._branches, name="repos:list_branches"),
            web.get(REPO + "/branches/{branch:.+}", self._branch, name="repos:get_branch"),
            web.get(REPO + "/commits", self._commits, name="repos:list_commits"),
            web.get(REPO + "/compare/{basehead:.+}", self._compare, name="repos:compare_commits_with_basehead"),
            web.get(REPO + "/contents/{path:.*}", self._contents, name="repos:get_content"),
            web.get(
                REPO + "/commits/{ref:.+}/pulls", self._pulls, name="repos:list_pull_requests_associated_with_commit"
            ),
            web.get(REPO + "/pulls/{number}", self._pull, name="pulls:get"),
        ]

    def last_routes(self) -> list[web.RouteDef]:
        """What would swallow other routes if it stood before them."""
        return [web.get(REPO + "/commits/{ref:.+}", self._commit, name="repos:get_commit")]

    async def commit_of(self, name: str) -> Commit:
        """The commit that a sha, tag or branch in a path stands for.

        Raises:
            GithubError: 422, as GitHub answers for a commit that it does not have.
        """
        sha = await self._git.resolve(name)
        if sha is None:
            raise GithubError(422, f"No commit found for SHA: {name}")
        return await self._git.commit(sha)

    # ---- repository, refs, branches --------------------------------------------------------------------------

    async def _user(self, request: web.Request) -> web.Response:
        login = request.match_info["login"]
        if login not in KNOWN:
            not_found()
        return dump(full_user(self._shapes.base, login))

    async def _repository(self, request: web.Request) -> web.Response:
        history = await self._git.history([f"refs/heads/{DEFAULT_BRANCH}"], count=10_000)
        created, pushed = history[-1].committer.at, history[0].committer.at
        return dump(self._shapes.repository(created=created, pushed=pushed))

    async def _ref(self, request: web.Request) -> web.Response:
        wanted = f"refs/{request.match_info['ref']}"
        for ref, kind, sha in await self._git.refs(wanted):
            if ref == wanted:
                return dump(self._shapes.ref(ref, kind, sha))
        not_found()

    async def _matching_refs(self, request: web.Request) -> web.Response:
        found = await self._git.refs(f"refs/{request.match_info['ref']}")
        return dump([self._shapes.ref(*row) for row in found])

    async def _branches(self, request: web.Request) -> web.Response:
        rows = await self._git.refs("refs/heads/")
        bodies = [self._shapes.branch(ref.removeprefix("refs/heads/"), sha) for ref, _, sha in rows]
        return paged(request, self._shapes.base, bodies)

    async def _branch(self, request: web.Request) -> web.Response:
        name = request.match_info["branch"]
        for ref, _, sha in await self._git.refs(f"refs/heads/{name}"):
            if ref == f"refs/heads/{name}":
                return dump(self._shapes.full_branch(name, await self._git.commit(sha)))
        raise GithubError(404, "Branch not found")

    # ---- commits ---------------------------------------------------------------------------------------------

    async def _commits(self, request: web.Request) -> web.Response:
        head = await self._git.resolve(request.query.get("sha") or DEFAULT_BRANCH)
        if head is None:
            not_found()
        page, per_page = window(request)
        path = request.query.get("path", "").strip("/")
        total, rows = await asyncio.gather(
            self._git.count([head], path),
            self._git.history([head], skip=(page - 1) * per_page, count=per_page, path=path),
        )
        return paged(request, self._shapes.base, [self._shapes.commit(c) for c in rows], total=total)

    async def _commit(self, request: web.Request) -> web.Response:
        commit = await self.commit_of(request.match_info["ref"])
        changes = await self._git.changes(commit.parents[0] if commit.parents else None, commit.sha)
        return dump(self._shapes.commit(commit, changes[:FILES_CAP]))

    async def _git_commit(self, request: web.Request) -> web.Response:
        sha = request.match_info["sha"]
        if SHA.fullmatch(sha) is None or await self._git.first_commit(sha) is None:
            not_found()
        return dump(self._shapes.git_commit(await self._git.commit(sha)))

    async def _tree(self, request: web.Request) -> web.Response:
        name = request.match_info["sha"]
        sha = name if SHA.fullmatch(name) else await self._git.resolve(name)
        entries = await self._git.tree(sha, recursive=flag(request, "recursive")) if sha else None
        if sha is None or entries is None:
            not_found()
        return dump(self._shapes.tree(sha, entries))

    async def _contents(self, request: web.Request) -> web.Response:
        path, ref = request.match_info["path"].strip("/"), request.query.get("ref") or DEFAULT_BRANCH
        sha = await self._git.resolve(ref)
        if sha is None:
            raise GithubError(404, f"No commit found for the ref {ref}")
        found = await self._git.tree(sha, paths=[path]) if path else []
        if found and found[0].kind == "blob":
            return dump(await self._file(found[0], ref))
        inside = await self._git.tree(sha, paths=[f"{path}/"] if path else [])
        if not inside:
            not_found()
        return dump([self._shapes.content(entry, ref) for entry in inside])

    async def _file(self, entry: Entry, ref: str) -> dict[str, Any]:
        body = self._shapes.content(entry, ref)
        if (entry.size or 0) > INLINE_FILE_BYTES:
            return body | {"encoding": "none", "content": ""}
        content = base64.encodebytes(await self._git.blob(entry.sha)).decode()
        return body | {"encoding": "base64", "content": content}

    # ---- comparison ------------------------------------------------------------------------------------------

    async def _compare(self, request: web.Request) -> web.Response:
        names = request.match_info["basehead"].split("...")
        if len(names) != 2:
            not_found()
        base, head = [await self._git.resolve(name) for name in names]
        middle = await self._git.merge_base(base, head) if base and head else None
        if base is None or head is None or middle is None:
            not_found()
        body = await self._comparison(base, head, middle)
        ahead = int(body["ahead_by"])
        page, per_page = window(request) if "per_page" in request.query or "page" in request.query else (1, COMMITS_CAP)
        body["commits"] = await self._listed(base, head, first=(page - 1) * per_page, count=per_page, ahead=ahead)
        changes = await self._git.changes(middle, head) if page == 1 else []
        body["files"] = [self._shapes.change(change, head) for change in changes[:FILES_CAP]]
        return dump(body)

    async def _comparison(self, base: str, head: str, middle: str) -> dict[str, Any]:
        """Everything of a comparison but its lists."""
        ahead, behind = await self._git.distance(base, head)
        status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
        url, page = f"{self._shapes.repo}/compare/{base}...{head}", f"{self._shapes.site}/compare/{base}...{head}"
        return {
            "url": url,
            "html_url": page,
            "permalink_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "base_commit": self._shapes.commit(await self._git.commit(base)),
            "merge_base_commit": self._shapes.commit(await self._git.commit(middle)),
            "status": status.get((ahead > 0, behind > 0), "diverged"),
            "ahead_by": ahead,
            "behind_by": behind,
            "total_commits": ahead,
        }

    async def _listed(self, base: str, head: str, *, first: int, count: int, ahead: int) -> list[dict[str, Any]]:
        """The commits of a comparison, oldest first, from the one at `first`. git counts its limits from the newest."""
        count = min(count, ahead - first)
        if count <= 0:
            return []
        rows = await self._git.history([head, f"^{base}"], skip=ahead - first - count, count=count, oldest_first=True)
        return [self._shapes.commit(commit) for commit in rows]

    # ---- pull requests ---------------------------------------------------------------------------------------

    def merged_pull(self, commit: Commit) -> Pull | None:
        """The pull request that a commit on the default branch names in its title."""
        found = MERGED_PULL.match(commit.title)
        if found is None:
            return None
        number = int(found["number"])
        return Pull(
            number=number,
            title=found["title"],
            author=login_of(commit.author.email) or "ghost",
            head_ref=f"pull-{number}",
            head_sha=commit.sha,
            merged=commit.sha,
            created_at=commit.committer.at,
        )

    async def _pulls(self, request: web.Request) -> web.Response:
        commit = await self.commit_of(request.match_info["ref"])
        pulls = [pull for pull in self._journal.pulls.values() if pull.head_sha == commit.sha]
        if merged := self.merged_pull(commit):
            pulls.append(merged)
        return paged(request, self._shapes.base, [self._shapes.pull(pull) for pull in pulls])

    async def _pull(self, request: web.Request) -> web.Response:
        number = positive(request, "number")
        history = await self._git.history([f"refs/heads/{DEFAULT_BRANCH}"], count=10_000)
        merged = [pull for pull in map(self.merged_pull, history) if pull is not None and pull.number == number]
        pull = self._journal.pulls.get(number) or (merged[0] if merged else None)
        if pull is None:
            not_found()
        commit = await self._git.commit(pull.head_sha)
        changes = await self._git.changes(commit.parents[0] if commit.parents else None, commit.sha)
        return dump(self._shapes.full_pull(pull, changes))


def names_repository(request: web.Request) -> bool:
    """Whether the path names this GitHub's one repository, or none at all."""
    if "owner" not in request.match_info:
        return True
    named = f"{request.match_info['owner']}/{request.match_info['repo']}"
    return named.lower() == GITHUB_REPOSITORY.lower()

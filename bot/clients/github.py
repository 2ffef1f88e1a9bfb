"""GitHub: refs, commits, checks, one workflow, deployments. Reads are tried again here, in one place; writes never.

Reading and writing have worker threads of their own, so that a slow poll never delays a dispatch. Answers to reads are
kept with their ETags: an unchanged one costs nothing of GitHub's rate limit.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from bot.clients.github_types import Checks, Commit, Comparison, Job, WorkflowRun
from bot.clients.github_wire import GithubWire
from bot.clients.hearing import DEAF, Hearing
from bot.clients.http import HttpClient
from bot.clients.threads import DaemonPool, NeverBegan
from bot.errors import NotVisible, Unavailable, Unknown, Unreachable

READ_TRIES = 3
READ_DEADLINE_S = 12.0
RETRIED_STATUSES = frozenset({500, 502, 503, 504})
CACHED_ANSWERS = 512
PER_PAGE = 100
"""GitHub's most for one page of any list."""
PAGES_MAX = 10
UNAUTHORISED = "GitHub does not accept our token: it is wrong or has expired."


class GithubClient:
    """The one repository of this installation, asynchronously. `write_pause_s` is kept between two writes."""

    def __init__(
        self, *, repository: str, api_url: str, token: str, http: HttpClient, write_pause_s: float = 1.0,
        hearing: Hearing = DEAF,
    ) -> None:  # fmt: skip
        self._wire = GithubWire(repository=repository, api_url=api_url, token=token, write_pause_s=write_pause_s)
        self._http = http
        self._hearing = hearing
        self._readers = DaemonPool("github-read", 4)
        self._writer = DaemonPool("github-write", 1)
        self._etags: OrderedDict[str, tuple[str, Any]] = OrderedDict()

    def close(self) -> None:
        self._readers.close()
        self._writer.close()

    # ---- reads -----------------------------------------------------------------------------------------------

    async def branch_head(self, name: str) -> str | None:
        """The commit at the head of that branch, and of nothing else that shares the name; None: no such branch."""
        try:
            reference = await self._get(f"/git/ref/heads/{quote(name)}")
        except NotVisible:
            return None
        return str(reference["object"]["sha"]) if reference.get("ref") == f"refs/heads/{name}" else None

    async def branches(self) -> list[tuple[str, str]]:
        """(name, head) of up to 1,000 branches."""
        return [(b["name"], b["commit"]["sha"]) for b in await self._pages("/branches", "")]

    async def commit(self, sha: str) -> Commit | None:
        """That commit by its full or short id; None: GitHub does not have it."""
        try:
            return Commit.from_json(await self._get(f"/commits/{quote(sha)}"))
        except NotVisible:
            return None
        except Unavailable as error:
            if error.status == 422:  # GitHub's answer for an id that is no commit
                return None
            raise

    async def commits(self, branch: str, limit: int) -> list[Commit]:
        """The newest commits of the branch, newest first."""
        return [Commit.from_json(c) for c in await self._get("/commits", sha=branch, per_page=limit)]

    async def compare(self, base: str, head: str) -> Comparison:
        """How `head` stands to `base`, with the newest 100 commits or a few more.

        GitHub lists them oldest first, 100 a page ("Compare two commits", REST documentation, 2026), so of a long
        list the last two pages are read.
        """
        path = f"/compare/{quote(base)}...{quote(head)}"
        found = await self._get(path, per_page=PER_PAGE)
        last = -(-int(found["ahead_by"]) // PER_PAGE)
        if last > 1:
            before = found if last == 2 else await self._get(path, per_page=PER_PAGE, page=last - 1)
            newest = await self._get(path, per_page=PER_PAGE, page=last)
            found = {**found, "commits": [*before["commits"], *newest["commits"]]}
        return Comparison.from_json(found)

    async def object_ids(self, commit: str, paths: tuple[str, ...]) -> dict[str, str]:
        """The git object id of each path at that commit; `-` where the path does not exist."""
        found: dict[str, str] = {}
        for path in paths:
            folder, tree = "", await self._tree(commit)
            *parents, leaf = path.split("/")
            for parent in parents:
                folder = tree.get(parent, "-")
                tree = await self._tree(folder) if folder != "-" else {}
            found[path] = tree.get(leaf, "-")
        return found

    async def _tree(self, tree_ish: str) -> dict[str, str]:
        answer = await self._get(f"/git/trees/{tree_ish}")
        return {entry["path"]: entry["sha"] for entry in answer["tree"]}

    async def checks(self, sha: str) -> Checks:
        """What CI says of the commit: check runs (Actions) and commit statuses (others) together.

        A dispatched run counts on GitHub as a check of the branch's head, too; a build of ours that failed is no word
        of CI on that commit, so its check suites are left out.
        """
        runs, combined, dispatched = await asyncio.gather(
            self._pages(f"/commits/{sha}/check-runs", "check_runs"),
            self._pages(f"/commits/{sha}/status", "statuses"),
            self._pages("/actions/runs", "workflow_runs", head_sha=sha, event="workflow_dispatch"),
        )
        ours = {run.get("check_suite_id") for run in dispatched}
        of_ci = [run for run in runs if run.get("check_suite", {}).get("id") not in ours]
        return Checks.from_json(of_ci, combined)

    async def run(self, run_id: int) -> WorkflowRun:
        return WorkflowRun.from_json(await self._get(f"/actions/runs/{run_id}"))

    async def find_run(self, request_id: str) -> WorkflowRun | None:
        """The dispatched run that carries this request id in its name, among the newest 100."""
        answer = await self._get("/actions/runs", event="workflow_dispatch", per_page=PER_PAGE)
        for row in answer["workflow_runs"]:
            if f"[{request_id}]" in str(row.get("display_title", "")):
                return WorkflowRun.from_json(row)
        return None

    async def workflow_runs(self, workflow: str, limit: int) -> list[WorkflowRun]:
        """The newest runs of that workflow, newest first, whoever started them."""
        answer = await self._get(f"/actions/workflows/{quote(workflow)}/runs", per_page=limit)
        return [WorkflowRun.from_json(row) for row in answer["workflow_runs"]]

    async def jobs(self, run_id: int) -> list[Job]:
        """The jobs of the newest attempt, with their steps."""
        answer = await self._get(f"/actions/runs/{run_id}/jobs", per_page=100)
        return [Job.from_json(job) for job in answer["jobs"]]

    async def job_log(self, job_id: int) -> str:
        """The job's log. GitHub answers with a signed address elsewhere, which must not see our token."""
        status, headers, body = await self._send("GET", f"/actions/jobs/{job_id}/logs", reading=True)
        if status == 302 and "location" in headers:
            return await self._http.get_text(str(headers["location"]), timeout_s=10)
        if status != 200:
            _checked(status, headers, body)  # what GitHub says of a log that is gone is no log
        return body

    # ---- writes ----------------------------------------------------------------------------------------------

    async def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> int | None:
        """Start the workflow; the run's id, or None where this GitHub does not tell it (204).

        Raises:
            Unknown: GitHub may or may not have started it. Never sent again: look for the request id instead.
            Unavailable: GitHub refused it; nothing was started.
        """
        answer = await self._post(
            f"/actions/workflows/{quote(workflow)}/dispatches",
            {"ref": ref, "inputs": dict(inputs), "return_run_details": True},
        )
        run_id = answer.get("workflow_run_id") if isinstance(answer, dict) else None
        return int(run_id) if run_id is not None else None

    async def cancel_run(self, run_id: int) -> None:
        """Ask GitHub to cancel; it answers before it has done so. A run that is over already (409) is no error."""
        try:
            await self._post(f"/actions/runs/{run_id}/cancel", {})
        except Unavailable as error:
            if error.status != 409:
                raise

    async def create_deployment(
        self, *, commit: str, environment: str, description: str, payload: Mapping[str, str]
    ) -> int:
        """Record on GitHub that this commit goes to that environment; GitHub's own checks and merges stay out of it."""
        answer = await self._post(
            "/deployments",
            {
                "ref": commit,
                "environment": environment,
                "description": description[:140],
                "auto_merge": False,
                "required_contexts": [],
                "payload": dict(payload),
                "production_environment": environment == "prod",
            },
        )
        return int(answer["id"])

    async def deployment_status(self, deployment_id: int, state: str, *, description: str = "", url: str = "") -> None:
        """Append a status (`in_progress`, `success`, `failure`, `error`) to that deployment."""
        body: dict[str, Any] = {"state": state, "description": description[:140]}
        if url:
            body["environment_url"] = url
        await self._post(f"/deployments/{deployment_id}/statuses", body)

    # ---- the wire --------------------------------------------------------------------------------------------

    async def probe(self) -> None:
        """One cheap request, made once; who listens for GitHub is told how it went.

        Raises:
            Unavailable: GitHub did not answer it.
        """
        await self._get_once("")

    async def _pages(self, path: str, key: str, **query: object) -> list[Any]:
        """The rows of all pages, at most 10, of a list or of the list under `key`: a missed row may be the red one."""
        rows: list[Any] = []
        for page in range(1, PAGES_MAX + 1):
            at = {"page": page} if page > 1 else {}
            answer = await self._get(path, **query, per_page=PER_PAGE, **at)
            found = answer[key] if key else answer
            rows += found
            if len(found) < PER_PAGE:
                break
        return rows

    async def _get(self, path: str, **query: object) -> Any:
        """A read with its ETag; an unchanged answer costs nothing of the rate limit. Tried again on 5xx and cuts."""
        address = path + (f"?{urlencode(query)}" if query else "")
        for attempt in range(1, READ_TRIES + 1):
            try:
                return await self._get_once(address)
            except Unavailable as error:
                passing = error.status in RETRIED_STATUSES or (
                    error.status is None and not isinstance(error, NotVisible)
                )
                if attempt == READ_TRIES or not passing:
                    raise
                await asyncio.sleep(0.3 * attempt)
        raise AssertionError("unreachable")

    async def _get_once(self, address: str) -> Any:
        known = self._etags.get(address)
        headers = {"If-None-Match": known[0]} if known else {}
        status, answer_headers, body = await self._send("GET", address, headers=headers, reading=True)
        if status == 304 and known:
            self._etags.move_to_end(address)
            return known[1]
        value = _checked(status, answer_headers, body)
        if etag := answer_headers.get("etag"):
            self._etags[address] = (etag, value)
            if len(self._etags) > CACHED_ANSWERS:
                self._etags.popitem(last=False)
        return value

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        try:
            status, headers, text = await self._send("POST", path, body=body, reading=False)
        except Unreachable:
            raise
        except Unavailable as error:
            raise Unknown(error.service, f"{error} Whether the request was carried out is not known.") from error
        if status >= 500:
            raise Unknown("github", f"GitHub answered {status}; whether it did it is not known.", status=status)
        try:
            return _checked(status, headers, text)
        except Unavailable as error:
            if status < 300:  # accepted, with an answer that cannot be read: it was carried out, most likely
                raise Unknown("github", str(error), status=status) from error
            raise

    async def _send(
        self,
        verb: str,
        path: str,
        *,
        reading: bool,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[int, dict[str, Any], str]:
        pool = self._readers if reading else self._writer
        try:
            answer = await pool.call(
                lambda: self._wire.send(verb, path, headers=headers or {}, body=body), deadline_s=READ_DEADLINE_S
            )
        except NeverBegan as error:
            raise Unreachable("github", "GitHub answers so slowly that this was never sent.") from error
        except TimeoutError as error:
            self._hearing.silent("github", "GitHub did not answer in time.")
            raise Unavailable("github", "GitHub did not answer in time.") from error
        except Unavailable as error:
            self._hearing.silent("github", str(error))
            raise
        self._note(answer[0])
        return answer

    def _note(self, status: int) -> None:
        """What a status says of GitHub: one that it gives without looking at the request is no word of it."""
        if status == 401:
            self._hearing.silent("github", UNAUTHORISED)
        elif status >= 500:
            self._hearing.silent("github", f"GitHub answered {status}.")
        else:
            self._hearing.heard("github")


def _checked(status: int, headers: Mapping[str, Any], body: str) -> Any:
    """The parsed body of a good answer; every other one becomes one of our errors."""
    if status < 300:
        if not body:
            return {}
        try:
            return json.loads(body)
        except ValueError as error:
            raise Unavailable("github", "GitHub answered with something that is not JSON.", status=None) from error
    message = _message(body)
    if status == 404:
        raise NotVisible("github", f"GitHub has no such thing, or does not show it to us ({message}).", status=404)
    retry_after_s = _retry_after_s(headers) if status in (403, 429) else None
    if retry_after_s is not None:
        sentence = f"GitHub asks us to wait {retry_after_s:.0f} s (rate limit)."
        raise Unavailable("github", sentence, status=status, retry_after_s=retry_after_s)
    if status == 401:
        raise Unavailable("github", UNAUTHORISED, status=401)
    raise Unavailable("github", f"GitHub refused the request ({status}: {message}).", status=status)


def _message(body: str) -> str:
    try:
        value = json.loads(body)
    except ValueError:
        return "no reason given"
    return str(value.get("message", "no reason given"))[:200] if isinstance(value, dict) else "no reason given"


def _retry_after_s(headers: Mapping[str, Any]) -> float | None:
    """Seconds that a 403 or 429 asks for: Retry-After (secondary limit), else the primary limit's reset."""
    try:
        if "retry-after" in headers:
            return max(1.0, float(headers["retry-after"]))
        if headers.get("x-ratelimit-remaining") == "0":
            return max(1.0, float(headers["x-ratelimit-reset"]) - time.time())
    except (KeyError, ValueError):
        return 60.0
    return None

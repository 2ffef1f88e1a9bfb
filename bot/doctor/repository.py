"""The checks of GitHub: token, repository, branches, the build workflow, and the rights that a deploy will need.

Reading rights are tried by reading. The two writing rights are tried by requests that cannot succeed, because they
name a ref that git forbids: GitHub answers 422 to who may write and 403 to who may not, and nothing happens.
"""

import base64
import json
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from bot.clients.github_wire import GithubWire
from bot.doctor.examination import Check, Part
from bot.doctor.findings import Verdict, fine, warning, wrong
from bot.errors import Unavailable
from bot.settings import Settings

REPOSITORY = "github repository"
WORKFLOW = "github workflow"
IMPOSSIBLE_REF = "quarterdeck..doctor"
"""No branch or tag can be called so: git forbids two dots in a ref's name (git check-ref-format)."""
WORKFLOW_INPUTS = ("component", "sha", "tag", "request")
BROAD_SCOPES = frozenset({"admin:org", "admin:repo_hook", "admin:enterprise", "delete_repo", "user", "gist"})
FEW_REQUESTS_LEFT = 500
UNAUTHORIZED, FORBIDDEN, MISSING, UNPROCESSABLE = 401, 403, 404, 422
TOKEN_ADVICE = (
    "Use a fine-grained token for this repository alone: Actions and Deployments read and write; Contents, Checks, "  # noqa: S105 - advice about a token
    "Commit statuses and Metadata read."
)


class RepositoryExamination:
    """The checks of one configuration's GitHub."""

    def __init__(self, settings: Settings) -> None:
        self._github = settings.github
        self._settings = settings
        self._wire = GithubWire(
            repository=settings.github.repository,
            api_url=str(settings.github.api_url),
            token=settings.github_token.get_secret_value(),
            write_pause_s=0,
        )
        self._headers: Mapping[str, Any] = {}

    def part(self) -> Part:
        """The checks, in order."""
        branch = quote(self._github.default_branch)
        reading = {
            "Contents: read": f"/git/ref/heads/{branch}",
            "Checks: read": f"/commits/{branch}/check-runs?per_page=1",
            "Commit statuses: read": f"/commits/{branch}/status?per_page=1",
            "Actions: read": "/actions/runs?per_page=1",
            "Deployments: read": "/deployments?per_page=1",
        }
        writing: dict[str, tuple[str, Mapping[str, Any]]] = {
            "Actions: write": (
                f"/actions/workflows/{quote(self._github.workflow)}/dispatches",
                {"ref": IMPOSSIBLE_REF, "inputs": {}},
            ),
            "Deployments: write": ("/deployments", {"ref": IMPOSSIBLE_REF, "auto_merge": False}),
        }
        branches = {self._github.default_branch, *(e.default_ref for e in self._settings.environments.values())}
        return [
            Check(REPOSITORY, self._repository),
            Check("github token", self._token, needs=REPOSITORY),
            Check("github limit", self._limit, needs=REPOSITORY),
            *(Check(f"github {right}", partial(self._reading, right, p), REPOSITORY) for right, p in reading.items()),
            *(Check(f"github branch {name}", partial(self._branch, name), REPOSITORY) for name in sorted(branches)),
            Check(WORKFLOW, self._workflow, needs="github Actions: read"),
            *(Check(f"github {right}", partial(self._writing, right, *p), WORKFLOW) for right, p in writing.items()),
        ]

    def _repository(self) -> Verdict:
        status, headers, found = self._get("")
        name = self._github.repository
        if status == UNAUTHORIZED:
            return wrong("GitHub does not accept the token", f"Renew QUARTERDECK_GITHUB_TOKEN. {TOKEN_ADVICE}")
        if status in (MISSING, FORBIDDEN):
            scopes = _scopes(headers)
            narrow = f" (a classic token with the scopes: {', '.join(scopes) or 'none'})" if scopes is not None else ""
            return wrong(f"there is no repository {name}, or the token may not see it{narrow}", TOKEN_ADVICE)
        self._headers = _expected(status, headers, found)
        if found.get("archived"):
            return wrong(f"{name} is archived, so nothing can be built from it", "Unarchive it, or name another one.")
        branch = str(found.get("default_branch", ""))
        if branch != self._github.default_branch:
            return wrong(
                f"the default branch of {name} is {branch}, the file says {self._github.default_branch}",
                f'Set github.default_branch = "{branch}": workflows are dispatched there.',
            )
        return fine(f"{name}, default branch {branch}")

    def _token(self) -> Verdict:
        scopes = _scopes(self._headers)
        if scopes is None:
            return fine("a fine-grained token or an app's")
        if not {"repo", "public_repo"} & set(scopes):
            return wrong(f"a classic token with the scopes: {', '.join(scopes) or 'none'}", TOKEN_ADVICE)
        broad = sorted(BROAD_SCOPES & set(scopes))
        more = f", even {', '.join(broad)}" if broad else ""
        return warning(f"a classic token: it may change every repository of its owner{more}", TOKEN_ADVICE)

    def _limit(self) -> Verdict:
        left = int(self._headers.get("x-ratelimit-remaining", FEW_REQUESTS_LEFT))
        if left < FEW_REQUESTS_LEFT:
            return warning(
                f"only {left} requests are left this hour", "Does something else use the same token? Give it its own."
            )
        return fine(f"{left} requests are left this hour")

    def _reading(self, right: str, path: str) -> Verdict:
        status, headers, found = self._get(path)
        if status == FORBIDDEN:
            return wrong(f"the token lacks {right}{_accepted(headers)}", TOKEN_ADVICE)
        if status != MISSING:  # the thing itself has a check of its own
            _expected(status, headers, found)
        return fine("the token may")

    def _writing(self, right: str, path: str, body: Mapping[str, Any]) -> Verdict:
        status, headers, text = self._wire.send("POST", path, headers={}, body=body)
        if status in (FORBIDDEN, MISSING):
            return wrong(f"the token lacks {right}{_accepted(headers)}", TOKEN_ADVICE)
        if status != UNPROCESSABLE:
            raise _unexpected(status, text)
        return fine("the token may (asked with a ref that cannot exist)")

    def _branch(self, name: str) -> Verdict:
        status, headers, found = self._get(f"/git/ref/heads/{quote(name)}")
        if status == MISSING:
            return wrong(
                f"{self._github.repository} has no branch {name}",
                "Correct github.default_branch and the environments' default_ref.",
            )
        _expected(status, headers, found)
        return fine(f"at {str(found['object']['sha'])[:7]}")

    def _workflow(self) -> Verdict:
        name = self._github.workflow
        status, headers, found = self._get(f"/actions/workflows/{quote(name)}")
        if status == MISSING:
            return wrong(
                f"there is no workflow {name} on the default branch",
                f"Bring .github/workflows/{name} to {self._github.default_branch}, or correct github.workflow.",
            )
        _expected(status, headers, found)
        if found.get("state") != "active":
            return wrong(f"{name} is switched off ({found.get('state')})", "GitHub > Actions: enable the workflow.")
        lacking = self._lacking_inputs(str(found["path"]))
        if lacking:
            return wrong(
                f"{name} does not take what the bot gives it: {', '.join(lacking)}",
                "Take the file of this version; the bot finds its runs by these inputs.",
            )
        return fine(f"{name} is active and takes what the bot gives it")

    def _lacking_inputs(self, path: str) -> list[str]:
        """What the workflow's file, as text, does not mention."""
        status, headers, found = self._get(f"/contents/{quote(path)}?ref={quote(self._github.default_branch)}")
        _expected(status, headers, found)
        text = base64.b64decode(found["content"]).decode(errors="replace")
        wanted = {"workflow_dispatch": "workflow_dispatch", **{name: f"{name}:" for name in WORKFLOW_INPUTS}}
        return [name for name, mark in wanted.items() if mark not in text]

    def _get(self, path: str) -> tuple[int, Mapping[str, Any], dict[str, Any]]:
        status, headers, text = self._wire.send("GET", path, headers={}, body=None)
        try:
            value = json.loads(text)
        except ValueError:
            value = {}
        return status, headers, value if isinstance(value, dict) else {}


def _expected(status: int, headers: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The headers of an answer that is one.

    Raises:
        Unavailable: it is a refusal.
    """
    if status != 200:
        raise _unexpected(status, str(found.get("message", "")))
    return headers


def _unexpected(status: int, words: str) -> Unavailable:
    return Unavailable("github", f"GitHub answered {status} {words[:200]}".rstrip() + ".", status=status)


def _scopes(headers: Mapping[str, Any]) -> list[str] | None:
    """The scopes of a classic token; None: the token is of another kind (GitHub sends the header for classic ones)."""
    told = headers.get("x-oauth-scopes")
    return None if told is None else [scope.strip() for scope in str(told).split(",") if scope.strip()]


def _accepted(headers: Mapping[str, Any]) -> str:
    """What GitHub itself says would do."""
    told = str(headers.get("x-accepted-github-permissions", ""))[:100]
    return f" (GitHub wants {told})" if told else ""

"""What the world's one token may do on GitHub: fine-grained permissions at first, or the scopes of a classic token.

Which permission a route needs: GitHub's documentation, "Permissions required for fine-grained personal access tokens"
(2026). Names and refusals are GitHub's own.
"""

from collections.abc import Mapping
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from bot.sandbox.github.errors import answer
from bot.sandbox.wire import Rejected

Access = Literal["read", "write"]
FIRST: Mapping[str, Access] = {
    "actions": "write",
    "checks": "read",
    "contents": "read",
    "deployments": "write",
    "metadata": "read",
    "pull_requests": "read",
    "statuses": "read",
}
"""What a careful team gives the bot; pull requests are read by others who use the world, not by the bot."""
OF_ROUTE = {
    "repos:get_combined_status_for_ref": "statuses",
    "repos:list_commit_statuses_for_ref": "statuses",
    "repos:list_pull_requests_associated_with_commit": "pull_requests",
    "repos:create_commit_status": "statuses",
    "repos:get_all_environments": "actions",
    "repos:get_environment": "actions",
    "repos:get": "metadata",
}
OF_FAMILY = {"actions": "actions", "checks": "checks", "git": "contents", "pulls": "pull_requests", "repos": "contents"}


class TokenBody(BaseModel):
    """`PUT /github/token`: one of the two; neither gives the first token back."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    scopes: list[str] | None = None
    permissions: dict[str, Access] | None = None


class Token:
    """The rights of the token; its text stays the same."""

    def __init__(self) -> None:
        self._scopes: list[str] | None = None
        self._permissions: Mapping[str, Access] = FIRST

    def change(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give the token other rights.

        Raises:
            Rejected: a key or a value is not known here.
        """
        try:
            wanted = TokenBody.model_validate(dict(body))
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise Rejected(f"{'.'.join(str(part) for part in fault['loc'])[:200]}: {fault['msg']}.") from None
        if wanted.scopes is not None and wanted.permissions is not None:
            raise Rejected("A token has either scopes (classic) or permissions (fine-grained), not both.")
        self._scopes = wanted.scopes
        self._permissions = FIRST if wanted.permissions is None else wanted.permissions
        return {"scopes": self._scopes, "permissions": None if self._scopes is not None else dict(self._permissions)}

    def headers(self) -> dict[str, str]:
        """What every answer says of a classic token."""
        return {} if self._scopes is None else {"X-OAuth-Scopes": ", ".join(self._scopes)}

    def refusal(self, request: web.Request) -> web.Response | None:
        """GitHub's answer to what the token may not do; None: it may."""
        needed = _needed(request)
        if needed is None:
            return None
        permission, access = needed
        if self._scopes is not None:
            # Without `repo` a classic token does not even see a private repository.
            return None if "repo" in self._scopes else answer(404, "Not Found")
        held = self._permissions.get(permission)
        if held == "write" or held == access:
            return None
        return answer(
            403,
            "Resource not accessible by personal access token",
            headers={"X-Accepted-GitHub-Permissions": f"{permission}={access}"},
        )


def _needed(request: web.Request) -> tuple[str, Access] | None:
    """The permission that the route needs; None: none of the repository's."""
    route = request.match_info.route.name or ""
    family, _, call = route.partition(":")
    permission = OF_ROUTE.get(route) or _of_call(family, call)
    if permission is None:
        return None
    return permission, "read" if request.method in ("GET", "HEAD") else "write"


def _of_call(family: str, call: str) -> str | None:
    if "webhook" in call:
        return "repository_hooks"
    return "deployments" if family == "repos" and "deployment" in call else OF_FAMILY.get(family)

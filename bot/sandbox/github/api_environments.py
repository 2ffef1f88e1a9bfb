"""Environments over the REST API: those that the repository was set up with, and every other one ever deployed to.

GitHub makes an environment when something is first deployed to it. None here has protection rules: reviewers and timers
are no part of what the bot relies on.
"""

from typing import Any
from urllib.parse import quote
from zlib import crc32

from aiohttp import web

from bot.sandbox.github.api_git import REPO
from bot.sandbox.github.errors import not_found
from bot.sandbox.github.journal import Journal
from bot.sandbox.github.pages import dump, paged
from bot.sandbox.github.shapes import Shapes

SET_UP = ("dev", "prod")
SET_UP_AT = "2026-01-05T08:00:00Z"


class EnvironmentsApi:
    """Handlers over the environments; they change nothing."""

    def __init__(self, *, journal: Journal, shapes: Shapes) -> None:
        self._journal = journal
        self._shapes = shapes

    def routes(self) -> list[web.RouteDef]:
        """Named as GitHub's OpenAPI names its operations, with `_` for `-`."""
        return [
            web.get(REPO + "/environments", self._list, name="repos:get_all_environments"),
            web.get(REPO + "/environments/{environment}", self._get, name="repos:get_environment"),
        ]

    def _names(self) -> list[str]:
        deployed = {d.environment for d in self._journal.deployments.values()}
        said = {status.environment for status in self._journal.statuses}
        return [*SET_UP, *sorted((deployed | said) - set(SET_UP))]

    async def _list(self, request: web.Request) -> web.Response:
        return paged(request, self._shapes.base, [self._body(name) for name in self._names()], key="environments")

    async def _get(self, request: web.Request) -> web.Response:
        wanted = request.match_info["environment"]
        if wanted not in self._names():
            not_found()
        return dump(self._body(wanted))

    def _body(self, name: str) -> dict[str, Any]:
        number = 160_000_000 + crc32(name.encode()) % 1_000_000
        return {
            "id": number,
            "node_id": f"EN_{number}",
            "name": name,
            "url": f"{self._shapes.repo}/environments/{quote(name)}",
            "html_url": f"{self._shapes.site}/deployments/activity_log?environments_filter={quote(name)}",
            "created_at": SET_UP_AT,
            "updated_at": SET_UP_AT,
            "protection_rules": [],
            "deployment_branch_policy": None,
        }

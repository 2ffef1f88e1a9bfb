"""The wire to GitHub: PyGithub's requester, used from worker threads and for nothing but requests.

It carries authentication, encoding and connections. One client per thread, because a shared one can hand an answer to
the wrong thread (PyGithub#2052); `retry=None`, because its default sends a POST again after a 502, which would start a
second build. The library is imported by the first request: it is a fifth of the bot's import time.
"""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bot.errors import Unavailable, Unreachable

if TYPE_CHECKING:
    from github import Github

API_VERSION = "2022-11-28"
"""Pinned: 2026-03-10 drops `return_run_details` from the dispatch (GitHub's OpenAPI, x-github-breaking-changes)."""
REQUEST_TIMEOUT_S = 10


class GithubWire:
    """Sends requests about one repository. `write_pause_s` is kept between two writes of one thread."""

    def __init__(self, *, repository: str, api_url: str, token: str, write_pause_s: float) -> None:
        self._repository = repository
        self._api_url = api_url.rstrip("/")
        self._token = token
        self._write_pause_s = write_pause_s
        self._local = threading.local()

    def send(
        self, verb: str, path: str, *, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> tuple[int, dict[str, Any], str]:
        """One request, and whatever GitHub answers: status, headers (names in lower case), text. Blocks.

        Raises:
            Unreachable: no connection could be made; nothing was sent.
            Unavailable: the connection broke or stayed silent; what was sent may have arrived.
        """
        import requests
        from github import GithubException

        url = f"/repos/{self._repository}{path}"
        try:
            return self._client().requester.requestJson(verb, url, headers=dict(headers), input=body)
        except (requests.RequestException, GithubException) as error:
            if _never_connected(error):
                raise Unreachable("github", "GitHub cannot be reached: no connection.") from error
            raise Unavailable("github", f"GitHub cannot be reached ({type(error).__name__}).") from error

    def _client(self) -> "Github":
        from github import Auth, Github

        client: Github | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = Github(
                auth=Auth.Token(self._token),
                base_url=self._api_url,
                timeout=REQUEST_TIMEOUT_S,
                user_agent="quarterdeck",
                retry=None,
                seconds_between_requests=None,
                seconds_between_writes=self._write_pause_s,
                lazy=True,
                api_version=API_VERSION,
            )
        return client


def _never_connected(error: Exception) -> bool:
    """Whether the connection itself failed, before anything was sent."""
    import requests
    from urllib3.exceptions import NewConnectionError

    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)

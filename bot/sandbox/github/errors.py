"""GitHub's refusals: status, message and shape as api.github.com words them, and nothing of when they are due."""

import json
from math import ceil
from typing import Any, NoReturn

from aiohttp import web

from bot.sandbox.faults import Fault

DOCUMENTATION = "https://docs.github.com/rest"
SECONDARY_LIMIT = (
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. "
    "If you reach out to GitHub Support for help, please include the request ID."
)
SECONDARY_LIMIT_PAGE = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
WORDS = {500: "Server Error", 502: "Server Error", 503: "No server is currently available to service your request."}


class GithubError(Exception):
    """An answer other than success; `errors` is GitHub's list of details."""

    def __init__(self, status: int, message: str, *, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors

    def response(self) -> web.Response:
        """The refusal as an answer."""
        return answer(self.status, self.message, errors=self.errors)


def answer(
    status: int,
    message: str,
    *,
    errors: list[dict[str, Any]] | None = None,
    documentation: str = DOCUMENTATION,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """A refusal in the shape that all of GitHub's have."""
    body: dict[str, Any] = {"message": message, "documentation_url": documentation, "status": str(status)}
    if errors is not None:
        body["errors"] = errors
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", charset="utf-8", headers=headers
    )


def not_found() -> NoReturn:
    """Raise the 404 that GitHub also gives for what one may not see."""
    raise GithubError(404, "Not Found")


def unprocessable(message: str) -> NoReturn:
    """Raise a 422 with a sentence."""
    raise GithubError(422, message)


def invalid(resource: str, field: str, code: str = "invalid") -> NoReturn:
    """Raise the 422 that names a field of a resource."""
    raise GithubError(422, "Validation Failed", errors=[{"resource": resource, "field": field, "code": code}])


def secondary_limit(wait_s: float, *, status: int = 403) -> web.Response:
    """The refusal under the secondary limit: come back after so many seconds."""
    headers = {"Retry-After": str(max(1, ceil(wait_s)))}
    return answer(status, SECONDARY_LIMIT, documentation=SECONDARY_LIMIT_PAGE, headers=headers)


def fault_answer(fault: Fault) -> web.Response:
    """What GitHub says under the faults `rate_limit` (the secondary limit) and `status`."""
    if fault.kind == "rate_limit":
        return secondary_limit(fault.seconds or 60, status=fault.status or 403)
    status = fault.status or 502
    return answer(status, WORDS.get(status, "The sandbox was told to answer this."))

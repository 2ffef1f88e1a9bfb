"""The face of the comparison: one inspector looks at everything that the world's fakes say and hear."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from bot.sandbox.validation.accepted import Document
from bot.sandbox.validation.documents import DescriptionAbsent, load, missing
from bot.sandbox.validation.findings import Findings, Kind
from bot.sandbox.validation.gateway import GatewayCheck
from bot.sandbox.validation.rest import UNREADABLE, Customs, RestCheck, Seen
from bot.sandbox.validation.webhooks import WebhookCheck
from bot.sandbox.wire import CARRIED_OUT, Handler

Json = dict[str, Any]
Reader = Callable[[web.Request], Awaitable[object]]

GITHUB_CUSTOMS = Customs(
    long=frozenset({"path", "ref", "branch", "basehead"}), refusal="basic-error", closed=True, conditional=True
)
DISCORD_CUSTOMS = Customs(refusal="ErrorResponse")


class Inspector:
    """Holds the findings and the four checks; each reads its description when it is first used.

    Raises:
        DescriptionAbsent: a description or jsonschema-rs is not there.
    """

    def __init__(self) -> None:
        if sentence := missing():
            raise DescriptionAbsent(sentence)
        self.findings = Findings()

    @cached_property
    def discord(self) -> RestCheck:
        return RestCheck(Kind.DISCORD, load(Document.DISCORD), self.findings, customs=DISCORD_CUSTOMS)

    @cached_property
    def github(self) -> RestCheck:
        return RestCheck(Kind.GITHUB, load(Document.GITHUB), self.findings, customs=GITHUB_CUSTOMS)

    @cached_property
    def gateway(self) -> GatewayCheck:
        return GatewayCheck(load(Document.GATEWAY), self.findings)

    @cached_property
    def webhooks(self) -> WebhookCheck:
        return WebhookCheck(load(Document.WEBHOOKS), self.findings)

    def check_webhook(self, event: str, headers: Mapping[str, str], body: bytes) -> None:
        """Compare one webhook as it is sent: the event of `X-GitHub-Event`, all headers, the body as bytes."""
        self.webhooks.check(event, headers, body)


@dataclass(frozen=True, slots=True)
class Watched:
    """What is compared on a port: the paths that `applies` takes, without the `prefix` before the description's own.

    `read` gives the JSON of a request that was accepted, and raises `refusal` when it has none.
    """

    prefix: str
    read: Reader
    refusal: type[Exception]
    applies: Callable[[web.Request], bool]


def watched(check: RestCheck, what: Watched) -> Middleware:
    """Have every exchange compared after it was answered. A part that breaks over a request is a mismatch, too."""

    @web.middleware
    async def compare(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except (web.HTTPException, ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            check.broke(request.method, request.rel_url.raw_path.removeprefix(what.prefix), error)
            raise
        if what.applies(request):
            sent = response.status < 400 and request.body_exists and bool(await request.read())
            body = await _body(request, what) if sent else None
            check.check(_seen(request, response, what, sent=sent, body=body))
        return response

    return compare


async def _body(request: web.Request, what: Watched) -> object:
    try:
        return await what.read(request)
    except what.refusal:
        return UNREADABLE


def _seen(request: web.Request, response: web.StreamResponse, what: Watched, *, sent: bool, body: object) -> Seen:
    answer = response.body if isinstance(response, web.Response) else None
    return Seen(
        method=request.method,
        path=request.rel_url.raw_path.removeprefix(what.prefix),
        query=request.query,
        headers=request.headers,
        has_body=sent,
        body=body,
        media=request.content_type,
        status=response.status,
        answer_media=response.content_type,
        answer=answer if isinstance(answer, bytes) else b"",
        faulted=CARRIED_OUT in request,
    )

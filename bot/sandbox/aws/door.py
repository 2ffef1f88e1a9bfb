"""The one way in to the world's AWS: a reverse proxy that knows who asks, for what, and whether they may.

It guards Host and Origin, takes only the world's own access keys, applies the faults that somebody switched on, writes
the ledger, and passes the rest to moto with a secret that moto insists on. Signatures are not verified: the access keys
are random for each world and known to its own processes only.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web

from bot.sandbox.faults import Fault, Faults
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import (
    ACTION,
    CARRIED_OUT,
    FAULT,
    WIRE_FAULTS,
    Guard,
    carries_out,
    cut,
    guard_middleware,
    ledger_middleware,
    listen,
)

BODY_MAX = 64 * 1024 * 1024
CREDENTIAL = re.compile(
    r"Credential=(?P<key>[A-Za-z0-9]+)/\d{8}/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request"
)
NOT_PASSED_ON = frozenset({"host", "connection", "content-length", "transfer-encoding", "expect", "keep-alive"})
NOT_PASSED_BACK = frozenset(
    {"connection", "content-length", "transfer-encoding", "content-encoding", "server", "date", "keep-alive"}
)
MAY: Mapping[str, re.Pattern[str]] = {
    "demo": re.compile(r".*"),
    # A host reads its own parameters and images, notes what it serves, and sends no commands to anybody.
    "host": re.compile(
        r"ssm:(GetParameter.*|PutParameter)|ecr:(Get|BatchGet|BatchCheck|Describe).*|sts:GetCallerIdentity"
    ),
    # The bot may do much, but never make or change what Run Command runs, nor hand out rights.
    "bot": re.compile(r"(?!ssm:(Create|Update|Delete|Modify)Document|cloudformation:|iam:(?!Get|List)).*"),
}
"""Which actions each of the world's keys may ask for."""


class Door:
    """Listens on loopback and forwards to moto. `keys` maps access key ids to who holds them."""

    def __init__(self, *, ledger: Ledger, faults: Faults, guard: Guard, keys: Mapping[str, str]) -> None:
        self._faults = faults
        self._keys = keys
        self._target = ""
        self._headers: Mapping[str, str] = {}
        self._caller_header = ""
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._app = web.Application(
            middlewares=[ledger_middleware("aws", ledger, self._caller), guard_middleware(guard)],
            client_max_size=BODY_MAX,
        )
        self._app.router.add_route("*", "/{path:.*}", self._serve)
        self.port = 0

    async def start(self, *, port: int = 0) -> None:
        """Listen, on `port` if it is free; answers 503 until `open_to` was called."""
        self._session = aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
        try:
            self._runner, self.port = await listen(self._app, port=port)
        except OSError:
            self._runner, self.port = await listen(self._app)

    def open_to(self, target: str, *, secret_header: tuple[str, str], caller_header: str) -> None:
        """Forward to moto at `target` from now on."""
        self._target, self._headers, self._caller_header = target, dict([secret_header]), caller_header

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def _caller(self, request: web.Request) -> str:
        found = CREDENTIAL.search(request.headers.get("Authorization", ""))
        return self._keys.get(found["key"], "") if found else ""

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        action = action_of(request, body)
        request[ACTION] = action
        caller = self._caller(request)
        if not caller:
            return error_response(
                request, 403, _no_such_key(request), "The security token included in the request is invalid."
            )
        if MAY[caller].fullmatch(action) is None:
            return error_response(
                request, 400, "AccessDeniedException", f"The key of {caller!r} is not authorized to perform: {action}"
            )
        fault = self._faults.hit("aws", f"{request.method} {request.path}", action, kinds=WIRE_FAULTS)
        return (
            await self._forward(request, body, caller)
            if fault is None
            else await self._misbehave(request, body, caller, fault)
        )

    async def _misbehave(self, request: web.Request, body: bytes, caller: str, fault: Fault) -> web.StreamResponse:
        """What the fault says; as `wire.fault_middleware` does, but the action is known only after reading the body."""
        request[CARRIED_OUT], request[FAULT] = 0, fault.kind
        if fault.kind == "latency":
            await asyncio.sleep(fault.seconds or 1.0)
        if carries_out(fault):
            response = await self._forward(request, body, caller)
            request[CARRIED_OUT] = response.status
            if fault.kind == "latency":
                return response
        if fault.kind == "kill":
            await self._faults.kill_bot()
        if fault.kind == "refuse" or (fault.kind in ("lost_reply", "kill") and fault.status is None):
            cut(request)
            raise ConnectionResetError
        if fault.kind == "rate_limit":
            return error_response(request, 400, "ThrottlingException", "Rate exceeded")
        status = fault.status or 500
        code = (
            "ServiceUnavailable"
            if status == 503
            else "AccessDeniedException"
            if status == 403
            else "InternalServerError"
        )
        return error_response(request, status, code, "The sandbox was asked to fail this request.")

    async def _forward(self, request: web.Request, body: bytes, caller: str) -> web.StreamResponse:
        if not self._target or self._session is None:
            return error_response(request, 503, "ServiceUnavailable", "AWS is still starting.")
        headers = {
            k: v
            for k, v in request.headers.items()
            if k.lower() not in NOT_PASSED_ON and not k.lower().startswith("x-quarterdeck-")
        }
        headers |= {**self._headers, self._caller_header: caller}
        try:
            async with self._session.request(
                request.method, f"{self._target}{request.raw_path}", headers=headers, data=body, allow_redirects=False
            ) as answer:
                passed = [(k, v) for k, v in answer.headers.items() if k.lower() not in NOT_PASSED_BACK]
                return web.Response(status=answer.status, headers=passed, body=await answer.read())
        except aiohttp.ClientError as error:
            return error_response(request, 503, "ServiceUnavailable", f"AWS does not answer: {type(error).__name__}.")


def action_of(request: web.Request, body: bytes) -> str:
    """What the request asks for, such as `ssm:SendCommand`; `s3:GET` where the protocol has no names."""
    found = CREDENTIAL.search(request.headers.get("Authorization", ""))
    service = found["service"] if found else "unknown"
    if target := request.headers.get("X-Amz-Target"):
        return f"{service}:{target.rpartition('.')[2]}"
    if "/operation/" in request.path:
        return f"{service}:{request.path.rpartition('/')[2]}"
    if request.content_type == "application/x-www-form-urlencoded" and len(body) < 1024 * 1024:
        named = parse_qs(body.decode("utf-8", errors="replace")).get("Action")
        if named:
            return f"{service}:{named[0]}"
    named = parse_qs(request.query_string).get("Action")
    return f"{service}:{named[0] if named else request.method}"


def _is_json(request: web.Request) -> bool:
    return "X-Amz-Target" in request.headers or request.content_type.startswith("application/x-amz-json")


def _no_such_key(request: web.Request) -> str:
    return "UnrecognizedClientException" if _is_json(request) else "InvalidClientTokenId"


def error_response(request: web.Request, status: int, code: str, message: str) -> web.Response:
    """An error in the shape of the protocol that the request speaks."""
    if _is_json(request):
        body = json.dumps({"__type": code, "message": message})
        return web.Response(
            status=status, text=body, content_type="application/x-amz-json-1.1", headers={"x-amzn-ErrorType": code}
        )
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    text = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>0</RequestId></ErrorResponse>"
    if b"ec2" in request.headers.get("Authorization", "").encode() and "/ec2/" in request.headers.get(
        "Authorization", ""
    ):
        text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>0</RequestID></Response>"
    return web.Response(status=status, text=text, content_type="text/xml")

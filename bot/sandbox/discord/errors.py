"""Discord's refusals: the status, the JSON code and the words of each, and nothing of when they are due.

Codes and words: Discord's documentation, "Opcodes and Status Codes", JSON error codes.
"""

import json
import math
from enum import Enum
from typing import Any

from aiohttp import web

from bot.sandbox.faults import Fault

Json = dict[str, Any]

dumps = json.JSONEncoder(separators=(",", ":")).encode
"""JSON as Discord writes it, without spaces."""
VIA = {"Via": "1.1 sandbox"}
"""On every answer: clients take a 429 without it for a ban by the network in front of Discord."""
WORDS = {500: "500: Internal Server Error", 502: "502: Bad Gateway", 503: "503: Service Unavailable"}


class Known(Enum):
    """Status, code, message."""

    NOT_FOUND = (404, 0, "404: Not Found")
    METHOD_NOT_ALLOWED = (405, 0, "405: Method Not Allowed")
    RESOURCE_LIMITED = (429, 0, "The resource is being rate limited.")
    UNAUTHORIZED = (401, 0, "401: Unauthorized")
    UNKNOWN_CHANNEL = (404, 10003, "Unknown Channel")
    UNKNOWN_GUILD = (404, 10004, "Unknown Guild")
    UNKNOWN_MEMBER = (404, 10007, "Unknown Member")
    UNKNOWN_MESSAGE = (404, 10008, "Unknown Message")
    UNKNOWN_ROLE = (404, 10011, "Unknown Role")
    UNKNOWN_USER = (404, 10013, "Unknown User")
    UNKNOWN_WEBHOOK = (404, 10015, "Unknown Webhook")
    UNKNOWN_INTERACTION = (404, 10062, "Unknown interaction")
    UNKNOWN_COMMAND = (404, 10063, "Unknown application command")
    UNKNOWN_EMOJI = (400, 10014, "Unknown Emoji")
    NOT_YOUR_APPLICATION = (403, 20012, "You are not authorized to perform this action on this application")
    SLOWMODE = (429, 20016, "This action cannot be performed due to slowmode rate limit")
    CHANNEL_WRITES = (
        429,
        20028,
        "The write action you are performing on the channel has hit the write rate limit",
    )
    TOO_MANY_WEBHOOKS = (400, 30007, "Maximum number of webhooks reached (15)")
    TOO_MANY_PINS = (400, 30003, "Maximum number of pins reached for the channel (50)")
    TOO_MANY_REACTIONS = (400, 30010, "Maximum number of reactions reached (20)")
    TOO_MANY_FILES = (400, 30015, "Maximum number of attachments in a message reached (10)")
    TOO_MANY_COMMANDS = (400, 30032, "Maximum number of application commands reached (100)")
    TOO_MANY_COMMANDS_A_DAY = (400, 30034, "Max number of daily application command creates has been reached (200)")
    TOO_MANY_OLD_EDITS = (429, 30046, "Maximum number of edits to messages older than 1 hour reached. Try again later")
    TOO_LARGE = (413, 40005, "Request entity too large")
    ALREADY_ACKNOWLEDGED = (400, 40060, "Interaction has already been acknowledged.")
    TOO_MANY_FOLLOW_UPS = (400, 40094, "This interaction has hit the maximum number of follow-up messages")
    MISSING_ACCESS = (403, 50001, "Missing Access")
    NOT_YOUR_MESSAGE = (403, 50005, "Cannot edit a message authored by another user")
    EMPTY_MESSAGE = (400, 50006, "Cannot send an empty message")
    MISSING_PERMISSIONS = (403, 50013, "Missing Permissions")
    WRONG_CHANNEL_TYPE = (400, 50024, "Cannot execute action on this channel type")
    INVALID_WEBHOOK_TOKEN = (401, 50027, "Invalid Webhook Token")
    INVALID_FORM = (400, 50035, "Invalid Form Body")
    INVALID_STICKER = (400, 50081, "Invalid sticker sent")
    THREAD_ARCHIVED = (400, 50083, "Thread is archived")
    INVALID_JSON = (400, 50109, "The request body contains invalid JSON.")
    THREAD_EXISTS = (400, 160004, "A thread has already been created for this message")


class DiscordError(Exception):
    """An answer other than success. `details` is the tree of form errors, `wait_s` what a 429 asks for."""

    def __init__(self, known: Known, *, details: Json | None = None, wait_s: float | None = None) -> None:
        status, code, message = known.value
        super().__init__(f"{status} {code} {message}")
        self.status: int = status
        self.code: int = code
        self.message: str = message
        self.details = details
        self.wait_s = wait_s

    def response(self) -> web.Response:
        body: Json = {"message": self.message, "code": self.code}
        if self.details is not None:
            body["errors"] = self.details
        if self.wait_s is None:
            return reply(body, status=self.status)
        body |= {"retry_after": self.wait_s, "global": False}
        scope = "shared" if self.shared else "user"
        return reply(body, status=self.status, headers=_waiting(self.wait_s) | {"X-RateLimit-Scope": scope})

    @property
    def shared(self) -> bool:
        """Whether it is a limit of the resource, which is not held against the caller."""
        return self.code == Known.RESOURCE_LIMITED.value[1] and self.status == 429


def reply(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON whose Content-Type is exactly `application/json`: discord.py compares for equality."""
    return web.Response(
        body=dumps(body).encode(),
        status=status,
        headers={"Content-Type": "application/json", **VIA, **(headers or {})},
    )


def _waiting(wait_s: float) -> dict[str, str]:
    """The header counts in whole seconds; the body is exact."""
    return {"Retry-After": str(max(1, math.ceil(wait_s)))}


def banned(wait_s: float) -> web.Response:
    """What the network in front of Discord says to an address that it has banned: no JSON, and no `Via`."""
    headers = {"Retry-After": str(max(1, math.ceil(wait_s))), "Content-Type": "text/plain; charset=UTF-8"}
    return web.Response(body=b"error code: 1015", status=429, headers=headers)


def no_content() -> web.Response:
    return web.Response(status=204, headers=VIA)


def too_many(wait_s: float, *, everywhere: bool, scope: str) -> web.Response:
    """A 429. Clients wait for `retry_after` of the body, in seconds."""
    headers = _waiting(wait_s) | {"X-RateLimit-Scope": scope}
    if everywhere:
        headers["X-RateLimit-Global"] = "true"
    body = {"message": "You are being rate limited.", "retry_after": round(wait_s, 3), "global": everywhere, "code": 0}
    return reply(body, status=429, headers=headers)


def fault_answer(fault: Fault) -> web.Response:
    """What Discord says under the faults `rate_limit`, `status` and an answered `lost_reply`."""
    if fault.kind == "rate_limit":
        return too_many(fault.seconds or 1.0, everywhere=False, scope="shared")
    status = fault.status or 500
    return reply(
        {"message": WORDS.get(status, f"{status}: the sandbox was told to say this"), "code": 0}, status=status
    )

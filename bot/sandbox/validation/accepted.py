"""The accepted faults of the descriptions themselves: where each is wrong, what is true, and how that is known.

Everything else that does not fit is a fault of the sandbox or of a client. Keep this short.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

Json = dict[str, Any]


class Document(StrEnum):
    """The descriptions that exchanges are compared with."""

    DISCORD = "discord"
    GATEWAY = "gateway"
    GITHUB = "github"
    WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class Fault:
    """What stands at `places` is not so; `true` is put there instead, or added where nothing stands.

    Places are JSON pointers into the description; `*` in a step stands for any letters, the step `-` for the end of a
    list.
    """

    document: Document
    places: tuple[str, ...]
    true: Any
    reason: str


SNOWFLAKE = {"type": ["string", "integer"]}
PARTS = ("guild", "channel", "message")
TOLD_STATUS = "/components/schemas/webhook-deployment-status-created/properties/deployment_status/properties"

ACCEPTED: tuple[Fault, ...] = (
    Fault(
        Document.DISCORD,
        ("/components/schemas/Error/properties/code",),
        {"type": ["integer", "string"]},
        "the code of a form error is a word, such as BASE_TYPE_MAX_LENGTH: Discord's reference, Error Messages",
    ),
    Fault(
        Document.DISCORD,
        (
            "/components/schemas/MessageAttachmentRequest/properties/id",
            "/components/schemas/MessageAllowedMentionsRequest/properties/users/items",
            "/components/schemas/MessageAllowedMentionsRequest/properties/roles/items",
            *(f"/components/schemas/MessageReferenceRequest/properties/{name}_id" for name in PARTS),
        ),
        SNOWFLAKE,
        "every client sends the n of files[n], and some send ids, as numbers; Discord takes both",
    ),
    Fault(
        Document.DISCORD,
        ("/components/schemas/InteractionCallbackResponse/properties/resource/oneOf/-",),
        {
            "type": "object",
            "properties": {
                "type": {"enum": [5, 6, 9]},
                "message": {"$ref": "#/components/schemas/MessageResponse"},
            },
            "required": ["type"],
            "additionalProperties": False,
        },
        "no variant for deferred answers (5, 6) and modals (9), which the reference has",
    ),
    Fault(
        Document.GATEWAY,
        (
            "/definitions/GatewayHeartbeatAck/properties/d",
            "/definitions/GatewayReconnect/properties/d",
            "/definitions/_DataPayload<*,undefined>/properties/d",
        ),
        {"type": ["null", "object"]},
        "the types say that there is no `d`; Discord sends null, and with RESUMED a `_trace`",
    ),
    Fault(
        Document.GATEWAY,
        (
            "/definitions/GatewayGuildCreateDispatchData/properties/nsfw",
            "/definitions/GatewayGuildCreateDispatchData/properties/home_header",
            "/definitions/APIGuild/properties/nsfw",
            "/definitions/APIGuild/properties/home_header",
            "/definitions/APIUnfurledMediaItem/properties/id",
        ),
        {"type": ["boolean", "string", "null"]},
        "not in the types; Discord's REST description requires them of the same objects",
    ),
    Fault(
        Document.GATEWAY,
        ("/definitions/API*Interaction*/properties/channel/properties/permissions",),
        {"type": "string"},
        "not in the types; the channel of an interaction comes with its member's permissions",
    ),
    Fault(
        Document.GATEWAY,
        (
            "/definitions/APIMessageComponentBaseInteractionData*/properties/id",
            "/definitions/APIMessage*SelectInteractionData/properties/id",
        ),
        {"type": "integer"},
        "not in the types; the reference gives every component an integer `id`, and a press names it",
    ),
    Fault(
        Document.GATEWAY,
        (
            "/definitions/APIApplicationCommandInteractionMetadata/properties/name",
            "/definitions/APIApplicationCommandInteractionMetadata/properties/command_type",
        ),
        {"type": ["string", "integer"]},
        "in neither description; Discord sends them, and its own client shows the command by them",
    ),
    Fault(
        Document.GATEWAY,
        ("/definitions/GatewayPresenceUpdateData/properties/game",),
        {"type": ["object", "null"]},
        "hikari sends the activity under its name of version 6, too; Discord passes over keys that it does not know",
    ),
    Fault(
        Document.GATEWAY,
        ("/definitions/GatewayPresenceUpdateData/required",),
        ["since", "status", "afk"],
        "hikari sends a presence without activities when it has none; Discord takes it",
    ),
    Fault(
        Document.GITHUB,
        (
            "/components/schemas/deployment-status/properties/target_url",
            "/components/schemas/deployment-status/properties/log_url",
            "/components/schemas/deployment-status/properties/environment_url",
        ),
        {"type": "string"},
        "the empty text, their default by the same description, is no URI",
    ),
    Fault(
        Document.WEBHOOKS,
        (
            f"{TOLD_STATUS}/log_url",
            f"{TOLD_STATUS}/environment_url",
        ),
        {"type": "string"},
        "as in the REST API: empty when nobody gave one",
    ),
    Fault(
        Document.GITHUB,
        ("/components/parameters/created/schema",),
        {"type": "string"},
        "a range in the search syntax, as its own text says, and no moment",
    ),
)


class FaultGone(Exception):
    """A description no longer has the place of an accepted fault, or says there what is true: take the row out."""


def amend(document: Document, described: Json) -> None:
    """Put what is true into a description that was read.

    Raises:
        FaultGone: an accepted fault is no longer there.
    """
    for fault in ACCEPTED:
        for place in fault.places if fault.document is document else ():
            *steps, last = [step.replace("~1", "/").replace("~0", "~") for step in place.split("/")[1:]]
            holders = list(_holders(described, steps))
            if not holders or all(_stands(holder, last) == fault.true for holder in holders):
                raise FaultGone(f"{document} has no fault at {place} any more: {fault.reason}")
            for holder in holders:
                _put(holder, last, fault.true)


def _holders(part: Any, steps: list[str]) -> Iterator[Any]:
    """Everything that the steps lead to."""
    if not steps:
        yield part
    elif isinstance(part, dict):
        for name in [name for name in part if fnmatchcase(name, steps[0])] if "*" in steps[0] else [steps[0]]:
            if name in part:
                yield from _holders(part[name], steps[1:])


def _stands(holder: Any, last: str) -> Any:
    return None if isinstance(holder, list) else holder.get(last)


def _put(holder: Any, last: str, true: Any) -> None:
    if isinstance(holder, list):
        holder.append(true)
    else:
        holder[last] = true

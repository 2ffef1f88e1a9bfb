"""What the control API accepts: bodies and queries, checked where they come in and refused with a sentence.

The acts in Discord and the levers of GitHub check their own bodies; here are only the world's own.
"""

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Annotated, Any, Literal, NoReturn, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.sandbox.faults import Kind, When
from bot.sandbox.wire import Rejected

JsonObject = dict[str, Any]
LARGEST_ID = 2**63 - 1


class Body(BaseModel):
    """A body whose keys are all known, and of exactly these kinds."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def read(cls, body: JsonObject) -> Self:
        """The checked body.

        Raises:
            Rejected: a key is unknown, missing, or of the wrong kind; the sentence names the first.
        """
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(part) for part in fault["loc"]) or "the body"
            if fault["type"] == "extra_forbidden":
                known = ", ".join(cls.model_fields)
                raise Rejected(f"The key {place[:100]!r} is not known here; known are: {known}.") from None
            raise Rejected(f"{place[:100]}: {fault['msg']}.") from None


class FaultBody(Body):
    """`POST /faults`. `when` is for `kill`; the first `skip` matching requests pass untouched."""

    part: str
    kind: Kind
    match: str = Field(default="", max_length=500)
    status: int | None = Field(default=None, ge=400, le=599)
    seconds: float | None = Field(default=None, ge=0, le=3600)
    times: int | None = Field(default=None, ge=1, le=1_000_000)
    for_s: float | None = Field(default=None, gt=0, le=86_400)
    when: When = "before"
    skip: int = Field(default=0, ge=0, le=1_000_000)


class RolesBody(Body):
    """`POST /members/{name}/roles`."""

    roles: list[Annotated[str, Field(max_length=100)]] = Field(max_length=50)


class ConfigBody(Body):
    """`PUT /config`: one of the two."""

    toml: str | None = None
    patch: JsonObject | None = None


class BotBody(Body):
    """`POST /bot`. With `keep` false a bot that is started stays dead when it dies, until it is started again."""

    action: Literal["start", "stop", "kill", "reload"]
    keep: bool = True


class ChaosBody(Body):
    """`POST /chaos`: on for so many seconds, or off. `seed` makes the blows come in the same order."""

    on: bool
    for_s: float = Field(default=600.0, gt=0, le=3600)
    seed: int | None = None


class ClockBody(Body):
    """`POST /clock`: how many times faster than real time builds and rollouts go."""

    speed: float = Field(ge=0.1, le=1000)


def query(request: web.Request, *known: str) -> dict[str, str]:
    """The query's values.

    Raises:
        Rejected: a key is not known here, or comes twice.
    """
    asked: dict[str, str] = {}
    for key, value in request.query.items():
        if key not in known:
            names = f"known are: {', '.join(known)}" if known else "none is taken here"
            raise Rejected(f"The query key {key[:100]!r} is not known; {names}.")
        if key in asked:
            raise Rejected(f"The query key {key!r} comes twice.")
        asked[key] = value
    _check_strings(asked)
    return asked


def number(source: Mapping[str, str], key: str, *, default: int = 0, least: int = 0, most: int = LARGEST_ID) -> int:
    """A whole number out of a query or a path.

    Raises:
        Rejected: it is none, or out of bounds.
    """
    text = source.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise Rejected(f"{key} must be a whole number from {least} to {most}, not {text[:40]!r}.")
    return int(text)


async def json_body(request: web.Request) -> JsonObject:
    """The body as a JSON object.

    Raises:
        web.HTTPUnsupportedMediaType: it is not sent as `application/json`.
        Rejected: it is not UTF-8, not JSON, not an object, or holds text that is none.
    """
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="Send application/json")
    data = await request.read()
    try:
        body = json.loads(data.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError:
        raise Rejected("The body is not UTF-8.") from None
    except RecursionError:
        raise Rejected("The body is nested too deeply.") from None
    except ValueError as error:
        raise Rejected(f"The body is not valid JSON: {error}.") from None
    if not isinstance(body, dict):
        raise Rejected("The body must be a JSON object.")
    _check_strings(body)
    return body


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _check_strings(body: Mapping[str, Any]) -> None:
    """Refuse zero bytes and lone surrogates: no file name, argument or UTF-8 text can hold them."""
    for text in _strings(body):
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise Rejected("A text holds a zero byte or half a surrogate pair.")


def _strings(value: object) -> Iterator[str]:
    """Every key and text inside, without recursion."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            stack.extend(item.keys())
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)

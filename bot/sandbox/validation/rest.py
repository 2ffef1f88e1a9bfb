"""The comparison of REST exchanges with an OpenAPI description, request and answer.

A request is held against its description when it was carried out: what a fake refuses may be as wrong as it likes,
what it accepts may not. Every answer is compared, refusals, too. What only a switched-on fault answers as a breakdown
(5xx) is no word of the service and is left out; the same answer without a fault is a mismatch.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.sandbox.validation.findings import Findings, Kind, Mismatch
from bot.sandbox.validation.operations import Operation, Operations
from bot.sandbox.validation.schemas import Schemas

Json = dict[str, Any]

COMPONENTS = ("components", "schemas")
JSON_TYPE = "application/json"
NOWHERE = frozenset({400, 401, 403, 404, 405, 413, 429})
"""What an address may be answered with that no operation has."""

UNREADABLE: Final = object()
"""The body of a request that was accepted although it cannot be read; right only where no body is looked at."""

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
"""OpenAPI does not say how they are written in an address; clients write both."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One exchange. `body` is the request's JSON, of a form that of its `payload_json` with its files' fields; a null
    that was sent is another thing than no body.

    `faulted`: a switched-on fault had its hand in the answer.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    has_body: bool
    body: object
    media: str
    status: int
    answer_media: str
    answer: bytes
    faulted: bool = False


@dataclass(frozen=True, slots=True)
class Customs:
    """What a service does beside its description. `long`: parameters of paths that may hold slashes.

    `refusal`: the component that a refusal with an undescribed status has to fit, if any. `closed`: requests with
    keys that are not described are refused. `conditional`: a 304 answers a request that named what it has.
    """

    long: frozenset[str] = frozenset()
    refusal: str | None = None
    closed: bool = False
    conditional: bool = False


class RestCheck:
    """Compares the exchanges of one service."""

    def __init__(self, kind: Kind, document: Json, findings: Findings, *, customs: Customs = Customs()) -> None:
        self._kind = kind
        self._findings = findings
        self._customs = customs
        self._operations = Operations(document, long=customs.long)
        self._schemas = Schemas(document["components"]["schemas"], root=COMPONENTS)

    def check(self, seen: Seen) -> None:
        """Compare one exchange; whatever does not fit goes to the findings."""
        if seen.status >= 500 and seen.faulted:
            return
        with self._findings.comparing(self._kind):
            found = self._operations.find(seen.method, seen.path)
            if found is None:
                name = f"{seen.method} {seen.path.split('?')[0][:120]}"
                if seen.status not in NOWHERE:
                    self._tell(name, "response", [("", f"no such operation, yet it was answered with {seen.status}")])
                self._tell(name, "response", self._refusal_faults(seen))
                return
            operation, values = found
            if seen.status < 400:
                self._tell(operation.id, "request", self._request_faults(operation, values, seen))
            self._tell(operation.id, "response", self._answer_faults(operation, seen))

    def broke(self, method: str, path: str, error: Exception) -> None:
        """Note that nothing but an internal error could be answered."""
        with self._findings.comparing(self._kind):
            found = self._operations.find(method, path)
            name = found[0].id if found else f"{method} {path[:120]}"
            self._tell(name, "response", [("", f"the sandbox broke: {error!r:.300}")])

    def _tell(self, operation: str, direction: str, faults: list[tuple[str, str]]) -> None:
        for pointer, message in faults:
            self._findings.add(Mismatch(self._kind, operation, direction, pointer, message))

    # -- requests -----------------------------------------------------------------------------------------------------

    def _request_faults(self, operation: Operation, values: Mapping[str, str], seen: Seen) -> list[tuple[str, str]]:
        faults = [*self._parameter_faults(operation, "path", values)]
        faults += self._parameter_faults(operation, "query", seen.query)
        described = operation.described.get("requestBody")
        if described is None:
            return faults + (
                [("", "a body, where none is described")] if seen.body not in (None, {}, [], UNREADABLE) else []
            )
        described = self._operations.resolved(described)
        if not seen.has_body:
            return faults + ([("", "no body, where one is required")] if described.get("required") else [])
        if seen.body is UNREADABLE:
            return [*faults, ("", "a body that cannot be read was accepted")]
        content = described["content"].get(seen.media)
        if content is None:
            return [*faults, ("/headers/Content-Type", f"{seen.media!r} is not described for this operation")]
        schema = self._closed(content["schema"]) if self._customs.closed else content["schema"]
        return faults + self._schemas.faults((operation.id, "request", seen.media), schema, seen.body)

    def _parameter_faults(
        self, operation: Operation, place: str, given: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        described = {one["name"]: one for one in operation.parameters_in(place)}
        for name, text in given.items():
            if name not in described:
                yield f"/{place}/{name}", "this parameter is not described"
                continue
            schema = described[name]["schema"]
            faults = self._schemas.faults((operation.id, place, name), schema, self._read(text, schema))
            yield from ((f"/{place}/{name}{pointer}", message) for pointer, message in faults)
        for name, one in described.items():
            if one.get("required") and name not in given:
                yield f"/{place}/{name}", "this parameter is required"

    def _read(self, text: str, schema: Json) -> object:
        """A parameter as the kind of value that its schema asks for; as text when it is not one."""
        while "$ref" in schema:
            schema = self._schemas.component(schema["$ref"])
        kinds = schema.get("type")
        if "string" in (kinds if isinstance(kinds, list) else [kinds]):
            return text
        if kinds == "boolean":
            return BOOLEANS.get(text.lower(), text)
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return [value] if kinds == "array" and not isinstance(value, list) else value

    def _closed(self, schema: Json) -> Json:
        """The schema of a body, such that keys which it does not name are wrong."""
        while "$ref" in schema:
            schema = self._schemas.component(schema["$ref"])
        if "properties" in schema and not any(key in schema for key in ("allOf", "additionalProperties")):
            return {**schema, "additionalProperties": False}
        unions = {key: [self._closed(one) for one in schema[key]] for key in ("oneOf",) if key in schema}
        return {**schema, **unions}

    # -- answers ------------------------------------------------------------------------------------------------------

    def _answer_faults(self, operation: Operation, seen: Seen) -> list[tuple[str, str]]:
        if seen.status == 304 and self._customs.conditional:
            asked = "If-None-Match" in seen.headers or "If-Modified-Since" in seen.headers
            return [] if asked and not seen.answer else [("", "a 304 that nobody asked for, or with a body")]
        responses = operation.described["responses"]
        key = next((k for k in (str(seen.status), f"{seen.status // 100}XX") if k in responses), None)
        if key is None:
            if 400 <= seen.status < 500 and self._customs.refusal:
                return self._refusal_faults(seen)
            return [("", f"the status {seen.status} is not described for this operation")]
        content = self._operations.resolved(responses[key]).get("content")
        if content is None and seen.status >= 400 and self._customs.refusal:
            return self._refusal_faults(seen)
        if content is None:
            return [("", f"a body, where {key} has none")] if seen.answer else []
        if seen.answer_media not in content:
            return [("/headers/Content-Type", f"{seen.answer_media!r} is not described for {key}")]
        return self._body_faults((operation.id, key, seen.answer_media), content[seen.answer_media]["schema"], seen)

    def _refusal_faults(self, seen: Seen) -> list[tuple[str, str]]:
        if self._customs.refusal is None or seen.status < 400:
            return []
        if seen.answer_media != JSON_TYPE:
            return [("/headers/Content-Type", f"a refusal in {seen.answer_media!r}")]
        return self._body_faults("refusal", {"$ref": f"#/components/schemas/{self._customs.refusal}"}, seen)

    def _body_faults(self, key: object, schema: Json, seen: Seen) -> list[tuple[str, str]]:
        if seen.answer_media != JSON_TYPE and not seen.answer_media.endswith("+json"):
            return []
        try:
            value = json.loads(seen.answer)
        except ValueError:
            return [("", "the answer is not JSON, though it says so")]
        return self._schemas.faults(key, schema, value)

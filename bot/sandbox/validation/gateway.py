"""The comparison of gateway payloads, of both ends, with JSON Schema made of the types that client authors keep.

Opcode and event name choose the schema. What a client sends is compared when the gateway took it: a payload that closes
the connection was refused.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from bot.sandbox.validation.findings import Findings, Kind, Mismatch
from bot.sandbox.validation.schemas import Schemas

Json = dict[str, Any]
Key = tuple[int, str | None]

ROOT = ("definitions",)
RECEIVED, SENT = "GatewayReceivePayload", "GatewaySendPayload"
"""As a client sees it: what it receives, what it sends."""


class GatewayCheck:
    """Compares payloads; what a client receives is the fake's word, what it sends is the client's."""

    def __init__(self, document: Json, findings: Findings) -> None:
        definitions = {name: _counted(name, one) for name, one in document["definitions"].items()}
        self._schemas = Schemas(definitions, root=ROOT)
        self._findings = findings
        self._to_client = dict(self._index(RECEIVED))
        self._to_gateway = dict(self._index(SENT))

    def sent(self, text: str) -> None:
        """Compare what goes out to a client."""
        with self._findings.comparing(Kind.GATEWAY):
            self._compare(json.loads(text), self._to_client, "to the client")

    def received(self, payload: Json) -> None:
        """Compare what a client sent and the gateway accepted."""
        with self._findings.comparing(Kind.GATEWAY):
            self._compare(payload, self._to_gateway, "to the gateway")

    def _compare(self, payload: Json, known: dict[Key, Json], direction: str) -> None:
        op, event = payload.get("op"), payload.get("t")
        name = f"op {op}" if event is None else f"op {op} {event}"
        key = (op if isinstance(op, int) else -1, event if isinstance(event, str) else None)
        schema = known.get(key)
        faults = (
            [("", "no such opcode or event is described")]
            if schema is None
            else self._schemas.faults((direction, key), schema, payload)
        )
        for pointer, message in faults:
            self._findings.add(Mismatch(Kind.GATEWAY, name, direction, pointer, message))

    def _index(self, union: str) -> Iterator[tuple[Key, Json]]:
        """Opcode and event of every payload in a union of unions."""
        found: dict[Key, list[Json]] = {}
        for schema, shape in self._payloads({"$ref": f"#/definitions/{union}"}):
            properties = shape["properties"]
            for op in _values(properties["op"]):
                for event in _values(properties.get("t", {"const": None})):
                    found.setdefault((op, event), []).append(schema)
        for key, schemas in found.items():
            yield key, schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _payloads(self, schema: Json) -> Iterator[tuple[Json, Json]]:
        shape = schema
        while "$ref" in shape:
            shape = self._schemas.component(shape["$ref"])
        if "anyOf" in shape:
            for one in shape["anyOf"]:
                yield from self._payloads(one)
        else:
            yield schema, shape


def _values(schema: Json) -> list[Any]:
    if "const" in schema:
        return [schema["const"]]
    return list(schema.get("enum", [None]))


def _counted(name: str, schema: Json) -> Json:
    """Bit fields come as enumerations of their single bits; any sum of them is meant, and bits newer than the types."""
    return {"type": "integer", "minimum": 0} if unquote(name).endswith("Flags") and "type" in schema else schema

"""Schemas of one description, made ready for comparing: translated to JSON Schema 2020-12, compiled when first needed.

Each is compiled alone with those components that it refers to: all of a description at once would cost half a gigabyte.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAPS = ("properties", "patternProperties")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SINGLE = ("items", "not", "additionalProperties", "contains", "propertyNames", "if", "then", "else")
SILENT = frozenset(
    {
        *("description", "title", "example", "examples", "default", "deprecated", "readOnly", "writeOnly"),
        *("nullable", "externalDocs", "xml", "discriminator"),
    }
)
"""Keywords that constrain nothing."""
FAULTS_SHOWN = 10
WORDS_SHOWN = 300
MARKS = ("type", "op", "t", "component_type")
"""The fields that tell the variants of Discord's objects apart."""
NUMBER = re.compile(r"\d{12,}")


def translated(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 (`nullable`), OpenAPI 3.1 or draft 7 (lists as `items`), as 2020-12 says the same."""
    if not isinstance(schema, dict):
        return schema
    out: Json = {}
    for key, value in schema.items():
        if key in SILENT or key.startswith("x-"):
            continue
        if key in MAPS:
            out[key] = {name: translated(one) for name, one in value.items()}
        elif key == "items" and isinstance(value, list):
            out["prefixItems"] = [translated(one) for one in value]
        elif key in LISTS:
            out[key] = [translated(one) for one in value]
        else:
            out[key] = translated(value) if key in SINGLE else value
    return _or_null(out) if schema.get("nullable") else out


def _or_null(schema: Json) -> Json:
    kind = schema.get("type")
    if not isinstance(kind, str) or any(key in schema for key in ("allOf", "anyOf", "oneOf", "$ref")):
        return {"anyOf": [schema, {"type": "null"}]}
    values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [kind, "null"], **values}


class Schemas:
    """The components of one description, and the validators made of them; `root` is where its components stand."""

    def __init__(self, components: Mapping[str, Any], *, root: tuple[str, ...]) -> None:
        self._components = components
        self._root = root
        self._prefix = "#/" + "/".join(root) + "/"
        self._translated: dict[str, tuple[Json, frozenset[str]]] = {}
        self._validators: dict[Hashable, Draft202012Validator] = {}

    def faults(self, key: Hashable, schema: Json, value: object) -> list[tuple[str, str]]:
        """(pointer, message) of what is wrong with a value; `key` names the schema, which is compiled once."""
        validator = self._validators.get(key)
        if validator is None:
            validator = self._validators[key] = self._compiled(schema)
        found = list(validator.iter_errors(value))
        return [_told(_nearest(error)) for error in found[:FAULTS_SHOWN]]

    def component(self, reference: str) -> Json:
        """What a reference into the components stands for."""
        found: Json = self._components[self._name(reference)]
        return found

    def _compiled(self, schema: Json) -> Draft202012Validator:
        from jsonschema_rs import Draft202012Validator

        whole = translated(schema)
        needed: dict[str, Json] = {}
        waiting = set(self._references(whole))
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed[name], more = self._ready(name)
                waiting |= more
        held: Json = needed
        for step in reversed(self._root):
            held = {step: held}
        return Draft202012Validator({"$schema": DIALECT, "allOf": [whole], **held}, validate_formats=True)

    def _ready(self, name: str) -> tuple[Json, frozenset[str]]:
        if name not in self._translated:
            schema = translated(self._components[name])
            self._translated[name] = schema, frozenset(self._references(schema))
        return self._translated[name]

    def _references(self, schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            reference = schema.get("$ref")
            if isinstance(reference, str):
                yield self._name(reference)
            for value in schema.values():
                yield from self._references(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from self._references(value)

    def _name(self, reference: str) -> str:
        return unquote(reference.removeprefix(self._prefix)).split("/")[0]


def _nearest(error: ValidationError) -> ValidationError:
    """Of a union that nothing fits, what is wrong with the branch that was meant: the one whose marks fit best."""
    context = getattr(error.kind, "context", None)
    branches = [[_nearest(one) for one in branch] for branch in context or () if branch]
    if not branches:
        return error
    best = min(branches, key=lambda branch: (sum(_is_mark(one, error) for one in branch), len(branch)))
    return max(best, key=lambda one: (_is_mark(one, error), len(one.instance_path)))


def _is_mark(error: ValidationError, union: ValidationError) -> bool:
    """Whether it says that another branch was meant: another `type`, opcode or event, or another kind of value."""
    deeper = error.instance_path[len(union.instance_path) :]
    if error.kind.name == "type":
        return not deeper
    return error.kind.name in ("const", "enum") and (not deeper or deeper[-1] in MARKS)


def _told(error: ValidationError) -> tuple[str, str]:
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path]
    return "".join(f"/{step}" for step in steps), NUMBER.sub("(an id)", error.message)[:WORDS_SHOWN]

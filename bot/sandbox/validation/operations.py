"""The operations of an OpenAPI description, found by the method and the path of a request."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

Json = dict[str, Any]

METHODS = frozenset({"get", "put", "post", "patch", "delete", "head", "options"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; `parameters` are its own and its path's, with references resolved."""

    id: str
    described: Json
    parameters: tuple[Json, ...]

    def parameters_in(self, place: str) -> list[Json]:
        return [one for one in self.parameters if one["in"] == place]


@dataclass(slots=True)
class _Node:
    """The paths that begin alike: by the next literal segment, or by a parameter in its place."""

    literal: dict[str, "_Node"] = field(default_factory=dict)
    parameters: dict[str, "_Node"] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)


class Operations:
    """A tree over all paths. Literal segments go before parameters; those in `long` may hold slashes."""

    def __init__(self, document: Json, *, long: frozenset[str] = frozenset()) -> None:
        self._document = document
        self._long = long
        self._root = _Node()
        for path, item in document["paths"].items():
            node = self._node(path)
            for method, described in item.items():
                if method in METHODS:
                    given = [*item.get("parameters", ()), *described.get("parameters", ())]
                    parameters = tuple(self.resolved(one) for one in given)
                    node.operations[method.upper()] = Operation(described["operationId"], described, parameters)

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation and the values of the path's parameters; `path` is still percent-encoded."""
        segments = path.strip("/").split("/")
        for node, values in self._matches(self._root, segments):
            if method in node.operations:
                return node.operations[method], values
        return None

    def resolved(self, part: Json) -> Json:
        """A part of the description, or what its reference stands for."""
        while "$ref" in part:
            found: Any = self._document
            for step in part["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            part = found
        return part

    def _node(self, path: str) -> _Node:
        node = self._root
        for segment in path.strip("/").split("/"):
            named = segment.startswith("{") and segment.endswith("}")
            children, name = (node.parameters, segment[1:-1]) if named else (node.literal, segment)
            node = children.setdefault(name, _Node())
        return node

    def _matches(self, node: _Node, segments: list[str]) -> Iterator[tuple[_Node, dict[str, str]]]:
        if not segments:
            yield node, {}
            yield from ((child, {name: ""}) for name, child in node.parameters.items() if name in self._long)
            return
        literal = node.literal.get(unquote(segments[0]))
        if literal is not None:
            yield from self._matches(literal, segments[1:])
        for name, child in node.parameters.items():
            most = len(segments) if name in self._long else 1
            for taken in range(1, most + 1):
                value = unquote("/".join(segments[:taken]))
                for found, values in self._matches(child, segments[taken:]):
                    yield found, {name: value, **values}

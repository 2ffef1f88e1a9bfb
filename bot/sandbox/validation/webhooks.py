"""The comparison of the webhooks that the fake GitHub sends with GitHub's own description of them, headers and body."""

import json
from collections.abc import Mapping
from typing import Any

from bot.sandbox.validation.findings import Findings, Kind, Mismatch
from bot.sandbox.validation.rest import COMPONENTS, JSON_TYPE
from bot.sandbox.validation.schemas import Schemas

Json = dict[str, Any]


class WebhookCheck:
    """Compares deliveries; the event and its action choose the schema."""

    def __init__(self, document: Json, findings: Findings) -> None:
        self._webhooks: Json = document["webhooks"]
        self._schemas = Schemas(document["components"]["schemas"], root=COMPONENTS)
        self._findings = findings

    def check(self, event: str, headers: Mapping[str, str], body: bytes) -> None:
        """Compare one delivery as it is sent; `event` is that of `X-GitHub-Event`."""
        with self._findings.comparing(Kind.WEBHOOKS):
            payload = json.loads(body)
            name, described = self._described(event, payload)
            faults = self._header_faults(described, headers) if described else [("", "no such event is described")]
            if described:
                schema = described["requestBody"]["content"][JSON_TYPE]["schema"]
                faults += self._schemas.faults(name, schema, payload)
            for pointer, message in faults:
                self._findings.add(Mismatch(Kind.WEBHOOKS, name, "sent", pointer, message))

    def _described(self, event: str, payload: Json) -> tuple[str, Json | None]:
        """`push` has no action; `workflow_run` with `completed` is described as `workflow-run-completed`."""
        alone = event.replace("_", "-")
        action = payload.get("action")
        name = f"{alone}-{action}".replace("_", "-") if isinstance(action, str) else alone
        found = self._webhooks.get(name)
        return name, None if found is None else found["post"]

    @staticmethod
    def _header_faults(described: Json, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        given = {name.lower() for name in headers}
        return [
            (f"/headers/{one['name']}", "this header is required")
            for one in described.get("parameters", ())
            if one["in"] == "header" and one.get("required") and one["name"].lower() not in given
        ]

"""Payloads of Alertmanager's webhook as the real one (0.25.0) writes them, of any size, for tests and the bench."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

ZERO_TIME = "0001-01-01T00:00:00Z"
"""What a firing alert's endsAt is: Go's zero time."""
STARTED_AT = datetime(2026, 11, 23, 3, 44, 50, 768000, tzinfo=UTC)


def alert(
    name: str,
    instance: str,
    *,
    status: str = "firing",
    severity: str = "warning",
    starts_at: datetime = STARTED_AT,
    ends_at: datetime | None = None,
    description: str = "The processor has been busy for more than five minutes.",
    **labels: str,
) -> dict[str, Any]:
    """One alert; its fingerprint follows from its labels, as the real one's does."""
    all_labels = {
        "alertname": name, "environment": "prod", "instance": instance, "service": "app", "severity": severity,
        **labels,
    }  # fmt: skip
    ended = ends_at.isoformat().replace("+00:00", "Z") if ends_at else ZERO_TIME
    return {
        "status": status,
        "labels": all_labels,
        "annotations": {"summary": f"{name} on {instance}", "description": description},
        "startsAt": starts_at.isoformat().replace("+00:00", "Z"),
        "endsAt": ended if status == "resolved" or ends_at else ZERO_TIME,
        "generatorURL": f"http://prometheus.example.org:9090/graph?g0.expr={name}&g0.tab=1",
        "fingerprint": hashlib.sha256(json.dumps(all_labels, sort_keys=True).encode()).hexdigest()[:16],
    }


def payload(alerts: Iterable[Mapping[str, Any]], *, receiver: str = "quarterdeck", truncated: int = 0) -> bytes:
    """The body of one webhook: these alerts, of one group by alertname."""
    listed = [dict(one) for one in alerts]
    name = listed[0]["labels"]["alertname"]
    firing = any(one["status"] == "firing" for one in listed)
    document = {
        "receiver": receiver,
        "status": "firing" if firing else "resolved",
        "alerts": listed,
        "groupLabels": {"alertname": name},
        "commonLabels": _shared(one["labels"] for one in listed),
        "commonAnnotations": _shared(one["annotations"] for one in listed),
        "externalURL": "http://alertmanager.example.org:9093",
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "truncatedAlerts": truncated,
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def of_size(name: str, size_bytes: int, *, alerts: int = 10) -> bytes:
    """A payload of nearly that many bytes: the descriptions are as long as they must be."""

    def body(length: int) -> bytes:
        return payload(alert(name, f"host-{number}", description="x" * length) for number in range(alerts))

    return body(max(1, (size_bytes - len(body(0))) // alerts))


def _shared(mappings: Iterable[Mapping[str, str]]) -> dict[str, str]:
    first, *others = list(mappings)
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}

"""Webhook payloads in the shape in which a real Alertmanager 0.25 sends them, for a world that has none running.

The shape is that of captured ones: nanoseconds in `startsAt`, Go's zero time as the end of what still fires, common
labels apart from each alert's own, and a `groupKey` of route and group labels. Nothing here is sent; `part` sends it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.sandbox.monitoring.configuration import GROUPED, RUNBOOKS, SERVICE, WATCHDOG

Json = dict[str, Any]
Labels = Mapping[str, str]

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time: Alertmanager's way of saying that an alert has no end yet."""
STORM_GROUPS, STORM_MEMBERS = 30, 5
HOSTILE = "@everyone <@&1325000000000000202> `code` **bold** [a](http://evil.example) ||spoiler|| \u202e\n> quoted"


def fingerprint(labels: Labels) -> str:
    """Sixteen hex digits that depend on the labels alone, as Alertmanager's do."""
    text = "\x00".join(f"{name}\x01{value}" for name, value in sorted(labels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def alert(name: str, *, at: datetime, ended: datetime | None = None, texts: Labels | None = None, **labels: str) -> Json:
    """One alert of a payload; `ended` makes it a resolved one."""
    every = {"alertname": name, "service": SERVICE, **labels}
    annotations = {
        "summary": f"{name} on {labels.get('instance', 'the service')}",
        "description": f"{name} has been true for a while.",
        "runbook_url": f"{RUNBOOKS}/{name}.md",
        **(texts or {}),
    }
    return {
        "status": "resolved" if ended else "firing",
        "labels": every,
        "annotations": annotations,
        "startsAt": _stamp(at),
        "endsAt": _stamp(ended) if ended else ZERO_TIME,
        "generatorURL": "http://127.0.0.1:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "fingerprint": fingerprint(every),
    }


def payload(alerts: Sequence[Json], *, truncated: int = 0, receiver: str = "bot") -> Json:
    """The webhook's body for one group, as Alertmanager puts it together."""
    labels = [one["labels"] for one in alerts]
    group = {name: labels[0][name] for name in GROUPED if name in labels[0]}
    key = ", ".join(f'{name}="{value}"' for name, value in sorted(group.items()))
    return {
        "receiver": receiver,
        "status": "firing" if any(one["status"] == "firing" for one in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": group,
        "commonLabels": _common(labels),
        "commonAnnotations": _common([one["annotations"] for one in alerts]),
        "externalURL": "http://127.0.0.1:9093",
        "version": "4",
        "groupKey": f"{{}}:{{{key}}}",
        "truncatedAlerts": truncated,
    }


def _common(every: Sequence[Labels]) -> Json:
    first = every[0]
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in every)}


def _stamp(at: datetime) -> str:
    """As Go writes it: up to nine digits of a second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


# -- the stored ones ------------------------------------------------------------------------------------------------------


def _instance(number: int) -> str:
    return f"i-0{number:02d}"


def _cpu(number: int, at: datetime, *, ended: datetime | None = None) -> Json:
    texts = {"description": f"CPU of {_instance(number)} is at {82 + number} %.", "value": str(82 + number)}
    labels = {"environment": "prod", "severity": "warning", "instance": _instance(number)}
    return alert("HighCPUUsage", at=at, ended=ended, texts=texts, **labels)


def _single(now: datetime) -> list[Json]:
    labels = {"environment": "prod", "severity": "critical", "instance": "i-001"}
    return [payload([alert("AppDown", at=now, **labels)])]


def _group_of_12(now: datetime) -> list[Json]:
    return [payload([_cpu(number, _hour(now)) for number in range(1, 13)])]


def _mixed(now: datetime) -> list[Json]:
    """Of the twelve, the first five have ended."""
    began = _hour(now)
    ended = [_cpu(number, began, ended=now) for number in range(1, 6)]
    return [payload([*(_cpu(number, began) for number in range(6, 13)), *ended])]


def _resolved_7(now: datetime) -> list[Json]:
    """Only those that ended since the last time: that is all that Alertmanager tells."""
    return [payload([_cpu(number, _hour(now), ended=now) for number in range(6, 13)])]


def _hour(now: datetime) -> datetime:
    """When the group of twelve of this hour began, whatever the moment: an episode is known by its beginning."""
    return now.replace(minute=0, second=0, microsecond=0)


def _watchdog(now: datetime) -> list[Json]:
    began = _hour(now)
    every = {"alertname": WATCHDOG, "severity": "none"}
    beat = alert(WATCHDOG, at=began, severity="none") | {"labels": every, "fingerprint": fingerprint(every)}
    return [payload([beat], receiver="heartbeat")]


def _storm(now: datetime) -> list[Json]:
    """Everything at once: one payload a group."""
    return [
        payload(
            [
                alert(
                    f"Storm{group:02d}",
                    at=now,
                    environment="prod",
                    severity="warning" if group % 3 else "critical",
                    instance=_instance(member),
                )
                for member in range(1, STORM_MEMBERS + 1)
            ]
        )
        for group in range(1, STORM_GROUPS + 1)
    ]


def _truncated(now: datetime) -> list[Json]:
    return [payload([_cpu(number, now) for number in range(1, 4)], truncated=9)]


def _odd_text(now: datetime) -> list[Json]:
    labels = {"environment": "dev", "severity": "warning", "instance": HOSTILE}
    texts = {"summary": HOSTILE, "description": f"{HOSTILE} " * 40}
    return [payload([alert("OddText", at=now, texts=texts, **labels)])]


MAKERS: Mapping[str, Callable[[datetime], list[Json]]] = {
    "firing-single": _single,
    "firing-group-12": _group_of_12,
    "mixed-7-firing-5-resolved": _mixed,
    "resolved-group-7": _resolved_7,
    "watchdog": _watchdog,
    "storm": _storm,
    "truncated": _truncated,
    "odd-text": _odd_text,
}
"""By the name of the fixture: its payloads at a moment. The middle three tell one story, in this order."""


def made(name: str, *, now: datetime | None = None) -> list[Json]:
    """The payloads of a stored fixture, with times of now.

    Raises:
        KeyError: there is none of that name.
    """
    return MAKERS[name](now or datetime.now(UTC) - timedelta(seconds=1))

"""Webhook payloads in the shape in which a real Alertmanager 0.25 sends them, for a world that has none running.

The shape is that of captured ones: nanoseconds in `startsAt`, Go's zero time as the end of what still fires, common
labels apart from each alert's own, and a `groupKey` of route and group labels. Nothing here is sent; `part` sends it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.sandbox.monitoring.configuration import GROUPED, RUNBOOKS, SERVICE
from bot.sandbox.monitoring.rules import WATCHDOG

Json = dict[str, Any]
Labels = Mapping[str, str]

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time: Alertmanager's way of saying that an alert has no end yet."""
FNV_OFFSET, FNV_PRIME, SEPARATOR = 0xCBF29CE484222325, 0x100000001B3, 0xFF
STORM_GROUPS, STORM_MEMBERS = 30, 5
HOSTILE = "@everyone <@&1325000000000000202> `code` **bold** [a](http://evil.example) ||spoiler|| \u202e\n> quoted"


def fingerprint(labels: Labels) -> str:
    """Alertmanager's own: FNV-1a over the sorted labels (prometheus/common, model/labelset.go)."""
    total = FNV_OFFSET
    for name, value in sorted(labels.items()):
        for byte in (*name.encode(), SEPARATOR, *value.encode(), SEPARATOR):
            total = ((total ^ byte) * FNV_PRIME) % 2**64
    return f"{total:016x}"


def alert(
    name: str, labels: Labels, *, at: datetime, ended: datetime | None = None, texts: Labels | None = None
) -> Json:
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


# -- the stored ones --------------------------------------------------------------------------------------------------


class Fixtures:
    """The stored payloads by name. What ends in one began in another: an episode is known by its beginning."""

    def __init__(self) -> None:
        self._began: dict[str, datetime] = {}
        self._makers: Mapping[str, Callable[[datetime], list[Json]]] = {
            "firing-single": self._single,
            "resolved-single": lambda now: self._single(now, ended=now),
            "firing-group-12": lambda now: self._cpus(range(1, 13), ended=range(0), now=now),
            "mixed-7-firing-5-resolved": lambda now: self._cpus(range(6, 13), ended=range(1, 6), now=now),
            "resolved-group-7": lambda now: self._cpus(range(0), ended=range(6, 13), now=now),
            "watchdog": self._watchdog,
            "storm": self._storm,
            "storm-resolved": lambda now: self._storm(now, ended=now),
            "truncated": lambda now: [payload([_cpu(number, now) for number in range(1, 4)], truncated=9)],
            "odd-text": _odd_text,
        }

    def names(self) -> list[str]:
        return list(self._makers)

    def made(self, name: str, *, now: datetime | None = None) -> list[Json]:
        """The payloads of a fixture, one a group, with times of now.

        Raises:
            KeyError: there is none of that name.
        """
        return self._makers[name](now or datetime.now(UTC))

    def _beginning(self, story: str, now: datetime, *, anew: bool) -> datetime:
        if anew or story not in self._began:
            self._began[story] = now - timedelta(seconds=1)
        return self._began[story]

    def _single(self, now: datetime, *, ended: datetime | None = None) -> list[Json]:
        labels = {"environment": "prod", "severity": "critical", "instance": _instance(1)}
        return [payload([alert("AppDown", labels, at=self._beginning("single", now, anew=not ended), ended=ended)])]

    def _cpus(self, firing: Sequence[int], *, ended: Sequence[int], now: datetime) -> list[Json]:
        """Twelve hosts; a resolved payload tells only of those that ended since the last one."""
        began = self._beginning("group", now, anew=not ended)
        fires = [_cpu(number, began) for number in firing]
        return [payload(fires + [_cpu(number, began, ended=now) for number in ended])]

    def _watchdog(self, now: datetime) -> list[Json]:
        """Nothing but a name and a severity; a repeat is the same to the byte."""
        every = {"alertname": WATCHDOG, "severity": "none"}
        beat = alert(WATCHDOG, {}, at=self._beginning("watchdog", now, anew=False))
        return [payload([beat | {"labels": every, "fingerprint": fingerprint(every)}], receiver="heartbeat")]

    def _storm(self, now: datetime, *, ended: datetime | None = None) -> list[Json]:
        """Everything at once: one payload a group."""
        began = self._beginning("storm", now, anew=not ended)
        return [payload(_gust(group, began, ended=ended)) for group in range(1, STORM_GROUPS + 1)]


def _gust(group: int, at: datetime, *, ended: datetime | None) -> list[Json]:
    labels = {"environment": "prod", "severity": "warning" if group % 3 else "critical"}
    return [
        alert(f"Storm{group:02d}", labels | {"instance": _instance(member)}, at=at, ended=ended)
        for member in range(1, STORM_MEMBERS + 1)
    ]


def _instance(number: int) -> str:
    return f"i-0{number:02d}"


def _cpu(number: int, at: datetime, *, ended: datetime | None = None) -> Json:
    texts = {"description": f"CPU of {_instance(number)} is at {82 + number} %.", "unit": "percent"}
    labels = {"environment": "prod", "severity": "warning", "instance": _instance(number)}
    return alert("HighCPUUsage", labels, at=at, ended=ended, texts=texts)


def _odd_text(now: datetime) -> list[Json]:
    labels = {"environment": "dev", "severity": "warning", "instance": HOSTILE}
    texts = {"summary": HOSTILE, "description": f"{HOSTILE} " * 40}
    return [payload([alert("OddText", labels, at=now, texts=texts)])]

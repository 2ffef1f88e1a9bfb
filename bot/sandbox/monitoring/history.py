"""The alerts of the last thirty days, as rows that the bot loads on its first start: what a small team has seen.

A noisy processor, a disk that fills up now and then, two outages that somebody took, one evening of flapping. The hosts
are such as no longer exist, so that nothing of the past can be mistaken for what fires now.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.sandbox.monitoring.configuration import RUNBOOKS, SERVICE

Record = dict[str, Any]
SEED = 30
"""The same past in every world."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Kind:
    """What went wrong how often: `minutes` it lasted, and how many of ten somebody took."""

    name: str
    environment: str
    severity: str
    summary: str
    times: int
    minutes: tuple[int, int]
    taken: int


KINDS = (
    Kind("HighCPUUsage", "prod", "warning", "A host's processor is busy.", 14, (4, 35), 2),
    Kind("HighCPUUsage", "dev", "warning", "A host's processor is busy.", 6, (3, 20), 0),
    Kind("HighMemoryUsage", "prod", "warning", "A host's memory is filling up.", 5, (10, 90), 4),
    Kind("LowDiskSpace", "dev", "warning", "A disk is nearly full.", 3, (40, 400), 7),
    Kind("AppDown", "prod", "critical", "The service does not answer.", 2, (4, 19), 10),
    Kind("AppDown", "dev", "critical", "The service does not answer.", 3, (2, 12), 3),
    Kind("NodeExporterDown", "dev", "critical", "The node exporter of a host does not answer.", 1, (6, 9), 10),
)
FLAPPING = Kind("HighCPUUsage", "prod", "warning", "A host's processor is busy.", 6, (3, 4), 0)
PEOPLE = ("sre", "sre2")


def tell(now: datetime) -> list[Record]:
    """The records, oldest first: all of them before the last day, so that today begins quiet."""
    chance = random.Random(SEED)
    records = [record for kind in KINDS for record in _told(kind, now, chance)]
    records.append(_flapping(now - 5 * DAY))
    return sorted(records, key=lambda record: str(record["episodes"][0]["starts_at"]))


def dump(records: Sequence[Record]) -> str:
    """JSON lines."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _told(kind: Kind, now: datetime, chance: random.Random) -> Iterator[Record]:
    for number in range(kind.times):
        began = now - DAY - timedelta(minutes=chance.randrange(29 * 24 * 60))
        over = began + timedelta(minutes=chance.randint(*kind.minutes))
        record = _record(kind, [(began, over)])
        if chance.randrange(10) < kind.taken:
            taken = began + (over - began) * chance.uniform(0.2, 0.7)
            record |= {"acked_by": PEOPLE[number % len(PEOPLE)], "acked_at": _text(taken)}
        yield record


def _flapping(began: datetime) -> Record:
    """On and off again for an hour."""
    starts = [began + timedelta(minutes=9 * number) for number in range(FLAPPING.times)]
    return _record(FLAPPING, [(at, at + timedelta(minutes=FLAPPING.minutes[0])) for at in starts])


def _record(kind: Kind, spans: Sequence[tuple[datetime, datetime]]) -> Record:
    labels = {
        "alertname": kind.name,
        "environment": kind.environment,
        "service": SERVICE,
        "severity": kind.severity,
        "instance": f"i-0{kind.environment}retired0000"[:19],
    }
    critical = kind.severity == "critical"
    return {
        "name": kind.name,
        "route": "critical" if critical else "default",
        "channel": "alerts-critical" if critical else "alerts",
        "annotations": {"summary": kind.summary, "runbook_url": f"{RUNBOOKS}/{kind.name}.md"},
        "episodes": [{"labels": labels, "starts_at": _text(start), "ends_at": _text(end)} for start, end in spans],
    }


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")

"""The alert store over a real SQLite file, a clock that only moves when told, and an Alertmanager's way of telling."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from bot.alert_settings import AlertSettings, EscalationStep, FlappingSettings, HeartbeatSettings, RouteSettings
from bot.alerts.model import ALERTMANAGER, Alert, AlertGroup, Observed, SeenAlert, SeenGroup, SeenSilence, Snapshot
from bot.alerts.payload import common, fingerprint_of, parse
from bot.alerts.store import AlertStore, GroupFilter
from bot.alerts.tellers import cluster_of, teller
from bot.db.database import Database
from bot.db.tables import alert_payloads, alert_tellers, cards
from bot.ops.store import Store
from tests.unit.engine_room import Clock

CHANNELS = {"alerts": 71, "alerts-critical": 72, "ops": 73}
KEY = '{}/{alertname=~".+"}:{alertname="HighCPUUsage"}'
ZERO = "0001-01-01T00:00:00Z"
SENDER = "127.0.0.1"
MEMBERS = ("http://am-1.example.org:9093", "http://am-2.example.org:9093")
"""The cluster that is asked; that its webhooks are this cluster's is known from before."""
BEGUN = datetime(2026, 8, 1, 11, 59, 30, 768123, tzinfo=UTC)

ROUTES = (
    RouteSettings(
        name="critical",
        matchers=('severity="critical"',),
        channel="alerts-critical",
        role="sre",
        escalation=(EscalationStep(after_s=300, role="owner"), EscalationStep(after_s=900, person="sre")),
        ack_reminder_s=3600,
    ),
    RouteSettings(name="warning", matchers=('severity="warning"',), channel="alerts", role="dev"),
)
SETTINGS = AlertSettings.model_validate(
    {
        "alertmanagers": ["http://127.0.0.1:9093"],
        "channel": "alerts",
        "routes": [route.model_dump() for route in ROUTES],
        "flapping": FlappingSettings().model_dump(),
        "heartbeats": [HeartbeatSettings(name="Watchdog").model_dump()],
    }
)
DEAF = SETTINGS.model_copy(update={"alertmanagers": ()})
"""The same without an API to ask: only webhooks count."""


def alert(
    instance: str = "i-0a1",
    *,
    starts_at: datetime = BEGUN,
    ends_at: datetime | None = None,
    name: str = "HighCPUUsage",
    value: str = "94",
    **labels: str,
) -> dict[str, Any]:
    """An alert as a webhook tells it; with an end it has resolved."""
    own = {"alertname": name, "environment": "prod", "service": "app", "severity": "warning", "instance": instance}
    told = {**own, **labels}
    return {
        "status": "firing" if ends_at is None else "resolved",
        "labels": told,
        "annotations": {"summary": "The processor is busy", "description": f"{value} % on {instance}"},
        "startsAt": nanoseconds(starts_at),
        "endsAt": ZERO if ends_at is None else nanoseconds(ends_at),
        "generatorURL": "http://prometheus.example.org:9090/graph?g0.expr=cpu+%3E+80",
        "fingerprint": fingerprint_of(told),
    }


def nanoseconds(at: datetime) -> str:
    """As Go writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}123Z"


def body(
    *alerts: Mapping[str, Any],
    key: str = KEY,
    receiver: str = "quarterdeck",
    external_url: str = MEMBERS[0],
    truncated: int = 0,
    group_labels: Mapping[str, str] | None = None,
) -> bytes:
    """The body of a webhook with these alerts."""
    firing = any(one["status"] == "firing" for one in alerts)
    document = {
        "receiver": receiver,
        "status": "firing" if firing else "resolved",
        "alerts": list(alerts),
        "groupLabels": group_labels or {"alertname": alerts[0]["labels"]["alertname"]},
        "commonLabels": common(one["labels"] for one in alerts),
        "commonAnnotations": common(one["annotations"] for one in alerts),
        "externalURL": external_url,
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": truncated,
    }
    return json.dumps(document).encode()


def seen(told: Mapping[str, Any], *, silenced_by: Iterable[str] = (), inhibited: bool = False) -> SeenAlert:
    """The alert as the API tells it: the same, and how it is held."""
    parsed = parse(body(told)).alerts[0]
    one = Alert(parsed.fingerprint, parsed.labels, parsed.annotations, parsed.starts_at, None, parsed.generator_url)
    by = tuple(silenced_by)
    return SeenAlert(one, "suppressed" if by or inhibited else "active", by, inhibited)


@dataclass
class InboxRoom:
    """The store with its clock, and short ways to tell it something. `posts`: Discord is there, every card stands."""

    store: AlertStore
    database: Database
    clock: Clock
    told: list[bytes] = field(default_factory=list)
    posts: bool = True

    async def take(self, told: bytes) -> int:
        return await self.store.take(told, parse(told), source=SENDER, received_at=self.clock())

    async def hook(self, *alerts: Mapping[str, Any], **said: Any) -> None:
        """A webhook comes and is applied."""
        await self.raw(body(*alerts, **said))

    async def raw(self, told: bytes) -> None:
        await self.take(told)
        while await self.store.apply_next():
            pass
        await self.posted()

    async def posted(self) -> None:
        """The board has posted what is due, with the calls that it carries."""
        if self.posts:
            new = update(cards).where(cards.c.message_id.is_(None))
            values = {"message_id": 900, "posted_at": self.clock(), "shown": cards.c.wanted}
            await self.database.write(lambda db: db.execute(new.values(**values)).close())

    async def look(
        self,
        *alerts: SeenAlert,
        silences: Iterable[SeenSilence] = (),
        receiver: str = "quarterdeck",
        source: str = ALERTMANAGER,
        settled: bool = True,
        at: datetime | None = None,
    ) -> Observed:
        """The API is asked, one second after what came last, and says this."""
        self.clock.advance(seconds=1)
        by_name: dict[str, list[SeenAlert]] = {}
        for one in alerts:
            by_name.setdefault(one.alert.name, []).append(one)
        groups = tuple(SeenGroup(receiver, {"alertname": name}, tuple(found)) for name, found in by_name.items())
        snapshot = Snapshot(source, at or self.clock(), alerts, groups, tuple(silences), settled)
        observed = await self.store.observe(snapshot)
        await self.posted()
        return observed

    async def look_twice(self, *alerts: SeenAlert, **said: Any) -> Observed:
        """What is missing must be missing twice."""
        await self.look(*alerts, **said)
        return await self.look(*alerts, **said)

    async def groups(self, state: str = "all") -> list[AlertGroup]:
        """All groups with their episodes, oldest first."""
        found = await self.store.groups(GroupFilter(state=state, limit=1000), episodes=True)
        return sorted(found, key=lambda one: one.id)

    async def only(self) -> AlertGroup:
        """The group, of which there is exactly one."""
        (group,) = await self.groups()
        return group

    async def wanted(self, key: str) -> int:
        """How often that card was marked; 0 when there is none."""
        statement = select(cards.c.wanted).where(cards.c.key == key)
        return await self.database.read(lambda db: db.execute(statement).scalar() or 0)

    async def card_keys(self) -> list[str]:
        statement = select(cards.c.key).order_by(cards.c.key)
        return await self.database.read(lambda db: list(db.execute(statement).scalars()))

    async def outcomes(self) -> list[str]:
        """What became of each payload, in their order."""
        statement = select(alert_payloads.c.outcome).order_by(alert_payloads.c.id)
        return await self.database.read(lambda db: list(db.execute(statement).scalars()))

    async def reasons(self, group_id: int) -> list[str]:
        return [ping.reason.value for ping in await self.store.pings(group_id)]


def later(**span: float) -> datetime:
    """So long after the alerts of these tests began."""
    return BEGUN + timedelta(**span)


@asynccontextmanager
async def inbox_room(home: Path, settings: AlertSettings = SETTINGS) -> AsyncIterator[InboxRoom]:
    """A store whose record is a real one."""
    database = await Database.open(home / "quarterdeck.sqlite3")
    clock = Clock()
    known = [{"name": teller(url, SENDER), "cluster": cluster_of(settings)} for url in MEMBERS]
    await database.write(lambda db: db.execute(insert(alert_tellers).prefix_with("OR IGNORE"), known).close())
    record = Store(database, now=clock).record
    store = AlertStore(database, settings=settings, channels=CHANNELS, record=record, now=clock)
    try:
        yield InboxRoom(store, database, clock)
    finally:
        await asyncio.shield(database.close())

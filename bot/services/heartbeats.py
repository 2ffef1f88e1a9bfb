"""Alerts that always fire: each one that comes in says that the whole way works, and one that stays out, that it broke.

Beats are rows, written as the webhook's payload is applied, so they outlive a restart. A late one becomes an alert of
the bot's own, with a card, pings, acks and escalation like any other; the heartbeat itself never makes a card.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from bot.alert_settings import AlertSettings, HeartbeatSettings
from bot.alerts.inbox import beat_name
from bot.alerts.store import AlertStore
from bot.ops.record import Now, utc_now
from bot.services.outside import ALERTMANAGER, PROMETHEUS, Outside

ALERTNAME = "HeartbeatLost"


class Pulse(StrEnum):
    """How a heartbeat stands. In doubt: it is late, and too little time has passed since a start to blame anybody."""

    ALIVE = "alive"
    IN_DOUBT = "in doubt"
    LOST = "lost"


def pulse(
    beat: HeartbeatSettings, *, last: datetime | None, started_at: datetime, alertmanager_at: datetime | None,
    now: datetime,
) -> Pulse:  # fmt: skip
    """How that heartbeat stands. `started_at` is our own start, `alertmanager_at` Alertmanager's, if it is known.

    One that was never heard has `every_s` from our start on. An Alertmanager that starts again and again gains no more
    than one time of grace.
    """
    every, grace = timedelta(seconds=beat.every_s), timedelta(seconds=beat.grace_s)
    if last is not None and now <= last + every:
        return Pulse.ALIVE
    due = (last or started_at) + every
    patient_until = max(due if last is None else started_at, started_at + grace)
    if alertmanager_at is not None:
        patient_until = max(patient_until, min(alertmanager_at, due) + grace)
    return Pulse.IN_DOUBT if now <= patient_until else Pulse.LOST


class Heartbeats:
    """Looks at the rows. `alertmanager_at` tells when Alertmanager began to run, as far as it is known."""

    def __init__(
        self, *, store: AlertStore, settings: AlertSettings, outside: Outside | None = None,
        alertmanager_at: Callable[[], datetime | None] = lambda: None, now: Now = utc_now,
    ) -> None:  # fmt: skip
        self._store = store
        self._beats = settings.heartbeats
        self._worst = settings.severities[-1]
        self._severity_label = settings.labels.severity
        self._service_label = settings.labels.service
        self._environment_label = settings.labels.environment
        self._outside = outside
        self._alertmanager_at = alertmanager_at
        self._now = now
        self._started_at = now()
        self._shown: dict[str, Pulse] = {}

    async def look(self) -> None:
        """Raise the alert of each heartbeat that is lost, and end that of each that is back.

        Both are idempotent, so the first look after a restart may say again what stands already.
        """
        if not self._beats:
            return
        last = await self._store.heartbeats()
        for beat in self._beats:
            name = beat_name(beat.name, beat.environment)
            found = pulse(
                beat, last=last.get(name), started_at=self._started_at, alertmanager_at=self._alertmanager_at(),
                now=self._now(),
            )  # fmt: skip
            if found is Pulse.IN_DOUBT or self._shown.get(name) is found:
                continue
            if found is Pulse.LOST:
                await self._raise(beat, last.get(name))
            else:
                await self._store.clear_own(own_name(beat), self._now())
            self._shown[name] = found

    async def _raise(self, beat: HeartbeatSettings, last: datetime | None) -> None:
        heard = f"was last heard at {last:%Y-%m-%d %H:%M:%S} UTC" if last is not None else "was never heard"
        labels = {
            "alertname": ALERTNAME, "heartbeat": beat.name, self._severity_label: self._worst,
            self._service_label: "monitoring",
        }  # fmt: skip
        if beat.environment:
            labels[self._environment_label] = beat.environment
        name = f"{beat.name} of {beat.environment}" if beat.environment else beat.name
        annotations = {
            "summary": f"The heartbeat {name} {heard}: alerts may not arise, or not arrive",
            "description": f"It should come every {beat.every_s} s. {self._evidence()} Until it is back, no news is no"
            " good news: look at the servers themselves.",
        }
        await self._store.raise_own(
            own_name(beat), labels, annotations, self._now(), channel=beat.channel, role=beat.role
        )

    def _evidence(self) -> str:
        """Where on the way it broke, as far as the parts can be asked."""
        if self._outside is None:
            return "On its way are Prometheus, Alertmanager and the network to this bot."
        words = []
        for part in (PROMETHEUS, ALERTMANAGER):
            standing = self._outside.of(part)
            if standing.heard_at is None and not standing.silent_since:
                words.append(f"{standing.name} is not asked from here.")
            else:
                words.append(f"{standing.name} {'does not answer' if standing.down else 'answers'}.")
        return " ".join(words)


def own_name(beat: HeartbeatSettings) -> str:
    """The name of the bot's own alert about that heartbeat."""
    return f"heartbeat/{beat_name(beat.name, beat.environment)}"

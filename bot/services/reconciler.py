"""Keeps the rows equal to what Alertmanager's API says: silences, what ended under one, what was missed while away.

Webhooks tell of none of these (measured on 0.25): a message made from them alone would stay red for ever. While no
Alertmanager answers, the rows say so, and Prometheus' own word still brings new alerts. Who is to be called is decided
where the rows are written (`bot.alerts`); this room only looks and hands over.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from bot.alert_settings import AlertSettings
from bot.alerts.difference import RECEIVERS
from bot.alerts.episodes import SAME_START, whole_second
from bot.alerts.model import (
    ALERTMANAGER,
    PROMETHEUS,
    Alert,
    Episode,
    Labels,
    Observed,
    SeenAlert,
    SeenGroup,
    SeenSilence,
    Snapshot,
    State,
)
from bot.alerts.payload import fingerprint_of
from bot.alerts.store import AlertStore
from bot.clients.alertmanager import AlertmanagerClient
from bot.clients.alertmanager_types import LiveAlert, LiveGroup, LiveSilence, Picture
from bot.clients.prometheus import FiringAlert, PrometheusClient
from bot.db.tables import alert_episodes
from bot.errors import QuarterdeckError, Unavailable
from bot.metrics import Metrics
from bot.ops.record import Now, utc_now

AWAY_PAUSE_S = 5.0
"""Between two looks while it does not answer, so that it is known to be back soon after it is."""
COMPARED_MAX = 100
SETTLED_AFTER_S = 150.0
"""Of an Alertmanager's life: Prometheus sends what fires again after a minute and at its next evaluation, which is up
to another minute later. Until then nothing has ended because it is missing there.
"""

_log = logging.getLogger(__name__)


class Reconciler:
    """Looks every `settings.reconcile_s` and at the start. `started_at` is the Alertmanager's that answered last."""

    def __init__(
        self, *, store: AlertStore, alertmanager: AlertmanagerClient | None, prometheus: PrometheusClient | None,
        settings: AlertSettings, metrics: Metrics | None = None, settled_after_s: float = SETTLED_AFTER_S,
        now: Now = utc_now,
    ) -> None:  # fmt: skip
        self._store = store
        self._alertmanager = alertmanager
        self._prometheus = prometheus
        self._pause_s = settings.reconcile_s
        self._heartbeats = frozenset(beat.name for beat in settings.heartbeats)
        self._metrics = metrics or Metrics()
        self._settled_after_s = settled_after_s
        self._now = now
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._missed: list[datetime] = []
        """When it was asked in vain, since it answered last; the first two are kept."""
        self._quiet: frozenset[str] = frozenset()
        """What Alertmanager told nobody of when it answered last: silenced, inhibited, muted by the hour."""
        self._receivers: dict[str, frozenset[str]] = {}
        """Whom it told of the rest."""
        self.started_at: datetime | None = None

    async def start(self) -> None:
        """Begin to look, at once. Without an Alertmanager to ask nothing is done: then only webhooks count."""
        if self._alertmanager is not None:
            self._task = asyncio.create_task(self._run(self._alertmanager), name="reconcile alerts")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """Look now: something was silenced, or is no longer."""
        self._woken.set()

    async def _run(self, alertmanager: AlertmanagerClient) -> None:
        while True:
            self._woken.clear()
            try:
                await self.look(alertmanager)
            except QuarterdeckError as error:
                _log.warning("the alerts could not be compared with Alertmanager's: %s", error)
            except Exception:  # the border of this task: one look that breaks must not be the last one
                self._metrics.broken.inc()
                _log.exception("comparing the alerts with Alertmanager's broke; the next look comes all the same")
            pause_s = min(self._pause_s, AWAY_PAUSE_S) if self._missed else self._pause_s
            try:
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def look(self, alertmanager: AlertmanagerClient) -> Observed:
        """Compare once, and write what differs. One answer that is missing is nothing yet, two in a row are.

        Raises:
            Unavailable: the database, or everybody who could be asked.
        """
        began = self._now()
        try:
            picture = await alertmanager.picture()
        except Unavailable:
            self._missed = [*self._missed, began][:2]
            if len(self._missed) < 2:
                raise
            return await self._without(began)
        self._missed = []
        self._metrics.alertmanager_reachable.set(1)
        self.started_at = began - timedelta(seconds=picture.status.uptime_s)
        groups = await self._groups_of_unknown(alertmanager, picture)
        snapshot = await asyncio.to_thread(self._snapshot, picture, groups, began)
        self._quiet = frozenset(one.alert.fingerprint for one in snapshot.alerts if one.suppressed)
        self._receivers = {alert.fingerprint: frozenset(alert.receivers) for alert in picture.alerts}
        seen = await self._store.observe(snapshot)
        await self._store.confirmed(began)
        if seen:
            _log.info("%s said what no webhook did: %s", picture.source, seen)
        return seen

    async def _without(self, began: datetime) -> Observed:
        """What is known while no Alertmanager answers: since when, and what Prometheus says."""
        self._metrics.alertmanager_reachable.set(0)
        await self._store.lost_sight(self._missed[0])
        if self._prometheus is None:
            return Observed()
        return await self._store.observe(await self._by_prometheus(self._prometheus, began))

    async def _groups_of_unknown(self, alertmanager: AlertmanagerClient, picture: Picture) -> tuple[LiveGroup, ...]:
        """Alertmanager's groups, a long list: only where something fires that stands in none of ours."""
        troubles = [alert for alert in picture.alerts if self._is_trouble(alert.labels)]
        starts = await self._store.database.read(_placed)
        if all(
            alert.fingerprint in starts and whole_second(alert.starts_at) <= starts[alert.fingerprint] + SAME_START
            for alert in troubles
        ):
            return ()
        return await alertmanager.groups()

    def _snapshot(self, picture: Picture, told: Sequence[LiveGroup], began: datetime) -> Snapshot:
        muted = muted_everywhere(told)
        seen = {
            alert.fingerprint: seen_alert(alert, muted=alert.fingerprint in muted) for alert in picture.alerts
        }  # heartbeats among them: they show whose webhooks this cluster sends
        groups = (
            SeenGroup(
                group.receiver,
                group.labels,
                tuple(seen[alert.fingerprint] for alert in group.alerts if alert.fingerprint in seen),
            )
            for group in told
        )
        return Snapshot(
            source=ALERTMANAGER,
            at=began,
            alerts=tuple(seen.values()),
            groups=tuple(group for group in groups if group.alerts),
            silences=tuple(map(seen_silence, picture.silences)),
            settled=picture.status.uptime_s >= self._settled_after_s,
        )

    def _is_trouble(self, labels: Labels) -> bool:
        """Whether it is more than a heartbeat, which always fires."""
        return labels.get("alertname") not in self._heartbeats

    async def _by_prometheus(self, prometheus: PrometheusClient, began: datetime) -> Snapshot:
        firing = [alert for alert in await prometheus.firing_alerts() if self._is_trouble(alert.labels)]
        asked = await self._store.asked_tellers()
        known = [one for one in await self._store.firing_episodes() if one.told_by in asked]
        found = await asyncio.to_thread(recognised, firing, known)
        ours = {episode.fingerprint for episode in known}
        receivers = await self._store.database.read(_our_receivers)
        return Snapshot(
            PROMETHEUS,
            began,
            tuple(
                one
                for one in found
                if one.alert.fingerprint in ours or not self._kept_from_us(one.alert.fingerprint, receivers)
            ),
        )

    def _kept_from_us(self, fingerprint: str, ours: frozenset[str]) -> bool:
        """Whether Alertmanager, when it answered last, held that and would not have told us of it.

        What it was only gathering for us counts as told: who else should bring it while it is away?
        """
        told = self._receivers.get(fingerprint, frozenset())
        return fingerprint in self._quiet or bool(told and ours and not told & ours)


def _placed(connection: Connection) -> dict[str, datetime]:
    """Since when each alert fires that stands in a group of Alertmanager's."""
    c = alert_episodes.c
    statement = select(c.fingerprint, c.starts_at).where(c.state == State.FIRING.value, c.provisional.is_(False))
    return {row.fingerprint: row.starts_at for row in connection.execute(statement)}


def _our_receivers(connection: Connection) -> frozenset[str]:
    """Those of Alertmanager's receivers whose webhooks come here, as far as they have come."""
    return frozenset(connection.execute(RECEIVERS).scalars())


def muted_everywhere(groups: Iterable[LiveGroup]) -> frozenset[str]:
    """The fingerprints of what Alertmanager tells nobody of, because of the hour: no group of theirs is told now."""
    muted: set[str] = set()
    loud: set[str] = set()
    for group in groups:
        for alert in group.alerts:
            (muted if alert.muted_by else loud).add(alert.fingerprint)
    return frozenset(muted - loud)


def seen_alert(alert: LiveAlert, *, muted: bool = False) -> SeenAlert:
    """What the API says of one alert, in the words of the alerts' core. One that is muted counts as inhibited."""
    told = Alert(
        fingerprint=alert.fingerprint,
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=alert.starts_at,
        generator_url=alert.generator_url,
    )
    return SeenAlert(told, alert.state.value, alert.silenced_by, muted or bool(alert.inhibited_by))


def seen_silence(silence: LiveSilence) -> SeenSilence:
    """What the API says of one silence, in the words of the alerts' core."""
    return SeenSilence(
        id=silence.id,
        state=silence.state.value,
        matchers=silence.matchers,
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        created_by=silence.created_by,
        comment=silence.comment,
    )


def recognised(firing: Iterable[FiringAlert], known: Iterable[Episode]) -> tuple[SeenAlert, ...]:
    """Alerts of Prometheus' as Alertmanager would tell of them: those that fire here already keep who they are.

    Prometheus adds its `external_labels` only when it sends, so its own list lacks them.
    """
    told, episodes = tuple(firing), tuple(known)
    beside = external_labels(told, episodes)
    by_labels = {frozenset(episode.labels.items()): episode for episode in episodes}
    found = []
    for alert in told:
        labels = {**beside, **alert.labels}
        same = by_labels.get(frozenset(labels.items()))
        seen = Alert(
            fingerprint=same.fingerprint if same is not None else fingerprint_of(labels),
            labels=labels,
            annotations=alert.annotations,
            starts_at=same.starts_at if same is not None else alert.active_at,
            generator_url=same.generator_url if same is not None else "",
        )
        found.append(SeenAlert(seen))
    return tuple(found)


def external_labels(firing: Sequence[FiringAlert], known: Iterable[Episode]) -> dict[str, str]:
    """What Alertmanager's alerts have that Prometheus' own do not, by the first alert that both know."""
    by_name: dict[str, list[Labels]] = defaultdict(list)
    for episode in known:
        by_name[episode.name].append(episode.labels)
    for alert in firing[:COMPARED_MAX]:
        for labels in by_name[alert.labels.get("alertname", "")][:COMPARED_MAX]:
            if all(labels.get(name) == value for name, value in alert.labels.items()):
                return {name: value for name, value in labels.items() if name not in alert.labels}
    return {}

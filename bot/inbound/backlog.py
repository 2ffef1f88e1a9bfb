"""How far the applying of payloads is behind their taking, as two figures. It only looks."""

from datetime import UTC, datetime

from bot.alerts.store import AlertStore
from bot.metrics import Metrics

LOOK_S = 5.0


class BacklogGauge:
    """Keeps the figures of what waits; `look` is called from time to time."""

    def __init__(self, store: AlertStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._oldest_at: datetime | None = None
        # The age grows between two looks as well: a house that stands still must not look young.
        metrics.alert_backlog_seconds.set_function(self._age_s)

    async def look(self) -> None:
        """Ask how much waits.

        Raises:
            Unavailable: the database cannot be read.
        """
        payloads, self._oldest_at = await self._store.backlog()
        self._metrics.alert_backlog.set(payloads)

    def _age_s(self) -> float:
        return (datetime.now(UTC) - self._oldest_at).total_seconds() if self._oldest_at is not None else 0.0

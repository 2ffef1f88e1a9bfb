"""The part of the composition root that opens what alerts need. Nothing is decided or done here.

The inbox comes first: payloads are taken as soon as the database is open, whether Discord can be reached or not, and
their senders notice a new configuration as a moment without a listener, which they answer by trying again.
"""

from contextlib import AsyncExitStack

from bot.alert_settings import AlertSettings
from bot.alerts.intake import Intake
from bot.alerts.store import AlertStore
from bot.groundwork import Core
from bot.inbound.alertmanager import AlertListener
from bot.inbound.backlog import LOOK_S, BacklogGauge
from bot.schedule import Schedule
from bot.services.escalation import Escalation
from bot.services.handover import Handover
from bot.services.heartbeats import Heartbeats
from bot.services.reconciler import Reconciler
from bot.services.second_road import SecondRoad
from bot.services.silences import SilenceService
from bot.ui.house import Alerting

CLOCK_S = 2.0
"""So often it is looked what has become due."""


async def open_alerting(core: Core, stack: AsyncExitStack) -> Alerting | None:
    """Take payloads in from now on, and look at what Alertmanager says; None where the file has no `[alerts]`.

    Raises:
        Unavailable: the listener's address cannot be had.
    """
    settings, store = core.settings.alerts, core.alert_store
    if settings is None or store is None:
        return None
    await _open_inbox(core, settings, store, stack)
    alertmanager = core.clients.alertmanager
    reconciler = Reconciler(
        store=store, alertmanager=alertmanager, prometheus=core.clients.prometheus, settings=settings,
        metrics=core.metrics,
    )  # fmt: skip
    stack.push_async_callback(reconciler.close)
    await reconciler.start()
    silences = SilenceService(
        store=store, alertmanager=alertmanager, rows=core.settings.policy_rows, settings=settings,
        recorder=core.engine,
    )  # fmt: skip
    silences.on_change(reconciler.wake)
    await _open_clocks(core, settings, store, silences, reconciler, stack)
    handover = Handover(
        alerts=store, store=core.store, lookout=core.lookout, channel_id=core.settings.discord.channels["ops"]
    )
    return Alerting(store=store, alertmanager=alertmanager, silences=silences, reconciler=reconciler, handover=handover)


async def _open_clocks(
    core: Core, settings: AlertSettings, store: AlertStore, silences: SilenceService, reconciler: Reconciler,
    stack: AsyncExitStack,
) -> None:  # fmt: skip
    """What happens by the clock; apart from one another, as Alertmanager and AWS may take long to answer or not to."""
    heartbeats = Heartbeats(
        store=store, settings=settings, outside=core.outside, alertmanager_at=lambda: reconciler.started_at
    )
    escalation = Escalation(store=store, people=core.people.names())
    road = SecondRoad(store=store, aws=core.clients.aws, settings=settings, metrics=core.metrics)
    for sweeps in ((silences.keep,), (heartbeats.look, escalation.look), (road.look,)):
        around = Schedule(core.database, sweeps=sweeps, tick_s=CLOCK_S)
        stack.push_async_callback(around.close)
        await around.start()


async def _open_inbox(core: Core, settings: AlertSettings, store: AlertStore, stack: AsyncExitStack) -> None:
    """What takes payloads, what applies them, and how far the one is behind the other."""
    intake = Intake(store, metrics=core.metrics)
    stack.push_async_callback(intake.close)
    await intake.start()
    listener = AlertListener(settings, core.settings.alertmanager_token, store, taken=intake.wake, metrics=core.metrics)
    await listener.start()
    stack.push_async_callback(listener.close)
    around = Schedule(core.database, sweeps=(BacklogGauge(store, core.metrics).look,), tick_s=LOOK_S)
    stack.push_async_callback(around.close)
    await around.start()

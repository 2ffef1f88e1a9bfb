"""The composition root of the bot: Discord's front on top of the core (`groundwork`). Nothing is decided or done here.

Parts are opened in order and closed in reverse; `serving` decides when.
"""

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import discord

from bot import __version__
from bot.alerting import open_alerting
from bot.alerts.inbox import beat_name
from bot.db.opening import FileLock
from bot.discord_bot import Front, QuarterdeckBot, point_at
from bot.errors import Misconfigured
from bot.groundwork import Core, open_core
from bot.inbound.health import HealthListener
from bot.logs import Redactor
from bot.metrics import Metrics
from bot.schedule import Schedule, house_schedule
from bot.services.backup import Backups
from bot.services.hand_changes import HandWatch, watched
from bot.services.outside import GATEWAY, Prober, probes
from bot.services.reload import Configuration, ReloadHandler
from bot.services.retention import Retention
from bot.services.running import Versions
from bot.services.watch import Watch
from bot.settings import Settings
from bot.ui.alert_pictures import drawer
from bot.ui.alert_renderings import AlertRenderings
from bot.ui.board import Board
from bot.ui.board_store import BoardStore
from bot.ui.buckets import Buckets
from bot.ui.bulletins import Tallies
from bot.ui.buttons import acted
from bot.ui.chart_process import Charts
from bot.ui.failures import answer
from bot.ui.first_answers import FirstAnswers
from bot.ui.house import Alerting
from bot.ui.packing import Packs
from bot.ui.pictures import cleaned
from bot.ui.pinned import PinnedBoard
from bot.ui.pinned_alerts import PinnedAlerts
from bot.ui.pins import OPS_KEY, Pinned, Pins, alerts_key
from bot.ui.renderings import Renderings
from bot.ui.storms import Storms
from cogs import EXTENSIONS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class House(Core):
    """The opened parts: the core, and what shows it in Discord."""

    configuration: Configuration
    board: Board
    handles: BoardStore
    bot: QuarterdeckBot
    first_answers: FirstAnswers
    charts: Charts
    alerting: Alerting | None
    version: str
    started_at: datetime

    def checks(self) -> Mapping[str, bool]:
        """What must be well for the bot to be of use."""
        return {"discord": self.bot.is_ready() and not self.bot.is_ws_ratelimited(), "board": self.board.alive}


async def open_house(
    configuration: Configuration, redactor: Redactor, stack: AsyncExitStack, *, held: FileLock | None = None
) -> House:
    """Open everything; what was opened is closed by the stack, in reverse. `held`: the database's lock, if taken.

    Raises:
        Misconfigured, Unavailable: a part cannot be opened; the sentence says why.
    """
    settings = configuration.loaded.settings
    if settings.discord.api_url:
        point_at(str(settings.discord.api_url), settings.discord.gateway_url)
    metrics = Metrics()
    metrics.build_info.labels(__version__).set(1)
    listener = await _open_listener(settings, metrics, stack)
    core = await open_core(settings, redactor, stack, held=held, metrics=metrics)
    alerting = await open_alerting(core, stack)
    core.registry.add(ReloadHandler(configuration))
    engine, people, handles, buckets = core.engine, core.people, BoardStore(core.database), Buckets()
    first_answers = FirstAnswers(metrics)
    bot = _open_bot(core, buckets, first_answers)
    stack.push_async_callback(bot.close)
    tallies = Tallies(core.database, channel_id=settings.discord.channels["audit"])
    charts, packs = _open_charts(settings, stack), Packs(core.database)
    alerts = _open_alert_renderings(core, charts, handles, packs, stack)
    renderings = Renderings(
        settings=settings, engine=engine, store=handles, people=people, redactor=redactor, outside=core.outside,
        pinned=_pinned(core, handles), tallies=tallies,
        handover=alerting.handover if alerting is not None else None, alerts=alerts,
    )  # fmt: skip
    board = Board(
        store=handles, renderings=renderings, channels=bot, buckets=buckets,
        audit_channel=settings.discord.channels["audit"],
        pins=Pins(settings.discord.channels["ops"], _alert_channels(settings)),
        metrics=metrics, doubt=timedelta(seconds=settings.discord.nonce_doubt_s),
        storms=Storms(packs, alerts) if alerts is not None else None,
    )  # fmt: skip
    house = House(
        **_parts(core), configuration=configuration, board=board, handles=handles, bot=bot,
        first_answers=first_answers, charts=charts, alerting=alerting, version=__version__,
        started_at=datetime.now(UTC),
    )  # fmt: skip
    bot.house = house
    listener.checks = house.checks
    await _start(house, stack)
    await _open_watch(core, tallies, stack)
    return house


def _open_schedule(core: Core, stack: AsyncExitStack) -> Schedule:
    settings = core.settings
    backups = Backups(settings.database_file, settings.backup_directory, keep=settings.backup.keep)
    stack.callback(backups.close)
    retention = Retention(core.database, settings.retention)
    return house_schedule(
        core.database, core.engine, retention=retention, backups=backups, every_h=settings.backup.every_h
    )


async def _open_watch(core: Core, tallies: Tallies, stack: AsyncExitStack) -> None:
    """What is looked at from time to time: builds, checks and versions nobody told us of, counts that have grown."""
    watch = Watch(core.settings, github=core.clients.github, past=core.engine, store=core.store)
    versions = Versions(core.settings, core.clients.http, core.engine)
    hands = HandWatch(watched(core.settings), services=versions, store=core.store)
    for sweeps in ((watch.look, tallies.look), (hands.look,)):  # apart, as GitHub may take long to answer or not to
        around = Schedule(core.database, sweeps=sweeps, tick_s=core.settings.github.watch_s)
        stack.push_async_callback(around.close)
        await around.start()


def _open_charts(settings: Settings, stack: AsyncExitStack) -> Charts:
    charts = Charts(settings.state_dir / "charts")
    stack.push_async_callback(charts.close)
    return charts


def _open_alert_renderings(
    core: Core, charts: Charts, handles: BoardStore, packs: Packs, stack: AsyncExitStack
) -> AlertRenderings | None:
    """What draws the cards of alerts; with a Prometheus those of critical ones carry their graphs."""
    if core.alert_store is None:
        return None
    draw = None
    if core.figures is not None:
        draw = drawer(core.figures, charts, cleaned=lambda spec: cleaned(spec, core.redactor.clean))
    renderings = AlertRenderings(
        alerts=core.alert_store, store=handles, packs=packs, settings=core.settings, people=core.people,
        changes=core.changes, draw=draw,
    )  # fmt: skip
    stack.push_async_callback(renderings.close)
    return renderings


def _alert_channels(settings: Settings) -> list[int]:
    """The channels with cards of alerts, each once, also where it has two names."""
    named = settings.alerts.all_channels if settings.alerts is not None else ()
    return list(dict.fromkeys(settings.discord.channels[name] for name in named))


def _pinned(core: Core, cards: BoardStore) -> dict[str, Pinned]:
    """What stands on the pinned boards, by the keys of their cards."""
    alerts, told = core.alert_store, core.settings.alerts
    if alerts is None or told is None:
        return {OPS_KEY: PinnedBoard(core.status, core.outside)}
    boards: dict[str, Pinned] = {OPS_KEY: PinnedBoard(core.status, core.outside, on_call=alerts.on_call)}
    beats = [beat_name(beat.name, beat.environment) for beat in told.heartbeats]
    for number in _alert_channels(core.settings):
        boards[alerts_key(number)] = PinnedAlerts(
            number, alerts=alerts, cards=cards, outside=core.outside, guild_id=core.settings.discord.guild_id,
            heartbeats=beats,
        )  # fmt: skip
    return boards


def _parts(core: Core) -> dict[str, Any]:
    return {field.name: getattr(core, field.name) for field in fields(core)}


async def _open_listener(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> HealthListener:
    """The first of all: whether the port is free must be known before anything is touched."""
    listener = HealthListener(port=settings.health_port, metrics=metrics)
    await listener.start()
    stack.push_async_callback(listener.close)
    return listener


def _open_bot(core: Core, buckets: Buckets, first_answers: FirstAnswers) -> QuarterdeckBot:
    settings, trace = core.settings, buckets.trace()
    rooms = {extension.rpartition(".")[2]: extension for extension in EXTENSIONS}
    unknown = [name for name in settings.cogs if name not in rooms]
    if unknown:
        raise Misconfigured(f"cogs names {unknown[0]!r}, which does not exist; there are: {', '.join(rooms)}.")
    first_answers.watch(trace)

    async def interacted(interaction: discord.Interaction[Any]) -> None:
        first_answers.arrived(interaction)
        await acted(interaction)

    front = Front(
        extensions=tuple(rooms[name] for name in settings.cogs),
        failed=answer,
        interacted=interacted,
        trace=trace,
        mark=settings.mark,
    )
    sync_file = settings.state_dir / "commands.sha256"
    return QuarterdeckBot(
        settings.discord, front=front, engine=core.engine, metrics=core.metrics, sync_file=sync_file,
        outside=core.outside,
    )  # fmt: skip


async def _start(house: House, stack: AsyncExitStack) -> None:
    """Set going what runs by itself."""
    house.engine.on_change(house.board.wake)
    house.engine.on_change(house.bot.news)
    if house.alerting is not None:
        house.alerting.store.on_change(house.board.changed)
    house.outside.on_change(house.board.outside_changed)
    house.outside.on_change(house.bot.news)
    asked = probes(
        github=house.clients.github, discord=house.clients.discord, agent=house.status.agent,
        environments=tuple(house.settings.environments), prometheus=house.clients.prometheus,
    )  # fmt: skip
    prober = Prober(house.outside, {**asked, GATEWAY: house.bot.look_at_gateway})
    stack.push_async_callback(prober.close)
    await prober.start()
    for part in (house.board, house.executor, _open_schedule(house, stack)):
        stack.push_async_callback(part.close)
        await part.start()

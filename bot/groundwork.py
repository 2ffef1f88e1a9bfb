"""The lower half of the composition root: opens everything but Discord's front, for the bot and for the command line.

What both need is put together here once, so that a command on the host goes through the same engine, the same policy
and the same handlers as a button in a channel. Nothing is decided or done here.
"""

import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bot.alerts.seed import SEED_FILE as ALERTS_SEED_FILE
from bot.alerts.seed import load_seed as load_alert_seed
from bot.alerts.store import AlertStore
from bot.clients.alertmanager import AlertmanagerClient
from bot.clients.aws import AwsClient
from bot.clients.discord import DiscordClient
from bot.clients.github import GithubClient
from bot.clients.http import HttpClient
from bot.clients.prometheus import PrometheusClient
from bot.db.database import Database
from bot.db.opening import FileLock
from bot.logs import Redactor
from bot.metrics import Metrics
from bot.ops.engine import Engine
from bot.ops.executor import InProcessExecutor
from bot.ops.handler import Registry
from bot.ops.lookout import Lookout
from bot.ops.seed import load_seed
from bot.ops.store import Store
from bot.people import People
from bot.policy import CONTROL
from bot.services.build import Builder
from bot.services.catalog import Catalog
from bot.services.changes import Changes
from bot.services.deploy import DeployHandler
from bot.services.figures import Figures
from bot.services.history import History
from bot.services.images import Images
from bot.services.outside import ALERTMANAGER, PROMETHEUS, Outside
from bot.services.release import Release
from bot.services.rollback import RollbackHandler
from bot.services.rollout import Rollout
from bot.services.roster import DiscordRoster
from bot.services.running import Versions
from bot.services.status import Sources, StatusService
from bot.services.vitals import Vitals
from bot.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clients:
    """The outside services, one adapter each."""

    http: HttpClient
    discord: DiscordClient
    github: GithubClient
    aws: AwsClient
    alertmanager: AlertmanagerClient | None
    """None where the file names no address of it."""
    prometheus: PrometheusClient | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The opened parts that need no Discord."""

    settings: Settings
    redactor: Redactor
    metrics: Metrics
    database: Database
    clients: Clients
    store: Store
    engine: Engine
    lookout: Lookout
    registry: Registry
    executor: InProcessExecutor
    catalog: Catalog
    status: StatusService
    rollbacks: RollbackHandler
    history: History
    people: People
    roster: DiscordRoster
    outside: Outside
    changes: Changes
    figures: Figures | None
    alert_store: AlertStore | None
    """None where the file has no `[alerts]`."""


async def open_core(
    settings: Settings,
    redactor: Redactor,
    stack: AsyncExitStack,
    *,
    exclusive: bool = True,
    held: FileLock | None = None,
    metrics: Metrics | None = None,
) -> Core:
    """Open it; what was opened is closed by the stack, in reverse. The executor is made, and not started.

    `exclusive=False` opens the database beside a living bot, which then carries out what is written. `held` is the
    database's lock where the caller has taken it.

    Raises:
        Misconfigured, Unavailable: a part cannot be opened; the sentence says why.
    """
    metrics = metrics or Metrics()
    database = await Database.open(settings.database_file, exclusive=exclusive, held=held, metrics=metrics)
    stack.push_async_callback(database.close)
    outside = Outside(settings.environments, beside=_monitoring_parts(settings))
    clients = await _open_clients(settings, outside, stack)
    store = await _open_store(settings, database, redactor, seeds=exclusive)
    registry, people = Registry(), _people(settings)
    roster = DiscordRoster(clients.discord, people)
    engine = Engine(store=store, registry=registry, policy=settings.policy_rows, roster=roster, metrics=metrics)
    lookout = Lookout(store, settings.policy_rows)
    changes, alert_store = Changes(database, services=settings.services), _open_alert_store(settings, store, redactor)
    sources = Sources(outside, vitals=_open_vitals(settings, clients), alerts=alert_store, changes=changes)
    catalog, status, rollbacks, history = _open_services(settings, clients, engine, lookout, registry, sources)
    executor = InProcessExecutor(engine, registry, store, settings.limits, metrics=metrics)
    return Core(
        settings=settings, redactor=redactor, metrics=metrics, database=database, clients=clients, store=store,
        engine=engine, registry=registry, executor=executor, catalog=catalog, status=status, rollbacks=rollbacks,
        lookout=lookout, history=history,
        people=people, roster=roster, outside=outside, changes=changes,
        figures=_open_figures(settings, clients, changes), alert_store=alert_store,
    )  # fmt: skip


def _open_alert_store(settings: Settings, store: Store, redactor: Redactor) -> AlertStore | None:
    if settings.alerts is None:
        return None
    return AlertStore(
        store.database, settings=settings.alerts, channels=settings.discord.channels, record=store.record,
        clean=redactor.clean,
    )  # fmt: skip


def _open_figures(settings: Settings, clients: Clients, changes: Changes) -> Figures | None:
    if settings.metrics is None or clients.prometheus is None:
        return None
    return Figures(settings, prometheus=clients.prometheus, changes=changes)


def _open_vitals(settings: Settings, clients: Clients) -> Vitals | None:
    if settings.metrics is None or clients.prometheus is None:
        return None
    return Vitals(settings.metrics.figures, prometheus=clients.prometheus)


def card_channels(settings: Settings) -> dict[str, int]:
    """The channel in which each environment's cards are shown."""
    of_environments = {name: settings.discord.channels[e.channel] for name, e in settings.environments.items()}
    return {CONTROL: settings.discord.channels["ops"], **of_environments}


async def _open_store(settings: Settings, database: Database, redactor: Redactor, *, seeds: bool) -> Store:
    store = Store(database, channels=card_channels(settings), clean=redactor.clean)
    if seeds and settings.profile != "live" and settings.seed_file is not None:
        loaded = await load_seed(store, settings.seed_file)
        if loaded:
            _log.info("loaded %d operations of history", loaded)
        past = settings.seed_file.with_name(ALERTS_SEED_FILE)
        if settings.alerts is not None and past.is_file():
            await load_alert_seed(database, past)
    return store


async def _open_clients(settings: Settings, outside: Outside, stack: AsyncExitStack) -> Clients:
    http = HttpClient()
    stack.push_async_callback(http.close)
    api_url = settings.discord.api_url
    discord = DiscordClient(
        api_url=str(api_url) if api_url else None,
        token=settings.discord_token.get_secret_value(),
        guild_id=settings.discord.guild_id,
        http=http,
        hearing=outside,
    )
    github = GithubClient(
        repository=settings.github.repository,
        api_url=str(settings.github.api_url),
        token=settings.github_token.get_secret_value(),
        http=http,
        write_pause_s=settings.github.write_pause_s,
        hearing=outside,
    )
    stack.callback(github.close)
    endpoint = settings.aws.endpoint_url
    aws = AwsClient(
        region=settings.aws.region, account=settings.aws.account, endpoint_url=str(endpoint) if endpoint else None,
        hearing=outside,
    )  # fmt: skip
    stack.push_async_callback(aws.close)
    alertmanager, prometheus = _open_monitoring(settings, http, outside, stack)
    return Clients(http, discord, github, aws, alertmanager, prometheus)


def _monitoring_parts(settings: Settings) -> tuple[str, ...]:
    alerts = settings.alerts is not None and settings.alerts.alertmanagers
    return (*((ALERTMANAGER,) if alerts else ()), *((PROMETHEUS,) if settings.metrics else ()))


def _open_monitoring(
    settings: Settings, http: HttpClient, outside: Outside, stack: AsyncExitStack
) -> tuple[AlertmanagerClient | None, PrometheusClient | None]:
    alertmanager = prometheus = None
    if settings.alerts is not None and settings.alerts.alertmanagers:
        urls = [str(url) for url in settings.alerts.alertmanagers]
        alertmanager = AlertmanagerClient(urls=urls, http=http, timeout_s=settings.alerts.timeout_s, hearing=outside)
    if (metrics := settings.metrics) is not None:
        prometheus = PrometheusClient(
            str(metrics.url), timeout_s=metrics.timeout_s, concurrency=metrics.concurrency, hearing=outside
        )
        stack.callback(prometheus.close)
    return alertmanager, prometheus


def _open_services(
    settings: Settings, clients: Clients, engine: Engine, lookout: Lookout, registry: Registry, sources: Sources
) -> tuple[Catalog, StatusService, RollbackHandler, History]:
    catalog = Catalog(settings, clients.github)
    versions = Versions(settings, clients.http, engine)
    images = Images(clients.github, clients.aws)
    rollout = Rollout(settings, clients.aws, versions)
    release = Release(clients.github, rollout, versions)
    builder = Builder(settings.github, clients.github, images)
    deploys = DeployHandler(
        settings, github=clients.github, catalog=catalog, images=images, versions=versions, builder=builder,
        rollout=rollout, release=release,
    )  # fmt: skip
    rollbacks = RollbackHandler(
        catalog=catalog, aws=clients.aws, versions=versions, past=engine, rollout=rollout, release=release
    )
    registry.add(deploys)
    registry.add(rollbacks)
    status = StatusService(
        settings, catalog=catalog, core=engine, versions=versions, github=clients.github, aws=clients.aws,
        sources=sources,
    )  # fmt: skip
    history = History(catalog=catalog, past=lookout, versions=versions, github=clients.github)
    return catalog, status, rollbacks, history


def _people(settings: Settings) -> People:
    people = settings.people
    return People(
        accounts=[(person.name, person.discord_id) for person in people],
        roles=settings.discord.roles,
        duties={person.name: person.duties for person in people},
        os_users={person.os_user: person.name for person in people},
    )

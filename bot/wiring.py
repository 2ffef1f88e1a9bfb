"""The composition root: opens the parts in order, and closes them in reverse. Nothing is decided or done here.

A new configuration (SIGHUP) closes the house and opens it again in the same process: everything that runs is
re-attached from its rows, as after a restart. One that cannot be used is refused whole, and the old one stays.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import discord

from bot import __version__
from bot.clients.aws import AwsClient
from bot.clients.github import GithubClient
from bot.clients.http import HttpClient
from bot.db.database import Database
from bot.discord_bot import Front, QuarterdeckBot, point_at
from bot.errors import Misconfigured
from bot.inbound import HealthListener
from bot.logs import Redactor, configure
from bot.metrics import Metrics
from bot.ops.engine import Engine
from bot.ops.executor import InProcessExecutor
from bot.ops.handler import Registry
from bot.ops.seed import load_seed
from bot.ops.store import Store
from bot.people import People
from bot.schedule import house_schedule
from bot.services.build import Builder
from bot.services.catalog import Catalog
from bot.services.deploy import DeployHandler
from bot.services.images import Images
from bot.services.release import Release
from bot.services.rollback import RollbackHandler
from bot.services.rollout import Rollout
from bot.services.running import Versions
from bot.services.status import StatusService
from bot.settings import Settings, load
from bot.ui.board import Board
from bot.ui.board_store import BoardStore
from bot.ui.buckets import Buckets
from bot.ui.buttons import DYNAMIC_ITEMS, submitted
from bot.ui.failures import answer
from bot.ui.first_answers import FirstAnswers
from bot.ui.renderings import Renderings
from cogs import EXTENSIONS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Clients:
    http: HttpClient
    github: GithubClient
    aws: AwsClient


@dataclass(frozen=True, slots=True)
class House:
    """The opened parts."""

    settings: Settings
    database: Database
    engine: Engine
    executor: InProcessExecutor
    catalog: Catalog
    status: StatusService
    rollbacks: RollbackHandler
    people: People
    board: Board
    handles: BoardStore
    bot: QuarterdeckBot
    metrics: Metrics
    redactor: Redactor
    first_answers: FirstAnswers
    version: str
    started_at: datetime

    def checks(self) -> Mapping[str, bool]:
        """What must be well for the bot to be of use."""
        return {"discord": self.bot.is_ready() and not self.bot.is_ws_ratelimited(), "board": self.board.alive}


class _Wishes:
    """What signals ask of the process: to stop, or to read its configuration again."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self.settings = settings
        self.stopping = False
        self._heard = asyncio.Event()

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    async def wait(self) -> None:
        await self._heard.wait()
        self._heard.clear()

    def _stop(self) -> None:
        self.stopping = True
        self._heard.set()

    def _reload(self) -> None:
        try:
            self.settings = load(self._path)
        except Misconfigured as error:
            _log.error("the new configuration is refused, the old one stays: %s", error)
            return
        _log.info("the configuration was read again")
        self._heard.set()


async def serve(path: Path) -> None:
    """Run the bot with that configuration until it is asked to stop.

    Raises:
        Misconfigured, Unavailable: it cannot start, or not go on; the sentence says why.
    """
    wishes = _Wishes(path, load(path))
    wishes.listen()
    while not wishes.stopping:
        settings = wishes.settings
        redactor = Redactor(s.get_secret_value() for s in (settings.discord_token, settings.github_token))
        configure(settings.log_level, redactor)
        async with AsyncExitStack() as stack:
            house = await open_house(settings, redactor, stack)
            # What was imported stays for good: the collector, off since the start, need never look at it again.
            gc.freeze()
            gc.enable()
            await _until_wished(house, wishes)


async def _until_wished(house: House, wishes: _Wishes) -> None:
    """Stay connected until a signal comes; a client that ends by itself has a reason, which is raised."""
    client = asyncio.create_task(
        house.bot.run_until_closed(house.settings.discord_token.get_secret_value()), name="discord"
    )
    wish = asyncio.create_task(wishes.wait(), name="signals")
    try:
        await asyncio.wait({client, wish}, return_when=asyncio.FIRST_COMPLETED)
        if client.done():
            client.result()
    finally:
        wish.cancel()
        client.cancel()
        await asyncio.gather(client, wish, return_exceptions=True)


async def open_house(settings: Settings, redactor: Redactor, stack: AsyncExitStack) -> House:
    """Open everything; what was opened is closed by the stack, in reverse.

    Raises:
        Misconfigured, Unavailable: a part cannot be opened; the sentence says why.
    """
    if settings.discord.api_url:
        point_at(str(settings.discord.api_url), settings.discord.gateway_url)
    metrics = Metrics()
    metrics.build_info.labels(__version__).set(1)
    listener = await _open_listener(settings, metrics, stack)
    database = await _open_database(settings, metrics, stack)
    clients = await _open_clients(settings, stack)
    store = await _open_store(settings, database)
    registry = Registry()
    engine = Engine(store=store, registry=registry, policy=settings.policy_rows, metrics=metrics)
    catalog, status, rollbacks = _open_services(settings, clients, engine, registry)
    executor = InProcessExecutor(engine, registry, store, settings.limits, metrics=metrics)
    people, handles, buckets = _people(settings), BoardStore(database), Buckets()
    first_answers = FirstAnswers(metrics)
    bot = _open_bot(settings, engine, metrics, buckets, first_answers)
    stack.push_async_callback(bot.close)
    renderings = Renderings(settings=settings, engine=engine, store=handles, people=people, redactor=redactor)
    board = Board(
        store=handles, renderings=renderings, channels=bot, buckets=buckets,
        audit_channel=settings.discord.channels["audit"], metrics=metrics,
    )  # fmt: skip
    house = House(
        settings=settings, database=database, engine=engine, executor=executor, catalog=catalog, status=status,
        rollbacks=rollbacks, people=people, board=board, handles=handles, bot=bot, metrics=metrics, redactor=redactor,
        first_answers=first_answers, version=__version__, started_at=datetime.now(UTC),
    )  # fmt: skip
    bot.house = house
    listener.checks = house.checks
    await _start(house, stack)
    return house


async def _open_listener(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> HealthListener:
    """The first of all: whether the port is free must be known before anything is touched."""
    listener = HealthListener(port=settings.health_port, metrics=metrics)
    await listener.start()
    stack.push_async_callback(listener.close)
    return listener


async def _open_database(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Database:
    database = await Database.open(settings.database_file, metrics=metrics)
    stack.push_async_callback(database.close)
    return database


async def _open_store(settings: Settings, database: Database) -> Store:
    channels = {name: settings.discord.channels[e.channel] for name, e in settings.environments.items()}
    store = Store(database, channels=channels)
    if settings.profile == "sandbox" and settings.seed_file is not None:
        loaded = await load_seed(store, settings.seed_file)
        if loaded:
            _log.info("loaded %d operations of history", loaded)
    return store


async def _open_clients(settings: Settings, stack: AsyncExitStack) -> _Clients:
    http = HttpClient()
    stack.push_async_callback(http.close)
    github = GithubClient(
        repository=settings.github.repository,
        api_url=str(settings.github.api_url),
        token=settings.github_token.get_secret_value(),
        http=http,
        write_pause_s=settings.github.write_pause_s,
    )
    stack.callback(github.close)
    endpoint = settings.aws.endpoint_url
    aws = AwsClient(
        region=settings.aws.region, account=settings.aws.account, endpoint_url=str(endpoint) if endpoint else None
    )
    stack.push_async_callback(aws.close)
    return _Clients(http, github, aws)


def _open_services(
    settings: Settings, clients: _Clients, engine: Engine, registry: Registry
) -> tuple[Catalog, StatusService, RollbackHandler]:
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
        settings, catalog=catalog, core=engine, versions=versions, github=clients.github, aws=clients.aws
    )
    return catalog, status, rollbacks


def _people(settings: Settings) -> People:
    accounts = [(person.name, person.discord_id) for person in settings.people]
    return People(accounts=accounts, roles=settings.discord.roles)


def _open_bot(
    settings: Settings, engine: Engine, metrics: Metrics, buckets: Buckets, first_answers: FirstAnswers
) -> QuarterdeckBot:
    trace = buckets.trace()
    rooms = {extension.rpartition(".")[2]: extension for extension in EXTENSIONS}
    unknown = [name for name in settings.cogs if name not in rooms]
    if unknown:
        raise Misconfigured(f"cogs names {unknown[0]!r}, which does not exist; there are: {', '.join(rooms)}.")
    first_answers.watch(trace)

    async def interacted(interaction: discord.Interaction[Any]) -> None:
        first_answers.arrived(interaction)
        await submitted(interaction)

    front = Front(
        extensions=tuple(rooms[name] for name in settings.cogs),
        dynamic_items=DYNAMIC_ITEMS,
        failed=answer,
        interacted=interacted,
        trace=trace,
    )
    sync_file = settings.state_dir / "commands.sha256"
    return QuarterdeckBot(settings.discord, front=front, engine=engine, metrics=metrics, sync_file=sync_file)


async def _start(house: House, stack: AsyncExitStack) -> None:
    """Set going what runs by itself."""
    house.engine.on_change(house.board.wake)
    house.engine.on_change(house.bot.news)
    for part in (house.board, house.executor, house_schedule(house.database, house.engine)):
        stack.push_async_callback(part.close)
        await part.start()

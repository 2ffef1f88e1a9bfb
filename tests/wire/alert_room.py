"""Real rows under a real Alertmanager: what it tells by webhook is taken and applied as the bot does, at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from sqlalchemy import func, select

from bot.alert_settings import AlertSettings
from bot.alerts.model import AlertGroup
from bot.alerts.payload import parse
from bot.alerts.store import AlertStore, GroupFilter
from bot.clients.alertmanager import AlertmanagerClient
from bot.clients.http import HttpClient
from bot.db.database import Database
from bot.db.tables import alert_pings, events
from bot.ops.record import Record
from tests.wire.monitoring_room import Alertmanager, alertmanager

CHANNELS = {"alerts": 5, "ops": 6}


class AlertRoom:
    """The rows, the server and a client of it. `deaf`: webhooks are answered 503, as by a bot that is down."""

    def __init__(self, server: Alertmanager, database: Database, store: AlertStore, client: AlertmanagerClient) -> None:
        self.server, self.database, self.store, self.client = server, database, store, client
        self.settings = store.settings
        self.ahead = timedelta()
        self.deaf = False
        self.told = 0

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.deaf:
            return web.Response(status=503)
        await self.store.take(body, parse(body), source="test", received_at=datetime.now(UTC))
        while await self.store.apply_next():
            pass
        self.told += 1
        return web.Response()

    async def groups(self, state: str = "all") -> list[AlertGroup]:
        return list(await self.store.groups(GroupFilter(state=state), episodes=True))

    async def group(self, title: str) -> AlertGroup | None:
        """The newest group of that name."""
        return next(iter(sorted((g for g in await self.groups() if g.title == title), key=lambda g: -g.id)), None)

    async def pings(self) -> int:
        statement = select(func.count()).select_from(alert_pings)
        return await self.database.read(lambda c: int(c.execute(statement).scalar_one()))

    async def events(self) -> list[tuple[str, str, str]]:
        statement = select(events.c.name, events.c.actor, events.c.text).order_by(events.c.id)
        return await self.database.read(lambda c: [tuple(row) for row in c.execute(statement)])


@asynccontextmanager
async def alert_room(home: Path, settings: AlertSettings | None = None) -> AsyncIterator[AlertRoom]:
    rooms: list[AlertRoom] = []

    async def heard(request: web.Request) -> web.Response:
        return await rooms[0].hear(request) if rooms else web.Response(status=503)

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/", heard)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    webhook = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    http, database = HttpClient(), await Database.open(home / "quarterdeck.db")
    try:
        async with alertmanager(home / "alertmanager", webhook=webhook) as server:
            known = (settings or AlertSettings()).model_copy(update={"alertmanagers": (server.url,)})
            store = AlertStore(
                database, settings=known, channels=CHANNELS, record=Record(now=lambda: datetime.now(UTC)).record
            )
            client = AlertmanagerClient(urls=[server.url], http=http, timeout_s=5)
            rooms.append(AlertRoom(server, database, store, client))
            yield rooms[0]
    finally:
        await runner.cleanup()
        await http.close()
        await database.close()

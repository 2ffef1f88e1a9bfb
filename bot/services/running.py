"""What runs now: the service's own word over HTTP, beside the newest operation that we remember."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from bot.clients.http import HttpClient
from bot.errors import Unavailable
from bot.ops.model import Json, Operation
from bot.settings import Settings

HEALTH_TIMEOUT_S = 2.0


class History(Protocol):
    """The part of the core that remembers deploys."""

    async def last_deployed(self, environment: str, service: str) -> Operation | None: ...


@dataclass(frozen=True, slots=True)
class Health:
    """The answer of `/health`. `built_from` is the commit whose build made the image."""

    status: str
    commit: str
    built_from: str


@dataclass(frozen=True, slots=True)
class Running:
    """A service in an environment. `known` says where the commit comes from: `live` is the service's own word,
    `recorded` our newest operation's while the service does not answer, `unknown` neither.
    """

    commit: str
    image: str
    known: Literal["live", "recorded", "unknown"]
    healthy: bool
    since: datetime | None
    by: str
    operation_id: int | None
    by_hand: bool
    """The service answers with another commit than our newest operation put there."""


class Versions:
    """Asks the services themselves; remembers nothing."""

    def __init__(self, settings: Settings, http: HttpClient, history: History) -> None:
        self._settings = settings
        self._http = http
        self._history = history

    def url(self, environment: str, service: str) -> str:
        """The service's address in that environment, without a slash at the end; empty when none is configured."""
        address = self._settings.services[service].urls.get(environment)
        return str(address).rstrip("/") if address else ""

    async def health(self, environment: str, service: str) -> Health | None:
        """The service's answer; None: no address, no answer, or no health page."""
        url = self.url(environment, service)
        if not url:
            return None
        try:
            value = await self._http.get_json(f"{url}/health", timeout_s=HEALTH_TIMEOUT_S)
        except Unavailable:
            return None
        return Health(str(value.get("status", "")), str(value.get("commit", "")), str(value.get("built_from", "")))

    async def put_there_since(self, operation: Operation) -> Json | None:
        """The result of the newest operation that put a version there after this one was asked for; None: none did."""
        last = await self._history.last_deployed(operation.environment, operation.service)
        if last is None or last.id == operation.id or last.ended_at is None or last.ended_at <= operation.created_at:
            return None
        return last.result

    async def running(self, environment: str, service: str) -> Running:
        """What runs there now, as well as it can be known."""
        health, last = await asyncio.gather(
            self.health(environment, service), self._history.last_deployed(environment, service)
        )
        recorded = str(last.result.get("commit", "")) if last else ""
        live = health.commit if health else ""
        by_hand = bool(live and live != recorded)
        ours = last if last and not by_hand else None
        return Running(
            commit=live or recorded,
            image=str(ours.result.get("image", "")) if ours else "",
            known="live" if live else "recorded" if recorded else "unknown",
            healthy=health is not None and health.status == "ok",
            since=ours.ended_at if ours else None,
            by=ours.requester if ours else "",
            operation_id=ours.id if ours else None,
            by_hand=by_hand,
        )

"""The whole house over a Discord of the sandbox, in one event loop, with operations that a test steers.

Everything between the gateway and the database is real: client, cogs, buttons, board, engine, executor, roster. Only
what operations do outside is a `Voyage`, because what is looked at here is who may press what, and when. GitHub and AWS
are addresses at which nobody answers. Interactions can be forged: a member's client cannot send a button's id from
another channel or server, a test can.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bot.db.tables import cards, handles, locks, operations, votes
from bot.logs import Redactor
from bot.ops.handler import Failed, Interrupted, Run
from bot.ops.model import Json, Operation, Plan, Request, Status
from bot.policy import Actor
from bot.sandbox import cast
from bot.sandbox.botconfig import Document, Endpoints, compose, dumps, merge
from bot.sandbox.discord.interactions import Act, Type
from bot.sandbox.discord.part import DiscordPart
from bot.sandbox.discord.views import controls
from bot.services.reload import Configuration
from bot.wiring import House, open_house
from tests.wire.discord_world import discord_part, until

NOBODY = "http://127.0.0.1:9"
"""A port at which nothing listens: discard (RFC 863)."""
OLD, NEW = "a" * 40, "b" * 40
SERVED: Json = {"commit": NEW, "previous": {"commit": OLD, "image": ""}}
OTHER_PLACES = ("other channel", "other server", "direct message")
_numbers = itertools.count(1)


@dataclass
class Voyage:
    """An operation that ends as its parameter `end` says: `succeeded`, `failed`, `interrupted`, or `never`."""

    kind: str
    ran: list[int] = field(default_factory=list)
    resumed: list[int] = field(default_factory=list)

    async def plan(self, request: Request, requester: str) -> Plan:
        number = next(_numbers)
        return Plan(
            environment=request.environment,
            service=str(request.params.get("service", "app")),
            target=NEW[:7],
            locks=(f"{request.environment}/{request.params.get('lock', number)}",),
            content={"commit": NEW, "replaces": {"commit": OLD, "image": ""}, "number": number},
            shown={"title": "Fix cart rounding", "branch": "main", "branch_ahead": 2, "image_ready": True},
        )

    async def recheck(self, operation: Operation) -> str:
        return ""

    async def run(self, run: Run) -> Json:
        self.ran.append(run.operation.id)
        return await self._end(run)

    async def begun(self, run: Run) -> bool:
        return run.operation.id in self.ran

    async def dropped(self, run: Run, why: str) -> str:
        return "It never left."

    async def resume(self, run: Run) -> Json | None:
        self.resumed.append(run.operation.id)
        return SERVED

    async def _end(self, run: Run) -> Json:
        match run.operation.params.get("end", "succeeded"):
            case "failed":
                raise Failed("The voyage failed.")
            case "interrupted":
                raise Interrupted("Nobody knows where it is.")
            case "never":
                await run.cancel_requested.wait()
                await asyncio.Event().wait()
        return SERVED


@dataclass
class FrontRoom:
    """The opened house and the Discord that it is in."""

    house: House
    part: DiscordPart
    deploys: Voyage
    rollbacks: Voyage

    def person(self, name: str, *roles: str) -> Actor:
        held = frozenset(roles or cast_roles(name))
        return Actor(name, self.house.people.discord_id(name), held)

    async def ask(self, by: str = "dev", environment: str = "prod", **params: Any) -> Operation:
        """An operation, asked for as that person, past the commands."""
        request = Request(f"test:{next(_numbers)}", "deploy", environment, {"service": "app", **params}, confirmed=True)
        return await self.house.engine.request(request, self.person(by))

    async def becomes(self, operation: Operation, *statuses: Status) -> Operation:
        async with asyncio.timeout(20):
            while (now := await self.house.engine.operation(operation.id)).status not in statuses:
                await asyncio.sleep(0.01)
        return now

    async def settled(self) -> None:
        """Wait until nothing runs and nothing is about to."""
        async with asyncio.timeout(20):
            while await self.house.engine.operations(statuses=(Status.APPROVED, Status.RUNNING)):
                await asyncio.sleep(0.01)

    # ---- cards -------------------------------------------------------------------------------------------------

    async def drawn(self, operation: Operation) -> dict[str, str]:
        """Wait until the card shows the newest rows; the handle of every button on it, by its action."""

        async def work() -> dict[str, str] | None:
            return await self.house.database.read(lambda db: _handles_shown(db, operation.card_key))

        async with asyncio.timeout(20):
            while (found := await work()) is None:
                await asyncio.sleep(0.01)
        return found

    async def message_of(self, card_key: str) -> int:
        row = await self.house.handles.get(card_key)
        assert row is not None and row.message_id is not None
        return row.message_id

    # ---- pressing ----------------------------------------------------------------------------------------------

    async def press(self, user: str, message_id: int, handle: str, *, place: str = "", custom_id: str = "") -> Json:
        """Press the button, or forge its press from another place; the interaction once it is answered, with a modal
        filled in and sent.
        """
        source = self.part._store.message(message_id)
        assert source is not None
        raw = _component(source.payload, handle)
        if not handle:
            kind = {"component_type": 3, "values": []} if custom_id.startswith("qm:") else {"component_type": 2}
            raw = {**kind, "id": 1, "custom_id": custom_id}
        person = self.part._server.person(user)
        assert person is not None
        act = Act(Type.COMPONENT, person, source.channel, raw, name=raw["custom_id"], source=source)
        with forged(self.part, place):
            begun = self.part._interactions.begin(act)
            found = await self._answered(str(begun.id))
            if found["state"] != "modal":
                return found
            sent = await self.part.modal({"user": user, "interaction": str(begun.id), "fields": {"reason": "Because."}})
            return await self._answered(sent["interaction"])

    async def _answered(self, number: str) -> Json:
        def settled() -> Json | None:
            view = self.part.interaction(number)
            return view if view["state"] in ("answered", "modal", "timeout") else None

        return await until(settled)

    async def rows(self) -> Mapping[str, Any]:
        """Everything that a press could have an effect on: operations, votes, locks, and what ran outside."""
        shown = ("id", "status", "digest", "reason", "cancel_requested_at", "ended_at", "request_key")

        def work(db: Any) -> dict[str, Any]:
            return {
                "operations": db.execute(select(*(operations.c[name] for name in shown))).all(),
                "votes": db.execute(select(votes)).all(),
                "locks": db.execute(select(locks)).all(),
            }

        found = await self.house.database.read(work)
        voyages = (self.deploys, self.rollbacks)
        return {**found, "outside": [(list(voyage.ran), list(voyage.resumed)) for voyage in voyages]}


def _component(payload: Json, handle: str) -> Json:
    """What a client sends for that handle: the pick from a menu that lists it, else the press of a button."""
    menus = [raw for raw in controls(payload) if any(option["value"] == handle for option in raw.get("options", ()))]
    if menus:
        return {"component_type": 3, "id": 1, "custom_id": menus[0]["custom_id"], "values": [handle]}
    return {"component_type": 2, "id": 1, "custom_id": f"qd:{handle}"}


def cast_roles(name: str) -> tuple[str, ...]:
    return next(person.roles for person in cast.PEOPLE if person.name == name)


def _handles_shown(db: Any, key: str) -> dict[str, str] | None:
    row = db.execute(select(cards).where(cards.c.key == key)).mappings().one_or_none()
    if row is None or row["message_id"] is None or row["wanted"] > row["shown"]:
        return None
    generation = int(row["state"].get("generation", 0))
    minted = select(handles.c.action, handles.c.handle).where(
        handles.c.card_key == key, handles.c.generation == generation
    )
    return dict(db.execute(minted).all())


class forged:
    """While it lasts, interactions reach the bot as if they came from another place."""

    def __init__(self, part: DiscordPart, place: str) -> None:
        self._told = part._told
        self._place = place

    def __enter__(self) -> None:
        if self._place:
            send = type(self._told).interaction_created.__get__(self._told)
            self._told.interaction_created = lambda payload: send(_elsewhere(payload, self._place))  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self._told.__dict__.pop("interaction_created", None)


def _elsewhere(payload: Json, place: str) -> Json:
    other = str(cast.CHANNELS["general"])
    changed = {**payload}
    match place:
        case "other channel":
            changed["channel_id"] = other
            changed["channel"] = {**payload["channel"], "id": other}
        case "other server":
            changed["guild_id"] = str(cast.GUILD_ID + 7)
            changed["guild"] = {**payload["guild"], "id": str(cast.GUILD_ID + 7)}
        case "direct message":
            changed["user"] = changed.pop("member")["user"]
            changed["channel_id"] = str(cast.GUILD_ID + 9)
            changed["channel"] = {"id": str(cast.GUILD_ID + 9), "type": 1, "last_message_id": None, "flags": 0}
            changed["context"] = 1
            del changed["guild_id"], changed["guild"]
    return changed


@asynccontextmanager
async def open_front_room(
    path: Path, *, changes: Document | None = None, secrets: Mapping[str, str] | None = None
) -> AsyncIterator[FrontRoom]:
    """The house, ready in its server; closed at the end. `changes` are merged into its configuration, and `secrets`
    into its environment.
    """
    async with discord_part(path / "discord") as part, AsyncExitStack() as stack:
        nowhere = {"dev": "i-0123456789abcdef0", "prod": "i-0123456789abcdef1"}
        endpoints = Endpoints(part.api_url, part.gateway_url, NOBODY, NOBODY, nowhere, {})
        document = {**compose(endpoints, home=path), "state_dir": str(path / "state")}
        document = merge(document, changes or {})
        document.pop("seed_file", None)
        file = path / "quarterdeck.toml"
        file.write_text(dumps(document), encoding="utf-8")
        environ = {"QUARTERDECK_DISCORD_TOKEN": part.token, "QUARTERDECK_GITHUB_TOKEN": "none", **(secrets or {})}
        house = await open_house(Configuration.open(file, environ=environ), Redactor([]), stack)
        deploys, rollbacks = Voyage("deploy"), Voyage("rollback")
        house.registry.add(deploys)
        house.registry.add(rollbacks)
        client = asyncio.create_task(house.bot.run_until_closed(part.token))
        try:
            await until(lambda: house.bot.is_ready() or client.done(), timeout_s=20)
            yield FrontRoom(house, part, deploys, rollbacks)
        finally:
            client.cancel()
            await asyncio.gather(client, return_exceptions=True)

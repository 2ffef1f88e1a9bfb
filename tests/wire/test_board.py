"""The board against a real Discord API: lost answers and rows, outages, old messages, pins. One message a card."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import discord

from bot.db.cards import Priority
from bot.db.database import Database
from bot.logs import Redactor
from bot.metrics import Metrics
from bot.ops.engine import Engine
from bot.ops.handler import Registry
from bot.ops.model import Operation, Request
from bot.ops.store import Store
from bot.people import People
from bot.policy import seeded_rows
from bot.sandbox import cast
from bot.sandbox.discord.limits import Limits, Rate
from bot.sandbox.discord.part import DiscordPart
from bot.services.outside import GITHUB, Outside
from bot.ui.board import Board
from bot.ui.board_store import BoardStore, CardRow
from bot.ui.buckets import Buckets
from bot.ui.pinned import MARKER
from bot.ui.pins import OPS_KEY, Pins, Rhythm, alerts_key
from bot.ui.renderings import Renderings
from tests.unit.engine_room import DEV, Deploy
from tests.unit.test_card_pings import SETTINGS
from tests.wire.discord_world import discord_part

OPS, AUDIT, ALERTS = (cast.CHANNELS[name] for name in ("ops", "audit", "alerts"))
DOUBT = timedelta(seconds=1.5)
POST = rf"POST .*/channels/{OPS}/messages$"
FORGETFUL = Limits(posts=Rate(1000, 1.0), edits=Rate(1000, 1.0), overall=Rate(10_000, 1.0), nonce_life_s=0.0)
"""A Discord that remembers no nonce at all: whoever posts again posts twice."""


class Deck:
    """A pinned board whose words the test chooses."""

    marker = MARKER

    def __init__(self) -> None:
        self.words = "all quiet"

    async def text(self) -> str:
        return f"**On deck** {self.words}"


class RestClient(discord.Client):
    """Logged in, and not connected: all that a board needs."""

    def __init__(self, buckets: Buckets) -> None:
        super().__init__(intents=discord.Intents.none(), http_trace=buckets.trace())
        self.logged_in = asyncio.Event()


@dataclass
class Shelf:
    """A board with everything around it, over a database that outlives it."""

    part: DiscordPart
    database: Database
    engine: Engine
    outside: Outside
    deck: Deck
    cards: BoardStore
    board: Board

    async def ask(self) -> Operation:
        key = f"key-{datetime.now(UTC).timestamp()}"
        return await self.engine.request(Request(key=key, kind="deploy", environment="dev", params={}), DEV)

    def shown(self, text: str = "") -> list[dict[str, Any]]:
        """Messages of the ops channel that hold the text; the notices of pins left out."""
        found = self.part.messages(channel="ops")["messages"]
        return [m for m in found if m["raw"]["type"] == 0 and text in m["text"]]

    def posts(self) -> int:
        """Posts to the ops channel that Discord took and answered."""
        taken = [r for r in self.part.ledger.requests("discord", 0) if r["method"] == "POST" and r["status"] == 200]
        return sum(r["path"].endswith(f"/channels/{OPS}/messages") for r in taken)

    async def settled(self, key: str) -> CardRow:
        """The card's row once it shows what is wanted."""
        async with asyncio.timeout(20):
            while (row := await self.cards.get(key)) is None or row.shown != row.wanted or row.message_id is None:
                await asyncio.sleep(0.02)
        return row


@asynccontextmanager
async def shelf(
    path: Path, part: DiscordPart, *, old_after: timedelta = timedelta(hours=1), alerts: Sequence[int] = (ALERTS,)
) -> AsyncIterator[Shelf]:
    database = await Database.open(path / "state" / "quarterdeck.sqlite3")
    store = Store(database, channels={"dev": OPS})
    engine = Engine(store=store, registry=Registry({"deploy": Deploy()}), policy=seeded_rows())
    buckets, cards, outside, deck = Buckets(old_after=old_after), BoardStore(database), Outside(["dev"]), Deck()
    client = RestClient(buckets)
    renderings = Renderings(
        settings=SETTINGS, engine=engine, store=cards, people=People(accounts=[], roles={}), redactor=Redactor([]),
        outside=outside, pinned={OPS_KEY: deck, alerts_key(ALERTS): deck},
    )  # fmt: skip
    board = Board(
        store=cards, renderings=renderings, channels=client, buckets=buckets, audit_channel=AUDIT,
        pins=Pins(OPS, [*alerts, OPS], rhythm=partial(Rhythm, first_after_s=0)), metrics=Metrics(), doubt=DOUBT,
    )  # fmt: skip
    engine.on_change(board.wake)
    outside.on_change(board.outside_changed)
    try:
        await client.login(part.token)
        client.logged_in.set()
        await board.start()
        yield Shelf(part, database, engine, outside, deck, cards, board)
    finally:
        await board.close()
        await client.close()
        await database.close()


async def test_a_post_whose_answer_was_lost_stands_once_by_its_nonce(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d") as part, shelf(tmp_path, part) as here:
        await here.settled(OPS_KEY)
        part.faults.add(part="discord", kind="lost_reply", match=POST, times=1)
        operation = await here.ask()
        await here.settled(operation.card_key)
        assert len(here.shown("DEPLOY")) == 1


async def test_after_a_long_outage_the_channel_is_searched_before_a_lost_post_is_repeated(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d", limits=FORGETFUL) as part, shelf(tmp_path, part) as here:
        await here.settled(OPS_KEY)
        part.faults.add(part="discord", kind="lost_reply", match=POST, times=1)
        operation = await here.ask()
        while not here.shown("DEPLOY"):
            await asyncio.sleep(0.01)
        before = here.posts()
        part.faults.add(part="discord", kind="refuse", for_s=DOUBT.total_seconds() + 0.5)
        await here.settled(operation.card_key)
        assert len(here.shown("DEPLOY")) == 1
        assert here.posts() == before


async def test_a_card_whose_row_has_lost_its_message_is_found_again(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d", limits=FORGETFUL) as part:
        async with shelf(tmp_path, part) as here:
            operation = await here.ask()
            row = await here.settled(operation.card_key)
        await asyncio.sleep(DOUBT.total_seconds())
        async with shelf(tmp_path, part) as here:  # as after a restored copy from before the post was noted
            await here.cards.save(operation.card_key, message_id=None, nonce="", shown=0, state={})
            again = await here.settled(operation.card_key)
            assert again.message_id == row.message_id
            assert len(here.shown("DEPLOY")) == 1


async def test_the_pinned_board_is_posted_and_pinned_once_also_by_a_bot_with_a_new_database(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d", limits=FORGETFUL) as part:
        async with shelf(tmp_path / "first", part) as here:
            row = await here.settled(OPS_KEY)
        async with shelf(tmp_path / "second", part) as here:
            again = await here.settled(OPS_KEY)
            assert again.message_id == row.message_id
            (message,) = here.shown("On deck")
            assert message["pinned"]
        put = [r for r in part.ledger.requests("discord", 0) if r["method"] == "PUT" and "/pins/" in r["path"]]
        pins = [r for r in put if str(OPS) in r["path"]]
        assert [r["status"] for r in pins] == [204, 204]  # the second one changes nothing and says nothing
        notices = [m for m in part.messages(channel="ops")["messages"] if m["raw"]["type"] == 6]
        assert len(notices) == 1


async def test_each_channel_of_alerts_has_a_pinned_board_of_its_own(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d") as part, shelf(tmp_path, part) as here:
        rows = [await here.settled(OPS_KEY), await here.settled(alerts_key(ALERTS))]
        assert [row.channel_id for row in rows] == [OPS, ALERTS]
        for channel in ("ops", "alerts"):
            pinned = [message for message in part.messages(channel=channel)["messages"] if message["pinned"]]
            assert [message["text"] for message in pinned] == ["**On deck** all quiet"]


async def test_a_board_of_a_channel_that_gets_none_any_more_is_taken_down_at_the_next_start(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d") as part:
        async with shelf(tmp_path, part) as here:
            await here.settled(alerts_key(ALERTS))
        async with shelf(tmp_path, part, alerts=()) as here:
            async with asyncio.timeout(20):
                while await here.cards.get(alerts_key(ALERTS)) is not None:
                    await asyncio.sleep(0.02)
            (deck,) = here.shown("On deck")
            assert deck["pinned"]
        assert [m for m in part.messages(channel="alerts")["messages"] if m["raw"]["type"] == 0] == []


async def test_a_board_that_may_not_be_pinned_stands_once_and_is_pinned_when_it_may(tmp_path: Path) -> None:
    may = ["VIEW_CHANNEL", "SEND_MESSAGES", "READ_MESSAGE_HISTORY"]
    async with discord_part(tmp_path / "d", limits=FORGETFUL) as part:
        rights = {"allow": may, "deny": ["PIN_MESSAGES"]}
        part.change_guild({"channels": {"ops": {"overwrites": {cast.BOT_NAME: rights}}}})
        async with shelf(tmp_path / "first", part) as here:
            await here.settled(OPS_KEY)
            assert [message["pinned"] for message in here.shown("On deck")] == [False]
        async with shelf(tmp_path / "second", part) as here:  # a new database, and no pin to find it by
            await here.settled(OPS_KEY)
            assert len(here.shown("On deck")) == 1
            rights = {"allow": [*may, "PIN_MESSAGES"], "deny": []}
            part.change_guild({"channels": {"ops": {"overwrites": {cast.BOT_NAME: rights}}}})
            here.deck.words = "needs a human: #7"
            await here.cards.save(OPS_KEY, not_before=None)
            await here.cards.want(OPS_KEY, OPS, Priority.BACKGROUND)
            async with asyncio.timeout(20):
                while not here.shown("#7") or not here.shown("#7")[0]["pinned"]:
                    await asyncio.sleep(0.02)


async def test_a_pinned_board_that_was_deleted_is_posted_and_pinned_anew(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d") as part, shelf(tmp_path, part) as here:
        row = await here.settled(OPS_KEY)
        assert row.message_id is not None
        part._messages.delete(part._messages.find(OPS, row.message_id))
        here.deck.words = "needs a human: #7"
        await here.cards.save(OPS_KEY, not_before=None)
        await here.cards.want(OPS_KEY, OPS, Priority.BACKGROUND)
        async with asyncio.timeout(20):
            while not any(message["pinned"] for message in here.shown("On deck")):
                await asyncio.sleep(0.02)
        again = await here.settled(OPS_KEY)
        assert again.message_id != row.message_id
        (message,) = here.shown("On deck")
        assert "#7" in message["text"]


async def test_a_message_too_old_to_be_edited_gets_a_successor_and_holds_back_no_young_one(tmp_path: Path) -> None:
    limits = Limits(
        posts=Rate(1000, 1.0), edits=Rate(1000, 1.0), overall=Rate(10_000, 1.0), old_edits=Rate(1, 600.0),
        old_after_s=1.0,
    )  # fmt: skip
    old_after = timedelta(seconds=1.0)
    async with discord_part(tmp_path / "d", limits=limits) as part, shelf(tmp_path, part, old_after=old_after) as here:
        first, second = await here.ask(), await here.ask()
        before = await here.settled(first.card_key)
        await here.settled(second.card_key)
        await asyncio.sleep(1.2)
        await here.engine.cancel(second.id, DEV)  # takes the one edit that the channel has for old messages
        await here.settled(second.card_key)
        await here.engine.cancel(first.id, DEV)
        async with asyncio.timeout(10):
            while (await here.settled(first.card_key)).message_id == before.message_id:
                await asyncio.sleep(0.05)
        (message,) = here.shown(f"{first.short_id}")
        assert "cancelled" in message["text"]
        third = await here.ask()
        young = await here.settled(third.card_key)
        await here.engine.cancel(third.id, DEV)
        assert (await here.settled(third.card_key)).message_id == young.message_id


async def test_cards_of_what_goes_on_say_which_part_is_down_and_that_it_is_back(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d") as part, shelf(tmp_path, part) as here:
        operation = await here.ask()
        await here.settled(operation.card_key)
        here.outside.heard(GITHUB)
        for _ in range(2):
            here.outside.silent(GITHUB, "GitHub cannot be reached: no connection.")
        async with asyncio.timeout(10):
            while "GitHub DOWN" not in here.shown("DEPLOY")[0]["text"]:
                await asyncio.sleep(0.02)
        assert "a rollback works" in here.shown("DEPLOY")[0]["text"]
        here.outside.heard(GITHUB)
        async with asyncio.timeout(10):
            while "GitHub DOWN" in here.shown("DEPLOY")[0]["text"]:
                await asyncio.sleep(0.02)


def test_the_pinned_boards_marker_finds_it_and_no_card() -> None:
    assert MARKER.search("**On deck** · all quiet")
    assert not MARKER.search("**DEPLOY running** · #1 On deck")

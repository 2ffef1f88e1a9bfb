"""The board and alerts against a real Discord API: storms, outages, crashes, pings, pictures. Each alert shown once."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bot.alert_settings import AlertSettings
from bot.alerts.intake import Intake
from bot.alerts.model import AlertGroup
from bot.alerts.payload import parse
from bot.alerts.store import AlertStore, GroupFilter
from bot.db.database import Database
from bot.errors import Unavailable
from bot.logs import Redactor
from bot.metrics import Metrics
from bot.ops.engine import Engine
from bot.ops.handler import Registry
from bot.ops.store import Store
from bot.people import People
from bot.policy import seeded_rows
from bot.sandbox import cast
from bot.sandbox.discord.limits import Limits
from bot.sandbox.discord.part import DiscordPart
from bot.services.changes import Changes
from bot.services.outside import Outside
from bot.ui.alert_renderings import AlertRenderings
from bot.ui.board import Board
from bot.ui.board_store import BoardStore
from bot.ui.buckets import Buckets
from bot.ui.packing import Packs
from bot.ui.pins import Pins
from bot.ui.renderings import Renderings
from bot.ui.storms import Storms
from tests.payloads import alert, payload
from tests.unit.test_card_pings import SETTINGS
from tests.wire.discord_world import QUICK, discord_part
from tests.wire.test_board import RestClient

CHANNEL = "alerts"
ALERTS = AlertSettings.model_validate(
    {
        "channel": CHANNEL,
        "role": "sre",
        "routes": [
            {
                "name": "critical", "matchers": ['severity="critical"'], "channel": CHANNEL, "role": "sre",
                "escalation": [{"after_s": 300, "role": "owner"}],
            }
        ],
    }
)  # fmt: skip
POSTS = rf"POST .*/channels/{cast.CHANNELS[CHANNEL]}/messages$"
UNHURRIED = {name: {"requests": 10_000, "per_s": 1.0} for name in ("posts", "edits", "overall")}
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645"
    "400000000049454e44ae426082"
)
Draw = Callable[[AlertGroup], Awaitable[bytes]]
Json = dict[str, Any]


@dataclass
class Watchtower:
    """A board for alerts with everything around it, over a database that outlives it."""

    part: DiscordPart
    alerts: AlertStore
    intake: Intake
    cards: BoardStore
    board: Board

    async def hook(
        self, name: str, *instances: str, status: str = "firing", starts_at: datetime | None = None, **labels: str
    ) -> None:
        """Alertmanager's webhook of one group, taken and applied as the bot does it."""
        ends_at, since = (datetime.now(UTC) if status == "resolved" else None), starts_at or BEGUN
        told = [alert(name, one, status=status, ends_at=ends_at, starts_at=since, **labels) for one in instances]
        body = payload(told)
        await self.alerts.take(body, parse(body), source="test", received_at=datetime.now(UTC))
        self.intake.wake()

    def messages(self) -> list[Json]:
        found = self.part.messages(channel=CHANNEL)["messages"]
        return [message for message in found if message["raw"]["type"] in (0, 19)]

    def packs(self) -> list[Json]:
        return [message for message in self.messages() if message["text"].startswith("**STORM** P")]

    def named(self) -> Counter[str]:
        """In how many messages each alert stands."""
        found: Counter[str] = Counter()
        for message in self.messages():
            found.update(set(re.findall(r"storm-\d{5}", message["text"])))
        return found

    def answers(self) -> Counter[tuple[str, int]]:
        asked = self.part.ledger.requests("discord", 0)
        return Counter((one["method"], one["status"]) for one in asked if "/messages" in one["path"])

    async def quiet(self) -> None:
        """Wait until every card shows the newest rows."""
        async with asyncio.timeout(40):
            while (await self.alerts.backlog())[0] or await self.cards.dirty_keys():
                await asyncio.sleep(0.05)

    async def group(self, name: str) -> AlertGroup:
        found = await self.alerts.groups(GroupFilter(state="all", limit=500))
        return next(one for one in found if one.title == name)


MESSAGES = 20
"""For a hundred groups. Ten or fewer on a machine at rest; the slower they come in, the more there are."""
BEGUN = datetime(2026, 11, 23, 3, 44, 50, tzinfo=UTC)


@asynccontextmanager
async def watchtower(
    path: Path, part: DiscordPart, *, calm: timedelta = timedelta(minutes=3), draw: Draw | None = None
) -> AsyncIterator[Watchtower]:
    database = await Database.open(path / "state" / "quarterdeck.sqlite3")
    store = Store(database, channels={})
    settings = SETTINGS.model_copy(update={"alerts": ALERTS})
    people = People(accounts=[("sre", 12)], roles=cast.ROLES)
    buckets, cards, packs = Buckets(), BoardStore(database), Packs(database, calm=calm)
    alerts = AlertStore(database, settings=ALERTS, channels=cast.CHANNELS, record=store.record)
    drawn = AlertRenderings(
        alerts=alerts, store=cards, packs=packs, settings=settings, people=people,
        changes=Changes(database, services=("app",)), draw=draw,
    )  # fmt: skip
    renderings = Renderings(
        settings=settings, engine=Engine(store=store, registry=Registry({}), policy=seeded_rows()), store=cards,
        people=people, redactor=Redactor([]), outside=Outside(["dev"]), alerts=drawn,
    )  # fmt: skip
    client = RestClient(buckets)
    board = Board(
        store=cards, renderings=renderings, channels=client, buckets=buckets, audit_channel=cast.CHANNELS["audit"],
        pins=Pins(cast.CHANNELS["ops"], []), metrics=Metrics(), doubt=timedelta(seconds=1.5),
        storms=Storms(packs, drawn),
    )  # fmt: skip
    intake = Intake(alerts, on_change=board.changed)
    try:
        await client.login(part.token)
        client.logged_in.set()
        await intake.start()
        await board.start()
        yield Watchtower(part, alerts, intake, cards, board)
    finally:
        await intake.close()
        await board.close()
        await drawn.close()
        await client.close()
        await database.close()


async def storm(here: Watchtower, *, groups: int = 100, status: str = "firing", only: int = 1) -> None:
    """A webhook for each of that many groups of ten alerts, all at once."""
    names = {number: [f"storm-{number * 10 + place:05d}" for place in range(10)] for number in range(0, groups, only)}
    await asyncio.gather(
        *(here.hook(f"StormAlert{number:03d}", *instances, status=status) for number, instances in names.items())
    )


async def test_a_storm_of_a_hundred_groups_is_shown_in_a_few_messages_and_unfolds_when_it_calms(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d", limits=Limits()) as part:
        async with watchtower(tmp_path, part) as here:
            await storm(here)
            async with asyncio.timeout(30):
                while len(here.named()) < 1000:
                    await asyncio.sleep(0.02)
            await here.quiet()
            assert set(here.named().values()) == {1}
            assert sum(bool(message["pings"]["roles"]) for message in here.packs()) <= 1, "a storm pushes once"
            await storm(here, only=2, status="resolved")
            await here.quiet()
            before, text = len(here.messages()), "\n".join(message["text"] for message in here.packs())
            assert before <= MESSAGES
            assert len(re.findall(r"^\*\*[A-Z]+\*\* A\d+ ", text, re.MULTILINE)) >= 80
            assert here.answers()["POST", 429] + here.answers()["PATCH", 429] == 0
        part.change_limits(UNHURRIED)
        async with watchtower(tmp_path, part, calm=timedelta(seconds=0.1)) as here:
            going_on = re.findall(r"^\*\*WARNING\*\* (A\d+) ", text, re.MULTILINE)
            async with asyncio.timeout(30):
                while len(here.messages()) < before + len(going_on):
                    await asyncio.sleep(0.1)
            await here.quiet()
            own = here.messages()[before:]
            assert sorted(message["text"].split(" ")[1] for message in own) == sorted(going_on)
            assert not any(message["pings"]["roles"] for message in own)
            text = "\n".join(message["text"] for message in here.packs())
            gone = re.findall(r"^(A\d+) StormAlert\d+ - prod: has a \[card\]", text, re.MULTILINE)
            assert sorted(gone) == sorted(going_on)
            assert set(here.named().values()) == {1}


async def test_after_an_outage_everything_is_shown_at_once_as_it_stands_by_then(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d", limits=Limits()) as part, watchtower(tmp_path, part) as here:
        part.faults.add(part="discord", kind="refuse", for_s=4.0)
        await storm(here)
        await asyncio.sleep(1.5)
        await storm(here, only=2, status="resolved")
        async with asyncio.timeout(30):
            while len(here.named()) < 1000:
                await asyncio.sleep(0.02)
        await here.quiet()
        assert len(here.messages()) <= MESSAGES
        assert set(here.named().values()) == {1}
        text = "\n".join(message["text"] for message in here.messages())
        assert len(re.findall(r"RESOLVED\W+A\d+ (?:0/10 firing|\[0 firing / 10\])", text)) == 50
        assert here.answers()["POST", 429] == 0


async def test_a_crash_in_the_middle_of_a_storm_neither_loses_nor_doubles_a_group(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d", limits=QUICK) as part:
        async with watchtower(tmp_path, part) as here:
            part.faults.add(part="discord", kind="lost_reply", match=POSTS, times=2)
            await storm(here, groups=40)
            while not here.messages():
                await asyncio.sleep(0.01)
            part.faults.add(part="discord", kind="refuse", match=POSTS, for_s=2.5)
        async with watchtower(tmp_path, part) as here:
            await here.quiet()
            assert len(here.named()) == 400
            assert set(here.named().values()) == {1}


async def test_one_group_is_a_line_that_pings_and_then_a_card_that_never_does(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d") as part, watchtower(tmp_path, part) as here:
        await here.hook("HighCPUUsage", "i-0a1", "i-0b7", severity="critical")
        await here.quiet()
        [message] = here.messages()
        assert message["text"].startswith("**CRITICAL** A1 [2 firing / 2] HighCPUUsage - prod")
        posted = next(
            one for one in part.ledger.requests("discord", 0) if re.search(POSTS, f"{one['method']} {one['path']}")
        )
        assert posted["status"] == 200
        assert message["pings"]["roles"] == ["sre"]
        await here.hook("HighCPUUsage", "i-0a1", status="resolved", severity="critical")
        await here.quiet()
        assert "[1 firing / 2]" in here.messages()[0]["text"]
        group = await here.group("HighCPUUsage")
        ping = await here.alerts.escalated(
            group.id, 0, roles=("owner",), people=("sre",), at=datetime.now(UTC), detail=""
        )
        assert ping is not None
        await here.quiet()
        card, line = here.messages()
        assert line["text"].startswith(f"CRITICAL A1.{ping.id} [1 firing / 2] HighCPUUsage - prod: nobody has taken it")
        assert line["pings"]["roles"] == ["owner"]
        assert line["raw"]["message_reference"]["message_id"] == card["id"]
        await here.hook("HighCPUUsage", "i-0b7", status="resolved", severity="critical")
        await here.quiet()
        assert len(here.messages()) == 2
        assert here.messages()[0]["text"].startswith("**RESOLVED** A1 [0 firing / 2]")


async def test_an_alert_that_begins_with_a_blip_calls_once_whether_its_card_stands_by_then_or_not(
    tmp_path: Path,
) -> None:
    async with discord_part(tmp_path / "d") as part, watchtower(tmp_path, part) as here:
        part.faults.add(part="discord", kind="refuse", for_s=2.0)
        for name in ("Before", "After"):
            await here.hook(name, "i-0a1", severity="critical")
            await here.hook(name, "i-0a1", status="resolved", severity="critical")
        anew = BEGUN + timedelta(minutes=5)
        await here.hook("Before", "i-0a1", severity="critical", starts_at=anew)
        await here.quiet()
        posted = sorted((one["text"].split()[0], one["pings"]["roles"]) for one in here.messages())
        assert posted == [("**CRITICAL**", ["sre"]), ("**RESOLVED**", [])]
        await here.hook("After", "i-0a1", severity="critical", starts_at=anew)
        await here.quiet()
        *_, line = here.messages()
        assert len(here.messages()) == 3 and line["pings"]["roles"] == ["sre"]
        assert line["text"].startswith("CRITICAL A2.") and "fires since" in line["text"]


async def test_a_critical_card_gets_its_graph_after_it_is_posted_and_a_new_one_when_it_is_over(tmp_path: Path) -> None:
    asked: list[bool] = []

    async def draw(group: AlertGroup) -> bytes:
        asked.append(group.firing > 0)
        if len(asked) == 1:
            raise Unavailable("prometheus", "Prometheus does not answer.")
        return PNG

    async with discord_part(tmp_path / "d") as part, watchtower(tmp_path, part, draw=draw) as here:
        await here.hook("HighCPUUsage", "i-0a1", severity="critical")
        async with asyncio.timeout(10):
            while "no graph: Prometheus does not answer." not in "".join(m["text"] for m in here.messages()):
                await asyncio.sleep(0.02)
        await here.hook("HighMemoryUsage", "i-0a1", severity="critical")
        await here.hook("LowDiskSpace", "i-0a1", severity="warning")
        async with asyncio.timeout(10):
            while not any(message["attachments"] for message in here.messages()):
                await asyncio.sleep(0.02)
        await here.quiet()
        [pictured] = [message for message in here.messages() if message["attachments"]]
        assert "HighMemoryUsage" in pictured["text"]
        await here.hook("HighMemoryUsage", "i-0b2", severity="critical")
        await here.quiet()
        assert len(asked) == 2, "what has not changed is not drawn again"
        await here.hook("HighMemoryUsage", "i-0a1", "i-0b2", status="resolved", severity="critical")
        async with asyncio.timeout(10):
            while len(asked) < 3:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        await here.quiet()
        assert asked[-1] is False
        message = next(m for m in here.messages() if "HighMemoryUsage" in m["text"])
        assert len(message["attachments"]) == 1
        assert message["attachments"][0]["filename"] != pictured["attachments"][0]["filename"]


async def test_a_message_that_somebody_deleted_is_posted_anew_and_pings_nobody(tmp_path: Path) -> None:
    async with discord_part(tmp_path / "d") as part, watchtower(tmp_path, part) as here:
        await here.hook("HighCPUUsage", "i-0a1")
        await here.quiet()
        [message] = here.messages()
        client = here.board._channels.get_partial_messageable(cast.CHANNELS[CHANNEL])
        await client.get_partial_message(int(message["id"])).delete()
        await here.hook("HighCPUUsage", "i-0b2")
        await here.quiet()
        [again] = here.messages()
        assert again["id"] != message["id"]
        assert "i-0b2" in again["text"]
        assert again["pings"]["roles"] == []


async def test_many_groups_that_nobody_takes_call_together_and_newcomers_after_an_ack_are_called_for(
    tmp_path: Path,
) -> None:
    async with discord_part(tmp_path / "d") as part, watchtower(tmp_path, part) as here:
        await asyncio.gather(*(here.hook(f"Alert{number}", "i-0a1", severity="critical") for number in range(12)))
        await here.quiet()
        before, groups = len(here.messages()), await here.alerts.groups(GroupFilter(state="open", limit=50))
        taken = groups[0]
        await here.alerts.ack(taken.id, "ann")
        await here.hook(taken.title, "i-0a1", "i-0b2", severity="critical")
        await here.quiet()
        for group in groups:
            await here.alerts.escalated(group.id, 0, roles=("owner",), at=datetime.now(UTC))
        await here.quiet()
        calls = [one for one in here.messages()[before:] if one["pings"]["roles"] == ["owner"]]
        assert 1 <= len(calls) <= 4
        said = "\n".join(one["text"] for one in calls)
        assert all(re.search(rf"\bA{group.id}\b", said) for group in groups), "also the one that somebody had taken"

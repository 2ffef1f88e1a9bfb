"""A handover: what the giver leaves, as far as the giver may see it, and the one who takes it is on call."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from discord.ui import TextDisplay

from bot.alert_settings import AlertSettings, OncallSettings
from bot.alerts.model import Matcher, Silence, SilenceKind
from bot.alerts.payload import parse
from bot.alerts.store import AlertStore
from bot.errors import Refused
from bot.ops.lookout import Lookout, View
from bot.ops.model import Status
from bot.ops.store import Lock
from bot.policy import Action, PolicyRow, seeded_rows
from bot.services.handover import TAKEN, Handed, Handover, Shift
from bot.ui.handover_card import footer, handover_card, heading, headline, marker, sections_of
from bot.ui.text import DISPLAY_LIMIT
from tests.hostile import TEXTS, effects, lines_with
from tests.payloads import alert, payload
from tests.unit.engine_room import DEV, SRE, SRE2, Room, open_room
from tests.unit.test_alert_pages import group

ROWS = (*seeded_rows(), PolicyRow(Action.ALERT_VIEW, "dev", requesters=("sre",)))
HOUR = timedelta(hours=1)


@dataclass
class Desk:
    room: Room
    alerts: AlertStore
    handover: Handover

    async def offered(self, **changes: object) -> Handed:
        now = self.room.clock()
        values: dict[str, object] = {"giver": "sre", "receiver": "sre2", "note": "Mind the disks.", "at": now}
        return await self.handover.offer(Handed(**{**values, "until": now + 8 * HOUR, **changes}))  # type: ignore[arg-type]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_room(tmp_path, rows=ROWS) as room:
        rota = OncallSettings(rota=("sre",), starts_at=room.clock() - timedelta(days=1))
        alerts = AlertStore(
            room.database, settings=AlertSettings(oncall=rota), channels={"alerts": 7, "ops": 42},
            record=room.store.record, now=room.clock,
        )  # fmt: skip
        lookout = Lookout(room.store, ROWS)
        yield Desk(room, alerts, Handover(alerts=alerts, store=room.store, lookout=lookout, channel_id=42))


async def fires(desk: Desk, name: str, environment: str, *instances: str) -> int:
    """A group of that alert; its number."""
    begun = desk.room.clock() - HOUR
    body = payload([alert(name, one, environment=environment, starts_at=begun) for one in instances or ("i-1",)])
    await desk.alerts.take(body, parse(body), source="test", received_at=desk.room.clock())
    while await desk.alerts.apply_next():
        pass
    return max(group.id for group in await desk.alerts.groups())


async def test_the_shift_holds_all_that_the_next_person_must_know(desk: Desk) -> None:
    await desk.room.start()
    disk = await fires(desk, "LowDiskSpace", "prod")
    await fires(desk, "HighCPUUsage", "dev")
    await desk.alerts.ack(disk, "sre")
    now = desk.room.clock()
    for am_id, ends_at in (("soon", now + HOUR), ("late", now + timedelta(days=3))):
        await desk.alerts.noted(
            Silence(am_id, "dev", SilenceKind.SILENCE, (Matcher("alertname", am_id),), now, ends_at)
        )
    running = await desk.room.ask(DEV, "dev")
    await desk.room.becomes(running, Status.RUNNING)
    of_dev = (Matcher("environment", "dev"),)
    await desk.alerts.noted(Silence("dev's", "sre", SilenceKind.SILENCE, of_dev, now, now + HOUR))
    shift = await desk.handover.shift(SRE)
    assert {group.title for group in shift.firing.found} == {"LowDiskSpace", "HighCPUUsage"}
    assert [group.id for group in shift.acked] == [disk]
    assert {silence.am_id for silence in shift.silences} == {"soon", "dev's"}
    assert [operation.id for operation in shift.operations.found] == [running.id]
    assert [lock.resource for lock in shift.locks] == ["dev/app"]
    sections = dict(sections_of(shift, {disk: "[card](url)"}))
    assert any("sre has it" in line and "[card](url)" in line for line in sections["firing"])
    assert all(sections.values())
    hidden = await desk.handover.shift(DEV)
    assert "dev's" not in {silence.am_id for silence in hidden.silences}
    assert ([group.title for group in hidden.firing.found], hidden.firing.hidden) == (["LowDiskSpace"], 1)
    assert "1 more group that may not be shown" in dict(sections_of(hidden, {}))["firing"]


async def test_what_joined_after_an_ack_is_handed_over_as_nobodys(desk: Desk) -> None:
    await desk.room.start()
    disk = await fires(desk, "LowDiskSpace", "prod")
    await desk.alerts.ack(disk, "sre")
    assert await fires(desk, "LowDiskSpace", "prod", "i-1", "i-2") == disk
    shift = await desk.handover.shift(SRE)
    assert shift.acked == ()
    (line,) = dict(sections_of(shift, {}))["firing"]
    assert "nobody has it" in line


async def test_whoever_takes_it_is_on_call_until_then_and_once(desk: Desk) -> None:
    handed = await desk.offered()
    turn = await desk.alerts.on_call()
    assert turn is not None and turn.person == "sre"
    for other in (SRE, DEV):
        with pytest.raises(Refused, match="handed to sre2"):
            await desk.handover.take(handed.id, other)
    taken = await desk.handover.take(handed.id, SRE2)
    assert taken.taken_at == desk.room.clock()
    desk.room.clock.advance(hours=1)
    assert (await desk.handover.take(handed.id, SRE2)).taken_at == taken.taken_at
    turn = await desk.alerts.on_call()
    assert turn is not None and (turn.person, turn.ends_at) == ("sre2", handed.until)
    assert len(await desk.alerts.overrides()) == 1
    recorded = [event for event in await desk.room.engine.events() if event.name == TAKEN]
    assert [(event.actor, event.data["handover"]) for event in recorded] == [("sre2", handed.id)]


async def test_a_handover_whose_time_is_over_changes_nothing(desk: Desk) -> None:
    handed = await desk.offered()
    desk.room.clock.advance(hours=9)
    with pytest.raises(Refused, match="is over"):
        await desk.handover.take(handed.id, SRE2)
    assert await desk.alerts.overrides() == ()
    with pytest.raises(Refused, match="not known"):
        await desk.handover.take(handed.id + 1, SRE2)


async def test_the_card_says_who_has_it_and_is_found_again_by_its_words(desk: Desk) -> None:
    handed = await desk.offered(giver="a_b", note="*bold* @everyone", sections=(("firing", ()), ("locks", ("x",))))
    known = await desk.handover.known(handed.id)
    assert known == handed
    text = str(handover_card(known, "h").to_components())  # type: ignore[no-untyped-call]
    assert "Take over" in text and "**firing**: none" in text and "@everyone" not in text
    assert marker(known).search(heading(known))
    assert "nobody has taken it over yet" in footer(known)
    taken = await desk.handover.take(handed.id, SRE2)
    assert marker(taken).search(heading(taken))
    assert "Take over" not in str(handover_card(taken, "h").to_components())  # type: ignore[no-untyped-call]
    assert "sre2 is on call since" in footer(taken)


async def test_no_text_from_outside_takes_effect_on_the_card(desk: Desk) -> None:
    found: list[str] = []
    ours = (r"^\*\*HANDOVER\*\* H1 ", r"^\*\*[a-z ]+\*\*")
    now = desk.room.clock()
    for hostile in TEXTS:
        said = hostile.text
        bad = Silence(said, said, SilenceKind.SILENCE, (Matcher("alertname", said),), now, now + HOUR, said)
        shift = Shift(
            at=now, firing=View((group(title=said, environment=said, acked_by=said),)), acked=(group(title=said),),
            silences=(bad,), operations=View(()), locks=(Lock(said, 184, now),),
        )  # fmt: skip
        handed = Handed(
            giver=said, receiver=said, note=said, at=now, until=now + HOUR, sections=sections_of(shift, {}), id=1
        )
        texts = [item.content for item in handover_card(handed, "h").walk_children() if isinstance(item, TextDisplay)]
        assert sum(map(len, texts)) <= DISPLAY_LIMIT
        for text in (*texts, headline(handed)):
            for line in lines_with(text, hostile):
                found += [f"{hostile.name}: {effect}" for effect in effects(line, hosts=(), ours=ours)]
        assert any(hostile.marker in text for text in texts), hostile.name
    assert found == []

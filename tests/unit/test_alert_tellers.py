"""One bot, several Alertmanagers: the one that is asked says nothing of what another one told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from bot.alerts.model import ALERTMANAGER, AlertGroup, Elsewhere, Matcher, Observed, Snapshot
from bot.alerts.payload import parse
from bot.alerts.store import AlertStore
from bot.alerts.tellers import teller
from bot.clients.alertmanager import AlertmanagerClient
from bot.clients.http import HttpClient
from bot.db.database import Database
from bot.db.tables import alert_tellers
from bot.errors import Refused, Unavailable
from bot.policy import Actor, seeded_rows
from bot.services.silences import SilenceService, Wanted
from bot.ui.alert_lines import GroupSight, state_lines
from tests.unit.alert_room import episode, group
from tests.unit.inbox_room import (
    BEGUN,
    CHANNELS,
    DEAF,
    MEMBERS,
    SENDER,
    SETTINGS,
    InboxRoom,
    alert,
    body,
    inbox_room,
    later,
    seen,
)

THEIRS = "http://am.prod.example.org:9093"
OURS = MEMBERS[0]


def watchdog(environment: str = "dev", **said: Any) -> dict[str, object]:
    return alert("am", name="Watchdog", environment=environment, severity="none", **said)


@asynccontextmanager
async def strangers(home: Path) -> AsyncIterator[InboxRoom]:
    """A room in which nothing is known of whose webhooks come."""
    async with inbox_room(home) as room:
        await room.database.write(lambda db: db.execute(delete(alert_tellers)).close())
        yield room


async def of(room: InboxRoom, environment: str) -> AlertGroup:
    """The one group of that environment."""
    (group,) = [one for one in await room.groups() if one.environment == environment]
    return group


async def asked(room: InboxRoom) -> set[str]:
    return set(await room.store.asked_tellers()) - {""}


# ---- what another one told -----------------------------------------------------------------------------------------


async def test_what_another_alertmanager_told_does_not_end_because_the_asked_one_does_not_hold_it(
    tmp_path: Path,
) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(severity="critical"), external_url=THEIRS)
        ours = alert("dev-1", environment="dev")
        await room.hook(ours, key="dev")
        for _ in range(4):
            assert (await room.look(seen(ours))).resolved == 0
        group = await of(room, "prod")
        assert group.open and group.firing == 1 and group.unacked_since is not None
        room.clock.advance(minutes=6)
        assert [due.group.id for due in await room.store.due_escalations(room.clock())] == [group.id]
        await room.look_twice()
        assert not (await of(room, "dev")).open, "what the asked one told still ends by its word"
        assert (await of(room, "prod")).open


async def test_two_stacks_made_alike_have_the_same_url_and_are_told_apart_by_where_they_send_from(
    tmp_path: Path,
) -> None:
    async with inbox_room(tmp_path) as room:
        told = body(alert())
        await room.store.take(told, parse(told), source="10.0.2.7", received_at=room.clock())
        while await room.store.apply_next():
            pass
        await room.look_twice()
        group = await room.only()
        assert group.open
        assert group.elsewhere is not None and group.elsewhere.teller == f"{OURS} from 10.0.2.7"


async def test_it_lives_by_its_own_webhooks_which_end_it_for_good_and_let_it_fire_again(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), external_url=THEIRS)
        await room.look_twice()
        await room.hook(alert(ends_at=later(minutes=1)), external_url=THEIRS)
        group = await room.only()
        assert (group.open, group.unconfirmed) == (False, 0), "no better word will come"
        assert group.elsewhere is None
        assert await room.look() == Observed()
        room.clock.advance(minutes=10)
        await room.hook(alert(), alert("i-0b7"), external_url=THEIRS)
        assert (await room.only()).firing == 2


async def test_the_asked_one_neither_silences_nor_opens_again_an_alert_with_the_same_labels_of_another_time(
    tmp_path: Path,
) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(starts_at=later(minutes=10)), external_url=THEIRS)
        await room.look(seen(alert(starts_at=BEGUN), silenced_by=["s-1"]))
        await room.look(seen(alert(starts_at=later(hours=1)), silenced_by=["s-1"]))
        group = await room.only()
        assert (group.suppressed, len(group.episodes), group.open) == (0, 1, True)
        await room.hook(alert(starts_at=later(minutes=10), ends_at=later(minutes=20)), external_url=THEIRS)
        assert (await room.look(seen(alert(starts_at=BEGUN)))).reopened == 0
        assert not (await room.only()).open


async def test_the_group_says_so_after_the_first_look_that_misses_it_and_its_card_is_drawn_anew(
    tmp_path: Path,
) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7"), external_url=THEIRS)
        group = await room.only()
        assert group.elsewhere is not None and not group.elsewhere.certain
        wanted = await room.wanted("alert:1")
        await room.look(settled=False)
        group = await room.only()
        assert group.elsewhere is not None and not group.elsewhere.certain
        await room.look()
        found = (await room.only()).elsewhere
        assert found is not None and (found.certain, found.many) == (True, 2)
        assert found.teller == teller(THEIRS, SENDER)
        assert await room.wanted("alert:1") == wanted + 1
        await room.look()
        assert await room.wanted("alert:1") == wanted + 1, "once is enough"


async def test_it_is_not_in_doubt_while_the_asked_one_is_away(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), external_url=THEIRS)
        await room.hook(alert("dev-1", environment="dev"), key="dev")
        await room.look(seen(alert("dev-1", environment="dev")))
        await room.store.lost_sight(room.clock())
        assert (await of(room, "prod")).unconfirmed_since is None
        assert (await of(room, "dev")).unconfirmed_since is not None


async def test_what_nobody_named_an_alertmanager_for_is_judged_as_ever(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), external_url="")
        await room.look_twice()
        assert not (await room.only()).open


async def test_without_an_api_to_ask_nobody_is_another_one(tmp_path: Path) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        await room.hook(alert(), external_url=THEIRS)
        assert (await room.only()).elsewhere is None
        assert await room.store.told_elsewhere() == ()


# ---- learning whose webhooks come ----------------------------------------------------------------------------------


async def test_a_teller_is_the_asked_ones_once_an_alert_that_it_told_of_is_seen_there(tmp_path: Path) -> None:
    async with strangers(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7"))
        assert await asked(room) == set()
        await room.look(seen(alert()))
        assert await asked(room) == {teller(OURS, SENDER)}
        assert (await room.only()).firing == 2, "what is missing counts from the next look on"
        assert (await room.look_twice(seen(alert()))).resolved == 1


async def test_another_start_of_the_same_alert_proves_nothing(tmp_path: Path) -> None:
    async with strangers(tmp_path) as room:
        await room.hook(alert(), external_url=THEIRS)
        await room.look(seen(alert(starts_at=BEGUN + timedelta(seconds=3))))
        await room.look(seen(alert(starts_at=BEGUN + timedelta(minutes=3))))
        assert await asked(room) == set()


async def test_the_watchdog_alone_shows_whose_webhooks_these_are(tmp_path: Path) -> None:
    async with strangers(tmp_path) as room:
        await room.hook(watchdog(), key="watchdog")
        await room.hook(watchdog("prod"), key="watchdog", external_url=THEIRS)
        await room.look(seen(watchdog()))
        assert await asked(room) == {teller(OURS, SENDER)}
        await room.hook(alert("dev-1", environment="dev"), key="dev")
        await room.hook(alert(), external_url=THEIRS)
        await room.look_twice(seen(watchdog()))
        assert not (await of(room, "dev")).open
        assert (await of(room, "prod")).open


async def test_each_member_of_a_cluster_is_learnt_by_itself_and_what_was_missed_before_counts_anew(
    tmp_path: Path,
) -> None:
    async with inbox_room(tmp_path) as room:
        third = "http://am-3.example.org:9093"
        await room.hook(alert(), alert("i-0b7"), external_url=third)
        await room.look()
        group = await room.only()
        assert group.elsewhere is not None and group.elsewhere.certain
        wanted = await room.wanted("alert:1")
        await room.look(seen(alert()))
        group = await room.only()
        assert (group.elsewhere, group.firing) == (None, 2)
        assert await room.wanted("alert:1") == wanted + 1, "the card has nothing to say of it any more"
        assert (await room.look(seen(alert()))).resolved == 0
        assert (await room.look(seen(alert()))).resolved == 1


async def test_when_another_cluster_is_asked_what_the_former_told_is_not_judged_by_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(watchdog(), key="watchdog")
        await room.hook(alert("dev-1", environment="dev"), key="dev")
    other = SETTINGS.model_copy(update={"alertmanagers": ("http://10.0.2.7:9093",)})
    database = await Database.open(tmp_path / "quarterdeck.sqlite3")
    try:
        store = AlertStore(database, settings=other, channels=CHANNELS)
        now = later(hours=1)
        assert await store.asked_tellers() == {""}
        theirs = seen(watchdog("prod"))
        for minutes in range(3):
            await store.observe(Snapshot(ALERTMANAGER, now + timedelta(minutes=minutes), (theirs,)))
        (group,) = await store.groups()
        assert group.open and group.elsewhere is not None and group.elsewhere.certain
        await store.observe(Snapshot(ALERTMANAGER, now + timedelta(hours=1), (seen(watchdog()),)))
        assert await store.asked_tellers() == {"", teller(OURS, SENDER)}
    finally:
        await asyncio.shield(database.close())


# ---- heartbeats ----------------------------------------------------------------------------------------------------


async def test_another_ones_heartbeat_does_not_count_for_the_asked_ones(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(watchdog(), key="watchdog")
        heard_at = room.clock()
        room.clock.advance(minutes=5)
        await room.hook(watchdog("prod"), key="watchdog", external_url=THEIRS)
        assert await room.store.heartbeats() == {
            "Watchdog": heard_at,
            "Watchdog/dev": heard_at,
            "Watchdog/prod": room.clock(),
        }


async def test_while_no_teller_is_known_any_heartbeat_may_be_the_asked_ones(tmp_path: Path) -> None:
    async with strangers(tmp_path) as room:
        await room.hook(watchdog("prod"), key="watchdog", external_url=THEIRS)
        assert (await room.store.heartbeats())["Watchdog"] == room.clock()


# ---- silences ------------------------------------------------------------------------------------------------------


class Unrecorded:
    async def record(self, name: str, actor: str, text: str, data: object = None) -> None:
        raise AssertionError(f"{name}: {text}")


@asynccontextmanager
async def silences(room: InboxRoom) -> AsyncIterator[SilenceService]:
    """Silences in an Alertmanager that does not answer: only what is not refused gets as far as that."""
    http = HttpClient()
    client = AlertmanagerClient(urls=["http://127.0.0.1:9"], http=http, timeout_s=5)
    try:
        yield SilenceService(
            store=room.store, alertmanager=client, rows=seeded_rows(), settings=SETTINGS, recorder=Unrecorded(),
            now=room.clock, look_pause_s=0,
        )  # fmt: skip
    finally:
        await http.close()


def wanted(room: InboxRoom, environment: str, group_id: int | None = None) -> Wanted:
    until = room.clock() + timedelta(hours=1)
    return Wanted(matchers=(Matcher("environment", environment),), ends_at=until, group_id=group_id)


async def test_what_another_one_tells_of_is_not_silenced_in_the_wrong_place(tmp_path: Path) -> None:
    sre = Actor("sre", 1, frozenset({"sre", "owner"}))
    async with inbox_room(tmp_path) as room, silences(room) as service:
        await room.hook(alert(), external_url=THEIRS)
        with pytest.raises(Unavailable, match="NOT silenced"):
            await service.create(wanted(room, "prod"), sre)
        await room.look()
        with pytest.raises(Refused, match=f"another Alertmanager tells of what this meets .{THEIRS}") as refused:
            await service.create(wanted(room, "prod"), sre)
        assert "in that Alertmanager itself" in refused.value.hint and refused.value.rule == "elsewhere"
        with pytest.raises(Refused, match="another Alertmanager"):
            await service.count(wanted(room, "prod").matchers)
        with pytest.raises(Refused, match="another Alertmanager"):
            await service.create(wanted(room, "dev", group_id=1), sre)
        with pytest.raises(Unavailable, match="NOT silenced"):
            await service.create(wanted(room, "dev"), sre)
        await room.hook(alert(ends_at=later(minutes=1)), external_url=THEIRS)
        with pytest.raises(Refused, match="another Alertmanager"):
            await service.create(wanted(room, "prod", group_id=1), sre)


def test_the_card_says_that_the_bot_cannot_ask_who_told_of_it() -> None:
    def lines(many: int, *, certain: bool) -> list[str]:
        found = Elsewhere(f"{THEIRS} from 10.0.2.7", many, certain)
        shown = group(episode(), episode("i-0b7"), elsewhere=found)
        return [line for line in state_lines(GroupSight(shown, {})) if "told by" in line]

    assert lines(2, certain=False) == []
    (whole,) = lines(2, certain=True)
    assert whole.startswith("told by another Alertmanager (") and whole.endswith("), which this bot cannot ask")
    assert lines(1, certain=True)[0].startswith("1 of 2 told by another Alertmanager")

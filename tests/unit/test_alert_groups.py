"""What payloads do to the rows: the group keeps its whole set, says nothing twice, and never goes back in time."""

import json
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from bot.alerts.model import AlertGroup, Reason
from bot.db.cards import Priority
from bot.db.tables import alert_bodies, cards, metadata
from tests.unit.inbox_room import BEGUN, DEAF, KEY, alert, body, inbox_room, later

NAMES = [f"i-{number:02d}" for number in range(12)]
END = later(minutes=5)


def shown(group: AlertGroup) -> tuple[int, int]:
    """`(firing, members)`, counted from the episodes and as the row says, which must be the same."""
    counted = (sum(one.firing for one in group.episodes), len(group.episodes))
    assert counted == (group.firing, group.members)
    return counted


async def test_a_first_payload_opens_one_group_with_what_its_alerts_share(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert("i-0a1"), alert("i-0b7", value="91"))
        group = await room.only()
        assert shown(group) == (2, 2)
        assert (group.title, group.environment, group.service, group.severity) == (
            "HighCPUUsage",
            "prod",
            "app",
            "warning",
        )
        assert (group.channel, group.route) == ("alerts", "warning")
        assert "instance" not in group.common_labels
        assert group.common_annotations == {"summary": "The processor is busy"}
        assert group.open and group.unacked_since == room.clock()
        assert {one.labels["instance"] for one in group.episodes} == {"i-0a1", "i-0b7"}
        assert all(one.starts_at == BEGUN.replace(microsecond=0) for one in group.episodes)


async def test_the_card_is_marked_with_its_group_and_waits_a_moment_for_more(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7", severity="critical"))
        columns = (cards.c.key, cards.c.channel_id, cards.c.priority, cards.c.not_before)
        found = await room.database.read(lambda db: db.execute(select(*columns)).all())
        at = room.clock() + timedelta(seconds=0.5)
        assert [tuple(row) for row in found] == [("alert:1", 72, Priority.CRITICAL, at)]


async def test_twelve_fire_and_resolve_in_two_parts_and_all_twelve_are_remembered(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(*map(alert, NAMES))
        room.clock.advance(minutes=5)
        await room.hook(*(alert(one, ends_at=END) for one in NAMES[:5]), *map(alert, NAMES[5:]))
        assert shown(await room.only()) == (7, 12)
        room.clock.advance(minutes=5)
        # Only what has resolved since the last payload is told of.
        await room.hook(*(alert(one, ends_at=END) for one in NAMES[5:]))
        group = await room.only()
        assert shown(group) == (0, 12)
        assert group.closed_at == room.clock() and group.unacked_since is None
        assert {one.ended_at for one in group.episodes} == {END}


async def test_an_end_is_not_confirmed_until_the_api_says_so_and_counts_at_once_where_there_is_none(
    tmp_path: Path,
) -> None:
    for settings, confirmed in ((None, False), (DEAF, True)):
        home = tmp_path / str(confirmed)
        async with inbox_room(home, settings) if settings else inbox_room(home) as room:
            await room.hook(alert())
            assert (await room.only()).episodes[0].confirmed
            await room.hook(alert(ends_at=END))
            group = await room.only()
            assert (group.episodes[0].confirmed, group.unconfirmed) == (confirmed, int(not confirmed))


async def test_the_same_bytes_again_are_counted_and_change_nothing(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        wanted = await room.wanted("alert:1")
        for _ in range(3):
            room.clock.advance(hours=4)
            await room.hook(alert())
        group = await room.only()
        assert (group.repeats, group.updated_at) == (3, group.opened_at)
        assert await room.wanted("alert:1") == wanted
        assert await room.outcomes() == ["applied", "repeat", "repeat", "repeat"]
        bodies = await room.database.read(lambda db: list(db.execute(select(alert_bodies.c.body)).scalars()))
        assert bodies == [body(alert())]


async def test_another_member_of_the_cluster_tells_the_same_and_changes_nothing(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7"))
        wanted = await room.wanted("alert:1")
        others = (alert("i-0b7", starts_at=BEGUN + timedelta(milliseconds=100)), alert())
        await room.hook(*others, external_url="http://am-2.example.org:9093")
        group = await room.only()
        assert shown(group) == (2, 2)
        assert await room.wanted("alert:1") == wanted
        assert (await room.outcomes())[1] == "same"
        assert await room.reasons(group.id) == ["first firing"]


async def test_a_start_that_the_cluster_moves_a_little_is_the_same_episode(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.hook(alert(starts_at=BEGUN - timedelta(seconds=20)))
        await room.hook(alert(starts_at=BEGUN + timedelta(seconds=2)))
        await room.hook(alert(starts_at=BEGUN - timedelta(seconds=20), ends_at=END))
        group = await room.only()
        assert shown(group) == (0, 1)
        assert len(await room.store.history(group.id)) == 3  # fired, ended, pinged


async def test_a_description_that_changes_redraws_the_card_and_calls_nobody(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.hook(alert(value="97"))
        group = await room.only()
        assert group.episodes[0].annotations["description"] == "97 % on i-0a1"
        assert group.common_annotations["description"] == "97 % on i-0a1"
        assert await room.wanted("alert:1") == 2
        assert await room.reasons(1) == ["first firing"]


async def test_how_many_were_cut_off_stands_on_the_group(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(*map(alert, NAMES[:3]), truncated=9)
        assert (await room.only()).truncated == 9
        await room.hook(*map(alert, NAMES))
        assert (await room.only()).truncated == 0


async def test_an_older_payload_never_lets_fire_again_what_has_resolved(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(*map(alert, NAMES[:2]))
        await room.hook(alert(NAMES[0], ends_at=END), alert(NAMES[1]))
        await room.hook(alert(NAMES[1], ends_at=END))
        before = await room.only()
        for late in (body(*map(alert, NAMES[:2])), body(alert(NAMES[0], ends_at=END), alert(NAMES[1]))):
            await room.raw(late)
        room.clock.advance(hours=2)
        await room.raw(body(*map(alert, NAMES[:2]), external_url="http://am-2.example.org:9093"))
        after = await room.only()
        assert (after.episodes, after.closed_at) == (before.episodes, before.closed_at)
        assert await room.reasons(before.id) == ["first firing"]


async def test_an_end_that_was_told_late_does_not_end_what_fires_since(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(starts_at=later(minutes=10)))
        await room.hook(alert(ends_at=later(minutes=5)))
        group = await room.only()
        assert shown(group) == (1, 1)
        fired = [one for one in await room.store.history(group.id) if one.kind == "fired"]
        assert len(fired) == 2


async def test_without_an_api_what_fires_again_with_its_old_start_is_believed_when_it_cannot_be_late(
    tmp_path: Path,
) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        await room.hook(alert())
        await room.hook(alert(ends_at=later(seconds=30)))
        room.clock.advance(minutes=4)
        await room.hook(alert())
        assert shown(await room.only()) == (0, 1)
        room.clock.advance(minutes=2)
        await room.hook(alert(), alert("i-0b7"))
        assert shown(await room.only()) == (2, 2)


async def test_what_fired_and_ended_before_anybody_told_of_it_is_shown_and_calls_nobody(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(ends_at=BEGUN))
        group = await room.only()
        assert shown(group) == (0, 1) and not group.open
        assert group.episodes[0].ended_at == room.clock()
        assert await room.card_keys() == ["alert:1"] and group.ping is None


async def test_a_later_start_while_the_old_one_seems_to_fire_is_a_new_episode(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        again = later(minutes=3)
        await room.hook(alert(starts_at=again))
        group = await room.only()
        assert shown(group) == (1, 1)
        assert group.episodes[0].starts_at == again.replace(microsecond=0)
        ended = [one.at for one in await room.store.history(group.id) if one.kind == "ended"]
        assert ended == [again.replace(microsecond=0)]


# ---- group keys ----------------------------------------------------------------------------------------------------


async def test_a_renamed_route_keeps_its_group_its_card_and_its_ack(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(*map(alert, NAMES[:3]))
        await room.store.ack(1, "sre")
        renamed = KEY.replace('{alertname=~".+"}', '{team="web"}')
        await room.hook(*map(alert, NAMES[:3]), key=renamed)
        group = await room.only()
        assert (group.group_key, group.acked_by) == (renamed, "sre")
        await room.hook(*(alert(one, ends_at=END) for one in NAMES[:3]), key=renamed)
        assert shown(await room.only()) == (0, 3)
        assert await room.card_keys() == ["alert:1"]
        assert await room.reasons(1) == ["first firing"]


async def test_two_routes_that_tell_of_the_same_alerts_share_one_group(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        other = "{}/{continue}:{}"
        for _ in range(3):
            await room.hook(*map(alert, NAMES[:3]))
            await room.hook(*map(alert, NAMES[:3]), key=other, receiver="quarterdeck-too")
        assert shown(await room.only()) == (3, 3)
        assert await room.reasons(1) == ["first firing"]


async def test_a_group_that_takes_in_alerts_of_another_one_does_not_lose_them(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert("i-1"), key="a")
        await room.hook(alert("i-2"), alert("i-3"), key="b")
        await room.hook(*(alert(f"i-{number}") for number in (1, 2, 3)), key="c")
        first, second = await room.groups()
        assert (shown(first), shown(second)) == ((1, 1), (2, 2))
        await room.hook(*(alert(f"i-{number}", ends_at=END) for number in (1, 2, 3)), key="c")
        assert [group.open for group in await room.groups()] == [False, False]


# ---- firing again --------------------------------------------------------------------------------------------------


async def test_firing_again_soon_goes_on_with_the_card_and_long_after_makes_a_new_one(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.store.ack(1, "sre")
        await room.hook(alert(ends_at=later(minutes=1)))
        room.clock.advance(minutes=30)
        await room.hook(alert(starts_at=room.clock()))
        group = await room.only()
        assert group.open and (group.reopened, group.acked_by, group.fired_at) == (1, "", room.clock())
        await room.hook(alert(starts_at=room.clock(), ends_at=room.clock() + timedelta(seconds=9)))
        room.clock.advance(minutes=31)
        await room.hook(alert(starts_at=room.clock()))
        old, new = await room.groups()
        assert (old.open, new.open, new.previous_id) == (False, True, old.id)
        assert shown(old) == (0, 1), "the old card keeps what it showed"
        assert await room.reasons(old.id) == ["first firing"]
        assert await room.reasons(new.id) == ["fires again"]
        assert new.ping is not None and new.ping.roles == ("dev",)


async def test_a_third_firing_in_half_an_hour_is_flapping_until_it_is_quiet(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        for cycle in range(4):
            at = room.clock()
            await room.hook(alert(starts_at=at))
            group = await room.only()
            assert (group.flapping, group.flaps) == ((True, cycle + 1) if cycle >= 2 else (False, 0))
            room.clock.advance(minutes=2)
            await room.hook(alert(starts_at=at, ends_at=at + timedelta(minutes=1)))
            room.clock.advance(minutes=2)
        assert await room.reasons(1) == ["first firing"]
        room.clock.advance(minutes=20)
        assert await room.store.settle(room.clock()) == 0
        room.clock.advance(minutes=10)
        wanted = await room.wanted("alert:1")
        assert await room.store.settle(room.clock()) == 1
        assert not (await room.only()).flapping
        assert await room.wanted("alert:1") == wanted + 1


# ---- who is called -------------------------------------------------------------------------------------------------


async def test_the_first_firing_goes_out_with_the_card_and_a_worse_severity_beside_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        group = await room.only()
        assert group.ping is not None
        assert (group.ping.reason, group.ping.roles) == (Reason.FIRST, ("dev",))
        assert await room.card_keys() == ["alert:1"]
        await room.hook(alert(), alert("i-0b7", severity="critical"))
        group = await room.only()
        assert (group.severity, group.channel) == ("critical", "alerts")
        worse = (await room.store.pings(1))[1]
        assert (worse.reason, worse.roles) == (Reason.SEVERITY, ("sre",))
        assert await room.card_keys() == ["alert:1", f"alertping:{worse.id}"]
        await room.hook(alert(), alert("i-0b7", severity="critical", ends_at=END))
        await room.hook(alert(), alert("i-0c1", severity="critical"))
        assert len(await room.store.pings(1)) == 2


async def test_an_end_an_edit_and_more_of_the_same_call_nobody(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.hook(alert(), alert("i-0b7"))
        await room.hook(alert(value="99"), alert("i-0b7", ends_at=END))
        await room.hook(alert(ends_at=END))
        assert await room.reasons(1) == ["first firing"]


async def test_a_newcomer_after_an_ack_calls_once_and_after_the_next_ack_again(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert("i-0"))
        await room.store.ack(1, "sre")
        await room.hook(*map(alert, ("i-0", "i-1")))
        group = await room.only()
        assert [one.acked_by for one in group.episodes] == ["sre", ""]
        assert (group.acked_by, group.unacked_since) == ("sre", room.clock())
        await room.hook(*map(alert, ("i-0", "i-1", "i-2")))
        assert await room.reasons(1) == ["first firing", "new since the ack"]
        room.clock.advance(minutes=1)
        await room.store.ack(1, "sre")
        await room.hook(*map(alert, ("i-0", "i-1", "i-2", "i-3")))
        assert await room.reasons(1) == ["first firing", "new since the ack", "new since the ack"]


async def test_a_heartbeat_is_noted_and_no_group(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(name="Watchdog", severity="none"), key="watchdog")
        assert await room.groups() == []
        assert await room.store.heartbeats() == {"Watchdog": room.clock(), "Watchdog/prod": room.clock()}
        assert await room.outcomes() == ["heartbeat"]
        room.clock.advance(minutes=1)
        await room.hook(alert(name="Watchdog", severity="none"), key="watchdog")
        assert await room.store.heartbeats() == {"Watchdog": room.clock(), "Watchdog/prod": room.clock()}


async def test_what_no_longer_can_be_read_is_left_out_and_said(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        good = body(alert())
        await room.take(good)
        bad = json.dumps({"version": "4"}).encode()
        statement = alert_bodies.update().values(body=bad)
        await room.database.write(lambda db: db.execute(statement).close())
        await room.raw(body(alert("i-0b7")))
        assert await room.outcomes() == ["unreadable", "applied"]
        assert shown(await room.only()) == (1, 1)


async def test_a_secret_in_a_label_or_annotation_reaches_no_row_but_the_body_as_it_came(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        secret = "ghp_0123456789"
        room.store.clean = lambda text: text.replace(secret, "[secret]")
        await room.hook(alert(token=secret, name=f"Alert {secret}", value=f"said {secret}"), key=f"key-{secret}")
        group = await room.only()
        assert group.title == "Alert [secret]"
        assert group.episodes[0].annotations["description"] == "said [secret] % on i-0a1"
        holding = [
            table.name
            for table in metadata.sorted_tables
            for row in await room.database.read(lambda db, table=table: db.execute(select(table)).all())
            if secret in str(tuple(row))
        ]
        assert set(holding) == {"alert_bodies"}
        again = alert(token=secret, name=f"Alert {secret}", value=f"said {secret}", ends_at=END)
        await room.hook(again, key=f"key-{secret}")
        assert shown(await room.only()) == (0, 1)

"""Whom it calls when something comes back: after an end that was none, after one long ago, beside what somebody has."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.alerts.model import PROMETHEUS, Matcher, SeenSilence
from tests.unit.inbox_room import BEGUN, DEAF, KEY, InboxRoom, alert, inbox_room, later, seen

CRITICAL: dict[str, Any] = {"severity": "critical"}
END = later(minutes=5)
FIRST, REFIRED, JOINED = "first firing", "fires again", "new since the ack"


async def acked(room: InboxRoom) -> list[str]:
    return [group.acked_by for group in await room.groups()]


# ---- after an ack --------------------------------------------------------------------------------------------------


async def test_each_newcomer_after_an_ack_calls_and_not_only_the_first(tmp_path: Path) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        await room.hook(alert(**CRITICAL))
        await room.store.ack(1, "sre")
        for instance in ("i-0b7", "i-0c9"):
            room.clock.advance(minutes=10)
            since = room.clock()
            await room.hook(alert(**CRITICAL), alert(instance, starts_at=since, **CRITICAL))
            room.clock.advance(minutes=10)
            await room.hook(alert(**CRITICAL), alert(instance, starts_at=since, ends_at=room.clock(), **CRITICAL))
        assert await room.reasons(1) == [FIRST, JOINED, JOINED]


async def test_an_end_that_was_none_leaves_the_alert_with_whoever_had_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        await room.store.ack(1, "sre")
        fired_at = (await room.only()).fired_at
        assert (await room.look_twice()).resolved == 1
        assert (await room.look(seen(alert(**CRITICAL)))).reopened == 1
        group = await room.only()
        assert (group.open, group.acked_by, group.unacked_since, group.fired_at) == (True, "sre", None, fired_at)
        assert group.episodes[0].acked_by == "sre"
        assert await room.reasons(1) == [FIRST]


# ---- after an end --------------------------------------------------------------------------------------------------


async def test_what_the_api_finds_firing_long_after_its_end_calls_again_and_is_nobodys(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        await room.store.ack(1, "sre")
        await room.hook(alert(ends_at=END, **CRITICAL))
        await room.look()
        room.clock.advance(minutes=50)
        assert (await room.look(seen(alert(**CRITICAL)))).reopened == 1
        group = await room.only()
        assert (group.open, group.acked_by, group.unacked_since) == (True, "", room.clock())
        assert await room.reasons(1) == [FIRST, REFIRED]
        (_, again) = await room.store.pings(1)
        assert again.card_key in await room.card_keys()


async def test_without_an_api_the_same_start_long_after_its_end_calls_again_on_the_same_card(tmp_path: Path) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        await room.hook(alert(**CRITICAL))
        await room.hook(alert(ends_at=END, **CRITICAL))
        room.clock.advance(minutes=50)
        await room.hook(alert(**CRITICAL, value="99"))
        group = await room.only()
        assert (group.open, group.firing, group.members) == (True, 1, 1)
        assert await room.reasons(1) == [FIRST, REFIRED]


async def test_a_group_first_heard_of_by_its_end_calls_when_it_fires(tmp_path: Path) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        await room.hook(alert(ends_at=END))
        assert await room.reasons(1) == []
        room.clock.advance(minutes=2)
        await room.hook(alert(starts_at=room.clock()))
        assert await room.reasons(1) == [FIRST]
        (call,) = await room.store.pings(1)
        assert call.card_key in await room.card_keys()


# ---- what was found before any webhook told of it ------------------------------------------------------------------


async def test_the_first_webhook_of_a_group_that_the_api_told_of_goes_on_with_it_after_its_end(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(name="Other"), key="other")
        room.clock.advance(minutes=5)
        assert (await room.look(seen(alert()))).adopted == 1
        await room.look_twice()
        room.clock.advance(minutes=2)
        await room.hook(alert(starts_at=room.clock()))
        _, group = await room.groups()
        assert (group.open, group.group_key) == (True, KEY)
        assert await room.reasons(group.id) == [FIRST]


async def test_the_first_webhook_of_what_only_prometheus_told_goes_on_with_it_after_its_end(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.look(seen(alert()), source=PROMETHEUS)
        await room.look_twice()
        room.clock.advance(minutes=2)
        await room.hook(alert(starts_at=room.clock()))
        group = await room.only()
        assert (group.open, group.group_key) == (True, KEY)
        assert await room.reasons(group.id) == [FIRST]


async def test_a_store_that_lost_its_rows_takes_over_what_fires(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        assert (await room.look(seen(alert(starts_at=room.clock() - timedelta(hours=1))))).adopted == 1


async def test_a_heartbeat_may_have_a_receiver_of_its_own_and_does_not_tell_where_alerts_go(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert("am", name="Watchdog"), key="watchdog", receiver="heartbeat")
        fires = seen(alert(starts_at=room.clock() - timedelta(hours=1)))
        assert (await room.look(fires)).adopted == 1


async def test_what_alertmanager_cut_and_the_api_told_is_counted_once(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        some = [alert(f"i-{number}") for number in range(12)]
        await room.hook(*some[:3], truncated=9)
        assert (await room.only()).truncated == 9
        room.clock.advance(minutes=2)
        await room.look(*map(seen, some))
        group = await room.only()
        assert (group.firing, group.members, group.truncated) == (12, 12, 0)
        await room.hook(*some[:3], truncated=9)
        assert (await room.only()).truncated == 0
        await room.hook(*some[:3], truncated=10)
        assert (await room.only()).truncated == 1


# ---- while only Prometheus answers ---------------------------------------------------------------------------------


def window(room: InboxRoom, minutes: int) -> SeenSilence:
    until = room.clock() + timedelta(minutes=minutes)
    return SeenSilence("s-1", "active", (Matcher("environment", "prod"),), BEGUN, until, "sre", "maintenance")


async def test_what_prometheus_tells_of_calls_nobody_while_a_silence_known_before_meets_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.look(silences=[window(room, 30)])
        await room.store.lost_sight(room.clock())
        await room.look(seen(alert(**CRITICAL)), source=PROMETHEUS)
        assert await room.groups() == []
        await room.look(seen(alert(environment="dev", **CRITICAL)), source=PROMETHEUS)
        assert [group.environment for group in await room.groups()] == ["dev"]
        room.clock.advance(minutes=31)
        await room.look(seen(alert(**CRITICAL)), source=PROMETHEUS)
        assert [group.environment for group in await room.groups()] == ["dev", "prod"]


async def test_what_prometheus_told_is_silenced_and_real_as_soon_as_alertmanager_says_so(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(name="Other"), key="other")
        began = room.clock()
        await room.look(seen(alert(starts_at=began, **CRITICAL)), source=PROMETHEUS)
        real = began + timedelta(minutes=2)
        room.clock.advance(minutes=3)
        quiet = seen(alert(starts_at=real, **CRITICAL), silenced_by=["s-1"])
        await room.look(seen(alert(name="Other")), quiet)
        _, group = await room.groups()
        (episode,) = group.episodes
        assert group.silenced and group.unacked_since is None
        assert (episode.provisional, episode.starts_at) == (False, real.replace(microsecond=0))


async def test_what_prometheus_told_becomes_real_though_no_group_of_ours_holds_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(name="Other"), key="other")
        await room.look(seen(alert(starts_at=room.clock())), source=PROMETHEUS)
        quiet = seen(alert(starts_at=room.clock()), inhibited=True)
        await room.look(quiet, receiver="somebody-else")
        _, group = await room.groups()
        (episode,) = group.episodes
        assert (episode.provisional, episode.inhibited, group.silenced) == (False, True, True)

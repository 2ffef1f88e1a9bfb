"""Whom it calls when something comes back: after an end that was none, after one long ago, beside what somebody has."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.alerts.model import PROMETHEUS, Matcher, SeenSilence
from tests.unit.inbox_room import BEGUN, DEAF, KEY, SETTINGS, InboxRoom, alert, inbox_room, later, seen

CRITICAL: dict[str, Any] = {"severity": "critical"}
END = later(minutes=5)
FIRST, REFIRED, JOINED, WORSE = "first firing", "fires again", "new since the ack", "severity up"


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


@pytest.mark.parametrize("away", [True, False])
async def test_a_call_that_has_reached_nobody_when_its_group_ends_is_made_when_it_fires_again(
    tmp_path: Path, away: bool
) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        room.posts = not away
        await room.hook(alert(**CRITICAL))
        await room.hook(alert(ends_at=END, **CRITICAL))
        assert await room.reasons(1) == ([] if away else [FIRST])
        room.posts = True
        room.clock.advance(minutes=1)
        await room.hook(alert(ends_at=END, **CRITICAL))
        room.clock.advance(minutes=10)
        await room.hook(alert(starts_at=room.clock(), **CRITICAL))
        (call,) = await room.store.pings(1)
        assert (call.reason, call.roles) == (FIRST, ("sre",))
        assert (call.card_key in await room.card_keys()) is away, "its card stands already"


async def test_a_blip_after_a_blip_calls_nobody_and_leaves_no_call_behind(tmp_path: Path) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        room.posts = False
        for minute in range(4):
            began = later(minutes=2 * minute)
            await room.hook(alert(starts_at=began, **CRITICAL))
            await room.hook(alert(starts_at=began, ends_at=began + timedelta(seconds=30), **CRITICAL))
        assert await room.reasons(1) == [] and await room.card_keys() == ["alert:1"]
        await room.hook(alert(starts_at=later(minutes=9), **CRITICAL))
        assert (await room.only()).flapping and await room.reasons(1) == [FIRST], "it flaps, but nobody knows yet"


async def test_how_bad_it_is_calls_when_it_fires_again_if_that_has_reached_nobody(tmp_path: Path) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        await room.hook(alert())
        room.posts = False
        for _ in range(2):
            room.clock.advance(minutes=2)
            since = room.clock()
            await room.hook(alert(), alert("i-0b7", starts_at=since, **CRITICAL))
            assert await room.reasons(1) == [FIRST, WORSE]
            room.clock.advance(minutes=2)
            over = room.clock()
            await room.hook(alert(ends_at=over), alert("i-0b7", starts_at=since, ends_at=over, **CRITICAL))
            assert await room.reasons(1) == [FIRST]
            room.clock.advance(minutes=2)
            await room.hook(alert(starts_at=room.clock()))
            assert await room.reasons(1) == [FIRST], "for a warning somebody was called"
            await room.hook(alert(ends_at=room.clock()))


# ---- after it was less bad -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "calls"), [(29, [FIRST, WORSE]), (31, [FIRST, WORSE, WORSE])])
async def test_what_becomes_worse_again_calls_again_once_it_was_less_bad_for_long(
    tmp_path: Path, minutes: int, calls: list[str]
) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        await room.hook(alert())
        for _ in range(2):
            since = room.clock()
            await room.hook(alert(), alert("i-0b7", starts_at=since, **CRITICAL))
            room.clock.advance(minutes=5)
            await room.hook(alert(), alert("i-0b7", starts_at=since, ends_at=room.clock(), **CRITICAL))
            assert (await room.only()).severity == "warning"
            room.clock.advance(minutes=minutes)
        assert await room.reasons(1) == calls


async def for_a_while(room: InboxRoom, instance: str, severity: str, *, until: int) -> None:
    """Beside what fires anyway this fires for five minutes; then the clock goes to that minute."""
    low, since = alert(severity="info"), room.clock()
    await room.hook(low, alert(instance, starts_at=since, severity=severity))
    room.clock.advance(minutes=5)
    await room.hook(low, alert(instance, starts_at=since, ends_at=room.clock(), severity=severity))
    room.clock.advance(minutes=(later(minutes=until) - room.clock()) / timedelta(minutes=1))


async def test_each_severity_counts_by_itself(tmp_path: Path) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        await for_a_while(room, "i-0b7", "critical", until=20)
        await for_a_while(room, "i-0c9", "warning", until=40)
        assert await room.reasons(1) == [FIRST], "for worse somebody was called not long ago"
        await for_a_while(room, "i-0c9", "warning", until=50)
        assert await room.reasons(1) == [FIRST], "for the same, too"
        await for_a_while(room, "i-0b7", "critical", until=90)
        await for_a_while(room, "i-0c9", "warning", until=100)
        assert await room.reasons(1) == [FIRST, WORSE, WORSE]


async def test_what_flaps_between_two_severities_goes_on_with_the_call_that_was_made(tmp_path: Path) -> None:
    async with inbox_room(tmp_path, DEAF.model_copy(update={"anew_after_s": 60})) as room:
        await room.hook(alert(severity="info"))
        for minute in (8, 16, 24, 32):
            await for_a_while(room, "i-0b7", "critical", until=minute)
        assert (await room.only()).flapping
        assert await room.reasons(1) == [WORSE, WORSE]


async def test_an_end_that_was_none_is_no_turn_for_the_worse(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        both = [seen(alert()), seen(alert("i-0b7", **CRITICAL))]
        await room.hook(alert(), alert("i-0b7", **CRITICAL))
        await room.look_twice(both[0])
        room.clock.advance(minutes=40)
        assert (await room.only()).severity == "warning"
        assert (await room.look(*both)).reopened == 1
        assert await room.reasons(1) == [FIRST]


async def test_each_step_of_the_route_for_the_worse_is_taken_after_its_own_time(tmp_path: Path) -> None:
    async with inbox_room(tmp_path, DEAF) as room:
        await room.hook(alert("i-0b7", **CRITICAL))
        for step, minutes in enumerate((5, 10)):
            room.clock.advance(minutes=minutes)
            await room.store.escalated(1, step, roles=["owner"], at=room.clock())
        await room.hook(alert(), alert("i-0b7", ends_at=room.clock(), **CRITICAL))
        room.clock.advance(minutes=40)
        await room.hook(alert(), alert("i-0b7", starts_at=room.clock(), **CRITICAL))
        assert (await room.reasons(1))[-1] == WORSE
        assert await room.store.due_escalations(room.clock()) == ()
        room.clock.advance(minutes=5)
        assert [due.step for due in await room.store.due_escalations(room.clock())] == [0]


async def test_a_route_that_only_escalates_does_so_for_what_opened_in_another_one(tmp_path: Path) -> None:
    routes = (SETTINGS.routes[0].model_copy(update={"role": None}), SETTINGS.routes[1])
    async with inbox_room(tmp_path, DEAF.model_copy(update={"routes": routes})) as room:
        await room.hook(alert())
        room.clock.advance(minutes=1)
        await room.hook(alert(), alert("i-0b7", **CRITICAL))
        calls = [(ping.reason, ping.roles) for ping in await room.store.pings(1)]
        assert calls == [(FIRST, ("dev",)), (WORSE, ("dev",))]
        room.clock.advance(minutes=5)
        (due,) = await room.store.due_escalations(room.clock())
        assert (due.wanted.role, due.fallback) == ("owner", ("dev",))


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


@pytest.mark.parametrize(
    ("until", "inhibited", "calls"),
    [(30, False, [FIRST, REFIRED]), (120, False, [FIRST]), (30, True, [FIRST])],
)
async def test_a_known_silence_that_ends_while_only_prometheus_answers_holds_nothing_back_any_more(
    tmp_path: Path, until: int, inhibited: bool, calls: list[str]
) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        both = [window(room, 20), replace(window(room, until), id="s-2")]
        quiet = seen(alert(**CRITICAL), silenced_by=["s-1", "s-2"], inhibited=inhibited)
        await room.look(quiet, silences=both)
        await room.store.lost_sight(room.clock())
        room.clock.advance(minutes=25)
        assert not await room.look(seen(alert(**CRITICAL)), source=PROMETHEUS), "one of the two still holds"
        room.clock.advance(minutes=10)
        assert not await room.look(source=PROMETHEUS), "nothing is said of it, so it may be over"
        observed = await room.look(seen(alert(**CRITICAL)), source=PROMETHEUS)
        group = await room.only()
        assert await room.reasons(1) == calls
        assert group.silenced is (calls == [FIRST]) and group.waits is (calls != [FIRST])
        assert group.episodes[0].inhibited is inhibited
        assert observed.unquieted == (until == 30 and not inhibited)
        room.clock.advance(minutes=5)
        due = await room.store.due_escalations(room.clock())
        assert [one.step for one in due] == ([0] if group.waits else [])


async def test_what_another_known_silence_meets_stays_silenced_while_only_prometheus_answers(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        later_one = replace(window(room, 300), id="s-2", starts_at=room.clock() + timedelta(minutes=10))
        await room.look(seen(alert(**CRITICAL), silenced_by=["s-1"]), silences=[window(room, 20), later_one])
        await room.store.lost_sight(room.clock())
        room.clock.advance(minutes=25)
        await room.look(seen(alert(**CRITICAL)), source=PROMETHEUS)
        assert (await room.only()).silenced and await room.reasons(1) == [FIRST]


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

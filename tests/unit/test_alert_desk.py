"""What people and clocks do: acks, silences, overrides, escalations, reminders, quiet hours, lists and figures."""

from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bot.alert_settings import EscalationStep, OncallSettings, QuietHours
from bot.alerts.model import Matcher, NextCall, Reason, SeenSilence, Silence, SilenceKind
from bot.alerts.store import GroupFilter
from bot.db.tables import alert_groups
from bot.errors import Refused
from bot.ops.record import AuditFilter
from bot.ops.store import Store
from bot.policy import Sight
from bot.services.second_road import _untold
from tests.unit.inbox_room import BEGUN, CHANNELS, SETTINGS, InboxRoom, alert, inbox_room, later, seen

CRITICAL: dict[str, Any] = {"severity": "critical"}


async def events(room: InboxRoom) -> list[tuple[str, str, str]]:
    """What the record holds, oldest first: name, actor, environment."""
    record = Store(room.database, now=room.clock)
    found = await room.database.read(lambda db: record.audit(db, AuditFilter()))
    return [(one.name, one.actor, one.environment) for one in reversed(found)]


# ---- acks ----------------------------------------------------------------------------------------------------------


async def test_an_ack_takes_what_fires_and_is_recorded(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7", ends_at=later(seconds=9)), alert("i-0c1"))
        wanted = await room.wanted("alert:1")
        room.clock.advance(minutes=2)
        group = await room.store.ack(1, "sre")
        assert (group.acked_by, group.acked_at, group.unacked_since) == ("sre", room.clock(), None)
        assert {one.labels["instance"]: one.acked_by for one in group.episodes} == {
            "i-0a1": "sre",
            "i-0b7": "",
            "i-0c1": "sre",
        }
        assert await room.wanted("alert:1") == wanted + 1
        again = await room.store.ack(1, "sre", room.clock() + timedelta(minutes=1))
        assert again.acked_at == group.acked_at
        assert await events(room) == [("alert.acked", "sre", "prod")]


async def test_somebody_else_may_take_it_over_and_give_it_back(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.store.ack(1, "sre")
        assert (await room.store.ack(1, "dev")).acked_by == "dev"
        room.clock.advance(minutes=3)
        group = await room.store.unack(1, "dev")
        assert (group.acked_by, group.unacked_since) == ("", room.clock())
        assert [one.acked_by for one in group.episodes] == [""]
        assert [name for name, _, _ in await events(room)] == ["alert.acked", "alert.acked", "alert.unacked"]
        with pytest.raises(Refused, match="Nobody has it"):
            await room.store.unack(1, "dev")


async def test_an_ack_ends_with_its_episodes(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.store.ack(1, "sre")
        await room.hook(alert(ends_at=later(minutes=1)))
        assert (await room.only()).acked_by == "sre", "who had it stays on the card"
        with pytest.raises(Refused, match="Nothing of it fires"):
            await room.store.ack(1, "sre")
        await room.hook(alert(starts_at=later(minutes=2)))
        group = await room.only()
        assert (group.acked_by, group.unacked_since) == ("", room.clock())
        with pytest.raises(Refused, match="no alert group A9"):
            await room.store.ack(9, "sre")


# ---- escalation and reminders --------------------------------------------------------------------------------------


async def test_what_nobody_takes_climbs_step_by_step_and_each_step_calls_once(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        room.clock.advance(seconds=299)
        assert await room.store.due_escalations(room.clock()) == ()
        room.clock.advance(seconds=1)
        (due,) = await room.store.due_escalations(room.clock())
        assert (due.step, due.wanted.role, due.due_at) == (0, "owner", room.clock())
        ping = await room.store.escalated(1, 0, roles=["owner"], at=room.clock())
        assert ping is not None and (ping.reason, ping.roles) == (Reason.ESCALATION, ("owner",))
        assert ping.card_key in await room.card_keys()
        assert await room.store.escalated(1, 0, roles=["owner"], at=room.clock()) is None
        assert await room.store.due_escalations(room.clock()) == ()
        room.clock.advance(seconds=600)
        (due,) = await room.store.due_escalations(room.clock())
        assert (due.step, due.wanted.person) == (1, "sre")
        await room.store.ack(1, "sre")
        assert await room.store.escalated(1, 1, people=["sre"], at=room.clock()) is None
        assert await room.store.due_escalations(room.clock()) == ()


async def test_a_newcomer_after_an_ack_lets_the_clock_run_anew(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        room.clock.advance(seconds=400)
        await room.store.escalated(1, 0, roles=["owner"], at=room.clock())
        await room.store.ack(1, "sre")
        await room.hook(alert(**CRITICAL), alert("i-0b7", **CRITICAL))
        room.clock.advance(seconds=299)
        assert await room.store.due_escalations(room.clock()) == ()
        room.clock.advance(seconds=1)
        assert [due.step for due in await room.store.due_escalations(room.clock())] == [0]


async def test_giving_back_what_is_silenced_lets_no_clock_run_until_it_is_loud(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        await room.store.ack(1, "sre")
        quiet = seen(alert(**CRITICAL), silenced_by=["s-1"])
        await room.look(quiet)
        group = await room.store.unack(1, "sre")
        assert (group.acked_by, group.unacked_since) == ("", None)
        room.clock.advance(minutes=30)
        await room.look(quiet)
        assert await room.store.due_escalations(room.clock()) == ()
        await room.look(seen(alert(**CRITICAL)))
        assert (await room.only()).unacked_since == room.clock()
        room.clock.advance(minutes=5)
        assert [due.step for due in await room.store.due_escalations(room.clock())] == [0]


async def test_a_clock_that_runs_although_all_is_quiet_calls_nobody(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        await room.look(seen(alert(**CRITICAL), silenced_by=["s-1"]))
        running = update(alert_groups).values(unacked_since=room.clock())
        await room.database.write(lambda db: db.execute(running).close())
        room.clock.advance(minutes=30)
        assert await room.store.due_escalations(room.clock()) == ()
        assert await room.store.escalated(1, 0, roles=["owner"], at=room.clock()) is None
        untold = _untold("critical", room.clock(), timedelta(seconds=1))
        assert await room.database.read(lambda db: db.execute(untold).all()) == []


async def test_what_is_loud_again_after_a_silence_climbs_from_the_first_step_again(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        for step in (0, 1):
            room.clock.advance(minutes=15)
            assert await room.store.escalated(1, step, roles=["owner"], at=room.clock()) is not None
        assert await room.store.due_escalations(room.clock()) == ()
        await room.look(seen(alert(**CRITICAL), silenced_by=["s-1"]))
        room.clock.advance(hours=1)
        await room.look(seen(alert(**CRITICAL)))
        room.clock.advance(minutes=5)
        (due,) = await room.store.due_escalations(room.clock())
        assert (due.step, due.wanted.role) == (0, "owner")
        ping = await room.store.escalated(1, 0, roles=["owner"], at=room.clock())
        assert ping is not None and ping.card_key in await room.card_keys(), "a call of its own, not the one of before"


async def test_a_silence_that_ends_over_what_fires_on_calls_unless_somebody_has_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7"))
        both = [seen(alert(), silenced_by=["s-1"]), seen(alert("i-0b7"), silenced_by=["s-1"])]
        await room.look(*both)
        await room.look(seen(alert()), both[1])
        await room.look(seen(alert()), seen(alert("i-0b7")))
        first, again = await room.store.pings(1)
        assert (again.reason, again.roles) == (Reason.REFIRED, ("dev",)), "once, for the first that is loud again"
        assert again.card_key in await room.card_keys()
        await room.store.ack(1, "sre")
        await room.look(*both)
        await room.look(seen(alert()), seen(alert("i-0b7")))
        await room.look(seen(alert(), inhibited=True), seen(alert("i-0b7"), inhibited=True))
        assert await room.store.pings(1) == (first, again)


async def test_a_critical_one_that_somebody_had_and_that_fires_again_calls_although_its_card_stands(
    tmp_path: Path,
) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        await room.store.ack(1, "sre")
        await room.hook(alert(ends_at=later(minutes=1), **CRITICAL))
        room.clock.advance(minutes=20)
        await room.hook(alert(starts_at=room.clock(), **CRITICAL))
        assert await room.reasons(1) == ["first firing", "fires again"]
        assert len(await room.groups()) == 1
        room.clock.advance(minutes=2)
        await room.hook(alert(starts_at=room.clock() - timedelta(minutes=2), ends_at=room.clock(), **CRITICAL))
        room.clock.advance(minutes=2)
        await room.hook(alert(starts_at=room.clock(), **CRITICAL))
        assert await room.reasons(1) == ["first firing", "fires again"], "nobody had it: the escalation goes on"


async def test_whoever_took_it_long_ago_is_reminded_once_a_span(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(**CRITICAL))
        await room.store.ack(1, "sre")
        room.clock.advance(seconds=3599)
        assert await room.store.due_reminders(room.clock()) == ()
        room.clock.advance(seconds=1)
        assert [group.id for group in await room.store.due_reminders(room.clock())] == [1]
        ping = await room.store.reminded(1, room.clock(), people=["sre"])
        assert ping is not None and (ping.reason, ping.people) == (Reason.REMINDER, ("sre",))
        assert await room.store.due_reminders(room.clock()) == ()
        room.clock.advance(hours=1)
        assert len(await room.store.due_reminders(room.clock())) == 1
        await room.hook(alert(ends_at=later(hours=1), **CRITICAL))
        assert await room.store.due_reminders(room.clock()) == ()
        assert await room.store.reminded(1, room.clock(), people=["sre"]) is None


async def test_quiet_hours_hold_calls_back_until_they_end_but_never_the_worst(tmp_path: Path) -> None:
    quiet = QuietHours(starts=time(11), ends=time(14))
    routes = tuple(route.model_copy(update={"quiet_hours": quiet}) for route in SETTINGS.routes)
    async with inbox_room(tmp_path, SETTINGS.model_copy(update={"routes": routes})) as room:
        await room.hook(alert())
        await room.hook(alert(name="Over"), key="over")
        await room.hook(alert(name="Worst", **CRITICAL), key="worst")
        held, over, worst = await room.groups()
        assert held.ping is not None and held.ping.held_until == datetime.fromisoformat("2026-08-01T14:00Z")
        assert worst.ping is not None and worst.ping.held_until is None
        await room.hook(alert(name="Over", ends_at=later(minutes=1)), key="over")
        room.clock.advance(hours=1, minutes=59)
        assert await room.store.settle(room.clock()) == 0
        room.clock.advance(minutes=1)
        assert await room.store.settle(room.clock()) == 1
        keys = await room.card_keys()
        assert f"alertping:{held.ping.id}" in keys
        assert over.ping is not None and f"alertping:{over.ping.id}" not in keys
        assert await room.store.settle(room.clock()) == 0


async def test_a_held_call_that_was_never_made_is_made_when_it_fires_again(tmp_path: Path) -> None:
    quiet = QuietHours(starts=time(11), ends=time(14))
    routes = tuple(route.model_copy(update={"quiet_hours": quiet}) for route in SETTINGS.routes)
    async with inbox_room(tmp_path, SETTINGS.model_copy(update={"routes": routes})) as room:
        room.clock.advance(hours=1, minutes=40)
        await room.hook(alert(starts_at=room.clock()))
        await room.hook(alert(starts_at=room.clock(), ends_at=room.clock() + timedelta(seconds=9)))
        room.clock.advance(minutes=20)
        assert await room.store.settle(room.clock()) == 0
        assert await room.reasons(1) == []
        room.clock.advance(minutes=5)
        await room.hook(alert(starts_at=room.clock()))
        (ping,) = await room.store.pings(1)
        assert ping.reason is Reason.FIRST and ping.held_until is None and ping.card_key in await room.card_keys()


async def test_what_waited_through_quiet_hours_climbs_step_by_step_when_they_end(tmp_path: Path) -> None:
    quiet = QuietHours(starts=time(13), ends=time(8))
    steps = (EscalationStep(after_s=1800, role="sre"), EscalationStep(after_s=3600, role="owner"))
    changed = {"quiet_hours": quiet, "escalation": steps}
    routes = tuple(route.model_copy(update=changed) for route in SETTINGS.routes)
    async with inbox_room(tmp_path, SETTINGS.model_copy(update={"routes": routes})) as room:
        await room.hook(alert())
        room.clock.advance(minutes=30)
        assert len(await room.store.due_escalations(room.clock())) == 1, "before they begin its time counts as ever"
        room.clock.advance(hours=3)
        await room.hook(alert(name="Night"), key="night")
        planned = {group.calls_next for group in await room.store.groups()}
        room.clock.advance(hours=16, minutes=30)  # 08:00 of the next day
        assert await room.store.due_escalations(room.clock()) == ()
        room.clock.advance(minutes=30)
        due = await room.store.due_escalations(room.clock())
        assert [(one.step, one.due_at) for one in due] == [(0, room.clock())] * 2
        assert planned == {NextCall("sre", room.clock())}, "the cards said so all night"
        for one in due:
            await room.store.escalated(one.group.id, 0, roles=["sre"], at=room.clock())
        assert await room.store.due_escalations(room.clock()) == ()
        room.clock.advance(minutes=30)
        assert [one.step for one in await room.store.due_escalations(room.clock())] == [1, 1]


async def test_an_own_alert_that_comes_back_calls_again(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        labels = {"alertname": "WatchdogLost", **CRITICAL}
        for _ in range(2):
            await room.store.raise_own("watchdog", labels, {}, room.clock(), channel="ops", role="sre")
            await room.posted()
            room.clock.advance(minutes=1)
            await room.store.clear_own("watchdog", room.clock())
            room.clock.advance(minutes=1)
        first, again = await room.store.pings(1)
        assert (first.reason, again.reason) == (Reason.FIRST, Reason.REFIRED)
        assert await room.card_keys() == ["alert:1", again.card_key]
        await room.store.raise_own("watchdog", labels, {}, room.clock(), channel="ops", role="sre")
        room.clock.advance(minutes=5)
        assert [due.wanted.role for due in await room.store.due_escalations(room.clock())] == ["owner"]


async def test_an_own_alert_that_flaps_calls_nobody(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        labels = {"alertname": "WatchdogLost", **CRITICAL}
        for _ in range(6):
            await room.store.raise_own("watchdog", labels, {}, room.clock(), channel="ops", role="sre")
            await room.posted()
            room.clock.advance(minutes=1)
            await room.store.clear_own("watchdog", room.clock())
            room.clock.advance(minutes=1)
        assert len(await room.store.pings(1)) == 2


# ---- silences and the rota -----------------------------------------------------------------------------------------


async def test_our_silence_keeps_its_person_when_the_api_tells_of_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        until = room.clock() + timedelta(hours=4)
        matchers = (Matcher("alertname", "HighCPUUsage"), Matcher("instance", "i-0.*", is_regex=True))
        ours = Silence("s-1", "sre", SilenceKind.MAINTENANCE, matchers, room.clock(), until, "a deploy", group_id=1)
        wanted = await room.wanted("alert:1")
        await room.store.noted(ours, event=("silence.created", "sre", "quiet", {"environment": "prod"}))
        assert await room.store.open_silences() == (ours,)
        assert await room.wanted("alert:1") == wanted + 1
        told = SeenSilence("s-1", "active", matchers, ours.starts_at, until, "quarterdeck", "said by the API")
        await room.look(seen(alert(), silenced_by=["s-1"]), silences=[told])
        assert (await room.only()).silences == (ours,)
        await room.store.ended("s-1", room.clock(), event=("silence.expired", "dev", "loud", {}))
        known = await room.store.silence("s-1")
        assert known is not None and known.ended_at == room.clock()
        assert await room.store.open_silences() == ()
        assert [name for name, _, _ in await events(room)] == ["silence.created", "silence.expired"]


async def test_an_override_beats_the_rota_and_the_newest_beats_the_others(tmp_path: Path) -> None:
    oncall = OncallSettings(rota=("sre", "dev"), starts_at=BEGUN)
    async with inbox_room(tmp_path, SETTINGS.model_copy(update={"oncall": oncall})) as room:
        turn = await room.store.on_call()
        assert turn is not None and (turn.person, turn.override) == ("sre", None)
        now = room.clock()
        first = await room.store.set_override("dev", now, now + timedelta(hours=8), by="sre", reason="away")
        room.clock.advance(minutes=1)
        await room.store.set_override("owner", now, now + timedelta(hours=1), by="sre")
        turn = await room.store.on_call()
        assert turn is not None and turn.person == "owner"
        turn = await room.store.on_call(now + timedelta(hours=2))
        assert turn is not None and turn.override == first
        assert [one.person for one in await room.store.overrides(now + timedelta(hours=2))] == ["dev"]
        with pytest.raises(Refused):
            await room.store.set_override("dev", now, now, by="sre")


# ---- lists and figures ---------------------------------------------------------------------------------------------


async def test_a_channel_lists_what_belongs_there_also_under_names_that_are_its_own_no_longer(tmp_path: Path) -> None:
    async def titles(room: InboxRoom, channel_id: int) -> list[str]:
        return [one.title for one in await room.store.groups(GroupFilter(channel_id=channel_id))]

    async with inbox_room(tmp_path) as room:
        await room.hook(alert(name="Warm"), key="a")
        await room.hook(alert(name="Hot", **CRITICAL), key="b")
        await room.hook(alert(name="Gone", ends_at=later(seconds=9)), key="c")
        (default, critical) = (CHANNELS[name] for name in ("alerts", "alerts-critical"))
        assert (await titles(room, default), await titles(room, critical)) == (["Warm"], ["Hot"])
        assert await titles(room, CHANNELS["ops"]) == []
        room.store._channels.pop("alerts-critical")  # the name was taken out of the file
        assert (await titles(room, default), await titles(room, critical)) == (["Hot", "Warm"], [])
        room.store._channels["alerts-critical"] = default  # two names, one channel
        assert await titles(room, default) == ["Hot", "Warm"]


async def test_lists_show_the_worst_first_and_nothing_that_is_hidden(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(name="Warm"), key="a")
        await room.hook(alert(name="Hot", environment="dev", **CRITICAL), key="b")
        await room.hook(alert(name="Gone", ends_at=later(seconds=9)), key="c")
        assert [one.title for one in await room.store.groups()] == ["Hot", "Warm"]
        assert [one.title for one in await room.store.groups(GroupFilter(state="all"))] == ["Gone", "Hot", "Warm"]
        assert [one.title for one in await room.store.groups(GroupFilter(environment="dev"))] == ["Hot"]
        assert [one.title for one in await room.store.groups(GroupFilter(text="wAR"))] == ["Warm"]
        hidden = Sight(True, frozenset({"dev"}))
        assert [one.title for one in await room.store.groups(GroupFilter(sight=hidden))] == ["Warm"]
        await room.store.ack(1, "sre")
        assert [one.title for one in await room.store.groups(GroupFilter(acked=True))] == ["Warm"]
        assert [one.title for one in await room.store.groups(GroupFilter(acked=False))] == ["Hot"]
        counts = await room.store.firing_counts()
        assert {place: one.worst for place, one in counts.items()} == {
            ("prod", "app"): "warning",
            ("dev", "app"): "critical",
        }


async def test_a_big_group_is_shown_in_part_with_what_fires_first(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        ended = [alert(f"i-{number}", ends_at=later(minutes=1)) for number in range(20)]
        await room.hook(*ended, alert("i-99"), alert("i-98"))
        group = await room.store.group_of_card("alert:1", most=3)
        assert group is not None and (group.firing, group.members, len(group.episodes)) == (2, 22, 3)
        assert sum(one.firing for one in group.episodes) == 2


async def test_figures_tell_the_noisiest_and_how_long_things_took(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        for cycle in range(3):
            at = room.clock()
            await room.hook(alert(starts_at=at), key="a")
            room.clock.advance(minutes=1)
            await room.store.ack((await room.groups("open"))[0].id, "sre")
            room.clock.advance(minutes=1)
            await room.hook(alert(starts_at=at, ends_at=at + timedelta(minutes=2)), key="a")
            room.clock.advance(minutes=10 if cycle else 60)
        await room.hook(alert(name="Other", starts_at=room.clock(), environment="dev"), key="b")
        figures = await room.store.statistics(room.clock() - timedelta(days=1), room.clock() + timedelta(seconds=1))
        noisy, other = figures.names
        assert (noisy.name, noisy.episodes, noisy.flaps, noisy.acked) == ("HighCPUUsage", 3, 1, 3)
        assert (noisy.mtta_s, noisy.mttr_s) == (60, 120)
        assert (other.mtta_s, other.mttr_s) == (None, None)
        assert figures.episodes == 4 and sum(count for _, count in figures.days) == 4
        hidden = await room.store.statistics(figures.since, figures.until, sight=Sight(True, frozenset({"dev"})))
        assert [one.name for one in hidden.names] == ["HighCPUUsage"]


async def test_what_fires_can_be_asked_by_fingerprint(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7", ends_at=later(minutes=1)))
        prints = [alert()["fingerprint"], alert("i-0b7")["fingerprint"], "0"]
        assert await room.store.firing(prints) == {prints[0]}
        assert [one.labels["instance"] for one in await room.store.firing_episodes()] == ["i-0a1"]

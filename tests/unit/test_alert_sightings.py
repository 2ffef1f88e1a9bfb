"""What the API says is held against the rows: silences, ends without a webhook, what was missed, what is in doubt."""

from datetime import datetime, timedelta
from pathlib import Path

from bot.alerts.model import PROMETHEUS, Matcher, Observed, SeenSilence, SilenceKind, State
from tests.unit.inbox_room import BEGUN, KEY, InboxRoom, alert, body, inbox_room, later, seen

END = later(minutes=5)


def silence(am_id: str, ends_at: datetime, *, state: str = "active") -> SeenSilence:
    return SeenSilence(
        am_id, state, (Matcher("alertname", "HighCPUUsage"),), BEGUN, ends_at, "ops@example.org", "a deploy"
    )


async def states(room: InboxRoom) -> dict[str, str]:
    group = await room.only()
    return {one.labels["instance"]: one.state.value for one in group.episodes}


async def test_what_the_api_says_as_well_changes_nothing(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7"))
        wanted = await room.wanted("alert:1")
        assert await room.look(seen(alert()), seen(alert("i-0b7"))) == Observed()
        assert await room.wanted("alert:1") == wanted


async def test_a_silence_shows_on_its_alerts_with_who_and_until_and_goes_again(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7"))
        until = room.clock() + timedelta(hours=1)
        quiet = seen(alert(), silenced_by=["s-1"])
        assert (await room.look(quiet, seen(alert("i-0b7")), silences=[silence("s-1", until)])).quieted == 1
        group = await room.only()
        assert (group.firing, group.suppressed, group.silenced) == (2, 1, False)
        assert {one.labels["instance"]: one.silenced_by for one in group.episodes} == {"i-0a1": ("s-1",), "i-0b7": ()}
        (known,) = group.silences
        assert (known.person, known.kind, known.ends_at) == ("ops@example.org", SilenceKind.FOREIGN, until)
        wanted = await room.wanted("alert:1")
        longer = silence("s-1", until + timedelta(hours=3))
        await room.look(quiet, seen(alert("i-0b7")), silences=[longer])
        assert (await room.only()).silences[0].ends_at == longer.ends_at
        assert await room.wanted("alert:1") == wanted + 1
        await room.look(seen(alert()), seen(alert("i-0b7")), silences=[silence("s-1", until, state="expired")])
        group = await room.only()
        assert (group.suppressed, group.silences) == (0, ())
        assert await room.store.open_silences() == ()
        assert await room.reasons(1) == ["first firing"]


async def test_a_group_that_is_silenced_whole_waits_for_nobody(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(severity="critical"))
        room.clock.advance(minutes=10)
        assert len(await room.store.due_escalations(room.clock())) == 1
        await room.look(seen(alert(severity="critical"), silenced_by=["s-1"]))
        group = await room.only()
        assert group.silenced and group.unacked_since is None
        assert await room.store.due_escalations(room.clock()) == ()
        await room.look(seen(alert(severity="critical")))
        assert (await room.only()).unacked_since == room.clock()


async def test_a_silence_made_elsewhere_that_only_go_can_read_does_not_hide_what_prometheus_tells(
    tmp_path: Path,
) -> None:
    async with inbox_room(tmp_path) as room:
        until = room.clock() + timedelta(hours=1)
        odd = (Matcher("environment", ".*(?i)prod", is_regex=True),)
        await room.look(
            silences=[SeenSilence("s-1", "active", odd, BEGUN, until, "ops@example.org", "somebody else's")]
        )
        assert (await room.look(seen(alert()), source=PROMETHEUS)).adopted == 1


async def test_an_inhibited_alert_fires_and_is_marked(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.look(seen(alert(), inhibited=True))
        (episode,) = (await room.only()).episodes
        assert episode.firing and episode.inhibited and episode.suppressed


async def test_what_resolves_under_a_silence_ends_when_two_looks_miss_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(), alert("i-0b7"))
        await room.look(seen(alert(), silenced_by=["s-1"]), seen(alert("i-0b7")))
        await room.look(seen(alert("i-0b7")))
        missed_at = room.clock()
        assert await states(room) == {"i-0a1": "firing", "i-0b7": "firing"}
        assert (await room.look(seen(alert("i-0b7")))).resolved == 1
        assert await states(room) == {"i-0a1": "resolved", "i-0b7": "firing"}
        (ended,) = [one for one in (await room.only()).episodes if not one.firing]
        assert ended.confirmed and ended.ended_at == missed_at


async def test_what_is_missing_once_and_there_again_never_ended(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        for _ in range(3):
            assert not (await room.look()).resolved
            assert not (await room.look(seen(alert()))).resolved
        assert await states(room) == {"i-0a1": "firing"}


async def test_an_alertmanager_that_has_just_started_ends_nothing_and_confirms_nothing(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.hook(alert(), alert("i-0b7", ends_at=END))
        await room.look_twice(settled=False)
        group = await room.only()
        assert group.firing == 1 and group.unconfirmed == 1


async def test_what_was_told_after_the_look_began_is_newer_than_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        began = room.clock() + timedelta(seconds=1)
        room.clock.advance(seconds=5)
        await room.hook(alert(ends_at=END), alert("i-0b7"))
        for _ in range(2):
            await room.look(seen(alert()), at=began)
        assert await states(room) == {"i-0a1": "resolved", "i-0b7": "firing"}


async def test_the_api_confirms_an_end_without_drawing_the_card_anew(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.hook(alert(ends_at=END))
        wanted = await room.wanted("alert:1")
        assert (await room.look()).confirmed == 1
        group = await room.only()
        assert group.episodes[0].confirmed and group.unconfirmed == 0
        assert await room.wanted("alert:1") == wanted


async def test_only_the_api_lets_an_episode_fire_again(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.hook(alert(ends_at=END))
        room.clock.advance(hours=1)
        await room.hook(alert(value="95"))
        assert await states(room) == {"i-0a1": "resolved"}
        assert (await room.look(seen(alert()))).reopened == 1
        group = await room.only()
        assert group.open and group.episodes[0].firing and group.episodes[0].ended_at is None


async def test_what_began_anew_without_a_webhook_is_a_new_episode(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        again = alert(starts_at=later(minutes=2))
        assert (await room.look(seen(again))).adopted == 1
        (episode,) = (await room.only()).episodes
        assert episode.firing and episode.starts_at == later(minutes=2).replace(microsecond=0)


# ---- what was missed -----------------------------------------------------------------------------------------------


async def test_what_was_missed_joins_its_group_by_receiver_and_labels(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        assert not (await room.look(seen(alert()), seen(alert("i-0b7", starts_at=room.clock())))).adopted
        room.clock.advance(minutes=2)
        missed = alert("i-0b7", starts_at=room.clock() - timedelta(seconds=61))
        assert (await room.look(seen(alert()), seen(missed))).adopted == 1
        assert await states(room) == {"i-0a1": "firing", "i-0b7": "firing"}


async def test_a_group_that_was_missed_opens_and_its_webhook_finds_it_later(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(name="Other"), key="other")
        room.clock.advance(minutes=5)
        await room.look(seen(alert(name="Other")), seen(alert()))
        _, missed = await room.groups()
        assert (missed.title, missed.open) == ("HighCPUUsage", True)
        assert await room.reasons(missed.id) == ["first firing"]
        await room.hook(alert())
        await room.hook(alert(), alert("i-0b7"))
        _, found = await room.groups()
        assert (found.id, found.group_key, found.members) == (missed.id, KEY, 2)
        assert await room.reasons(found.id) == ["first firing"]


async def test_alerts_of_other_receivers_and_silenced_ones_are_not_taken_over(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert(name="Other"), key="other")
        room.clock.advance(minutes=5)
        assert not (await room.look(seen(alert()), receiver="somebody-else")).adopted
        assert not (await room.look(seen(alert(), silenced_by=["s-1"]))).adopted
        assert len(await room.groups()) == 1


async def test_while_the_api_is_silent_a_webhook_that_cannot_be_late_is_believed(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.hook(alert(ends_at=END))
        await room.store.lost_sight(room.clock())
        room.clock.advance(minutes=4)
        await room.hook(alert(value="95"))
        assert await states(room) == {"i-0a1": "resolved"}
        room.clock.advance(minutes=2)
        await room.hook(alert(value="96"))
        assert await states(room) == {"i-0a1": "firing"}


# ---- when nobody answers -------------------------------------------------------------------------------------------


async def test_while_the_api_is_silent_cards_say_since_when_and_ends_are_in_doubt(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert("i-1", name="One"), key="one")
        await room.hook(alert("i-2", name="Two"), key="two")
        await room.hook(alert("i-3", name="Three"), key="three")
        await room.hook(alert("i-3", name="Three", ends_at=END), key="three")
        await room.look(seen(alert("i-1", name="One")), seen(alert("i-2", name="Two")))
        since = room.clock()
        assert await room.store.lost_sight(since) and not await room.store.lost_sight(room.clock())
        await room.hook(alert("i-2", name="Two", ends_at=END), key="two")
        one, two, three = await room.groups()
        assert [group.unconfirmed_since for group in (one, two, three)] == [since, since, None]
        assert [group.in_doubt for group in (one, two, three)] == [False, True, False]
        wanted = [await room.wanted(group.card_key) for group in (one, two, three)]
        await room.look(seen(alert("i-1", name="One")))
        assert await room.store.confirmed(room.clock()) and not await room.store.confirmed(room.clock())
        assert [group.unconfirmed_since for group in await room.groups()] == [None, None, None]
        redrawn = [await room.wanted(group.card_key) for group in (one, two, three)]
        assert [after > before for before, after in zip(wanted, redrawn, strict=True)] == [True, True, False]


async def test_prometheus_alone_adds_what_is_new_and_ends_nothing(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.store.lost_sight(room.clock())
        fresh = alert("i-9", name="Fresh", severity="critical", starts_at=room.clock())
        observed = await room.look_twice(seen(fresh), source=PROMETHEUS)
        assert observed == Observed()
        old, new = await room.groups()
        assert old.open and new.open
        assert (new.title, new.channel, new.environment) == ("Fresh", "alerts-critical", "prod")
        assert new.episodes[0].provisional and not new.episodes[0].confirmed
        assert await room.reasons(new.id) == ["first firing"]


async def test_what_prometheus_told_becomes_alertmanagers_with_its_start(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        room.clock.advance(minutes=1)
        await room.look(seen(alert("i-9", name="Fresh", starts_at=room.clock())), source=PROMETHEUS)
        real = room.clock() + timedelta(minutes=2)
        room.clock.advance(minutes=3)
        await room.hook(alert("i-9", name="Fresh", starts_at=real), key="fresh")
        _, group = await room.groups()
        (episode,) = group.episodes
        assert (episode.provisional, episode.confirmed, episode.starts_at) == (False, True, real.replace(microsecond=0))
        assert group.group_key == "fresh"
        assert await room.reasons(group.id) == ["first firing"]
        await room.hook(alert("i-9", name="Fresh", starts_at=real, ends_at=room.clock()), key="fresh")
        assert not (await room.groups())[1].open


async def test_what_only_prometheus_told_ends_when_alertmanager_does_not_know_it(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.look(seen(alert("i-9", name="Fresh", starts_at=room.clock())), source=PROMETHEUS)
        await room.look_twice()
        assert (await room.only()).episodes[0].state is State.RESOLVED


# ---- the bot's own -------------------------------------------------------------------------------------------------


async def test_the_bots_own_alert_is_no_business_of_the_api(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        labels = {"alertname": "WatchdogLost", "severity": "critical"}
        said = {"summary": "No heartbeat"}
        own = await room.store.raise_own("watchdog", labels, said, room.clock(), channel="ops", role="sre")
        assert await room.store.raise_own("watchdog", labels, said, room.clock(), channel="ops", role="sre") == own
        await room.store.lost_sight(room.clock())
        await room.look_twice()
        group = await room.only()
        assert (group.id, group.own, group.open, group.channel) == (own, True, True, "ops")
        assert group.unconfirmed_since is None
        assert group.ping is not None and group.ping.roles == ("sre",)
        assert await room.store.clear_own("watchdog", room.clock())
        assert not await room.store.clear_own("watchdog", room.clock())
        assert not (await room.only()).open


async def test_a_late_webhook_after_the_api_does_not_change_what_it_said(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        await room.hook(alert())
        await room.look_twice()
        assert await states(room) == {"i-0a1": "resolved"}
        await room.raw(body(alert(), external_url="http://am-2.example.org:9093"))
        assert await states(room) == {"i-0a1": "resolved"}

"""The pinned board of a channel of alerts: what it says of what fires there, within Discord's limit."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from bot.alerts.model import OWN, AlertGroup
from bot.alerts.reading import GroupFilter
from bot.alerts.rota import Turn
from bot.services.outside import ALERTMANAGER, GITHUB, PROMETHEUS, Outside
from bot.ui.board_store import CardRow
from bot.ui.pinned import MARKER as OPS_MARKER
from bot.ui.pinned_alerts import MARKER, PinnedAlerts
from bot.ui.text import CONTENT_LIMIT
from tests.unit.alert_room import NOW, group, many, silence

GUILD, CHANNEL = 7, 5
SINCE = f"<t:{int((NOW - timedelta(minutes=6)).timestamp())}:R>"


class Known:
    """Alerts and cards as the test says."""

    def __init__(self, *groups: AlertGroup) -> None:
        self._groups = groups
        self.turn: Turn | None = None
        self.asked: list[GroupFilter] = []

    async def groups(self, wanted: GroupFilter) -> Sequence[AlertGroup]:
        self.asked.append(wanted)
        return self._groups

    async def heartbeats(self) -> dict[str, datetime]:
        return {"Watchdog": NOW, "Watchdog/prod": NOW, "Retired": NOW - timedelta(days=90)}

    async def on_call(self) -> Turn | None:
        return self.turn

    async def get(self, key: str) -> CardRow | None:
        number = int(key.partition(":")[2])
        message = number * 100 if number < 1000 else None
        return CardRow(key, CHANNEL, message, "", 1, 1, 20, None, 0, {})


@pytest.fixture
def outside() -> Outside:
    found = Outside(["prod"])
    for part in (ALERTMANAGER, PROMETHEUS):
        found.heard(part)
    return found


async def told(known: Known, outside: Outside) -> str:
    board = PinnedAlerts(
        CHANNEL, alerts=known, cards=known, outside=outside, guild_id=GUILD, heartbeats=["Watchdog", "Watchdog/dev"]
    )
    return await board.text()


async def test_that_nothing_fires_is_said_with_its_age_and_who_would_be_called(outside: Outside) -> None:
    known = Known()
    known.turn = Turn("sre", NOW, NOW + timedelta(days=3))
    before = int(datetime.now(UTC).timestamp())
    said = await told(known, outside)
    assert said.startswith("**On watch** · nothing fires here\non call: sre until ")
    assert MARKER.search(said)
    assert not OPS_MARKER.search(said), "where both stand in one channel, neither is taken for the other"
    alive = f"-# Alertmanager live · Prometheus live · Watchdog heard <t:{int(NOW.timestamp())}:R>"
    assert f"{alive} · Watchdog/dev *not heard yet*\n" in said, "the configured ones, each once"
    assert any(f"as of <t:{at}:R>. Older than 5 min: the bot is dead" in said for at in range(before, before + 5))
    assert [(one.channel_id, one.state) for one in known.asked] == [(CHANNEL, "open")]


async def test_what_waits_comes_first_then_what_is_taken_and_what_is_silenced(outside: Outside) -> None:
    quiet = partial(group, firing=1, suppressed=1, silences=(silence(),))
    said = await told(
        Known(
            quiet(id=3),
            group(id=4, acked_by="dev", unacked_since=None),
            many(3, id=5, flaps=4, flapping_until=NOW),
            group(id=6, acked_by="dev"),
            group(id=7, unacked_since=None),
        ),
        outside,
    )
    until = f"until <t:{int((NOW + timedelta(hours=1)).timestamp())}:R>"
    lines = said.splitlines()
    assert lines[0] == "**On watch** · 5 groups, 2 waiting for somebody"
    at = f"https://discord.com/channels/{GUILD}/{CHANNEL}"
    assert lines[1:10] == [
        "**waiting for somebody**",
        f"[A5]({at}/500) warning StormAlert005 - prod · 3 of 3 · {SINCE} · flapping 4x",
        f"[A6]({at}/600) critical HighCPUUsage - prod · {SINCE} · dev had it",
        "**taken**",
        f"[A4]({at}/400) critical HighCPUUsage - prod · {SINCE} · dev has it",
        "**to know of**",
        f"[A7]({at}/700) critical HighCPUUsage - prod · {SINCE}",
        "**silenced**",
        f"[A3]({at}/300) critical HighCPUUsage - prod · {SINCE} · {until}",
    ]


async def test_what_nobody_can_confirm_and_who_does_not_answer_is_said(outside: Outside) -> None:
    for _ in range(2):
        outside.silent(ALERTMANAGER, "no connection")
        outside.silent(GITHUB, "no connection")
    own = group(id=8, group_key=f"{OWN}HeartbeatLost", unconfirmed_since=NOW - timedelta(days=1))
    said = await told(Known(own, group(unconfirmed_since=NOW)), outside)
    assert f"! *unconfirmed* since <t:{int(NOW.timestamp())}:R>: Alertmanager cannot be asked" in said
    assert "**Alertmanager DOWN** since" in said
    assert "GitHub" not in said, "that is for the board of the ops channel"


async def test_a_storm_of_hostile_names_stays_within_one_message_and_inert(outside: Outside) -> None:
    storm = [
        group(
            id=number, title="@everyone **approved** [x](https://evil.example)" * 3, severity="@here", acked_by="<@1>"
        )
        for number in range(990, 1190)
    ]
    said = await told(Known(*storm), outside)
    assert len(said) <= CONTENT_LIMIT
    assert "200 groups or more, 200 waiting" in said
    assert "more lines: /alerts list" in said
    assert said.rstrip().endswith("Ask Alertmanager itself what fires.")
    assert all(bad not in said for bad in ("@everyone", "@here", "<@1>", "**approved", "](https://evil"))
    assert "[A990](https://discord.com/" in said


async def test_many_heartbeats_leave_room_for_what_fires_and_for_the_age(outside: Outside) -> None:
    known = Known(group(id=9))
    beats = [f"Watchdog/{'environment' * 8}{number}" for number in range(60)]
    board = PinnedAlerts(CHANNEL, alerts=known, cards=known, outside=outside, guild_id=GUILD, heartbeats=beats)
    said = await board.text()
    assert "[A9](" in said
    assert "and 56 more heartbeats" in said
    assert "the bot is dead" in said

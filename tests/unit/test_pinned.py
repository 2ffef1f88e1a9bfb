"""The pinned board of the ops channel: what it says, within Discord's limit."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.alerts.model import FiringCount
from bot.alerts.rota import Turn
from bot.ops.model import Operation, Status
from bot.ops.store import Lock
from bot.services.outside import AWS, GATEWAY, GITHUB, HOST, Outside
from bot.services.running import Running
from bot.services.status import EnvironmentStatus, Firing, Overview, ServiceStatus
from bot.ui.pinned import MARKER, PinnedBoard
from bot.ui.standings import concerning, down_lines, foot_line
from bot.ui.text import CONTENT_LIMIT
from tests.unit.engine_room import Clock
from tests.wire.deploy_room import operation

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
LIVE = Running(
    commit="4f1c2a9" + "0" * 33, image="i", known="live", healthy=True, since=NOW - timedelta(days=2), by="dev",
    operation_id=5, by_hand=False,
)  # fmt: skip


class Sight:
    """A status service that sees what the test says."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.environments: list[EnvironmentStatus] = []

        self.firing: Firing | None = None

    async def overview(self, actor: object) -> Overview:
        assert actor is None, "the board is nobody's in particular"
        return Overview(NOW, tuple(self.environments), (), self.outside.standings(), (), firing=self.firing)


def environment(name: str, *running: Running, going_on: tuple[Operation, ...] = ()) -> EnvironmentStatus:
    services = tuple(
        ServiceStatus(f"app{number or ''}", one, None, "", deployable=True, seen_at=NOW if one.commit else None)
        for number, one in enumerate(running)
    )
    return EnvironmentStatus(name, services, going_on, (), NOW, NOW)


@pytest.fixture
def outside() -> Outside:
    clock = Clock()
    found = Outside(["dev", "prod"], now=clock)
    for standing in found.standings():
        found.heard(standing.part)
    return found


def down(outside: Outside, part: str, why: str = "no connection") -> None:
    for _ in range(2):
        outside.silent(part, why)


async def text(outside: Outside, *environments: EnvironmentStatus) -> str:
    sight = Sight(outside)
    sight.environments = list(environments)
    return await PinnedBoard(sight, outside, now=lambda: NOW).text()


async def test_it_says_what_runs_where_and_how_the_parts_stand(outside: Outside) -> None:
    said = await text(outside, environment("prod", LIVE), environment("dev", LIVE))
    assert MARKER.search(said)
    assert "all quiet" in said
    assert "**prod** app `4f1c2a9` *live*, healthy, since <t:" in said
    assert "Discord live · GitHub live · AWS live · host dev live · host prod live" in said
    assert f"as of <t:{int(NOW.timestamp())}:R>" in said
    assert "Older than 5 min: the bot is dead" in said


async def test_it_says_what_fires_where_who_is_on_call_and_what_nobody_can_confirm(outside: Outside) -> None:
    sight = Sight(outside)
    sight.environments = [environment("dev", LIVE), environment("prod", LIVE)]
    counts = {("prod", "app"): FiringCount(2, 1, "critical"), ("", ""): FiringCount(1, 0, "warning")}
    sight.firing = Firing(counts, NOW, ("warning", "critical"))

    async def on_call() -> Turn:
        return Turn("sre", NOW, NOW + timedelta(days=3))

    said = await PinnedBoard(sight, outside, on_call=on_call, now=lambda: NOW).text()
    assert "**dev** no alert fires · **prod** 2 firing, 1 of them silenced, worst critical" in said
    assert "**elsewhere** 1 firing, worst warning" in said
    assert f"on call: sre until <t:{int((NOW + timedelta(days=3)).timestamp())}:f>" in said
    assert f"alerts *unconfirmed* since <t:{int(NOW.timestamp())}:R>" in said
    assert "alerts" not in await text(outside, environment("dev", LIVE)), "without [alerts] nothing is said of them"


async def test_it_names_what_runs_waits_and_needs_a_human(outside: Outside) -> None:
    going_on = (
        operation(id=4, status=Status.RUNNING), operation(id=5, status=Status.PENDING),
        operation(id=6, status=Status.INTERRUPTED), operation(id=7, status=Status.APPROVED),
    )  # fmt: skip
    said = await text(outside, environment("dev", LIVE, going_on=going_on))
    assert "runs: #4 · in the queue: #7 · to approve: #5 · needs a human: #6" in said


async def test_an_old_figure_is_stale_with_its_age_and_a_missing_one_unknown(outside: Outside) -> None:
    stale = Running("9a2e07d" + "0" * 33, "i", "recorded", False, NOW, "dev", 3, by_hand=False)
    nothing = Running("", "", "unknown", False, None, "", None, by_hand=False)
    said = await text(outside, environment("dev", stale, nothing))
    assert f"app `9a2e07d` *stale*, seen <t:{int(NOW.timestamp())}:R>; does not answer" in said
    assert "app1 *unknown*" in said


async def test_a_part_that_is_down_and_one_that_was_away_are_said(outside: Outside) -> None:
    down(outside, AWS)
    clock = outside._now
    assert isinstance(clock, Clock)
    clock.advance(seconds=30)
    outside.heard(AWS)
    down(outside, GITHUB)
    said = await text(outside, environment("dev", LIVE))
    assert "**GitHub DOWN** since <t:" in said
    assert "a rollback works" in said
    assert "AWS was away <t:" in said
    assert "GitHub stale, heard <t:" in said


async def test_it_stays_within_one_message_however_much_there_is(outside: Outside) -> None:
    for standing in outside.standings():
        down(outside, standing.part, "x" * 400)
    locks = tuple(Lock(f"dev/{'s' * 60}{n}", n, NOW) for n in range(30))
    many = EnvironmentStatus("dev", environment("dev", *[LIVE] * 60).services, (), locks, NOW, NOW)
    said = await text(outside, many)
    assert len(said) <= CONTENT_LIMIT
    assert "more lines" in said
    assert "Older than 5 min" in said


def test_a_card_tells_only_of_parts_that_concern_it_and_of_none_once_it_is_over(outside: Outside) -> None:
    for part in (GITHUB, f"{HOST}dev", f"{HOST}prod"):
        down(outside, part)
    running = concerning(operation(status=Status.RUNNING), outside.down())
    assert [line.split("**")[1] for line in running] == ["GitHub DOWN", "The host of dev DOWN"]
    assert concerning(operation(status=Status.SUCCEEDED), outside.down()) == ()


def test_foreign_words_of_a_reason_are_inert_and_the_gateway_is_named_only_in_trouble(outside: Outside) -> None:
    assert "gateway" not in foot_line(outside.standings())
    down(outside, GATEWAY, "**approved** by @everyone")
    lines = down_lines(outside.standings())
    assert lines[1].startswith("> ")
    assert "@everyone" not in lines[1]
    assert "**approved" not in lines[1]
    assert "gateway" in foot_line(outside.standings())

"""How the outside stands: from what was heard and what was not, with ages, and asked gently."""

import asyncio
from datetime import timedelta

import pytest

from bot.errors import Unavailable
from bot.services.outside import (
    ALERTMANAGER,
    AWS,
    GATEWAY,
    GITHUB,
    NOTED_OUTAGE,
    PROMETHEUS,
    STALE_AFTER,
    Outside,
    Prober,
    Standing,
    State,
)  # fmt: skip
from tests.unit.engine_room import Clock

WHY = "GitHub cannot be reached: no connection."


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outside(clock: Clock) -> Outside:
    return Outside(["dev", "prod"], now=clock)


def test_a_part_that_was_never_heard_is_unknown_and_not_down(outside: Outside) -> None:
    assert outside.of(GITHUB).state is State.UNKNOWN
    assert outside.troubles() == ()


def test_one_lost_answer_makes_figures_stale_and_is_no_outage_yet(outside: Outside) -> None:
    outside.heard(GITHUB)
    assert outside.of(GITHUB).state is State.LIVE
    outside.silent(GITHUB, WHY)
    assert (outside.of(GITHUB).state, outside.of(GITHUB).down) == (State.STALE, False)


def test_a_part_that_is_down_gives_a_sentence_with_its_ages_and_what_that_means(outside: Outside, clock: Clock) -> None:
    outside.heard(GITHUB)
    clock.advance(seconds=20)
    outside.silent(GITHUB, WHY)
    outside.silent(GITHUB, WHY)
    clock.advance(minutes=5)
    (sentence,) = outside.troubles()
    assert sentence == (
        "GitHub DOWN since 12:00 UTC (5 min), last heard 5 min ago: "
        f"no builds and no new deploys; a rollback works. {WHY}"
    )


def test_a_part_that_was_never_heard_and_fails_says_so(outside: Outside) -> None:
    for _ in range(2):
        outside.silent(AWS, "AWS SSM cannot be reached (ConnectionError).")
    assert "not heard before" in outside.troubles()[0]


def test_silence_counts_from_its_first_moment_and_ends_with_the_first_answer(outside: Outside, clock: Clock) -> None:
    outside.silent(GITHUB, WHY)
    since = clock()
    clock.advance(minutes=1)
    outside.silent(GITHUB, "GitHub answered 503.")
    assert (outside.of(GITHUB).silent_since, outside.of(GITHUB).why) == (since, "GitHub answered 503.")
    outside.heard(GITHUB)
    assert outside.of(GITHUB) == Standing(GITHUB, State.LIVE, clock())


def test_without_a_word_for_long_a_figure_is_stale_though_nothing_failed(outside: Outside, clock: Clock) -> None:
    outside.heard(GITHUB)
    clock.advance(seconds=STALE_AFTER.total_seconds() + 1)
    assert (outside.of(GITHUB).state, outside.troubles()) == (State.STALE, ())


def test_who_listens_is_told_once_when_a_part_goes_and_once_when_it_is_back(outside: Outside) -> None:
    told: list[tuple[str, bool]] = []
    outside.on_change(lambda standing: told.append((standing.part, standing.down)))
    for _ in range(4):
        outside.silent("host prod", "AWS does not hear the agent of that host.")
    for _ in range(2):
        outside.heard("host prod")
    assert told == [("host prod", True), ("host prod", False)]


def test_an_outage_that_is_over_is_remembered_unless_it_was_a_hiccup(outside: Outside, clock: Clock) -> None:
    for length in (NOTED_OUTAGE / 2, timedelta(minutes=3)):
        outside.silent(GATEWAY, "cut")
        outside.silent(GATEWAY, "cut")
        clock.advance(seconds=length.total_seconds())
        outside.heard(GATEWAY)
    (outage,) = outside.outages
    assert (outage.part, outage.until - outage.since) == (GATEWAY, timedelta(minutes=3))


def test_every_part_has_a_name_and_says_what_its_silence_means(outside: Outside) -> None:
    assert [(s.name, bool(s.means)) for s in outside.standings()] == [
        ("Discord", True), ("Discord's gateway", True), ("GitHub", True), ("AWS", True), ("the host of dev", True),
        ("the host of prod", True),
    ]  # fmt: skip


class Part:
    """Something to probe: answers, refuses or hangs."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.asked = 0
        self.answers = True

    async def probe(self) -> None:
        self.asked += 1
        if not self.answers:
            self.outside.silent(GITHUB, WHY)
            raise Unavailable("github", WHY)
        self.outside.heard(GITHUB)


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_silent_part_is_asked_again_and_again_until_it_is_back(outside: Outside) -> None:
    part = Part(outside)
    part.answers = False
    prober = Prober(outside, {GITHUB: part.probe}, pause_s=60, silent_pause_s=0.01, first_after_s=0)
    await prober.start()
    await until(lambda: outside.of(GITHUB).down)
    part.answers = True
    await until(lambda: outside.of(GITHUB).state is State.LIVE)
    asked = part.asked
    await asyncio.sleep(0.1)
    await prober.close()
    assert part.asked == asked, "a part that was heard a moment ago is left alone"


async def test_a_part_that_others_hear_is_not_asked_at_all(outside: Outside, clock: Clock) -> None:
    part = Part(outside)
    outside.heard(GITHUB)
    prober = Prober(outside, {GITHUB: part.probe}, pause_s=60, silent_pause_s=0.01, first_after_s=0)
    await prober.start()
    await asyncio.sleep(0.1)
    assert part.asked == 0
    clock.advance(seconds=61)
    await until(lambda: part.asked == 1)
    await prober.close()


def test_parts_that_only_some_installations_have_stand_beside_the_others():
    found = Outside(["dev"], beside=(ALERTMANAGER, PROMETHEUS))
    assert [one.part for one in found.standings()] == [
        "discord", "gateway", "github", "aws", "alertmanager", "prometheus", "host dev",
    ]  # fmt: skip
    found.silent(ALERTMANAGER, "No connection.")
    (told,) = found.troubles()
    assert told.startswith("Alertmanager DOWN since ")
    assert "nothing can be silenced" in told

"""Where alerts go, whom they call, when they flap and who is on call: the pure rooms, at their borders."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise, product

import pytest

from bot.alert_settings import FlappingSettings, OncallSettings, QuietHours, RouteSettings
from bot.alerts import pings, weather
from bot.alerts.model import Matcher, Override, Reason
from bot.alerts.pings import Change, held_until, reason_to_call
from bot.alerts.rota import on_call, upcoming
from bot.alerts.routes import Routes, fits, matcher, matchers
from bot.errors import Misconfigured, Refused

NOON = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
SEVERITIES = ("none", "info", "warning", "critical")


# ---- matchers and routes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [".*(?i)prod", r"\pL+", r"pro\z", r"\C", "(?U)p.*", "a{99999999999999999999}", "(" * 9000]
)
def test_a_regular_expression_that_only_go_knows_holds_nothing_back(text: str) -> None:
    for is_equal in (True, False):
        assert not fits({"environment": "prod"}, [Matcher("environment", text, is_regex=True, is_equal=is_equal)])


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('severity="critical"', Matcher("severity", "critical")),
        (" severity = critical ", Matcher("severity", "critical")),
        ('job!="node"', Matcher("job", "node", is_equal=False)),
        ('job=~"node.*|app"', Matcher("job", "node.*|app", is_regex=True)),
        ("job!~node", Matcher("job", "node", is_regex=True, is_equal=False)),
        ('a=""', Matcher("a", "")),
        ("a=", Matcher("a", "")),
        (r'a="say \"hi\"\\ \n"', Matcher("a", 'say "hi"\\ \n')),
    ],
)
def test_a_matcher_is_read_and_written_as_alertmanager_does(text: str, read: Matcher) -> None:
    assert matcher(text) == read
    assert matcher(str(read)) == read


@pytest.mark.parametrize("text", ["", "severity", '="x"', '1a="x"', 'a=~"("', 'a b="c"'])
def test_what_is_no_matcher_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(Refused, match="is no "):
        matcher(text)


def test_several_matchers_may_stand_in_braces_with_commas_inside_quotes() -> None:
    found = matchers('{alertname="A,B", job=~"x{1,2}"\nteam=web,}')
    assert found == (Matcher("alertname", "A,B"), Matcher("job", "x{1,2}", is_regex=True), Matcher("team", "web"))
    assert matchers(" ") == ()


def test_an_absent_label_is_an_empty_one_and_expressions_match_the_whole_value() -> None:
    labels = {"job": "node-exporter", "text": "a\nb"}
    for text, expected in (
        ("job=~node", False),
        ("job=~node.*", True),
        ("job!~node", True),
        ("team=", True),
        ("team!=", False),
        ("team=~.*", True),
        ("team=~.+", False),
        ("text=~a.b", True),
    ):
        assert fits(labels, [matcher(text)]) is expected, text
    assert fits(labels, [])


def test_the_first_route_that_fits_takes_it_and_the_last_takes_the_rest() -> None:
    routes = Routes(
        [
            RouteSettings(name="db", matchers=("team=db", "severity=critical"), channel="db", anew_after_s=0),
            RouteSettings(name="loud", matchers=("severity=critical",), channel="loud"),
            RouteSettings(name="default", channel="rest"),
        ],
        anew_after_s=1800,
        ack_reminder_s=60,
    )
    assert routes.of({"team": "db", "severity": "critical"}).name == "db"
    assert routes.of({"severity": "critical"}).name == "loud"
    assert routes.of({"team": "db"}).channel == "rest"
    assert (routes.named("db").anew_after_s, routes.named("loud").anew_after_s) == (0, 1800)
    assert routes.named("gone").name == "default"


def test_a_matcher_of_the_file_that_is_none_is_said_with_its_route() -> None:
    broken = RouteSettings(name="db", matchers=('job=~"("',), channel="db")
    with pytest.raises(Misconfigured, match="the route db: `\\(` is no regular expression"):
        Routes([broken, RouteSettings(name="default", channel="rest")], anew_after_s=0, ack_reminder_s=60)
    with pytest.raises(Misconfigured, match="must fit everything"):
        Routes([broken], anew_after_s=0, ack_reminder_s=60)


# ---- whom a change calls -------------------------------------------------------------------------------------------


def test_every_change_calls_for_the_reason_of_its_table_and_nothing_that_is_silenced_calls() -> None:
    for opened, before, first, again, worse, joined, flapping, quiet in product((False, True), repeat=8):
        found = reason_to_call(Change(opened, before, first, again, worse, joined, flapping, quiet))
        if quiet:
            expected = None
        elif opened:
            expected = Reason.REFIRED if before else Reason.FIRST
        elif first or again:
            expected = Reason.FIRST if first else Reason.REFIRED
        elif worse:
            expected = Reason.SEVERITY
        else:
            expected = Reason.JOINED if joined and not flapping else None
        assert found == expected


def test_severities_are_ordered_by_the_settings_and_unknown_ones_are_the_least() -> None:
    assert pings.worst(["info", "critical", "warning"], SEVERITIES) == "critical"
    assert pings.worst(["loud", "none"], SEVERITIES) == "none"
    assert pings.worst([], SEVERITIES) == ""


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("21:59:59", None),
        ("22:00", "2026-08-02T07:00"),
        ("23:30", "2026-08-02T07:00"),
        ("00:00", "2026-08-01T07:00"),
        ("06:59:59", "2026-08-01T07:00"),
        ("07:00", None),
        ("12:00", None),
    ],
)
def test_quiet_hours_over_midnight_end_in_the_morning(at: str, until: str | None) -> None:
    hours = QuietHours(starts=time(22), ends=time(7))
    now = datetime.fromisoformat(f"2026-08-01T{at}+00:00")
    expected = None if until is None else datetime.fromisoformat(f"{until}+00:00")
    assert held_until(hours, now, severity="warning", severities=SEVERITIES) == expected
    assert held_until(hours, now, severity="critical", severities=SEVERITIES) is None
    assert held_until(None, now, severity="warning", severities=SEVERITIES) is None


def test_quiet_hours_are_those_of_their_zone() -> None:
    hours = QuietHours(starts=time(12), ends=time(14), zone="Europe/Berlin")
    at = datetime(2026, 8, 1, 11, 30, tzinfo=UTC)
    assert held_until(hours, at, severity="", severities=SEVERITIES) == datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
    assert held_until(hours, at + timedelta(minutes=30), severity="", severities=SEVERITIES) is None


# ---- flapping ------------------------------------------------------------------------------------------------------


def test_three_firings_within_the_span_are_flapping_and_older_ones_do_not_count() -> None:
    settings = FlappingSettings(cycles=3, within_s=1800, calm_s=600)
    moments = [NOON - timedelta(minutes=minutes) for minutes in (30, 29, 10, 0)]
    found = weather.weather(moments, NOON, settings)
    assert (found.flaps, found.flapping_until) == (3, NOON + timedelta(minutes=10))
    assert weather.weather(moments[1:3], NOON, settings).calm
    assert weather.weather([*moments[:2], NOON + timedelta(seconds=1)], NOON, settings).calm
    assert weather.is_over(found.flapping_until, NOON + timedelta(minutes=10))
    assert not weather.is_over(found.flapping_until, NOON + timedelta(minutes=9, seconds=59))
    assert not weather.is_over(None, NOON)


# ---- the rota ------------------------------------------------------------------------------------------------------

ROTA = OncallSettings(
    rota=("ann", "bob", "cid"), starts_at=datetime(2026, 8, 3, 7, 0, tzinfo=UTC), zone="Europe/Berlin"
)


def override(number: int, person: str, start_h: float, end_h: float) -> Override:
    begun = ROTA.starts_at
    return Override(
        number, person, begun + timedelta(hours=start_h), begun + timedelta(hours=end_h), "ann",
        begun + timedelta(seconds=number),
    )  # fmt: skip


def test_turns_go_round_at_the_same_local_hour_although_the_clocks_change() -> None:
    assert on_call(ROTA, (), ROTA.starts_at - timedelta(seconds=1)) is None
    assert on_call(None, (), NOON) is None
    turns = upcoming(ROTA, (), ROTA.starts_at, turns=14)
    assert [turn.person for turn in turns[:4]] == ["ann", "bob", "cid", "ann"]
    assert all(turn.ends_at == after.starts_at for turn, after in pairwise(turns))
    # Summer time ends on 25 October 2026.
    assert {turn.starts_at.hour for turn in turns if turn.starts_at.month < 10} == {7}
    assert {turn.starts_at.hour for turn in turns if turn.starts_at.month == 11} == {8}


def test_every_moment_of_a_year_belongs_to_exactly_one_turn() -> None:
    for hours in range(0, 366 * 24, 5):
        at = ROTA.starts_at + timedelta(hours=hours)
        turn = on_call(ROTA, (), at)
        assert turn is not None and turn.starts_at <= at < turn.ends_at
        assert abs((turn.ends_at - turn.starts_at) - timedelta(days=7)) <= timedelta(hours=1)


def test_overrides_cut_the_turns_and_the_newest_wins_while_it_holds() -> None:
    overrides = [override(1, "bob", 10, 30), override(2, "cid", 20, 25), override(3, "ann", 50, 50)]
    turns = upcoming(ROTA, overrides, ROTA.starts_at, turns=6)
    begun = ROTA.starts_at
    assert [(turn.person, (turn.starts_at - begun) / timedelta(hours=1)) for turn in turns] == [
        ("ann", 0), ("bob", 10), ("cid", 20), ("bob", 25), ("ann", 30), ("bob", 168),
    ]  # fmt: skip
    assert [turn.override.id if turn.override else 0 for turn in turns] == [0, 1, 2, 1, 0, 0]


def test_without_a_rota_only_overrides_put_somebody_on_call() -> None:
    overrides = [override(1, "bob", 1, 2), override(2, "cid", 5, 6)]
    turns = upcoming(None, overrides, ROTA.starts_at, turns=5)
    assert [turn.person for turn in turns] == ["bob", "cid"]


def test_a_name_that_is_no_plain_word_stands_in_quotes_and_is_written_so_again() -> None:
    read = matchers('"service.name"="a,b", "odd \\"one\\""=~"x.*", job="api"')
    assert [(one.name, one.value) for one in read] == [("service.name", "a,b"), ('odd "one"', "x.*"), ("job", "api")]
    assert matchers(", ".join(map(str, read))) == read
    assert fits({"service.name": "a,b", 'odd "one"': "xy", "job": "api"}, read)
    with pytest.raises(Refused):
        matcher('service.name="x"')


@pytest.mark.parametrize(
    "text", ["(a+)+", "(a|aa)*b", "((a*)b?)+", "(?:x.*){2,}", "(?:a|a)+", ".*.*.*.*.*x", "([a-z]+)*", "(a{2,}){3,9}"]
)
def test_what_could_take_for_ever_to_compare_is_refused_and_meets_nothing(text: str) -> None:
    with pytest.raises(Refused):
        matcher(f'instance=~"{text}"')
    for is_equal in (True, False):
        assert not fits({"instance": "a" * 60 + "!"}, [Matcher("instance", text, is_regex=True, is_equal=is_equal)])


@pytest.mark.parametrize(
    "text",
    [
        "web-.*|db-.*|cache-.*|queue-.*|mail-.*",
        "node[0-9]+",
        "(web|db)-[0-9]+",
        r"10\.\d+\.\d+\.\d+",
        "[(a+)+]*",
        "(?i:x)y?",
    ],
)
def test_what_is_written_every_day_is_compared(text: str) -> None:
    assert matcher(f"instance=~{text}").value == text

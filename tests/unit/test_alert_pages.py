"""Private answers about alerts: figures of the past, silences, who is on call, in words and as bars."""

from datetime import UTC, datetime, timedelta

from bot.alert_settings import OncallSettings
from bot.alerts.model import AlertGroup, Matcher, NameFigures, Override, Silence, SilenceKind, Statistics
from bot.alerts.rota import upcoming
from bot.ui.alert_pages import (
    group_line,
    groups_text,
    noise_chart,
    on_call_text,
    silences_text,
    statistics_text,
)
from bot.ui.text import DISPLAY_LIMIT
from tests.hostile import TEXTS, effects, lines_with

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def group(number: int = 17, **changes: object) -> AlertGroup:
    values: dict[str, object] = {
        "id": number, "group_key": "{}:{}", "receiver": "bot", "channel": "alerts", "route": "default",
        "environment": "prod", "service": "app", "severity": "critical", "title": "HighCPUUsage", "group_labels": {},
        "common_labels": {}, "common_annotations": {}, "external_url": "", "opened_at": NOW - HOUR,
        "fired_at": NOW - HOUR, "updated_at": NOW, "firing": 2, "members": 5, "unacked_since": NOW - HOUR,
    }  # fmt: skip
    return AlertGroup(**{**values, **changes})  # type: ignore[arg-type]


def silence(**changes: object) -> Silence:
    values: dict[str, object] = {
        "am_id": "0a1b2c3d-1111-2222-3333-444455556666", "person": "sre", "kind": SilenceKind.SILENCE,
        "matchers": (Matcher("alertname", "HighCPUUsage"), Matcher("environment", "pr.*", is_regex=True)),
        "starts_at": NOW - HOUR, "ends_at": NOW + HOUR, "comment": "known",
    }  # fmt: skip
    return Silence(**{**values, **changes})  # type: ignore[arg-type]


def figures(name: str, episodes: int, **changes: object) -> NameFigures:
    values: dict[str, object] = {"acked": 0, "ended": 0, "mtta_s": None, "mttr_s": None, "flaps": 0}
    return NameFigures(name, episodes, **{**values, **changes})  # type: ignore[arg-type]


def statistics(*names: NameFigures, days: int = 7, **changes: object) -> Statistics:
    values: dict[str, object] = {
        "since": NOW - timedelta(days=days), "until": NOW, "names": names, "days": (), "pings": 4,
        "episodes": sum(one.episodes for one in names), "mtta_s": None, "mttr_s": None,
        "flaps": sum(one.flaps for one in names),
    }  # fmt: skip
    return Statistics(**{**values, **changes})  # type: ignore[arg-type]


def test_a_group_is_one_line_that_says_who_has_it() -> None:
    assert group_line(group(), "[card](url)") == (
        "**CRITICAL** A17 [2 firing / 5] HighCPUUsage - prod · since <t:1795460400:R> · nobody has it · [card](url)"
    )
    assert "dev has it" in group_line(group(acked_by="dev", unacked_since=None))
    assert "dev had it · more since then, which nobody has" in group_line(group(acked_by="dev"))
    assert "nobody has it" not in group_line(group(suppressed=2))
    assert group_line(group(firing=0, closed_at=NOW, unacked_since=None)).startswith("**RESOLVED** A17 [0 firing / 5]")
    flapping = group(unacked_since=None, flapping_until=NOW, flaps=5, unconfirmed_since=NOW)
    assert group_line(flapping).endswith("flapping 5x · unconfirmed")


def test_a_list_counts_what_may_not_be_seen_and_never_says_none_where_something_is_hidden() -> None:
    assert groups_text("0 groups firing", [], {}, hidden=0, limit=DISPLAY_LIMIT).endswith("\nnone")
    told = groups_text("0 groups firing", [], {}, hidden=2, limit=DISPLAY_LIMIT)
    assert "none" not in told
    assert told.endswith("2 more groups you may not see.")
    many = groups_text("many", [group(n) for n in range(200)], {}, hidden=0, limit=DISPLAY_LIMIT)
    assert len(many) < DISPLAY_LIMIT
    assert "more" in many.splitlines()[-1]


def test_silences_name_who_why_what_and_until_when() -> None:
    elsewhere = silence(kind=SilenceKind.FOREIGN, person="amtool", ends_at=NOW + 2 * HOUR, comment="")
    kept = silence(kind=SilenceKind.UNTIL_RESOLVED)
    planned = silence(kind=SilenceKind.MAINTENANCE, starts_at=NOW + HOUR, ends_at=NOW + 3 * HOUR)
    told = silences_text("Silences", [planned, elsewhere, kept], NOW, hidden=1, limit=DISPLAY_LIMIT)
    assert told.splitlines() == [
        "**Silences**",
        "`0a1b2c3d` by sre, until it resolves",
        'alertname="HighCPUUsage", environment=\\~"pr.\\*"',
        "-# known",
        "`0a1b2c3d` by amtool (made elsewhere), until <t:1795471200:f> (<t:1795471200:R>)",
        'alertname="HighCPUUsage", environment=\\~"pr.\\*"',
        "`0a1b2c3d` by sre, begins <t:1795467600:f>, ends <t:1795474800:f>",
        'alertname="HighCPUUsage", environment=\\~"pr.\\*"',
        "-# known",
        "1 more you may not see.",
    ]


def test_what_was_not_measured_is_no_zero() -> None:
    told = statistics_text(statistics(figures("Quiet", 3)), DISPLAY_LIMIT)
    assert "taken after –, over after – (means)" in told
    assert "3x Quiet · taken after – · over after – · 0 flaps a week" in told
    assert "none" not in told


def test_the_noisiest_come_with_means_of_how_many_and_flaps_a_week() -> None:
    noisy = figures("HighCPUUsage", 12, acked=3, ended=11, mtta_s=90.0, mttr_s=3700.0, flaps=6)
    told = statistics_text(statistics(noisy, figures("LowDiskSpace", 2), days=28, mtta_s=90.0), DISPLAY_LIMIT)
    assert "14 alerts fired, people were called 4 times" in told
    assert "12x HighCPUUsage · taken after 1:30 min (3 of them) · over after 1 h 01 min (11 of them)" in told
    assert "1.5 flaps a week" in told
    assert statistics_text(statistics(noisy, days=2), DISPLAY_LIMIT).endswith("6 flaps")
    assert "without environments" in statistics_text(statistics(noisy), DISPLAY_LIMIT, hidden=True)


def test_the_chart_holds_the_ten_noisiest_and_counts_the_rest() -> None:
    chart = noise_chart(statistics(*(figures(f"Alert{n}", 100 - n) for n in range(14))))
    assert chart.bars[0] == ("Alert0", 100.0)
    assert (len(chart.bars), chart.more) == (10, 4)


def test_who_is_on_call_stands_with_who_comes_next_and_why() -> None:
    rota = OncallSettings(rota=("sre", "sre2"), starts_at=NOW - timedelta(days=3), turn_days=7, zone="Europe/Berlin")
    override = Override(4, "dev", NOW + HOUR, NOW + 3 * HOUR, by="owner", created_at=NOW, reason="dentist")
    told = on_call_text(upcoming(rota, [override], NOW, turns=3), NOW, overrides=[override], zone=rota.zone)
    assert told.splitlines() == [
        "sre is on call until <t:1795467600:f>",
        "from <t:1795467600:f> dev, set by owner: dentist",
        "from <t:1795474800:f> sre",
        "**overrides**",
        "`4` dev <t:1795467600:f> to <t:1795474800:f>, by owner: dentist",
        "-# the rota's days are those of Europe/Berlin",
    ]
    assert on_call_text([], NOW, overrides=[], zone="").splitlines()[0] == "Nobody is on call now."


def test_no_text_from_outside_takes_effect_in_any_list() -> None:
    found: list[str] = []
    ours = (
        r"^\*\*[A-Z]+\*\* A\d+ \[\d+ firing / \d+\] ",
        r"^`[0-9A-Za-z]*` ",
        r"\*\*(?=[^*]* is on call)",
        r"(?<=\w)\*\*",
    )
    for hostile in TEXTS:
        said = hostile.text
        bad = silence(am_id=said, person=said, comment=said, matchers=(Matcher("alertname", said),))
        override = Override(4, said, NOW - HOUR, NOW + HOUR, by=said, created_at=NOW, reason=said)
        turns = upcoming(None, [override], NOW, turns=1)
        texts = (
            groups_text("x", [group(title=said, environment=said, acked_by=said)], {}, hidden=0, limit=DISPLAY_LIMIT),
            silences_text("x", [bad], NOW, hidden=0, limit=DISPLAY_LIMIT),
            statistics_text(statistics(figures(said, 3)), DISPLAY_LIMIT),
            on_call_text(turns, NOW, overrides=[override], zone=said),
        )
        for text in texts:
            assert len(text) <= DISPLAY_LIMIT
            for line in lines_with(text, hostile):
                found += [f"{hostile.name}: {effect}: {line}" for effect in effects(line, hosts=(), ours=ours)]
    assert found == []

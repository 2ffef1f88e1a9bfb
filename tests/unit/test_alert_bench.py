"""What the bench of alerts counts: known, shown twice, true in the end; and that its table finds its place."""

from pathlib import Path

import pytest

from tests.bench import alert_table
from tests.bench.alert_channel import Channel, is_resolved, most_in_a_window, standing
from tests.bench.alert_storm import Storm
from tests.bench.alert_table import BEGIN, END, Result, keep, markdown


def message(number: int, text: str) -> dict[str, object]:
    return {"id": number, "text": text}


def test_an_alert_that_is_posted_in_a_second_message_is_shown_twice_and_its_end_is_not() -> None:
    channel = Channel()
    channel.take("message.created", message(1, "● storm-00001\n● storm-00002"))
    channel.take("message.updated", message(1, "● storm-00001\n○ storm-00002 resolved"))
    assert channel.known.keys() == {"storm-00001", "storm-00002"} and not channel.twice
    channel.take("message.created", message(2, "resolved: storm-00001"))
    assert not channel.twice
    channel.take("message.created", message(3, "● storm-00002"))
    assert channel.twice == {("storm-00002", "3")}
    assert (channel.posts, channel.edits) == (3, 1)
    channel.gone("3")
    assert standing(channel, ["storm-00002"]) == {"storm-00002": ["● storm-00001\n○ storm-00002 resolved"]}


@pytest.mark.parametrize(
    ("text", "over"),
    [
        ("○ storm-00007 resolved", True),
        ("● storm-00007 since now", False),
        ("storm-00001\nresolved: storm-00007, storm-00008", True),
        ("RESOLVED A1 [0 firing / 1] X\nstorm-00007 (firing)", False),
        ("Alerts Resolved:\nLabels:\n - instance = storm-00007", True),
        ("Alerts Firing:\n - instance = storm-00007\nAlerts Resolved:\n - instance = storm-00008", False),
    ],
)
def test_the_line_of_an_alert_or_its_heading_says_whether_it_is_over(text: str, over: bool) -> None:
    assert is_resolved(text, "storm-00007") is over


def test_429s_are_counted_per_bucket_and_window() -> None:
    assert most_in_a_window([]) == 0
    assert most_in_a_window([("a", 0.0), ("a", 6.0), ("b", 0.5)]) == 1
    assert most_in_a_window([("a", 0.0), ("a", 4.9), ("a", 5.1)]) == 2


def test_a_storm_has_a_thousand_ids_in_a_hundred_groups() -> None:
    storm = Storm.of("normal")
    assert len(storm.groups) == 1000 and len(set(storm.groups.values())) == 100 and len(storm.even) == 500
    assert sorted(set(Storm.of("limits").groups.values())) == list(range(6))


def result(scenario: str, *, known: int = 1000) -> Result:
    return Result(
        scenario=scenario, contender="Quarterdeck", alerts=1000, known=known, untrue=0, posts=9, edits=4, twice=0,
        limited=0, limited_per_window=0, p50_s=62.0, last_s=63.5, outage_s=60.0,
    )  # fmt: skip


def test_a_scenario_that_is_measured_again_replaces_what_was_known_of_it(tmp_path: Path) -> None:
    path, order = tmp_path / "cache" / "measured.json", ["normal", "blip"]
    alert_table.remembered([result("blip", known=7), result("normal")], order, path)
    found = alert_table.remembered([result("blip", known=9)], order, path)
    assert [(one.scenario, one.known) for one in found] == [("normal", 1000), ("blip", 9)]
    assert alert_table.remembered([], order, path) == found


def test_the_table_stands_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    one = result("blip")
    assert one.row()[-2:] == ("63.5", "3.5")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    keep(markdown([one], [("blip", "takes none")]), readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| blip | Quarterdeck | 1,000/1,000 |" in text
    readme.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the markers"):
        keep("x", readme)

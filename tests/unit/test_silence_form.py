"""What is said before a silence is made, and which silences one press on a card may end. Decided from rows alone."""

from dataclasses import replace
from typing import Any

import pytest

from bot.alerts.model import Matcher, SilenceKind
from bot.services.silences import Hits
from bot.ui.silence_form import Asked, hit_lines, made, made_for, of_group, wider_lines
from tests.unit.alert_room import episode, group, resolved, silence

WHOLE = (Matcher("environment", "prod"),)


def test_alerts_of_other_cards_are_never_counted_as_this_cards() -> None:
    shown = group(episode("a"), episode("b"), resolved("c"))
    own, foreign = [one.fingerprint for one in shown.episodes], [f"other-{number}" for number in range(5)]
    met = Hits(5, (("DiskFull", 5),), ("prod",), 0, frozenset(foreign))
    assert hit_lines(met, shown) == ["It meets **nothing of this card**, but 5 other alerts.", "By name: DiskFull 5x"]
    both = Hits(6, (("DiskFull", 5), ("HighCPUUsage", 1)), ("prod",), 0, frozenset([*foreign, own[0]]))
    assert hit_lines(both, shown)[0].startswith("It meets 1 of this card and **5 other alerts**")
    alone = Hits(2, (("HighCPUUsage", 2),), ("prod",), 0, frozenset(own[:2]))
    assert hit_lines(alone, shown) == ["It meets 2 of this card, and nothing else."]


def test_a_label_whose_name_no_matcher_can_be_written_with_does_not_stand_in_the_way() -> None:
    wanted = of_group(group(episode("a", labels={"my.label": "x", "team": "web"})))
    assert "my.label" not in [one.name for one in wanted]
    assert Matcher("team", "web") in wanted
    assert Asked.of(Asked(wanted, 17).as_json("sre")).matchers == wanted


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({"group_id": 17}, True),
        ({"group_id": 17, "matchers": WHOLE}, True),
        ({"group_id": 18, "matchers": WHOLE}, False),
        ({"matchers": (Matcher("alertname", "HighCPUUsage"), *WHOLE)}, True),
        ({"matchers": (Matcher("alertname", "HighCPU.*", is_regex=True), *WHOLE)}, False),
        ({"matchers": (Matcher("alertname", "HighCPUUsage", is_equal=False),)}, False),
        ({"matchers": WHOLE}, False),
        ({"kind": SilenceKind.MAINTENANCE, "matchers": WHOLE}, False),
        ({"kind": SilenceKind.MAINTENANCE, "group_id": 17}, False),
        ({"kind": SilenceKind.FOREIGN}, False),
    ],
)
def test_one_press_on_a_card_ends_what_was_made_for_it_and_nothing_wider(changes: dict[str, Any], ends: bool) -> None:
    assert made_for(silence(**changes), group()) is ends


def test_a_group_by_no_label_ends_only_what_was_made_for_it() -> None:
    assert not made_for(silence(matchers=WHOLE), group(group_labels={}))


def test_a_wider_silence_is_shown_with_whose_it_is_until_when_and_what_ends_it() -> None:
    wide = silence("0a1b2c3d-4e5f", person="ann", matchers=WHOLE)
    window = replace(wide, am_id="99aa88bb-0000", kind=SilenceKind.MAINTENANCE)
    said = wider_lines([wide, window])
    assert "0a1b2c3d" in said[0] and "silenced by ann until" in said[0]
    assert 'environment="prod"' in said[1]
    assert said[2] == "`/silence expire` ends it."
    assert "99aa88bb" in said[3] and "in maintenance by ann until" in said[3]
    assert said[5] == "`/maintenance end` ends it."


def test_whoever_silenced_without_a_card_is_told_what_ends_it() -> None:
    assert "/silence expire" in made(silence())
    assert "in the card's menu" in made(silence(group_id=17))

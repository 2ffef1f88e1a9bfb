"""Hostile labels and annotations: whatever shows an alert shows them as letters, within limits, and pings nobody."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.alerts.model import AlertGroup, State
from bot.services.silences import Hits
from bot.ui.alert_card import PackSight, pack_card, pack_line
from bot.ui.alert_details import details_page
from bot.ui.alert_lines import headline, marker
from bot.ui.silence_form import hit_lines, of_group
from bot.ui.text import CONTENT_LIMIT, DISPLAY_LIMIT, quoted
from tests.hostile import TEXTS, Text, effects, lines_with, plain
from tests.unit.alert_room import HOSTS, NOW, change, drawn, episode, group, labels, parts, sight_of, silence, texts

COMPONENTS_MAX = 40
"""Of one message, nested ones among them (components/reference)."""
OURS = (
    r"^\*\*[A-Z]+\*\* (?:A\d+|P\d+)",
    r"^[●○◌] ",
    r"\*\*(?:nobody|firing|resolved|what happened)[^*]*\*\*",
    r"\*\*(?=\S.* has it\*\*)",
    r"(?<= has it)\*\*",
    r"\[\d+ firing / \d+\]",
    r"\*\*\d+ other alerts?\*\*",
)
"""The bot's own markup on lines with foreign text."""


def hostile_group(text: str) -> AlertGroup:
    """Alerts with that text wherever a word from outside may stand."""
    odd = {"alertname": text, "environment": text, "service": text, "severity": text, "device": text}
    annotations = {"summary": text, "description": text, "runbook_url": text, "value": text}
    alerts = (
        episode("a", labels=odd, annotations=annotations, silenced_by=("s-1",), acked_by=text),
        episode("b", labels=odd | {"instance": text}, annotations=annotations),
        episode("c", labels=odd | {"mountpoint": text}, state=State.RESOLVED, ended_at=NOW, confirmed=False),
    )  # fmt: skip
    told = silence(person=text, comment=text)
    return group(
        *alerts, common_annotations=annotations, route=text, acked_by=text, silences=(told,), flapping_until=NOW,
        flaps=5, title=text,
    )  # fmt: skip


def every_text(shown: AlertGroup) -> Iterator[str]:
    """Every text in which Discord reads markup that is drawn of a group."""
    silences = {one.am_id: one for one in shown.silences}
    sight = sight_of(shown, silences, changes=[change(text=shown.title, person=shown.title, service=shown.title)])
    yield from texts(drawn(sight, remark=""))
    yield from texts(drawn(sight_of(group(*shown.episodes, common_annotations={}), silences)))
    pack = PackSight(4, [shown, replace(shown, id=18)], {}, {})
    yield from texts(pack_card(pack))
    yield headline(shown)
    yield pack_line(pack, CONTENT_LIMIT - 200)
    number, more = 1, True
    while more:
        page, more = details_page(shown, [], number)
        number += 1
        yield page
    yield "\n".join(quoted(str(one), 120) for one in of_group(shown))
    yield "\n".join(hit_lines(Hits(9, ((shown.title, 9),), ("prod",), 0), shown))


@pytest.mark.parametrize("hostile", TEXTS, ids=lambda text: text.name)
def test_no_text_of_an_alert_takes_effect(hostile: Text) -> None:
    found: list[str] = []
    for text in every_text(hostile_group(hostile.text)):
        assert len(text) <= DISPLAY_LIMIT
        for line in lines_with(text, hostile):
            found += effects(line, hosts=HOSTS, ours=OURS)
    assert found == []


@pytest.mark.parametrize("hostile", TEXTS, ids=lambda text: text.name)
def test_every_text_can_be_read_on_the_card_and_in_the_details(hostile: Text) -> None:
    shown = hostile_group(hostile.text)
    assert hostile.marker in "\n".join(texts(drawn(sight_of(shown))))
    assert hostile.marker in details_page(shown, [], 1)[0]


@pytest.mark.parametrize("hostile", TEXTS, ids=lambda text: text.name)
def test_what_can_be_pressed_stays_short_and_leads_only_to_configured_hosts(hostile: Text) -> None:
    for address in (
        hostile.text,
        f"https://runbooks.example.org/{hostile.text}",
        f"https://evil.example/{hostile.marker}",
    ):
        shown = replace(hostile_group(hostile.text), common_annotations={"runbook_url": address})
        sheet = drawn(sight_of(shown))
        pack = pack_card(PackSight(4, [shown], {}, {"alert.open 17": "h"}))
        for label in (*labels(sheet), *labels(pack)):
            assert len(label) <= 100
            assert plain(label) == []
        for item in sheet.walk_children():
            url = getattr(item, "url", None)
            assert url is None or url.startswith("https://runbooks.example.org/")


ANYTHING = st.text(max_size=60) | st.sampled_from([text.text for text in TEXTS])
LONG = st.integers(0, 4500).map(lambda length: "x<@&1>*" * (length // 7))
WORDS = ANYTHING | LONG
ALERTS = st.lists(
    st.fixed_dictionaries(
        {
            "labels": st.dictionaries(ANYTHING, WORDS, max_size=8),
            "annotations": st.dictionaries(st.sampled_from(["summary", "description", "value", "runbook_url"]), WORDS),
            "state": st.sampled_from(State),
            "confirmed": st.booleans(),
            "inhibited": st.booleans(),
            "silenced_by": st.sampled_from([(), ("s-1",), ("s-1", "s-2", "s-3", "s-4", "s-5")]),
        }
    ),
    min_size=1, max_size=6,
)  # fmt: skip
MENTION = re.compile(r"(?<!\\)<(?:@[!&]?|#|/)[\w: -]*>|@(?:everyone|here)\b")


@settings(max_examples=50, deadline=None)
@given(ALERTS, st.integers(1, 15), WORDS, st.booleans())
def test_no_card_ever_breaks_a_limit_or_mentions_anybody(
    alerts: list[dict[str, object]], copies: int, title: str, acked: bool
) -> None:
    members = [
        episode(f"i-{place}-{copy}", **{**alert, "ended_at": None if alert["state"] is State.FIRING else NOW})
        for place, alert in enumerate(alerts)
        for copy in range(copies)
    ]
    told = {f"s-{number}": silence(f"s-{number}", person=title, comment=title) for number in range(1, 5)}
    shown = group(
        *members, title=title, environment=title, acked_by=title if acked else "", truncated=copies, unconfirmed=1
    )
    sheet = drawn(sight_of(shown, told, changes=[change(text=title)] * copies), picture="a17-on.png", remark="")
    pack = pack_card(PackSight(4, [replace(shown, id=number) for number in range(1, 6)], {}, {}))
    for drawing in (sheet, pack):
        assert sum(len(text) for text in texts(drawing)) <= DISPLAY_LIMIT
        assert all(text.strip() for text in texts(drawing))
        assert parts(drawing) <= COMPONENTS_MAX
        assert not MENTION.search("\n".join(texts(drawing)))
    assert marker(17).search(texts(sheet)[0])
    assert len(headline(shown)) <= CONTENT_LIMIT
    assert not MENTION.search(headline(shown))


def test_sixty_labels_and_four_thousand_characters_leave_a_card_that_can_be_read() -> None:
    odd = {f"label_{number:02d}": f"value {number} " * 10 for number in range(60)}
    shown = group(episode("a", labels=odd, annotations={"summary": "why " * 1100}), episode("b", labels=odd))
    said = "\n".join(texts(drawn(sight_of(shown))))
    assert len(said) <= DISPLAY_LIMIT
    assert "more labels" in said
    assert "● a since" in said or "a since" in said
    assert "**nobody has it**" in said

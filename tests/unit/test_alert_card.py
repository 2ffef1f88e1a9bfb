"""What an alert group's card says and offers, in every state that it can be in, and within Discord's limits."""

import re
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate

import pytest

from bot.alerts.model import AlertGroup, NextCall, SilenceKind, State
from bot.ui.alert_card import PACK_ROOM, PackSight, pack_card, packed_size, shares
from bot.ui.alert_details import details_page
from bot.ui.alert_lines import heading, headline, marker
from bot.ui.text import DISPLAY_LIMIT
from tests.unit.alert_room import (
    HANDLES,
    NOW,
    change,
    drawn,
    episode,
    group,
    labels,
    many,
    resolved,
    sight_of,
    silence,
    text,
    texts,
)


def test_the_heading_counts_names_and_places_the_alert_before_any_colour() -> None:
    shown = group(episode("i-0a1"), episode("i-0b7"), resolved("i-0c3"), resolved("i-0d4"), resolved("i-0e5"))
    assert texts(drawn(sight_of(shown)))[0] == "**CRITICAL** A17 [2 firing / 5] HighCPUUsage - prod"


def test_what_all_alerts_share_is_said_once_and_each_has_a_short_line_of_what_differs() -> None:
    shown = group(episode("i-0a1"), episode("i-0b7", annotations={"value": "91 %"}), resolved("i-0c3"))
    said = text(drawn(sight_of(shown)))
    assert said.count("job node") == 1
    assert said.count("> The processor is busy") == 1
    assert re.search(r"^● 94 % i-0a1 since <t:\d+:R>$", said, re.MULTILINE)
    assert re.search(r"^● 91 % i-0b7 since <t:\d+:R>$", said, re.MULTILINE)
    assert re.search(r"^○ 94 % i-0c3 resolved <t:\d+:R>$", said, re.MULTILINE)


def test_two_labels_that_differ_are_named() -> None:
    shown = group(episode("a", labels={"device": "sda1"}), episode("b", labels={"device": "sdb1"}))
    assert "device sda1 · instance a" in text(drawn(sight_of(shown)))


@pytest.mark.parametrize("number", [1, 10, 31, 60, 120, 230])
def test_every_alert_of_a_large_group_stands_on_the_card(number: int) -> None:
    shown = many(number)
    said = text(drawn(sight_of(shown, changes=[change()])))
    assert len(said) <= DISPLAY_LIMIT
    assert len(re.findall(r"storm-\d{5}", said)) == number


def test_what_does_not_fit_is_counted() -> None:
    said = text(drawn(sight_of(many(10_000))))
    named = len(re.findall(r"storm-\d{5}", said))
    assert len(said) <= DISPLAY_LIMIT
    assert f"+{10_000 - named} more" in said
    assert named > 200


def test_nobody_has_it_until_somebody_does() -> None:
    calls = NextCall("sre", NOW + timedelta(minutes=4))
    before = text(drawn(sight_of(group(calls_next=calls))))
    assert f"**nobody has it** · calls sre <t:{int(calls.at.timestamp())}:R>" in before
    acked = group(episode("a", acked_by="dev"), episode("b"), acked_by="dev", acked_at=NOW, unacked_since=None)
    after = text(drawn(sight_of(acked)))
    assert "**dev has it** since <t:" in after
    assert "1 new since then" in after
    assert "nobody has it" not in after


def test_a_silence_names_who_until_when_and_why() -> None:
    shown = group(episode("a", silenced_by=("s-1",)), episode("b"), silences=(silence(),))
    sheet = drawn(sight_of(shown, {"s-1": silence()}))
    said = text(sheet)
    assert f"1 of 2 silenced by sre until <t:{int((NOW + timedelta(hours=1)).timestamp())}:f>" in said
    assert "known, being replaced" in said
    assert "Unsilence" in labels(sheet)


def test_a_group_that_is_silenced_altogether_says_so_first() -> None:
    shown = group(episode("a", silenced_by=("s-1",)))
    sheet = drawn(sight_of(shown, {"s-1": silence(kind=SilenceKind.UNTIL_RESOLVED)}))
    assert texts(sheet)[0].startswith("**SILENCED** A17 [1 firing / 1]")
    assert "silenced by sre until it resolves" in text(sheet)
    assert "Silence…" not in labels(sheet)


def test_what_is_not_certain_is_said() -> None:
    shown = group(
        episode("a", inhibited=True), resolved("b", confirmed=False), unconfirmed_since=NOW, truncated=9, flaps=5,
        flapping_until=NOW,
    )  # fmt: skip
    said = text(drawn(sight_of(shown)))
    assert f"unconfirmed since <t:{int(NOW.timestamp())}:R>: Alertmanager cannot be asked" in said
    assert "+9 more that Alertmanager cut" in said
    assert "flapping (5x in 30 min)" in said
    assert "1 inhibited by a worse alert" in said
    assert "b resolved" in said and "not confirmed by Alertmanager" in said


def test_an_end_that_only_a_webhook_tells_of_is_marked() -> None:
    shown = group(resolved("a", confirmed=False), unconfirmed=1, unconfirmed_since=NOW)
    said = text(drawn(sight_of(shown)))
    assert said.startswith("**RESOLVED** A17 [0 firing / 1]")
    assert "resolved, not confirmed by Alertmanager" in said
    usual = text(drawn(sight_of(replace(shown, unconfirmed_since=None))))
    assert "confirmed" not in usual, "it is confirmed at the next look, and nobody draws the card for that"


def test_alerts_that_were_not_read_are_counted_where_they_belong() -> None:
    shown = replace(many(500), firing=600, members=10_000)
    said = text(drawn(sight_of(shown)))
    named = len(re.findall(r"storm-\d{5}", said))
    assert f"+{600 - named} more" in said
    assert "○ resolved: +9400 more" in said


def test_newcomers_after_an_ack_can_be_taken_by_a_press() -> None:
    joined = group(episode("a", acked_by="ann"), episode("b"), acked_by="ann", acked_at=NOW)
    assert "Ack" in labels(drawn(sight_of(joined)))
    assert "Ack" not in labels(drawn(sight_of(replace(joined, unacked_since=None))))


def test_what_changed_just_before_is_said_and_that_nothing_did_as_well() -> None:
    said = text(drawn(sight_of(group(), changes=[change()])))
    assert "changed just before:\n- #184 deploy 4f1c2a9 of app, dev, <t:" in said
    assert "changed just before: no change in 2 h" in text(drawn(sight_of(group(), changes=[])))
    assert "changed just before" not in text(drawn(sight_of(group(), changes=None)))


def test_a_deploy_just_before_can_be_taken_back_from_the_card() -> None:
    assert labels(drawn(sight_of(group(), changes=[change()])))[:3] == ["Ack", "Silence…", "Roll back 184…"]
    failed = change(outcome="failed")
    assert "Roll back 184…" not in labels(drawn(sight_of(group(), changes=[failed])))


def test_at_most_three_buttons_and_the_rest_in_one_menu() -> None:
    said = labels(drawn(sight_of(group(common_annotations={"runbook_url": "https://evil.example/x"}))))
    assert said == ["Ack", "Silence…", "Graph", "Runbook", "Details", "Thread"]
    over = labels(drawn(sight_of(group(resolved("a")))))
    assert over == ["Graph", "Details", "Thread"]


def test_only_configured_hosts_get_links() -> None:
    known = group(common_annotations={"runbook_url": "https://runbooks.example.org/HighCPUUsage"})
    row = [item for item in drawn(sight_of(known)).walk_children() if getattr(item, "url", None)]
    assert [item.url for item in row] == ["https://runbooks.example.org/HighCPUUsage"]
    foreign = group(common_annotations={"runbook_url": "https://evil.example/x", "summary": "see https://evil.example"})
    sheet = drawn(sight_of(foreign))
    assert not [item for item in sheet.walk_children() if getattr(item, "url", None)]
    assert "https://" not in text(sheet)


def test_the_same_rows_give_the_same_card() -> None:
    sight = sight_of(group(episode("a"), episode("b")), changes=[change()])
    assert text(drawn(sight)) == text(drawn(sight))


def test_a_picture_stands_on_the_card_and_its_want_is_one_sentence() -> None:
    sheet = drawn(sight_of(group()), picture="a17-on.png")
    assert any(str(getattr(item, "items", "")).find("attachment://a17-on.png") > 0 for item in sheet.walk_children())
    assert "no graph: Prometheus does not answer" in text(
        drawn(sight_of(group()), remark="no graph: Prometheus does not answer")
    )


@pytest.mark.parametrize("name", ["A18 [1 firing / 1] x", "**CRITICAL** A18 [2 firing / 5]", "A17"])
def test_a_label_cannot_pass_for_the_mark_of_another_card(name: str) -> None:
    shown = group(episode("a", labels={"alertname": name}))
    for line in (heading(shown), headline(shown)):
        assert marker(17).search(line)
        assert not marker(18).search(line)
        assert not marker(1).search(line)


def test_a_pack_names_every_alert_of_every_group() -> None:
    groups = [many(10, id=number) for number in range(1, 21)]
    handles = {f"alert.open {shown.id}": f"h{shown.id}" for shown in groups}
    sheet = pack_card(PackSight(4, groups, {}, handles))
    said = text(sheet)
    assert len(said) <= DISPLAY_LIMIT
    assert said.startswith("**STORM** P4 · 20 groups: 20 fire")
    assert len(re.findall(r"storm-\d{5}", said)) == 200
    assert len(labels(sheet)) == 20


def test_a_full_pack_still_names_all_once_every_group_of_it_is_over_and_nobody_has_confirmed_it() -> None:
    def over(number: int) -> AlertGroup:
        shown = many(10, id=number, unconfirmed=10, unconfirmed_since=NOW)
        ended = tuple(replace(one, state=State.RESOLVED, ended_at=NOW, confirmed=False) for one in shown.episodes)
        return replace(shown, episodes=ended, firing=0, closed_at=NOW)

    fitting = [many(10, id=number) for number in range(51, 80)]
    sizes = list(accumulate(packed_size(shown) for shown in fitting))
    whole = [shown for shown, size in zip(fitting, sizes, strict=True) if size <= PACK_ROOM]
    assert len(whole) >= 20
    said = text(pack_card(PackSight(44, [over(shown.id) for shown in whole[:20]], {}, {})))
    assert len(re.findall(r"storm-\d{5,6}", said)) == 200
    assert "more" not in said and "resolved?: Alertmanager has not confirmed it" in said


def test_in_a_pack_the_long_group_gives_way_to_the_short_ones() -> None:
    groups = [many(2000, id=1), *(many(10, id=number) for number in range(2, 8))]
    said = text(pack_card(PackSight(4, groups, {}, {})))
    assert len(said) <= DISPLAY_LIMIT
    for shown in groups[1:]:
        assert all(one.labels["instance"] in said for one in shown.episodes)
    assert re.search(r"\+\d+ more", said)


def test_a_member_with_a_card_of_its_own_is_a_link_in_its_pack() -> None:
    said = text(pack_card(PackSight(4, [many(3, id=1), many(3, id=2)], {1: "https://discord.com/channels/1/2/3"}, {})))
    assert "A1 StormAlert001 - prod: has a [card](https://discord.com/channels/1/2/3) of its own" in said
    assert "storm-01000" not in said
    assert "storm-02000" in said


def test_room_is_shared_so_that_what_needs_little_gets_all_it_needs() -> None:
    assert shares([10, 500, 20], 100) == [10, 70, 20]
    assert shares([50, 50], 60) == [30, 30]
    assert shares([], 60) == []


def test_details_show_every_label_and_annotation_a_page_at_a_time() -> None:
    shown = group(
        *(episode(f"i-{number}", annotations={"description": "long " * 60}) for number in range(30)),
        silences=(silence(),),
    )  # fmt: skip
    pages, number, more = [], 1, True
    while more:
        said, more = details_page(shown, ["- <t:1:R> it fired"], number)
        assert len(said) <= DISPLAY_LIMIT
        pages.append(said)
        number += 1
    every = "\n".join(pages)
    assert len(pages) > 2
    assert all(f"- instance: i-{place}\n" in every + "\n" for place in range(30))
    assert "what happened" in pages[-1]
    assert "alertname=" in pages[0]


def test_every_press_has_a_handle_of_its_own() -> None:
    assert len(set(HANDLES.values())) == len(HANDLES)

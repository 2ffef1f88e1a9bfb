"""Alert groups as their rows say, for the tests of what is drawn of them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import discord

from bot.alerts.model import AlertGroup, Episode, Matcher, Silence, SilenceKind, State
from bot.services.changes import Change
from bot.ui.alert_card import AlertPress, alert_card, offers
from bot.ui.alert_lines import GroupSight
from bot.ui.card import Sheet

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
LABELS = {"alertname": "HighCPUUsage", "environment": "prod", "service": "app", "severity": "critical", "job": "node"}
HOSTS = ("runbooks.example.org",)
HANDLES = {press: f"h-{press.name}" for press in AlertPress}


def episode(instance: str = "i-0a1", **changes: Any) -> Episode:
    """One alert that fires, unless the changes say otherwise; `labels` are added to the usual ones."""
    labels = {**LABELS, "instance": instance, **changes.pop("labels", {})}
    base = Episode(
        fingerprint=f"{instance:0>16}", starts_at=NOW - timedelta(minutes=6), group_id=17, labels=labels,
        annotations={"summary": "The processor is busy", "value": "94 %"}, state=State.FIRING, confirmed=True,
        first_seen_at=NOW - timedelta(minutes=6), severity=labels["severity"],
    )  # fmt: skip
    return replace(base, **changes)


def resolved(instance: str, **changes: Any) -> Episode:
    """One alert that is over."""
    return episode(instance, **{"state": State.RESOLVED, "ended_at": NOW, **changes})


def group(*episodes: Episode, **changes: Any) -> AlertGroup:
    """The group that these alerts make; one alert when none are named."""
    members = episodes or (episode(),)
    firing = sum(one.firing for one in members)
    first = members[0].labels
    base = AlertGroup(
        id=17, group_key='{}:{alertname="HighCPUUsage"}', receiver="quarterdeck", channel="alerts", route="default",
        environment=first.get("environment", ""), service=first.get("service", ""), severity=first.get("severity", ""),
        title=first.get("alertname", ""), group_labels={"alertname": first.get("alertname", "")}, common_labels={},
        common_annotations={"summary": "The processor is busy"}, external_url="", opened_at=NOW - timedelta(minutes=6),
        fired_at=NOW - timedelta(minutes=6), updated_at=NOW, closed_at=None if firing else NOW, firing=firing,
        members=len(members), suppressed=sum(one.firing and one.suppressed for one in members),
        unacked_since=NOW - timedelta(minutes=6) if firing else None, episodes=members,
    )  # fmt: skip
    return replace(base, **changes)


def many(number: int, *, prefix: str = "storm-", id: int = 17, name: str = "StormAlert", **changes: Any) -> AlertGroup:  # noqa: A002
    """A group of so many alerts that differ in their instance only."""
    labels = {"alertname": f"{name}{id:03d}", "severity": "warning"}
    found = [episode(f"{prefix}{id * 1000 + place:05d}", labels=labels, group_id=id) for place in range(number)]
    return group(*found, id=id, **changes)


def silence(am_id: str = "s-1", **changes: Any) -> Silence:
    base = Silence(
        am_id=am_id, person="sre", kind=SilenceKind.SILENCE, matchers=(Matcher("alertname", "HighCPUUsage"),),
        starts_at=NOW, ends_at=NOW + timedelta(hours=1), comment="known, being replaced",
    )  # fmt: skip
    return replace(base, **changes)


def change(**changes: Any) -> Change:
    base = Change(
        at=NOW - timedelta(minutes=12), kind="deploy", text="deploy 4f1c2a9", person="dev", operation_id=184,
        environment="prod", service="app", outcome="succeeded",
    )  # fmt: skip
    return replace(base, **changes)


def drawn(sight: GroupSight, **more: Any) -> Sheet:
    """The card of a group, with a handle for everything that it offers."""
    undo = next((one for one in sight.changes or () if one.can_be_undone), None)
    offered = offers(sight.group, undo=undo, ours=bool(sight.group.silences), graph=True)
    return alert_card(sight, offered, HANDLES, **{"link_hosts": HOSTS, "undo": undo, **more})


def sight_of(shown: AlertGroup, silences: Mapping[str, Silence] | None = None, **more: Any) -> GroupSight:
    return GroupSight(group=shown, silences=silences or {}, **more)


def texts(sheet: Sheet) -> list[str]:
    """Its texts, in order."""
    return [item.content for item in sheet.walk_children() if isinstance(item, discord.ui.TextDisplay)]


def text(sheet: Sheet) -> str:
    return "\n".join(texts(sheet))


def labels(sheet: Sheet) -> list[str]:
    """What can be pressed or picked."""
    buttons = [item.label or "" for item in sheet.walk_children() if isinstance(item, discord.ui.Button)]
    menus = [item for item in sheet.walk_children() if isinstance(item, discord.ui.Select)]
    return [*buttons, *(option.label for menu in menus for option in menu.options)]


def parts(sheet: Sheet) -> int:
    """Components, nested ones among them, as Discord counts them."""
    return sum(1 for _ in sheet.walk_children())

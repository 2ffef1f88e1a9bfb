"""Autocomplete for alerts: groups, silences, lengths, matchers. A courtesy, as in `choices`: all is checked again."""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any

import discord
from discord import app_commands

from bot.alert_settings import LabelSettings
from bot.alerts.model import AlertGroup, Silence, SilenceKind
from bot.alerts.store import GroupFilter
from bot.errors import Refused
from bot.policy import Action
from bot.services.spans import notes_of, start_of
from bot.ui.alert_lines import short_id, word_of
from bot.ui.choices import Choice, suggesting
from bot.ui.house import actor_of, house_of, zone_here
from bot.ui.text import CHOICE_LIMIT, age, label

LENGTHS = ("1h", "4h", "1d", "until resolved", "until tomorrow 8:00")
ENDS = ("8h", "1d", "7d", "until tomorrow 8:00", "until mon 9:00")
BEGINNINGS = ("now", "in 30m", "at 22:00", "tomorrow 8:00")
SPANS = ("24h", "7d", "30d", "90d")
COMMENTS = ("Known, being worked on.", "Deploy under way.", "False alarm, the rule is to be mended.")
NOTES = ("All quiet.", "See the acknowledged alerts.", "A deploy is under way.")
GROUPS_SEARCHED = 100


def _typed_or(typed: str, offered: Iterable[str], *, zone: tzinfo | None = None) -> list[Choice]:
    """What was typed, then what is offered and begins alike; all of it when that is nothing.

    With a zone, what is read in it says so.
    """
    text, every = typed.strip(), tuple(offered)
    fitting = [one for one in every if one.lower().startswith(text.lower())] or list(every)
    own = [text] if text and len(text) <= CHOICE_LIMIT else []
    every_one = dict.fromkeys([*own, *fitting])
    return [app_commands.Choice(name=label(one + _where(one, zone), CHOICE_LIMIT), value=one) for one in every_one]


def _where(typed: str, zone: tzinfo | None) -> str:
    """` · Europe/Berlin` behind what means something else in another zone."""
    if zone is None:
        return ""
    try:
        return f" · {zone}" if notes_of(start_of(typed, datetime.now(UTC), zone=zone)) else ""
    except Refused:
        return ""


@suggesting
async def lengths(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return _typed_or(current, LENGTHS, zone=zone_here(interaction))


@suggesting
async def ends(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return _typed_or(current, ENDS, zone=zone_here(interaction))


@suggesting
async def beginnings(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return _typed_or(current, BEGINNINGS, zone=zone_here(interaction))


@suggesting
async def spans(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return _typed_or(current, SPANS)


@suggesting
async def comments(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return _typed_or(current, COMMENTS)


@suggesting
async def notes(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return _typed_or(current, NOTES)


# ---- what there is -------------------------------------------------------------------------------------------------


async def _groups(interaction: discord.Interaction[Any], state: str) -> tuple[AlertGroup, ...]:
    """The groups that the person may see."""
    house = house_of(interaction)
    if house.alerting is None:
        return ()
    seen = house.lookout.sight(actor_of(interaction), Action.ALERT_VIEW)
    return await house.alerting.store.groups(GroupFilter(state=state, sight=seen, limit=GROUPS_SEARCHED))


def _group_choices(groups: Iterable[AlertGroup], typed: str) -> list[Choice]:
    wanted = typed.strip().lower()
    labels = {short_id(group.id): _group_label(group) for group in groups}
    return [app_commands.Choice(name=name, value=value) for value, name in labels.items() if wanted in name.lower()]


def _group_label(group: AlertGroup) -> str:
    ago = f"{age(datetime.now(UTC) - group.fired_at)} ago"
    place = " in ".join(part for part in (group.service, group.environment) if part)
    held = f"{group.acked_by} has it" if group.acked_by and not group.waits else ""
    what = f"{short_id(group.id)} {word_of(group)} {group.title}"
    return label(" · ".join(part for part in (what, place, held, ago) if part), CHOICE_LIMIT)


@suggesting
async def groups(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """All groups, those that fire before those that are over."""
    found = [*await _groups(interaction, "open"), *await _groups(interaction, "closed")]
    return _group_choices(found, current)


@suggesting
async def firing_groups(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """Those that fire and that nobody has, before those that somebody has."""
    found = await _groups(interaction, "open")
    return _group_choices(sorted(found, key=lambda group: not group.waits), current)


@suggesting
async def matchers(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """What was typed, and what would silence one of the groups that fire, whole."""
    alerts = house_of(interaction).settings.alerts
    offered = [
        text
        for group in await _groups(interaction, "open")
        if alerts is not None and len(text := _matchers_of(group, alerts.labels)) <= CHOICE_LIMIT
    ]
    wanted = current.strip().lower()
    own = [current.strip()] if wanted and len(current) <= CHOICE_LIMIT else []
    fitting = [one for one in offered if wanted in one.lower()]
    return [app_commands.Choice(name=label(one, CHOICE_LIMIT), value=one) for one in dict.fromkeys([*own, *fitting])]


def _matchers_of(group: AlertGroup, names: LabelSettings) -> str:
    """What its group is called by, with the place that it belongs to: who may silence only there needs that."""
    place = {names.environment: group.environment, names.service: group.service}
    labels = {**group.group_labels, **{name: value for name, value in place.items() if value}}
    return ", ".join(f'{name}="{_quoted(value)}"' for name, value in sorted(labels.items()))


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


async def _silences(interaction: discord.Interaction[Any], current: str, *, maintenance: bool) -> list[Choice]:
    house, wanted = house_of(interaction), current.strip().lower()
    if house.alerting is None:
        return []
    seen, service = house.lookout.sight(actor_of(interaction), Action.ALERT_VIEW), house.alerting.silences
    found = [
        silence
        for silence in await service.listed()
        if (silence.kind is SilenceKind.MAINTENANCE) is maintenance
        and seen.covers(service.environment_of(silence.matchers))
    ]
    labels = {silence.am_id: _silence_label(silence) for silence in found}
    return [app_commands.Choice(name=name, value=value) for value, name in labels.items() if wanted in name.lower()]


def _silence_label(silence: Silence) -> str:
    left = f"ends in {age(silence.ends_at - datetime.now(UTC))}"
    matched = ", ".join(map(str, silence.matchers))
    return label(f"{silence.am_id[:8]} by {silence.person}, {left}: {matched}", CHOICE_LIMIT)


@suggesting
async def silences(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return await _silences(interaction, current, maintenance=False)


@suggesting
async def maintenances(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return await _silences(interaction, current, maintenance=True)

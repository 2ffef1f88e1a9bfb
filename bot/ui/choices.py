"""Autocomplete: what the pickers suggest. Suggestions are a courtesy: values are checked again when they come in.

Discord waits 3 s for suggestions and asks at every key; whatever cannot be had in time is left out.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import discord
from discord import app_commands

from bot.errors import Refused, Unavailable
from bot.ops.model import OPEN, Operation, Status
from bot.ops.store import Filter
from bot.policy import ANYBODY, CONTROL, Action, admission, authorise
from bot.services.catalog import RefChoice
from bot.services.figures import RANGES
from bot.ui.card_lines import checks_line, face_of, short
from bot.ui.house import actor_of, house_of
from bot.ui.text import CHOICE_LIMIT, CHOICES_LIMIT, age, label

Choice = app_commands.Choice[str]
Suggest = Callable[[discord.Interaction[Any], str], Coroutine[Any, Any, list[Choice]]]
LOOK_UP_S = 2.2
HELPED = (Action.STATUS_VIEW, Action.DEPLOY, Action.ROLLBACK, Action.ALERT_VIEW, Action.METRICS_VIEW)
"""Whoever may do one of these anywhere gets suggestions; which operations they name is asked for each by itself."""
AGES = ("1h", "8h", "24h", "7d", "30d")
QUERIES = ("up", 'ALERTS{alertstate="firing"}', "sum by (job) (up)", "sum by (job) (scrape_samples_scraped)")
FINDINGS = [
    "GitHub shows no run of it.",
    "The host runs the old version; nothing was switched.",
    "The host was put right by hand.",
]


def suggesting(suggest: Suggest) -> Suggest:
    """Nothing is suggested to those who may neither look nor ask for anything, nor when it cannot be had in time."""

    @wraps(suggest)
    async def wrapper(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
        rows, actor = house_of(interaction).settings.policy_rows, actor_of(interaction)
        if not any(admission(rows, actor, action, ANYBODY).allowed for action in HELPED):
            return []
        try:
            async with asyncio.timeout(LOOK_UP_S):
                return (await suggest(interaction, current))[:CHOICES_LIMIT]
        except (TimeoutError, Unavailable, Refused):
            return []

    return wrapper


def _named(names: Iterable[str], typed: str) -> list[Choice]:
    wanted = typed.strip().lower()
    return [app_commands.Choice(name=name, value=name) for name in names if wanted in name]


@suggesting
async def services(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return _named(house_of(interaction).catalog.services, current)


@suggesting
async def environments(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return _named(house_of(interaction).catalog.environments, current)


@suggesting
async def places(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """The environments, and the one of the bot itself."""
    return _named([*house_of(interaction).catalog.environments, CONTROL], current)


@suggesting
async def people(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return _named(house_of(interaction).people.names(), current)


@suggesting
async def moments(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """Ages that are often asked for; dates and times may be typed, too."""
    typed = [current.strip()] if current.strip() and len(current) <= CHOICE_LIMIT else []
    return [app_commands.Choice(name=_moment_label(text), value=text) for text in dict.fromkeys([*typed, *AGES])]


def _moment_label(text: str) -> str:
    return f"{text} ago" if text in AGES else label(text, CHOICE_LIMIT)


@suggesting
async def panels(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """The panels that are offered for the service that was named, by name and title."""
    figures, wanted = house_of(interaction).figures, current.strip().lower()
    offered = figures.panels(_filled_in(interaction, "service")) if figures else {}
    return [
        app_commands.Choice(name=label(f"{name} · {panel.title}", CHOICE_LIMIT), value=name)
        for name, panel in offered.items()
        if wanted in f"{name} {panel.title}".lower()
    ]


@suggesting
async def expressions(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """What was typed, and queries to begin with: some that hold for every Prometheus, and those of the panels."""
    figures, typed = house_of(interaction).figures, current.strip()
    known = [*QUERIES, *(panel.query for panel in figures.panels().values())] if figures else []
    found = [typed, *(query for query in known if typed.lower() in query.lower())]
    fitting = [query for query in dict.fromkeys(found) if query and len(query) <= CHOICE_LIMIT and "$" not in query]
    return [app_commands.Choice(name=label(query, CHOICE_LIMIT), value=query) for query in fitting]


@suggesting
async def ranges(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """Lengths of time that are often asked for; any other may be typed."""
    typed = current.strip()
    fitting = [text for text in RANGES if typed in text]
    own = [typed] if typed and typed not in fitting and len(typed) <= CHOICE_LIMIT else []
    return [app_commands.Choice(name=f"last {label(text, 80)}", value=text) for text in [*own, *fitting]]


@suggesting
async def refs(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """Branches and newest commits, with CI state, short sha, title and age."""
    environment = _filled_in(interaction, "environment")
    found = await house_of(interaction).catalog.choices(current.strip(), environment)
    sendable = [ref for ref in found if len(ref.value) <= CHOICE_LIMIT]
    return [app_commands.Choice(name=_ref_label(ref), value=ref.value) for ref in sendable]


def _ref_label(ref: RefChoice) -> str:
    sha = short(ref.commit.sha)
    head = sha if ref.value == ref.commit.sha else f"{ref.value} · {sha}"
    ci = checks_line({**asdict(ref.checks), "failing": ()}).rstrip(": ") if ref.checks else ""
    tail = f" · {age(datetime.now(UTC) - ref.commit.committed_at)} old"
    text = " · ".join(part for part in (head, ci, ref.commit.title) if part)
    return label(text, CHOICE_LIMIT - len(tail)) + tail


@suggesting
async def earlier_versions(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """Versions that have run there, newest first, for those who may look at operations there or roll back."""
    house, wanted = house_of(interaction), current.strip().lower().lstrip("#")
    service, environment = _filled_in(interaction, "service"), _filled_in(interaction, "environment")
    house.catalog.environment(environment)
    house.catalog.service(service)
    actor = actor_of(interaction)
    may_roll_back = authorise(house.settings.policy_rows, actor, Action.ROLLBACK, environment).allowed
    if not (may_roll_back or house.lookout.sight(actor).covers(environment)):
        return []
    found = await house.rollbacks.candidates(environment, service)
    return [
        app_commands.Choice(name=_version_label(operation), value=str(operation.id))
        for operation in found
        if wanted in f"{operation.id} {operation.target}"
    ]


def _version_label(operation: Operation) -> str:
    ended = operation.ended_at or operation.created_at
    title = str(operation.shown.get("title", ""))
    ago = f"{age(datetime.now(UTC) - ended)} ago"
    text = f"{operation.target} · {operation.short_id} by {operation.requester}, {ago}"
    return label(f"{text} · {title}" if title else text, CHOICE_LIMIT)


@suggesting
async def operations(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return await _operations(interaction, current, None)


@suggesting
async def open_operations(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return await _operations(interaction, current, OPEN)


@suggesting
async def unstarted_operations(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return await _operations(interaction, current, (Status.PENDING, Status.APPROVED))


@suggesting
async def interrupted_operations(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    return await _operations(interaction, current, (Status.INTERRUPTED,))


@suggesting
async def findings(interaction: discord.Interaction[Any], current: str) -> list[Choice]:
    """What people usually find when they look at an interrupted operation; anything else may be typed."""
    typed = [current] if current.strip() else []
    return [app_commands.Choice(name=label(text, CHOICE_LIMIT), value=text[:CHOICE_LIMIT]) for text in typed + FINDINGS]


async def _operations(
    interaction: discord.Interaction[Any], current: str, statuses: Iterable[Status] | None
) -> list[Choice]:
    wanted = current.strip().lower().lstrip("#")
    wished = tuple(statuses) if statuses is not None else None
    view = await house_of(interaction).lookout.operations(actor_of(interaction), Filter(statuses=wished, limit=100))
    labels = {str(operation.id): _operation_label(operation) for operation in view.found}
    return [app_commands.Choice(name=name, value=value) for value, name in labels.items() if wanted in name.lower()]


def _operation_label(operation: Operation) -> str:
    ago = f"{age(datetime.now(UTC) - operation.created_at)} ago"
    what = f"{operation.kind} {operation.service} > {operation.environment} {operation.target}"
    state = f"{operation.short_id} {face_of(operation).word}"
    return label(f"{state} · {what} by {operation.requester}, {ago}", CHOICE_LIMIT)


def _filled_in(interaction: discord.Interaction[Any], option: str) -> str:
    """What stands in another option by now, or that option's default."""
    typed = getattr(interaction.namespace, option, None)
    if typed:
        return str(typed)
    command = interaction.command
    parameter = command.get_parameter(option) if isinstance(command, app_commands.Command) else None
    default = parameter.default if parameter is not None else None
    return default if isinstance(default, str) else ""

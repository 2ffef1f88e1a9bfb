"""Private answers of several pages: the history of a service, and the audit. Older pages come by a button.

What a page was asked for is written down with the button's handle, so that it still turns the page after a restart;
the right to see it is asked for again with every page.
"""

import io
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import discord
from discord.ui import Button

from bot.ops.model import Operation, Status
from bot.ops.record import AuditFilter
from bot.ops.sentences import left_out
from bot.policy import Action
from bot.services.export import to_csv, to_jsonl
from bot.ui.answers import send
from bot.ui.board_store import Handle, Mint, utc_now
from bot.ui.card import PRESS_PREFIX, Press, enclosing, notice
from bot.ui.card_lines import took
from bot.ui.gate import demand
from bot.ui.house import actor_of, house_of
from bot.ui.overview import operation_line
from bot.ui.renderings import audit_line
from bot.ui.text import DISPLAY_LIMIT, counted, escape, fitted, joined

EXPORT_MAX = 10_000
"""Events of one file: some 4 MB, where Discord takes 10 (reference, "Uploading Files")."""
AUDIT_PAGE = 15
"""Lines of the audit in one answer."""


async def send_history(
    interaction: discord.Interaction[Any], service: str, environment: str, *, before: int | None = None
) -> None:
    """Answer with a page of what was brought where, newest first.

    Raises:
        Refused: the service or the environment is unknown.
    """
    page = await house_of(interaction).history.page(actor_of(interaction), service, environment, before=before)
    where = f"{service} in {environment}" if environment else f"{service}, everywhere"
    lines = [history_line(operation) for operation in page.operations]
    text = joined(
        [
            f"**History** of {where}, newest first" + (f", before #{before}" if before else ""),
            fitted(lines, DISPLAY_LIMIT - 400) or _nothing(before=before, hidden=page.hidden),
            left_out(page.hidden),
        ]
    )
    asked = {"view": "history", "service": service, "environment": environment, "before": page.older}
    buttons = [await _older_button(interaction, asked)] if page.older is not None else []
    await send(interaction, notice(text, *buttons, share=True))


def _nothing(*, before: int | None, hidden: int) -> str:
    if hidden:
        return ""
    return "Nothing was deployed there" + (" before that." if before else ".")


def history_line(operation: Operation) -> str:
    """When, what, by whom, how it ended and how long it took; below it why, where it did not succeed."""
    lasted = took(operation)
    line = operation_line(operation) + (f" · {lasted}" if lasted else "")
    ended_badly = operation.reason and operation.status is not Status.SUCCEEDED
    return f"{line}\n-# {escape(operation.reason, 120)}" if ended_badly else line


async def send_audit(interaction: discord.Interaction[Any], wanted: AuditFilter, *, note: str = "") -> None:
    """Answer with a page of the audit, newest first. The reading is recorded; nobody is offered to share it.

    `note` says how typed times were read.
    """
    await _note_reading(interaction, wanted, "read")
    view = await house_of(interaction).lookout.audit(actor_of(interaction), replace(wanted, limit=AUDIT_PAGE))
    lines = fitted((audit_line(event) for event in view.found), DISPLAY_LIMIT - 400)
    lines = lines or ("" if view.hidden else "Nothing of the kind is on record.")
    small = f"-# {escape(note, 400)}" if note else ""
    text = joined([f"**Audit**, newest first{filter_text(wanted)}", small, lines, left_out(view.hidden)])
    buttons = []
    if view.older:
        buttons = [await _older_button(interaction, _asked(wanted, before_id=view.found[-1].id))]
    await send(interaction, notice(text, *buttons))


async def send_export(
    interaction: discord.Interaction[Any], wanted: AuditFilter, file_type: str, *, note: str = ""
) -> None:
    """Answer with the audit as a file of that type (`csv` or `jsonl`), as many of the newest events as may be sent."""
    house = house_of(interaction)
    await _note_reading(interaction, wanted, "exported")
    view = await house.lookout.audit(actor_of(interaction), replace(wanted, limit=EXPORT_MAX))
    events = view.found
    text = house.redactor.clean(to_csv(events) if file_type == "csv" else to_jsonl(events))
    name = f"audit-{utc_now():%Y%m%d-%H%M%S}.{file_type}"
    said = f"**Audit**{filter_text(wanted)}: {counted(len(events), 'line')}, newest first."
    if view.hidden:
        said += f" {left_out(view.hidden)}"
    if view.older:
        said += f" {older_text(events[-1].at)}"
    said += f"\n-# {escape(note, 400)}" if note else ""
    await send(interaction, enclosing(said, name), file=discord.File(io.BytesIO(text.encode()), filename=name))


def older_text(oldest: datetime) -> str:
    """How to come by what is older than the oldest line of a file: that second again, as `until` is exclusive and a
    line twice is better than one in neither file.
    """
    until = f"{oldest + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    return f"There are older ones, which are not in the file: narrow it with until:{until}."


async def _note_reading(interaction: discord.Interaction[Any], wanted: AuditFilter, verb: str) -> None:
    who = actor_of(interaction).name
    page = f" · before {wanted.before_id}" if wanted.before_id else ""
    said = f"{who} {verb} the audit{filter_text(wanted)}{page}."
    place = {"environment": wanted.environment, "service": wanted.service}
    await house_of(interaction).engine.record("audit.read", who, said, place)


def filter_text(wanted: AuditFilter) -> str:
    """What was asked for: ` · actor dev · service app · since 2026-08-01 12:00 UTC`; empty for everything."""
    parts = [f"{name} {getattr(wanted, name)}" for name in ("actor", "service", "environment") if getattr(wanted, name)]
    parts += [f"{name} {at:%Y-%m-%d %H:%M} UTC" for name in ("since", "until") if (at := getattr(wanted, name))]
    return "".join(f" · {escape(part, 80)}" for part in parts)


async def turn(interaction: discord.Interaction[Any], handle: Handle) -> None:
    """Answer a press of [Older].

    Raises:
        Refused: the person may not see it (any more).
    """
    asked = handle.asked
    if asked.get("view") == "audit":
        wanted = _filter_of(asked)
        demand(interaction, Action.AUDIT_VIEW, wanted.environment)
        await send_audit(interaction, wanted)
        return
    environment = str(asked["environment"])
    demand(interaction, Action.OPERATION_VIEW, environment)
    await send_history(interaction, str(asked["service"]), environment, before=int(asked["before"]))


async def _older_button(interaction: discord.Interaction[Any], asked: Mapping[str, Any]) -> Button[Any]:
    mint = Mint(
        card_key=f"page:{interaction.id}",
        generation=0,
        operation_id=None,
        digest="",
        guild_id=interaction.guild_id or 0,
        channel_id=interaction.channel_id or 0,
    )
    asked = {**asked, "person": actor_of(interaction).name}
    handles = await house_of(interaction).handles.question(mint, asked, [Press.OLDER], utc_now())
    return Button(label="Older", custom_id=PRESS_PREFIX + handles[Press.OLDER])


def _asked(wanted: AuditFilter, *, before_id: int) -> dict[str, Any]:
    """The filter of the next page, as JSON."""
    times = {name: at.isoformat() for name in ("since", "until") if (at := getattr(wanted, name))}
    return {**asdict(wanted), **times, "view": "audit", "before_id": before_id}


def _filter_of(asked: Mapping[str, Any]) -> AuditFilter:
    values = {name: asked[name] for name in AuditFilter.__dataclass_fields__ if name in asked}
    times = {name: datetime.fromisoformat(values[name]) for name in ("since", "until") if values.get(name)}
    return AuditFilter(**{**values, **times})

"""From a wish to a card: hand the request to the engine, and answer with a link to its card or with a private question.

A question is written down before it is shown, so that its answer still counts after a restart.
"""

from dataclasses import replace
from typing import Any

import discord
from discord.ui import Button

from bot.ops.engine import NeedsConfirmation
from bot.ops.model import FINAL, Operation, Plan, Request, Status
from bot.policy import Actor, Decision
from bot.ui.answers import send
from bot.ui.board_store import Handle, Mint, utc_now
from bot.ui.card import PRESS_PREFIX, Press, notice
from bot.ui.card_lines import face_of, replaced, short, subject
from bot.ui.house import House, actor_of, card_link, house_of
from bot.ui.text import escape, joined, label

CARD_WAIT_S = 2.0
"""So long an answer waits for the card, to be able to link to it."""
QUESTION_COLOUR = 0x3B82F6
BINDING = {"deploy": "ref", "rollback": "to"}
"""The option of each kind that names the version."""


async def ask(interaction: discord.Interaction[Any], request: Request) -> None:
    """Ask the engine, and answer the (already deferred) interaction.

    Raises:
        Refused, Unavailable: nothing was written.
    """
    house = house_of(interaction)
    await house.first_answers.all_given()
    try:
        operation = await house.engine.request(request, actor_of(interaction))
    except NeedsConfirmation as doubt:
        verb = "Roll back" if request.kind == "rollback" else "Deploy again"
        await _send_question(interaction, bound(request, doubt.plan), doubt.plan.confirm, verb)
        return
    await announce(interaction, operation)


async def announce(interaction: discord.Interaction[Any], operation: Operation, *, before: str = "") -> None:
    """One private line with a link to the card, and what may be withdrawn because of it."""
    house = house_of(interaction)
    link = await card_link(house, operation, within_s=CARD_WAIT_S)
    operation = await house.engine.operation(operation.id)
    where = link or "the card follows: Discord is slow to take it"
    state = f"**{operation.kind} {face_of(operation).word}**"
    lines = [before, f"{operation.short_id} {state} · {subject(operation)} · {where}"]
    buttons: list[Button[Any]] = []
    for older in await contained(house, operation):
        lines.append(f"It contains {older.short_id} ({older.target}, {face_of(older).word}), which still waits.")
        handles = await house.handles.question(
            _mint(interaction, f"withdraw:{interaction.id}-{older.id}", older), {}, [Press.CANCEL], utc_now()
        )
        custom_id = PRESS_PREFIX + handles[Press.CANCEL]
        buttons.append(Button(label=label(f"Cancel {older.short_id}"), custom_id=custom_id))
    await send(interaction, notice(joined(lines), *buttons[:3]))


async def contained(house: House, newer: Operation) -> list[Operation]:
    """Deploys of the same service to the same place that still wait although the newer one contains their commit."""
    if newer.kind != "deploy" or newer.status in FINAL:
        return []
    going_out = {str(commit["sha"]) for commit in newer.shown.get("commits") or ()}
    waiting = await house.engine.operations(
        statuses=(Status.PENDING, Status.APPROVED), environment=newer.environment, service=newer.service,
        kinds=("deploy",), limit=10,
    )  # fmt: skip
    return [
        older
        for older in waiting
        if older.id < newer.id and short(str(older.plan.get("commit", ""))) in going_out | {newer.target}
    ]


async def offer(interaction: discord.Interaction[Any], request: Request, verb: str) -> None:
    """Show in private what the request would do, and let it be confirmed.

    Raises:
        Refused, Unavailable: it cannot be asked for as things stand.
    """
    house = house_of(interaction)
    plan, decision = await house.engine.preview(request, actor_of(interaction))
    await _send_question(interaction, bound(request, plan), _foretold(request, plan, decision), verb)


def bound(request: Request, plan: Plan) -> Request:
    """The request for exactly the version that was shown, so that a yes that comes later means no other one."""
    option = BINDING.get(request.kind)
    if option is None or "commit" not in plan.content:
        return request
    return replace(request, params={**request.params, option: str(plan.content["commit"])})


def _foretold(request: Request, plan: Plan, decision: Decision) -> str:
    before = short(str((plan.content.get("replaces") or {}).get("commit", "")))
    return joined(
        [
            f"**{request.kind.upper()}** · {plan.service} > {plan.environment} · {plan.target}",
            f"> {escape(str(plan.shown.get('title', '')))}" if plan.shown.get("title") else "",
            f"replaces {before}" if before else "",
            plan.confirm,
            escape(decision.reason, 400),
            "It becomes an operation of its own.",
        ]
    )


async def _send_question(interaction: discord.Interaction[Any], request: Request, text: str, verb: str) -> None:
    house = house_of(interaction)
    asked = {
        "kind": request.kind,
        "environment": request.environment,
        "params": dict(request.params),
        "parent_id": request.parent_id,
        "person": actor_of(interaction).name,
    }
    mint = _mint(interaction, f"question:{interaction.id}", None)
    handles = await house.handles.question(mint, asked, [Press.CONFIRM], utc_now())
    button: Button[Any] = Button(
        label=verb, style=discord.ButtonStyle.primary, custom_id=PRESS_PREFIX + handles[Press.CONFIRM]
    )
    await send(interaction, notice(text, button, colour=QUESTION_COLOUR))


def _mint(interaction: discord.Interaction[Any], key: str, operation: Operation | None) -> Mint:
    return Mint(
        card_key=key,
        generation=0,
        operation_id=operation.id if operation else None,
        digest=operation.digest if operation else "",
        guild_id=interaction.guild_id or 0,
        channel_id=interaction.channel_id or 0,
    )


def confirmed(handle: Handle) -> Request:
    """The request that somebody was asked about, now confirmed; the same handle is the same request."""
    asked = handle.asked
    return Request(
        key=f"handle:{handle.handle}",
        kind=str(asked["kind"]),
        environment=str(asked["environment"]),
        params=asked["params"],
        parent_id=asked["parent_id"],
        confirmed=True,
    )


def again(operation: Operation, interaction_id: int) -> Request:
    """The same wish once more: after a failure exactly the same commit, else what was asked for then."""
    params = dict(operation.params)
    if operation.status is Status.FAILED:
        params |= {"to" if operation.kind == "rollback" else "ref": str(operation.plan["commit"])}
    return Request(f"interaction:{interaction_id}", operation.kind, operation.environment, params, operation.id)


def backwards(operation: Operation, interaction_id: int) -> Request:
    """Back to what ran before that operation; from an interrupted one to the last version that was verified there."""
    before = "" if operation.status is Status.INTERRUPTED else replaced(operation)
    params = {"service": operation.service, "to": before}
    return Request(f"interaction:{interaction_id}", "rollback", operation.environment, params, operation.id)


def newest(operation: Operation, handle: Handle) -> Request:
    """The newest commit of the branch from which that operation was asked for."""
    params = {"service": operation.service, "ref": str(operation.shown["branch"])}
    return Request(f"handle:{handle.handle}", "deploy", operation.environment, params, operation.id, confirmed=True)


def theirs(handle: Handle, actor: Actor) -> bool:
    """Whether the question was put to this person (or to nobody in particular)."""
    return str(handle.asked.get("person", actor.name)) == actor.name

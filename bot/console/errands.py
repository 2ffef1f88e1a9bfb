"""What one can ask for at the command line, each errand with the right that it needs: the table of this door.

An errand does what the slash command of the same name does: it asks the engine, and says in plain text what came of it.
"""

import argparse
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from bot.console import verdicts
from bot.console.asking import agreed
from bot.console.carrying import Carrying, carrying
from bot.console.exits import Exit
from bot.console.following import Follower, Watch, introduction, look_again
from bot.console.listings import list_operations, show_operation
from bot.console.paper import fields_of
from bot.console.session import Session
from bot.ops.engine import NeedsConfirmation
from bot.ops.lineup import PASSES
from bot.ops.model import Event, Operation, Request, Status
from bot.ops.record import AuditFilter
from bot.ops.sentences import left_out, title
from bot.policy import Action
from bot.services.export import to_csv, to_jsonl
from bot.services.spans import moment_of, notes_of, zone_of
from bot.services.status import Overview
from bot.ui.overview import overview_text
from bot.ui.text import clean

STATUS_LIMIT = 100_000
"""Characters: a terminal scrolls."""

Work = Callable[[Session, argparse.Namespace], Awaitable[Exit]]


@dataclass(frozen=True, slots=True)
class Errand:
    """One command. The right is asked for in the environment that the command names, if it names one."""

    action: Action
    work: Work


async def status(session: Session, options: argparse.Namespace) -> Exit:
    """What runs where, what waits, and who carries operations out."""
    core, paper = session.core, session.paper
    overview = await core.status.overview(
        session.actor, environment=options.environment or "", service=options.service or ""
    )
    now = carrying(core)
    paper.record(_overview_fields(overview, now))
    paper.show(overview_text(overview, STATUS_LIMIT))
    paper.say(_who_carries(now))
    return Exit.DONE


def _overview_fields(overview: Overview, now: Carrying) -> Mapping[str, Any]:
    """The overview for scripts, with operations as they are given everywhere."""
    whole = asdict(overview)
    whole["waits_for_you"] = [fields_of(operation) for operation in overview.waits_for_you]
    for fields, environment in zip(whole["environments"], overview.environments, strict=True):
        fields["going_on"] = [fields_of(operation) for operation in environment.going_on]
    return {**whole, "bot_lives": now.by_bot, "lock": asdict(now.holder) if now.holder else None}


def _who_carries(now: Carrying) -> str:
    if now.by_bot:
        return "Quarterdeck lives and carries operations out."
    itself = "what you ask for here is carried out by the command itself"
    if not now.other:
        return f"Quarterdeck is NOT RUNNING: {itself}."
    return f"Quarterdeck is NOT RUNNING: {now.other} carries its own line out; {itself}, once that has ended."


async def deploy(session: Session, options: argparse.Namespace) -> Exit:
    """Bring a version of a service to an environment."""
    return await _ask(session, options, {"service": options.service, "ref": options.ref or ""})


async def rollback(session: Session, options: argparse.Namespace) -> Exit:
    """Bring back a version that has served there before."""
    return await _ask(session, options, {"service": options.service, "to": options.to or ""})


async def _ask(session: Session, options: argparse.Namespace, params: Mapping[str, str]) -> Exit:
    if not await _settled(session, options):
        return Exit.NOT_OVER
    key = f"command line:{uuid.uuid4().hex}"
    request = Request(key, options.command, options.environment, params, confirmed=options.yes)
    try:
        operation = await session.core.engine.request(request, session.actor)
    except NeedsConfirmation as doubt:
        if not agreed(session.paper, f"{doubt.plan.confirm} Go on?"):
            return Exit.USAGE
        confirmed = Request(key, options.command, options.environment, params, confirmed=True)
        operation = await session.core.engine.request(confirmed, session.actor)
    session.paper.show(introduction(operation))
    if operation.status is Status.PENDING:
        session.paper.tell(_how_to_approve(operation))
    if options.wait:
        return await Follower(session, operation, timeout_s=options.timeout).follow()
    return _handed_over(session, operation)


async def _settled(session: Session, options: argparse.Namespace) -> bool:
    """Bring to its end what a bot that died has left running there, so that the plan is made from what is then true.

    With a bot alive, only a rollback waits, for what is held back: that does not last, and can then be taken over.
    False: the wait for that was ended.
    """
    core, paper = session.core, session.paper
    now = carrying(core)
    left = await core.engine.operations(
        statuses=(Status.RUNNING,), environment=options.environment, service=options.service
    )
    if now.by_bot:
        left = [o for o in left if options.command == PASSES and o.startable_since is not None]
    for operation in left:
        state = f"runs, and {now.other} is at work" if now.other else "was left running, and no bot lives"
        state = "is held back" if now.by_bot else state
        paper.tell(
            f"{operation.short_id} ({title(operation)}, {operation.target}) {state}: first it is brought to its end. "
            f"To have it stopped instead: quarterdeck ops cancel {operation.id}"
        )
        if await Follower(session, operation, timeout_s=options.timeout).watch() is not Watch.OVER:
            paper.complain(f"{operation.short_id} is not over, so nothing was asked for. {look_again(operation)}")
            return False
    return True


def _how_to_approve(operation: Operation) -> str:
    roles = " or ".join(operation.approver_roles)
    return (
        f"{operation.short_id} waits for {operation.quorum} of {roles}, in Discord or here: "
        f"quarterdeck ops approve {operation.id} --digest {operation.digest[:6]}"
    )


def _handed_over(session: Session, operation: Operation) -> Exit:
    now = carrying(session.core)
    session.paper.record(fields_of(operation))
    if now.by_bot and operation.status is not Status.PENDING:
        session.paper.say(f"{operation.short_id} is handed over to the bot. {look_again(operation)}")
        return Exit.DONE
    waits = "no bot lives that would carry it out"
    if operation.status is Status.PENDING:
        waits = "it waits for approval"
    elif now.other:
        waits = f"no bot lives, and {now.other} carries only its own line out"
    session.paper.say(f"{operation.short_id} is written down; {waits}. {look_again(operation)}")
    return Exit.NOT_OVER


async def audit(session: Session, options: argparse.Namespace) -> Exit:
    """Who did what; reading it is recorded, too."""
    now, zone = datetime.now(UTC), zone_of(session.core.settings.alerts)
    first, last = (moment_of(typed or "", now, zone=zone) for typed in (options.since, options.until))
    wanted = AuditFilter(
        actor=options.actor or "",
        service=options.service or "",
        environment=options.environment or "",
        since=first.at if first else None,
        until=last.at if last else None,
        limit=options.limit,
    )
    who = session.actor.name
    read = f"{who} read the audit at the command line{_filter_text(options)}."
    place = {"environment": wanted.environment, "service": wanted.service}
    await session.core.engine.record("audit.read", who, read, {**session.trace(), **place})
    if note := notes_of(first, last):
        session.paper.complain(note)
    view = await session.core.lookout.audit(session.actor, wanted)
    match options.format:
        case "csv":
            session.paper.verbatim(to_csv(view.found))
        case "jsonl":
            session.paper.verbatim(to_jsonl(view.found))
        case _:
            for event in reversed(view.found):
                session.paper.say(_audit_line(event))
    if view.hidden:
        session.paper.complain(left_out(view.hidden))
    return Exit.DONE


def _filter_text(options: argparse.Namespace) -> str:
    asked = ((name, getattr(options, name)) for name in ("actor", "service", "environment", "since", "until"))
    return "".join(f" · {name} {value}" for name, value in asked if value)


def _audit_line(event: Event) -> str:
    about = f"#{event.operation_id}" if event.operation_id is not None else "-"
    times = f" ({event.count} times)" if event.count > 1 else ""
    return f"{event.at:%Y-%m-%d %H:%M:%S}  {about:>6}  {event.name:<22} {event.actor}: {clean(event.text)}{times}"


ERRANDS: Mapping[str, Errand] = {
    "status": Errand(Action.STATUS_VIEW, status),
    "deploy": Errand(Action.DEPLOY, deploy),
    "rollback": Errand(Action.ROLLBACK, rollback),
    "audit": Errand(Action.AUDIT_VIEW, audit),
    "ops list": Errand(Action.OPERATION_VIEW, list_operations),
    "ops show": Errand(Action.OPERATION_VIEW, show_operation),
    "ops approve": Errand(Action.OPERATION_VIEW, verdicts.approve),
    "ops deny": Errand(Action.OPERATION_VIEW, verdicts.deny),
    "ops withdraw": Errand(Action.OPERATION_VIEW, verdicts.withdraw),
    "ops cancel": Errand(Action.OPERATION_VIEW, verdicts.cancel),
    "ops resume": Errand(Action.OPERATION_VIEW, verdicts.resume),
    "ops close": Errand(Action.OPERATION_VIEW, verdicts.close),
}
"""Every command of this door with the right that lets it begin; votes and endings are decided by the engine, too."""

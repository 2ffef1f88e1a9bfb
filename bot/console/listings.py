"""Reading operations at the command line: what is open, and one of them in full."""

import argparse

from bot.console.exits import Exit
from bot.console.following import TEXT_LIMIT, next_step
from bot.console.paper import fields_of
from bot.console.session import Session
from bot.ops.model import OPEN
from bot.ops.sentences import left_out
from bot.ops.store import Filter
from bot.ui.details import details_text, log_text
from bot.ui.overview import operation_line, operations_text
from bot.ui.text import clean

SHOWN = 25
LIST_LIMIT = 100_000


async def list_operations(session: Session, options: argparse.Namespace) -> Exit:
    """What waits for you and what is open, or the newest of all."""
    core, actor, paper = session.core, session.actor, session.paper
    waiting = core.lookout.among(actor, await core.engine.waiting_for(actor))
    statuses = None if options.all else tuple(OPEN)
    view = await core.lookout.operations(actor, Filter(statuses=statuses, limit=SHOWN))
    paper.record([fields_of(operation) for operation in view.found])
    sections = [
        ("waits for you", [operation_line(operation) for operation in waiting.found]),
        ("newest" if options.all else "open", [operation_line(operation) for operation in view.found]),
    ]
    paper.show(operations_text(sections, LIST_LIMIT))
    if hidden := max(waiting.hidden, view.hidden):  # what waits is open, too
        paper.complain(left_out(hidden))
    return Exit.DONE


async def show_operation(session: Session, options: argparse.Namespace) -> Exit:
    """Plan, steps, reason, the end of the log, and its whole record."""
    engine, paper = session.core.engine, session.paper
    operation = await session.core.lookout.operation(options.operation, session.actor)
    events = await engine.events(operation.id, limit=200)
    paper.record({**fields_of(operation), "events": [{"at": e.at, "actor": e.actor, "text": e.text} for e in events]})
    paper.show(details_text(operation, TEXT_LIMIT))
    if operation.started_at is not None:
        paper.show(log_text(operation, TEXT_LIMIT))
    for event in reversed(events):
        paper.say(f"{event.at:%Y-%m-%d %H:%M:%S}  {event.actor}: {clean(event.text)}")
    paper.say(next_step(operation))
    return Exit.DONE

"""Deciding about operations at the command line: votes, and how operations end. The engine decides who may.

A vote is bound to content here as it is in Discord: it counts for the digest that the person has seen, either because
the plan was shown and agreed to at this terminal, or because `--digest` names it.
"""

import argparse

from bot.console.asking import agreed
from bot.console.carrying import Carrier, carrying
from bot.console.exits import Exit
from bot.console.following import Follower, introduction
from bot.console.paper import fields_of
from bot.console.session import Session
from bot.ops.model import Operation, Status, Verdict
from bot.ops.sentences import closed

DIGEST_MIN = 6
"""Hex digits of a digest that a card prints."""


async def approve(session: Session, options: argparse.Namespace) -> Exit:
    """Approve exactly what was shown."""
    operation = await session.core.engine.operation(options.operation)
    if options.digest is None:
        operation = await session.core.lookout.operation(operation.id, session.actor)
        session.paper.show(introduction(operation))
        if not agreed(session.paper, f"Approve {operation.short_id} (digest {operation.digest[:DIGEST_MIN]})?"):
            return Exit.USAGE
    digest = _seen(operation, options.digest)
    operation = await session.core.engine.vote(operation.id, session.actor, Verdict.APPROVE, digest=digest)
    session.paper.say(f"You approved {operation.short_id} (digest {operation.digest[:DIGEST_MIN]}).")
    return await _see_to_it(session, operation, options)


def _seen(operation: Operation, typed: str | None) -> str:
    """The digest that the person votes on: the one shown, or the one whose beginning was typed."""
    shown = typed is None or (len(typed) >= DIGEST_MIN and operation.digest.startswith(typed.lower()))
    return operation.digest if shown else str(typed)


async def deny(session: Session, options: argparse.Namespace) -> Exit:
    """Say no; one denial ends a request."""
    engine = session.core.engine
    operation = await engine.operation(options.operation)
    denied = await engine.vote(
        operation.id, session.actor, Verdict.DENY, digest=operation.digest, reason=options.reason
    )
    return _said(session, denied, f"You denied {denied.short_id}.")


async def withdraw(session: Session, options: argparse.Namespace) -> Exit:
    """Take the own approval back before the start."""
    operation = await session.core.engine.withdraw(options.operation, session.actor)
    return _said(session, operation, f"You took your approval of {operation.short_id} back: it is {operation.status}.")


async def cancel(session: Session, options: argparse.Namespace) -> Exit:
    """Withdraw what has not started, ask a run to stop."""
    operation = await session.core.engine.cancel(options.operation, session.actor)
    if operation.status is Status.CANCELLED:
        return _said(session, operation, f"{operation.short_id} is cancelled; nothing had started.")
    session.paper.say(f"{operation.short_id} is asked to stop; it ends once that is verified.")
    ended = await _see_to_it(session, operation, options)
    final = await session.core.engine.operation(operation.id)
    return Exit.DONE if final.status is Status.CANCELLED else ended


async def resume(session: Session, options: argparse.Namespace) -> Exit:
    """Let an interrupted operation look at the outside again."""
    operation = await session.core.engine.resume(options.operation, session.actor)
    session.paper.say(f"{operation.short_id} looks at the outside again.")
    return await _see_to_it(session, operation, options)


async def close(session: Session, options: argparse.Namespace) -> Exit:
    """End an interrupted operation by a person's word."""
    operation = await session.core.engine.close(
        options.operation, session.actor, Status(options.outcome), reason=options.reason
    )
    return _said(session, operation, closed(operation))


async def _see_to_it(session: Session, operation: Operation, options: argparse.Namespace) -> Exit:
    """Watch it to its end where that is wanted, or where nobody else would carry it there."""
    needs_us = Carrier(session.core, operation.id).could_carry(operation) and not carrying(session.core).by_bot
    if options.wait or needs_us:
        return await Follower(session, operation, timeout_s=options.timeout).follow()
    return _said(session, operation, "")


def _said(session: Session, operation: Operation, sentence: str) -> Exit:
    session.paper.record(fields_of(operation))
    if sentence:
        session.paper.say(sentence)
    return Exit.DONE

"""Who holds which role right before a start: the persons behind an operation are looked up once more.

A vote was allowed when it was cast; until the start its voter may have lost the role, or have left. This room reads the
roles again and says in a sentence why the operation may not start. It knows no Discord: the roster is handed in.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.errors import Unavailable
from bot.ops.model import Operation, Verdict, Vote
from bot.ops.rules import Rules
from bot.policy import Action, Actor, Door, Facts, who

GOES_BY_DUTIES = "rollback"
"""The kind that must work while Discord is down: one person on call restores an environment."""


class Roster(Protocol):
    """The roles of the configuration's people."""

    async def roles_of(self, person: str) -> frozenset[str] | None:
        """The role names that count for that person now, by Discord's word; None: no longer in the guild.

        Raises:
            Unavailable: Discord could not be asked.
        """
        ...

    def duties_of(self, person: str) -> frozenset[str] | None:
        """The roles that the people table allows that person; None: the table does not name the person."""
        ...


@dataclass(frozen=True, slots=True)
class RollCall:
    """What reading the roles again has shown: why the operation is stale, whether Discord was there to be asked, and
    about whom: the requester first.
    """

    stale: str = ""
    confirmed: bool = True
    persons: tuple[str, ...] = ()


async def call_the_roll(
    operation: Operation, votes: Sequence[Vote], *, roster: Roster, rules: Rules, facts: Facts
) -> RollCall:
    """Whether requester and voters still hold what they needed.

    Raises:
        Unavailable: Discord could not be asked, and this operation does not go by the people table alone.
    """
    voters = [vote.person for vote in votes if vote.verdict is Verdict.APPROVE]
    persons = list(dict.fromkeys((operation.requester, *voters)))
    for person in persons:
        if roster.duties_of(person) is None:
            return RollCall(
                f"{person} {_part(operation, person)} and is no longer in the people table.", operation.roles_confirmed
            )
    answers = await asyncio.gather(*(_answer(roster, person) for person in persons))
    held = dict[str, frozenset[str] | None]()
    confirmed = True
    for person, answer in zip(persons, answers, strict=True):
        if isinstance(answer, Unavailable):  # only for whom nobody answered: a definite word about others still counts
            if operation.kind != GOES_BY_DUTIES and operation.door is not Door.COMMAND_LINE:
                raise answer
            confirmed, held[person] = False, roster.duties_of(person)
        else:
            held[person] = answer
    for person, roles in held.items():
        if roles is None:
            return RollCall(
                f"{person} {_part(operation, person)} and has left the server since.", confirmed, tuple(persons)
            )
    why = _asking(operation, held, rules, facts) or _voting(operation, voters, held, rules)
    return RollCall(why, confirmed, tuple(persons))


async def _answer(roster: Roster, person: str) -> frozenset[str] | Unavailable | None:
    try:
        return await roster.roles_of(person)
    except Unavailable as error:
        return error


def _part(operation: Operation, person: str) -> str:
    return "asked for it" if person == operation.requester else "approved it"


def _actor(person: str, held: dict[str, frozenset[str] | None]) -> Actor:
    return Actor(person, None, held[person] or frozenset())


def _asking(operation: Operation, held: dict[str, frozenset[str] | None], rules: Rules, facts: Facts) -> str:
    person = operation.requester
    decision = rules.decision(_actor(person, held), operation.kind, operation.environment, facts)
    if not decision.allowed:
        needed = f"the role {who(decision.row.requesters)}" if decision.row else "a role that may"
        return f"{person} asked for it and no longer holds {needed}."
    if decision.quorum > operation.quorum:
        return f"{person} asked for it as one who needs nobody else, and no longer holds the role for that."
    return ""


def _voting(operation: Operation, voters: Sequence[str], held: dict[str, frozenset[str] | None], rules: Rules) -> str:
    for person in voters:
        if rules.refusal(_actor(person, held), Action.OPERATION_APPROVE, operation) is not None:
            return f"{person} approved it and no longer holds the role {who(operation.approver_roles)}."
    return ""

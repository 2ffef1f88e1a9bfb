"""Who may do what, as text: one person's rights with their reasons, and one right with everybody who holds it.

Decisions are the policy's; this room asks it for each person and puts the answers into words.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bot.errors import Unavailable
from bot.policy import ANYBODY, RUNS, Action, Actor, Door, Facts, PolicyRow, authorise, places, rights, row_of, who
from bot.ui.house import House
from bot.ui.text import escape, fitted

ASK_WITHIN_S = 6.0
"""So long Discord is asked for everybody's roles; after that the people table speaks alone."""
ASKED_AT_ONCE = 5


# ---- one person ----------------------------------------------------------------------------------------------------


def verdict(house: House, actor: Actor, action: Action) -> str:
    """In a few words whether, and where, this person may: `you: yes`, `you: no`, `you: dev; prod if approved`."""
    everywhere = tuple(house.catalog.environments)
    rows = house.settings.policy_rows
    asked = {place: authorise(rows, actor, action, place) for place in places(action, everywhere, rows)}
    granted = {place: decision for place, decision in asked.items() if decision.allowed}
    if not granted:
        return "you: no"
    if set(granted) == {ANYBODY}:
        return "you: yes"
    alone = [place for place, decision in granted.items() if decision.quorum == 0]
    asking = [place for place, decision in granted.items() if decision.quorum > 0]
    return "you: " + "; ".join(
        part for part in (", ".join(alone), f"{', '.join(asking)} if approved" if asking else "") if part
    )


def verdict_over(house: House, actor: Actor, action: Action) -> str:
    """The same for what is done to an operation, which depends on whose it is and where."""
    if not actor.known:
        return "you: no"
    if action is Action.OPERATION_WITHDRAW:
        return "you: your own vote"
    rows, subjects = house.settings.policy_rows, sorted(RUNS)
    spots = [(subject, place) for subject in subjects for place in places(subject, house.catalog.environments)]
    granted = [
        place for subject, place in spots if authorise(rows, actor, action, place, Facts(subject=subject)).allowed
    ]
    others = ", ".join(dict.fromkeys(granted))
    return f"you: your own, and others' in {others}" if others else "you: your own"


def rights_lines(house: House, actor: Actor) -> Iterator[str]:
    """One entry an action and environment: yes or no, and why."""
    for action, place, decision in rights(house.settings.policy_rows, actor, house.catalog.environments):
        about = action.value if place == ANYBODY else f"{action.value} in {place}"
        named = decision.rule if action is Action.OPERATION_APPROVE and decision.rule else about
        yield f"{'yes' if decision.allowed else 'no'} · {named}\n-# {escape(decision.reason, 250)}"


def held_lines(actor: Actor, in_discord: frozenset[str], duties: frozenset[str]) -> Iterator[str]:
    """Which roles count, and which do not, with the reason: a Discord role needs the duty, and the duty the role."""
    yield f"roles that count: {_listed(actor.roles, 'none')}"
    if not actor.known:
        return
    if loose := in_discord - duties:
        yield f"without effect: {_listed(loose)}, which you hold in Discord and which is not among your duties here"
    if missing := duties - in_discord:
        yield f"not in force: {_listed(missing)}, which is among your duties and which you do not hold in Discord"


# ---- one right -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """A person of the configuration: `now` with the roles that count, `entitled` with all duties. `gone`: not in the
    guild. `now` is None where Discord could not be asked.
    """

    entitled: Actor
    now: Actor | None
    gone: bool = False


async def standings(house: House) -> list[Standing]:
    """Everybody whom the configuration names, with the roles that Discord reports at this moment."""
    names, room = house.people.names(), asyncio.Semaphore(ASKED_AT_ONCE)
    asked = {name: asyncio.create_task(_standing(house, name, room)) for name in names}
    if asked:
        _, late = await asyncio.wait(asked.values(), timeout=ASK_WITHIN_S)
        for task in late:
            task.cancel()
    return [
        task.result() if task.done() and not task.cancelled() else Standing(_entitled(house, name), None)
        for name, task in asked.items()
    ]


async def _standing(house: House, name: str, room: asyncio.Semaphore) -> Standing:
    entitled = _entitled(house, name)
    try:
        async with room:
            held = await house.roster.roles_of(name)
    except Unavailable:
        return Standing(entitled, None)
    now = house.people.person(name, door=Door.DISCORD, discord_roles=held or frozenset())
    return Standing(entitled, now, gone=held is None)


def _entitled(house: House, name: str) -> Actor:
    return house.people.person(name, door=Door.DISCORD, discord_roles=None)


def whocan_text(house: House, action: Action, environment: str, people: Sequence[Standing], limit: int) -> str:
    """The rule, who may ask and who must approve, by name, and who only lacks the Discord role for it."""
    rows = house.settings.policy_rows
    named = f"{action.value} in {escape(environment, 40)}"
    row = row_of(rows, action, environment)
    if row is None:
        return f"**{named}**\nThere is no such rule, so nobody may do that. An owner can add a row to the policy."
    lines = [f"**{named}**", _row_line(row)]

    def asks(actor: Actor) -> bool:
        return authorise(rows, actor, action, environment).allowed

    def approves(actor: Actor) -> bool:
        return authorise(rows, actor, Action.OPERATION_APPROVE, environment, Facts(subject=action)).allowed

    lines += _group("may ask", asks, people)
    if row.quorum > 0:
        lines += _group(f"may approve ({row.quorum} must)", approves, people)
    if unsure := [standing.entitled.name for standing in people if standing.now is None]:
        lines.append(f"! Discord could not be asked about {_listed(unsure)}: by the people table, roles not confirmed")
    if gone := [standing.entitled.name for standing in people if standing.gone]:
        lines.append(f"not in this Discord server: {_listed(gone)}")
    return fitted(lines, limit)


def _row_line(row: PolicyRow) -> str:
    """The rule in a sentence."""
    asks = f"Rule: {who(row.requesters)} may ask"
    if row.quorum == 0:
        return f"{asks}, and nobody else has to agree."
    other = "" if row.self_approval else ", not the requester"
    alone = f" To a version verified there lately, {who(row.approvers)} alone may do it." if row.verified_alone else ""
    return f"{asks}, and {row.quorum} of {who(row.approvers)} must approve{other}.{alone}"


def _group(heading: str, allowed: Callable[[Actor], bool], people: Sequence[Standing]) -> Iterator[str]:
    """Those who may, and those who could if they held in Discord what is among their duties."""
    may = [standing.entitled.name for standing in people if allowed(standing.now or standing.entitled)]
    could = [s.entitled.name for s in people if s.now is not None and allowed(s.entitled) and not allowed(s.now)]
    yield f"{heading}: {_listed(may)}"
    if could:
        yield f"could, but lacks the Discord role now: {_listed(could)}"


def _listed(names: Iterable[str], none: str = "nobody") -> str:
    return escape(", ".join(sorted(names)), 400) or none

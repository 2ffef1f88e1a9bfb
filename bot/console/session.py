"""One sitting at the command line: the core without Discord's front, the person who sits there, and the way out.

The person's roles are read from Discord when it can be asked. When it cannot, the duties of the people table count
instead: the host has confirmed who it is, and the record says that the roles were not confirmed.
"""

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bot.console.identity import os_users, person_of
from bot.console.paper import Paper
from bot.errors import Refused, Unavailable
from bot.groundwork import Core, open_core
from bot.logs import Redactor
from bot.policy import ANYBODY, CONTROL, Action, Actor, Door, admission
from bot.settings import Settings

REFUSED = "door.refused"
"""The event of a wish that was refused before it became anything."""


@dataclass(frozen=True, slots=True)
class Session:
    """What every errand works with."""

    core: Core
    actor: Actor
    paper: Paper
    command: str

    def trace(self) -> dict[str, str | bool]:
        """What the record keeps of how somebody came in."""
        return {"door": self.actor.door.value, "roles_confirmed": self.actor.confirmed}

    async def admit(self, action: Action, environment: str = "") -> None:
        """Let the errand begin only for those to whom the policy grants the action, without an environment in any
        place at all; the engine, or the lookout, asks once more.

        Raises:
            Refused: it does not, or there is no such environment; recorded.
        """
        try:
            if environment not in ("", CONTROL):
                self.core.catalog.environment(environment)
            decision = admission(self.core.settings.policy_rows, self.actor, action, environment or ANYBODY)
            if not decision.allowed:
                raise Refused(decision.reason, hint=decision.hint, rule=decision.rule)
        except Refused as refusal:
            await _record(self.core, self.actor.name, refusal, self.command, environment)
            raise


async def open_session(
    settings: Settings, redactor: Redactor, stack: AsyncExitStack, *, paper: Paper, command: str
) -> Session:
    """Open the core beside whatever runs, and find out who asks.

    Raises:
        Refused: the configuration names no person for the user of the host; recorded.
        Unavailable: the database cannot be opened.
    """
    core = await open_core(settings, redactor, stack, exclusive=False)
    users = os_users(settings.state_dir, os.environ, own=os.getuid())
    try:
        person = person_of(core.people, users)
    except Refused as refusal:
        await _record(core, f"os user {users[0] if users else os.getuid()}", refusal, command)
        raise
    actor = await _actor(core, person, paper)
    return Session(core, actor, paper, command)


async def _actor(core: Core, person: str, paper: Paper) -> Actor:
    try:
        roles = await core.roster.roles_of(person)
    except Unavailable as error:
        paper.complain(f"{error} Roles not confirmed: the duties of the people table count, and the audit says so.")
        return core.people.person(person, door=Door.COMMAND_LINE, discord_roles=None)
    return core.people.person(person, door=Door.COMMAND_LINE, discord_roles=roles or frozenset())


async def _record(core: Core, actor: str, refusal: Refused, command: str, environment: str = "") -> None:
    where = {"environment": environment} if environment else {}
    data = {"rule": refusal.rule or "input", "command": command, "door": Door.COMMAND_LINE.value, **where}
    await core.engine.record(REFUSED, actor, str(refusal), data)

"""Who holds which role now: Discord's word, asked afresh each time, narrowed by the people table. Remembers nothing."""

import asyncio
from typing import Protocol

from bot.people import People


class Members(Protocol):
    """The part of the Discord client that is needed here."""

    async def member_roles(self, user_id: int) -> tuple[int, ...] | None: ...


class DiscordRoster:
    """Implements `ops.roster.Roster`."""

    def __init__(self, members: Members, people: People) -> None:
        self._members = members
        self._people = people

    async def roles_of(self, person: str) -> frozenset[str] | None:
        """See `Roster.roles_of`. The roles of several accounts of one person are counted together."""
        accounts = self._people.accounts(person)
        found = await asyncio.gather(*(self._members.member_roles(account) for account in accounts))
        held = [roles for roles in found if roles is not None]
        if not held:
            return None
        names = self._people.role_names(role for roles in held for role in roles)
        return names & self._people.duties(person)

    def duties_of(self, person: str) -> frozenset[str] | None:
        """See `Roster.duties_of`."""
        return self._people.duties(person) if self._people.accounts(person) else None

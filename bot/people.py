"""Who somebody is: from a Discord account, or a user of the host, to the person of the configuration with their roles.

Names in Discord can be chosen by anybody; only ids count here. Of a person whom the configuration names, a Discord role
counts only where it is also among that person's duties: whoever may give roles in the guild cannot widen the rights
that the configuration wrote down. No decision is made in this room.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from bot.policy import Actor, Door


class Numbered(Protocol):
    """Anything with a Discord id."""

    @property
    def id(self) -> int: ...


class Member(Numbered, Protocol):
    """A member as an interaction brings it: fresh roles with every press."""

    @property
    def roles(self) -> Iterable[Numbered]: ...


class People:
    """The people and roles of the configuration, by id and by name.

    `accounts` are (name, Discord id), of which one person may have several: the first is the one that is pinged.
    `roles` gives the Discord id of each role name, `duties` the role names that each person may hold at all, and
    `os_users` the person behind each user of the host.
    """

    def __init__(
        self,
        *,
        accounts: Iterable[tuple[str, int]],
        roles: Mapping[str, int],
        duties: Mapping[str, Iterable[str]] | None = None,
        os_users: Mapping[str, str] | None = None,
    ) -> None:
        listed = tuple(accounts)
        self._names = {discord_id: name for name, discord_id in listed}
        self._accounts: dict[str, tuple[int, ...]] = {}
        for name, discord_id in listed:
            self._accounts[name] = (*self._accounts.get(name, ()), discord_id)
        self._role_names = {role_id: name for name, role_id in roles.items()}
        self._role_ids = dict(roles)
        self._duties = {name: frozenset(held) for name, held in (duties or {}).items()}
        self._os_users = {user: name for user, name in (os_users or {}).items() if user}

    def names(self) -> tuple[str, ...]:
        """Everybody whom the configuration names, in its order."""
        return tuple(self._accounts)

    def actor_of(self, member: Member | Numbered) -> Actor:
        """The actor behind this account. An account that the configuration does not name goes by its id, and keeps
        its Discord roles: it may only look.

        A user without roles (outside the guild) is an actor without roles.
        """
        held = self.discord_roles(member)
        name = self._names.get(member.id)
        if name is None:
            return Actor(str(member.id), member.id, held, known=False)
        return Actor(name, member.id, held & self.duties(name))

    def discord_roles(self, member: Member | Numbered) -> frozenset[str]:
        """What the account holds in Discord, before the duties narrow it: to be shown, never to be decided by."""
        return self.role_names(role.id for role in getattr(member, "roles", ()))

    def person(self, name: str, *, door: Door, discord_roles: frozenset[str] | None) -> Actor:
        """The actor that a person is at another door than Discord's own.

        `discord_roles` are the names of the roles that Discord says the person holds; None: Discord could not be
        asked, so the duties count and the actor is not confirmed. A name that the configuration does not list is an
        actor who may do nothing.
        """
        confirmed = discord_roles is not None
        if name not in self._accounts:
            return Actor(name, None, frozenset(), known=False, door=door, confirmed=confirmed)
        duties = self.duties(name)
        roles = duties if discord_roles is None else duties & discord_roles
        return Actor(name, self.discord_id(name), roles, door=door, confirmed=confirmed)

    def by_os_user(self, os_user: str) -> str | None:
        """The person who is that user of the host; None when the configuration maps nobody to it."""
        return self._os_users.get(os_user)

    def accounts(self, name: str) -> tuple[int, ...]:
        """Every Discord account of that person, the pinged one first; empty for somebody who is not named."""
        return self._accounts.get(name, ())

    def duties(self, name: str) -> frozenset[str]:
        """The roles that this person may hold at all; empty for somebody who is not named."""
        return self._duties.get(name, frozenset())

    def discord_id(self, name: str) -> int | None:
        """The account by which that person is pinged; None for somebody whom the configuration does not name."""
        return next(iter(self.accounts(name)), None)

    def role_names(self, role_ids: Iterable[int]) -> frozenset[str]:
        """The configured names of those roles; ids that the configuration does not know are left out."""
        return frozenset(self._role_names[role_id] for role_id in role_ids if role_id in self._role_names)

    def role_ids(self, names: Iterable[str]) -> list[int]:
        """The ids of those roles that the configuration knows."""
        return [self._role_ids[name] for name in names if name in self._role_ids]

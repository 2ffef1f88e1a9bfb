"""The checks of Discord: token, application, guild, channels, roles, people, and settings that are too generous.

They only read. What the bot may do in a channel is computed from roles and overwrites by Discord's own algorithm
(`clients.discord_types`), so that nothing has to be posted to find out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from bot.clients.discord import DiscordClient
from bot.clients.discord_permissions import (
    CARDS_NEED,
    NEEDED,
    TOO_MUCH,
    Permission,
    invite_link,
    named,
)
from bot.clients.discord_types import ADMINISTRATION_NEEDS_2FA, Application, Channel, Guild
from bot.clients.http import HttpClient
from bot.doctor.examination import Check, Part
from bot.doctor.findings import Verdict, fine, warning, wrong
from bot.errors import NotVisible, Unavailable
from bot.policy import CONTROL
from bot.settings import PersonSettings, Settings

T = TypeVar("T")

TOKEN, APPLICATION, GUILD = "discord token", "discord application", "discord guild"
WRITABLE_KINDS = (0, 5)
"""Channel types that take messages: text and announcements (resources/channel, "Channel Types")."""
PRIVILEGED_INTENTS = sum(1 << bit for bit in (12, 13, 14, 15, 18, 19))
"""The application's flags for presences, members and message content, full and limited (resources/application)."""
UNAUTHORIZED, FORBIDDEN = 401, 403


@dataclass(frozen=True, slots=True)
class _View:
    """The guild as it is now, read once for all the checks that follow."""

    guild: Guild
    channels: dict[int, Channel]
    own_id: int
    own_roles: tuple[int, ...]

    def own(self, channel: Channel) -> Permission:
        return self.guild.allowed_in(channel, self.own_roles, user_id=self.own_id)


class ChatExamination:
    """The checks of one configuration's Discord; what the first ones read, the later ones use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._discord = settings.discord
        self._own_id = 0
        self._application: Application | None = None
        self._seen: _View | None = None

    def part(self) -> Part:
        """The checks, in order."""
        written = [name for name in self._discord.channels if name in self._written()]
        return [
            Check(TOKEN, self._token),
            Check(APPLICATION, self._app, needs=TOKEN),
            Check("discord intents", self._intents, needs=APPLICATION),
            Check(GUILD, self._guild, needs=APPLICATION),
            Check("discord commands", self._commands, needs=GUILD),
            Check("discord permissions", self._permissions, needs=GUILD),
            Check("discord 2FA", self._two_factors, needs=GUILD),
            *(Check(f"discord channel {n}", partial(self._channel, n), needs=GUILD) for n in self._discord.channels),
            *(
                Check(f"discord members in {n}", partial(self._members, n), needs=f"discord channel {n}")
                for n in written
            ),
            *(
                Check(f"discord pins in {n}", partial(self._pins, n), needs=f"discord channel {n}")
                for n in self._discord.channels
                if n in self._pinned()
            ),
            Check("discord webhooks", self._webhooks, needs=GUILD),
            *(Check(f"discord role {n}", partial(self._role, n), needs=GUILD) for n in self._discord.roles),
            *(Check(f"discord person {p.name}", partial(self._person, p), needs=GUILD) for p in self._settings.people),
        ]

    # ---- the bot itself --------------------------------------------------------------------------------------

    def _token(self) -> Verdict:
        try:
            self._own_id = self._ask(lambda client: client.own_id())
        except Unavailable as error:
            if error.status != UNAUTHORIZED:
                raise
            return wrong(
                "Discord does not accept the token",
                "Copy it anew (Developer Portal > Bot > Reset Token) into QUARTERDECK_DISCORD_TOKEN.",
            )
        return fine("Discord knows the token")

    def _app(self) -> Verdict:
        self._application = application = self._ask(lambda client: client.application())
        configured = self._discord.application_id
        if configured is not None and configured != application.id:
            return wrong(
                f"the token belongs to the application {application.id} ({application.name}), "
                f"the file says {configured}",
                f"Set discord.application_id = {application.id}, or use the other application's token.",
            )
        if application.public:
            return warning(
                f"anybody may invite {application.name} to a guild of their own",
                "Developer Portal > Bot: switch “Public Bot” off.",
            )
        return fine(f"{application.name}, which only its owner may invite")

    def _intents(self) -> Verdict:
        if self._app_known().flags & PRIVILEGED_INTENTS:
            return warning(
                "the application may receive presences, members or message content, which this bot never needs",
                "Developer Portal > Bot: switch all Privileged Gateway Intents off.",
            )
        return fine("no privileged intent, and none is needed")

    def _guild(self) -> Verdict:
        try:
            self._seen = view = self._ask(self._read_view)
        except (NotVisible, Unavailable) as error:
            if error.status not in (404, FORBIDDEN):
                raise
            return wrong(
                f"the bot is not in the guild {self._discord.guild_id}",
                f"Set discord.guild_id, or let an administrator invite the bot: {self._link()}",
            )
        return fine(f"{view.guild.name}, {len(view.channels)} channels, {len(view.guild.roles)} roles")

    async def _read_view(self, client: DiscordClient) -> _View:
        guild, channels, own_roles = await asyncio.gather(
            client.guild(), client.channels(), client.member_roles(self._own_id)
        )
        return _View(guild, {channel.id: channel for channel in channels}, self._own_id, own_roles or ())

    def _commands(self) -> Verdict:
        application_id = self._app_known().id
        try:
            names = self._ask(lambda client: client.commands(application_id))
        except Unavailable as error:
            if error.status != FORBIDDEN:
                raise
            return wrong(
                "the bot may not register commands in the guild",
                f"Invite it once more, with the scope applications.commands: {self._link()}",
            )
        return fine(f"{len(names)} commands are registered" if names else "the bot will register its commands")

    def _permissions(self) -> Verdict:
        view = self._view()
        held = view.guild.allowed(view.own_roles, user_id=view.own_id)
        if Permission.ADMINISTRATOR in held:
            return warning(
                "the bot is an administrator: whoever gets its token owns the guild",
                f"Server Settings > Roles: take Administrator from the bot's roles. It needs: {_listed(NEEDED)}.",
            )
        if too_much := held & TOO_MUCH:
            return warning(
                f"the bot may {_listed(too_much)}, which it never needs",
                "Server Settings > Roles: switch that off in the bot's roles, or for @everyone.",
            )
        return fine("nothing that the bot does not need")

    def _two_factors(self) -> Verdict:
        if self._view().guild.mfa_level != ADMINISTRATION_NEEDS_2FA:
            return warning(
                "moderators need no second factor: a stolen password is enough to give out an approver's role",
                "Server Settings > Safety Setup > Permissions: require 2FA for moderator actions (its owner can).",
            )
        return fine("moderators need a second factor")

    # ---- channels --------------------------------------------------------------------------------------------

    def _written(self) -> frozenset[str]:
        """The channels in which this bot posts."""
        environments = self._settings.environments.values()
        return self._pinned() | {"audit", *(environment.channel for environment in environments)}

    def _pinned(self) -> frozenset[str]:
        """The channels in which a board of its is pinned."""
        alerts = self._settings.alerts.all_channels if self._settings.alerts is not None else ()
        return frozenset({"ops", *alerts})

    def _channel(self, name: str) -> Verdict:
        number = self._discord.channels[name]
        channel = self._view().channels.get(number)
        if channel is None:
            return wrong(
                f"the guild has no channel {number}",
                f"Copy the channel's id (Developer Mode, right click) into discord.channels.{name}.",
            )
        if channel.kind not in WRITABLE_KINDS:
            return wrong(f"#{channel.name} is no text channel", f"Choose a text channel for discord.channels.{name}.")
        if name not in self._written():
            return fine(f"#{channel.name} is there; nothing is posted in it")
        missing = CARDS_NEED & ~self._view().own(channel)
        if missing:
            return wrong(
                f"the bot lacks {_listed(missing)} in #{channel.name}",
                f"Edit Channel > Permissions of #{channel.name}: allow that for the bot's role.",
            )
        return fine(f"the bot may post its cards in #{channel.name}")

    def _members(self, name: str) -> Verdict:
        channel = self._view().channels[self._discord.channels[name]]
        held = self._view().guild.allowed_in(channel, ())
        generous = held & (Permission.SEND_MESSAGES | Permission.USE_EXTERNAL_APPS)
        if generous:
            return warning(
                f"@everyone may {_listed(generous)} in #{channel.name}: what others post can pass for a card",
                f"Edit Channel > Permissions of #{channel.name}: deny {_listed(generous)} to @everyone.",
            )
        return fine(f"in #{channel.name} only those who are allowed to may post")

    def _pins(self, name: str) -> Verdict:
        channel = self._view().channels[self._discord.channels[name]]
        if Permission.PIN_MESSAGES not in self._view().own(channel):
            return wrong(
                f"the bot may not pin its board in #{channel.name}",
                f"Edit Channel > Permissions of #{channel.name}: allow Pin Messages for the bot's role.",
            )
        return fine(f"the bot may pin its board in #{channel.name}")

    def _webhooks(self) -> Verdict:
        guild = self._view().guild
        channels = [c for n, c in self._configured() if n in self._written()]
        wide = [
            role.name
            for role in guild.roles.values()
            if Permission.ADMINISTRATOR not in role.permissions
            and role.id not in self._view().own_roles
            and any(Permission.MANAGE_WEBHOOKS in guild.allowed_in(channel, (role.id,)) for channel in channels)
        ]
        if guild.everyone.name in wide:
            wide = [guild.everyone.name]
        if wide:
            return warning(
                f"{_and(wide)} may Manage Webhooks in the bot's channels, and a webhook can take the bot's name",
                "Take Manage Webhooks from everybody but the guild's administrators.",
            )
        return fine("only administrators may create webhooks in the bot's channels")

    # ---- roles and people ------------------------------------------------------------------------------------

    def _role(self, name: str) -> Verdict:
        number, guild = self._discord.roles[name], self._view().guild
        role = guild.roles.get(number)
        if role is None:
            return wrong(
                f"the guild has no role {number}",
                f"Copy the role's id (Developer Mode, Server Settings > Roles) into discord.roles.{name}.",
            )
        if role.id == guild.id:
            return wrong(
                "that is @everyone: each member of the guild would have it",
                f"Make a role of its own for {name}, and put its id into discord.roles.{name}.",
            )
        silent = [c for c in self._pinged_in(name) if not role.mentionable and not self._may_mention(c)]
        if silent:
            return wrong(
                f"approvers are not told: @{role.name} cannot be pinged in {_and([f'#{c.name}' for c in silent])}",
                f"Server Settings > Roles > {role.name}: allow anyone to mention it; or allow the bot Mention "
                "Everyone in that channel.",
            )
        return fine(f"@{role.name}" + (", which the bot can ping" if self._pinged_in(name) else ""))

    def _pinged_in(self, role: str) -> list[Channel]:
        """The channels in which the bot asks that role for an approval."""
        rows = [row for row in self._settings.policy_rows if role in row.approvers]
        names = set()
        for row in rows:
            if row.environment in ("*", CONTROL):
                names.add("ops")
            for environment, settings in self._settings.environments.items():
                if row.environment in ("*", environment):
                    names.add(settings.channel)
        return [channel for name, channel in self._configured() if name in names]

    def _may_mention(self, channel: Channel) -> bool:
        return Permission.MENTION_EVERYONE in self._view().own(channel)

    def _person(self, person: PersonSettings) -> Verdict:
        held = self._ask(lambda client: client.member_roles(person.discord_id))
        if held is None:
            return warning(
                f"the account {person.discord_id} is not in the guild",
                f"Invite {person.name}, correct the discord_id, or take the entry out of the people table.",
            )
        names = {number: name for name, number in self._discord.roles.items()}
        roles = {names[number] for number in held if number in names}
        if idle := [duty for duty in person.duties if duty not in roles]:
            return warning(
                f"{person.name} has the duty {_and(idle)} without the Discord role, and cannot use it in the chat",
                "Give the role in Discord, or take the duty out of the file.",
            )
        if surplus := sorted(roles - set(person.duties)):
            return warning(
                f"{person.name} has the Discord role {_and(surplus)} without the duty, and it does not count",
                "Take the role away in Discord, or add the duty to the file.",
            )
        return fine(", ".join(person.duties) or "may look only")

    # ---- behind them -----------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[DiscordClient], Awaitable[T]]) -> T:
        return asyncio.run(ask_discord(self._settings, question))

    def _view(self) -> _View:
        assert self._seen is not None, "the guild is read first"
        return self._seen

    def _app_known(self) -> Application:
        assert self._application is not None, "the application is read first"
        return self._application

    def _configured(self) -> Iterable[tuple[str, Channel]]:
        """The configured channels that exist, by their names in the file."""
        known = self._view().channels
        return [(name, known[number]) for name, number in self._discord.channels.items() if number in known]

    def _link(self) -> str:
        return invite_link(self._app_known().id, guild_id=self._discord.guild_id)


async def ask_discord(settings: Settings, question: Callable[[DiscordClient], Awaitable[T]]) -> T:
    """Ask one question of the configured Discord, on a connection of its own."""
    http = HttpClient()
    try:
        client = DiscordClient(
            api_url=str(settings.discord.api_url) if settings.discord.api_url else None,
            token=settings.discord_token.get_secret_value(),
            guild_id=settings.discord.guild_id,
            http=http,
        )
        return await question(client)
    finally:
        await http.close()


def _listed(permissions: Permission) -> str:
    return _and(named(permissions))


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last

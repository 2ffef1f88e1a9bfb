"""The questions of `init`, in order: Discord, people, GitHub, AWS; those about monitoring have a room of their own.

Each looks up first what there is to choose from.
"""

import asyncio
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bot.clients.aws_account import AwsAccount, Host
from bot.clients.discord import DiscordClient
from bot.clients.discord_permissions import NEEDED, invite_link, named
from bot.clients.discord_types import TEXT_CHANNEL, Application, Channel, Guild, GuildName, Role
from bot.clients.http import HttpClient
from bot.commissioning.desk import Choice, Desk, pairs, snowflake
from bot.commissioning.draft import SANDBOX_KEYS, Draft, Person
from bot.commissioning.monitoring import Monitoring
from bot.commissioning.monitoring_questions import Known, MonitoringQuestions
from bot.errors import Misconfigured, Unavailable

T = TypeVar("T")

CHANNELS = {
    "ops": "the cards of all operations",
    "audit": "one line per decision and outcome",
    "alerts": "what is wrong, and who has it",
    "alerts-critical": "what must not wait",
}
REQUIRED_CHANNELS = ("ops", "audit")
ROLES = {"sre": "approves prod", "dev": "asks for deploys", "owner": "with sre: changes the bot's configuration"}
"""The roles of the seeded policy."""
REQUIRED_ROLES = ("sre", "dev")
ENVIRONMENTS = ("dev", "prod")
SERVICE, PATHS = "app", ("app", "Dockerfile", "locks/app.txt")
UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Chat:
    """The answers about Discord. `channels` and `roles` are ids by the names that the bot gives them."""

    application: Application
    guild: Guild
    channels: Mapping[str, int]
    roles: Mapping[str, int]
    people: tuple[Person, ...]
    guild_channels: tuple[Choice[int], ...]
    """What there was to choose from; `guild_roles` likewise."""
    guild_roles: tuple[Choice[int], ...]


class Interview:
    """One round of questions; the options answer in advance what they name."""

    def __init__(self, options: Namespace, desk: Desk, *, token: str) -> None:
        self._options = options
        self._desk = desk
        self._token = token
        self._endpoints = {key: value for key in SANDBOX_KEYS if (value := getattr(options, key))}

    def draft(self) -> Draft:
        """All answers.

        Raises:
            Misconfigured: an answer is missing or makes no sense.
            Unavailable: Discord cannot be asked.
        """
        chat = self.chat()
        repository = self._options.repository or self._desk.line(
            "GitHub repository (OWNER/NAME)", option="--repository"
        )
        region, account, hosts = self._cloud()
        service = self._options.service or SERVICE
        urls = dict(self._urls(service, hosts))
        monitoring = self._monitoring(chat)
        return Draft(
            state_dir=str(self._options.state_dir or "/var/lib/quarterdeck"),
            guild_id=chat.guild.id,
            application_id=chat.application.id,
            channels={**chat.channels, **monitoring.channels},
            roles={**chat.roles, **monitoring.roles},
            people=chat.people,
            repository=repository,
            default_branch=self._options.branch or "main",
            region=region,
            account=account,
            hosts=hosts,
            service=service,
            paths=tuple(self._options.path or PATHS),
            image_repository=service,
            urls=urls,
            endpoints=self._endpoints,
            monitoring=monitoring,
        )

    def _monitoring(self, chat: Chat) -> Monitoring:
        known = Known(chat.channels, chat.roles, chat.guild_channels, chat.guild_roles)
        return MonitoringQuestions(self._options, self._desk, known).answers()

    # ---- Discord ---------------------------------------------------------------------------------------------

    def chat(self) -> Chat:
        """The questions about Discord alone.

        Raises:
            Misconfigured, Unavailable: as for `draft`.
        """
        application = self._application()
        guild, every = self._guild(application)
        guild_channels = tuple(Choice(channel.name, channel.id) for channel in every if channel.kind == TEXT_CHANNEL)
        guild_roles = tuple(Choice(role.name, role.id) for role in guild.roles.values() if _assignable(role, guild))
        channels, roles = dict(self._channels(guild_channels)), dict(self._roles(guild_roles))
        people = tuple(self._people(guild, roles))
        _refuse_unknown_duties(people, roles)
        return Chat(application, guild, channels, roles, people, guild_channels, guild_roles)

    def _application(self) -> Application:
        try:
            return self._ask(lambda client: client.application())
        except Unavailable as error:
            if error.status == UNAUTHORIZED:
                raise Misconfigured(
                    "Discord does not accept that token.", hint="Copy it anew: Developer Portal > Bot > Reset Token."
                ) from error
            raise

    def _guild(self, application: Application) -> tuple[Guild, list[Channel]]:
        """The guild of the option or of the choice; the link is printed in any case, as it also mends rights."""
        self._desk.say(f"{application.name} needs these permissions, and no others: {', '.join(named(NEEDED))}.")
        self._desk.say(
            f"An administrator lets it in, or mends its permissions, by this link:\n{self._link(application)}"
        )
        guild_id = self._options.guild or self._chosen_guild(application)

        async def read(client: DiscordClient) -> tuple[Guild, list[Channel]]:
            return await asyncio.gather(client.guild(), client.channels())

        return self._ask(read, guild_id=guild_id)

    def _chosen_guild(self, application: Application) -> int:
        while not (guilds := self._ask(lambda client: client.guilds())):
            self._desk.say(f"\n{application.name} is in no guild yet.")
            if not self._desk.interactive:
                raise Misconfigured("The bot is in no guild.", hint=f"Invite it: {self._link(application)}")
            self._desk.optional("Open the link, let it in, and press Enter")
        return self._desk.pick(
            "Which guild?", _by_name(guilds), option="--guild", default=guilds[0].id if len(guilds) == 1 else None
        )

    def _link(self, application: Application) -> str:
        return invite_link(application.id, guild_id=self._options.guild)

    def _channels(self, there: Sequence[Choice[int]]) -> Iterable[tuple[str, int]]:
        given = pairs(self._options.channel, "--channel")
        for name, purpose in CHANNELS.items():
            if name in given:
                yield name, snowflake(given[name], "--channel")
            elif (found := self._desk.named(name, purpose, there, "--channel", needed=name in REQUIRED_CHANNELS)) != 0:
                yield name, found

    def _roles(self, there: Sequence[Choice[int]]) -> Iterable[tuple[str, int]]:
        given = pairs(self._options.role, "--role")
        for name, purpose in ROLES.items():
            if name in given:
                yield name, snowflake(given[name], "--role")
            elif (found := self._desk.named(name, purpose, there, "--role", needed=name in REQUIRED_ROLES)) != 0:
                yield name, found

    # ---- people ----------------------------------------------------------------------------------------------

    def _people(self, guild: Guild, roles: Mapping[str, int]) -> Iterable[Person]:
        """Those of the options, or those who are typed in; the guild's owner is proposed as the first."""
        if self._options.person:
            yield from map(_person, self._options.person)
            return
        self._desk.say(
            "\nWho may change something? Votes count persons: each needs a name, the Discord id (Developer Mode, right "
            f"click) and duties ({', '.join(roles)}). Whoever is not listed may look only."
        )
        proposal = str(guild.owner_id)
        while name := self._first_or_more(proposal):
            number = self._desk.line(f"Discord id of {name}", option="--person", default=proposal)
            duties = self._desk.line(f"duties of {name}", option="--person", default=",".join(roles))
            os_user = self._desk.optional(f"user of {name} on this host, for the command line")
            yield Person(name, snowflake(number, "--person"), _words(duties), os_user=os_user)
            proposal = ""

    def _first_or_more(self, proposal: str) -> str:
        if proposal:
            return self._desk.line("\nname of the first person", option="--person NAME:ID:DUTY,DUTY")
        return self._desk.optional("name of one more person")

    # ---- AWS -------------------------------------------------------------------------------------------------

    def _cloud(self) -> tuple[str, str, dict[str, str]]:
        """Region, account and each environment's instance. What AWS cannot be asked about now is asked the person."""
        endpoint = self._endpoints.get("aws_endpoint")
        account = AwsAccount(region=None, endpoint_url=endpoint)
        region = self._options.region or self._desk.line(
            "AWS region", option="--region", default=account.default_region()
        )
        account = AwsAccount(region=region, endpoint_url=endpoint)
        number = self._options.account or self._desk.line(
            "AWS account", option="--account", default=self._found("account", lambda: account.identity().account, "")
        )
        given = pairs(self._options.host, "--host")
        known: list[Choice[str]] = []
        if not set(ENVIRONMENTS) <= set(given):
            hosts: list[Host] = self._found("instances", lambda: account.hosts(), [])
            known = [Choice(f"{host.instance_id} {host.name}".strip(), host.instance_id) for host in hosts]
        wanted = dict.fromkeys((*ENVIRONMENTS, *given)) if not given or self._desk.interactive else given
        return region, number, {name: given.get(name) or self._host(name, known) for name in wanted}

    def _host(self, environment: str, known: list[Choice[str]]) -> str:
        option = f"--host {environment}=INSTANCE"
        if known:
            return self._desk.pick(f"Which instance is {environment}?", known, option=option)
        return self._desk.line(f"instance id of {environment} (i-…)", option=option)

    def _found(self, what: str, question: Callable[[], T], otherwise: T) -> T:
        try:
            return question()
        except Unavailable as error:
            self._desk.say(f"AWS did not tell the {what}: {error}")
            return otherwise

    def _urls(self, service: str, hosts: Iterable[str]) -> Iterable[tuple[str, str]]:
        given = pairs(self._options.url, "--url")
        for name in hosts:
            if url := given.get(name) or self._desk.optional(f"address of {service} in {name} (https://…)"):
                yield name, url

    def _ask(self, question: Callable[[DiscordClient], Awaitable[T]], *, guild_id: int = 0) -> T:
        async def asked() -> T:
            http = HttpClient()
            try:
                api_url = self._endpoints.get("discord_api")
                return await question(DiscordClient(api_url=api_url, token=self._token, guild_id=guild_id, http=http))
            finally:
                await http.close()

        return asyncio.run(asked())


def _by_name(guilds: Iterable[GuildName]) -> list[Choice[int]]:
    return [Choice(guild.name, guild.id) for guild in guilds]


def _assignable(role: Role, guild: Guild) -> bool:
    """Whether people can be given it: not an integration's own, and not `@everyone`."""
    return not role.managed and role.id != guild.id


def _person(text: str) -> Person:
    """`NAME:DISCORD_ID:DUTY,DUTY[:GITHUB[:OS_USER]]`."""
    name, number, duties, github, os_user, *more = [*text.split(":"), "", "", "", ""][:6]
    if not name or any(more) or not number:
        raise Misconfigured(f"--person {text!r} is not of the form NAME:DISCORD_ID:DUTY,DUTY[:GITHUB[:OS_USER]].")
    return Person(name, snowflake(number, "--person"), _words(duties), github, os_user)


def _refuse_unknown_duties(people: Iterable[Person], roles: Mapping[str, int]) -> None:
    """A duty is the name of a chosen role; with any other a person could silently do nothing."""
    for person in people:
        for duty in person.duties:
            if duty not in roles:
                raise Misconfigured(f"{person.name} has the duty {duty!r}; the roles are {', '.join(roles)}.")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())

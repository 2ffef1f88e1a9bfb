"""Who may do what in this server: roles' permissions, channels' overwrites, and the switches that an owner can set.

The rules start as a careful team would set them, and `PUT /discord/guild` of the control API changes them, so that
bad settings can be tried. Only what differs from the start is kept in the store.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.sandbox import cast
from bot.sandbox.discord.store import Store
from bot.sandbox.wire import Rejected

Json = dict[str, Any]

BITS: Mapping[str, int] = {
    "ADMINISTRATOR": 3,
    "MANAGE_CHANNELS": 4,
    "MANAGE_GUILD": 5,
    "ADD_REACTIONS": 6,
    "VIEW_CHANNEL": 10,
    "SEND_MESSAGES": 11,
    "SEND_TTS_MESSAGES": 12,
    "MANAGE_MESSAGES": 13,
    "EMBED_LINKS": 14,
    "ATTACH_FILES": 15,
    "READ_MESSAGE_HISTORY": 16,
    "MENTION_EVERYONE": 17,
    "USE_EXTERNAL_EMOJIS": 18,
    "CHANGE_NICKNAME": 26,
    "MANAGE_ROLES": 28,
    "MANAGE_WEBHOOKS": 29,
    "USE_APPLICATION_COMMANDS": 31,
    "CREATE_PUBLIC_THREADS": 35,
    "SEND_MESSAGES_IN_THREADS": 38,
    "USE_EXTERNAL_APPS": 50,
    "PIN_MESSAGES": 51,
    "BYPASS_SLOWMODE": 52,
}
"""Discord's names of the permissions that mean something here ("Permissions", bitwise permission flags, 2026)."""
BIT = {name: 1 << bit for name, bit in BITS.items()}
ALL = (1 << 53) - 1
NOT_WITHOUT_SENDING = ("MENTION_EVERYONE", "SEND_TTS_MESSAGES", "ATTACH_FILES", "EMBED_LINKS")

EVERYONE = "@everyone"
MEMBERS = (
    *("ADD_REACTIONS", "VIEW_CHANNEL", "SEND_MESSAGES", "EMBED_LINKS", "ATTACH_FILES", "READ_MESSAGE_HISTORY"),
    *("USE_EXTERNAL_EMOJIS", "CHANGE_NICKNAME", "USE_APPLICATION_COMMANDS", "CREATE_PUBLIC_THREADS"),
    "SEND_MESSAGES_IN_THREADS",
)
THE_BOTS = ("VIEW_CHANNEL", "SEND_MESSAGES", "EMBED_LINKS", "ATTACH_FILES", "READ_MESSAGE_HISTORY", "PIN_MESSAGES")
OPEN_CHANNELS = ("general",)
"""Where members talk; in the other channels they look on and use commands, and only the bot writes."""


def bits(names: Iterable[str]) -> int:
    return sum(BIT[name] for name in names)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Names = list[Annotated[str, Field(max_length=40)]]


class OverwriteRule(_Part):
    """A channel's exception for a role or a member."""

    allow: Names = []
    deny: Names = []


class RoleRule(_Part):
    """A role's settings; what is left out stays."""

    permissions: Names | None = None
    mentionable: bool | None = None


class ChannelRule(_Part):
    """A channel's overwrites by the name of a role or a member; null takes one away. `missing`: it was deleted.
    `slowmode_s`: how long everybody waits between two messages.
    """

    overwrites: dict[str, OverwriteRule | None] = {}
    missing: bool | None = None
    slowmode_s: int | None = Field(default=None, ge=0, le=21_600)


class ApplicationRule(_Part):
    """What the developer portal says of the application. `user_installed`: the members have it, not the server."""

    flags: int | None = Field(default=None, ge=0, lt=2**31)
    public: bool | None = None
    user_installed: bool | None = None


class RulesBody(_Part):
    """`PUT /discord/guild`. `left` are the members who are not in the server, `invited` whether the bot is in it to
    whoever asks by REST; `reset` begins with the first rules.
    """

    reset: bool = False
    invited: bool | None = None
    mfa_level: int | None = Field(default=None, ge=0, le=1)
    roles: dict[str, RoleRule] = {}
    channels: dict[str, ChannelRule] = {}
    application: ApplicationRule = ApplicationRule()
    left: list[str] | None = None


def first_rules() -> Json:
    """How the server is set up at the beginning."""
    roles: Json = {EVERYONE: {"permissions": list(MEMBERS), "mentionable": False}}
    roles |= {name: {"permissions": list(MEMBERS), "mentionable": True} for name in cast.ROLES}
    roles["owner"]["permissions"] = ["ADMINISTRATOR"]
    roles[cast.BOT_NAME] = {"permissions": list(THE_BOTS), "mentionable": False}
    return {
        "invited": True,
        "mfa_level": 1,
        "roles": roles,
        "channels": {
            name: {"overwrites": _first_overwrites(name), "missing": False, "slowmode_s": 0} for name in cast.CHANNELS
        },
        "application": {"flags": 0, "public": False, "user_installed": False},
        "left": [],
    }


def _first_overwrites(channel: str) -> Json:
    if channel in OPEN_CHANNELS:
        return {}
    return {
        EVERYONE: {"allow": [], "deny": ["SEND_MESSAGES"]},
        cast.BOT_NAME: {"allow": list(THE_BOTS), "deny": []},
    }


class Rules:
    """The rules in force, and what follows from them for a member."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._now: Json = store.document("rules") or first_rules()

    @property
    def invited(self) -> bool:
        return bool(self._now["invited"])

    @property
    def mfa_level(self) -> int:
        return int(self._now["mfa_level"])

    @property
    def application(self) -> Json:
        shown: Json = self._now["application"]
        return shown

    @property
    def left(self) -> frozenset[str]:
        return frozenset(self._now["left"])

    def role_permissions(self, role: str) -> int:
        return bits(self._now["roles"][role]["permissions"])

    def mentionable(self, role: str) -> bool:
        return bool(self._now["roles"][role]["mentionable"])

    def missing(self, channel: str) -> bool:
        return bool(self._now["channels"][channel]["missing"])

    def slowmode_s(self, channel: str) -> int:
        return int(self._now["channels"][channel].get("slowmode_s", 0))

    @property
    def user_installed(self) -> bool:
        return bool(self._now["application"].get("user_installed", False))

    def overwrites(self, channel: str) -> list[tuple[str, int, int]]:
        """Whose name, what it allows, what it denies."""
        found = self._now["channels"][channel]["overwrites"]
        return [(name, bits(one["allow"]), bits(one["deny"])) for name, one in found.items()]

    def held(self, roles: Iterable[str]) -> int:
        """What a member with these roles may do in the server as a whole."""
        held = self.role_permissions(EVERYONE)
        for role in roles:
            held |= self.role_permissions(role)
        return ALL if held & BIT["ADMINISTRATOR"] else held

    def held_in(self, channel: str, roles: Iterable[str], *, member: str) -> int:
        """What a member with these roles may do in a channel: the overwrites in Discord's order, then what follows."""
        roles = tuple(roles)
        held = self.held(roles)
        if held == ALL:
            return held
        of = {name: (allow, deny) for name, allow, deny in self.overwrites(channel)}
        of_roles = [of[role] for role in roles if role in of]
        together = (_union(allow for allow, _ in of_roles), _union(deny for _, deny in of_roles))
        for allow, deny in (of.get(EVERYONE, (0, 0)), together, of.get(member, (0, 0))):
            held = held & ~deny | allow
        if not held & BIT["VIEW_CHANNEL"]:
            return 0
        return held if held & BIT["SEND_MESSAGES"] else held & ~bits(NOT_WITHOUT_SENDING)

    def change(self, body: Json) -> Json:
        """Apply a change and give the rules that follow.

        Raises:
            Rejected: a key or a name is not known here; nothing is changed then.
        """
        try:
            wanted = RulesBody.model_validate(body)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise Rejected(f"{'.'.join(str(part) for part in fault['loc'])[:200]}: {fault['msg']}.") from None
        _check_names(wanted)
        rules = first_rules() if wanted.reset else deepcopy(self._now)
        for name, role in wanted.roles.items():
            rules["roles"][name] |= role.model_dump(exclude_none=True)
        for name, channel in wanted.channels.items():
            _change_channel(rules["channels"][name], channel)
        rules["application"] |= wanted.application.model_dump(exclude_none=True)
        rules |= wanted.model_dump(include={"invited", "mfa_level", "left"}, exclude_none=True)
        self._now = rules
        self._store.put_document("rules", rules)
        return deepcopy(rules)


def _union(values: Iterable[int]) -> int:
    together = 0
    for value in values:
        together |= value
    return together


def _change_channel(rules: Json, wanted: ChannelRule) -> None:
    for whose, overwrite in wanted.overwrites.items():
        if overwrite is None:
            rules["overwrites"].pop(whose, None)
        else:
            rules["overwrites"][whose] = overwrite.model_dump()
    rules |= wanted.model_dump(include={"missing", "slowmode_s"}, exclude_none=True)


def _check_names(wanted: RulesBody) -> None:
    """Every role, channel, member and permission that the body names exists."""
    roles = {EVERYONE, cast.BOT_NAME, *cast.ROLES}
    people = {person.name for person in cast.PEOPLE}
    overwrites = [(who, one) for channel in wanted.channels.values() for who, one in channel.overwrites.items()]
    named: list[tuple[str, set[str], Iterable[str]]] = [
        ("role", roles, wanted.roles),
        ("channel", set(cast.CHANNELS), wanted.channels),
        ("role or member", roles | people, [who for who, _ in overwrites]),
        ("member", people, wanted.left or []),
        ("permission", set(BITS), [name for role in wanted.roles.values() for name in role.permissions or []]),
        ("permission", set(BITS), [name for _, one in overwrites if one for name in (*one.allow, *one.deny)]),
    ]
    for kind, known, names in named:
        for name in names:
            if name not in known:
                raise Rejected(f"There is no {kind} {name[:100]!r}; there are: {', '.join(sorted(known))}.")

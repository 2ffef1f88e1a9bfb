"""What changed, told to both sides: to the bots by gateway events, to the page by the world's event stream."""

from typing import Any

from bot.sandbox.cast import GUILD_ID
from bot.sandbox.discord.gateway import GUILD_MEMBERS, GUILD_MESSAGES, GUILD_REACTIONS, GUILDS, Gateway
from bot.sandbox.discord.guild import BOT_ID, Guild
from bot.sandbox.discord.interactions import Interaction
from bot.sandbox.discord.store import Message
from bot.sandbox.discord.views import Views
from bot.sandbox.ledger import Ledger

Json = dict[str, Any]


class Announcements:
    """Knows for each change which event it is, for whom, and what it shows. `views` is set once they exist."""

    views: Views

    def __init__(self, *, gateway: Gateway, guild: Guild, ledger: Ledger) -> None:
        self._gateway = gateway
        self._guild = guild
        self._ledger = ledger

    def message_created(self, message: Message) -> None:
        self._message("MESSAGE_CREATE", "message.created", message)

    def message_updated(self, message: Message) -> None:
        self._message("MESSAGE_UPDATE", "message.updated", message)

    def _message(self, event: str, name: str, message: Message) -> None:
        view = self.views.message(message)
        self._ledger.publish(name, view)
        if message.owner is None:
            about: Json = {"guild_id": str(GUILD_ID)}
            if message.author == BOT_ID:
                author = self._guild.member(BOT_ID)
                about["member"] = {key: author[key] for key in author if key != "user"}
            self._gateway.dispatch(event, view["raw"] | about, intent=GUILD_MESSAGES)

    def message_deleted(self, message: Message) -> None:
        about = {"id": str(message.id), "channel_id": str(message.channel), "guild_id": str(GUILD_ID)}
        owner = None if message.owner is None else self._guild.name_of(message.owner)
        channel = self._guild.channel_name(message.channel)
        self._ledger.publish("message.deleted", {**about, "channel": channel, "ephemeral_for": owner})
        if message.owner is None:
            self._gateway.dispatch("MESSAGE_DELETE", about, intent=GUILD_MESSAGES)

    def reaction(self, message: Message, what: str, *, emoji: str | None = None, user: int | None = None) -> None:
        """`what` is the end of the event's name: ADD, REMOVE, REMOVE_ALL, REMOVE_EMOJI."""
        self._ledger.publish("message.updated", self.views.message(message))
        if message.owner is not None:
            return
        about: Json = {"channel_id": str(message.channel), "message_id": str(message.id), "guild_id": str(GUILD_ID)}
        if emoji is not None:
            about["emoji"] = {"id": None, "name": emoji}
        if user is not None:
            about |= {"user_id": str(user), "burst": False, "type": 0}
        if what == "ADD" and user is not None:
            about |= {"member": self._guild.member(user), "message_author_id": str(message.author)}
        self._gateway.dispatch(f"MESSAGE_REACTION_{what}", about, intent=GUILD_REACTIONS)

    def interaction_created(self, payload: Json) -> None:
        self._gateway.dispatch("INTERACTION_CREATE", payload)

    def interaction_updated(self, interaction: Interaction) -> None:
        self._ledger.publish("interaction.updated", self.views.interaction(interaction))

    def thread(self, thread: Json, *, what: str) -> None:
        """A thread was `created`, `updated` or `deleted`."""
        fresh = {"newly_created": True} if what == "created" else {}
        self._gateway.dispatch(f"THREAD_{what.removesuffix('d').upper()}", thread | fresh, intent=GUILDS)
        shown = {"id": thread["id"], "name": thread["name"], "parent": thread["parent_id"]}
        self._ledger.publish(f"thread.{what}", shown | {"archived": thread["thread_metadata"]["archived"]})

    def pins(self, channel: int, at: str | None) -> None:
        about = {"guild_id": str(GUILD_ID), "channel_id": str(channel), "last_pin_timestamp": at}
        self._gateway.dispatch("CHANNEL_PINS_UPDATE", about, intent=GUILDS)

    def typing(self, channel: int) -> None:
        """The bot types; that is for people, and no client of this server asks for the event."""
        about = {
            "channel_id": str(channel),
            "channel": self._guild.channel_name(channel),
            "user": self._guild.name_of(BOT_ID),
        }
        self._ledger.publish("typing", about)

    def member(self, user: int) -> None:
        member = self._guild.member(user) | {"guild_id": str(GUILD_ID)}
        self._gateway.dispatch("GUILD_MEMBER_UPDATE", member, intent=GUILD_MEMBERS)
        shown = {"id": str(user), "name": self._guild.name_of(user), "roles": list(self._guild.role_names(user))}
        self._ledger.publish("member.updated", shown)

    def guild(self, rules: Json) -> None:
        """The server's settings, roles or channels changed; whoever asks for GUILDS hears of each as it now is."""
        self._gateway.dispatch("GUILD_UPDATE", self._guild.described(), intent=GUILDS)
        for role in self._guild.roles():
            about = {"guild_id": str(GUILD_ID), "role": role}
            self._gateway.dispatch("GUILD_ROLE_UPDATE", about, intent=GUILDS)
        for channel in self._guild.channels():
            self._gateway.dispatch("CHANNEL_UPDATE", channel, intent=GUILDS)
        self._ledger.publish("guild.updated", rules)

    def commands_synced(self, scope: str, count: int) -> None:
        self._ledger.publish("commands.synced", {"scope": scope, "count": count})

"""Discord's permissions by name, and the one place that says which of them this bot needs.

Bits and names: Discord's documentation, "Permissions", bitwise permission flags (2026). Pinning left Manage Messages
and became a permission of its own in 2026.
"""

from enum import IntFlag
from typing import Self


class Permission(IntFlag):
    """One bit each; bits without a name here are kept, too."""

    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    SEND_TTS_MESSAGES = 1 << 12
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    MANAGE_ROLES = 1 << 28
    MANAGE_WEBHOOKS = 1 << 29
    CREATE_PUBLIC_THREADS = 1 << 35
    SEND_MESSAGES_IN_THREADS = 1 << 38
    USE_EXTERNAL_APPS = 1 << 50
    PIN_MESSAGES = 1 << 51
    BYPASS_SLOWMODE = 1 << 52

    @classmethod
    def all(cls) -> Self:
        """What an administrator has."""
        return cls((1 << 53) - 1)

    def implied(self) -> "Permission":
        """What is left of it after the denials that follow from others ("Permissions", implicit permissions)."""
        if Permission.VIEW_CHANNEL not in self:
            return Permission(0)
        return self if Permission.SEND_MESSAGES in self else self & ~KINDS_OF_SENDING


KINDS_OF_SENDING = (
    Permission.MENTION_EVERYONE | Permission.SEND_TTS_MESSAGES | Permission.ATTACH_FILES | Permission.EMBED_LINKS
)
WORDS = {
    Permission.ADMINISTRATOR: "Administrator",
    Permission.MANAGE_CHANNELS: "Manage Channels",
    Permission.MANAGE_GUILD: "Manage Server",
    Permission.VIEW_CHANNEL: "View Channels",
    Permission.SEND_MESSAGES: "Send Messages",
    Permission.MANAGE_MESSAGES: "Manage Messages",
    Permission.EMBED_LINKS: "Embed Links",
    Permission.ATTACH_FILES: "Attach Files",
    Permission.READ_MESSAGE_HISTORY: "Read Message History",
    Permission.MENTION_EVERYONE: "Mention Everyone",
    Permission.MANAGE_ROLES: "Manage Roles",
    Permission.MANAGE_WEBHOOKS: "Manage Webhooks",
    Permission.USE_EXTERNAL_APPS: "Use External Apps",
    Permission.PIN_MESSAGES: "Pin Messages",
}
"""As Discord's settings call them."""

CARDS_NEED = (
    Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
)
"""What the bot needs in every channel that it writes to."""
NEEDED = CARDS_NEED | Permission.PIN_MESSAGES
"""What it is invited with; pinning is for the board in `ops`."""
TOO_MUCH = (
    Permission.ADMINISTRATOR
    | Permission.MANAGE_GUILD
    | Permission.MANAGE_CHANNELS
    | Permission.MANAGE_ROLES
    | Permission.MANAGE_WEBHOOKS
    | Permission.MANAGE_MESSAGES
)
"""What it must not have: whoever steals its token would have it, too."""
INVITE_SCOPES = ("bot", "applications.commands")


def named(permissions: Permission) -> tuple[str, ...]:
    """The permissions in the words of Discord's settings, in the order of their bits."""
    return tuple(words for permission, words in WORDS.items() if permission in permissions)


def invite_link(application_id: int, *, guild_id: int | None = None) -> str:
    """The address by which an administrator lets the bot into a guild with exactly `NEEDED`."""
    guild = f"&guild_id={guild_id}&disable_guild_select=true" if guild_id is not None else ""
    return (
        f"https://discord.com/oauth2/authorize?client_id={application_id}&permissions={int(NEEDED)}"
        f"&integration_type=0&scope={'+'.join(INVITE_SCOPES)}{guild}"
    )

"""Who and where: the small team, its roles and channels, with the ids that they keep for ever.

The ids are Discord snowflakes of January 2025; the bot's configuration for the sandbox is written from the same
table, so both sides agree without one importing the other.
"""

import base64
import secrets
from dataclasses import dataclass

GUILD_ID = 1325000000000000001
GUILD_NAME = "Harbour Works"
APPLICATION_ID = 1325000000000000100
BOT_NAME = "Quarterdeck"

ROLES: dict[str, int] = {
    "owner": 1325000000000000201,
    "sre": 1325000000000000202,
    "dev": 1325000000000000203,
}
BOT_ROLE_ID = 1325000000000000209

CHANNELS: dict[str, int] = {
    "ops": 1325000000000000301,
    "alerts": 1325000000000000302,
    "alerts-critical": 1325000000000000303,
    "audit": 1325000000000000304,
    "general": 1325000000000000305,
}


@dataclass(frozen=True, slots=True)
class Person:
    """A seeded member: Discord name and id, roles by name, GitHub login."""

    name: str
    id: int
    roles: tuple[str, ...]
    github: str


PEOPLE: tuple[Person, ...] = (
    Person("owner", 1325000000000000401, ("owner", "sre"), "harbour-owner"),
    Person("sre", 1325000000000000402, ("sre",), "harbour-sre"),
    Person("sre2", 1325000000000000403, ("sre",), "harbour-sre2"),
    Person("dev", 1325000000000000404, ("dev",), "harbour-dev"),
    Person("dev2", 1325000000000000405, ("dev",), "harbour-dev2"),
    Person("guest", 1325000000000000406, (), "harbour-guest"),
)

ON_CALL = "sre"
"""The person that the user of the host is at the command line."""

GITHUB_REPOSITORY = "harbour-works/quarterdeck"
AWS_REGION = "eu-central-1"
AWS_ACCOUNT = "123456789012"

SANDBOX_TOKEN_MARK = "SANDBX"  # noqa: S105 - a mark, not a secret


def new_discord_token() -> str:
    """A token of Discord's three-part form whose middle part marks it as the sandbox's: it opens nothing else."""
    head = base64.urlsafe_b64encode(str(APPLICATION_ID).encode()).decode().rstrip("=")
    return f"{head}.{SANDBOX_TOKEN_MARK}.{secrets.token_urlsafe(29)[:38]}"

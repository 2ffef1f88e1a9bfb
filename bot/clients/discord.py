"""Discord by REST, for whatever needs no gateway: a member's roles now, and what stands in the guild.

The chat itself is discord.py's; this client works also where the gateway is not connected, such as on the command
line. It only reads. A short pause that Discord asks for is kept, and then the question is put again; whatever else goes
wrong is the caller's to repeat.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from bot import __version__
from bot.clients.discord_types import Application, Channel, Guild, GuildName
from bot.clients.hearing import DEAF, Hearing
from bot.clients.http import HttpClient
from bot.errors import NotVisible, Unavailable, Unreachable

API_URL = "https://discord.com/api/v10"
TIMEOUT_S = 5.0
TRIES, LONGEST_PAUSE_S = 4, 3.0
"""How often a question is put that Discord answers with 429, and the longest pause that is waited for."""
UNKNOWN_MEMBER, UNKNOWN_USER = 10007, 10013
"""Error codes of a user who is not in the guild (topics/opcodes-and-status-codes)."""


class DiscordClient:
    """One bot's view of one guild. `api_url` None means the real Discord."""

    def __init__(
        self, *, api_url: str | None, token: str, guild_id: int, http: HttpClient, hearing: Hearing = DEAF
    ) -> None:
        self._api_url = (api_url or API_URL).rstrip("/")
        self._headers = {"Authorization": f"Bot {token}", "User-Agent": f"DiscordBot (quarterdeck, {__version__})"}
        self._guild_id = guild_id
        self._http = http
        self._hearing = hearing

    async def member_roles(self, user_id: int) -> tuple[int, ...] | None:
        """The ids of the roles that the account has in the guild; None: it is not a member.

        Raises:
            Unreachable, Unavailable: Discord could not be asked, or did not answer the question.
        """
        try:
            member = await self._get(f"/guilds/{self._guild_id}/members/{user_id}")
        except _NoSuchThing as error:
            if error.code in (UNKNOWN_MEMBER, UNKNOWN_USER):
                return None
            raise
        return tuple(int(role) for role in member["roles"])

    async def own_id(self) -> int:
        """The bot's user id; the cheapest question that only a valid token gets answered."""
        return int((await self._get("/users/@me"))["id"])

    async def application(self) -> Application:
        return Application.from_json(await self._get("/applications/@me"))

    async def guilds(self) -> list[GuildName]:
        """The guilds that the bot is a member of, up to 200."""
        return [GuildName(int(row["id"]), str(row["name"])) for row in await self._get("/users/@me/guilds")]

    async def guild(self) -> Guild:
        """The guild with its roles.

        Raises:
            NotVisible: there is no such guild, or the bot is not in it.
        """
        return Guild.from_json(await self._get(f"/guilds/{self._guild_id}"))

    async def channels(self) -> list[Channel]:
        """The guild's channels with their overwrites, also those that the bot may not see."""
        return [Channel.from_json(row) for row in await self._get(f"/guilds/{self._guild_id}/channels")]

    async def commands(self, application_id: int) -> list[str]:
        """The names of the commands that are registered in the guild.

        Raises:
            Unavailable: the bot was let in without the scope for commands.
        """
        path = f"/applications/{application_id}/guilds/{self._guild_id}/commands"
        return [str(row["name"]) for row in await self._get(path)]

    async def _get(self, path: str) -> Any:
        for _ in range(TRIES - 1):
            try:
                return await self._get_once(path)
            except Unavailable as error:
                if error.retry_after_s is None or error.retry_after_s > LONGEST_PAUSE_S:
                    raise
                await asyncio.sleep(error.retry_after_s)
        return await self._get_once(path)

    async def _get_once(self, path: str) -> Any:
        try:
            status, headers, body = await self._http.exchange(
                "GET", self._api_url + path, headers=self._headers, timeout_s=TIMEOUT_S
            )
        except Unreachable as error:
            self._hearing.silent("discord", "Discord cannot be reached: no connection.")
            raise Unreachable("discord", "Discord cannot be reached: no connection.") from error
        except Unavailable as error:
            self._hearing.silent("discord", "Discord did not answer in time.")
            raise Unavailable("discord", "Discord cannot be reached: it did not answer.") from error
        if status >= 500:
            self._hearing.silent("discord", f"Discord answers {status}.")
        else:
            self._hearing.heard("discord")
        return _checked(status, headers, body)


class _NoSuchThing(NotVisible):
    """A 404 of Discord, with its own code of what is not there."""

    def __init__(self, sentence: str, *, code: int) -> None:
        super().__init__("discord", sentence, status=404)
        self.code = code


def _checked(status: int, headers: Mapping[str, str], body: str) -> Any:
    """The answer as JSON.

    Raises:
        NotVisible, Unavailable: it is a refusal, or nothing that can be read.
    """
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Unavailable("discord", f"Discord answered {status} without JSON.", status=status) from error
    if status == 200:
        return value
    told = value if isinstance(value, dict) else {}
    code, words = int(told.get("code") or 0), str(told.get("message") or "")[:200]
    sentence = f"Discord answered {status}" + (f" ({code} {words})." if words else ".")
    if status == 404:
        raise _NoSuchThing(sentence, code=code)
    pause_s = _seconds(told.get("retry_after") or headers.get("Retry-After")) if status == 429 else None
    raise Unavailable("discord", sentence, status=status, retry_after_s=pause_s)


def _seconds(told: object) -> float | None:
    """A pause in seconds: the body has fractions, the header whole ones (topics/rate-limits)."""
    try:
        return float(str(told)) if told else None
    except ValueError:
        return None

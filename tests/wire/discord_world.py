"""A Discord of the sandbox and a real discord.py bot in one event loop, for the tests that drive one by the other."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import discord
import yarl
from discord.ext import commands

from bot.sandbox import cast
from bot.sandbox.clock import Clock
from bot.sandbox.discord.limits import Limits, Rate
from bot.sandbox.discord.part import DiscordPart
from bot.sandbox.faults import Faults
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Guard
from tests.inspection import inspector

QUICK = Limits(
    posts=Rate(1000, 1.0),
    edits=Rate(1000, 1.0),
    webhook=Rate(1000, 1.0),
    webhook_channel=Rate(1000, 1.0),
    reactions=Rate(1000, 1.0),
    overall=Rate(10_000, 1.0),
    identify_pace=Rate(1000, 1.0),
)
"""No waiting for limits where they are not what is tested."""
PATIENCE_S = 10.0


def point_at(part: DiscordPart) -> None:
    """Send every discord.py client of this process to a part; nothing else of it is changed."""
    assert hasattr(discord.http.Route, "BASE")
    assert hasattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY")
    discord.http.Route.BASE = part.api_url
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(part.gateway_url)


@asynccontextmanager
async def discord_part(home: Path, *, limits: Limits = QUICK, token: str | None = None, compared: bool = True):
    """A started part on a port of its own; not `compared` with others' descriptions where a test breaks it itself."""
    part = DiscordPart(
        clock=Clock(),
        ledger=Ledger(),
        faults=Faults(),
        guard=Guard(),
        home=home,
        token=token or cast.new_discord_token(),
        limits=limits,
        inspector=inspector() if compared else None,
    )
    await part.start()
    point_at(part)
    try:
        yield part
    finally:
        await part.close()


class SmallBot(commands.Bot):
    """A bot without a cog: tests add commands to its tree before it starts."""

    def __init__(self, **options) -> None:
        super().__init__(
            command_prefix=[],
            intents=discord.Intents(guilds=True, guild_messages=True),
            allowed_mentions=discord.AllowedMentions.none(),
            guild_ready_timeout=0.05,
            **options,
        )
        self.guild_here = discord.Object(cast.GUILD_ID)
        self.seen: list[str] = []

    async def setup_hook(self) -> None:
        self.tree.copy_global_to(guild=self.guild_here)
        await self.tree.sync(guild=self.guild_here)

    async def on_socket_event_type(self, name: str) -> None:
        self.seen.append(name)

    async def before_identify_hook(self, shard_id, *, initial: bool = False) -> None:
        """No five seconds between two logins here."""

    def channel(self, name: str) -> discord.TextChannel:
        found = self.get_channel(cast.CHANNELS[name])
        assert isinstance(found, discord.TextChannel)
        return found


@asynccontextmanager
async def running(bot: commands.Bot, part: DiscordPart):
    """The bot, logged in and ready."""
    task = asyncio.create_task(bot.start(part.token))
    ready = asyncio.create_task(bot.wait_until_ready()) if bot._ready is not discord.utils.MISSING else None
    try:
        while ready is None and not task.done():
            await asyncio.sleep(0.005)
            if bot._ready is not discord.utils.MISSING:
                ready = asyncio.create_task(bot.wait_until_ready())
        await asyncio.wait({task, *([ready] if ready else [])}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        assert bot.is_ready()
        yield bot
    finally:
        if ready is not None:
            ready.cancel()
        await bot.close()
        await asyncio.wait({task}, timeout=PATIENCE_S)


async def until(condition, *, timeout_s: float = PATIENCE_S):
    """Wait for a condition; gives what it gave."""
    end = asyncio.get_running_loop().time() + timeout_s
    while not (found := condition()):
        assert asyncio.get_running_loop().time() < end, "it did not come to pass"
        await asyncio.sleep(0.005)
    return found


async def settled(part: DiscordPart, interaction: dict, *states: str) -> dict:
    """The interaction once it has left `sent`, or reached one of the states."""

    def reached():
        view = part.interaction(interaction["interaction"])
        return view if (view["state"] in states if states else view["state"] != "sent") else None

    return await until(reached)


async def ran(
    part: DiscordPart, command: str, *states: str, user: str = "dev", channel: str = "ops", **options
) -> dict:
    """Run a command and wait for its answer."""
    sent = await part.command({"user": user, "channel": channel, "command": command, "options": options})
    return await settled(part, sent, *states)


def bare_http(part: DiscordPart) -> aiohttp.ClientSession:
    """A client that sends what it is told, as the bot."""
    return aiohttp.ClientSession(headers={"Authorization": f"Bot {part.token}"})

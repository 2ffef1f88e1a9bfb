"""The Discord client: intents, cogs, the command tree and its synchronisation, and the one error border of commands.

It knows when Discord is there and says so to the house; of what the commands do it knows nothing. Buttons and
modals come in by `on_interaction`; they are handled in `ui`.
"""

import asyncio
import hashlib
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import yarl
from discord import app_commands
from discord.ext import commands

from bot.errors import Misconfigured, Unavailable
from bot.metrics import Metrics
from bot.ops.engine import Engine
from bot.ops.model import Operation, Status
from bot.services.outside import DISCORD, GATEWAY, Outside, Standing
from bot.settings import DiscordSettings

PRESENCE_PAUSE_S = 15.0
"""Between two changes of the presence; Discord closes a socket that sends too much (120 messages in 60 s)."""
RETRY_FIRST_S = 1.0
RETRY_LONGEST_S = 3.0
"""Between two logins of a start during an outage: one cheap question, and alerts wait behind it."""
IMPATIENCE_FIRST_S = 10.0
IMPATIENCE_LONGEST_S = 120.0
"""How long the gateway may stay away while REST answers, before the connection is begun anew: discord.py's own pauses
between its tries grow to 17 minutes, so that a bot would come back long after Discord has. 720 logins a day at most, of
the 1,000 that Discord allows (events/gateway, "Identifying")."""
RATELIMIT_TIMEOUT_S = 30.0
"""The longest that discord.py may sleep on a rate limit by itself (30 is the least that it takes)."""
PRESENCE_WORDS = {Status.RUNNING: "run", Status.PENDING: "wait", Status.INTERRUPTED: "interrupted"}
IMPLAUSIBLE_S = 30.0
"""Where the answer to a heartbeat outruns discord.py's own note of having sent it (it does on loopback), discord.py
counts from the heartbeat before, and takes the pause between two (41 s) for the latency."""
SWITCHED = 101
"""The status with which the gateway's socket begins; it is no answer of the REST API."""
FINAL_CLOSES = {
    4004: "Discord does not accept the token: QUARTERDECK_DISCORD_TOKEN is wrong or was reset.",
    4013: "Discord refused the intents of this bot as invalid.",
    4014: "Discord refused the intents of this bot as not allowed.",
}
"""Gateway close codes that no second start would mend (topics/opcodes-and-status-codes)."""

_log = logging.getLogger(__name__)


def without_implausible_latency(record: logging.LogRecord) -> bool:
    """A filter for the log: not the warnings that rest on such a figure."""
    figures = [value for value in record.args or () if isinstance(value, float)]
    return not (str(record.msg).startswith("Can't keep up") and any(value > IMPLAUSIBLE_S for value in figures))


def point_at(api_url: str, gateway_url: str) -> None:
    """Send this process's whole Discord traffic to a sandbox. discord.py has no public setting for that."""
    from discord.gateway import DiscordWebSocket
    from discord.http import Route

    assert isinstance(Route.BASE, str), "discord.py has changed: Route.BASE is gone"
    assert isinstance(DiscordWebSocket.DEFAULT_GATEWAY, yarl.URL), "discord.py has changed: DEFAULT_GATEWAY is gone"
    Route.BASE = api_url.rstrip("/")
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


@dataclass(frozen=True, slots=True)
class Front:
    """What the client hands interactions to; it knows them only by these names, and wiring brings them together."""

    extensions: tuple[str, ...]
    failed: Callable[[discord.Interaction[Any], BaseException], Awaitable[None]]
    interacted: Callable[[discord.Interaction[Any]], Awaitable[None]]
    trace: aiohttp.TraceConfig
    mark: str = ""
    """A word that the presence begins with, where a profile asks for one."""


def _listen(trace: aiohttp.TraceConfig, outside: Outside) -> None:
    """Have the client's requests tell whether Discord's REST answers; first in line, as other hooks end requests."""

    async def answered(_: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
        status = params.response.status
        if status >= 500:
            outside.silent(DISCORD, f"Discord answered {status}.")
        elif status != SWITCHED:
            outside.heard(DISCORD)

    async def failed(
        _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
    ) -> None:
        if params.url.scheme not in ("ws", "wss"):
            outside.silent(DISCORD, f"Discord cannot be reached ({type(params.exception).__name__}).")

    trace.on_request_end.insert(0, answered)
    trace.on_request_exception.insert(0, failed)


class _Tree(app_commands.CommandTree["QuarterdeckBot"]):
    """The command tree with our error border."""

    async def on_error(self, interaction: discord.Interaction[Any], error: app_commands.AppCommandError) -> None:
        await interaction.client.front.failed(interaction, error)


class QuarterdeckBot(commands.Bot):
    """The client. `house` is what commands and buttons reach through it; it is set before the start."""

    house: object

    def __init__(
        self, settings: DiscordSettings, *, front: Front, engine: Engine, metrics: Metrics, sync_file: Path,
        outside: Outside,
    ) -> None:  # fmt: skip
        _listen(front.trace, outside)
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # this bot never speaks
        logging.getLogger("discord.gateway").addFilter(without_implausible_latency)
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            tree_cls=_Tree,
            intents=discord.Intents(guilds=True),
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
            chunk_guilds_at_startup=False,
            guild_ready_timeout=settings.guild_ready_timeout_s,
            max_ratelimit_timeout=RATELIMIT_TIMEOUT_S,
            http_trace=front.trace,
        )
        metrics.gateway_latency_seconds.set_function(lambda: (self.heartbeat() or (0, math.nan))[1])
        metrics.gateway_connected.set_function(lambda: float(self._connected))
        self._heartbeat: tuple[float, float] | None = None
        self._guild = discord.Object(settings.guild_id)
        self.front = front
        self._engine = engine
        self._metrics = metrics
        self._sync_file = sync_file
        self._outside = outside
        self._connected = False
        self._logins = 0
        self._news = asyncio.Event()
        self._presence: asyncio.Task[None] | None = None
        self.logged_in = asyncio.Event()
        """Set once requests to Discord can be made, which is before the gateway is connected."""

    def heartbeat(self) -> tuple[float, float] | None:
        """When a heartbeat was last seen to be answered (by `time.monotonic`), and the seconds that it took."""
        if self.latency < IMPLAUSIBLE_S:
            self._heartbeat = (time.monotonic(), self.latency)
        return self._heartbeat

    # ---- starting ----------------------------------------------------------------------------------------------

    async def run_until_closed(self, token: str) -> None:
        """Log in, however long Discord is away, and stay connected until `close`.

        Raises:
            Misconfigured: Discord refuses the token or the intents; a second start would not mend that.
        """
        await self._log_in(token)
        self._presence = asyncio.create_task(self._keep_presence(), name="presence")
        try:
            await self._stay_connected()
        except discord.PrivilegedIntentsRequired as error:
            raise Misconfigured(FINAL_CLOSES[4014]) from error
        except discord.ConnectionClosed as error:
            if error.code in FINAL_CLOSES:
                raise Misconfigured(FINAL_CLOSES[error.code]) from error
            raise Unavailable("discord", f"Discord closed the connection ({error.code}).") from error

    async def _stay_connected(self) -> None:
        """Connect, and begin anew where discord.py would wait longer than Discord is away."""
        longest_s, logins = IMPATIENCE_FIRST_S, 0
        while True:
            connection = asyncio.create_task(self.connect(reconnect=True), name="gateway")
            patience = asyncio.create_task(self._patience(longest_s), name="gateway patience")
            try:
                await asyncio.wait({connection, patience}, return_when=asyncio.FIRST_COMPLETED)
                if connection.done():
                    connection.result()
                    return
            finally:
                connection.cancel()
                patience.cancel()
                await asyncio.gather(connection, patience, return_exceptions=True)
            _log.info("Discord answers, but its gateway is not connected: beginning anew")
            longest_s = min(IMPATIENCE_LONGEST_S, 2 * longest_s) if logins == self._logins else IMPATIENCE_FIRST_S
            logins = self._logins

    async def _patience(self, longest_s: float) -> None:
        """Return once the gateway has been away for so long, the last part of it while Discord's REST answered."""
        away_s = 0.0
        while away_s < longest_s:
            await asyncio.sleep(1)
            if self._connected:
                away_s = 0.0
            elif away_s < longest_s - 1 or self._outside.of(DISCORD).silent_since is None:
                away_s += 1

    async def _log_in(self, token: str) -> None:
        pause_s = RETRY_FIRST_S
        while True:
            try:
                await self.login(token)
                self.logged_in.set()
                return
            except discord.LoginFailure as error:
                raise Misconfigured(FINAL_CLOSES[4004]) from error
            except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
                if isinstance(error, discord.HTTPException) and error.status < 500 and error.status != 429:
                    raise Misconfigured(
                        f"Discord refuses this bot ({error.status} {error.text}).",
                        hint="Is it a member of the guild that discord.guild_id names, with the scope for commands?",
                    ) from error
                _log.warning("Discord cannot be reached (%s); the next try is in %.0f s", error, pause_s)
            await self.http.close()
            self.http.connector = discord.utils.MISSING  # the old one was closed with the session
            await asyncio.sleep(pause_s)
            pause_s = min(RETRY_LONGEST_S, pause_s * 2)

    async def setup_hook(self) -> None:
        """After the login, before the gateway: load the cogs, and register the commands when they changed."""
        for room in self.front.extensions:
            if room not in self.extensions:
                await self.load_extension(room)
        self.tree.copy_global_to(guild=self._guild)
        await self._sync()

    async def _sync(self) -> None:
        """Register the commands in the guild, only when they differ from what was registered (200 creates a day)."""
        tree = [command.to_dict(self.tree) for command in self.tree.get_commands(guild=self._guild)]
        wanted = hashlib.sha256(json.dumps(tree, sort_keys=True, default=str).encode()).hexdigest()
        registered = {command.name for command in await self.tree.fetch_commands(guild=self._guild)}
        if registered == {command["name"] for command in tree} and self._last_synced() == wanted:
            return
        await self.tree.sync(guild=self._guild)
        self._sync_file.write_text(wanted + "\n", encoding="ascii")
        _log.info("registered %d commands", len(tree))

    def _last_synced(self) -> str:
        try:
            return self._sync_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    # ---- events ------------------------------------------------------------------------------------------------

    async def on_ready(self) -> None:
        _log.info("ready as %s", self.user)
        self._logins += 1
        self.heartbeat()
        self._is_connected()

    async def on_resumed(self) -> None:
        self._is_connected()

    def _is_connected(self) -> None:
        self._connected = True
        self._outside.heard(GATEWAY)
        self.news()

    async def on_disconnect(self) -> None:
        self._connected = False
        if not self.is_closed():
            self._outside.silent(GATEWAY, "The connection is cut, and not made anew yet.")

    async def look_at_gateway(self) -> None:
        """Say how the gateway stands: discord.py ends a connection itself whose heartbeats are not answered (60 s)."""
        if self._connected:
            self._outside.heard(GATEWAY)
        elif self.logged_in.is_set():
            self._outside.silent(GATEWAY, "The connection is cut, and not made anew yet.")

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        await self.front.interacted(interaction)

    async def on_error(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        self._metrics.broken.inc()
        _log.exception("an event of the kind %s was not handled", event)

    # ---- presence ----------------------------------------------------------------------------------------------

    def news(self, *_: Operation | Standing) -> None:
        """Something changed that the presence may tell."""
        self._news.set()

    async def _keep_presence(self) -> None:
        shown = ""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                text = await self._presence_text()
                if text != shown and self.is_ready():
                    await self.change_presence(activity=discord.CustomActivity(text))
                    shown = text
                    await asyncio.sleep(PRESENCE_PAUSE_S)
            except (Unavailable, discord.DiscordException, aiohttp.ClientError, OSError) as error:
                _log.info("the presence was not changed: %s", error)
                await asyncio.sleep(PRESENCE_PAUSE_S)

    async def _presence_text(self) -> str:
        going_on = await self._engine.operations(statuses=tuple(PRESENCE_WORDS))
        counts = {status: sum(o.status is status for o in going_on) for status in PRESENCE_WORDS}
        words = [f"{standing.name} DOWN" for standing in self._outside.down()]
        words += [f"{number} {PRESENCE_WORDS[status]}" for status, number in counts.items() if number]
        return " · ".join([self.front.mark] * bool(self.front.mark) + (words or ["all quiet"]))

    async def close(self) -> None:
        if self._presence is not None:
            self._presence.cancel()
            await asyncio.gather(self._presence, return_exceptions=True)
        # discord.py 2.7 lets the task that waits for the last guild go on; it would then meet a client without a loop.
        if (late := getattr(self._connection, "_ready_task", None)) is not None:
            late.cancel()
            await asyncio.gather(late, return_exceptions=True)
        await super().close()

"""Keeps a house open: until a signal ends it, and anew with another configuration. What is in it is not known here.

The lock of the database is taken once and held over all houses of the process, so that a standby never slips in between
two of them. A command on the host that has it is waited for, within limits: it lets go when its own operation has ended
or only waits itself. A new configuration closes the house and opens it again in the same process: everything that runs
is re-attached from its rows, as after a restart. One that cannot be used is refused whole, and the old one comes back.
"""

import asyncio
import gc
import logging
import math
import os
import signal
import threading
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from bot.db.opening import FileLock, Holder, InUse, Role
from bot.errors import Misconfigured, QuarterdeckError, Unavailable
from bot.logs import Redactor, configure
from bot.ops.model import Json
from bot.services.reload import Configuration, Loaded
from bot.settings import Settings, secret_values
from bot.wiring import House, open_house

STANDBY_LOOK_S = 0.5
"""How often a process that waits for the lock looks whether it is free."""
TELL_AGAIN_S = 60.0
"""How often a process that waits for a command says so again."""
CARRIER_MARGIN_S = 300.0
"""So much longer than a build, a rollout and the way back may take a command is waited for: it checks as well."""
LOOKED_AT_S = 2.0
"""So long a lock that nobody holds, and that cannot be taken all the same, is tried again: others look at it."""
END_WITHIN_S = 8.0
"""So long the house may take to close after SIGTERM; then the process ends as it is: all truth is in the rows."""
HOST = "host"
"""Who asks by a signal: whoever may send one to the process."""

_log = logging.getLogger(__name__)


async def serve(path: Path, *, standby: bool = False) -> None:
    """Run the bot with that configuration until it is asked to stop.

    With `standby` it waits for as long as another bot has the database, and takes over when that one ends, however it
    ends. A command on the host that carries its own operation out is waited for as long as a rollout may take.

    Raises:
        Misconfigured, Unavailable: it cannot start, or not go on; the sentence says why.
    """
    configuration = Configuration.open(path)
    configure(configuration.loaded.settings.log_level, _redactor(configuration.loaded))
    signals = _Signals(configuration.heard)
    signals.listen()
    berthed = await _berthed(configuration, signals, standby=standby)
    if berthed is None:
        return
    configuration, lock = berthed
    with lock:
        await _Keeper(configuration, signals, lock).keep()


async def _berthed(
    configuration: Configuration, signals: "_Signals", *, standby: bool
) -> tuple[Configuration, FileLock] | None:
    """The configuration, read again after any waiting, and the lock of the database that it names. Where it names
    another one by then, that one's lock is taken. None: asked to stop before it was free.

    Raises:
        Unavailable: see `_Berth.taken`.
    """
    while True:
        berth = _Berth(configuration.loaded.settings, signals, standby=standby)
        lock = await berth.taken()
        if lock is None:
            return None
        if not berth.waited:
            return configuration, lock
        configuration = _read_again(configuration)
        signals.heard, signals.reload = configuration.heard, False
        database = configuration.loaded.settings.database_file
        if lock.guards(database):
            return configuration, lock
        _log.warning("the configuration names another database by now: %s", database)
        lock.release()


def _read_again(configuration: Configuration) -> Configuration:
    """The file as it is after the waiting; what was read before it, when the file cannot be used any more."""
    try:
        return Configuration.open(configuration.path)
    except Misconfigured as error:
        _log.error("the configuration as it was before the waiting is taken: %s", error)
        return configuration


def _redactor(loaded: Loaded) -> Redactor:
    return Redactor(secret_values(loaded.settings))


class _Berth:
    """The way to the database's lock."""

    def __init__(self, settings: Settings, signals: "_Signals", *, standby: bool) -> None:
        self._database = settings.database_file
        work_s = settings.github.build_timeout_s + 2 * settings.aws.rollout_timeout_s
        self._carrier_limit_s = work_s + CARRIER_MARGIN_S
        self._signals = signals
        self._standby = standby
        self._holder: Holder | None = None
        self._waits_since = self._tell_at = 0.0
        self.waited = False
        """Whether somebody had it first."""

    async def taken(self) -> FileLock | None:
        """The lock, as soon as it is free; None: asked to stop before it was.

        Raises:
            InUse: another bot has it, and this one is no standby.
            Unavailable: the state directory cannot be used, or a command does not let go of it.
        """
        loop = asyncio.get_running_loop()
        looked_at_until = loop.time() + LOOKED_AT_S
        while not self._signals.stopping:
            try:
                return FileLock.take(self._database)
            except InUse as error:
                if not self._waits_for(error.holder) and (error.holder or loop.time() >= looked_at_until):
                    raise
            await self._pause()
        return None

    def _waits_for(self, holder: Holder | None) -> bool:
        """Whether this process waits for that one to let go; if so, it says so, and of a command again and again.

        Raises:
            Unavailable: a command has had the lock for too long, and this is no standby.
        """
        if not self._standby and (holder is None or holder.role is Role.BOT):
            return False
        if holder is None:
            return True
        now, self.waited = asyncio.get_running_loop().time(), True
        if holder != self._holder:
            self._holder, self._waits_since, self._tell_at = holder, now, now
        if holder.role is Role.CARRIER and not self._standby and now - self._waits_since >= self._carrier_limit_s:
            raise self._waited_enough(holder)
        if now >= self._tell_at:
            self._tell(holder, now - self._waits_since)
            self._tell_at = now + TELL_AGAIN_S if holder.role is Role.CARRIER else math.inf
        return True

    def _tell(self, holder: Holder, waited_s: float) -> None:
        if holder.role is Role.BOT:
            _log.warning("standing by: process %s has %s; this one takes over when it ends", holder.pid, self._database)
            return
        _log.warning(
            "waiting for %.0f s: a %s carries an operation out on %s; the bot starts when that has ended%s",
            waited_s,
            holder.named,
            self._database,
            "" if self._standby else f", and gives up after {self._carrier_limit_s:.0f} s",
        )

    def _waited_enough(self, holder: Holder) -> Unavailable:
        return Unavailable(
            "database",
            f"A {holder.named} has worked on {self._database} for more than {self._carrier_limit_s:.0f} s. Nothing was "
            "started: look whether it hangs or was stopped, let it go on or end it, and start again.",
        )

    async def _pause(self) -> None:
        self._signals.heard.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(STANDBY_LOOK_S):
                await self._signals.heard.wait()


class _Signals:
    """What was asked by signals: to stop, or to read the configuration again."""

    def __init__(self, heard: asyncio.Event) -> None:
        self.heard = heard
        self.stopping = False
        self.reload = False

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _stop(self) -> None:
        if not self.stopping:
            end = threading.Timer(END_WITHIN_S, _end_as_it_is)
            end.daemon = True
            end.start()
        self.stopping = True
        self.heard.set()

    def _reload(self) -> None:
        self.reload = True
        self.heard.set()


def _end_as_it_is() -> None:
    """End the process although something has not let go: nothing is lost, the next start goes on from the rows."""
    _log.error("the house did not close within %.0f s: the process ends as it is", END_WITHIN_S)
    logging.shutdown()
    os._exit(0)


class _Keeper:
    """Opens one house after the other."""

    def __init__(self, configuration: Configuration, signals: _Signals, lock: FileLock) -> None:
        self._configuration = configuration
        self._signals = signals
        self._lock = lock
        self._news: list[tuple[str, str, Json]] = []
        """Events about the configuration, to be recorded by the next house that stands."""
        self._reloaded: tuple[str, str, Json] | None = None
        self._note_restart()

    async def keep(self) -> None:
        """Until a signal ends it, or a fault that nothing here can mend.

        Raises:
            Misconfigured, Unavailable: the house cannot be opened, or not go on.
        """
        while not self._signals.stopping:
            self._take()
            try:
                await self._one()
            except QuarterdeckError as error:
                refused = self._configuration.loaded
                if not self._configuration.fall_back(str(error)):
                    raise
                self._reloaded = None
                self._refuse(refused.short, str(error))

    def _take(self) -> None:
        """Make what is wanted the loaded configuration, and note what is to be told once it has settled."""
        before, new = self._configuration.loaded, self._configuration.wanted
        if new is not None:
            changes = self._configuration.changes(new)
            told = f"Reloaded by {self._configuration.asked_by} ({before.short} → {new.short})."
            self._reloaded = ("config.reloaded", " ".join((told, *changes)), _data(new, changes))
        self._configuration.take()

    async def _one(self) -> None:
        loaded = self._configuration.loaded
        redactor = _redactor(loaded)
        configure(loaded.settings.log_level, redactor)
        async with AsyncExitStack() as stack:
            house = await open_house(self._configuration, redactor, stack, held=self._lock)
            # What was imported stays for good: the collector, off since the start, need never look at it again.
            gc.freeze()
            gc.enable()
            await self._tell(house)
            await self._until_wished(house)

    async def _until_wished(self, house: House) -> None:
        """Stay connected until something is wanted; a client that ends by itself has a reason, which is raised."""
        token = house.settings.discord_token.get_secret_value()
        client = asyncio.create_task(house.bot.run_until_closed(token), name="discord")
        settled = asyncio.create_task(house.bot.logged_in.wait(), name="settled")
        wish = asyncio.create_task(self._wished(house), name="wishes")
        try:
            await asyncio.wait({client, settled, wish}, return_when=asyncio.FIRST_COMPLETED)
            if settled.done():
                await self._settle(house)
                await asyncio.wait({client, wish}, return_when=asyncio.FIRST_COMPLETED)
            (wish if wish.done() else client).result()
        finally:
            for task in (client, settled, wish):
                task.cancel()
            await asyncio.gather(client, settled, wish, return_exceptions=True)

    async def _wished(self, house: House) -> None:
        """Return once this house is to be closed."""
        while not self._signals.stopping and self._configuration.wanted is None:
            self._configuration.heard.clear()
            if self._signals.reload:
                self._signals.reload = False
                await self._look(house)
                continue
            await self._configuration.heard.wait()

    async def _look(self, house: House) -> None:
        """A signal asked for the file to be read again: want it, or say why it cannot be used."""
        try:
            new = self._configuration.look()
        except Misconfigured as error:
            self._refuse("the file", str(error))
            await self._tell(house)
            return
        _log.info("the configuration was read again")
        self._configuration.ask(new, by="a signal")

    # ---- the record --------------------------------------------------------------------------------------------

    async def _settle(self, house: House) -> None:
        """Discord has taken the bot with this configuration: there is no way back, and it may be told."""
        self._configuration.settle()
        if self._reloaded is not None:
            self._news.append(self._reloaded)
            self._reloaded = None
        await self._tell(house)
        try:
            self._configuration.remember()
        except OSError as error:
            _log.warning("the loaded configuration cannot be kept beside the database: %s", error)

    def _note_restart(self) -> None:
        """A start with another file than the last time is told like a reload: it may change who may do what."""
        changes = self._configuration.remembered()
        if changes is None:
            return
        loaded = self._configuration.loaded
        text = f"The bot was started with another configuration than before ({loaded.short})."
        self._news.append(("config.loaded", " ".join((text, *changes)), _data(loaded, changes)))

    def _refuse(self, what: str, why: str) -> None:
        _log.error("the new configuration is refused, the old one stays: %s", why)
        text = f"A new configuration ({what}) was refused whole, and the old one stays: {why}"
        self._news.append(("config.refused", text, {"loaded": self._configuration.loaded.sha256}))

    async def _tell(self, house: House) -> None:
        try:
            while self._news:
                name, text, data = self._news[0]
                await house.engine.record(name, HOST, text, data)
                self._news.pop(0)
        except Unavailable as error:
            _log.warning("what became of the configuration could not be recorded yet: %s", error)


def _data(loaded: Loaded, changes: tuple[str, ...]) -> Json:
    return {"sha256": loaded.sha256, "changes": list(changes), "environment": "control"}

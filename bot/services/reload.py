"""The configuration while the bot runs: what is loaded, what the file says now, and the operation that loads it anew.

The bot itself, its policy and its people are the environment `control`: whoever changes them changes who may do what.
So a reload from Discord is an operation with a plan (the file's sha256 and what it changes), approvals and a record. A
signal from the host loads the file at once, and is recorded with the same list. Closing one house and opening the next
is not done here; whoever does it takes the wish (`take`) and says how it went (`settle`, `fall_back`).
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bot.errors import Misconfigured, Refused
from bot.ops.handler import Cancelled, Failed, Run
from bot.ops.model import Json, Operation, Plan, Request
from bot.ops.record import Now, utc_now
from bot.policy import CONTROL
from bot.services.differences import differences
from bot.settings import Settings, parse, read_text

KIND = "reload"
SERVICE = "configuration"
STEP = "Reload"
TITLE = "Read the configuration file again"
SHORT = 7


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration as it was read: `sha256` is of the file's text. No secret is in the text."""

    settings: Settings
    text: str = field(repr=False)
    sha256: str
    at: datetime

    @property
    def short(self) -> str:
        return self.sha256[:SHORT]


class Configuration:
    """The file and what is loaded of it. Lives as long as the process, over all houses that are opened in it."""

    def __init__(
        self, path: Path, loaded: Loaded, *, environ: Mapping[str, str] | None = None, now: Now = utc_now
    ) -> None:
        self.path = path
        self.loaded = loaded
        self.before: Loaded | None = None
        """What was loaded until the last change, while it is not sure yet that the new one can be used."""
        self.wanted: Loaded | None = None
        self.asked_by = ""
        self.heard = asyncio.Event()
        """Set when something is wanted of whoever keeps the house: a reload, or what a signal asked for."""
        self._environ = environ
        self._now = now
        self._refused: dict[str, str] = {}
        self._settled = asyncio.Event()

    @classmethod
    def open(cls, path: Path, *, environ: Mapping[str, str] | None = None, now: Now = utc_now) -> "Configuration":
        """Read it for the first time.

        Raises:
            Misconfigured: it cannot be used; the sentence says why.
        """
        return cls(path, _read(path, environ, now), environ=environ, now=now)

    def look(self) -> Loaded:
        """What the file says now.

        Raises:
            Misconfigured: it cannot be used, or not by a running bot.
        """
        found = _read(self.path, self._environ, self._now)
        if found.settings.state_dir != self.loaded.settings.state_dir:
            raise Misconfigured(
                "state_dir has changed, and a running bot cannot move its database: stop it, move the directory (or "
                "restore a copy), and start it again."
            )
        return found

    def changes(self, new: Loaded) -> tuple[str, ...]:
        """What that would change, in sentences."""
        return differences(self.loaded.settings, new.settings)

    def remembered(self) -> tuple[str, ...] | None:
        """What differs from the configuration with which a bot last ran here; None: that is not known, or nothing."""
        kept = self._kept()
        try:
            text = read_text(kept)
            if text == self.loaded.text:
                return None
            return differences(parse(text, kept, self._environ), self.loaded.settings)
        except Misconfigured:  # there is none yet, or an older version wrote what this one does not understand
            return None

    def remember(self) -> None:
        """Keep the loaded file's text beside the database, for the next start to compare with.

        Raises:
            OSError: it cannot be written.
        """
        kept = self._kept()
        draft = kept.with_suffix(".new")
        draft.write_text(self.loaded.text, encoding="utf-8")
        draft.replace(kept)

    def _kept(self) -> Path:
        return self.loaded.settings.state_dir / "loaded.toml"

    # ---- changing it -------------------------------------------------------------------------------------------

    def ask(self, new: Loaded, *, by: str) -> None:
        """Want this to be loaded as soon as the present house is closed. `by`: who asks, such as `#184`."""
        self.wanted, self.asked_by = new, by
        self._refused.pop(new.sha256, None)
        self.heard.set()

    def take(self) -> None:
        """Make what is wanted the loaded configuration; the one before is kept until it has settled."""
        if self.wanted is not None:
            self.before = self.before or self.loaded  # the last one that was sure to be of use
            self.loaded, self.wanted = self.wanted, None
            self._settled.clear()

    def settle(self) -> None:
        """The house stands, and Discord has taken the bot: there is no way back from here."""
        self.before = None
        self._settled.set()

    def fall_back(self, why: str) -> bool:
        """Go back to the one before, because the new one cannot be used; False: there is none to go back to."""
        if self.before is None:
            return False
        self._refused[self.loaded.sha256] = why
        self.loaded, self.before = self.before, None
        self._settled.set()
        return True

    async def outcome(self, sha256: str) -> str:
        """Wait until it is sure what has come of a reload: why it is not the loaded one; empty when it is."""
        if sha256 == self.loaded.sha256:
            await self._settled.wait()
        if sha256 == self.loaded.sha256:
            return ""
        why = self._refused.get(sha256)
        if why is not None:
            return f"The new configuration cannot be used: {why} The old one ({self.loaded.short}) stays."
        return (
            f"The bot has come back with another file ({self.loaded.short}) than the approved one ({sha256[:SHORT]})."
        )


def _read(path: Path, environ: Mapping[str, str] | None, now: Now) -> Loaded:
    text = read_text(path)
    return Loaded(parse(text, path, environ), text, hashlib.sha256(text.encode()).hexdigest(), now())


class ReloadHandler:
    """Operations of the kind `reload`."""

    kind = KIND

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    async def plan(self, request: Request, requester: str) -> Plan:
        """See `Handler.plan`. No params: it is always the one file."""
        if request.environment != CONTROL:
            raise Refused(f"The configuration belongs to {CONTROL}, not to {request.environment}.", rule="environment")
        loaded = self._configuration.loaded
        try:
            new = self._configuration.look()
        except Misconfigured as error:
            raise Refused(f"{error} Nothing was changed.", rule="configuration", hint="Mend the file first.") from error
        if new.sha256 == loaded.sha256:
            raise Refused(f"The bot runs with this very file ({new.short}).", rule="configuration")
        changes = list(self._configuration.changes(new)) or ["Nothing that the bot reads: comments or order."]
        return Plan(
            environment=CONTROL,
            service=SERVICE,
            target=new.short,
            locks=(CONTROL,),
            content={
                "kind": KIND,
                "environment": CONTROL,
                "service": SERVICE,
                "file_sha256": new.sha256,
                "replaces_sha256": loaded.sha256,
                "changes": changes,
            },
            shown={"title": TITLE, "lines": changes},
        )

    async def recheck(self, operation: Operation) -> str:
        """See `Handler.recheck`: both the file and what is loaded must be what was shown."""
        return self._changed(operation)

    def _changed(self, operation: Operation) -> str:
        loaded, plan = self._configuration.loaded, operation.plan
        if loaded.sha256 == plan["file_sha256"]:
            return f"The bot runs with this very file ({loaded.short}) already."
        if loaded.sha256 != plan["replaces_sha256"]:
            return f"The bot now runs with another configuration ({loaded.short}) than when it was shown."
        try:
            now = self._configuration.look()
        except Misconfigured as error:
            return f"The file can no longer be used: {error}"
        if now.sha256 != plan["file_sha256"]:
            return f"The file was changed since it was shown: it is {now.short}, not {operation.target}."
        return ""

    async def run(self, run: Run) -> Json:
        """See `Handler.run`: asks for the reload, which ends this house; the next one says how it went (`resume`)."""
        if run.cancel_requested.is_set():
            raise Cancelled("Cancelled before the file was read. The old configuration stays.")
        if why := self._changed(run.operation):
            raise Failed(f"{why} Nothing was reloaded: ask for it anew.")
        await run.step(STEP, "running", run.operation.target)
        await run.checkpoint(reload=run.operation.plan["file_sha256"])
        try:
            new = self._configuration.look()
        except Misconfigured as error:
            raise Failed(f"{error} Nothing was reloaded.") from error
        if new.sha256 != run.operation.plan["file_sha256"]:
            raise Failed("The file was changed in this very moment. Nothing was reloaded: ask for it anew.")
        self._configuration.ask(new, by=run.operation.short_id)
        await asyncio.Event().wait()  # the house is closed now, and with it this run
        raise AssertionError("unreachable")

    async def begun(self, run: Run) -> bool:
        """See `Handler.begun`: whether the house may have been closed for it."""
        return run.operation.checkpoint.get("reload") is not None

    async def dropped(self, run: Run, why: str) -> str:
        """See `Handler.dropped`."""
        return "Nothing was reloaded."

    async def resume(self, run: Run) -> Json | None:
        """See `Handler.resume`: whether the bot has come back with the approved file."""
        if run.operation.checkpoint.get("reload") is None:  # it never came to ask for it
            return await self.run(run)
        wanted = str(run.operation.plan["file_sha256"])
        if why := await self._configuration.outcome(wanted):
            await run.step(STEP, "failed", self._configuration.loaded.short)
            raise Failed(why)
        await run.step(STEP, "ok", wanted[:SHORT])
        return {"sha256": wanted, "changes": list(run.operation.plan["changes"])}

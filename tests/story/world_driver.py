"""Drives a whole world for a test: starts `python -m bot.sandbox` as a process, speaks to its control API, waits with
deadlines, and when something does not come says what was there instead. It knows nothing of the bot's inside.
"""

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp

from bot.sandbox.validation.documents import SPECS, missing, specs_folder
from tests.inspection import totals

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/control/v1"
PAUSE_S = 0.1
SLOWEST = 3.0
"""Times as long as on a machine at rest may anything take: the limits here find what hangs, not what is slow."""
START_S = 90.0
STOP_S = 30.0
UNHURRIED: dict[str, Any] = {
    "webhook_channel": {"requests": 1000, "per_s": 1.0},
    "identify_pace": {"requests": 1000, "per_s": 1.0},
}
"""Limits of Discord that stories meet only because much happens in a minute: private answers, and starts of the bot."""
SETTLED = ("answered", "modal", "choices", "timeout")
SHORT_ID = re.compile(r"#(\d+)\b")
T = TypeVar("T")
Json = dict[str, Any]


class WorldFailure(AssertionError):
    """What was waited for did not come; the text says what was there instead."""


class Refusal(Exception):
    """The control API refused: its status and its sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(f"{status}: {sentence}")
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Reply:
    """An interaction as it stands. `raw` is the whole of it."""

    id: str
    state: str
    ephemeral: bool
    text: str
    message: str
    raw: Json = field(repr=False)

    @classmethod
    def of(cls, raw: Json) -> Self:
        text, message = raw.get("text") or "", raw.get("message") or ""
        return cls(raw["id"], raw["state"], bool(raw.get("ephemeral")), text, str(message), raw)

    @property
    def modal(self) -> Json:
        assert self.raw.get("modal"), f"no modal was opened: {self.raw}"
        return dict(self.raw["modal"])

    @property
    def choices(self) -> list[Json]:
        return list(self.raw.get("choices") or [])


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a member reads it."""

    id: str
    text: str
    author: str
    ephemeral: bool
    raw: Json = field(repr=False)

    @classmethod
    def of(cls, raw: Json) -> Self:
        return cls(str(raw["id"]), raw["text"], str(raw["author"]), bool(raw["ephemeral"]), raw)

    @property
    def operation(self) -> str:
        """The short id on the card, such as `#184`; empty when it bears none."""
        found = SHORT_ID.search(self.text)
        return found.group(0) if found else ""

    @property
    def labels(self) -> list[str]:
        """The labels of the components that can be pressed."""
        return [c["label"] for c in self.raw["components"] if c.get("label") and not c.get("disabled")]


class World:
    """A world of one's own; `async with World() as world` has it ready, and ends it."""

    def __init__(
        self,
        *,
        home: Path | None = None,
        speed: float = 1.0,
        with_bot: bool = True,
        environ: Mapping[str, str] | None = None,
        start_s: float = START_S,
        validate: bool = True,
        unhurried: bool = True,
        monitoring: bool = False,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="quarterdeck-") if home is None else None
        self.home = home or Path(self._folder.name if self._folder else ".") / "home"
        self.speed = speed
        self._with_bot = with_bot
        self._environ = dict(environ or {})
        self._start_s = start_s
        self._validate = validate and not missing()
        self._unhurried = unhurried
        self._monitoring = monitoring
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""

    # -- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
        finally:
            if self._folder is not None:
                self._folder.cleanup()

    async def start(self, *options: str) -> None:
        """Start the world on its home and wait until it is ready; works again after `stop`, on the same home."""
        self.home.mkdir(parents=True, exist_ok=True)
        arguments = ["--port", "0", "--home", str(self.home), "--speed", str(self.speed), *options]
        if not self._with_bot:
            arguments.append("--no-bot")
        if not self._monitoring:
            arguments.append("--no-monitoring")
        if self._validate:
            arguments.append("--validate")
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("QUARTERDECK_", "AWS_", "GITHUB_"))}
        for name in ("RESET", "ENGINE"):
            environ.pop(name, None)
        environ[SPECS] = str(specs_folder())
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "bot.sandbox", *arguments),
                cwd=ROOT,
                env=environ | self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        port = await self.until("the world's port", self._port, timeout_s=START_S)
        self.url = f"http://127.0.0.1:{port}"
        await self.wait_ready(timeout_s=self._start_s)
        if self._unhurried:
            await self.send("PUT", "/discord/limits", UNHURRIED)

    async def stop(self) -> int | None:
        """SIGTERM, and wait for the end; what does not end is killed with its whole session. Returns the exit code."""
        await self._take_findings()
        process, self._process = self._process, None
        if self._session is not None:
            await self._session.close()
            self._session = None
        if process is None:
            return None
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
                raise WorldFailure(
                    f"the world did not end within {STOP_S:.0f} s of SIGTERM\n{self.log_tail()}"
                ) from None
        return process.returncode

    async def kill(self) -> None:
        """SIGKILL to the world itself, as if the machine had taken it."""
        assert self._process is not None
        await self._take_findings()
        self._process.kill()
        await self._process.wait()
        await self.stop()

    async def _take_findings(self) -> None:
        """What the world's exchanges were beside the descriptions of others goes into the totals of the run."""
        running = self._process is not None and self._process.returncode is None
        if self._validate and running and self._session is not None and self.url:
            try:
                totals().take(await self.get("/validation"))
            except (aiohttp.ClientError, TimeoutError, Refusal):
                totals().miss()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log_path(self) -> Path:
        return self.home.parent / f"{self.home.name}.log"

    def log_tail(self, lines: int = 30) -> str:
        """The end of what the world printed."""
        return _tail(self.log_path, lines)

    def bot_log_tail(self, lines: int = 40) -> str:
        """The end of what the bot wrote."""
        return _tail(self.home / "bot.log", lines)

    async def _port(self) -> int | None:
        assert self._process is not None
        if self._process.returncode is not None:
            raise WorldFailure(f"the world ended with {self._process.returncode} at its start\n{self.log_tail()}")
        try:
            note = json.loads((self.home / "world.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return int(note["port"]) if note["pid"] == self._process.pid else None

    # -- waiting ------------------------------------------------------------------------------------------------------

    async def until(self, what: str, probe: Callable[[], Awaitable[T | None]], *, timeout_s: float = 30.0) -> T:
        """Ask again and again until the probe gives something true.

        Raises:
            WorldFailure: it did not within the time; the text shows the parts, the channel and the bot's log.
        """
        loop = asyncio.get_running_loop()
        timeout_s *= SLOWEST
        end = loop.time() + timeout_s
        while True:
            if found := await probe():
                return found
            if loop.time() > end:
                raise WorldFailure(f"waited {timeout_s:g} s for {what}, in vain\n{await self._circumstances()}")
            await asyncio.sleep(PAUSE_S)

    async def _circumstances(self) -> str:
        try:
            state = await self.state()
            parts = "\n".join(f"  {p['name']}: {p['kind']} {p['detail'][:120]}" for p in state["parts"])
            messages = "\n".join(f"  [{m.id} {m.author}] {m.text[:600]}" for m in (await self.messages())[-6:])
        except (aiohttp.ClientError, TimeoutError, Refusal, KeyError, AssertionError) as error:
            parts, messages = f"  the world does not answer: {error!r}", ""
        seen = {"parts": parts, "#ops": messages, "bot.log": self.bot_log_tail(), "the world's output": self.log_tail()}
        return "\n".join(f"{name}:\n{text}" for name, text in seen.items())

    async def wait_ready(self, *, timeout_s: float = START_S) -> None:
        """Wait until `GET /state` says ready."""

        async def ready() -> bool:
            await self._port()  # says how a world that has ended did so
            try:
                return bool((await self.state())["ready"])
            except aiohttp.ClientConnectorError:
                return False

        await self.until("the world to be ready", ready, timeout_s=timeout_s)

    async def settle(self, interaction: str, *, timeout_s: float = 20.0) -> Reply:
        """Wait until the interaction is answered, opened a modal, gave choices or timed out."""

        async def settled() -> Reply | None:
            reply = Reply.of(await self.get(f"/interactions/{interaction}"))
            return reply if reply.state in SETTLED else None

        return await self.until(f"an answer to the interaction {interaction}", settled, timeout_s=timeout_s)

    async def card(self, *texts: str, channel: str = "ops", after: str = "", timeout_s: float = 30.0) -> Message:
        """Wait for a message that holds all the texts; the newest of them."""

        async def found() -> Message | None:
            fitting = [m for m in await self.messages(channel, after=after) if all(text in m.text for text in texts)]
            return fitting[-1] if fitting else None

        return await self.until(f"a message in #{channel} with {texts}", found, timeout_s=timeout_s)

    async def wait_card(self, operation: str, word: str, *, channel: str = "ops", timeout_s: float = 60.0) -> Message:
        """Wait until the card of an operation (`#184`) says the word, such as `succeeded`."""
        return await self.card(operation, word, channel=channel, timeout_s=timeout_s)

    # -- acting as a member -------------------------------------------------------------------------------------------

    async def command(self, user: str, command: str, channel: str = "ops", **options: object) -> str:
        """Run a slash command; returns the interaction's id."""
        body = {"user": user, "channel": channel, "command": command, "options": options}
        return str((await self.post("/commands", body))["interaction"])

    async def ask(self, user: str, command: str, channel: str = "ops", **options: object) -> Reply:
        """Run a slash command and wait for its answer."""
        return await self.settle(await self.command(user, command, channel, **options))

    async def suggest(self, user: str, command: str, option: str, text: str, **options: object) -> list[Json]:
        """The autocomplete's choices for what was typed into one option."""
        body = {"user": user, "channel": "ops", "command": command, "option": option, "text": text, "options": options}
        reply = await self.settle(str((await self.post("/autocomplete", body))["interaction"]))
        return reply.choices

    async def press(self, user: str, message: Message | str, label: str, values: list[str] | None = None) -> str:
        """Press a button, or choose in a select, by its label; returns the interaction's id."""
        message_id = message.id if isinstance(message, Message) else message
        body: Json = {"user": user, "message": message_id, "label": label}
        if values is not None:
            body["values"] = values
        return str((await self.post("/components", body))["interaction"])

    async def submit(self, user: str, interaction: str, fields: Mapping[str, object]) -> str:
        """Send the modal that an interaction opened; fields by label or custom_id."""
        body = {"user": user, "interaction": interaction, "fields": dict(fields)}
        return str((await self.post("/modals", body))["interaction"])

    async def messages(
        self, channel: str = "ops", *, user: str = "", after: str = "", limit: int = 100
    ) -> list[Message]:
        """The newest messages, or the first after one, oldest first; with `user` also those only that member sees."""
        query = {"channel": channel, "limit": str(limit)}
        query |= ({"user": user} if user else {}) | ({"after": after} if after else {})
        return [Message.of(raw) for raw in (await self.get("/messages", query))["messages"]]

    async def every_message(self, channel: str = "ops") -> list[Message]:
        """All messages of the channel, oldest first, however many there are."""
        found: list[Message] = []
        while page := await self.messages(channel, after=found[-1].id if found else "0"):
            found += page
        return found

    # -- views and levers ---------------------------------------------------------------------------------------------

    async def state(self) -> Json:
        return await self.get("/state")

    async def part(self, name: str) -> Json:
        """One line of the list of parts."""
        return next(part for part in (await self.state())["parts"] if part["name"] == name)

    async def service_url(self, environment: str, service: str = "app") -> str:
        services = (await self.state())["services"]
        return next(str(s["url"]) for s in services if (s["service"], s["environment"]) == (service, environment))

    async def health(self, environment: str, service: str = "app") -> Json:
        """What the running service says of itself."""
        assert self._session is not None
        async with self._session.get(f"{await self.service_url(environment, service)}/health") as answer:
            assert answer.status == 200, f"/health of {service} in {environment} answered {answer.status}"
            return dict(await answer.json())

    async def requests(self, part: str, *, after: int = 0, action: str = "") -> list[Json]:
        """What a part was asked, oldest first; `action` filters, such as `ssm:SendCommand`."""
        found = (await self.get("/requests", {"part": part, "after": str(after)}))["requests"]
        return [request for request in found if action in ("", request["action"])]

    async def fault(self, part: str, kind: str, **more: object) -> int:
        """Switch a fault on; returns its number."""
        return int((await self.post("/faults", {"part": part, "kind": kind, **more}))["fault"])

    async def clear_faults(self) -> None:
        await self.send("DELETE", "/faults")

    async def push(
        self, files: Mapping[str, str | None], message: str, *, branch: str = "main", author: str = "dev"
    ) -> str:
        """Push a commit; returns its sha."""
        body = {"branch": branch, "files": dict(files), "message": message, "author": author}
        return str((await self.post("/github/push", body))["sha"])

    async def github(self, lever: str, **body: object) -> Json:
        """Any other lever of GitHub: branch, tag, fork-pull, checks, outcome."""
        return await self.post(f"/github/{lever}", body)

    async def host_outcome(self, **body: object) -> Json:
        return await self.post("/host/outcome", body)

    async def roles(self, name: str, *roles: str) -> None:
        await self.post(f"/members/{name}/roles", {"roles": list(roles)})

    async def clock(self, speed: float) -> None:
        await self.post("/clock", {"speed": speed})

    async def bot(self, action: str) -> Json:
        """`start`, `stop`, `kill` or `reload`; returns its state and pid."""
        return dict((await self.post("/bot", {"action": action}))["bot"])

    async def put_config(self, *, toml: str | None = None, patch: Json | None = None) -> None:
        """Change the bot's file and tell it; does not wait for what the bot makes of it."""
        await self.send("PUT", "/config", {"toml": toml} if toml is not None else {"patch": patch})

    async def reconfigure(self, *, toml: str | None = None, patch: Json | None = None) -> None:
        """Change the configuration of a running bot to one that it takes; wait until it has come back with it."""
        seen = (await self.requests("discord"))[-1:]
        await self.put_config(toml=toml, patch=patch)

        async def logged_in() -> bool:
            new = await self.requests("discord", after=seen[0]["n"] if seen else 0)
            return any(request["path"].endswith("/users/@me") for request in new)

        await self.until("the bot to log in with its new configuration", logged_in)
        await self.wait_ready()

    # -- the wire -----------------------------------------------------------------------------------------------------

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        return await self.send("GET", path, query=query)

    async def post(self, path: str, body: Json) -> Json:
        return await self.send("POST", path, body)

    async def send(
        self, method: str, path: str, body: Json | None = None, *, query: Mapping[str, str] | None = None
    ) -> Json:
        """One request to the control API.

        Raises:
            Refusal: it answered with an error.
        """
        assert self._session is not None
        async with self._session.request(method, self.url + PREFIX + path, json=body, params=query) as answer:
            found: Json = await answer.json()
            if answer.status >= 400:
                raise Refusal(answer.status, str(found.get("error", found)))
            return found


def _tail(path: Path, lines: int) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return f"  ({path.name} is not there)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])

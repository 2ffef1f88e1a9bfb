"""The rollout: one SSM command of our own pinned document on the host, followed line by line and then checked.

The command is sent once: its comment carries the operation, by which it is found again after a lost answer or a crash.
The way back to the version before is such a command, too. What cannot be seen is never told as a failure.

An operation that came back from a copy of the database may have sent its command after the copy was made: it looks for
it first, and sends one only while the host still serves what the operation was to replace.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.clients.aws import AwsClient, Document, Invocation
from bot.errors import Unavailable, Unknown
from bot.ops.handler import Cancelled, Failed, Interrupted, Run
from bot.ops.model import StepState
from bot.services.aftermath import Ending, Exchange, Word, came_back, outcome, read_ending
from bot.services.patience import LOOKUP_S, CancelAsked, Unstoppable, heed, look_for, pause, persist
from bot.services.restore import was_restored
from bot.services.running import Versions
from bot.services.transcript import read_transcript
from bot.settings import AwsSettings, Settings

VERIFY = "Verify"
BACK = "back"
"""The name of the order that brings the version before back."""
STATUS_TIMEOUT_S = 60
SEEN_WITHIN_S = 120.0
"""So long the check of what serves is tried before a human must look."""
SEEN_PAUSE_S = 2.0
AT_REST_WITHIN_S = 120.0
"""So long the end of a script is waited for that SSM has let go of, and that still works on the host."""
VERIFY_TRIES = 5


@dataclass(frozen=True, slots=True)
class _Order:
    """What one command puts on the host. `name` keeps its checkpoint and comment apart from the operation's others."""

    image: str
    commit: str
    name: str = "command"

    def comment(self, run: Run) -> str:
        mark = "" if self.name == "command" else f" {self.name}"
        return f"quarterdeck op {run.operation.id} {run.operation.digest[:16]}{mark}"


class Rollout:
    """Puts one image on one host, and knows how to find and stop the command that does it."""

    def __init__(self, settings: Settings, aws: AwsClient, versions: Versions) -> None:
        self._settings = settings
        self._aws = aws
        self._versions = versions

    @property
    def _limits(self) -> AwsSettings:
        return self._settings.aws

    async def document(self) -> Document:
        """The deploy document as it is now; version and hash go into the digest."""
        return await self._aws.document(self._limits.deploy_document)

    async def put(self, run: Run, image: str, commit: str) -> Mapping[str, Any]:
        """Send the command, follow it, check the outcome; the host's result.

        Raises:
            Failed, Cancelled, Interrupted: as their names say.
        """
        order = _Order(image, commit)
        try:
            last = await self._carried_out(run, order)
        except CancelAsked:
            return await self._stop(run, order)
        return await self._judge(run, order, last)

    async def begun(self, run: Run) -> bool:
        """Whether the host may have got a command of this operation; one of a copied row is looked for there."""
        saved = run.operation.checkpoint
        if any(saved.get(name) is not None for name in ("command_sent_at", "command_id", "switch_back")):
            return True
        plan = run.operation.plan
        order = _Order(str(plan.get("image") or ""), str(plan["commit"]))
        return was_restored(run.operation) and await self._sent_before(run, order) is not None

    async def put_back(self, run: Run, image: str, commit: str) -> bool:
        """Roll the earlier version out again, whatever is asked meanwhile. True: the host says that it serves.
        False: the version that was to go still does.

        Raises:
            Interrupted: what the host did cannot be told.
        """
        try:
            last = await self._carried_out(Unstoppable(run), _Order(image, commit, BACK))
        except Failed:
            return False
        if last.status == "Success":
            return True
        ending = read_ending(last, read_transcript(last.output), asked=False)
        going = run.operation.plan["commit"]
        return came_back(ending, Exchange(image, commit, before=str(going)), await self._at_rest(run, ending))

    async def _carried_out(self, run: Run, order: _Order) -> Invocation:
        command_id = run.operation.checkpoint.get(f"{order.name}_id")
        if command_id is None:
            command_id = await self._sent(run, order)
        return await self._follow(run, order, str(command_id))

    # ---- sending ---------------------------------------------------------------------------------------------

    async def _sent(self, run: Run, order: _Order) -> str:
        """The id of our one command: sent now, or found again."""
        operation, sent_at = run.operation, f"{order.name}_sent_at"
        if operation.checkpoint.get(sent_at) is not None:
            return await self._found(run, order)
        if was_restored(operation):
            if (before := await self._sent_before(run, order)) is not None:
                return before
            await self._refuse_overtaken(run, order)
        parameters = {
            "Environment": operation.environment,
            "Service": operation.service,
            "Image": order.image,
            "Commit": order.commit,
            "Operation": str(operation.id),
        }

        async def send() -> str:
            heed(run)
            await run.checkpoint(**{sent_at: int(time.time())})
            try:
                return await self._aws.send(
                    _pinned(operation.plan["document"]),
                    instance_id=_instance(run),
                    parameters=parameters,
                    comment=order.comment(run),
                    timeout_s=self._limits.rollout_timeout_s,
                )
            except Unavailable as error:
                if not isinstance(error, Unknown):  # refused in so many words: nothing was sent
                    await run.checkpoint(**{sent_at: None})
                raise

        try:
            command_id = await persist(run, send)
        except Unknown as error:
            await run.note(f"{error} Looking for the command by its comment.")
            return await self._found(run, order)
        except Unavailable as error:
            raise Failed(f"The rollout was not started. {error}") from error
        await run.checkpoint(**{f"{order.name}_id": command_id})
        return command_id

    async def _sent_before(self, run: Run, order: _Order) -> str | None:
        """The command that was sent after the copy from which this operation came back; None: there is none."""
        found = await self._trace(run, order, within_s=0)
        if found is not None:
            await run.note("The host got its command after the copy from which this state came back: it is followed.")
            await run.checkpoint(**{f"{order.name}_id": found})
        return found

    async def _refuse_overtaken(self, run: Run, order: _Order) -> None:
        """What was put on the host after the copy was made is newer than an operation of the copy.

        Raises:
            Failed: the host serves something else than what was to be replaced; nothing was sent.
            Interrupted: it cannot be told.
        """
        serving = None if order.name == BACK else await self.serving(run)
        if serving is None or serving.get("busy"):
            raise Interrupted(
                "This state came back from a copy, and what was done on the host since cannot be told. Nothing was "
                "sent. Look at /status, then close this operation."
            )
        before = str((run.operation.plan.get("replaces") or {}).get("commit") or "")
        now = str(serving.get("commit") or "")
        if now != before and serving.get("image") != order.image:
            raise Failed(
                f"This state came back from a copy; since then {now[:7] or 'nothing'} came to serve, not "
                f"{before[:7] or 'nothing'} as it was shown. Nothing was rolled out: ask for it anew."
            )

    async def _trace(self, run: Run, order: _Order, *, within_s: float = LOOKUP_S) -> str | None:
        instance_id, comment = _instance(run), order.comment(run)
        ask = partial(self._aws.find_command, instance_id=instance_id, comment=comment)
        return await look_for(run, ask, of=order.name, within_s=within_s)

    async def _found(self, run: Run, order: _Order) -> str:
        found = await self._trace(run, order)
        if found is None:
            raise Interrupted(
                "The rollout was asked for, but whether AWS sent it to the host is not known: no command carries our "
                "comment. Look at the host (/status), then close this operation."
            )
        await run.checkpoint(**{f"{order.name}_id": found})
        return found

    # ---- following -------------------------------------------------------------------------------------------

    async def _follow(self, run: Run, order: _Order, command_id: str) -> Invocation:
        instance_id = _instance(run)
        deadline = time.monotonic() + self._limits.rollout_timeout_s + 60
        shown: dict[str, tuple[str, StepState, str]] = {}
        while True:
            try:
                found = await persist(run, lambda: self._aws.invocation(command_id, instance_id), until=deadline)
            except Unavailable as error:
                raise Interrupted(f"What became of the rollout is not known: {error}") from error
            if found is not None:
                for step in read_transcript(found.output).steps if order.name == "command" else ():
                    if shown.get(step[0]) != step:
                        await run.step(*step)
                        shown[step[0]] = step
                if found.finished:
                    return found
            if time.monotonic() > deadline:
                raise Interrupted("The host has not finished the rollout in time, and SSM does not say why.")
            await pause(run, self._limits.poll_s)

    async def _judge(self, run: Run, order: _Order, last: Invocation) -> Mapping[str, Any]:
        """What the end of the command means; where that is not certain, the host is asked what serves.

        Raises:
            Cancelled, Failed: what serves instead is in the sentence. Interrupted: it cannot be told.
        """
        transcript, asked = read_transcript(last.output), run.cancel_requested.is_set()
        if last.status == "Success":
            return transcript.result if transcript.result is not None else await self._asked_instead(run, order)
        ending = read_ending(last, transcript, asked=asked)
        serving, exchange = await self._at_rest(run, ending), await self._exchange(run, order)
        error = outcome(ending, exchange, serving)
        if error is not None:
            raise error
        late = "The cancel came too late: the new version serves." if asked else "The new version serves already."
        await run.note(f"{ending.what} {late} It is checked as always.")
        return _result(serving or {}, exchange)

    async def _exchange(self, run: Run, order: _Order) -> Exchange:
        """What the rollout was to replace: a queued one replaces what came to serve after it was asked for."""
        operation = run.operation
        before = await self._versions.put_there_since(operation) or operation.plan.get("replaces") or {}
        commit, image = (str(before.get(name) or "") for name in ("commit", "image"))
        return Exchange(order.image, order.commit, before=commit, image_before=image, operation=str(operation.id))

    async def _asked_instead(self, run: Run, order: _Order) -> Mapping[str, Any]:
        """The script succeeded, and its last line lies beyond what SSM keeps of an output: the host is asked."""
        serving = await self.serving(run)
        if serving is None or serving.get("image") != order.image:
            raise Interrupted("The host says it succeeded, but did not say what runs now. Look at /status.")
        return _result(serving, await self._exchange(run, order))

    # ---- stopping --------------------------------------------------------------------------------------------

    async def _stop(self, run: Run, order: _Order) -> Mapping[str, Any]:
        """Cancel the command, wait until SSM confirms, and see what serves. Too late is told as success.

        Raises:
            Cancelled: the old version serves, verified. Failed: it had failed before. Interrupted: it cannot be seen.
        """
        command_id = run.operation.checkpoint.get("command_id")
        if command_id is None and run.operation.checkpoint.get("command_sent_at") is not None:
            command_id = await self._found(run, order)
        if command_id is None and was_restored(run.operation):
            command_id = await self._sent_before(run, order)
        if command_id is None:
            raise Cancelled("Cancelled before anything was sent to the host.")
        last = await self._stopped(run, str(command_id))
        if last.status == "Success":
            await run.note("The cancel came too late: the host had finished.")
        return await self._judge(run, order, last)

    async def _stopped(self, run: Run, command_id: str) -> Invocation:
        instance_id, asked = _instance(run), False
        while True:
            try:
                if not asked:
                    await self._aws.cancel(command_id, instance_id)
                    asked = True
                last = await self._aws.invocation(command_id, instance_id)
            except Unavailable as error:
                await run.waiting(f"{error} The cancel is not verified yet.")
            else:
                if last is not None and last.finished:
                    return last
            await asyncio.sleep(1.0)

    # ---- checking --------------------------------------------------------------------------------------------

    async def serving(self, run: Run) -> Mapping[str, Any] | None:
        """What the host itself says is behind the front address; None: it cannot be seen."""
        operation = run.operation
        try:
            document = await self._aws.document(self._limits.status_document)
            command_id = await self._aws.send(
                document,
                instance_id=_instance(run),
                parameters={"Environment": operation.environment, "Service": operation.service},
                comment=f"quarterdeck status {operation.environment}/{operation.service}",
                timeout_s=STATUS_TIMEOUT_S,
            )
            async with asyncio.timeout(STATUS_TIMEOUT_S):
                while True:
                    found = await self._aws.invocation(command_id, _instance(run))
                    if found is not None and found.finished:
                        return read_transcript(found.output).result if found.status == "Success" else None
                    await asyncio.sleep(0.3)
        except (Unavailable, TimeoutError):
            return None

    async def _at_rest(self, run: Run, ending: Ending) -> Mapping[str, Any] | None:
        """As `serving`, after a command that was cut off: asked again while its script still works on the host."""
        deadline, waited = time.monotonic() + AT_REST_WITHIN_S, False
        while True:
            serving = await self.serving(run)
            working = serving is not None and bool(serving.get("busy")) and ending.word is Word.OPEN
            if not working or time.monotonic() > deadline:
                break
            waited = True
            await run.waiting(f"{ending.what} The script still works on the host. Asking again in a moment.")
            await asyncio.sleep(SEEN_PAUSE_S)
        if waited:
            await run.waiting("")
        return serving

    async def _seen(self, run: Run) -> Mapping[str, Any]:
        """What the host says, asked again while it cannot be seen: a check that was not made has not failed."""
        deadline = time.monotonic() + SEEN_WITHIN_S
        while (serving := await self.serving(run)) is None:
            if time.monotonic() > deadline:
                await run.step(VERIFY, "failed", "cannot be seen")
                raise Interrupted(
                    "The host says that it has switched, but what serves cannot be seen, so it is not verified. "
                    "Nothing was switched back. Look at /status."
                )
            await run.waiting("What serves on the host cannot be seen. Asking again in a moment.")
            await asyncio.sleep(SEEN_PAUSE_S)
        await run.waiting("")
        return serving

    async def verify(self, run: Run, image: str, commit: str) -> dict[str, str]:
        """Check on the host that the approved digest runs, and over HTTP that the commit answers; what was seen.

        Raises:
            Failed: one of both is not so; the sentence says which.
            Interrupted: it cannot be seen what runs.
        """
        await run.step(VERIFY, "running", "image and /health")
        operation = run.operation
        serving = await self._seen(run)
        if serving.get("image") != image:
            await run.step(VERIFY, "failed", "another image")
            seen = str(serving.get("image") or "nothing")[-12:]
            raise Failed(f"The image on the host is {seen}, not the approved one.")
        if not self._versions.url(operation.environment, operation.service):
            await self._well_by_the_host(run, serving, commit)
            await run.step(VERIFY, "ok", "image (no address to ask)")
            return {"status": "not asked", "commit": commit, "built_from": ""}
        for _ in range(VERIFY_TRIES):
            health = await self._versions.health(operation.environment, operation.service)
            if health is not None and health.commit == commit and health.status == "ok":
                await run.step(VERIFY, "ok", "image + /health")
                return {"status": health.status, "commit": health.commit, "built_from": health.built_from}
            await asyncio.sleep(0.5)
        await run.step(VERIFY, "failed", "/health")
        answers = f"with {health.commit[:7]} ({health.status})" if health else "not at all"
        raise Failed(f"/health answers {answers} instead of {commit[:7]}.")

    async def _well_by_the_host(self, run: Run, serving: Mapping[str, Any], commit: str) -> None:
        for _ in range(VERIFY_TRIES):
            if serving.get("healthy") is not False:
                return
            await asyncio.sleep(0.5)
            serving = await self._seen(run)
        await run.step(VERIFY, "failed", "not healthy")
        raise Failed(f"The host says that {commit[:7]} is not healthy.")


def _instance(run: Run) -> str:
    """The host that was approved: the plan's own, whatever the configuration has become since."""
    return str(run.operation.plan["catalog"]["environment"]["instance_id"])


def _result(serving: Mapping[str, Any], exchange: Exchange) -> dict[str, Any]:
    """The host's result, put together where its own did not come through: what serves, and what did before."""
    return {**serving, "previous_image": exchange.image_before, "previous_commit": exchange.before}


def _pinned(value: Mapping[str, Any]) -> Document:
    """The document as it was when the plan was made: SSM refuses another version or hash."""
    return Document(str(value["name"]), str(value["version"]), str(value["hash"]))

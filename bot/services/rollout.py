"""The rollout: one SSM command of our own pinned document on the host, followed line by line and then checked.

The host's script prints `::step`, `::log`, `::failed` and `::result` lines (infra/host/README.md); everything else it
prints is log. The command is sent once: its comment carries the operation, by which it is found again after a lost
answer or a crash.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.clients.aws import AwsClient, Document, Invocation
from bot.errors import Unavailable, Unknown
from bot.ops.handler import Cancelled, Failed, Interrupted, Run
from bot.ops.model import StepState
from bot.services.patience import CancelAsked, look_for, pause, persist
from bot.services.running import Versions
from bot.settings import AwsSettings, Settings

STEPS: Mapping[str, str] = {
    "pull": "Pull",
    "start": "Start",
    "health": "Healthy",
    "switch": "Switch",
    "drain": "Drain",
    "verify": "Checked",
}
"""The host's step names and what the card calls them."""
VERIFY = "Verify"
LOG_TAIL_LINES = 25
EXIT_UNKNOWN = 2
STATUS_TIMEOUT_S = 60
VERIFY_TRIES = 5
_STATES: Mapping[str, StepState] = {"running": "running", "ok": "ok", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the host's script has said so far."""

    steps: tuple[tuple[str, StepState, str], ...]
    failed: str
    log: tuple[str, ...]
    result: Mapping[str, Any] | None


def read_transcript(output: str) -> Transcript:
    """Parse the script's output; lines that are cut or not ours count as log."""
    steps: dict[str, tuple[str, StepState, str]] = {}
    failed, log, result = "", list[str](), None
    for line in output.splitlines():
        match line.split(" ", 3):
            case ["::step", name, state, *rest] if name in STEPS and state in _STATES:
                steps[name] = (STEPS[name], _STATES[state], " ".join(rest))
            case ["::failed", *rest]:
                failed = " ".join(rest)
            case ["::result", *rest]:
                result = _object(" ".join(rest))
            case ["::log", *rest]:
                log.append(" ".join(rest))
            case _:
                log.append(line)
    return Transcript(tuple(steps.values()), failed, tuple(log), result)


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


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
        command_id = run.operation.checkpoint.get("command_id")
        try:
            if command_id is None:
                command_id = await self._sent(run, image, commit)
            last = await self._follow(run, str(command_id))
        except CancelAsked:
            return await self._stop(run, image)
        return await self._judge(run, last)

    # ---- sending ---------------------------------------------------------------------------------------------

    async def _sent(self, run: Run, image: str, commit: str) -> str:
        """The id of our one command: sent now, or found again."""
        operation = run.operation
        comment = f"quarterdeck op {operation.id} {operation.digest[:16]}"
        instance_id = self._instance(run)
        if operation.checkpoint.get("command_sent_at") is not None:
            return await self._found(run, instance_id, comment)
        document = _pinned(operation.plan["document"])
        parameters = {
            "Environment": operation.environment,
            "Service": operation.service,
            "Image": image,
            "Commit": commit,
            "Operation": str(operation.id),
        }

        async def send() -> str:
            await run.checkpoint(command_sent_at=int(time.time()), image=image)
            try:
                return await self._aws.send(
                    document,
                    instance_id=instance_id,
                    parameters=parameters,
                    comment=comment,
                    timeout_s=self._limits.rollout_timeout_s,
                )
            except Unavailable as error:
                if not isinstance(error, Unknown):  # refused in so many words: nothing was sent
                    await run.checkpoint(command_sent_at=None)
                raise

        try:
            command_id = await persist(run, send)
        except Unknown as error:
            await run.note(f"{error} Looking for the command by its comment.")
            return await self._found(run, instance_id, comment)
        except Unavailable as error:
            raise Failed(f"The rollout was not started. {error}") from error
        await run.checkpoint(command_id=command_id)
        return command_id

    async def _found(self, run: Run, instance_id: str, comment: str) -> str:
        found = await look_for(lambda: self._aws.find_command(instance_id=instance_id, comment=comment))
        if found is None:
            raise Interrupted(
                "The rollout was asked for, but whether AWS sent it to the host is not known: no command carries our "
                "comment. Look at the host (/status), then close this operation."
            )
        await run.checkpoint(command_id=found)
        return found

    # ---- following -------------------------------------------------------------------------------------------

    async def _follow(self, run: Run, command_id: str) -> Invocation:
        instance_id = self._instance(run)
        deadline = time.monotonic() + self._limits.rollout_timeout_s + 60
        shown: dict[str, tuple[str, StepState, str]] = {}
        while True:
            found = await persist(run, lambda: self._aws.invocation(command_id, instance_id))
            if found is not None:
                for step in read_transcript(found.output).steps:
                    if shown.get(step[0]) != step:
                        await run.step(*step)
                        shown[step[0]] = step
                if found.finished:
                    return found
            if time.monotonic() > deadline:
                raise Interrupted("The host has not finished the rollout in time, and SSM does not say why.")
            await pause(run, self._limits.poll_s)

    async def _judge(self, run: Run, last: Invocation) -> Mapping[str, Any]:
        transcript = read_transcript(last.output)
        tail = "\n".join((*transcript.log, *last.errors.rstrip().splitlines())[-LOG_TAIL_LINES:])
        if last.status == "Success" and transcript.result is not None:
            return transcript.result
        if last.status == "Success":
            raise Interrupted("The host says it succeeded, but did not say what runs now. Look at /status.")
        if last.status == "Failed" and last.exit_code != EXIT_UNKNOWN:
            why = transcript.failed or f"the host's script ended with exit code {last.exit_code}"
            raise Failed(await self._with_serving(run, f"The rollout failed: {why}."), log_tail=tail)
        if last.status in ("TimedOut", "ExecutionTimedOut", "DeliveryTimedOut"):
            raise await self._after_stop(run, f"SSM stopped the rollout after its time limit ({last.status}).", tail)
        if last.status == "Cancelled":
            raise await self._after_stop(run, "Somebody cancelled the rollout in AWS.", tail)
        raise Interrupted(
            f"The rollout ended as {last.status}, exit code {last.exit_code}; what serves is not certain."
        )

    async def _after_stop(self, run: Run, what: str, tail: str) -> Failed | Interrupted:
        serving = await self.serving(run.operation.environment, run.operation.service)
        if serving is None:
            return Interrupted(f"{what} What serves now cannot be seen.")
        return Failed(await self._with_serving(run, what), log_tail=tail)

    async def _with_serving(self, run: Run, sentence: str) -> str:
        health = await self._versions.health(run.operation.environment, run.operation.service)
        if health is None:
            return f"{sentence} The service does not answer now."
        return (
            f"{sentence} NOT LIVE: {health.commit[:7]} serves."
            if health.commit != run.operation.plan["commit"]
            else sentence
        )

    # ---- stopping --------------------------------------------------------------------------------------------

    async def _stop(self, run: Run, image: str) -> Mapping[str, Any]:
        """Cancel the command, wait until SSM confirms, and see what serves. Too late is told as success.

        Raises:
            Cancelled: the old version serves, verified. Interrupted: it cannot be seen.
        """
        command_id = run.operation.checkpoint.get("command_id")
        if command_id is None:
            if run.operation.checkpoint.get("command_sent_at") is None:
                raise Cancelled("Cancelled before anything was sent to the host.")
            command_id = await self._sent(run, image, "")
        last = await self._stopped(run, str(command_id))
        if last.status == "Success":
            await run.note("The cancel came too late: the host had finished.")
            return await self._judge(run, last)
        serving = await self.serving(run.operation.environment, run.operation.service)
        if serving is None:
            raise Interrupted("The host's command was cancelled, but what serves now cannot be seen.")
        if serving.get("image") == image:
            await run.note("The cancel came too late: the new version serves.")
            return serving
        raise Cancelled(
            f"SSM confirms that the command was stopped. {str(serving.get('commit', ''))[:7]} still serves."
        )

    async def _stopped(self, run: Run, command_id: str) -> Invocation:
        instance_id, asked = self._instance(run), False
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

    async def serving(self, environment: str, service: str) -> Mapping[str, Any] | None:
        """What the host itself says is behind the front address; None: it cannot be seen."""
        try:
            document = await self._aws.document(self._limits.status_document)
        except Unavailable:
            return None
        return await self._read(
            document,
            instance_id=self._settings.environments[environment].instance_id,
            parameters={"Environment": environment, "Service": service},
            comment=f"quarterdeck status {environment}/{service}",
            timeout_s=STATUS_TIMEOUT_S,
        )

    async def _read(
        self, document: Document, *, instance_id: str, parameters: Mapping[str, str], comment: str, timeout_s: int
    ) -> Mapping[str, Any] | None:
        """Run a document to its end; its `::result` line, or None when it did not succeed or cannot be seen."""
        try:
            command_id = await self._aws.send(
                document, instance_id=instance_id, parameters=parameters, comment=comment, timeout_s=timeout_s
            )
            async with asyncio.timeout(timeout_s):
                while True:
                    found = await self._aws.invocation(command_id, instance_id)
                    if found is not None and found.finished:
                        return read_transcript(found.output).result if found.status == "Success" else None
                    await asyncio.sleep(0.3)
        except (Unavailable, TimeoutError):
            return None

    async def put_back(self, run: Run, image: str, commit: str) -> bool:
        """Roll the earlier version out again, without a plan of its own; whether the host says that it serves."""
        operation, instance_id = run.operation, self._instance(run)
        parameters = {
            "Environment": operation.environment,
            "Service": operation.service,
            "Image": image,
            "Commit": commit,
            "Operation": str(operation.id),
        }
        return (
            await self._read(
                _pinned(operation.plan["document"]),
                instance_id=instance_id,
                parameters=parameters,
                comment=f"quarterdeck op {operation.id} switch back",
                timeout_s=self._limits.rollout_timeout_s,
            )
            is not None
        )

    async def verify(self, run: Run, image: str, commit: str) -> dict[str, str]:
        """Check on the host that the approved digest runs, and over HTTP that the commit answers; what was seen.

        Raises:
            Failed: one of both is not so; the sentence says which.
        """
        await run.step(VERIFY, "running", "image and /health")
        operation = run.operation
        serving = await self.serving(operation.environment, operation.service)
        if serving is None or serving.get("image") != image:
            seen = "cannot be seen" if serving is None else f"is {str(serving.get('image', 'nothing'))[-12:]}"
            await run.step(VERIFY, "failed", "another image")
            raise Failed(f"The image on the host {seen}, not the approved one.")
        for _ in range(VERIFY_TRIES):
            health = await self._versions.health(operation.environment, operation.service)
            if health is not None and health.commit == commit and health.status == "ok":
                await run.step(VERIFY, "ok", "image + /health")
                return {"status": health.status, "commit": health.commit, "built_from": health.built_from}
            await asyncio.sleep(0.5)
        await run.step(VERIFY, "failed", "/health")
        answers = f"with {health.commit[:7]} ({health.status})" if health else "not at all"
        raise Failed(f"/health answers {answers} instead of {commit[:7]}.")

    def _instance(self, run: Run) -> str:
        return self._settings.environments[run.operation.environment].instance_id


def _pinned(value: Mapping[str, Any]) -> Document:
    """The document as it was when the plan was made: SSM refuses another version or hash."""
    return Document(str(value["name"]), str(value["version"]), str(value["hash"]))

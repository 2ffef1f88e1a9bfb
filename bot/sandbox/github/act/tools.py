"""The runner's `docker` and `aws`, as far as the workflows call them: a build's files are checked, its image is real.

No layers are built. `docker build` checks that the Dockerfile has the stage and the tree its files; `--push` hands over
to the sandbox's image builder, and its digest is what `aws ecr describe-images` then tells. `docker run` starts the
image's program as a process on a free port.
"""

import argparse
import asyncio
import os
import re
import socket
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from bot.sandbox.github.git import GitFailed, run_git
from bot.sandbox.images import BuildFailed

FROM = re.compile(r"^FROM\s+(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*$", re.IGNORECASE)
COPY = re.compile(r"^(?:COPY|ADD)\s+(?P<words>.+)$", re.IGNORECASE)
IMAGE = re.compile(r"[^/]+/(?P<repository>[a-z0-9._/-]+):(?P<tag>[A-Za-z0-9._-]+)")
PUBLISHED = re.compile(r"127\.0\.0\.1:(?P<outside>\d{1,5}):\d{1,5}")

BUILD_S = 3.0
"""How long a build takes, in the world's time: long enough to be watched, and to be cancelled."""
HEARD_S = 10.0
"""How long a shell that failed waits for the end of its output to be heard; by this machine's clock."""

Push = Callable[[str, str, str, str], Awaitable[str]]
"""(mark of the attempt, component, commit, tag) to the image's digest."""


class ToolFailed(Exception):
    """The tool ends with `code` and this text on stderr."""

    def __init__(self, text: str, *, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ToolFailed(f"{self.prog}: {message}", code=125)


@dataclass(slots=True)
class Attempt:
    """What one attempt of a run has built, pushed and started."""

    built: dict[str, tuple[str, Path]] = field(default_factory=dict)
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    printed: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    """By the number of a shell: whether the end of its output has been heard."""


class RunnerTools:
    """The tools of all attempts. Every call brings its folder, its job's temporary folder and the attempt's mark."""

    def __init__(self, *, push: Push, pause: Callable[[float], Awaitable[None]]) -> None:
        self._push = push
        self._pause = pause
        self._attempts: dict[str, Attempt] = {}

    def begin(self, mark: str) -> None:
        """An attempt begins; calls of others are refused."""
        self._attempts[mark] = Attempt()

    def end(self, mark: str) -> list[asyncio.subprocess.Process]:
        """It is over; returns the processes that it started and that have to be ended."""
        attempt = self._attempts.pop(mark, Attempt())
        for end in attempt.printed.values():
            end.set()  # nobody will hear of it any more
        return attempt.processes

    def printed(self, mark: str, shell: str) -> None:
        """The end of a shell's output has been heard; it may have asked for that already or not yet."""
        if (attempt := self._attempts.get(mark)) is not None:
            attempt.printed[shell].set()

    async def docker(self, argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
        """Run one `docker` command."""
        return await self._answer(self._docker, argv)

    async def aws(self, argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
        """Run one `aws` command."""
        return await self._answer(self._aws, argv)

    async def end_of_output(self, argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
        """Wait until `printed` has been told of the shell."""
        return await self._answer(self._end_of_output, argv)

    async def _answer(self, tool: Callable[["Call"], Awaitable[str]], argv: Sequence[str]) -> tuple[int, str, str]:
        folder, temporary, mark, *words = argv
        attempt = self._attempts.get(mark)
        if attempt is None:
            return 1, "", "no run of this sandbox is being executed here\n"
        try:
            return 0, await tool(Call(Path(folder), Path(temporary), mark, words, attempt)), ""
        except ToolFailed as error:
            return error.code, "", f"{error}\n"

    async def _end_of_output(self, call: "Call") -> str:
        shell = call.words[0]
        try:
            async with asyncio.timeout(HEARD_S):
                await call.attempt.printed[shell].wait()
        except TimeoutError as error:
            raise ToolFailed(f"the last lines of this step were not heard within {HEARD_S:.0f} s") from error
        finally:
            call.attempt.printed.pop(shell, None)  # the machine uses the number again
        return ""

    # ---- docker ----------------------------------------------------------------------------------------------

    async def _docker(self, call: "Call") -> str:
        words = call.words[1:] if call.words[:1] == ["buildx"] else call.words
        match words[:1]:
            case ["version"]:
                return "stand-in for docker buildx: files are checked, no layers are built\n"
            case ["build"]:
                return await self._build(call, words[1:])
            case ["run"]:
                return await self._run(call, words[1:])
            case ["logs"]:
                return call.logs(words[-1])
        raise ToolFailed(f"docker: '{' '.join(words[:1])}' is not a docker command of this runner.")

    async def _build(self, call: "Call", words: list[str]) -> str:
        parser = _Parser(prog="docker build", add_help=False)
        for name in ("--target", "--output", "--provenance", "--tag"):
            parser.add_argument(name, default="")
        parser.add_argument("--build-arg", action="append", default=[])
        parser.add_argument("--push", action="store_true")
        parser.add_argument("context")
        given = parser.parse_args(words)
        context = call.folder / given.context
        sources = check_build(context, given.target)
        arguments = dict(pair.partition("=")[::2] for pair in given.build_arg)
        lines = [f"#1 [internal] load build definition from Dockerfile: stage {given.target}"]
        lines += [f"#2 [internal] load build context: {source}" for source in sources]
        if given.tag:
            call.attempt.built[given.tag] = (given.target, context)
        if not given.push:  # a push finds everything in the builder's cache
            await self._pause(BUILD_S)
        if given.push:
            lines.append(await self._pushed(call, given.target, given.tag, arguments.get("BUILT_FROM", "")))
        return "".join(f"{line}\n" for line in lines)

    async def _pushed(self, call: "Call", component: str, image: str, built_from: str) -> str:
        found = IMAGE.fullmatch(image)
        if found is None:
            raise ToolFailed(f"ERROR: invalid tag {image!r}: invalid reference format")
        commit = await asyncio.to_thread(call.commit)
        if built_from != commit:
            raise ToolFailed(f"ERROR: BUILT_FROM is {built_from!r}, and the files are those of {commit}")
        try:
            digest = await self._push(call.mark, component, commit, found["tag"])
        except BuildFailed as error:
            raise ToolFailed(f"ERROR: failed to push {image}: {error}") from error
        call.attempt.digests[found["repository"], found["tag"]] = digest
        return f"#3 pushing {image}: digest: {digest}"

    async def _run(self, call: "Call", words: list[str]) -> str:
        parser = _Parser(prog="docker run", add_help=False)
        parser.add_argument("--detach", action="store_true", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--publish", required=True)
        parser.add_argument("image")
        given = parser.parse_args(words)
        published = PUBLISHED.fullmatch(given.publish)
        if given.image not in call.attempt.built:
            raise ToolFailed(f"Unable to find image '{given.image}' locally", code=125)
        if published is None:
            raise ToolFailed(f"the runner publishes as 127.0.0.1:PORT:PORT, not {given.publish!r}", code=125)
        component, context = call.attempt.built[given.image]
        port = _free_port()
        note = call.temporary / "published" / published["outside"]
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(port), encoding="ascii")
        log = call.attempt.logs[given.name] = call.temporary / f"{given.name}.log"
        environ = {"PATH": os.environ.get("PATH", os.defpath), "HOST": "127.0.0.1", "PORT": str(port)}
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", component),
                cwd=context,
                env=environ | {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", "QUARTERDECK_RUN": call.mark},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        call.attempt.processes.append(process)
        return f"{process.pid:064x}\n"

    # ---- aws -------------------------------------------------------------------------------------------------

    async def _aws(self, call: "Call") -> str:
        parser = _Parser(prog="aws ecr describe-images", add_help=False)
        if call.words[:2] != ["ecr", "describe-images"]:
            raise ToolFailed(f"aws: this runner has no {' '.join(call.words[:2])}", code=252)
        for name in ("--repository-name", "--image-ids", "--query", "--output"):
            parser.add_argument(name, required=True)
        given = parser.parse_args(call.words[2:])
        tag = given.image_ids.removeprefix("imageTag=")
        digest = call.attempt.digests.get((given.repository_name, tag))
        if digest is None:
            raise ToolFailed(f"An error occurred (ImageNotFoundException): no image {tag!r}", code=254)
        if (given.query, given.output) != ("imageDetails[0].imageDigest", "text"):
            raise ToolFailed("aws: this runner answers imageDetails[0].imageDigest as text", code=252)
        return f"{digest}\n"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool: where from, in which attempt, with which words."""

    folder: Path
    temporary: Path
    mark: str
    words: list[str]
    attempt: Attempt

    def commit(self) -> str:
        """The commit whose files lie in the folder."""
        try:
            return run_git(["-C", str(self.folder), "rev-parse", "HEAD"], home=self.folder).decode().strip()
        except GitFailed as error:
            raise ToolFailed(f"ERROR: {error}") from error

    def logs(self, name: str) -> str:
        """What a container has printed."""
        if name not in self.attempt.logs:
            raise ToolFailed(f"Error response from daemon: No such container: {name}")
        return self.attempt.logs[name].read_text(encoding="utf-8", errors="replace")


def check_build(context: Path, target: str) -> list[str]:
    """The paths that the stage and those below it copy from the context.

    Raises:
        ToolFailed: there is no Dockerfile, no such stage, or a path is missing.
    """
    file = context / "Dockerfile"
    if not file.is_file():
        raise ToolFailed("ERROR: failed to read dockerfile: open Dockerfile: no such file or directory")
    stages = _stages(file.read_text(encoding="utf-8"))
    if target not in stages:
        raise ToolFailed(f'ERROR: failed to solve: target stage "{target}" could not be found')
    wanted, sources, seen = [target], [], set()
    while wanted:
        name = wanted.pop()
        if name in seen or name not in stages:
            continue
        seen.add(name)
        below, copied = stages[name]
        wanted += below
        sources += copied
    for source in sources:
        if not any(context.glob(source.rstrip("/"))):
            raise ToolFailed(f'ERROR: failed to solve: failed to compute cache key: "/{source}": not found')
    return sorted(set(sources))


def _stages(text: str) -> dict[str, tuple[list[str], list[str]]]:
    """Stages by name: those that each builds on or copies from, and the paths that it copies from the context."""
    stages: dict[str, tuple[list[str], list[str]]] = {}
    present: tuple[list[str], list[str]] = ([], [])
    for line in text.replace("\\\n", " ").splitlines():
        if begins := FROM.match(line.strip()):
            present = ([begins["base"]], [])
            stages[begins["name"] or str(len(stages))] = present
        elif copies := COPY.match(line.strip()):
            words = copies["words"].split()
            origin = [word.removeprefix("--from=") for word in words if word.startswith("--from=")]
            if origin:
                present[0].extend(origin)
            else:
                present[1].extend([word for word in words if not word.startswith("--")][:-1])
    return stages


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

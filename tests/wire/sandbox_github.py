"""A GitHub part of its own for a test, on a clock that the test moves, with the real PyGithub in front of it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from github import Auth, Github
from github.GithubObject import CompletableGithubObject
from github.Repository import Repository

from bot.sandbox.cast import GITHUB_REPOSITORY
from bot.sandbox.clock import Clock
from bot.sandbox.faults import Faults
from bot.sandbox.github.part import GithubPart
from bot.sandbox.images import BuildFailed, BuildOrder
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Guard
from tests.inspection import inspector

TOKEN = "sandbox-token-of-a-test"
PROJECT = Path(__file__).parents[2]
DIGEST = "sha256:" + "5e" * 32
TAG = "fp-0123456789abcdef"
PATIENCE_S = 10

T = TypeVar("T")


class HandClock(Clock):
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self._at = super().now()

    def now(self) -> float:
        return self._at

    def advance(self, seconds: float) -> None:
        self._at += seconds


class RunningClock(HandClock):
    """Goes on by itself, as fast as it is told."""

    def __init__(self, speed: float = 1.0) -> None:
        super().__init__()
        self._speed = speed

    def now(self) -> float:
        return Clock.now(self)


class GithubWorld:
    """The part, what it was asked to build, and the ways of talking to it."""

    def __init__(
        self,
        home: Path,
        source: Path,
        *,
        clock: HandClock | None = None,
        real_workflows: bool = False,
    ) -> None:
        self.clock = clock or HandClock()
        self.ledger = Ledger()
        self.faults = Faults()
        self.orders: list[BuildOrder] = []
        self.failing = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self.part = GithubPart(
            clock=self.clock,
            ledger=self.ledger,
            faults=self.faults,
            guard=Guard(origins=frozenset({"http://127.0.0.1:8700"})),
            home=home,
            token=TOKEN,
            source=source,
            build=self._build,
            inspector=inspector(),
            real_workflows=real_workflows,
        )

    async def _build(self, order: BuildOrder) -> str:
        self.orders.append(order)
        await self.gate.wait()
        if self.failing:
            raise BuildFailed(self.failing)
        return DIGEST

    def client(self, token: str = TOKEN, api_version: str = "2022-11-28") -> Github:
        return Github(
            base_url=self.part.api_url,
            auth=Auth.Token(token),
            lazy=True,
            timeout=10,
            retry=None,
            api_version=api_version,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )

    async def ask(self, question: Callable[[Repository], T]) -> T:
        """Run a question to PyGithub in a thread of its own, with a client of its own.

        What comes back is read in full there: a lazy attribute would ask from the event loop that has to answer.
        """

        def run() -> T:
            with self.client() as client:
                found = question(client.get_repo(GITHUB_REPOSITORY))
                if isinstance(found, CompletableGithubObject):
                    found.complete()
                return found

        return await asyncio.to_thread(run)

    def url(self, path: str) -> str:
        return f"{self.part.api_url}/repos/{GITHUB_REPOSITORY}{path}"

    async def send(
        self, method: str, path: str, *, json: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """(status, JSON or text, headers) of one plain request; `path` is the repository's, or a whole address."""
        address = path if path.startswith("http") else self.url(path)
        sent = {"Authorization": f"Bearer {TOKEN}", **(headers or {})}
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                address,
                json=json,
                headers={name: value for name, value in sent.items() if value},
                allow_redirects=False,
            ) as response,
        ):
            jsonish = response.content_type == "application/json"
            body = await response.json() if jsonish else await response.text()
            return response.status, body, response.headers

    @asynccontextmanager
    async def plain(self, address: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request without a token."""
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            yield response

    async def get(self, path: str) -> Any:
        status, body, _ = await self.send("GET", path)
        assert status == 200, (status, body)
        return body

    async def dispatch(self, **inputs: str) -> int:
        """Start `build-image.yml` on main; returns the run's id. By default it builds the app at main's head."""
        wanted = {"component": "app", "sha": await self.part.head("main"), "tag": TAG, "request": "req-1", **inputs}
        body = {"ref": "main", "inputs": wanted, "return_run_details": True}
        status, answer, _ = await self.send("POST", "/actions/workflows/build-image.yml/dispatches", json=body)
        assert status == 200, (status, answer)
        return int(answer["workflow_run_id"])

    async def run(self, run_id: int) -> Any:
        return await self.get(f"/actions/runs/{run_id}")

    async def job(self, run_id: int) -> Any:
        return (await self.get(f"/actions/runs/{run_id}/jobs"))["jobs"][0]

    async def log(self, job_id: int) -> str:
        """The text of a job's log, fetched as GitHub wants it: the redirect without the token."""
        status, _, headers = await self.send("GET", f"/actions/jobs/{job_id}/logs")
        assert status == 302
        status, text, _ = await self.send("GET", headers["Location"], headers={"Authorization": ""})
        assert status == 200
        return str(text)

    async def pushed(self, run_id: int) -> None:
        """Move the clock until the run's push has come to an end, one way or the other."""
        self.clock.advance(8)
        await until(lambda: self._over(run_id))
        self.clock.advance(1)

    def _over(self, run_id: int) -> bool:
        run = self.part.runs[run_id]
        return run.pushed is not None


async def until(condition: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Wait for what happens in the background; the test fails when it does not."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def make_source(folder: Path) -> Path:
    """A small checkout: what the sample repository is made of, with the project's real workflows."""
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "__main__.py").write_text("print('harbour')\n")
    (folder / "locks").mkdir()
    (folder / "locks" / "app.txt").write_text("aiohttp==3.14.5\n")
    (folder / "Dockerfile").write_text("FROM scratch AS app\n")
    (folder / "README.md").write_text("# Harbour\n")
    start = folder / "app" / "start"
    start.write_text("#!/bin/sh\n")
    start.chmod(0o755)
    (folder / "app" / "__pycache__").mkdir()
    (folder / "app" / "__pycache__" / "x.pyc").write_bytes(b"\0")
    shutil.copytree(PROJECT / ".github" / "workflows", folder / ".github" / "workflows")
    return folder


@asynccontextmanager
async def opened(
    home: Path,
    source: Path,
    *,
    clock: HandClock | None = None,
    real_workflows: bool = False,
) -> AsyncIterator[GithubWorld]:
    world = GithubWorld(home, source, clock=clock, real_workflows=real_workflows)
    await world.part.start()
    try:
        yield world
    finally:
        world.gate.set()
        await world.part.close()

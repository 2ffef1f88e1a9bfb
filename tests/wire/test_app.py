"""The service as a real process on a real port: its routes, its log, its refusals, and how it leaves."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

DEADLINE_S = 20
COMMIT, BUILT_FROM = "c" * 40, "b" * 40


@dataclass
class Answer:
    """One HTTP answer as a raw client sees it; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One keep-alive connection that never retries: a broken answer is an exception."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def get(self, path: str, *, method: str = "GET", headers: str = "") -> Answer:
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: app\r\n{headers}\r\n".encode())
        return await self.answer(has_body=method != "HEAD")

    async def answer(self, *, has_body: bool = True) -> Answer:
        async with asyncio.timeout(DEADLINE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
            body = await self._reader.readexactly(int(headers["content-length"])) if has_body else b""
        return Answer(int(head[0].split()[1]), headers, body)

    async def closed_by_the_service(self) -> bool:
        async with asyncio.timeout(DEADLINE_S):
            return await self._reader.read() == b""


@dataclass
class App:
    """A running `python -m app` and what it has logged so far."""

    process: asyncio.subprocess.Process
    port: int
    log: list[dict[str, Any]]
    clients: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.callback(writer.close)
        return Client(reader, writer)

    async def get(self, path: str, **how: Any) -> Answer:
        return await (await self.connect()).get(path, **how)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()

    async def logged(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line that is wanted, now or later."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for line in self.log:
                    if wanted(line):
                        return line
                await asyncio.sleep(0.01)

    async def draining(self) -> None:
        await self.logged(lambda line: line["event"] == "draining")


def environment(variables: dict[str, str]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("APP_")}
    return {**inherited, "PORT": "0", "HOST": "127.0.0.1", **variables}


@asynccontextmanager
async def running(**variables: str) -> AsyncIterator[App]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", env=environment(variables), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    log: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(DEADLINE_S):
            log.append(json.loads(await process.stdout.readline()))
        reading = asyncio.create_task(_read(process.stdout, log))
        app = App(process, log[0]["port"], log)
        async with app.clients:
            yield app
        reading.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _read(stream: asyncio.StreamReader, log: list[dict[str, Any]]) -> None:
    async for line in stream:
        log.append(json.loads(line))


async def refused(**variables: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error of a start that must not succeed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        env=environment(variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_health_says_which_commit_runs_and_which_one_the_image_was_built_from() -> None:
    async with running(APP_COMMIT=COMMIT, APP_BUILT_FROM=BUILT_FROM) as app:
        answer = await app.get("/health")
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        health = answer.json()
        assert health.pop("uptime_s") >= 0
        assert health.pop("version")
        assert health == {"status": "ok", "commit": COMMIT, "built_from": BUILT_FROM}


async def test_the_page_names_team_zone_version_and_short_commit_and_escapes_them() -> None:
    async with running(APP_TEAM="<b>R&D $x</b>", APP_TIMEZONE="Asia/Kolkata", APP_COMMIT=COMMIT) as app:
        answer = await app.get("/")
        page = answer.body.decode()
        assert answer.status == 200
        assert "<b>" not in page
        assert "&lt;b&gt;R&amp;D $x&lt;/b&gt;" in page
        assert "Asia/Kolkata" in page
        assert re.search(r'<time datetime="[0-9T:-]{19}\+05:30">[0-9:]{8}</time>', page)
        assert f">{COMMIT[:7]}<" in page
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_head_is_answered_without_a_body_and_other_methods_and_paths_are_refused() -> None:
    async with running() as app:
        assert (await app.get("/health", method="HEAD")).status == 200
        assert (await app.get("/health", method="DELETE")).status == 405
        assert (await app.get("/wp-login.php")).status == 404


async def test_metrics_count_by_method_route_and_status_and_never_by_path() -> None:
    async with running(APP_COMMIT=COMMIT) as app:
        client = await app.connect()
        for path in ("/health", "/health", "/nowhere/1", "/nowhere/2"):
            await client.get(path)
        answer = await client.get("/metrics")
        text = answer.body.decode()
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'app_http_requests_total{method="GET",route="/health",status="200"} 2.0' in text
        assert 'app_http_requests_total{method="GET",route="unmatched",status="404"} 2.0' in text
        assert 'app_http_request_duration_seconds_count{method="GET",route="/health"} 2.0' in text
        assert "app_http_requests_in_flight 1.0" in text
        assert f'commit="{COMMIT}"' in text
        assert "nowhere" not in text


async def test_metrics_ask_for_the_token_when_there_is_one() -> None:
    async with running(APP_METRICS_TOKEN="a-long-enough-token") as app:
        assert (await app.get("/metrics")).status == 401
        assert (await app.get("/metrics", headers="Authorization: Bearer wrong\r\n")).status == 401
        assert (await app.get("/metrics", headers="Authorization: Bearer a-long-enough-token\r\n")).status == 200
        await app.logged(lambda line: line["event"] == "listening")
        assert "a-long-enough-token" not in json.dumps(app.log)


async def test_the_access_log_has_one_object_a_request_without_query_and_without_health_checks() -> None:
    async with running() as app:
        for path in ("/health", "/readyz", "/metrics", "/?token=hush"):
            await app.get(path)
        line = await app.logged(lambda line: line["event"] == "request")
        assert {k: line[k] for k in ("method", "path", "status", "remote")} == {
            "method": "GET",
            "path": "/",
            "status": 200,
            "remote": "127.0.0.1",
        }
        assert line["ms"] >= 0
        assert line["time"].endswith("+00:00")
        assert [entry["path"] for entry in app.log if entry["event"] == "request"] == ["/"]
        assert "hush" not in json.dumps(app.log)


async def test_health_checks_are_logged_at_debug_level() -> None:
    async with running(APP_LOG_LEVEL="debug") as app:
        await app.get("/health")
        line = await app.logged(lambda line: line.get("path") == "/health")
        assert line["level"] == "debug"


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "eighty"), ("APP_TIMEZONE", "Mars/Olympus"), ("APP_DRAIN_S", "long")]
)
async def test_a_bad_variable_ends_the_start_with_one_sentence_and_64(name: str, value: str) -> None:
    code, out, err = await refused(**{name: value})
    assert (code, out) == (64, "")
    assert err.startswith(f"app: {name} must be ")
    assert err.count("\n") == 1


async def test_a_taken_port_ends_the_start_with_one_sentence_and_69() -> None:
    async with running() as app:
        code, out, err = await refused(PORT=str(app.port))
    assert (code, out) == (69, "")
    assert f"127.0.0.1 port {app.port}" in err
    assert err.count("\n") == 1


async def test_the_container_check_follows_readiness() -> None:
    async def check(port: int) -> int | None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.health",
            env=environment({"PORT": str(port)}),
            stdout=asyncio.subprocess.DEVNULL,
        )
        return await process.wait()

    async with running() as app:
        assert await check(app.port) == 0
        await app.connect()
        app.stop()
        await app.draining()
        assert await check(app.port) == 1


async def test_with_nobody_connected_it_leaves_at_once_and_says_so() -> None:
    async with running(APP_DRAIN_S="600") as app:
        app.stop()
        assert await app.ended() == 0
        assert (await app.logged(lambda line: line["event"] == "stopped"))["connections_cut"] == 0


async def test_keep_alive_clients_without_retries_see_no_failed_request_during_a_drain() -> None:
    async with running() as app:
        answered = 0

        async def ask_until_told_to_leave() -> None:
            nonlocal answered
            client = await app.connect()
            while True:
                answer = await client.get("/health")
                assert answer.status == 200
                answered += 1
                if answer.headers.get("connection") == "close":
                    assert await client.closed_by_the_service()
                    return

        async with asyncio.TaskGroup() as clients:
            for _ in range(20):
                clients.create_task(ask_until_told_to_leave())
            while answered < 200:
                await asyncio.sleep(0.001)
            app.stop()
        assert await app.ended() == 0
        assert (await app.logged(lambda line: line["event"] == "stopped"))["connections_cut"] == 0


async def test_while_it_drains_it_is_not_ready_but_answers_new_connections_politely() -> None:
    async with running() as app:
        held = await app.connect()
        app.stop()
        await app.draining()
        ready = await app.get("/readyz")
        assert (ready.status, ready.json()) == (503, {"ready": False, "reason": "draining"})
        for path, status in (("/health", 200), ("/", 200), ("/nowhere", 404)):
            answer = await app.get(path)
            assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert (await held.get("/health")).status == 200
        assert await app.ended() == 0


async def test_a_request_that_is_half_sent_when_the_drain_begins_is_answered() -> None:
    async with running() as app:
        client = await app.connect()
        client.writer.write(b"GET /health HTTP/1.1\r\nHost: ")
        await client.writer.drain()
        app.stop()
        await app.draining()
        client.writer.write(b"app\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await app.ended() == 0


async def test_an_idle_connection_is_closed_only_after_the_grace() -> None:
    async with running(APP_IDLE_GRACE_S="0.2", APP_DRAIN_S="600") as app:
        client = await app.connect()
        assert (await client.get("/health")).headers.get("connection") != "close"
        app.stop()
        assert await client.closed_by_the_service()
        assert await app.ended() == 0
        assert (await app.logged(lambda line: line["event"] == "stopped"))["connections_cut"] == 0


async def test_the_drain_limit_cuts_who_stays_and_reports_it() -> None:
    async with running(APP_IDLE_GRACE_S="600", APP_DRAIN_S="0.3") as app:
        client = await app.connect()
        await client.get("/health")
        app.stop()
        assert await app.ended() == 0
        stopped = await app.logged(lambda line: line["event"] == "stopped")
        assert (stopped["level"], stopped["connections_cut"]) == ("warning", 1)


async def test_a_second_signal_ends_the_drain() -> None:
    async with running(APP_IDLE_GRACE_S="600", APP_DRAIN_S="600") as app:
        await app.connect()
        app.stop()
        await app.draining()
        app.stop()
        assert await app.ended() == 0

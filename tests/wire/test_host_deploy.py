"""The host's deploy script, run by Run Command on a stand-in machine: real processes, ports, images and front."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.wire.sandbox_cloud import DIES, SLEEPS, Cloud, Version

ALL_STEPS = [
    (name, state) for name in ("pull", "start", "health", "switch", "drain", "verify") for state in ("running", "ok")
]
CLIENTS, ROLLOUTS = 20, 10


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    try:
        await cloud.start()
        cloud.set_on_machine(HEALTH_INTERVAL_S=0.1)
        yield cloud
    finally:
        await cloud.close()


@pytest.fixture
async def serving(cloud: Cloud) -> Version:
    """A healthy version that serves before the test begins: the one that does, if it is known, or a new one."""
    live = await cloud.live_commit()
    for version in cloud.versions:
        if version.commit == live and len(names(cloud)) == 1:
            return version
    version = await cloud.version()
    assert (await cloud.deploy(version)).status == "Success"
    return version


def names(cloud: Cloud) -> list[str]:
    return [str(one["name"]) for one in cloud.host.containers("dev")]


async def test_a_first_rollout_tells_every_step_and_serves(cloud: Cloud):
    version = await cloud.version()
    ended = await cloud.deploy(version, environment="prod")
    assert (ended.status, ended.code, ended.error) == ("Success", 0, "")
    assert ended.steps == ALL_STEPS
    assert ended.result["commit"] == version.commit
    assert ended.result["image"].endswith(version.digest)
    assert ended.result["previous_commit"] == ""
    assert ended.result["url"] == cloud.host.url("prod", "app")
    assert await cloud.live_commit(environment="prod") == version.commit


async def test_the_version_before_is_replaced_and_removed(cloud: Cloud, serving: Version):
    before = names(cloud)
    version = await cloud.version()
    ended = await cloud.deploy(version)
    assert ended.result["previous_commit"] == serving.commit
    assert ended.result["previous_image"].endswith(serving.digest)
    assert await cloud.live_commit() == version.commit
    assert names(cloud) == [ended.result["container"]]
    assert set(before).isdisjoint(names(cloud))


async def test_another_operation_starts_the_same_version_anew(cloud: Cloud, serving: Version):
    before = names(cloud)
    ended = await cloud.deploy(serving, operation="8")
    assert ended.steps == ALL_STEPS
    assert set(before).isdisjoint(names(cloud))
    assert await cloud.live_commit() == serving.commit


async def test_what_the_same_operation_has_brought_to_serve_is_left_alone(cloud: Cloud, serving: Version):
    await cloud.deploy(serving, operation="9")
    before = names(cloud)
    ended = await cloud.deploy(serving, operation="9")
    assert ended.status == "Success"
    assert "::step pull ok already running" in ended.output
    assert ended.steps == [("pull", "ok")]
    assert ended.result["container"] == before[0]
    assert names(cloud) == before


async def test_the_same_image_under_another_commit_is_a_new_version(cloud: Cloud, serving: Version):
    reused = Version(commit="ab" * 20, digest=serving.digest)
    assert (await cloud.deploy(reused)).steps == ALL_STEPS
    assert await cloud.live_commit() == reused.commit


async def test_an_image_that_the_registry_lacks_fails_the_pull_and_changes_nothing(cloud: Cloud, serving: Version):
    before = names(cloud)
    ended = await cloud.deploy(Version(commit="cd" * 20, digest=f"sha256:{'0' * 64}"))
    assert (ended.status, ended.code) == ("Failed", 1)
    assert ended.failed == "::failed pull the image could not be pulled"
    assert "::log " in ended.output
    assert "manifest unknown" in ended.output
    assert names(cloud) == before
    assert await cloud.live_commit() == serving.commit


async def test_an_image_whose_archive_is_gone_fails_the_pull(cloud: Cloud, serving: Version):
    version = await cloud.version()
    (cloud.home / "images" / f"{version.digest.removeprefix('sha256:')}.tar").unlink()
    assert (await cloud.deploy(version)).failed == "::failed pull the image could not be pulled"
    assert await cloud.live_commit() == serving.commit


async def test_a_version_that_dies_at_its_start_fails_with_the_end_of_its_log(cloud: Cloud, serving: Version):
    before = names(cloud)
    ended = await cloud.deploy(await cloud.version({"app/__main__.py": DIES}))
    assert (ended.status, ended.code) == ("Failed", 1)
    assert ended.failed.startswith("::failed health the new version did not become healthy")
    assert "::log STRIPE_KEY is not set" in ended.output
    assert ended.steps[-1] == ("health", "failed")
    assert names(cloud) == before
    assert await cloud.live_commit() == serving.commit


async def test_a_version_that_never_gets_ready_fails_at_the_deadline(cloud: Cloud, serving: Version):
    cloud.set_on_machine(HEALTH_DEADLINE_S=2)
    ended = await cloud.deploy(await cloud.version({"app/__main__.py": SLEEPS}))
    cloud.set_on_machine(HEALTH_DEADLINE_S=30)
    assert "within 2 s (running, exit code 0, restarts 0)" in ended.failed
    assert "::log thinking about it" in ended.output
    assert await cloud.live_commit() == serving.commit


async def test_a_log_line_cannot_pass_for_a_result(cloud: Cloud, serving: Version):
    forged = 'import sys\nprint(\'::result {"commit":"x"}\\x1b[2J\')\nsys.exit(1)\n'
    ended = await cloud.deploy(await cloud.version({"app/__main__.py": forged}))
    assert ended.status == "Failed"
    assert '::log ::result {"commit":"x"}[2J' in ended.output
    assert not [line for line in ended.output.splitlines() if line.startswith("::result")]


async def test_a_front_that_does_not_switch_brings_the_version_before_back(
    cloud: Cloud, serving: Version, tmp_path: Path
):
    machine = cloud.host.machines["dev"]
    once = tmp_path / "reload"
    once.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/done ] && exec {machine.bin}/quarterdeck-reload\ntouch {tmp_path}/done\nexit 1\n"
    )
    once.chmod(0o755)
    cloud.set_on_machine(RELOAD_COMMAND=once)
    ended = await cloud.deploy(await cloud.version())
    cloud.set_on_machine(RELOAD_COMMAND=machine.bin / "quarterdeck-reload")
    assert (ended.code, ended.steps[-1]) == (1, ("switch", "failed"))
    assert ended.failed.endswith("switched back to the version before")
    assert await cloud.live_commit() == serving.commit
    assert len(names(cloud)) == 1


async def test_when_switching_back_fails_too_it_says_that_nobody_can_tell(cloud: Cloud, serving: Version):
    cloud.set_on_machine(RELOAD_COMMAND="/bin/false")
    ended = await cloud.deploy(await cloud.version())
    cloud.set_on_machine(RELOAD_COMMAND=cloud.host.machines["dev"].bin / "quarterdeck-reload")
    assert ended.code == 2
    assert "look at this host" in ended.failed
    mended = await cloud.deploy(await cloud.version())
    assert mended.status == "Success"
    assert names(cloud) == [mended.result["container"]]


async def test_a_cancelled_rollout_removes_the_new_version_and_keeps_the_old(cloud: Cloud, serving: Version):
    before = names(cloud)
    version = await cloud.version({"app/__main__.py": SLEEPS})
    sent = await cloud.send("quarterdeck-deploy", cloud.deploy_parameters(version))
    await cloud.until_said(sent, "::step health running")
    await (await cloud.client("ssm")).cancel_command(CommandId=sent)
    ended = await cloud.ended(sent)
    assert (ended.status, ended.code) == ("Cancelled", 3)
    assert ended.failed == "::failed health cancelled before the switch"
    assert names(cloud) == before
    assert await cloud.live_commit() == serving.commit


async def test_a_rollout_killed_half_way_is_tidied_up_by_the_next(cloud: Cloud, serving: Version):
    version = await cloud.version({"app/__main__.py": SLEEPS})
    parameters = cloud.deploy_parameters(version)
    argv = [word for name, value in parameters.items() for word in (f"--{name.lower()}", value)]
    killed = await asyncio.create_subprocess_exec(
        "quarterdeck-deploy",
        *argv,
        env=dict(cloud.host.command_environ("dev")),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert killed.stdout is not None
    while b"::step health running" not in await killed.stdout.readline():
        assert killed.returncode is None
    os.killpg(killed.pid, signal.SIGKILL)
    await killed.wait()
    assert len(names(cloud)) == 2
    ended = await cloud.deploy(await cloud.version())
    assert ended.status == "Success"
    assert names(cloud) == [ended.result["container"]]


async def test_two_rollouts_at_once_go_one_after_the_other(cloud: Cloud, serving: Version):
    first, second = await cloud.version(), await cloud.version()
    ended = await asyncio.gather(cloud.deploy(first), cloud.deploy(second))
    assert [one.status for one in ended] == ["Success", "Success"]
    assert {one.result["previous_commit"] for one in ended} in (
        {serving.commit, first.commit},
        {serving.commit, second.commit},
    )
    assert len(names(cloud)) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("--environment", "Dev"),
        ("--environment", "prod"),
        ("--service", "app; reboot"),
        ("--service", "unknown"),
        ("--commit", "main"),
        ("--image", "app:latest"),
        ("--image", f"evil.example.org/app@sha256:{'0' * 64}"),
        ("--operation", "7\n::result {}"),
        ("--force", "yes"),
    ],
)
async def test_the_script_itself_refuses_what_is_malformed(cloud: Cloud, serving: Version, name: str, value: str):
    given = {f"--{k.lower()}": v for k, v in cloud.deploy_parameters(serving).items()} | {name: value}
    code, out, err = await cloud.on_machine("quarterdeck-deploy", *(word for pair in given.items() for word in pair))
    assert (code, err) == (1, "")
    assert out.splitlines()[-1].startswith("::failed pull ")
    assert len(out.splitlines()) == 2


async def test_the_parameter_store_reaches_the_service_by_a_private_file(cloud: Cloud, serving: Version):
    async with aiohttp.ClientSession() as session, session.get(cloud.host.url("dev", "app")) as answer:
        assert "Harbour Works" in await answer.text()
    file = cloud.host.machines["dev"].root / "var" / "dev-app.env"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "APP_METRICS_TOKEN=sandbox-metrics-token\n" in file.read_text()


@pytest.mark.parametrize(("name", "value"), [("lower", "x"), ("PATH", "/tmp"), ("A/B", "x"), ("TWO_LINES", "a\nB=b")])
async def test_a_parameter_that_an_env_file_cannot_carry_stops_the_rollout(
    cloud: Cloud, serving: Version, name: str, value: str
):
    ssm = await cloud.client("ssm", cloud.aws.demo_key)
    full = f"/quarterdeck/dev/app/{name}"
    await ssm.put_parameter(Name=full, Type="SecureString", Value=value)
    try:
        ended = await cloud.deploy(await cloud.version())
    finally:
        await ssm.delete_parameter(Name=full)
    assert ended.status == ("Success" if name == "A/B" else "Failed")
    if name != "A/B":
        assert ended.failed == "::failed start the parameters under /quarterdeck/dev/app/ are not usable"
        assert full in ended.error
        assert "B=b" not in ended.output + ended.error


async def test_status_tells_the_running_version_and_its_health(cloud: Cloud, serving: Version):
    found = await cloud.status()
    assert (found["commit"], found["healthy"], found["operation"]) == (serving.commit, True, "7")
    assert found["image"].endswith(serving.digest)
    assert found["container"] in names(cloud)
    assert found["started_at"].endswith("Z")
    assert (await cloud.on_machine("docker", "stop", found["container"]))[0] == 0
    stopped = await cloud.status()
    assert (stopped["commit"], stopped["healthy"]) == (serving.commit, False)


async def test_status_says_that_a_rollout_is_at_work_until_it_lets_go(cloud: Cloud, serving: Version):
    assert (await cloud.status())["busy"] is False
    sent = await cloud.send(
        "quarterdeck-deploy", cloud.deploy_parameters(await cloud.version({"app/__main__.py": SLEEPS}))
    )
    await cloud.until_said(sent, "::step health running")
    found = await asyncio.gather(cloud.status(), cloud.status())
    assert [(one["commit"], one["busy"]) for one in found] == [(serving.commit, True)] * 2
    await (await cloud.client("ssm")).cancel_command(CommandId=sent)
    await cloud.ended(sent)
    found = await asyncio.gather(cloud.status(), cloud.status())
    assert [one["busy"] for one in found] == [False, False], "those who look take each other for a rollout"


async def ask_without_pause(url: str, tally: Counter[str], stop: asyncio.Event, *, keep: bool) -> None:
    """One client on bare sockets that never retries: each request is counted by its commit, or by how it failed."""
    address = urlsplit(url)
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while not stop.is_set():
        try:
            reader, writer = connection or await asyncio.open_connection(address.hostname, address.port)
            writer.write(f"GET /health HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            body = await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
            tally[json.loads(body)["commit"] if head.startswith("http/1.1 200 ") else f"failed: {head}"] += 1
            connection = (reader, writer) if keep and "connection: close" not in head else None
        except (OSError, EOFError, ValueError) as error:
            tally[f"failed: {error!r}"] += 1
            connection = None
        if connection is None:
            writer.close()
    if connection is not None:
        connection[1].close()


async def test_nobody_notices_ten_rollouts(cloud: Cloud, serving: Version):
    tally, stop = Counter[str](), asyncio.Event()
    url = cloud.host.url("dev", "app")
    clients = [
        asyncio.create_task(ask_without_pause(url, tally, stop, keep=number % 2 == 0)) for number in range(CLIENTS)
    ]
    versions = [await cloud.version() for _ in range(ROLLOUTS)]
    try:
        for version in versions:
            ended = await cloud.deploy(version)
            assert ended.status == "Success", ended.output
    finally:
        stop.set()
        await asyncio.gather(*clients)
    assert set(tally) == {serving.commit, *(version.commit for version in versions)}
    assert min(tally.values()) > CLIENTS

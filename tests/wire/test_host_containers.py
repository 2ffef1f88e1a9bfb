"""The stand-in's containers and its `docker`: states, restarts, refusals, and what outlives a world."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sandbox.host.processes import started_ticks
from tests.wire.sandbox_cloud import Cloud, Version

DOCKER_FORMATS = {
    "{{.State.Status}}": "running",
    "{{.State.Running}} {{.RestartCount}}": "true 0",
    '{{index .Config.Labels "quarterdeck.commit"}}': "COMMIT",
    '{{index .Config.Labels "no.such"}}': "",
    "{{json .HostConfig.RestartPolicy}}": '{"Name": "unless-stopped"}',
}


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    try:
        await cloud.start()
        cloud.set_on_machine(HEALTH_INTERVAL_S=0.1)
        yield cloud
    finally:
        await cloud.close()


@pytest.fixture(scope="module")
async def version(cloud: Cloud) -> Version:
    version = await cloud.version()
    assert (await cloud.deploy(version)).status == "Success"
    return version


@pytest.fixture
async def name(cloud: Cloud, version: Version) -> str:
    """The running container."""
    (found,) = cloud.host.containers("dev")
    if found["status"] != "running":
        await docker(cloud, "start", str(found["name"]))
    await until_live(cloud, version.commit)
    return str(found["name"])


async def docker(cloud: Cloud, *argv: str) -> str:
    code, out, err = await cloud.on_machine("docker", *argv)
    assert code == 0, err
    return out


async def refused(cloud: Cloud, *argv: str) -> tuple[int, str]:
    code, out, err = await cloud.on_machine("docker", *argv)
    assert out == ""
    return code, err


async def until_live(cloud: Cloud, commit: str) -> None:
    while await cloud.live_commit() != commit:
        await asyncio.sleep(0.05)


async def test_a_container_that_dies_is_started_again_on_its_port(cloud: Cloud, version: Version, name: str):
    before = cloud.host.containers("dev")[0]
    os.kill(int(str(before["pid"])), signal.SIGKILL)
    while int((await docker(cloud, "inspect", "--format", "{{.RestartCount}}", name)).strip()) == 0:
        await asyncio.sleep(0.05)
    await until_live(cloud, version.commit)
    after = cloud.host.containers("dev")[0]
    assert after["pid"] != before["pid"]
    assert after["port"] == before["port"]
    await docker(cloud, "stop", name)
    await docker(cloud, "start", name)


async def test_a_container_that_was_stopped_stays_down_until_it_is_started(cloud: Cloud, version: Version, name: str):
    await docker(cloud, "stop", "--time", "5", name)
    assert (await docker(cloud, "ps", "--format", "{{.Names}}")) == ""
    assert (await docker(cloud, "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name)).strip() == "exited 0"
    assert await cloud.live_commit() == "502"
    await docker(cloud, "start", name)
    await until_live(cloud, version.commit)


async def test_inspect_and_ps_answer_the_templates_that_scripts_use(cloud: Cloud, version: Version, name: str):
    for template, expected in DOCKER_FORMATS.items():
        out = await docker(cloud, "inspect", "--format", template, name)
        assert out.rstrip("\n") == expected.replace("COMMIT", version.commit)
    labels = ("--filter", "label=quarterdeck.environment=dev", "--filter", "label=quarterdeck.service=app")
    assert (await docker(cloud, "ps", "-a", *labels, "--format", "{{.Names}}")).split() == [name]
    assert (
        await docker(cloud, "ps", "-a", "--filter", "label=quarterdeck.environment=prod", "--format", "{{.Names}}")
        == ""
    )
    (found,) = json.loads(await docker(cloud, "inspect", name))
    assert found["Config"]["Image"].endswith(version.digest)
    assert f"APP_COMMIT={version.commit}" in found["Config"]["Env"]
    image = found["Config"]["Image"]
    assert (await docker(cloud, "image", "inspect", "--format", "{{.Id}}", image)).strip() == found["Image"]
    assert (await docker(cloud, "port", name)).startswith("8080/tcp -> 127.0.0.1:")


async def test_the_log_is_kept_and_cut_to_its_end(cloud: Cloud, name: str):
    whole = await docker(cloud, "logs", name)
    assert await docker(cloud, "logs", "--tail", "1", name) == whole.splitlines(keepends=True)[-1]


async def test_refusals_are_those_of_docker(cloud: Cloud, version: Version, name: str):
    image = f"{cloud.host.registry}/app@{version.digest}"
    port = cloud.host.containers("dev")[0]["port"]
    run = ("run", "-d", "--name")
    assert (await refused(cloud, *run, name, "-p", "127.0.0.1:18000:8080", image))[0] == 125
    code, error = await refused(cloud, *run, "other", "-p", f"127.0.0.1:{port}:8080", image)
    assert (code, "port is already allocated" in error) == (125, True)
    await docker(cloud, "rm", "other")
    code, error = await refused(cloud, *run, "third", "-p", "127.0.0.1:18000:8080", f"x/app@sha256:{'0' * 64}")
    assert (code, "Unable to find image" in error) == (125, True)
    assert (await refused(cloud, *run, "third", "-p", "0.0.0.0:18000:8080", image))[0] == 125
    assert (await refused(cloud, *run, "third", "--privileged", "-p", "127.0.0.1:18000:8080", image))[0] == 125
    assert (await refused(cloud, "inspect", "nobody")) == (1, "Error: No such container: nobody\n")
    assert (await refused(cloud, "rm", name))[0] == 1
    assert (await refused(cloud, "system", "prune"))[0] == 1
    assert (await refused(cloud, "inspect", "--format", "{{range .Mounts}}x{{end}}", name))[0] == 64
    assert len(cloud.host.containers("dev")) == 1


async def test_a_pull_needs_a_login_and_an_image_that_the_registry_has(cloud: Cloud, version: Version):
    image = f"{cloud.host.registry}/app@{version.digest}"
    code, _, error = await cloud.on_machine("docker", "pull", image, environment="prod")
    assert (code, "no basic auth credentials" in error) == (1, True)
    code, error = await refused(cloud, "pull", f"{cloud.host.registry}/app@sha256:{'1' * 64}")
    assert (code, "manifest unknown" in error) == (1, True)
    code, error = await refused(cloud, "pull", f"{cloud.host.registry}/app:latest")
    assert (code, "by digest only" in error) == (1, True)


async def test_one_machine_does_not_see_the_others_containers(cloud: Cloud, name: str):
    code, out, _ = await cloud.on_machine("docker", "ps", "-a", "--format", "{{.Names}}", environment="prod")
    assert (code, out) == (0, "")


async def test_closing_ends_every_process_and_opening_brings_the_same_back(tmp_path: Path):
    cloud = Cloud(tmp_path)
    await cloud.start()
    version = await cloud.version()
    await cloud.deploy(version)
    (before,) = cloud.host.containers("dev")
    url, instance = cloud.host.url("dev", "app"), cloud.host.instance_id("dev")
    await cloud.close()
    assert not Path(f"/proc/{before['pid']}").exists()

    again = Cloud(tmp_path)
    await again.start()
    try:
        await until_live(again, version.commit)
        (after,) = again.host.containers("dev")
        assert (after["name"], after["port"]) == (before["name"], before["port"])
        assert (again.host.url("dev", "app"), again.host.instance_id("dev")) == (url, instance)
        assert (await again.status())["commit"] == version.commit
    finally:
        await again.close()


async def test_what_a_killed_world_left_running_is_ended_by_the_next(tmp_path: Path):
    cloud = Cloud(tmp_path)
    await cloud.start()
    version = await cloud.version()
    await cloud.deploy(version)
    (left,) = cloud.host.containers("dev")
    record = next(tmp_path.glob("host/dev/engine/containers/*/container.json"))
    said = record.read_text()
    await cloud.close()
    # A world that was killed leaves a process and a record that says `running`: here the process is another one's.
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    found = json.loads(said)
    record.write_text(json.dumps(found | {"pid": stranger.pid}))
    again = Cloud(tmp_path)
    await again.host.start()
    await again.host.close()
    assert stranger.returncode is None
    ours = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)

    record.write_text(json.dumps(found | {"pid": ours.pid, "pid_ticks": started_ticks(ours.pid)}))
    third = Cloud(tmp_path)
    await third.host.start()
    await third.host.close()
    assert await ours.wait() == -signal.SIGTERM
    stranger.terminate()
    await stranger.wait()
    assert left["pid"] != 0

"""The same deploy script on a real container engine: images from the Dockerfile, a registry, containers, the front."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest

from bot.sandbox.host.engine import BASE_IMAGE
from tests.wire.sandbox_cloud import DIES, Cloud

NEEDED = ("podman", "runc", "docker-registry", "mmdebstrap")
BASE = f"localhost/{BASE_IMAGE}"
MISSING = [name for name in NEEDED if shutil.which(name) is None] + ([] if os.geteuid() == 0 else ["root"])
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"a real engine needs {', '.join(MISSING)}"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), engine="podman")
    try:
        await cloud.start()
        yield cloud
    finally:
        await cloud.host.remove()
        await cloud.close()


async def test_versions_come_and_go_and_a_broken_one_changes_nothing(cloud: Cloud):
    first, second = await cloud.version(), await cloud.version()
    ended = await cloud.deploy(first)
    assert (ended.status, ended.error) == ("Success", ""), ended.output
    assert await cloud.live_commit() == first.commit
    ended = await cloud.deploy(second)
    assert ended.result["previous_image"].endswith(first.digest)
    assert await cloud.live_commit() == second.commit
    (container,) = cloud.host.containers("dev")
    assert (container["name"], container["status"]) == (ended.result["container"], "running")
    assert (await cloud.status())["healthy"] is True

    broken = await cloud.deploy(await cloud.version({"app/__main__.py": DIES}))
    assert (broken.status, broken.code) == ("Failed", 1)
    assert "::log STRIPE_KEY is not set" in broken.output
    assert await cloud.live_commit() == second.commit
    assert [one["name"] for one in cloud.host.containers("dev")] == [container["name"]]


async def test_what_carries_no_label_of_this_world_is_never_touched(cloud: Cloud):
    assert (await cloud.deploy(await cloud.version())).status == "Success"
    labels = ("--label", "quarterdeck.environment=dev", "--label", "quarterdeck.service=app")
    code, stranger, error = await cloud.on_machine("docker", "run", "--detach", *labels, BASE, "sleep", "600")
    assert code == 0, error
    assert (await cloud.deploy(await cloud.version())).status == "Success"
    code, out, _ = await cloud.on_machine("docker", "inspect", "--format", "{{.State.Status}}", stranger.strip())
    assert (code, out.strip()) == (0, "running")
    await cloud.on_machine("docker", "rm", "--force", stranger.strip())


async def test_the_containers_are_fenced_in(cloud: Cloud):
    if not cloud.host.containers("dev"):
        assert (await cloud.deploy(await cloud.version())).status == "Success"
    name = str(cloud.host.containers("dev")[0]["name"])
    code, out, _ = await cloud.on_machine("docker", "exec", name, "sh", "-c", "id -u; touch /srv/x || echo read-only")
    assert (code, out.split()) == (0, ["10001", "read-only"])


async def test_closing_the_world_stops_its_containers_and_opening_it_starts_them(cloud: Cloud):
    if not cloud.host.containers("dev"):
        assert (await cloud.deploy(await cloud.version())).status == "Success"
    (before,) = cloud.host.containers("dev")
    await cloud.host.close()
    assert [one["status"] for one in cloud.host.containers("dev")] == ["exited"]
    again = Cloud(cloud.home, engine="podman")
    try:
        await again.host.start()
        (after,) = again.host.containers("dev")
        assert (after["name"], after["port"], after["status"]) == (before["name"], before["port"], "running")
        while await again.live_commit() != before["commit"]:
            await asyncio.sleep(0.1)
    finally:
        await again.host.close()


def test_nothing_of_the_worlds_runs_in_the_engine_of_the_machine_itself():
    listed = subprocess.run(
        ["podman", "ps", "--all", "--filter", "label=quarterdeck.world", "--format", "{{.Names}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.stdout == ""

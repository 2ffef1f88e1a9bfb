"""The host's scripts on a real container engine, on a host that systemd runs: rollouts, rollbacks, crashes, reboots.

Containers are podman's, images come from the Dockerfile, the front is nginx. What `host_room` says of the engine holds:
it runs beside the host, so a reboot is shown by ending its containers and restarting the host around our units.
"""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from bot.sandbox.host.machine import REGISTRY
from tests.infra.conftest import Stopwatch
from tests.infra.host_room import MISSING, NAME, STATE, Instance, booted
from tests.wire.sandbox_cloud import DIES, ROOT, Cloud, Version

ROLLOUTS = 20
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"a real engine needs {', '.join(MISSING)}"),
    pytest.mark.timeout(1200),
]


@dataclass
class Tally:
    """What clients saw that ask without a pause."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    commits: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
async def instance(
    host_cloud: Cloud, stopwatch: Stopwatch, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Instance]:
    """An instance to which user data has given its settings. Nothing is deployed yet."""
    began = time.monotonic()
    async with booted(host_cloud, tmp_path_factory.mktemp("instance")) as instance:
        assert await instance.answers() == "ClientConnectorError", "without settings it listens nowhere"
        await instance.give_settings()
        assert await instance.answers() == "502", "the front is there before a version is"
        stopwatch.note("host: image made, first boot, settings given", time.monotonic() - began)
        yield instance


@pytest.fixture(scope="module")
async def versions(host_cloud: Cloud, stopwatch: Stopwatch) -> tuple[Version, Version, Version]:
    """Two healthy versions and one that dies at its start."""
    text = (ROOT / "app" / "__init__.py").read_text(encoding="utf-8")
    with stopwatch.step("host: three images built and pushed"):
        first = await host_cloud.version()
        second = await host_cloud.version({"app/__init__.py": f"{text}\n# The second version.\n"})
        return first, second, await host_cloud.version({"app/__main__.py": DIES})


@pytest.fixture
async def serving(instance: Instance, versions: tuple[Version, Version, Version]) -> Version:
    """The version that serves, and one served before it."""
    first, second, _ = versions
    live = await instance.answers()
    if live == first.commit:
        return first
    for version in (first, second) if live != second.commit else ():
        ended = await instance.deploy(version)
        assert ended.code == 0, ended.output
    return second


def recorded(instance: Instance) -> dict[str, str]:
    lines = (instance.state / "deployed" / "dev-app").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


async def client(url: str, tally: Tally, stop: asyncio.Event) -> None:
    """One connection a request, as the front asks for; no retry of any kind."""
    address = urlsplit(url)
    request = f"GET /health HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(request)
            answer = (await reader.read()).decode()
            writer.close()
            if " 200 " not in answer.partition("\r\n")[0]:
                tally.failures.append(answer[:100])
            tally.answered += 1
            tally.commits.add(answer.partition('"commit": "')[2][:40])
        except (OSError, EOFError) as error:
            tally.failures.append(repr(error))


async def test_a_version_that_dies_leaves_the_one_before_and_a_rollback_goes_back_one_further(
    instance: Instance, versions: tuple[Version, Version, Version], stopwatch: Stopwatch
):
    first, second, bad = versions
    with stopwatch.step("host: deploy v1, v2, bad v3, rollback twice"):
        for version in (first, second):
            ended = await instance.deploy(version)
            assert (ended.code, ended.result["commit"]) == (0, version.commit), ended.output
            assert await instance.answers() == version.commit
        before = recorded(instance)
        ended = await instance.deploy(bad)
        assert (ended.code, ended.steps[-1]) == (1, ("health", "failed")), ended.output
        assert "::log STRIPE_KEY is not set" in ended.output
        assert await instance.answers() == second.commit
        assert recorded(instance) == before, "what failed is not remembered"

        ended = await instance.call("rollback", Service="app", Operation="back")
        assert (ended.code, ended.result["commit"]) == (0, first.commit), ended.output
        assert "is here already" in ended.output
        (container,) = instance.containers()
        again = await instance.call("rollback", Service="app", Operation="back")
        assert again.result["container"] == ended.result["container"] == container["name"]
        assert await instance.answers() == first.commit
        assert recorded(instance) == {
            "image": f"{REGISTRY}/app@{first.digest}",
            "commit": first.commit,
            "operation": "back",
            "previous_image": f"{REGISTRY}/app@{second.digest}",
            "previous_commit": second.commit,
        }


async def test_no_request_fails_over_twenty_rollouts(
    instance: Instance, serving: Version, versions: tuple[Version, Version, Version], stopwatch: Stopwatch
):
    tally, stop = Tally(), asyncio.Event()
    asking = asyncio.create_task(client(instance.url, tally, stop))
    began = time.monotonic()
    try:
        for number in range(ROLLOUTS):
            kind = ("deploy", "restart", "rollback")[number % 3]
            ended = await (instance.deploy(versions[number % 2]) if kind == "deploy" else instance.change(kind))
            assert ended.code == 0, ended.output
    finally:
        stop.set()
        await asking
    stopwatch.note(
        f"host: {ROLLOUTS} rollouts under {tally.answered} requests, {len(tally.failures)} failed",
        time.monotonic() - began,
    )
    assert tally.failures == []
    assert tally.answered > 20 * ROLLOUTS
    assert len(tally.commits) == 2


async def test_a_container_that_dies_is_started_again_by_its_restart_policy(
    instance: Instance, serving: Version, stopwatch: Stopwatch
):
    (before,) = instance.containers()
    with stopwatch.step("host: container killed, back by its restart policy", drill="container crash"):
        os.kill(int(str(before["pid"])), signal.SIGKILL)
        async with asyncio.timeout(60):
            while str(instance.containers()[0]["pid"]) in ("0", str(before["pid"])):
                await asyncio.sleep(0.05)
        await instance.until_answers(serving.commit)
    (after,) = instance.containers()
    assert (after["name"], after["port"]) == (before["name"], before["port"])


async def test_after_a_reboot_the_unit_brings_the_last_good_version_back(
    instance: Instance, serving: Version, versions: tuple[Version, Version, Version], stopwatch: Stopwatch
):
    assert (await instance.deploy(versions[2])).code == 1, "the last rollout was a bad one"
    (container,) = instance.containers()
    await instance.engine("kill", str(container["name"]))
    assert await instance.answers() == "502"
    with stopwatch.step("host: rebooted, the unit brings the last good version back", drill="reboot"):
        await instance.engine("restart", NAME)
        await instance.until_answers(serving.commit)
    await instance.until_up()
    assert "its container came back" in await instance.must("journalctl", "-b", "-u", "quarterdeck-redeploy-on-boot")
    assert (await instance.on("systemctl", "is-active", "quarterdeck-redeploy-on-boot"))[1].strip() == "active"


async def test_a_host_that_lost_its_disk_pulls_by_digest_what_the_parameter_store_remembers(
    instance: Instance, serving: Version, stopwatch: Stopwatch
):
    await instance.engine("rm", "--force", *(str(one["name"]) for one in instance.containers()))
    image = await instance.engine("image", "inspect", "--format", "{{.Id}}", f"{REGISTRY}/app@{serving.digest}")
    await instance.engine("rmi", "--force", image.strip())
    shutil.rmtree(instance.state / "deployed")
    await instance.must("sh", "-c", "rm -f /etc/nginx/quarterdeck/*")
    with stopwatch.step("host: new disk, the last good version pulled and started", drill="host disk lost"):
        await instance.must("systemctl", "restart", "quarterdeck-redeploy-on-boot")
        await instance.until_answers(serving.commit)
    assert recorded(instance)["commit"] == serving.commit
    said = await instance.must("journalctl", "-u", "quarterdeck-redeploy-on-boot", "-n", "40", "--no-pager")
    assert "::step verify ok" in said
    assert "is here already" not in said


async def test_the_doctor_names_what_is_wrong_and_how_to_mend_it(instance: Instance, serving: Version):
    def wrong(output: str) -> dict[str, str]:
        lines = [line.split(" ", 3) for line in output.splitlines() if line.startswith("::check wrong ")]
        return {name: text for _, _, name, text in lines}

    await instance.must("systemctl", "start", "quarterdeck-metrics")
    assert any("{Name=Environment,Value=dev}" in figure for figure in instance.figures)
    healthy = await instance.call("run-doctor")
    assert not set(wrong(healthy.output)) - {"clock"}, "whose clock is kept by others"
    assert f"::check ok service-app {serving.commit[:7]} serves" in healthy.output
    await instance.must("systemctl", "stop", "nginx")
    ended = await instance.call("run-doctor")
    await instance.must("systemctl", "start", "nginx")
    assert (ended.code, ended.result["wrong"]) == (1, healthy.result["wrong"] + 1)
    assert "the front does not answer" in wrong(ended.output)["service-app"]
    assert "; mend: nginx -t" in wrong(ended.output)["service-app"]


async def test_logs_are_lines_that_cannot_pass_for_ours(instance: Instance, serving: Version):
    ended = await instance.call("logs", Service="app", Lines="5")
    lines = ended.output.splitlines()
    assert ended.result["lines"] == len(lines) - 1 > 0
    assert all(line.startswith("::log ") for line in lines[:-1])
    assert serving.commit in ended.output


async def test_cleaning_the_disk_keeps_what_serves_and_what_a_rollback_needs(
    instance: Instance, serving: Version, versions: tuple[Version, Version, Version]
):
    bad = f"{REGISTRY}/app@{versions[2].digest}"
    assert (await instance.deploy(versions[2])).code == 1
    assert (await instance.cloud.on_machine("docker", "image", "inspect", bad))[0] == 0
    # Podman keeps the registry's stand-in as the image's name; what was built beside the host bears it, too.
    local = (
        await instance.engine("images", "--format", "{{.Repository}}", "--filter", "label=quarterdeck.world")
    ).split()[0]
    settings = f"{STATE}/clean.env"
    text = "".join(f"{k}={v}\n" for k, v in instance.settings.items())
    (instance.state / "clean.env").write_text(
        text.replace(f"REGISTRY={REGISTRY}", f"REGISTRY={local.partition('/')[0]}")
    )
    note = instance.state / "deployed" / "dev-app"
    kept = note.read_text()
    note.write_text(kept.replace(REGISTRY, local.partition("/")[0]))
    code, said = await instance.on(
        "quarterdeck-disk-clean", "--environment", "dev", environ={"QUARTERDECK_HOST_ENV": settings}
    )
    note.write_text(kept)
    assert code == 0, said
    assert (await instance.cloud.on_machine("docker", "image", "inspect", bad))[0] != 0, said
    for version in versions[:2]:
        await instance.engine("image", "inspect", f"{REGISTRY}/app@{version.digest}")
    assert await instance.answers() == serving.commit

"""What a host brings back after a boot, and which note of what serves counts: its own, or the one that hosts share.

The scripts run as they are, with stand-ins for `aws`, `docker` and `curl` on PATH. On a real engine and under systemd
recovery is shown by `test_host_drills`.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.sandbox.cast import AWS_REGION
from bot.sandbox.host.machine import REGISTRY
from tests.infra import host_stand_ins
from tests.wire.sandbox_cloud import ROOT

HOST = ROOT / "infra" / "host"
GROUP = "quarterdeck-prod"
DISK = ("state", "engine", "upstream")
V1, V2, V3 = "1" * 40, "2" * 40, "3" * 40


def image(commit: str) -> str:
    return f"{REGISTRY}/app@sha256:{commit[0] * 64}"


@dataclass(frozen=True)
class Cloud:
    """The parameter store that the hosts of an environment share."""

    folder: Path

    @property
    def note(self) -> Path:
        return self.folder / "quarterdeck.deployed.prod.app"

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().split()

    def fault(self, *codes: str) -> None:
        """What the next readings of the parameter store end with."""
        (self.folder / "faults").write_text("\n".join(codes))


@dataclass(frozen=True)
class Machine:
    """One host: its folder, settings and programs."""

    home: Path
    cloud: Cloud

    @property
    def own_note(self) -> Path:
        return self.home / "state" / "deployed" / "prod-app"

    def run(self, script: str, *argv: str) -> tuple[int, str]:
        environ = {
            "PATH": f"{self.home}/bin:{os.environ['PATH']}",
            "QUARTERDECK_HOST_ENV": f"{self.home}/host.env",
            "QUARTERDECK_MACHINE": str(self.home),
            "QUARTERDECK_CLOUD": str(self.cloud.folder),
        }
        done = subprocess.run(
            [HOST / script, *argv], env=environ, capture_output=True, text=True, check=False, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    def deploy(self, commit: str) -> None:
        argv = ("--service", "app", "--image", image(commit), "--commit", commit, "--operation", f"op-{commit[0]}")
        code, said = self.run("deploy", "--environment", "prod", *argv)
        assert (code, self.serves()) == (0, commit), said

    def reboot(self) -> tuple[int, str]:
        return self.run("redeploy-on-boot")

    def serves(self) -> str:
        """The commit of the one container there is."""
        (container,) = (file.read_text() for file in (self.home / "engine").glob("*.json"))
        assert '"status": "running"' in container
        return next(commit for commit in (V1, V2, V3) if commit in container)

    def lose_disk(self) -> None:
        for folder in DISK:
            shutil.rmtree(self.home / folder)


def noted(note: Path) -> tuple[str, str]:
    """The commit that serves, and the one before, as a note has them."""
    lines = dict(line.split("=", 1) for line in note.read_text().splitlines())
    return lines["commit"], lines["previous_commit"]


def machine(cloud: Cloud, home: Path, *, group: str = "") -> Machine:
    (home / "bin").mkdir(parents=True)
    for name in ("aws", "docker", "curl"):
        shim = home / "bin" / name
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {host_stand_ins.__file__} {name} "$@"\n')
        shim.chmod(0o755)
    (home / "bin" / "sleep").symlink_to("/bin/true")
    settings = {
        "ENVIRONMENT": "prod",
        "REGION": AWS_REGION,
        "REGISTRY": REGISTRY,
        "STATE_DIR": home / "state",
        "LOCK_DIR": home / "lock",
        "UPSTREAM_DIR": home / "upstream",
        "RELOAD_COMMAND": "/bin/true",
        "FRONT_URL_APP": "http://127.0.0.1:80",
        "DEPLOYED_PARAMETERS": "/quarterdeck/deployed/prod",
        "AUTOSCALING_GROUP": group,
        "HEALTH_DEADLINE_S": 5,
        "HEALTH_CHECKS": 1,
    }
    (home / "host.env").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return Machine(home, cloud)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    cloud = Cloud(tmp_path / "cloud")
    cloud.folder.mkdir()
    (cloud.folder / "calls").touch()
    cloud.fault()
    return cloud


@pytest.fixture
def alone(cloud: Cloud, tmp_path: Path) -> Machine:
    """The one host of its environment."""
    return machine(cloud, tmp_path / "alone")


def pair(cloud: Cloud, home: Path, *, group: str) -> tuple[Machine, Machine]:
    """Two hosts on which the first version was deployed: on one, and the other has the same on its disk."""
    first, second = machine(cloud, home / "a", group=group), machine(cloud, home / "b", group=group)
    first.deploy(V1)
    for folder in DISK:
        shutil.copytree(first.home / folder, second.home / folder)
    return first, second


def test_only_a_missing_parameter_means_that_nothing_was_deployed(alone: Machine):
    code, said = alone.reboot()
    assert (code, alone.cloud.calls) == (0, ["get-parameter"])
    assert "::log app: nothing was deployed yet\n" in said


def test_a_parameter_store_that_fails_once_is_asked_again(alone: Machine):
    alone.deploy(V1)
    alone.lose_disk()
    alone.cloud.fault("ThrottlingException")
    code, said = alone.reboot()
    assert (code, alone.serves()) == (0, V1), said
    assert noted(alone.own_note) == (V1, "")


@pytest.mark.parametrize("why", ["ThrottlingException", "AccessDeniedException", "ParameterVersionNotFound"])
def test_a_parameter_store_that_cannot_be_asked_fails_the_recovery_and_the_next_try_mends_it(alone: Machine, why: str):
    alone.deploy(V1)
    alone.lose_disk()
    alone.cloud.fault(*[why] * 3)
    code, said = alone.reboot()
    assert (code, said.splitlines()[-1]) == (1, "::failed boot not back: app")
    assert "nothing was deployed" not in said
    assert f"({why})" in said, "and says why"
    assert alone.reboot()[0] == 0
    assert alone.serves() == V1


def test_a_note_that_is_none_fails_the_recovery(alone: Machine):
    alone.cloud.note.write_text("image=latest")
    code, said = alone.reboot()
    assert (code, said.splitlines()[-1]) == (1, "::failed boot not back: app")
    assert "malformed" in said


def test_a_host_with_its_own_note_needs_no_parameter_store_to_come_back(alone: Machine):
    alone.deploy(V1)
    alone.cloud.fault(*["ThrottlingException"] * 99)
    assert alone.reboot()[0] == 0
    assert alone.serves() == V1


@pytest.mark.parametrize("group", ["", GROUP])
def test_the_reboot_of_an_old_host_leaves_the_note_of_a_later_deploy_alone(cloud: Cloud, tmp_path: Path, group: str):
    old, new = pair(cloud, tmp_path, group=group)
    new.deploy(V2)
    code, said = old.reboot()
    assert (code, noted(cloud.note)) == (0, (V2, V1)), said


def test_a_host_of_a_group_comes_back_with_what_was_deployed_while_it_was_away(cloud: Cloud, tmp_path: Path):
    away, there = pair(cloud, tmp_path, group=GROUP)
    for commit in (V2, V3):
        there.deploy(commit)
    code, said = away.reboot()
    assert (code, away.serves()) == (0, V3), said
    assert noted(away.own_note) == noted(cloud.note) == (V3, V2), "and rolls back to where the others would"
    assert away.reboot()[0] == 0


def test_a_rollout_anew_at_boot_does_not_put_an_older_note_back(cloud: Cloud, tmp_path: Path):
    old, new = pair(cloud, tmp_path, group="")
    new.deploy(V2)
    shutil.rmtree(old.home / "engine")
    code, said = old.reboot()
    assert (code, old.serves()) == (0, V1), said
    assert "::step verify ok" in said
    assert noted(cloud.note) == (V2, V1)


@pytest.mark.parametrize("group", ["", GROUP])
def test_a_boot_gives_a_parameter_store_without_a_note_the_one_of_this_host(cloud: Cloud, tmp_path: Path, group: str):
    host, _ = pair(cloud, tmp_path, group=group)
    cloud.note.unlink()
    assert host.reboot()[0] == 0
    assert noted(cloud.note) == (V1, "")


def test_a_host_of_a_group_that_cannot_ask_tries_again_rather_than_go_by_its_own_note(cloud: Cloud, tmp_path: Path):
    away, there = pair(cloud, tmp_path, group=GROUP)
    there.deploy(V2)
    cloud.fault(*["ServiceUnavailable"] * 3)
    assert away.reboot()[0] == 1
    assert away.reboot()[0] == 0
    assert away.serves() == V2


@pytest.mark.parametrize("group", ["", GROUP])
def test_what_a_rollout_brought_to_serve_before_it_was_killed_is_what_comes_back(
    cloud: Cloud, tmp_path: Path, group: str
):
    host, _ = pair(cloud, tmp_path, group=group)
    own, shared = host.own_note.read_text(), cloud.note.read_text()
    host.deploy(V2)
    host.own_note.write_text(own)
    cloud.note.write_text(shared)
    code, said = host.reboot()
    assert (code, host.serves(), noted(host.own_note)) == (0, V2, (V2, V1)), said
    assert noted(cloud.note) == (V1, ""), "nobody verified it"


def test_a_note_is_shared_or_not_and_nothing_else(alone: Machine):
    argv = ("--image", image(V1), "--commit", V1, "--operation", "op-1", "--note", "none")
    code, said = alone.run("deploy", "--environment", "prod", "--service", "app", *argv)
    assert (code, said.splitlines()[-1]) == (1, "::failed pull the parameter --note is malformed")

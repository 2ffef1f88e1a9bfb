"""Packer builds a host's image for real: its EC2 is moto, the instance that it provisions over SSH is a container.

What Docker and Amazon publish is served by stand-ins from the machine itself (`vendors`), with versions, signatures
and checksums checked as ever. NOT_RUN names what no container can show.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.infra import machine as machines
from tests.infra.conftest import Stopwatch
from tests.infra.machine import Machine
from tests.infra.terraform import ACCESS_KEY, INFRA, REGION, SECRET_KEY, Stack, environment, missing
from tests.infra.vendors import AGENT_VERSION, Vendors, default_packages, defaults

PACKER = shutil.which("packer")
FOLDER = INFRA / "packer"
BASE = {
    "ami_id": "ami-0aabbccddeeff0011",
    "name": "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20261101",
    "owner_id": "099720109477",
    "architecture": "x86_64",
    "root_device_type": "ebs",
    "root_device_name": "/dev/sda1",
    "virtualization_type": "hvm",
    "public": True,
}
SERVER = """\
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
NOT_RUN = (
    "what Docker's packages, the AWS CLI and the SSM agent contain (stand-ins that answer for their versions)",
    "cloud-init and the removal of the SSM agent's snap (this machine is a Debian without both)",
    "the block `packer` with required plugins, where Packer is older than 1.7",
)
GOOD = {"ssh_cidrs": '["127.0.0.1/32"]', "ssm_agent_version": AGENT_VERSION, "ssm_agent_sha256": "0" * 64}
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Build:
    """A template's copy without the block that Packer before 1.7 does not know, and what its build is given."""

    folder: Path
    environ: dict[str, str]
    variables: dict[str, str]

    def packer(self, command: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        given = [f"-var={name}={value}" for name, value in {**self.variables, **changed}.items()]
        argv = [PACKER or "packer", command, *(["-color=false"] if command == "build" else []), *given, "packer"]
        return subprocess.run(
            argv, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=500
        )


def prepared(work: Path, endpoint: str, variables: dict[str, str]) -> Build:
    shutil.copytree(FOLDER, work / "packer", ignore=shutil.ignore_patterns("plugins.pkr.hcl", "manifest*.json"))
    shutil.copytree(INFRA / "host", work / "host")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_ENDPOINT_URL": endpoint}
    return Build(work, {**kept, **keys, "CHECKPOINT_DISABLE": "1", "PACKER_CONFIG_DIR": str(work)}, variables)


def need_packer() -> None:
    if PACKER is None:
        pytest.skip("packer is not on PATH")


# ---- the template ----------------------------------------------------------------------------------------------------


@pytest.fixture
def template(tmp_path: Path) -> Build:
    need_packer()
    return prepared(tmp_path / "template", "http://127.0.0.1:9", GOOD)


def test_the_template_is_valid_and_formatted(template: Build) -> None:
    done = template.packer("validate")
    assert done.returncode == 0, done.stdout
    formatted = subprocess.run([PACKER or "", "fmt", "-check", "-diff", str(FOLDER)], capture_output=True, text=True)
    assert formatted.returncode == 0, formatted.stdout


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("region", "Frankfurt", "must be the name of an AWS region"),
        ("base_image_owner", "canonical", "an account id of twelve digits"),
        ("root_volume_gib", "4", "of 8 to 100 GiB"),
        ("root_volume_gib", "101", "of 8 to 100 GiB"),
        ("parameter", "host-ami", "must be a path"),
        ("commit", "main; reboot", "hexadecimal digits"),
        ("ssh_cidrs", '["0.0.0.0/0"]', "the whole internet is not let in"),
        ("ssh_cidrs", "[]", "Name your own address"),
        ("docker_repository", "http://download.example.org/ubuntu", "must be an https address"),
        ("docker_suite", "jammy main", "code name"),
        ("docker_key_sha256", "", "64 hexadecimal digits"),
        ("docker_packages", '["docker-ce"]', "NAME=VERSION"),
        ("docker_packages", '["docker-ce=1; reboot"]', "NAME=VERSION"),
        ("aws_cli_version", "1.22.0", "must be of version 2"),
        ("aws_cli_source", "ftp://example.org", "must be an https address"),
        ("aws_cli_sha256", "d6", "64 hexadecimal digits"),
        ("ssm_agent_version", "3.2.2746.0", "3.3.2746.0 or newer"),
        ("ssm_agent_source", "https://example.org/x/", "must be an https address"),
        ("ssm_agent_sha256", "z" * 64, "64 hexadecimal digits"),
    ],
)
def test_what_cannot_be_right_is_refused_with_a_sentence(template: Build, name: str, value: str, sentence: str) -> None:
    done = template.packer("validate", **{name: value})
    assert done.returncode != 0
    assert sentence in " ".join(done.stdout.split())


def test_the_plugins_block_has_a_file_of_its_own() -> None:
    for file in FOLDER.glob("*.pkr.hcl"):
        assert ("required_plugins" in file.read_text()) is (file.name == "plugins.pkr.hcl"), file.name


def test_only_the_image_of_the_last_run_in_the_region_is_recorded(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    builds = [("old", f"{REGION}:ami-00000001"), ("new", "eu-west-1:ami-00000002")]
    content = {"builds": [{"packer_run_uuid": u, "artifact_id": a} for u, a in builds], "last_run_uuid": "new"}
    manifest.write_text(json.dumps(content))
    argv = [sys.executable, str(FOLDER / "record-image"), str(manifest), REGION, "/quarterdeck/host/ami"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"the last run made no image in {REGION}" in done.stderr


# ---- a build ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """An account with one public image, Ubuntu's, of its real owner and name."""

    url: str

    def client(self, service: str) -> Any:
        session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
        return session.client(service, endpoint_url=self.url)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Account]:
    need_packer()
    if sentence := machines.missing():
        pytest.skip(sentence)
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert reporter is not None and capture is not None
    with capture.global_and_fixture_disabled():
        for step in NOT_RUN:
            reporter.write_line(f"\npacker: not run here: {step}")
    images = tmp_path_factory.mktemp("account") / "images.json"
    images.write_text(json.dumps([BASE]))
    environ = {**os.environ, "MOTO_AMIS_PATH": str(images)}
    argv, pipe = [sys.executable, "-c", SERVER], subprocess.PIPE
    with subprocess.Popen(argv, env=environ, text=True, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            yield Account(f"http://127.0.0.1:{int(server.stdout.readline())}")
        finally:
            server.stdin.close()


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory) -> Vendors:
    file = FOLDER / "variables.pkr.hcl"
    return Vendors(
        tmp_path_factory.mktemp("made") / "vendors",
        docker_packages=default_packages(file),
        aws_cli_version=defaults(file)["aws_cli_version"],
    )


@pytest.fixture(scope="module")
def machine(
    account: Account, vendors: Vendors, tmp_path_factory: pytest.TempPathFactory, stopwatch: Stopwatch
) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("machine") / "m", vendors=vendors.directory)
    try:
        with stopwatch.step("packer: a machine with systemd and SSH"):
            machine.start()
        yield machine
    finally:
        machine.remove()


@pytest.fixture(scope="module")
def build(account: Account, vendors: Vendors, machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Build:
    served = "http://127.0.0.1:8000"
    variables = {
        **GOOD,
        "region": REGION,
        "commit": "0123456789abcdef",
        "python": sys.executable,
        "ec2_endpoint": account.url,
        "ssh_host": "127.0.0.1",
        "ssh_port": str(machine.port),
        "ssh_private_key_file": str(machine.key),
        "docker_repository": f"{served}/docker",
        "docker_key_sha256": vendors.docker_key_sha256,
        "aws_cli_source": f"{served}/aws",
        "aws_cli_sha256": vendors.aws_cli_sha256,
        "ssm_agent_source": f"{served}/ssm",
        "ssm_agent_sha256": vendors.ssm_agent_sha256,
    }
    return prepared(tmp_path_factory.mktemp("build") / "work", account.url, variables)


@pytest.fixture(scope="module")
def refused(build: Build, account: Account, machine: Machine) -> str:
    """What a build says of which one checksum is wrong; it leaves the machine as it was."""
    done = build.packer("build", docker_key_sha256="1" * 64)
    assert done.returncode != 0
    machine.run("rm", "-rf", "/tmp/quarterdeck")
    return done.stdout


@pytest.fixture(scope="module")
def built(build: Build, refused: str, stopwatch: Stopwatch) -> str:
    with stopwatch.step("packer: build"):
        done = build.packer("build")
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def images(account: Account) -> list[dict[str, Any]]:
    found = account.client("ec2").describe_images(Owners=["self"])["Images"]
    return [image for image in found if image["Name"].startswith("quarterdeck-host-")]


def test_a_wrong_checksum_ends_the_build_and_leaves_no_image(refused: str) -> None:
    assert re.search(r"gpg has the checksum [0-9a-f]{64}, not 1{64}: it is not installed", refused), refused[-3000:]
    assert "Provisioning step had errors" in refused


def test_the_image_has_a_name_and_tags(built: str, account: Account) -> None:
    (image,) = images(account)
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    expected = {"Project": "quarterdeck", "Name": image["Name"], "Role": "host", "Commit": "0123456789abcdef"}
    assert tags == expected


def test_the_builder_and_all_that_it_needed_are_gone(built: str, account: Account) -> None:
    ec2 = account.client("ec2")
    states = {i["State"]["Name"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]}
    assert states == {"terminated"}
    assert [
        g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"] if "packer" in g["GroupName"]
    ] == []


def test_the_images_id_lands_in_the_parameter_that_dev_reads(
    built: str, account: Account, tmp_path: Path, stopwatch: Stopwatch
) -> None:
    (image,) = images(account)
    name = defaults(FOLDER / "variables.pkr.hcl")["parameter"]
    parameter = account.client("ssm").get_parameter(Name=name)["Parameter"]
    assert (parameter["Value"], parameter["Type"]) == (image["ImageId"], "String")
    dev = (INFRA / "environments" / "dev" / "main.tf").read_text()
    block = re.search(r'^data "aws_ssm_parameter" "ami" \{\n.*?^\}\n', dev, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    assert f'"{name}"' in block[0]
    if sentence := missing():
        pytest.skip(sentence)
    root = tmp_path / "root"
    root.mkdir()
    output = 'output "ami" {\n  value = data.aws_ssm_parameter.ami.insecure_value\n}\n'
    (root / "main.tf").write_text(block[0] + output)
    stack = Stack(root, environment(tmp_path / "work", account.url))
    with stopwatch.step("packer: Terraform reads the image's id"):
        stack.init()
        stack.apply().ok()
    assert stack.outputs() == {"ami": image["ImageId"]}


def test_the_machine_has_the_engine_and_its_configuration(built: str, machine: Machine) -> None:
    wanted = default_packages(FOLDER / "variables.pkr.hcl")
    held = set(machine.run("apt-mark", "showhold").split())
    assert held == {*(p.partition("=")[0] for p in wanted), "amazon-ssm-agent"}
    daemon = json.loads(machine.run("cat", "/etc/docker/daemon.json"))
    assert daemon["live-restore"] is True
    assert set(daemon["log-opts"]) == {"max-size", "max-file"}
    assert "Docker Compose version" in machine.run("docker", "compose", "version")


def test_the_machine_has_our_scripts_and_units(built: str, machine: Machine) -> None:
    for unit in ("docker", "nginx", "amazon-ssm-agent", "quarterdeck.target"):
        assert machine.run("systemctl", "is-enabled", unit) == "enabled"
    for name in ("deploy", "status", "redeploy-on-boot"):
        assert machine.run("readlink", "-e", f"/usr/local/bin/quarterdeck-{name}") == f"/opt/quarterdeck/host/{name}"
    code, said = machine.ask("quarterdeck-status", "--environment", "dev", "--service", "app")
    assert (code, said) == (1, "::failed status this host's settings cannot be read\n")


def test_the_machine_keeps_nothing_of_its_build(built: str, machine: Machine) -> None:
    assert machine.ask("sh", "-c", "ls /tmp/quarterdeck /home/ubuntu/.ssh/authorized_keys /root/.ssh")[1] == ""
    assert machine.run("sh", "-c", "ls /etc/ssh | grep -c ssh_host_ || true") == "0"
    assert machine.run("cat", "/etc/machine-id") == ""


def test_the_machine_starts_our_part_when_it_boots(built: str, machine: Machine, stopwatch: Stopwatch) -> None:
    """The last: an instance's first boot from the image, before user data has written its settings."""
    with stopwatch.step("packer: first boot"):
        machine.reboot()
    for unit in ("quarterdeck.target", "docker.service", "nginx.service", "amazon-ssm-agent.service"):
        assert machine.run("systemctl", "is-active", unit) == "active"
    failed = machine.run("systemctl", "list-units", "--failed", "--plain", "--no-legend")
    assert {line.split()[0] for line in failed.splitlines()} <= {"ssh.service"}  # its host keys are cloud-init's matter

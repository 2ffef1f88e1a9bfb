"""The bot as a host starts it: its secrets, its role, its log, and what a new host brings back before the first start.

The bucket and the parameters are moto's. The engine is a program that notes how it was called, and that runs the real
`quarterdeck restore` with the folders that it was given.
"""

import asyncio
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session
from aiohttp import web

from bot.db import DATABASE_NAME
from bot.db.database import Database
from bot.sandbox.cast import AWS_REGION
from bot.settings import SECRETS, SECTION_SECRETS
from tests.wire.sandbox_cloud import ROOT, Cloud, Ended

HOST = ROOT / "infra" / "host"
BUCKET = "quarterdeck-of-the-bot"
BOT_USER = 10001
ROLE = "arn:aws:iam::123456789012:role/quarterdeck-bot"
REGISTRY = f"123456789012.dkr.ecr.{AWS_REGION}.amazonaws.com"
IMAGE = f"{REGISTRY}/bot@sha256:{'a' * 64}"
SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin:/bin")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files are given to the bot's user: that needs root")
CONFIGURATION = "# the team's configuration\n"

DOCKER = """\
#!{python}
import json, subprocess, sys

with open({calls!r}, "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
if "restore" in sys.argv:
    words = sys.argv[sys.argv.index("restore"):]
    mounts = [word.split(":")[:2] for at, word in enumerate(sys.argv) if sys.argv[at - 1] == "--volume"]
    for outside, inside in mounts:
        words = [outside + w[len(inside):] if w == inside or w.startswith(inside + "/") else w for w in words]
    sys.exit(subprocess.run([{python!r}, "-m", "bot", *words], cwd={root!r}).returncode)
"""


def environment_file(path: str, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the program on parameters of these names; what it wrote is its output."""
    answer = json.dumps({"Parameters": [{"Name": path + name, "Value": "value"} for name in names]})
    with tempfile.TemporaryDirectory() as folder:
        argv = [str(HOST / "environment-file"), "--path", path, "--output", f"{folder}/env"]
        done = subprocess.run(argv, input=answer, capture_output=True, text=True, check=False, timeout=60)
        written = Path(folder, "env")
        return subprocess.CompletedProcess(
            argv, done.returncode, written.read_text() if written.is_file() else "", done.stderr
        )


def test_the_bot_gets_every_secret_that_it_asks_for():
    done = environment_file("/quarterdeck/dev/bot/", *SECRETS.values(), "AWS_CA_BUNDLE")
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.partition("=")[0] for line in done.stdout.splitlines()} == {*SECRETS.values(), "AWS_CA_BUNDLE"}


@pytest.mark.parametrize("path", ["/quarterdeck/dev/app/", "/quarterdeck/bot/app/"])
def test_no_other_service_may_have_the_bots_secrets(path: str):
    for name in SECRETS.values():
        done = environment_file(path, name)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{name} is reserved" in done.stderr


def test_other_names_of_ours_stay_reserved_for_the_bot_too():
    assert (
        "QUARTERDECK_HOST_ENV is reserved" in environment_file("/quarterdeck/dev/bot/", "QUARTERDECK_HOST_ENV").stderr
    )


def test_terraform_takes_the_names_that_the_bot_reads():
    text = (ROOT / "infra" / "modules" / "secrets" / "variables.tf").read_text()
    (names,) = re.findall(r'one\.service == "bot" && contains\((\[[^]]*\])', text)
    assert sorted(json.loads(names)) == sorted([*SECRETS.values(), *(name for _, name in SECTION_SECRETS.values())])


# ---- starting --------------------------------------------------------------------------------------------------------


@dataclass
class NewHost:
    """A host that has its settings and nothing else."""

    home: Path
    environ: Mapping[str, str]
    s3: Any

    @property
    def database(self) -> Path:
        return self.home / "bot" / DATABASE_NAME

    def settle(self, **more: str) -> None:
        """Write the settings."""
        settings = {
            "ENVIRONMENT": "dev",
            "REGION": AWS_REGION,
            "REGISTRY": REGISTRY,
            "STATE_DIR": self.home / "state",
            "LOCK_DIR": self.home / "lock",
            "ARTIFACTS_BUCKET": BUCKET,
            "BOT_IMAGE": IMAGE,
            "BOT_STATE_DIR": self.home / "bot",
            "BACKUP_PATHS": self.home / "old" / DATABASE_NAME,
            **more,
        }
        (self.home / "host.env").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    async def run(self, script: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            str(HOST / script), env=dict(self.environ), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        code = process.returncode or 0
        return Ended("Success" if code == 0 else "Failed", code, out.decode(errors="replace"), "", "")

    def calls(self) -> list[list[str]]:
        """How the engine was called, without what only looks and removes."""
        lines = (self.home / "calls").read_text().splitlines() if (self.home / "calls").exists() else []
        return [call for call in map(json.loads, lines) if call[0] == "run"]


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    """AWS without an engine for containers, and an empty bucket."""
    cloud = Cloud(tmp_path_factory.mktemp("bot-cloud"))
    await cloud.start()
    try:
        s3 = await cloud.client("s3", cloud.aws.demo_key)
        await s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": AWS_REGION})
        yield cloud
    finally:
        await cloud.close()


@pytest.fixture
async def host(cloud: Cloud, tmp_path: Path) -> AsyncIterator[NewHost]:
    access, secret = cloud.aws.demo_key
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        f"[default]\nregion = {AWS_REGION}\nendpoint_url = {cloud.aws.endpoint_url}\n"
    )
    (tmp_path / ".aws" / "credentials").write_text(
        f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
    )
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(DOCKER.format(python=sys.executable, calls=str(tmp_path / "calls"), root=str(ROOT)))
    docker.chmod(0o755)
    environ = {
        "PATH": f"{tmp_path}/bin:{cloud.host.command_environ('dev')['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "QUARTERDECK_HOST_ENV": f"{tmp_path}/host.env",
    }
    s3 = await cloud.client("s3", cloud.aws.demo_key)
    host = NewHost(tmp_path, environ, s3)
    host.settle()
    yield host
    for listed in (await s3.list_objects_v2(Bucket=BUCKET)).get("Contents", []):
        await s3.delete_object(Bucket=BUCKET, Key=listed["Key"])


async def lay_down_configuration(host: NewHost) -> None:
    await host.s3.put_object(Bucket=BUCKET, Key="data/dev/quarterdeck.toml", Body=CONFIGURATION.encode())


@needs_root
async def test_a_new_host_brings_configuration_and_database_back(host: NewHost):
    await lay_down_configuration(host)
    old = host.home / "old" / DATABASE_NAME
    old.parent.mkdir()
    database = await Database.open(old)
    await database.close()
    backup = await host.run("backup")
    assert backup.code == 0, backup.output

    ended = await host.run("bot")
    assert ended.code == 0, ended.output
    assert (host.home / "quarterdeck.toml").read_text() == CONFIGURATION
    assert stat.S_IMODE((host.home / "quarterdeck.toml").stat().st_mode) == 0o644
    with closing(sqlite3.connect(host.database)) as restored:
        assert restored.execute("SELECT count(*) FROM events WHERE actor LIKE 'os user%'").fetchone()[0] >= 1
    restoring, running = host.calls()
    assert restoring[restoring.index("--network") + 1] == "none"
    assert running[-1] == IMAGE
    assert f"{host.home}/quarterdeck.toml:/etc/quarterdeck/quarterdeck.toml:ro" in running
    assert not (host.home / "state" / "restoring").exists()

    (host.home / "quarterdeck.toml").write_text("# changed here\n")
    ended = await host.run("bot")
    assert (ended.code, len(host.calls())) == (0, 3), "what is there is left alone"
    assert (host.home / "quarterdeck.toml").read_text() == "# changed here\n"


@needs_root
async def test_the_first_host_of_all_begins_with_an_empty_database(host: NewHost):
    await lay_down_configuration(host)
    ended = await host.run("bot")
    assert (ended.code, len(host.calls())) == (0, 1), ended.output


@needs_root
async def test_the_bot_does_not_start_while_nobody_knows_whether_there_is_a_backup(host: NewHost):
    (host.home / "quarterdeck.toml").write_text(CONFIGURATION)
    host.settle(ARTIFACTS_BUCKET="no-such-bucket")
    ended = await host.run("bot")
    assert ended.code == 1
    assert "the newest backup of it could not be fetched" in ended.output
    assert host.calls() == []


@needs_root
async def test_a_damaged_backup_starts_no_bot(host: NewHost):
    await lay_down_configuration(host)
    key = f"backups/dev/{DATABASE_NAME}/20260101T000000Z-aaaaaaaaaaaa.gz"
    await host.s3.put_object(Bucket=BUCKET, Key=key, Body=b"damaged", Metadata={"sha256": "b" * 64})
    ended = await host.run("bot")
    assert (ended.code, host.calls()) == (1, []), ended.output


@needs_root
async def test_without_a_configuration_anywhere_the_bot_says_where_it_looked(host: NewHost):
    ended = await host.run("bot")
    assert (ended.code, host.calls()) == (1, [])
    assert f"s3://{BUCKET}/data/dev/quarterdeck.toml could not be fetched" in ended.failed


@needs_root
async def test_the_bots_lines_go_where_those_of_services_go(host: NewHost):
    await lay_down_configuration(host)
    host.settle(LOG_GROUP_PREFIX="/quarterdeck/dev")
    assert (await host.run("bot")).code == 0
    (running,) = host.calls()
    assert running[running.index("--log-driver") + 1] == "awslogs"
    assert {"awslogs-group=/quarterdeck/dev/bot", f"awslogs-region={AWS_REGION}", "mode=non-blocking"} <= set(running)


# ---- the role --------------------------------------------------------------------------------------------------------


@needs_root
async def test_a_role_that_is_none_is_refused(host: NewHost):
    await lay_down_configuration(host)
    host.settle(BOT_ROLE_ARN="quarterdeck-bot")
    assert (await host.run("bot")).failed == "::failed bot the setting BOT_ROLE_ARN is not the ARN of a role"


class Amazon:
    """The metadata of an instance, and the service that gives roles to who has credentials from there."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.app = web.Application()
        self.app.router.add_put("/latest/api/token", self.token)
        self.app.router.add_get("/latest/meta-data/iam/security-credentials/{name:.*}", self.credentials)
        self.app.router.add_post("/", self.role)

    async def token(self, _: web.Request) -> web.Response:
        return web.Response(text="token")

    async def credentials(self, request: web.Request) -> web.Response:
        if not request.match_info["name"]:
            return web.Response(text="instance")
        later = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        given = {"AccessKeyId": "OFINSTANCE", "SecretAccessKey": "s", "Token": "t", "Expiration": later}
        return web.json_response({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": later, **given})

    async def role(self, request: web.Request) -> web.Response:
        form = await request.post()
        (key,) = re.findall(r"Credential=(\w+)/", request.headers["Authorization"])
        self.asked.append((key, str(form["RoleArn"])))
        later = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        inner = (
            "<AccessKeyId>OFTHEBOT</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{later}</Expiration>"
        )
        text = (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
            f"<Credentials>{inner}</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        return web.Response(text=text, content_type="text/xml")


@pytest.fixture
async def amazon() -> AsyncIterator[tuple[Amazon, str]]:
    amazon = Amazon()
    runner = web.AppRunner(amazon.app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield amazon, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@needs_root
async def test_the_sdk_takes_the_bots_role_by_the_file_that_the_host_writes(
    host: NewHost, amazon: tuple[Amazon, str], monkeypatch: pytest.MonkeyPatch
):
    await lay_down_configuration(host)
    host.settle(BOT_ROLE_ARN=ROLE)
    ended = await host.run("bot")
    assert ended.code == 0, ended.output
    (running,) = host.calls()
    (mount,) = [word for word in running if word.endswith(":/etc/quarterdeck/aws.config:ro")]
    assert "AWS_CONFIG_FILE=/etc/quarterdeck/aws.config" in running
    written = Path(mount.partition(":")[0])
    assert stat.S_IMODE(written.stat().st_mode) == 0o644

    aws, address = amazon
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(written))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
    credentials = await get_session().get_credentials()
    assert (await credentials.get_frozen_credentials()).access_key == "OFTHEBOT"
    assert aws.asked == [("OFINSTANCE", ROLE)]


# ---- a backup while the bot is away ----------------------------------------------------------------------------------


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder to which the bot's user gets, as it does not to pytest's own."""
    with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None or SYSTEM_PYTHON is None, reason="setpriv or python3 is missing")
def test_the_bot_can_still_write_after_a_backup_without_it(reachable: Path):
    unit = (HOST / "systemd" / "quarterdeck-backup.service").read_text()
    (granted,) = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
    database = reachable / "bot" / DATABASE_NAME
    database.parent.mkdir(mode=0o700)
    os.chown(database.parent, BOT_USER, BOT_USER)

    def as_the_bot(statement: str) -> None:
        program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()"
        done = subprocess.run(
            [str(SYSTEM_PYTHON), "-I", "-c", program, str(database), statement],
            user=BOT_USER, group=BOT_USER, extra_groups=(), cwd="/", capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    as_the_bot("PRAGMA journal_mode=WAL; CREATE TABLE t (x)")
    bounding = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in granted.split())])
    argv = ["setpriv", f"--bounding-set={bounding}", str(SYSTEM_PYTHON), "-I", str(HOST / "online-copy")]
    done = subprocess.run([*argv, str(database), str(reachable / "copy")], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    owners = {file.name: file.stat().st_uid for file in database.parent.iterdir()}
    assert set(owners.values()) == {BOT_USER}, owners
    as_the_bot("INSERT INTO t VALUES (1)")

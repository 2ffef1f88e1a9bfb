"""`quarterdeck run` with what it cannot use: one sentence on stderr, the right exit code, and nothing changed."""

import hashlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.story.world_driver import ROOT, World

CONFIGURATION_WRONG = 64
NOT_AVAILABLE = 69
SECRETS = {"QUARTERDECK_DISCORD_TOKEN": "MTA.SANDBX.x", "QUARTERDECK_GITHUB_TOKEN": "g"}
TOML = """
profile = "sandbox"
state_dir = "{state}"
health_port = {health}
[discord]
guild_id = 1
api_url = "http://127.0.0.1:9/api/v10"
gateway_url = "ws://127.0.0.1:9/gateway"
channels = {{ ops = 2, audit = 3 }}
roles = {{ dev = 4, sre = 5 }}
[github]
repository = "harbour/app"
api_url = "http://127.0.0.1:9"
[aws]
region = "eu-central-1"
account = "123456789012"
endpoint_url = "http://127.0.0.1:9"
[environments.dev]
instance_id = "i-0123456789abcdef0"
[services.app]
paths = ["app"]
image_repository = "app"
"""


def run(config: Path, *, secrets: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("QUARTERDECK_")}
    return subprocess.run(
        [sys.executable, "-m", "bot", "run", "--config", str(config)],
        cwd=ROOT,
        env=environ | (SECRETS if secrets is None else secrets),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def written(tmp_path: Path, text: str = TOML, *, health: int = 0) -> Path:
    config = tmp_path / "quarterdeck.toml"
    config.write_text(text.format(state=tmp_path / "state", health=health), encoding="utf-8")
    return config


def one_sentence(result: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in result.stderr.splitlines() if line and not line.startswith("{")]
    assert 1 <= len(lines) <= 2, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[discord]", "[discord", "not valid TOML"),
        ("roles = {{ dev = 4, sre = 5 }}", "roles = {{}}", "discord.roles is empty"),
        ('[services.app]\npaths = ["app"]\nimage_repository = "app"', "[services]", "services is empty"),
    ],
)
def test_a_configuration_that_cannot_be_used_exits_64(tmp_path, old, new, words):
    result = run(written(tmp_path, TOML.replace(old, new)))
    assert result.returncode == CONFIGURATION_WRONG
    assert words in one_sentence(result)
    assert not (tmp_path / "state").exists()


def test_a_missing_file_exits_64(tmp_path):
    result = run(tmp_path / "nowhere.toml")
    assert result.returncode == CONFIGURATION_WRONG
    assert "nowhere.toml" in one_sentence(result)


@pytest.mark.parametrize("missing", list(SECRETS))
def test_a_missing_secret_exits_64_and_is_named(tmp_path, missing):
    result = run(written(tmp_path), secrets={k: v for k, v in SECRETS.items() if k != missing})
    assert result.returncode == CONFIGURATION_WRONG
    assert missing in one_sentence(result)


def test_a_state_directory_that_cannot_be_written_exits_69(tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be", encoding="utf-8")
    result = run(written(tmp_path))
    assert result.returncode == NOT_AVAILABLE
    assert str(tmp_path / "state") in one_sentence(result)


def test_a_port_that_is_taken_exits_69(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run(written(tmp_path, health=taken.getsockname()[1]))
    assert result.returncode == NOT_AVAILABLE
    assert "port" in one_sentence(result)


def test_a_database_newer_than_the_code_exits_69_and_is_left_alone(tmp_path):
    config = written(tmp_path)
    (tmp_path / "state").mkdir()
    database = tmp_path / "state" / "quarterdeck.sqlite3"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999_from_the_future')")
    connection.close()
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    result = run(config)
    assert result.returncode == NOT_AVAILABLE
    assert "newer" in one_sentence(result)
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before


async def test_a_second_bot_on_the_same_database_exits_69_and_the_first_goes_on(world: World):
    environ = bot_environment((await world.part("bot"))["pid"])
    result = run(world.home / "quarterdeck.toml", secrets=environ)
    assert result.returncode == NOT_AVAILABLE
    assert "another" in one_sentence(result).lower()
    assert (await world.ask("dev", "ping")).state == "answered"


def bot_environment(pid: int) -> dict[str, str]:
    """The secrets of the running bot, from the kernel: the world keeps them nowhere else."""
    pairs = (
        pair.split("=", 1) for pair in Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0") if pair
    )
    return {name: value for name, value in pairs if name.startswith(("QUARTERDECK_", "AWS_"))}


async def test_a_disk_without_room_is_told_and_changes_nothing(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a full disk needs root to mount a small one")
    room = tmp_path / "state"
    room.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(room)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        result = run(written(tmp_path))
        assert result.returncode == NOT_AVAILABLE
        assert "full" in one_sentence(result)
    finally:
        subprocess.run(["umount", str(room)], check=True)


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["run", "--help"], ["demo", "--help"]])
def test_help_and_version_answer_at_once(words):
    result = subprocess.run(
        [sys.executable, "-m", "bot", *words], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0
    assert result.stdout


def test_an_unknown_command_exits_64():
    result = subprocess.run(
        [sys.executable, "-m", "bot", "dance"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == CONFIGURATION_WRONG


async def test_sigterm_ends_the_bot_cleanly(world: World):
    pid = (await world.part("bot"))["pid"]
    os.kill(pid, signal.SIGTERM)

    async def gone() -> bool:
        return not Path(f"/proc/{pid}").exists()

    await world.until("the bot to end", gone, timeout_s=15)
    assert "Traceback" not in world.bot_log_tail()

"""The sandbox as a process: what it refuses at its start, and that nothing of it is left, however it ends."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.story.world_driver import ROOT, World


async def run_sandbox(*arguments: str, **environ: str) -> tuple[int, str]:
    """Exit code and stderr of a sandbox that is expected to refuse."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot.sandbox", *arguments),
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("QUARTERDECK_")} | environ,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, err.decode()


def descendants(pid: int) -> set[int]:
    """Every process below this one, by /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def all_gone(pids: set[int], *, within_s: float) -> set[int]:
    """Those that still live after that time."""
    end = asyncio.get_running_loop().time() + within_s
    while (left := {pid for pid in pids if alive(pid)}) and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.1)
    return left


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--port", "x"), "the port must be a number"),
        (("--port", "65536"), "the port must be a number"),
        (("--speed", "0"), "the speed must lie between"),
        (("--speed", "nan"), "the speed must lie between"),
        (("--surplus",), "unrecognized arguments"),
    ],
)
async def test_options_that_make_no_sense_end_with_64(arguments: tuple[str, ...], sentence: str) -> None:
    code, err = await run_sandbox(*arguments)
    assert (code, sentence in err, "Traceback" in err) == (64, True, False)


async def test_a_folder_with_foreign_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    code, err = await run_sandbox("--port", "0", "--home", str(tmp_path), "--reset")
    assert (code, "no world's home" in err) == (64, True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


async def test_a_home_that_cannot_be_made_is_one_sentence_and_69(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, err = await run_sandbox("--port", "0", "--home", str(tmp_path / "file" / "home"))
    assert (code, "cannot be used" in err, "Traceback" in err) == (69, True, False)


async def test_a_home_or_a_port_in_use_is_69_and_names_who_has_it(tmp_path: Path) -> None:
    async with World(with_bot=False) as world:
        code, err = await run_sandbox("--port", "0", "--home", str(world.home), "--reset")
        port = world.url.rpartition(":")[2]
        assert (code, f"pid {world.pid}" in err, port in err) == (69, True, True)
        code, err = await run_sandbox("--port", port, "--home", str(tmp_path / "other"))
        assert (code, f"pid {world.pid}" in err, port in err) == (69, True, True)
        assert (await world.health("dev"))["status"] == "ok"


async def test_a_port_of_another_program_is_69(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, err = await run_sandbox(home_option := "--home", str(tmp_path / "home"), QUARTERDECK_PORT=str(port))
    assert (code, f"Port {port} is taken" in err, home_option) == (69, True, "--home")


async def it_begins_where_the_past_ends(world: World) -> None:
    """What really runs is what the newest seeded rows say, and the newest commit is not built yet."""
    rows = [json.loads(line) for line in (world.home / "seed.jsonl").read_text(encoding="utf-8").splitlines()]
    for environment, ref in (("dev", "main~2"), ("prod", "main~4")):
        sha = (await world.github("tag", name=f"on-{environment}", sha=ref))["sha"]
        newest = [r for r in rows if (r["environment"], r["status"]) == (environment, "succeeded")][-1]
        health = await world.health(environment)
        assert (health["commit"], health["built_from"]) == (sha, newest["built_from"])
        assert newest["commit"] == sha
        assert (world.home / "images" / f"{newest['image'].rpartition(':')[2]}.tar").is_file()
    head = (await world.github("tag", name="head", sha="main"))["sha"]
    assert head not in "".join(note.read_text() for note in (world.home / "images").glob("*.json"))


async def test_the_world_ends_everything_that_it_started_and_comes_back_as_it_was() -> None:
    async with World(with_bot=False) as world:
        before = await world.health("dev")
        await it_begins_where_the_past_ends(world)
        sha = await world.push({"app/note.txt": "kept"}, "keep this")
        pids = descendants(world.pid)
        assert len(pids) >= 3, "moto and two services"
        assert await world.stop() == 0
        assert await all_gone(pids, within_s=5) == set()
        assert not (world.home / "world.json").exists()
        await world.start()
        assert (await world.health("dev"))["commit"] == before["commit"]
        assert (await world.github("tag", name="again", sha="main"))["sha"] == sha
        await world.stop()
        await world.start("--reset")
        assert (await world.github("tag", name="again", sha="main"))["sha"] != sha


@pytest.mark.parametrize("options", [(), ("--reset",)], ids=["again", "anew"])
async def test_a_world_that_is_killed_leaves_nothing_once_it_was_started_again(options: tuple[str, ...]) -> None:
    async with World(with_bot=False) as world:
        moto, pids = (await world.part("aws"))["pid"], descendants(world.pid)
        await world.kill()
        assert await all_gone({moto}, within_s=10) == set()
        await world.start(*options)
        assert (await world.health("prod"))["status"] == "ok"
        assert await all_gone(pids, within_s=5) == set()

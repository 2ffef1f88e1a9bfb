"""The levers on the sandbox's GitHub: what they change, and what they refuse."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox.github.seed import SeedFailed
from bot.sandbox.wire import Missing, Rejected
from tests.wire.sandbox_github import GithubWorld, make_source, opened


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[GithubWorld]:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as opened_world:
        yield opened_world


async def refs(world: GithubWorld) -> dict[str, str]:
    return {
        ref["ref"]: ref["object"]["sha"]
        for kind in ("heads", "tags", "pull")
        for ref in await world.get(f"/git/matching-refs/{kind}/")
    }


async def test_a_push_writes_and_deletes_files_on_top_of_the_branch(world: GithubWorld) -> None:
    head = await world.part.head("main")
    body = {
        "branch": "main",
        "files": {"app/new/page.txt": "grüß dich\n", "locks/app.txt": None, "app/start": "#!/bin/sh\ntrue\n"},
        "message": "Say hello\n\nAnd why.",
        "author": "dev2",
    }
    sha = (await world.part.push(body))["sha"]
    assert sha == await world.part.head("main") != head
    commit = await world.ask(lambda repo: repo.get_commit(sha))
    assert [p.sha for p in commit.parents] == [head]
    assert commit.commit.message == "Say hello\n\nAnd why."
    assert commit.author.login == "harbour-dev2"
    assert {f.filename: f.status for f in commit.files} == {
        "app/new/page.txt": "added",
        "locks/app.txt": "removed",
        "app/start": "modified",
    }
    page = await world.ask(lambda repo: repo.get_contents("app/new/page.txt"))
    assert not isinstance(page, list)
    assert page.decoded_content.decode() == "grüß dich\n"
    modes = {e["path"]: e["mode"] for e in (await world.get(f"/git/trees/{sha}?recursive=1"))["tree"]}
    assert modes["app/start"] == "100755", "a file keeps its executable bit"


async def test_pushes_at_the_same_time_build_on_each_other(world: GithubWorld) -> None:
    head = await world.part.head("main")
    bodies = [{"files": {f"app/{number}.txt": "x"}, "message": f"Change {number}"} for number in range(8)]
    shas = {answer["sha"] for answer in await asyncio.gather(*(world.part.push(body) for body in bodies))}
    listed = (await world.get(f"/compare/{head}...main"))["commits"]
    assert {commit["sha"] for commit in listed} == shas
    pulls = [{"files": {"app/x": str(number)}, "message": "x"} for number in range(4)]
    numbers = [answer["number"] for answer in await asyncio.gather(*(world.part.fork_pull(body) for body in pulls))]
    assert sorted(numbers) == [101, 102, 103, 104]


async def test_a_name_that_collides_with_another_ref_is_refused(world: GithubWorld) -> None:
    with pytest.raises(Rejected, match="git refuses"):
        await world.part.branch({"name": "main/x", "sha": "main"})
    with pytest.raises(Rejected, match="git refuses"):
        await world.part.push({"branch": "feature", "files": {"app/x": "1"}, "message": "x"})


async def test_a_push_to_a_new_branch_begins_at_main(world: GithubWorld) -> None:
    sha = (await world.part.push({"branch": "fix/leak", "files": {"app/x": "1"}, "message": "Fix"}))["sha"]
    assert (await world.get(f"/compare/main...{sha}"))["ahead_by"] == 1
    assert (await refs(world))["refs/heads/fix/leak"] == sha


async def test_a_foreign_author_keeps_his_words_and_gets_no_login(world: GithubWorld) -> None:
    author = "Mallory <ceo@harbour.example>\nX-Evil: 1 @everyone"
    sha = (await world.part.push({"files": {"app/x": "1"}, "message": "x", "author": author}))["sha"]
    body = await world.get(f"/commits/{sha}")
    assert body["author"] is None
    assert body["commit"]["author"]["name"] == "Mallory ceo@harbour.exampleX-Evil: 1 @everyone"


async def test_a_branch_is_moved_by_force_made_and_removed(world: GithubWorld) -> None:
    old = await world.part.head("main~3")
    assert (await world.part.branch({"name": "main", "sha": old}))["sha"] == old
    assert await world.part.head("main") == old
    await world.part.branch({"name": "hotfix", "sha": old[:10]})
    assert (await refs(world))["refs/heads/hotfix"] == old
    await world.part.branch({"name": "hotfix", "sha": None})
    assert "refs/heads/hotfix" not in await refs(world)
    for wrong in ({"name": "hotfix", "sha": None}, {"name": "main", "sha": "0" * 40}, {"name": "main", "sha": "gone"}):
        with pytest.raises(Missing):
            await world.part.branch(wrong)
    with pytest.raises(Rejected, match="default branch"):
        await world.part.branch({"name": "main", "sha": None})


async def test_pull_requests_of_forks_are_numbered_and_kept(world: GithubWorld, tmp_path: Path) -> None:
    first = await world.part.fork_pull({"files": {"app/a": "1"}, "message": "One"})
    second = await world.part.fork_pull({"files": {"app/a": "2"}, "message": "Two", "author": "guest"})
    assert second["number"] == first["number"] + 1
    await world.part.close()
    async with opened(tmp_path / "github", tmp_path / "source") as again:
        pull = await again.get(f"/pulls/{second['number']}")
        assert (pull["title"], pull["user"]["login"], pull["state"]) == ("Two", "harbour-guest", "open")


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "app/../../x", ".git/config", "app/.git/hooks/x", ".GIT/config", ".gitmodules", "git~1/x",
     "", "a//b", "a/", "./a", "a\\b", 'a"\n', '"a"', "a\0b", "x" * 501],
)  # fmt: skip
async def test_a_path_that_leaves_the_tree_or_touches_gits_own_is_refused(world: GithubWorld, path: str) -> None:
    head = await world.part.head("main")
    with pytest.raises(Rejected):
        await world.part.push({"files": {path: "x"}, "message": "x"})
    with pytest.raises(Rejected):
        await world.part.fork_pull({"files": {path: "x"}, "message": "x"})
    assert await world.part.head("main") == head


async def test_the_workflows_folder_is_not_gits_own(world: GithubWorld) -> None:
    await world.part.push({"files": {".github/workflows/x.yml": "on: push\njobs: {}\n"}, "message": "x"})
    listed = await world.get("/contents/.github/workflows")
    assert "x.yml" in {entry["name"] for entry in listed}


@pytest.mark.parametrize(
    "body",
    [
        {"files": {"a": "1"}, "surprise": 1},
        {"files": {}},
        {"files": ["a"]},
        {"files": {"a": 5}},
        {"files": {"a": "1"}, "branch": "-x"},
        {"files": {"a": "1"}, "branch": "a..b"},
        {"files": {"a": "1"}, "branch": "refs/heads/x"},
        {"files": {"a": "1"}, "branch": "0" * 40},
        {"files": {"a": "1"}, "branch": ["main"]},
        {"files": {"a": "1"}, "message": 5},
        {"files": {"a": "1"}, "author": None},
        {"files": {"gone": None}},
        {},
    ],
)
async def test_a_push_that_makes_no_sense_is_refused_and_changes_nothing(
    world: GithubWorld, body: dict[str, Any]
) -> None:
    before = await refs(world)
    with pytest.raises(Rejected):
        await world.part.push(body)
    assert await refs(world) == before


async def test_checks_of_an_unknown_commit_or_with_an_unknown_conclusion_are_refused(world: GithubWorld) -> None:
    with pytest.raises(Missing):
        await world.part.checks({"sha": "0" * 40, "conclusion": "failure"})
    for wrong in ({"sha": "main", "conclusion": "red"}, {"conclusion": "failure"}, {"sha": "main", "x": 1}):
        with pytest.raises(Rejected):
            await world.part.checks(wrong)


async def test_a_head_is_found_by_name_and_counted_back(world: GithubWorld) -> None:
    main = await world.part.head("main")
    assert await world.part.head(main) == main
    assert await world.part.head("refs/heads/main") == main
    assert await world.part.head("main~0") == main
    assert await world.part.head("main~2") == (await world.get("/commits?sha=main"))[2]["sha"]
    for wrong in ("gone", "main~99", "main~", "main~x", "main^", "--all", ""):
        with pytest.raises(Missing):
            await world.part.head(wrong)


async def test_every_push_is_told_to_the_ledger(world: GithubWorld) -> None:
    sha = (await world.part.push({"files": {"app/x": "1"}, "message": "x"}))["sha"]
    told = [event.data for event in world.ledger._events if event.name == "github.push"]
    assert told == [{"ref": "refs/heads/main", "sha": sha, "what": "commit"}]


async def test_seeding_from_a_git_checkout_takes_what_git_would_track(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source")
    (source / ".gitignore").write_text("*.secret\n")
    (source / "app" / "key.secret").write_text("s")
    (source / "unrelated.txt").write_text("x")
    subprocess.run(["git", "init", "--quiet", str(source)], check=True)
    async with opened(tmp_path / "github", source) as world:
        paths = {e["path"] for e in (await world.get("/git/trees/main?recursive=1"))["tree"]}
        assert "app/__main__.py" in paths
        assert not paths & {"app/key.secret", "unrelated.txt", ".gitignore"}


async def test_a_folder_without_the_app_cannot_seed_a_world(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(SeedFailed, match="has no app/ folder"):
        async with opened(tmp_path / "github", tmp_path / "source"):
            pass

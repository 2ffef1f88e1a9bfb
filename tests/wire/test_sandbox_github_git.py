"""The sandbox's GitHub, git side: real PyGithub and plain requests against a real repository."""

import base64
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from github import GithubException, UnknownObjectException

from tests.wire.sandbox_github import GithubWorld, make_source, opened


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[GithubWorld]:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as opened_world:
        yield opened_world


def git(world: GithubWorld, *arguments: str) -> str:
    command = ["git", f"--git-dir={world.part.repository_path}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# ---- the seeded history ----------------------------------------------------------------------------------------------


async def test_the_history_begins_a_month_ago_and_ends_six_minutes_ago(world: GithubWorld) -> None:
    commits = await world.ask(lambda repo: list(repo.get_commits(sha="main")))
    assert len(commits) >= 8
    ages = [datetime.now(UTC) - commit.commit.committer.date for commit in commits]
    assert timedelta(minutes=5) < ages[0] < timedelta(minutes=8)
    assert timedelta(days=29) < ages[-1] < timedelta(days=31)
    assert {commit.author.login for commit in commits} == {"harbour-dev", "harbour-dev2", "harbour-sre"}


async def test_the_versions_that_environments_run_differ_in_the_app_and_one_commit_between_does_not(
    world: GithubWorld,
) -> None:
    trees = {ref: git(world, "rev-parse", f"{ref}:app") for ref in ("main", "main~1", "main~2", "main~3", "main~4")}
    assert len({trees["main"], trees["main~2"], trees["main~4"]}) == 3
    assert trees["main~1"] == trees["main~2"]
    assert git(world, "diff", "--name-only", "main~2", "main~1") == "README.md"


async def test_seeding_keeps_the_executable_bit_and_leaves_caches_out(world: GithubWorld) -> None:
    listed = git(world, "ls-tree", "-r", "main")
    assert "100755 blob" in next(line for line in listed.splitlines() if line.endswith("app/start"))
    assert "__pycache__" not in listed
    assert ".github/workflows/build-image.yml" in listed


async def test_a_second_start_finds_the_same_repository(world: GithubWorld, tmp_path: Path) -> None:
    before = await world.part.head("main")
    await world.part.close()
    async with opened(tmp_path / "github", tmp_path / "nowhere") as again:
        assert await again.part.head("main") == before
        assert await again.part.head("main~2") == git(again, "rev-parse", "main~2")


# ---- refs and branches -----------------------------------------------------------------------------------------------


async def test_a_ref_is_found_by_its_exact_name_only(world: GithubWorld) -> None:
    head = await world.part.head("main")
    found = await world.ask(lambda repo: repo.get_git_ref("heads/main"))
    assert (found.ref, found.object.sha, found.object.type) == ("refs/heads/main", head, "commit")
    for wrong in ("heads/mai", "heads/main/x", "heads/feature", "heads/main~1", "heads/--all", "heads/main%20"):
        status, body, _ = await world.send("GET", f"/git/ref/{wrong}")
        assert (status, body["message"]) == (404, "Not Found"), wrong


async def test_a_branch_head_is_not_taken_from_a_tag_of_the_same_name(world: GithubWorld) -> None:
    old, head = await world.part.head("main~3"), await world.part.head("main")
    await world.part.tag({"name": "main", "sha": old})
    assert (await world.get("/git/ref/heads/main"))["object"]["sha"] == head
    assert (await world.get("/git/ref/tags/main"))["object"]["sha"] == old
    assert (await world.get("/commits/main"))["sha"] == old, "a bare name means the tag, as in git"


async def test_matching_refs_are_those_that_begin_with_the_text(world: GithubWorld) -> None:
    assert [r["ref"] for r in await world.get("/git/matching-refs/heads/feat")] == ["refs/heads/feature/banner"]
    assert await world.get("/git/matching-refs/heads/nothing") == []
    refs = await world.ask(lambda repo: [ref.ref for ref in repo.get_git_matching_refs("heads/")])
    assert refs == ["refs/heads/feature/banner", "refs/heads/main"]


async def test_branches_are_listed_and_opened_one_by_one(world: GithubWorld) -> None:
    names = await world.ask(lambda repo: {branch.name: branch.commit.sha for branch in repo.get_branches()})
    assert names == {
        "main": await world.part.head("main"),
        "feature/banner": await world.part.head("feature/banner"),
    }
    branch = await world.ask(lambda repo: repo.get_branch("feature/banner"))
    assert branch.commit.commit.message == "Draft a banner for planned downtime"
    with pytest.raises(GithubException, match="Branch not found"):
        await world.ask(lambda repo: repo.get_branch("gone"))


# ---- commits, trees, files -------------------------------------------------------------------------------------------


async def test_commits_come_in_pages_and_by_path(world: GithubWorld) -> None:
    everything = git(world, "rev-list", "main").splitlines()
    status, body, headers = await world.send("GET", "/commits?sha=main&per_page=4&page=2")
    assert status == 200
    assert [c["sha"] for c in body] == everything[4:8]
    assert 'rel="prev"' in headers["Link"] and "page=3" in headers["Link"] and 'rel="last"' in headers["Link"]
    readme = git(world, "rev-list", "main", "--", "README.md").splitlines()
    assert [c["sha"] for c in await world.get("/commits?path=README.md")] == readme
    listed = await world.ask(lambda repo: [c.sha for c in repo.get_commits(path="README.md")])
    assert listed == readme


async def test_a_commit_names_its_login_its_files_and_its_parents(world: GithubWorld) -> None:
    commit = await world.ask(lambda repo: repo.get_commit("main"))
    assert commit.author.login == "harbour-dev2"
    assert [(f.filename, f.status, f.additions) for f in commit.files] == [("app/CHANGES.md", "modified", 1)]
    assert commit.stats.total == 1
    assert [p.sha for p in commit.parents] == [await world.part.head("main~1")]


async def test_a_commit_that_does_not_exist_is_a_422_and_a_git_object_a_404(world: GithubWorld) -> None:
    nothing = "0" * 40
    status, body, _ = await world.send("GET", f"/commits/{nothing}")
    assert (status, body["message"]) == (422, f"No commit found for SHA: {nothing}")
    for path in (f"/git/commits/{nothing}", f"/git/trees/{nothing}", f"/commits?sha={nothing}", "/git/trees/main~1"):
        assert (await world.send("GET", path))[0] == 404, path


async def test_short_ids_of_seven_digits_are_understood(world: GithubWorld) -> None:
    head = await world.part.head("main")
    assert (await world.get(f"/commits/{head[:7]}"))["sha"] == head
    assert (await world.send("GET", f"/commits/{head[:6]}"))[0] == 422


async def test_trees_are_gits_own_flat_or_recursive(world: GithubWorld) -> None:
    head = await world.part.head("main")
    tree = await world.ask(lambda repo: repo.get_git_tree(head))
    found = {entry.path: (entry.type, entry.sha) for entry in tree.tree}
    assert found["app"] == ("tree", git(world, "rev-parse", "main:app"))
    assert found["Dockerfile"] == ("blob", git(world, "rev-parse", "main:Dockerfile"))
    deep = await world.ask(lambda repo: repo.get_git_tree(head, recursive=True))
    assert {"app", "app/__main__.py", "locks/app.txt"} <= {entry.path for entry in deep.tree}
    inner = await world.get(f"/git/trees/{found['app'][1]}")
    assert "__main__.py" in {entry["path"] for entry in inner["tree"]}


async def test_files_and_folders_are_read_at_a_ref(world: GithubWorld) -> None:
    content = await world.ask(lambda repo: repo.get_contents("app/__main__.py", ref="main"))
    assert not isinstance(content, list)
    assert content.decoded_content == b"print('harbour')\n"
    body = await world.get("/contents/app?ref=main")
    assert {"app/CHANGES.md", "app/__main__.py"} <= {entry["path"] for entry in body}
    old = await world.get(f"/contents/app/CHANGES.md?ref={await world.part.head('main~8')}")
    assert base64.b64decode(old["content"]).count(b"\n- ") == 1
    with pytest.raises(UnknownObjectException):
        await world.ask(lambda repo: repo.get_contents("app/none.py"))


# ---- comparisons -----------------------------------------------------------------------------------------------------


async def test_a_comparison_knows_ahead_behind_identical_and_diverged(world: GithubWorld) -> None:
    old, new = await world.part.head("main~4"), await world.part.head("main")
    ahead = await world.ask(lambda repo: repo.compare(old, new))
    assert (ahead.status, ahead.ahead_by, ahead.behind_by) == ("ahead", 4, 0)
    assert [c.sha for c in ahead.commits] == git(world, "rev-list", "--reverse", f"{old}..{new}").splitlines()
    assert {f.filename for f in ahead.files} == {"app/CHANGES.md", "README.md"}
    behind = await world.ask(lambda repo: repo.compare(new, old))
    assert (behind.status, behind.ahead_by, behind.behind_by) == ("behind", 0, 4)
    same = await world.get(f"/compare/{new}...{new}")
    assert (same["status"], same["total_commits"], same["files"]) == ("identical", 0, [])
    apart = await world.ask(lambda repo: repo.compare("main", "feature/banner"))
    assert (apart.status, apart.ahead_by, apart.behind_by) == ("diverged", 1, 1)
    assert apart.merge_base_commit.sha == await world.part.head("main~1")


async def test_a_comparison_with_something_unknown_is_a_404(world: GithubWorld) -> None:
    for basehead in (f"main...{'1' * 40}", "main..main", "main...", "main...other...main"):
        assert (await world.send("GET", f"/compare/{basehead}"))[0] == 404, basehead


async def test_a_comparison_lists_250_commits_and_300_files_and_counts_the_rest(world: GithubWorld) -> None:
    base = await world.part.head("main")
    files = {f"app/many/{number}.txt": str(number) for number in range(350)}
    await world.part.push({"branch": "wide", "files": files, "message": "Many files"})
    stream = "".join(
        f"commit refs/heads/wide\ncommitter x <x@example.invalid> {1_750_000_000 + n} +0000\ndata 1\n{n % 10}\n"
        + ("from refs/heads/wide^0\n" if n == 0 else "")
        for n in range(260)
    )
    subprocess.run(
        ["git", f"--git-dir={world.part.repository_path}", "fast-import", "--quiet"], input=stream.encode(), check=True
    )
    body = await world.get(f"/compare/{base}...wide")
    assert (body["ahead_by"], body["total_commits"]) == (261, 261)
    assert (len(body["commits"]), len(body["files"])) == (250, 300)
    assert body["commits"][0]["commit"]["message"] == "Many files"
    second = await world.get(f"/compare/{base}...wide?per_page=100&page=3")
    assert (len(second["commits"]), second["files"]) == (61, [])
    assert second["commits"][-1]["sha"] == await world.part.head("wide")


# ---- pull requests ---------------------------------------------------------------------------------------------------


async def test_a_merged_commit_knows_its_pull_request(world: GithubWorld) -> None:
    pulls = await world.ask(lambda repo: list(repo.get_commit("main").get_pulls()))
    assert [(p.number, p.state, p.user.login) for p in pulls] == [(21, "closed", "harbour-dev2")]
    again = await world.ask(lambda repo: repo.get_pull(21).title)
    assert again == "Tell visitors when the tide table was last read"
    first = await world.part.head("main~8")
    assert await world.get(f"/commits/{first}/pulls") == []
    assert (await world.send("GET", "/pulls/999"))[0] == 404


async def test_a_forks_commit_is_known_but_on_no_branch(world: GithubWorld) -> None:
    pull = await world.part.fork_pull({"files": {"app/evil.py": "import os\n"}, "message": "Trust me", "title": "Typo"})
    sha = pull["sha"]
    assert (await world.get(f"/commits/{sha}"))["sha"] == sha
    assert (await world.get(f"/git/ref/pull/{pull['number']}/head"))["object"]["sha"] == sha
    assert git(world, "for-each-ref", "--contains", sha, "refs/heads") == ""
    assert (await world.get(f"/compare/main...{sha}"))["status"] == "ahead"
    found = (await world.get(f"/commits/{sha}/pulls"))[0]
    assert (found["number"], found["state"], found["title"]) == (pull["number"], "open", "Typo")
    assert (await world.get(f"/commits/{sha}"))["author"] is None, "no login owns a stranger's address"

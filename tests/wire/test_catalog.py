"""What a ref means: branches and what they hold, and nothing that only looks like one; against the sandbox's GitHub."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.errors import Refused, Unavailable
from bot.services import catalog as catalog_module
from bot.services.catalog import Catalog
from tests.wire.deploy_room import opened as opened_place
from tests.wire.sandbox_github import GithubWorld, make_source, opened


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GithubWorld]:
    home: Path = tmp_path_factory.mktemp("catalog")
    async with opened(home / "github", make_source(home / "source")) as opened_world:
        yield opened_world


@pytest.fixture
async def catalog(world: GithubWorld, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Catalog]:
    async with opened_place(monkeypatch, world=world) as place:
        yield place.catalog


async def push(world: GithubWorld, text: str, branch: str = "main") -> str:
    body = {"branch": branch, "files": {"app/CHANGES.md": text}, "message": f"Say {text}"}
    return str((await world.part.push(body))["sha"])


async def test_a_branch_means_its_head(world: GithubWorld, catalog: Catalog) -> None:
    target = await catalog.resolve("main", "prod")
    assert (target.commit.sha, target.branch, target.ahead) == (await world.part.head("main"), "main", 0)


@pytest.mark.parametrize("digits", [7, 12, 40])
async def test_a_commit_is_found_on_its_branch_with_what_came_after(
    world: GithubWorld, catalog: Catalog, digits: int
) -> None:
    sha = await push(world, f"before {digits}")
    await push(world, f"after {digits}")
    target = await catalog.resolve(sha[:digits], "prod")
    assert (target.commit.sha, target.branch, target.ahead) == (sha, "main", 1)


async def test_a_tag_of_the_same_name_is_never_meant(world: GithubWorld, catalog: Catalog) -> None:
    other = await push(world, "elsewhere", "feature/other")
    await world.part.tag({"name": "main", "sha": other})
    assert (await catalog.resolve("main", "prod")).commit.sha == await world.part.head("refs/heads/main")
    await world.part.tag({"name": "main", "sha": None})


async def test_a_tag_alone_is_no_branch(world: GithubWorld, catalog: Catalog) -> None:
    await world.part.tag({"name": "release/1.0", "sha": await world.part.head("main")})
    with pytest.raises(Refused, match="no branch"):
        await catalog.resolve("release/1.0", "prod")


async def test_a_tag_that_looks_like_a_commit_is_no_commit(world: GithubWorld, catalog: Catalog) -> None:
    await world.part.tag({"name": "deadbee", "sha": await world.part.head("main")})
    with pytest.raises(Refused, match="no commit"):
        await catalog.resolve("deadbee", "prod")


@pytest.mark.parametrize("environment", ["dev", "prod"])
async def test_a_commit_of_a_forks_pull_request_goes_nowhere(
    world: GithubWorld, catalog: Catalog, environment: str
) -> None:
    pull = await world.part.fork_pull({"files": {"app/evil.py": "print()\n"}, "message": "Mine bitcoin"})
    with pytest.raises(Refused, match="on no branch that may be deployed"):
        await catalog.resolve(str(pull["sha"]), environment)


async def test_a_branch_that_the_environment_does_not_take_is_refused_by_name_and_by_commit(
    world: GithubWorld, catalog: Catalog
) -> None:
    sha = await push(world, "half done", "feature/half")
    assert (await catalog.resolve("feature/half", "dev")).commit.sha == sha
    with pytest.raises(Refused, match="may not go to prod"):
        await catalog.resolve("feature/half", "prod")
    with pytest.raises(Refused, match="on no branch that may be deployed"):
        await catalog.resolve(sha, "prod")


async def test_a_pattern_takes_the_branches_that_fit_it(world: GithubWorld, catalog: Catalog) -> None:
    sha = await push(world, "two", "release/2.0")
    assert (await catalog.resolve("release/2.0", "prod")).commit.sha == sha
    assert (await catalog.resolve(sha, "prod")).branch == "release/2.0"


async def test_a_commit_that_left_its_branch_is_refused(world: GithubWorld, catalog: Catalog) -> None:
    base = await world.part.head("main")
    sha = await push(world, "too early")
    assert (await catalog.resolve(sha, "prod")).commit.sha == sha
    await world.part.branch({"name": "main", "sha": base})
    with pytest.raises(Refused, match="on no branch that may be deployed"):
        await catalog.resolve(sha, "prod")


async def test_main_is_found_behind_any_number_of_other_branches(world: GithubWorld, catalog: Catalog) -> None:
    sha = await world.part.head("main")
    names = [f"dependabot/pip/{number}" for number in range(110)]
    for name in names:
        await world.part.branch({"name": name, "sha": sha})
    try:
        assert (await catalog.resolve(sha, "prod")).branch == "main"
    finally:
        for name in names:
            await world.part.branch({"name": name, "sha": None})


@pytest.mark.parametrize("ref", ["", "-x", "../../etc", "a..b", "x@{1}", "refs//x", "a b", "x.", "main\n"])
async def test_what_is_no_ref_is_refused_without_asking_github(world: GithubWorld, catalog: Catalog, ref: str) -> None:
    before = len(world.ledger.requests("github", 0))
    with pytest.raises(Refused, match="neither a branch name nor a commit id"):
        await catalog.resolve(ref, "dev")
    assert len(world.ledger.requests("github", 0)) == before


async def test_unknown_names_are_answered_with_those_that_there_are(catalog: Catalog) -> None:
    with pytest.raises(Refused, match="no environment “stage”") as environment:
        await catalog.resolve("main", "stage")
    assert environment.value.hint == "Environments: dev, prod."
    with pytest.raises(Refused, match="no service “ap”") as service:
        catalog.deployable("ap")
    assert service.value.hint == "Services: app."


async def test_a_github_that_is_away_is_no_verdict_on_a_ref(world: GithubWorld, catalog: Catalog) -> None:
    world.faults.add(part="github", kind="status", status=503)
    try:
        with pytest.raises(Unavailable):
            await catalog.resolve("main", "prod")
    finally:
        world.faults.clear()


async def test_suggestions_are_what_the_environment_takes_newest_first(world: GithubWorld, catalog: Catalog) -> None:
    sha = await push(world, "the newest")
    await push(world, "a feature", "feature/suggested")
    here, there = await catalog.choices("", "prod"), await catalog.choices("", "dev")
    assert here[0].value == "main"
    assert sha in [choice.value for choice in here]
    assert "feature/suggested" not in [choice.value for choice in here]
    assert "feature/suggested" in [choice.value for choice in there]
    assert [choice.commit.title for choice in await catalog.choices("THE NEWEST", "prod")] == ["Say the newest"] * 2


async def test_an_asker_who_no_longer_waits_leaves_the_list_to_the_next(world: GithubWorld, catalog: Catalog) -> None:
    world.faults.add(part="github", kind="latency", seconds=0.3, match="/branches")
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await catalog.choices("", "prod")
        assert (await catalog.choices("", "prod"))[0].value == "main"
    finally:
        world.faults.clear()
    listed = [r for r in world.ledger.requests("github", 0) if r["path"].endswith("/branches")]
    before = len(listed)
    await asyncio.gather(*(catalog.choices(text, "prod") for text in "main"))
    assert len([r for r in world.ledger.requests("github", 0) if r["path"].endswith("/branches")]) == before


async def test_a_list_of_the_last_minutes_serves_while_github_is_away(
    world: GithubWorld, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await catalog.choices("", "prod")
    monkeypatch.setattr(catalog_module, "CHOICES_FRESH_S", -1)
    world.faults.add(part="github", kind="refuse")
    try:
        assert await catalog.choices("", "prod") == known
    finally:
        world.faults.clear()

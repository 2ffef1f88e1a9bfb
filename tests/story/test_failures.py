"""What goes wrong is said with its reason and the end of its log, and the old version goes on serving."""

import pytest

from tests.story.steps import BROKEN_START, asked, card_of, ended, green, live_commit, mark, new_commit, operation_in
from tests.story.world_driver import ROOT, World

GOOD_START = (ROOT / "app" / "__main__.py").read_text(encoding="utf-8")


async def test_a_build_that_fails_changes_nothing_and_shows_where_it_failed(world: World):
    before = await live_commit(world, "dev")
    await green(world, await new_commit(world))
    await world.github("outcome", workflow="build-image.yml", step="Build image", conclusion="failure", times=1)
    card = await ended(world, await asked(world, "dev", "dev"))
    assert "failed" in card.text
    assert "Build image" in card.text
    log = await world.settle(await world.press("dev", card, "Log"))
    assert log.ephemeral
    assert len(log.text) > 50
    assert await live_commit(world, "dev") == before


async def test_a_host_command_that_fails_changes_nothing(world: World):
    before = await live_commit(world, "dev")
    await green(world, await new_commit(world))
    await world.host_outcome(document="quarterdeck-deploy", exit_code=1, seconds=1, times=1)
    card = await ended(world, await asked(world, "dev", "dev"))
    assert "failed" in card.text
    assert before[:7] in card.text
    assert await live_commit(world, "dev") == before


async def test_a_version_that_never_gets_healthy_is_thrown_away(world: World):
    before = await live_commit(world, "dev")
    await green(world, await new_commit(world, files={"app/__main__.py": BROKEN_START}, title="Break the start"))
    try:
        card = await ended(world, await asked(world, "dev", "dev"), timeout_s=90)
    finally:
        await world.push({"app/__main__.py": GOOD_START}, "Mend the start")
    for expected in ("failed", "NOT LIVE", "STRIPE_KEY", before[:7]):
        assert expected in card.text
    assert await live_commit(world, "dev") == before


async def test_a_rollback_brings_the_last_verified_version_back_without_a_build(world: World):
    first = await green(world, await new_commit(world))
    await ended(world, await asked(world, "dev", "dev"))
    bad = await green(world, await new_commit(world))
    await ended(world, await asked(world, "dev", "dev"))
    start = await mark(world, "github")
    reply = await world.ask("dev", "rollback", service="app", environment="dev")
    card = await ended(world, operation_in(reply))
    assert "succeeded" in card.text
    assert await live_commit(world, "dev") == first
    dispatched = [r for r in await world.requests("github", after=start) if r["path"].endswith("/dispatches")]
    assert dispatched == []
    again = await world.ask("dev", "rollback", service="app", environment="dev")
    assert "succeeded" in (await ended(world, operation_in(again))).text
    assert await live_commit(world, "dev") not in (first, bad)


async def test_an_sre_alone_rolls_prod_back_to_a_version_verified_there_lately(world: World):
    for _ in range(2):
        await green(world, await new_commit(world))
        operation = await asked(world, "dev", "prod")
        await world.settle(await world.press("sre", await card_of(world, operation, "waiting"), "Approve"))
        assert "succeeded" in (await ended(world, operation)).text
    reply = await world.ask("sre", "rollback", service="app")
    operation = operation_in(reply)
    assert "succeeded" in (await ended(world, operation)).text


async def test_a_rollback_works_while_github_is_down(world: World):
    for _ in range(2):
        await green(world, await new_commit(world))
        await ended(world, await asked(world, "dev", "dev"))
    await world.fault("github", "refuse", for_s=60)
    reply = await world.ask("dev", "rollback", service="app", environment="dev")
    card = await ended(world, operation_in(reply), timeout_s=120)
    assert "succeeded" in card.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"service": "ap", "environment": "dev"}, "no service"),
        ({"service": "app", "environment": "stage"}, "no environment"),
        ({"service": "app", "environment": "dev", "ref": "nowhere"}, "no branch"),
        ({"service": "app", "environment": "dev", "ref": "deadbeef" * 5}, "no commit"),
        ({"service": "app", "environment": "prod", "ref": "feature/banner"}, "may not go to prod"),
        ({"service": "app", "environment": "dev", "ref": "../../etc"}, "neither a branch name nor a commit"),
    ],
)
async def test_bad_input_gets_one_sentence_and_changes_nothing(world: World, options, words):
    before = [m.id for m in await world.messages()]
    reply = await world.ask("dev", "deploy", **options)
    assert reply.ephemeral
    assert words in reply.text
    assert [m.id for m in await world.messages()] == before


async def test_a_commit_that_left_its_branch_after_approval_is_stale(world: World):
    base = await world.github("branch", name="main", sha=await green(world, await new_commit(world)))
    assert base is not None
    old = await live_commit(world, "prod")
    keep = await new_commit(world)
    await green(world, keep)
    operation = await asked(world, "dev", "prod")
    card = await card_of(world, operation, "waiting")
    parent = await new_commit(world, files={"README.md": "# elsewhere\n"})
    assert parent
    await world.github("branch", name="main", sha=old)
    await world.settle(await world.press("sre", card, "Approve"))
    done = await ended(world, operation)
    assert "stale" in done.text
    assert await live_commit(world, "prod") == old
    await world.github("branch", name="main", sha=parent)

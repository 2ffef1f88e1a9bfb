"""From a slash command to a verified, running service."""

from tests.story.steps import asked, card_of, cards_of, ended, green, labels_for, live_commit, mark, new_commit
from tests.story.world_driver import World


async def test_a_deploy_to_dev_ends_with_the_service_of_that_commit_answering(world: World):
    sha = await green(world, await new_commit(world))
    operation = await asked(world, "dev", "dev")
    card = await ended(world, operation)
    url = await world.service_url("dev")
    for expected in ("succeeded", "app", "dev", sha[:7], "live, checked", url):
        assert expected in card.text
    assert any(unit in card.text for unit in (" s", ":"))
    health = await world.health("dev")
    assert health["commit"] == sha
    assert health["built_from"] == sha
    assert len(await cards_of(world, operation)) == 1


async def test_equal_content_is_not_built_again_and_the_card_and_the_service_say_so(world: World):
    first = await green(world, await new_commit(world))
    await ended(world, await asked(world, "dev", "dev"))
    second = await green(world, await new_commit(world, files={"README.md": f"# A word more {first}\n"}))
    before = len([r for r in await world.requests("github") if r["path"].endswith("/dispatches")])
    card = await ended(world, await asked(world, "dev", "dev"))
    after = len([r for r in await world.requests("github") if r["path"].endswith("/dispatches")])
    assert "succeeded" in card.text
    assert "reused image" in card.text
    assert after == before
    health = await world.health("dev")
    assert (health["commit"], health["built_from"]) == (second, first)


async def test_deploying_what_runs_already_says_so_and_asks_first(world: World):
    await green(world, await new_commit(world))
    await ended(world, await asked(world, "dev", "dev"))
    reply = await world.ask("dev", "deploy", service="app", environment="dev", ref="main")
    assert reply.ephemeral
    assert "already runs" in reply.text
    assert "Deploy again" in await labels_for(world, "dev", reply)


async def test_the_preview_names_what_would_go_out_and_who_must_agree(world: World):
    sha = await green(world, await new_commit(world, title="Explain the tides (#31)"))
    operation = await asked(world, "dev", "prod")
    card = await card_of(world, operation, "waiting")
    for expected in ("prod", sha[:7], "Explain the tides", "replaces", "sre", "CI"):
        assert expected in card.text
    await world.ask("dev", "ops cancel", operation=operation.lstrip("#"))
    await ended(world, operation)


async def test_the_picker_suggests_services_environments_and_refs(world: World):
    assert {c["value"] for c in await world.suggest("dev", "deploy", "service", "")} >= {"app", "bot"}
    assert {c["value"] for c in await world.suggest("dev", "deploy", "environment", "", service="app")} == {
        "dev",
        "prod",
    }
    refs = await world.suggest("dev", "deploy", "ref", "ma", service="app", environment="dev")
    assert refs[0]["value"] == "main"
    assert all(len(choice["name"]) <= 100 for choice in refs)


async def test_a_service_that_is_only_listed_is_refused_with_its_sentence(world: World):
    reply = await world.ask("dev", "deploy", service="bot", environment="dev", ref="main")
    assert reply.ephemeral
    assert "does not deploy itself yet" in reply.text


async def test_github_keeps_the_record_of_the_deployment(world: World):
    await green(world, await new_commit(world))
    start = await mark(world, "github")
    await ended(world, await asked(world, "dev", "dev"))
    paths = [(r["method"], r["path"]) for r in await world.requests("github", after=start)]
    assert sum(method == "POST" and path.endswith("/deployments") for method, path in paths) == 1
    assert sum(method == "POST" and path.endswith("/statuses") for method, path in paths) == 2


async def test_prod_takes_what_runs_in_dev_when_no_ref_is_named(world: World):
    await green(world, await new_commit(world))
    await ended(world, await asked(world, "dev", "dev"))
    in_dev = await live_commit(world, "dev")
    await new_commit(world)
    reply = await world.ask("dev", "deploy", service="app", environment="prod")
    assert in_dev[:7] in reply.text

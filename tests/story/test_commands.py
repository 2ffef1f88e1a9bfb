"""The commands that look: at the past, at the difference, at rights; and what their pickers suggest."""

from tests.story.steps import asked, card_of, ended, green, live_commit, new_commit, operation_in
from tests.story.world_driver import World


async def test_history_and_diff_say_what_ran_and_what_lies_between_two_environments(world: World):
    sha = await green(world, await new_commit(world, title="Count the tides (#77)"))
    operation = await asked(world, "dev", "dev")
    await ended(world, operation)
    await history_by_page(world, operation)
    await difference_both_ways(world, f"> {sha[:7]} Count the tides (#77) · harbour-dev")
    await world.fault("github", "refuse", match="/compare/")
    reply = await world.ask("dev", "diff", service="app")
    assert "The commits cannot be named" in reply.text
    assert sha[:7] in reply.text


async def history_by_page(world: World, operation: str) -> None:
    reply = await world.ask("dev2", "history", service="app")
    assert f"{operation} **succeeded** · deploy app > dev" in reply.text
    assert "by dev" in reply.text
    only = await world.ask("dev2", "history", service="app", environment="prod")
    assert "app > dev" not in only.text
    older = await world.settle(await world.press("dev2", reply.message, "Older"))
    assert older.text != reply.text
    assert operation + " " not in older.text
    unknown = await world.ask("dev2", "history", service="apple")
    assert "no service" in unknown.text


async def difference_both_ways(world: World, line: str) -> None:
    prod = await live_commit(world, "prod")
    there = await world.ask("dev", "diff", service="app")
    for expected in ("prod against dev", prod[:7], "in dev, not in prod", line, "nothing in prod, not in dev"):
        assert expected in there.text, there.text
    back = await world.ask("dev", "diff", service="app", environment="dev")
    assert "dev against prod" in back.text
    assert "in dev, not in prod" in back.text
    same = await world.ask("dev", "diff", service="app", environment="dev", against="dev")
    assert "does not differ from itself" in same.text


async def test_whocan_names_those_who_may_and_those_who_only_lack_the_role(world: World):
    reply = await world.ask("dev", "whocan", action="deploy:run", environment="prod")
    assert "may ask: dev, dev2, owner, sre, sre2" in reply.text
    assert "may approve (1 must): owner, sre, sre2" in reply.text
    await world.roles("sre2")
    later = await world.ask("dev", "whocan", action="deploy:run", environment="prod")
    assert "may approve (1 must): owner, sre\n" in later.text
    assert "could, but lacks the Discord role now: sre2" in later.text
    nobody = await world.ask("dev", "whocan", action="reload:run", environment="dev")
    assert "nobody may do that" in nobody.text


async def test_whoami_names_a_role_without_the_duty_and_a_duty_without_the_role(world: World):
    await world.roles("dev", "sre")
    reply = await world.ask("dev", "whoami")
    assert "roles that count: none" in reply.text
    assert "without effect: sre" in reply.text
    assert "not in force: dev" in reply.text
    refused = await world.ask("dev", "deploy", service="app", environment="dev")
    assert "Refused" in refused.text


async def test_help_says_where_one_may_act_alone_and_where_only_with_an_approval(world: World):
    dev, guest = await world.ask("dev", "help"), await world.ask("guest", "help")
    assert "/deploy: Bring a version of a service to an environment · you: dev; prod if approved" in dev.text
    assert "free its locks · you: your own, and others' in dev" in dev.text
    assert "/whoami: Who the bot thinks you are, and what you may do · you: yes" in guest.text
    assert "/deploy: Bring a version of a service to an environment · you: no" in guest.text


async def test_suggestions_fit_the_command(world: World):
    people = await world.suggest("sre", "audit", "actor", "sr")
    assert [choice["value"] for choice in people] == ["sre", "sre2"]
    ages = await world.suggest("sre", "audit", "since", "")
    assert {"24h", "7d"} <= {choice["value"] for choice in ages}
    places = await world.suggest("sre", "whocan", "environment", "")
    assert [choice["value"] for choice in places] == ["dev", "prod", "control"]
    reasons = await world.suggest("sre", "ops close", "reason", "The disk was full.", operation="1")
    assert reasons[0]["value"] == "The disk was full."
    assert await world.suggest("guest", "audit", "actor", "") == []


async def test_a_newer_request_offers_to_withdraw_the_one_that_it_contains(world: World):
    await green(world, await new_commit(world))
    older = await asked(world, "dev", "prod")
    await card_of(world, older, "waiting")
    await green(world, await new_commit(world))
    reply = await world.ask("dev", "deploy", service="app", environment="prod", ref="main")
    newer = operation_in(reply)
    assert f"It contains {older}" in reply.text
    await world.settle(await world.press("dev", reply.message, f"Cancel {older}"))
    assert "cancelled" in (await ended(world, older)).text
    again = await world.settle(await world.press("dev", reply.message, f"Cancel {older}"))
    assert "has moved on" in again.text
    await world.ask("dev", "ops cancel", operation=newer)

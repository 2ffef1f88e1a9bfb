"""Prod waits for one of the sre role, and for nobody else."""

import asyncio

from tests.story.steps import asked, card_of, ended, green, live_commit, mark, new_commit
from tests.story.world_driver import World


async def test_only_an_sre_can_let_it_run_and_everybody_else_hears_why_not(world: World):
    sha = await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod")
    card = await card_of(world, operation, "waiting")
    before = await live_commit(world, "prod")
    for member in ("dev", "guest", "dev2"):
        reply = await world.settle(await world.press(member, card, "Approve"))
        assert reply.ephemeral
        assert "sre" in reply.text
    assert await live_commit(world, "prod") == before
    await world.settle(await world.press("sre", card, "Approve"))
    done = await ended(world, operation)
    assert "succeeded" in done.text
    assert "approved sre" in done.text
    assert await live_commit(world, "prod") == sha


async def test_an_sre_cannot_approve_an_own_request_but_a_second_one_can(world: World):
    await green(world, await new_commit(world))
    operation = await asked(world, "sre", "prod")
    card = await card_of(world, operation, "waiting")
    refused = await world.settle(await world.press("sre", card, "Approve"))
    assert refused.ephemeral
    assert "another person" in refused.text
    await world.settle(await world.press("sre2", card, "Approve"))
    assert "succeeded" in (await ended(world, operation)).text


async def test_a_denial_with_its_reason_ends_the_request(world: World):
    await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod")
    card = await card_of(world, operation, "waiting")
    before = await live_commit(world, "prod")
    opened = await world.settle(await world.press("sre", card, "Deny…"))
    field = opened.modal["fields"][0]["label"]
    await world.settle(await world.submit("sre", opened.id, {field: "The tide is too high."}))
    done = await ended(world, operation)
    assert "denied" in done.text
    assert "The tide is too high." in done.text
    assert await live_commit(world, "prod") == before


async def test_presses_at_the_same_moment_start_it_once_and_all_get_an_answer(world: World):
    await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod")
    card = await card_of(world, operation, "waiting")
    start = await mark(world, "aws")
    presses = await asyncio.gather(*(world.press(who, card, "Approve") for who in ("sre", "sre2") * 5))
    replies = await asyncio.gather(*(world.settle(press) for press in presses))
    assert all(reply.state == "answered" for reply in replies)
    assert "succeeded" in (await ended(world, operation)).text
    sent = [r for r in await world.requests("aws", after=start, action="ssm:SendCommand") if r["caller"] == "bot"]
    status_checks = 1  # the verification reads the host once
    assert len(sent) == 1 + status_checks


async def test_the_approvers_are_pinged_once_and_nobody_by_an_edit(world: World):
    await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod")
    card = await card_of(world, operation, "waiting")
    state = await world.state()
    assert state["ready"]
    assert len(card.raw["pings"]["roles"]) == 1
    assert card.raw["pings"]["everyone"] is False
    await world.settle(await world.press("sre", card, "Approve"))
    done = await ended(world, operation)
    assert done.raw["edits"] >= 1
    assert done.id == card.id


async def test_red_checks_are_refused_for_prod_before_anybody_is_asked(world: World):
    sha = await new_commit(world)
    await world.github("checks", sha=sha, conclusion="failure")
    reply = await world.ask("dev", "deploy", service="app", environment="prod", ref="main")
    assert reply.ephemeral
    assert "red" in reply.text


TWO_OF_PROD = [
    {"action": "deploy:run", "environment": "dev", "requesters": ["dev", "sre"]},
    {"action": "deploy:run", "environment": "prod", "requesters": ["dev"], "approvers": ["sre"], "quorum": 2},
    {"action": "operation:view", "requesters": ["*"]},
    {"action": "status:view", "requesters": ["*"]},
]


async def test_a_rule_that_wants_two_starts_with_the_second_and_counts_no_vote_that_was_taken_back(world: World):
    await world.reconfigure(patch={"policy": TWO_OF_PROD})
    sha = await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod", sha)
    number = operation.lstrip("#")
    card = await card_of(world, operation, "waiting")
    start = await mark(world, "github")
    for _ in range(2):  # the second time is the same person: not a second vote
        await world.settle(await world.press("sre", card, "Approve"))
    card = await card_of(world, operation, "waiting", "approved sre")
    taken_back = await world.ask("sre", "ops withdraw", operation=number)
    assert operation in taken_back.text
    await world.settle(await world.press("sre2", card, "Approve"))
    card = await card_of(world, operation, "waiting", "approved sre2")
    assert not [r for r in await world.requests("github", after=start) if r["path"].endswith("/dispatches")]
    await world.settle(await world.press("owner", card, "Approve"))
    done = await ended(world, operation)
    assert "succeeded" in done.text
    assert "approved sre2, owner" in done.text
    assert await live_commit(world, "prod") == sha


async def test_an_approval_taken_back_before_the_start_stops_it(world: World):
    sha = await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod", sha)
    card = await card_of(world, operation, "waiting")
    start = await mark(world, "github")
    await world.fault("github", "refuse", match=f"GET .*/commits/{sha}/check-runs")
    await world.settle(await world.press("sre", card, "Approve"))
    await card_of(world, operation, "a check before the start")
    refused = await world.ask("sre2", "ops withdraw", operation=operation.lstrip("#"))
    assert "nothing to take back" in refused.text
    await world.ask("sre", "ops withdraw", operation=operation.lstrip("#"))
    done = await ended(world, operation)
    assert "stale" in done.text
    assert "sre withdrew the approval before it started" in done.text
    assert not [r for r in await world.requests("github", after=start) if r["method"] == "POST"]

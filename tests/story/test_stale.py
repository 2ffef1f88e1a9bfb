"""Between approval and start: whatever has changed meanwhile makes the approval stale, and nothing is sent anywhere.

A first deploy is held before its start by a fault on its own commit's checks; the others queue up behind it, approved.
Then the world changes, the first one is cancelled, and each of the others is looked at once more in its turn.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.story.steps import CHANGES, asked, card_of, ended, green, live_commit, mark, new_commit
from tests.story.world_driver import Message, World

RULES = [
    {"action": "deploy:run", "environment": "dev", "requesters": ["dev", "sre"]},
    {"action": "deploy:run", "environment": "prod", "requesters": ["dev"], "approvers": ["owner"], "quorum": 1},
    {"action": "operation:view", "requesters": ["*"]},
    {"action": "status:view", "requesters": ["*"]},
]
"""A policy in which the owner, instead of an sre, approves deploys to prod."""
CHECKS = "GET .*/commits/{sha}/check-runs"


@pytest.fixture
async def guild(world: World) -> AsyncIterator[World]:
    """The shared world, in which members may leave the server: they are back afterwards."""
    yield world
    await world.send("PUT", "/discord/guild", {"reset": True})


async def version(world: World) -> str:
    return await green(world, await new_commit(world))


async def approved(world: World, operation: str, by: str = "sre") -> Message:
    """Approve it once its card stands."""
    card = await card_of(world, operation, "waiting")
    reply = await world.settle(await world.press(by, card, "Approve"))
    assert "You approved" in reply.text, reply.text
    return card


async def held(world: World, requester: str = "dev") -> str:
    """A deploy to prod that is approved and cannot be checked, so that all later ones stand behind it."""
    sha = await version(world)
    operation = await asked(world, requester, "prod", sha)
    await world.fault("github", "refuse", match=CHECKS.format(sha=sha))
    await approved(world, operation)
    await card_of(world, operation, "a check before the start")
    return operation


async def behind(world: World, requester: str, sha: str, *, by: str = "sre") -> str:
    """A deploy to prod that is approved and queued."""
    operation = await asked(world, requester, "prod", sha)
    await approved(world, operation, by)
    await card_of(world, operation, "queued", "behind")
    return operation


async def let_go(world: World, operation: str, requester: str = "dev") -> None:
    """Cancel the first one: the next is checked at once."""
    await world.ask(requester, "ops cancel", operation=operation.lstrip("#"))


async def marks(world: World) -> dict[str, int]:
    return {part: await mark(world, part) for part in ("github", "aws")}


async def sent(world: World, since: dict[str, int]) -> Sequence[dict[str, Any]]:
    """What the bot has sent out since then that changes something."""
    github = await world.requests("github", after=since["github"])
    aws = await world.requests("aws", after=since["aws"], action="ssm:SendCommand")
    builds = [r for r in github if r["method"] == "POST" and r["caller"] == "bot"]
    return [*builds, *(r for r in aws if r["caller"] == "bot")]


async def test_what_an_approval_was_about_is_looked_at_again_before_the_start(world: World):
    """The checks turn red, the commit leaves the branch, another version is replaced; main moving on is no matter."""
    kept, red, replaced = [await version(world) for _ in range(3)]
    rewritten = await version(world)
    first = await held(world)
    pinned = await behind(world, "dev", kept)
    turned = await behind(world, "dev", red)
    left = await behind(world, "dev", rewritten)
    follows = await behind(world, "dev2", replaced)
    since = await marks(world)

    await world.github("checks", sha=red, conclusion="failure")
    await world.github("branch", name="main", sha=replaced)
    await let_go(world, first)

    done = await ended(world, pinned)
    assert "succeeded" in done.text
    assert await live_commit(world, "prod") == kept
    assert f"main was 2 ahead ({replaced[:7]})" in done.text
    dispatched = await sent(world, since)
    stale = {name: (await ended(world, name)).text for name in (turned, left, follows)}
    assert f"The checks of {red[:7]} are red" in stale[turned]
    assert f"The commit {rewritten[:7]} is on no branch that may be deployed here" in stale[left]
    assert f"prod now runs {kept[:7]}, not " in stale[follows]
    assert all("stale" in text for text in stale.values())
    assert await sent(world, since) == dispatched
    assert await live_commit(world, "prod") == kept


async def test_whoever_asked_or_approved_must_still_hold_the_role_and_be_there(guild: World):
    shas = [await version(guild) for _ in range(4)]
    first = await held(guild)
    asked_by_dev2 = await behind(guild, "dev2", shas[0])
    by_sre2 = await behind(guild, "dev", shas[1], by="sre2")
    by_owner = await behind(guild, "dev", shas[2], by="owner")
    by_sre = await behind(guild, "sre2", shas[3], by="sre")
    since = await marks(guild)

    await guild.roles("dev2")
    await guild.roles("sre2", "dev")
    await guild.send("PUT", "/discord/guild", {"left": ["owner"]})
    await let_go(guild, first)

    stale = {name: (await ended(guild, name)).text for name in (asked_by_dev2, by_sre2, by_owner, by_sre)}
    assert "dev2 asked for it and no longer holds the role dev or sre" in stale[asked_by_dev2]
    assert "sre2 approved it and no longer holds the role sre" in stale[by_sre2]
    assert "owner approved it and has left the server since" in stale[by_owner]
    assert "sre2 asked for it and no longer holds the role dev or sre" in stale[by_sre]
    assert all("stale" in text for text in stale.values())
    assert await sent(guild, since) == []


async def test_a_changed_catalog_entry_and_a_changed_rule_make_it_stale(world: World):
    listed = await held(world)
    since = await marks(world)
    await world.reconfigure(patch={"environments": {"prod": {"refs": ["main", "release/*"]}}})
    assert "The catalog entry of app in prod has changed since it was shown" in (await ended(world, listed)).text

    ruled = await held(world)
    await world.reconfigure(patch={"policy": RULES})
    assert "The policy that applies to it was changed after it was asked for" in (await ended(world, ruled)).text
    assert await sent(world, since) == []


async def test_while_discord_cannot_say_who_holds_which_role_a_deploy_waits_in_sight(world: World):
    sha = await version(world)
    operation = await asked(world, "dev", "prod", sha)
    card = await card_of(world, operation, "waiting")
    since = await marks(world)
    await world.fault("discord", "refuse", match="GET .*/members/")
    await world.settle(await world.press("sre", card, "Approve"))
    await card_of(world, operation, "a check before the start", "Discord")
    assert await sent(world, since) == []
    await world.clear_faults()
    assert "succeeded" in (await ended(world, operation)).text
    assert await live_commit(world, "prod") == sha


async def test_a_commit_of_a_fork_a_tag_and_a_forged_name_lead_nowhere(world: World):
    """Neither the sha of a fork's pull request nor a tag with a branch's name is ever meant; names are GitHub's."""
    foreign = await world.github("fork-pull", files={CHANGES: "# Mine\n"}, message="Approved by sre", author="sre")
    refused = await world.ask("dev", "deploy", service="app", environment="dev", ref=str(foreign["sha"]))
    assert refused.ephemeral
    assert "on no branch that may be deployed" in refused.text
    await world.github("tag", name="release-day", sha=str(foreign["sha"]))
    refused = await world.ask("dev", "deploy", service="app", environment="dev", ref="release-day")
    assert "no branch" in refused.text

    forged = await green(
        world, await world.push({CHANGES: "# Trust me\n"}, "Looks good", author="harbour-admiral, sre")
    )
    await world.github("branch", name="spring-tide", sha=forged)
    await world.github("tag", name="spring-tide", sha=str(foreign["sha"]))
    operation = await asked(world, "dev", "dev", "spring-tide")
    assert "succeeded" in (await ended(world, operation)).text
    assert await live_commit(world, "dev") == forged

    operation = await asked(world, "dev", "prod", forged)
    card = await card_of(world, operation, "waiting", "Looks good")
    shown = await world.ask("dev", "ops show", operation=operation.lstrip("#"))
    assert "Looks good" in shown.text
    assert "admiral" not in card.text + shown.text
    await world.ask("dev", "ops cancel", operation=operation.lstrip("#"))

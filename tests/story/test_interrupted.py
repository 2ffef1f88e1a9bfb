"""What cannot be known is not guessed: the operation waits for a human, keeps its lock, and lets go when told to."""

from tests.story.steps import asked, card_of, ended, green, live_commit, mark, new_commit
from tests.story.world_driver import World


async def test_a_dispatch_of_which_there_is_no_trace_waits_for_a_human_and_is_closed_by_one(world: World):
    before = await live_commit(world, "dev")
    await green(world, await new_commit(world))
    start = await mark(world, "github")
    await world.fault("github", "status", match="POST .*/dispatches", status=502, times=1)
    first = await asked(world, "dev", "dev")
    card = await card_of(world, first, "interrupted", timeout_s=90)
    assert "not known" in card.text
    assert "dev/app" in card.text
    assert await live_commit(world, "dev") == before

    sha = await green(world, await new_commit(world))
    second = await asked(world, "dev2", "dev")
    assert "queued" in (await card_of(world, second, "behind", first)).text

    refused = await world.settle(await world.press("guest", card, "Close, free lock…"))
    if refused.state == "modal":
        field = refused.modal["fields"][0]["label"]
        refused = await world.settle(await world.submit("guest", refused.id, {field: "Let me."}))
    assert refused.ephemeral
    assert "interrupted" in (await card_of(world, first, "interrupted")).text

    looked = await world.settle(await world.press("dev", card, "Look again"))
    assert "looks at the outside again" in looked.text
    await card_of(world, first, "running")
    card = await card_of(world, first, "interrupted", timeout_s=90)
    dispatched = [r for r in await world.requests("github", after=start) if r["path"].endswith("/dispatches")]
    assert len(dispatched) == 1

    opened = await world.settle(await world.press("dev", card, "Close, free lock…"))
    field = opened.modal["fields"][0]["label"]
    await world.settle(await world.submit("dev", opened.id, {field: "GitHub shows no run."}))
    assert "GitHub shows no run." in (await card_of(world, first, "failed")).text
    assert "succeeded" in (await ended(world, second)).text
    assert await live_commit(world, "dev") == sha

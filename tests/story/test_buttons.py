"""Buttons, menus and modals: they mean the same after a restart, and an old one says honestly that it is old."""

from tests.story.steps import asked, card_of, ended, green, labels_for, new_commit, operation_in
from tests.story.world_driver import SHORT_ID, Message, Reply, World


def entries(card: Message) -> dict[str, str]:
    """The menu "More": label -> value."""
    menus = [c for c in card.raw["components"] if c["kind"] == "select"]
    return {option["label"]: option["value"] for menu in menus for option in menu["options"]}


async def pick(world: World, user: str, card: Message, label: str) -> Reply:
    return await world.settle(await world.press(user, card, "More", [entries(card)[label]]))


async def waiting(world: World, *, user: str = "dev") -> tuple[str, Message]:
    """A fresh request for prod, and its card."""
    await green(world, await new_commit(world))
    operation = await asked(world, user, "prod")
    return operation, await card_of(world, operation, "waiting")


async def test_a_modal_that_was_open_while_the_bot_was_killed_is_still_taken(world: World):
    operation, card = await waiting(world)
    opened = await world.settle(await world.press("sre", card, "Deny…"))
    await world.bot("kill")
    await world.until("the bot to be gone", lambda: _gone(world))
    await world.wait_ready()
    reply = await world.settle(await world.submit("sre", opened.id, {"reason": "Typed before the crash."}))
    assert f"You denied {operation}" in reply.text
    assert "Typed before the crash." in (await ended(world, operation)).text


async def _gone(world: World) -> bool:
    return not (await world.state())["ready"]


async def test_a_modal_for_a_request_that_has_been_decided_meanwhile_does_nothing_and_says_so(world: World):
    operation, card = await waiting(world)
    opened = await world.settle(await world.press("sre", card, "Deny…"))
    await world.settle(await world.press("sre2", card, "Approve"))
    assert "succeeded" in (await ended(world, operation)).text
    reply = await world.settle(await world.submit("sre", opened.id, {"reason": "Too late."}))
    assert reply.ephemeral
    assert f"{operation} has moved on" in reply.text
    assert "Nothing was done" in reply.text
    assert "succeeded" in (await ended(world, operation)).text


async def test_two_people_with_the_same_modal_open_are_both_answered(world: World):
    operation, card = await waiting(world)
    first = await world.settle(await world.press("sre", card, "Deny…"))
    second = await world.settle(await world.press("sre2", card, "Deny…"))
    assert first.modal["custom_id"] != second.modal["custom_id"]
    one = await world.settle(await world.submit("sre", first.id, {"reason": "First."}))
    two = await world.settle(await world.submit("sre2", second.id, {"reason": "Second."}))
    assert f"You denied {operation}" in one.text
    assert operation in two.text
    assert "First." in (await ended(world, operation)).text


async def test_answering_the_same_question_twice_is_one_operation(world: World):
    await green(world, await new_commit(world))
    first = await asked(world, "dev", "dev")
    await ended(world, first)
    question = await world.ask("dev", "deploy", service="app", environment="dev", ref="main")
    assert "Deploy again" in await labels_for(world, "dev", question)
    one = await world.settle(await world.press("dev", question.message, "Deploy again"))
    two = await world.settle(await world.press("dev", question.message, "Deploy again"))
    assert operation_in(one) == operation_in(two) != first
    assert "succeeded" in (await ended(world, operation_in(one))).text


async def test_the_newest_commit_replaces_a_request_that_still_waits(world: World):
    sha = await green(world, await new_commit(world))
    newest = await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod", ref=sha)
    card = await card_of(world, operation, "waiting", "1 ahead")
    reply = await pick(world, "dev", card, "Use newest")
    assert f"{operation} was cancelled in favour of this" in reply.text
    assert "cancelled" in (await ended(world, operation)).text
    newer = next(found.group(0) for found in SHORT_ID.finditer(reply.text) if found.group(0) != operation)
    card = await card_of(world, newer, "waiting", newest[:7])
    assert f"after {operation}" in card.text
    await world.ask("dev", "ops cancel", operation=newer)


async def test_details_and_log_are_private_until_they_are_shared(world: World):
    operation, card = await waiting(world)
    refused = await pick(world, "guest", card, "Details")
    assert "operation:view" in refused.text
    details = await pick(world, "dev2", card, "Details")
    assert details.ephemeral
    assert "digest" in details.text
    shared = await world.settle(await world.press("dev2", details.message, "Share"))
    assert not shared.ephemeral
    assert details.text in shared.text
    assert "shared by" in shared.text
    await world.ask("dev", "ops cancel", operation=operation)


async def test_ask_again_shows_what_it_would_do_before_it_does_it(world: World):
    operation, _ = await waiting(world)
    await world.ask("dev", "ops cancel", operation=operation)
    card = await ended(world, operation)
    question = await world.settle(await world.press("dev", card, "Ask again…"))
    assert question.ephemeral
    assert "1 of sre must approve" in question.text
    reply = await world.settle(await world.press("dev", question.message, "Ask again"))
    newer = operation_in(reply)
    assert newer != operation
    assert f"after {operation}" in (await card_of(world, newer, "waiting")).text
    await world.ask("dev", "ops cancel", operation=newer)


async def test_whoever_may_not_roll_back_hears_why_before_any_question(world: World):
    await green(world, await new_commit(world))
    done = await ended(world, await asked(world, "dev", "dev"))
    label = next(label for label in done.labels if label.startswith("Roll back to"))
    reply = await world.settle(await world.press("guest", done, label))
    assert reply.ephemeral
    assert "Refused" in reply.text
    assert "rollback:run in dev" in reply.text

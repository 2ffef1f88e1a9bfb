"""Each part of the outside that goes away gives its own true sentence, everywhere, and all heals without a restart."""

import re

from tests.story.steps import asked, card_of, cards_of, ended, green, mark, new_commit
from tests.story.world_driver import Message, World

RUN = re.compile(r"/actions/runs/\d+$")
OF_THE_BOT = "ssm:(Send|Get|List)Command|ssm:Describe"
"""What the bot asks AWS for; the host goes on pulling images and reading parameters."""
STAMP = re.compile(r"<t:\d+:R>")


async def pinned(world: World, *words: str, without: str = "", timeout_s: float = 60.0) -> Message:
    """Wait until the pinned board holds all the words."""

    async def probe() -> Message | None:
        found = [m for m in await world.every_message() if m.raw["pinned"]]
        assert len(found) <= 1, "there is one board"
        fits = found and all(word in found[0].text for word in words) and not (without and without in found[0].text)
        return found[0] if fits else None

    return await world.until(f"the pinned board with {words}", probe, timeout_s=timeout_s)


async def status(world: World, *words: str, without: str = "", timeout_s: float = 60.0) -> str:
    """Ask for the status until it holds all the words."""

    async def probe() -> str | None:
        text = (await world.ask("dev", "status")).text
        return text if all(w in text for w in words) and not (without and without in text) else None

    return await world.until(f"a status with {words}", probe, timeout_s=timeout_s)


async def presence_with(world: World, words: str) -> bool:
    return words in str((await world.state())["guild"]["bot"]["presence"])


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if start in line)


async def test_github_away_is_said_with_its_age_on_the_card_in_the_status_and_on_the_board(world: World):
    await green(world, await new_commit(world))
    pid = (await world.part("bot"))["pid"]
    await status(world, " main", "AWS live", without="main: *unknown*")
    start = await mark(world, "github")
    await world.github("outcome", workflow="build-image.yml", conclusion="success", seconds=60, times=1)
    operation = await asked(world, "dev", "dev")

    async def watched() -> bool:
        return any(RUN.search(r["path"]) for r in await world.requests("github", after=start))

    await world.until("the build to be watched", watched)
    await world.fault("github", "refuse")
    card = await card_of(world, operation, "GitHub DOWN", "last heard")
    assert STAMP.search(line_of(card.text, "GitHub DOWN"))
    text = await status(world, "GitHub DOWN", "a rollback works", "GitHub stale, heard", "AWS live")
    assert re.search(r"DOWN\W* since <t:\d+:t>, last heard <t:\d+:R>", text), "since when, and how old its figures are"
    assert re.search(r"(behind|level with) main \(\*stale\*, seen <t:\d+:R>\)", text), "an old figure is not a live one"
    await pinned(world, "GitHub DOWN", "a rollback works")
    await world.until("the presence to say it", lambda: presence_with(world, "GitHub DOWN"))
    await world.clear_faults()
    assert "DOWN" not in (await ended(world, operation, timeout_s=90)).text
    await status(world, "GitHub live", without="DOWN")
    await pinned(world, "GitHub live", without="DOWN")
    assert (await world.part("bot"))["pid"] == pid


async def test_aws_away_is_said_with_its_age_and_the_rollout_goes_on_when_it_is_back(world: World):
    await green(world, await new_commit(world))
    pid = (await world.part("bot"))["pid"]
    start = await mark(world, "aws")
    await world.host_outcome(document="quarterdeck-deploy", exit_code=0, seconds=12, times=1)
    operation = await asked(world, "dev", "dev")

    async def sent() -> bool:
        return bool(await world.requests("aws", after=start, action="ssm:SendCommand"))

    await world.until("the command to be sent", sent)
    await world.fault("aws", "refuse", match=OF_THE_BOT)
    card = await card_of(world, operation, "AWS DOWN", "last heard")
    assert STAMP.search(line_of(card.text, "AWS DOWN"))
    text = await status(world, "AWS DOWN", "what serves goes on serving", "AWS stale, heard", "GitHub live")
    assert "as AWS said" in line_of(text, "host heard")
    await pinned(world, "AWS DOWN")
    await world.clear_faults()
    assert "succeeded" in (await ended(world, operation, timeout_s=90)).text
    await status(world, "AWS live", without="DOWN")
    await pinned(world, "AWS live", without="DOWN")
    assert (await world.part("bot"))["pid"] == pid


async def test_a_service_that_does_not_answer_is_shown_as_it_was_last_seen(world: World):
    before = await status(world, "*live*")
    commit = re.search(r"app `([0-9a-f]{7})` \*live\*", before)
    assert commit is not None
    url = await world.service_url("dev")
    patch = {"services": {"app": {"urls": {"dev": "http://127.0.0.1:9"}}}}
    await world.reconfigure(patch=patch)
    text = await status(world, "*stale*, seen", "does not answer")
    assert f"app `{commit.group(1)}` *stale*" in text
    await pinned(world, f"`{commit.group(1)}` *stale*, seen")
    await world.reconfigure(patch={"services": {"app": {"urls": {"dev": url}}}})
    await status(world, without="*stale*")


async def test_discord_away_is_told_afterwards_and_nothing_needs_a_restart(world: World):
    pid = (await world.part("bot"))["pid"]
    await pinned(world)
    await world.fault("discord", "refuse", for_s=30)  # noticed by the next edit of a board, ten seconds later at most
    await world.fault("discord", "drop_gateway")
    await pinned(world, "Discord was away", without="DOWN", timeout_s=90)
    assert "Quarterdeck" in (await world.ask("dev", "ping")).text
    assert (await world.part("bot"))["pid"] == pid


async def test_a_lost_post_with_an_outage_longer_than_the_doubt_is_one_card_and_the_board_stays_one(world: World):
    first = await pinned(world)
    await world.reconfigure(patch={"discord": {"nonce_doubt_s": 2}})
    await green(world, await new_commit(world))
    ops = next(channel["id"] for channel in (await world.state())["channels"] if channel["name"] == "ops")
    last = (await world.messages())[-1].id
    await world.fault("discord", "lost_reply", match=rf"POST .*/channels/{ops}/messages$", times=1)
    await world.command("dev", "deploy", service="app", environment="dev", ref="main")
    operation = (await world.card("DEPLOY", after=last)).operation
    start = await mark(world, "discord")
    await world.fault("discord", "refuse", match=f"/channels/{ops}/", for_s=4)
    assert "succeeded" in (await ended(world, operation)).text
    assert len(await cards_of(world, operation)) == 1
    looked = [r for r in await world.requests("discord", after=start) if r["method"] == "GET" and r["status"] == 200]
    assert any(r["path"].split("?")[0].endswith("/messages") for r in looked), "the channel was searched first"
    assert (await pinned(world)).id == first.id

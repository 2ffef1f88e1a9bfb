"""The command line on the host: what the chat does, by the same rules, also when Discord, GitHub or the bot is gone."""

import json
import signal
import time
from typing import Any

from bot.console.exits import Exit
from tests.crash.witness import Witness
from tests.story.host_console import Console, said_until
from tests.story.steps import asked, card_of, cards_of, ended, live_commit, mark
from tests.story.world_driver import World

LIMIT_S = 6
NOT_CONFIRMED = "roles not confirmed"


async def killed(world: World) -> None:
    """The bot dies at once and nobody starts it again."""
    await world.bot("kill")
    await world.bot("stop")


async def audited(console: Console) -> list[dict[str, Any]]:
    """The record of the last minutes, as the command line exports it."""
    said = await console("audit", "--since", "5min", "--format", "jsonl", "--limit", "1000")
    return [json.loads(line) for line in said.out.splitlines()]


async def slow_rollout(world: World, seconds: int = 20) -> None:
    await world.host_outcome(document="quarterdeck-deploy", exit_code=0, seconds=seconds, times=1)


async def test_a_deploy_from_the_host_is_carried_out_by_the_bot_and_has_one_card(world: World):
    console = Console(world)
    said = await console("deploy", "app", "dev", "--yes", "--json")
    assert said.code == Exit.DONE, said.err
    told = said.json
    assert (told["status"], told["requester"], told["door"]) == ("succeeded", "sre", "command line")
    assert "Verify: ok" in said.err
    assert "this command carries it out" not in said.err
    card = await card_of(world, f"#{told['id']}", "succeeded")
    assert "at the command line" in card.text
    assert len(await cards_of(world, f"#{told['id']}")) == 1


async def test_the_policy_decides_on_the_host_as_it_does_in_the_chat(world: World, tmp_path):
    sre, sre2, guest = (Console(world).seated(name, tmp_path) for name in ("sre", "sre2", "guest"))
    written = await sre("deploy", "app", "prod", "--no-wait", "--yes", "--json")
    assert written.code == Exit.NOT_OVER, written.err
    number, digest = str(written.json["id"]), written.json["digest"]
    own = await sre("ops", "approve", number, "--digest", digest[:6])
    other = await sre2("ops", "approve", number, "--digest", "f" * 8 if digest[0] != "f" else "0" * 8)
    looker = await guest("rollback", "app", "dev")
    stranger = await Console(world).seated("nobody", tmp_path)("status")
    assert [said.code for said in (own, other, looker, stranger)] == [Exit.REFUSED] * 4
    assert "you asked for this yourself" in own.err
    assert "not what" in other.err
    assert "rollback:run in dev" in looker.err
    assert "people table" in stranger.err
    passed = await sre2("ops", "approve", number, "--digest", digest[:6], "--json")
    assert passed.code == Exit.DONE, passed.err
    await ended(world, f"#{number}")
    record = [
        json.loads(line) for line in (await sre("audit", "--since", "5min", "--format", "jsonl")).out.splitlines()
    ]
    here = [event for event in record if event["data"].get("door") == "command line"]
    refused = {(event["name"], event["actor"]) for event in here if event["name"].endswith(".refused")}
    assert {("vote.refused", "sre"), ("vote.refused", "sre2"), ("door.refused", "guest")} <= refused
    assert any(actor.startswith("os user ") for _, actor in refused)
    dated = await sre("audit", "--since", "2026-01-05 12:30", "--format", "jsonl", "--limit", "1")
    assert len(dated.out.splitlines()) == 1 and "Read in Europe/Berlin" in dated.err, "the rota's zone was not told"


async def test_a_role_that_discord_took_away_is_gone_on_the_host(world: World):
    await world.roles("sre")
    said = await Console(world)("deploy", "app", "dev", "--yes")
    assert said.code == Exit.REFUSED
    assert "deploy:run in dev" in said.err


async def test_ending_the_watch_leaves_the_operation_to_the_bot(world: World):
    await slow_rollout(world)
    console = Console(world)
    process = await console.start("deploy", "app", "dev", "--yes")
    seen = await said_until(process, "It started.")
    process.send_signal(signal.SIGINT)
    said = await console.end(process)
    assert said.code == Exit.NOT_OVER
    assert "You ended the wait" in said.out
    assert "a bot goes on with it" in said.out
    number = seen.split("#")[1].split()[0]
    assert "succeeded" in (await ended(world, f"#{number}")).text


async def test_one_person_alone_restores_production_with_discord_github_and_the_bot_gone(world: World):
    good = await live_commit(world, "prod")
    sha = await world.push({"app/CHANGES.md": "a version that will have to go\n"}, "Something that breaks production")
    await world.github("checks", sha=sha, conclusion="success")
    operation = await asked(world, "dev", "prod")
    start = await mark(world, "aws")
    await slow_rollout(world)
    await world.settle(await world.press("sre2", await card_of(world, operation, "waiting"), "Approve"))

    async def sent() -> bool:
        return any(r["caller"] == "bot" for r in await world.requests("aws", action="ssm:SendCommand", after=start))

    await world.until("the command to the host", sent, timeout_s=60)
    await killed(world)
    await world.fault("discord", "refuse")
    await world.fault("github", "refuse")
    witness = Witness(world)
    since = await witness.mark()
    said = await Console(world)("rollback", "app", "prod", "--json")
    assert said.code == Exit.DONE, said.err
    assert f"{operation} (deploy of app to prod, {sha[:7]}) was left running" in said.err
    assert "No bot lives here" in said.err
    assert "Roles not confirmed" in said.err
    assert await live_commit(world, "prod") == good
    assert len(witness.rollouts(since)) == 1
    unconfirmed = [event for event in await audited(Console(world)) if event["name"] == NOT_CONFIRMED]
    since_then = [
        (event["operation"], event["actor"]) for event in unconfirmed if event["operation"] > int(operation[1:])
    ]
    assert since_then == [(said.json["id"], "sre")]

    assert await cards_of(world, f"#{said.json['id']}") == []
    await world.clear_faults()
    await world.bot("start")
    card = await card_of(world, f"#{said.json['id']}", "succeeded")
    assert "at the command line" in card.text
    assert NOT_CONFIRMED in card.text
    assert "succeeded" in (await ended(world, operation)).text
    assert [len(await cards_of(world, each)) for each in (operation, f"#{said.json['id']}")] == [1, 1]


async def test_a_deploy_that_was_killed_while_it_built_locks_nobody_out_while_discord_stays_away(world: World):
    await world.reconfigure(patch={"limits": {"cancel_confirm_s": LIMIT_S}})
    good = await live_commit(world, "prod")
    sha = await world.push({"app/CHANGES.md": "a version whose build takes long\n"}, "A version that builds for long")
    await world.github("checks", sha=sha, conclusion="success")
    await world.clock(0.2)
    operation = await asked(world, "dev", "prod")
    await world.settle(await world.press("sre2", await card_of(world, operation, "waiting"), "Approve"))
    await card_of(world, operation, "Build")
    witness = Witness(world)

    async def building() -> bool:
        return witness.saved(int(operation.strip("#")), "run_id")

    await world.until("the build to be known", building)
    await killed(world)
    await world.fault("discord", "refuse")
    since = await witness.mark()
    asked_at = time.monotonic()
    said = await Console(world)("rollback", "app", "prod", "--yes", "--json")
    assert said.code == Exit.DONE, said.err
    assert f"{operation} (deploy of app to prod, {sha[:7]}) was left running" in said.err
    assert "waits for a check before it goes on: Discord" in said.err
    assert f"could not be checked whether the decision still holds within {LIMIT_S} s" in said.err
    assert f"It took over the locks of {operation}, which is interrupted." in said.err
    print(f"through after {time.monotonic() - asked_at:.1f} s")
    assert len(witness.rollouts(since)) == 1
    assert await live_commit(world, "prod") == good
    await world.clear_faults()
    await world.bot("start")
    card = await card_of(world, operation, "interrupted")
    assert f"#{said.json['id']} has taken its lock over" in card.text
    opened = await world.settle(await world.press("dev", card, next(x for x in card.labels if "Close" in x)))
    await world.submit("dev", opened.id, {opened.modal["fields"][0]["label"]: "Rolled back."})
    await ended(world, operation)


async def test_production_is_restored_through_a_living_bot_while_discord_refuses_everybody(world: World):
    before = await live_commit(world, "prod")
    await world.fault("discord", "refuse")
    said = await Console(world)("rollback", "app", "prod", "--json", "--yes")
    assert said.code == Exit.DONE, said.err
    assert "No bot lives here" not in said.err
    assert not said.json["roles_confirmed"]
    assert await live_commit(world, "prod") not in ("", before)
    await world.clear_faults()
    card = await card_of(world, f"#{said.json['id']}", "succeeded")
    assert NOT_CONFIRMED in card.text
    assert len(await cards_of(world, f"#{said.json['id']}")) == 1


async def test_a_watching_command_takes_over_from_a_bot_that_dies_and_hands_back_to_the_next(world: World):
    await slow_rollout(world, 80)
    console = Console(world)
    witness = Witness(world)
    since = await witness.mark()
    process = await console.start("deploy", "app", "dev", "--yes")
    seen = await said_until(process, "It started.")
    number = seen.split("#")[1].split()[0]
    await killed(world)
    await said_until(process, "this command carries it out")
    process.send_signal(signal.SIGTERM)
    said = await console.end(process)
    assert said.code == Exit.NOT_OVER
    assert "nobody carries it on until a bot starts" in said.out
    await world.bot("start")
    assert "succeeded" in (await ended(world, f"#{number}")).text
    assert len(witness.rollouts(since)) == 1

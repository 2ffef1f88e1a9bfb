"""The world around the bot: it answers, it comes back when it is killed, cut off or given another configuration."""

from tests.story.world_driver import World


async def pong(world: World) -> None:
    """The bot answers a command."""
    reply = await world.ask("dev", "ping")
    assert reply.state == "answered", reply
    assert reply.text


async def test_a_world_that_is_ready_has_a_bot_that_answers(world: World) -> None:
    state = await world.state()
    assert {command["name"] for command in state["commands"]} >= {"ping", "deploy", "rollback", "status"}
    assert {member["name"] for member in state["members"]} >= {"owner", "sre", "sre2", "dev", "dev2", "guest"}
    assert [channel["name"] for channel in state["channels"]] == [
        "ops",
        "alerts",
        "alerts-critical",
        "audit",
        "general",
    ]
    await pong(world)


async def test_a_bot_that_is_killed_is_back_without_help(world: World) -> None:
    first = (await world.part("bot"))["pid"]
    await world.bot("kill")

    async def another() -> bool:
        return (await world.part("bot"))["pid"] not in (None, first)

    await world.until("a new process of the bot", another)
    await world.wait_ready()
    await pong(world)


async def test_a_bot_that_is_stopped_stays_down_until_it_is_started(world: World) -> None:
    assert (await world.bot("stop"))["state"] == "stopped"
    assert not (await world.state())["ready"]
    await world.bot("start")
    await world.wait_ready()
    await pong(world)


async def test_a_gateway_that_is_cut_is_resumed(world: World) -> None:
    pid = (await world.part("bot"))["pid"]
    number = await world.fault("discord", "drop_gateway", times=2)

    async def over() -> bool:
        return number not in [fault["fault"] for fault in (await world.get("/faults"))["faults"]]

    await world.until("the gateway to be cut twice", over)
    await world.wait_ready()
    await pong(world)
    assert (await world.part("bot"))["pid"] == pid


async def test_a_new_configuration_is_taken_without_a_new_process(world: World) -> None:
    pid = (await world.part("bot"))["pid"]
    await world.reconfigure(patch={"github": {"poll_s": 1.5}})
    await pong(world)
    assert (await world.part("bot"))["pid"] == pid


async def test_a_configuration_that_cannot_be_used_is_refused_and_the_old_one_stays(world: World) -> None:
    pid = (await world.part("bot"))["pid"]
    await world.put_config(toml="this is = = no toml")

    async def said() -> bool:
        return "is not valid TOML" in world.bot_log_tail()

    await world.until("the bot to refuse it", said)
    await pong(world)
    assert (await world.part("bot"))["pid"] == pid


async def test_a_bot_whose_configuration_is_wrong_at_its_start_is_given_up_with_its_own_words(
    fresh_world: World,
) -> None:
    await fresh_world.bot("stop")
    await fresh_world.put_config(patch={"profile": "nonsense"})
    await fresh_world.bot("start")

    async def given_up() -> bool:
        return "given up" in (await fresh_world.part("bot"))["detail"]

    await fresh_world.until("the bot to be given up", given_up)
    assert "profile" in (await fresh_world.part("bot"))["detail"]
    await fresh_world.put_config(patch={"profile": "sandbox"})
    await fresh_world.bot("start")
    await fresh_world.wait_ready()
    await pong(fresh_world)

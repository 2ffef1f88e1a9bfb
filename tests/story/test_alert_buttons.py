"""The buttons of alerts' cards, pressed in a world with a real Alertmanager: who may, what happens, what is said."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from bot.sandbox.monitoring.part import PROGRAMS
from tests.story.steps import new_commit
from tests.story.world_driver import Message, Reply, World

Json = dict[str, Any]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    """A world with a real Alertmanager; every test fires alerts of names of its own."""
    if missing := [program.package for program in PROGRAMS.values() if program.find() is None]:
        pytest.skip(f"{' and '.join(missing)} is not installed (Debian: apt-get install {' '.join(missing)})")
    async with World(speed=8.0, monitoring=True) as world:
        await world.reconfigure(patch={"alerts": {"reconcile_s": 0.5}})
        await world.wait_ready()
        yield world


async def asked(world: World, path: str, body: Any = None) -> Any:
    """Alertmanager's own API."""
    url = f"{(await world.part('alertmanager'))['url']}/api/v2{path}"
    async with aiohttp.ClientSession() as session:
        call = session.get(url) if body is None else session.post(url, json=body)
        async with call as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json() if body is None else None


async def fire(world: World, *instances: str, name: str = "", environment: str = "dev", **more: str) -> str:
    """Tell Alertmanager of alerts; the name under which they stand."""
    name = name or f"Buttons{next(_numbers)}"
    labels = {"alertname": name, "environment": environment, "service": "app", "severity": "warning"}
    annotations = {"summary": f"{name} fires", "description": more.pop("description", "Look at it.")}
    annotations |= {"runbook_url": more.pop("runbook_url", f"https://runbooks.example.org/{name}")}
    now = datetime.now(UTC)
    body = [
        {"labels": {**labels, **more, "instance": instance}, "annotations": annotations, "startsAt": now.isoformat(),
         "endsAt": (now + timedelta(hours=2)).isoformat()}
        for instance in instances
    ]  # fmt: skip
    await asked(world, "/alerts", body)
    return name


async def pick(world: World, user: str, message: Message | str, entry: str) -> str:
    """Choose an entry of the message's menu; the interaction's id."""
    found = message
    if isinstance(message, str):
        found = next(one for one in await world.messages("alerts", user=user) if one.id == message)
    assert isinstance(found, Message)
    menus = [one for one in found.raw["components"] if one.get("options")]
    values = [option["value"] for menu in menus for option in menu["options"] if option["label"].startswith(entry)]
    assert values, f"there is no {entry!r}: {menus}"
    return await world.press(user, found, menus[0]["label"], values)


async def picked(world: World, user: str, message: Message | str, entry: str) -> Reply:
    return await world.settle(await pick(world, user, message, entry))


async def test_somebody_takes_it_gives_it_back_and_who_may_not_is_refused_on_record(world: World) -> None:
    name = await fire(world, "i-0a1", "i-0b7")
    card = await world.card("WARNING", f"[2 firing / 2] {name} - dev", "nobody has it", channel="alerts")
    refused = await world.settle(await world.press("guest", card, "Ack"))
    assert "Refused" in refused.text and "dev or sre or owner" in refused.text, refused.text
    await world.card("door.refused", "guest", channel="audit")
    taken = await world.settle(await world.press("dev", card, "Ack"))
    assert f"[2 firing / 2] {name} - dev" in taken.text
    card = await world.card(name, "**dev has it**", channel="alerts")
    assert "Ack" not in card.labels
    await world.card("alert.acked", "dev", channel="audit")
    late = await world.settle(await world.press("sre", card, "Silence…"))
    assert "It meets 2 of this card" in late.text
    assert "nobody has it any more" in (await picked(world, "dev", card, "Un-ack")).text
    card = await world.card(name, "nobody has it", channel="alerts")
    assert "Ack" in card.labels


async def test_a_silence_of_ones_own_is_counted_confirmed_and_ended(world: World) -> None:
    name = await fire(world, "i-0a1", team="web")
    other = await fire(world, "i-0c3", team="web")
    card = await world.card("WARNING", f"{name} - dev", channel="alerts")
    await world.card("WARNING", f"{other} - dev", channel="alerts")
    question = await world.settle(await world.press("dev", card, "Silence…"))
    assert "It meets 1 of this card, and nothing else." in question.text
    assert (await asked(world, "/silences")) == []
    opened = await picked(world, "dev", question.message, "Custom…")
    fields = {one["custom_id"]: one for one in opened.modal["fields"]}
    assert set(fields) == {"matchers", "duration", "comment"}
    lines = str(fields["matchers"]["value"]).splitlines()
    assert {f'alertname="{name}"', 'environment="dev"', 'instance="i-0a1"', 'team="web"'} <= set(lines)
    kept = "\n".join(line for line in lines if line.startswith(("environment", "team")))
    form = {"matchers": kept, "duration": "90m", "comment": "the web team moves @everyone"}
    asked_again = await world.settle(await world.submit("dev", opened.id, form))
    assert "It meets 1 of this card and **1 other alert**" in asked_again.text, asked_again.text
    assert "It is not silenced yet" in asked_again.text
    done = await world.settle(await world.press("dev", asked_again.message, "Silence"))
    assert "Silenced." in done.text, done.text
    [silence] = await asked(world, "/silences")
    assert {one["name"]: one["value"] for one in silence["matchers"]} == {"environment": "dev", "team": "web"}
    assert silence["createdBy"] == "dev"
    again = await world.settle(await world.press("dev", asked_again.message, "Silence"))
    assert "answered already" in again.text
    cards = [
        await world.card("SILENCED", f"{shown} - dev", "silenced by dev until", channel="alerts")
        for shown in (name, other)
    ]
    assert "the web team moves" in cards[1].text and "@everyone" not in cards[1].text
    wider = (await picked(world, "dev", cards[1], "Unsilence")).text
    assert "Nothing was ended" in wider and "silenced by dev until" in wider and "/silence expire" in wider, wider
    assert "Ended 1 silence" in (await picked(world, "dev", cards[0], "Unsilence")).text
    await world.card("WARNING", f"{name} - dev", channel="alerts")


async def test_whoever_may_silence_dev_may_not_silence_prod(world: World) -> None:
    name = await fire(world, "i-0a1", environment="prod")
    card = await world.card("WARNING", f"{name} - prod", channel="alerts")
    refused = await world.settle(await world.press("dev", card, "Silence…"))
    assert "Refused" in refused.text and "sre or owner" in refused.text, refused.text
    question = await world.settle(await world.press("sre", card, "Silence…"))
    done = await picked(world, "sre", question.message, "Until resolved")
    assert "until it resolves" in done.text, done.text
    await world.card("SILENCED", f"{name} - prod", "until it resolves", channel="alerts")


async def test_details_runbook_and_thread(world: World) -> None:
    name = await fire(world, *(f"i-{number:02d}" for number in range(12)), description="why and how " * 40)
    card = await world.card("WARNING", f"[12 firing / 12] {name} - dev", channel="alerts")
    first = await picked(world, "dev", card, "Details")
    assert "- instance: i-00" in first.text and "why and how" in first.text
    second = await world.settle(await world.press("dev", first.message, "Next page"))
    assert "page 2" in second.text and "- instance: i-05" in second.text
    runbook = await picked(world, "dev", card, "Runbook")
    assert f"https\\://runbooks.example.org/{name}" in runbook.text
    talked = await picked(world, "dev", card, "Thread")
    assert "Talk about A" in talked.text and "https://discord.com/channels/" in talked.text
    again = await picked(world, "dev", card, "Thread")
    assert "Talk about A" in again.text, again.text


async def test_the_deploy_before_an_alert_is_two_presses_from_being_taken_back(world: World) -> None:
    await new_commit(world)
    reply = await world.ask("dev", "deploy", service="app", environment="dev")
    operation = (await world.card("DEPLOY", "dev", channel="ops")).operation
    assert operation and operation in reply.text, reply.text
    await world.wait_card(operation, "succeeded")
    name = await fire(world, "i-0a1")
    card = await world.card("WARNING", f"{name} - dev", f"{operation} deploy", channel="alerts")
    offer = await world.settle(await world.press("dev", card, f"Roll back {operation.removeprefix('#')}…"))
    assert "ROLLBACK" in offer.text, offer.text
    done = await world.settle(await world.press("dev", offer.message, "Roll back"))
    assert "rollback" in done.text, done.text
    await world.card("ROLLBACK", "succeeded", channel="ops", timeout_s=60)


async def test_a_group_of_a_storm_is_opened_from_its_pack_and_taken_there(world: World) -> None:
    names = [f"Storm{next(_numbers)}" for _ in range(30)]
    await asyncio.gather(*(fire(world, "i-0a1", "i-0b7", name=name) for name in names))
    pack = await world.card("**STORM** P", "groups", channel="alerts")
    opened = await picked(world, "dev", pack, entry_of(pack))
    assert "[2 firing / 2] Storm" in opened.text and "nobody has it" in opened.text
    taken = await world.settle(await world.press("dev", opened.message, "Ack"))
    assert "You have A" in taken.text
    await world.card("**STORM** P", "dev has it", channel="alerts")


def entry_of(pack: Message) -> str:
    """The first entry of the pack's menu."""
    return str(next(one for one in pack.raw["components"] if one.get("options"))["options"][0]["label"])

"""Who did what stays on record: refusals with their rule, counted where they repeat, and readings of the record."""

import asyncio
import csv
import io
import json
from typing import Any

import aiohttp

from tests.story.steps import asked, card_of, ended, green, mark, new_commit
from tests.story.world_driver import Message, Reply, World

AT_ONCE = 25
"""Presses under way at the same time: as many as a few people's fingers, all at once."""


async def waiting(world: World, user: str = "dev") -> tuple[str, Message]:
    await green(world, await new_commit(world))
    operation = await asked(world, user, "prod")
    return operation, await card_of(world, operation, "waiting")


async def exported(world: World, user: str, file_type: str, **options: Any) -> str:
    """The file that `/audit` sends."""
    reply = await world.ask(user, "audit", export=file_type, **options)
    found = [m for m in await world.messages(user=user) if m.id == reply.message]
    [attachment] = found[0].raw["attachments"]
    assert attachment["filename"].endswith(f".{file_type}")
    async with aiohttp.ClientSession() as session, session.get(attachment["url"]) as answer:
        return await answer.text()


async def records(world: World, operation: str, **options: Any) -> list[dict[str, Any]]:
    """The audit of one operation, by the exported file."""
    lines = (await exported(world, "sre", "jsonl", **options)).splitlines()
    return [row for row in map(json.loads, lines) if row["operation"] == int(operation.lstrip("#"))]


async def presses(world: World, card: Message, users: list[str]) -> list[Reply]:
    """Everybody presses Approve, as many at a time as `AT_ONCE`; the answers."""
    room = asyncio.Semaphore(AT_ONCE)

    async def press(user: str) -> Reply:
        async with room:
            return await world.settle(await world.press(user, card, "Approve"), timeout_s=60)

    return await asyncio.gather(*(press(user) for user in users))


async def test_who_may_not_approve_hears_the_rule_who_can_and_how_to_ask_and_all_of_it_is_on_record(world: World):
    operation, card = await waiting(world, "sre")
    for member, who_can, way in (
        ("sre", "another person", "Ask somebody else with the role sre"),
        ("guest", "sre may approve", "Ask somebody with the role sre"),
        ("dev", "sre may approve", "Ask somebody with the role sre"),
    ):
        reply = await world.settle(await world.press(member, card, "Approve"))
        assert reply.ephemeral
        for expected in ("Refused", "Rule operation:approve of deploy:run in prod", who_can, way):
            assert expected in reply.text, (member, reply.text)
    passed = await world.settle(await world.press("sre2", card, "Approve"))
    assert f"You approved {operation}" in passed.text
    assert "succeeded" in (await ended(world, operation)).text

    found = await records(world, operation, environment="prod")
    refused = {row["actor"]: row for row in found if row["name"] == "vote.refused"}
    assert set(refused) == {"sre", "guest", "dev"}
    assert all("operation:approve of deploy:run in prod" in row["text"] for row in refused.values())
    assert [row["actor"] for row in found if row["name"] == "vote.approve"] == ["sre2"]
    page = await world.ask("dev", "audit", actor="guest", service="app", since="1h")
    assert f"{operation} · vote.refused · guest" in page.text


async def test_fifty_presses_at_once_start_it_once_and_each_of_them_is_answered(world: World):
    operation, card = await waiting(world)
    start = await mark(world, "aws")
    # The button stands there until the card is edited: that all have seen it, however slow this machine is.
    await world.fault("discord", "latency", match="PATCH .*/messages/", seconds=5)
    pressed = await asyncio.gather(*(world.press(who, card, "Approve") for who in ("sre", "sre2") * 25))
    replies = await asyncio.gather(*(world.settle(press, timeout_s=60) for press in pressed))
    await world.clear_faults()
    assert all(reply.state == "answered" and reply.ephemeral and reply.text for reply in replies)
    assert sum(f"You approved {operation}" in reply.text for reply in replies) == 1
    assert "succeeded" in (await ended(world, operation)).text
    sent = [r for r in await world.requests("aws", after=start, action="ssm:SendCommand") if r["caller"] == "bot"]
    assert len(sent) == 1 + 1  # the rollout, and the one look at the host that verifies it
    assert [row["name"] for row in await records(world, operation)].count("operation.running") == 1


async def test_a_thousand_refused_presses_of_one_member_are_one_line_that_counts(world: World):
    operation, card = await waiting(world)
    replies = await presses(world, card, ["guest"] * 1000)
    assert all(reply.state == "answered" and "Refused" in reply.text for reply in replies)
    refused = [row for row in await records(world, operation) if row["name"] == "vote.refused"]
    assert [(row["actor"], row["count"]) for row in refused] == [("guest", 1000)]
    tally = await world.card("Again", "1,000 times", channel="audit", timeout_s=60)
    assert f"`{refused[0]['id']}`" in tally.text
    assert len([m for m in await world.messages("audit", limit=1000) if f"`{refused[0]['id']}`" in m.text]) == 2
    await world.ask("dev", "ops cancel", operation=operation)


async def test_the_audit_is_filtered_exported_and_itself_on_record(world: World):
    operation, _ = await waiting(world)
    await world.ask("dev", "ops cancel", operation=operation)
    rows = list(csv.DictReader(io.StringIO(await exported(world, "sre2", "csv", actor="dev", environment="prod"))))
    assert {row["actor"] for row in rows} == {"dev"}
    assert {row["environment"] for row in rows} == {"prod"}
    assert int(rows[0]["operation"]) == int(operation.lstrip("#"))
    nothing = await world.ask("sre", "audit", until="2020-01-01")
    assert "Nothing of the kind is on record" in nothing.text
    own = await world.ask("sre", "audit", actor="sre2")
    assert "sre2 exported the audit · actor dev · environment prod" in own.text.replace("\\", "")
    barred = await world.ask("guest", "audit")
    assert "audit:view" in barred.text
    seen = await world.ask("sre", "audit", actor="guest")
    assert "door.refused" in seen.text
    wrong = await world.ask("sre", "audit", since="the day before")
    assert "no point in time" in wrong.text


async def test_older_lines_of_the_audit_come_by_a_button_to_those_who_may_see_them(world: World):
    page = await world.ask("dev2", "audit")
    older = await world.settle(await world.press("dev2", page.message, "Older"))
    assert older.ephemeral
    assert "**Audit**" in older.text
    assert not set(page.text.splitlines()[1:]) & set(older.text.splitlines()[1:])
    await world.roles("dev2")
    refused = await world.settle(await world.press("dev2", page.message, "Older"))
    assert "Refused" in refused.text
    assert "audit:view" in refused.text

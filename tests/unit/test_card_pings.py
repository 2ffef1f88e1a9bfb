"""Who is pinged when: approvers once a request, the requester by how it ended; never by an edit."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.logs import Redactor
from bot.ops.model import Operation, Status, Verdict
from bot.people import People
from bot.settings import Settings
from bot.ui.board_store import BoardStore, CardRow
from bot.ui.rendering import Rendering
from bot.ui.renderings import Renderings
from tests.unit.engine_room import DEV, OPS_CHANNEL, SRE, Room, open_room

SRE_ROLE, DEV_ACCOUNT = 102, 11
SETTINGS = Settings.model_validate(
    {
        "state_dir": "/nowhere",
        "discord": {
            "guild_id": 1,
            "channels": {"ops": OPS_CHANNEL, "audit": 77},
            "roles": {"sre": SRE_ROLE, "dev": 101},
        },
        "github": {"repository": "harbour/works"},
        "aws": {"region": "eu-central-1", "account": "123456789012"},
        "environments": {name: {"instance_id": "i-0123456789abcdef0"} for name in ("dev", "prod")},
        "services": {"app": {"paths": ["app"], "image_repository": "app"}},
    }
)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(tmp_path) as room:
        yield room


@pytest.fixture
def renderings(room: Room) -> Renderings:
    people = People(accounts=[("dev", DEV_ACCOUNT)], roles=SETTINGS.discord.roles)
    store, redactor = BoardStore(room.database), Redactor(["hunter22"])
    return Renderings(settings=SETTINGS, engine=room.engine, store=store, people=people, redactor=redactor)


async def row_of(room: Room, operation: Operation) -> CardRow:
    row = await BoardStore(room.database).get(operation.card_key)
    assert row is not None
    return row


async def drawn(renderings: Renderings, room: Room, operation: Operation) -> Rendering:
    rendering = await renderings.of(await row_of(room, operation))
    assert rendering is not None
    return rendering


def beside(topic: str, operation: Operation) -> CardRow:
    return CardRow(f"{topic}:{operation.id}", OPS_CHANNEL, None, "", 1, 0, 30, None, 0, {})


async def test_a_request_pings_exactly_the_role_that_must_approve_once(room: Room, renderings: Renderings) -> None:
    operation = await room.ask(environment="prod")
    first = await drawn(renderings, room, operation)
    assert first.content.endswith(f"<@&{SRE_ROLE}>")
    assert first.pings.to_dict() == {"parse": [], "roles": [SRE_ROLE], "users": []}
    store = BoardStore(room.database)
    row = await row_of(room, operation)
    await store.posted(row, 500, datetime.now(UTC), shown=0, state={**first.state, "pinged": True})
    await store.gone(await row_of(room, operation))
    assert (await drawn(renderings, room, operation)).content == ""


async def test_a_deploy_that_nobody_must_approve_pings_nobody(room: Room, renderings: Renderings) -> None:
    rendering = await drawn(renderings, room, await room.ask(environment="dev"))
    assert rendering.content == ""
    assert rendering.sheet is not None


async def test_a_denial_pings_the_requester_with_the_reason(room: Room, renderings: Renderings) -> None:
    operation = await room.ask(environment="prod")
    operation = await room.engine.vote(operation.id, SRE, Verdict.DENY, digest=operation.digest, reason="not today")
    assert (await drawn(renderings, room, operation)).beside == (f"outcome:{operation.id}",)
    line = await renderings.of(beside("outcome", operation))
    assert line is not None
    assert line.content.startswith(f"<@{DEV_ACCOUNT}> #{operation.id} deploy denied")
    assert "not today" in line.content
    assert line.pings.to_dict()["users"] == [DEV_ACCOUNT]


@pytest.mark.parametrize(("seconds", "pinged"), [(60, False), (119, False), (121, True)])
async def test_success_pings_only_after_two_minutes(
    room: Room, renderings: Renderings, seconds: int, pinged: bool
) -> None:
    operation = await room.ask(environment="dev")
    await room.start()
    operation = await room.becomes(operation, Status.RUNNING)
    room.clock.advance(seconds=seconds)
    room.deploy.gate.set()
    operation = await room.becomes(operation, Status.SUCCEEDED)
    assert bool((await drawn(renderings, room, operation)).beside) is pinged


async def test_withdrawing_ones_own_request_pings_nobody(room: Room, renderings: Renderings) -> None:
    operation = await room.engine.cancel((await room.ask(environment="prod")).id, DEV)
    rendering = await drawn(renderings, room, operation)
    assert (rendering.content, rendering.beside) == ("", ())


async def test_approvers_are_reminded_once_before_it_expires(room: Room, renderings: Renderings) -> None:
    operation = await room.ask(environment="prod")
    room.clock.advance(hours=7, minutes=45)
    await room.engine.remind(within_s=1800)
    assert (await drawn(renderings, room, operation)).beside == (f"reminder:{operation.id}",)
    line = await renderings.of(beside("reminder", operation))
    assert line is not None
    assert line.content.startswith(f"#{operation.id} still waits for approval")
    assert line.pings.to_dict()["roles"] == [SRE_ROLE]


async def test_buttons_change_their_handles_when_the_status_changes(room: Room, renderings: Renderings) -> None:
    operation = await room.ask(environment="prod")
    store = BoardStore(room.database)
    before = await drawn(renderings, room, operation)
    await store.save(operation.card_key, state=dict(before.state))
    await room.approve(operation)
    after = await drawn(renderings, room, operation)
    assert after.state["generation"] == before.state["generation"] + 1


async def test_a_message_is_found_again_by_its_own_words(room: Room, renderings: Renderings) -> None:
    operation = await room.ask(environment="prod")
    rendering = await drawn(renderings, room, operation)
    assert rendering.marker.search(rendering.content)
    assert rendering.sheet is not None
    first = next(item.content for item in rendering.sheet.walk_children() if hasattr(item, "content"))
    assert rendering.marker.search(first)
    assert not rendering.marker.search(rendering.content.replace(f"#{operation.id}", f"#{operation.id}7"))


async def test_secrets_are_taken_out_of_what_is_posted(room: Room, renderings: Renderings) -> None:
    operation = await room.ask(environment="prod")
    await room.engine.vote(operation.id, SRE, Verdict.DENY, digest=operation.digest, reason="hunter22 leaked")
    line = await renderings.of(beside("outcome", operation))
    assert line is not None
    assert "hunter22" not in line.content
    assert "[redacted]" in line.content


async def test_a_card_of_an_operation_that_does_not_exist_shows_nothing(renderings: Renderings) -> None:
    assert await renderings.of(CardRow("operation:999", OPS_CHANNEL, None, "", 1, 0, 40, None, 0, {})) is None

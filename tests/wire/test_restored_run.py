"""An operation that was open in a copy of the database: it may have done more since than its row says, so it looks for
its own traces before it sends anything, and never takes back what came after it.
"""

from collections.abc import AsyncIterator

import pytest

from bot.ops.handler import Cancelled, Failed, Interrupted
from bot.services.build import request_id_of
from bot.services.restore import RESTORED
from tests.wire.deploy_room import NEW, NEW_IMAGE, OLD, OLD_IMAGE, REGISTRY, TAG, Place, Row, opened

NEWER, NEWER_IMAGE = "c" * 40, REGISTRY + "sha256:" + "c" * 64


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    async with opened(monkeypatch) as place:
        yield place


async def restored(place: Place, kind: str = "deploy", **saved: object) -> Row:
    """A running row as the copy had it."""
    row = place.row(kind)
    await row.checkpoint(**{RESTORED: "2026-08-01T12:00:00+00:00", **saved})
    return row


def sent_before(place: Place, row: Row, name: str = "") -> None:
    """The command that the operation sent after the copy was made."""
    mark = f"quarterdeck op {row.operation.id} {row.operation.digest[:16]}{name}"
    parameters = {"Image": [NEW_IMAGE], "Commit": [NEW]}
    place.aws._sent({"DocumentName": "quarterdeck-deploy", "Comment": mark, "Parameters": parameters})


def built_before(place: Place, row: Row) -> None:
    place.github._dispatch({"request": request_id_of(row.operation), "tag": TAG})
    place.aws.images.clear()  # the registry has lost it since, so that the build is what is looked for


async def test_its_build_is_found_by_the_id_that_follows_from_the_operation(place: Place) -> None:
    row = await restored(place)
    built_before(place, row)
    with pytest.raises(Failed, match="the registry has no image"):
        await place.deploy.resume(row)
    assert len(place.github.dispatched) == 1
    assert any("the build already" in note for note in row.notes)


async def test_a_build_that_was_never_asked_for_is_asked_for_once(place: Place) -> None:
    row = await restored(place)
    result = await place.deploy.resume(row)
    assert result is not None
    assert result["commit"] == NEW
    assert [inputs["request"] for inputs in place.github.dispatched] == [request_id_of(row.operation)]
    assert len(place.aws.rollouts) == 1


@pytest.mark.parametrize("kind", ["deploy", "rollback"])
async def test_its_command_is_found_and_followed_and_none_is_sent(place: Place, kind: str) -> None:
    place.aws.images[TAG] = NEW_IMAGE.split("@")[1]
    row = await restored(place, kind)
    sent_before(place, row)
    handler = place.deploy if kind == "deploy" else place.rollback
    result = await handler.resume(row)
    assert result is not None
    assert result["commit"] == NEW
    assert len(place.aws.rollouts) == 1
    assert place.github.statuses == []  # it has a deployment record from then: no second one is made


async def test_what_came_to_serve_after_it_is_not_switched_back(place: Place) -> None:
    place.aws.images[TAG] = NEW_IMAGE.split("@")[1]
    row = await restored(place)
    sent_before(place, row)
    place.aws.serving = {"image": NEWER_IMAGE, "commit": NEWER}
    with pytest.raises(Interrupted, match="Nothing was switched back"):
        await place.deploy.resume(row)
    assert len(place.aws.rollouts) == 1
    assert place.aws.serving["commit"] == NEWER


async def test_it_sends_nothing_once_something_else_serves(place: Place) -> None:
    place.aws.images[TAG] = NEW_IMAGE.split("@")[1]
    place.aws.serving = {"image": NEWER_IMAGE, "commit": NEWER}
    with pytest.raises(Failed, match=f"since then {NEWER[:7]} came to serve, not {OLD[:7]}"):
        await place.deploy.resume(await restored(place))
    assert place.aws.rollouts == []


async def test_it_sends_nothing_while_the_host_cannot_be_seen(place: Place) -> None:
    place.aws.images[TAG] = NEW_IMAGE.split("@")[1]
    place.aws.fault = lambda action: "InvalidInstanceId" if action == "SendCommand" else None
    with pytest.raises(Interrupted, match="cannot be told"):
        await place.deploy.resume(await restored(place))
    assert place.aws.rollouts == []


async def test_a_way_back_that_had_begun_is_never_begun_again(place: Place) -> None:
    place.aws.serving = {"image": NEWER_IMAGE, "commit": NEWER}
    back = {"image": OLD_IMAGE, "commit": OLD, "why": "/health did not answer.", "log_tail": ""}
    row = await restored(place, image_digest=NEW_IMAGE.split("@")[1], command_id="1", switch_back=back)
    with pytest.raises(Interrupted, match="cannot be told"):
        await place.deploy.resume(row)
    assert place.aws.rollouts == []


async def test_a_cancel_looks_for_what_was_sent_before_it_says_that_nothing_was(place: Place) -> None:
    row = await restored(place)
    row.cancel_requested.set()
    place.github.next_ends = ""
    built_before(place, row)
    with pytest.raises(Cancelled, match="GitHub confirms"):
        await place.deploy.resume(row)
    assert place.github.cancelled == [101]
    untouched = await restored(place)
    place.github.runs.clear()
    untouched.cancel_requested.set()
    with pytest.raises(Cancelled, match="before the build was started"):
        await place.deploy.resume(untouched)


async def test_a_cancel_during_the_rollout_finds_the_command_of_then(place: Place) -> None:
    place.aws.carry_out = lambda aws, command: None
    row = await restored(place, "rollback")
    sent_before(place, row)
    row.cancel_requested.set()
    with pytest.raises(Cancelled, match="SSM confirms"):
        await place.rollback.resume(row)
    assert [command.status for command in place.aws.rollouts] == ["Cancelled"]

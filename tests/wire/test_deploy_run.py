"""The run of a deploy, met by every outage, crash and change of mind: what is claimed must be what is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from bot.ops.handler import Cancelled, Failed, Interrupted
from bot.services import rollout as rollout_module
from bot.services.patience import LOOKUP_S
from tests.wire.deploy_room import NEW, NEW_IMAGE, OLD, OLD_IMAGE, TAG, Aws, Command, Place, Row, opened, until


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    async with opened(monkeypatch) as opened_place:
        yield opened_place


def times(count: int, fault: Any, *, of: Callable[[Any], bool] = lambda _what: True) -> Callable[[Any], Any]:
    """The fault (or what it makes, anew each time) for the next `count` requests that fit."""
    left = [count]

    def decide(what: Any) -> Any:
        if left[0] > 0 and of(what):
            left[0] -= 1
            return fault() if callable(fault) else fault
        return None

    return decide


def post(ending: str) -> Callable[[web.Request], bool]:
    return lambda request: request.method == "POST" and request.path.endswith(ending)


def limited() -> web.Response:
    return web.json_response({"message": "slow down"}, status=403, headers={"Retry-After": "1"})


def not_found() -> web.Response:
    return web.json_response({"message": "Not Found"}, status=404)


def has_image(place: Place) -> None:
    place.aws.images[TAG] = NEW_IMAGE.split("@")[1]


async def started(place: Place, row: Row, *, resumes: bool = False) -> "asyncio.Task[Any]":
    work = place.deploy.resume(row) if resumes else place.deploy.run(row)
    return asyncio.create_task(work)  # type: ignore[arg-type]


async def killed(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ---- the straight way ------------------------------------------------------------------------------------------------


async def test_a_deploy_builds_rolls_out_and_says_what_serves(place: Place) -> None:
    row = place.row()
    result = await place.deploy.run(row)
    assert result["image"] == NEW_IMAGE
    assert result["previous"] == {"image": OLD_IMAGE, "commit": OLD}
    assert result["reused_image"] is False
    assert len(place.github.dispatched) == len(place.aws.rollouts) == 1
    assert place.github.statuses == ["in_progress", "success"]


async def test_an_image_that_exists_is_not_built_again(place: Place) -> None:
    has_image(place)
    assert (await place.deploy.run(place.row()))["reused_image"] is True
    assert place.github.dispatched == []


async def test_a_tag_that_has_moved_since_the_approval_is_not_deployed(place: Place) -> None:
    has_image(place)
    with pytest.raises(Failed, match="not the one that was approved"):
        await place.deploy.run(place.row(image="sha256:" + "c" * 64))
    assert place.aws.rollouts == []


async def test_an_approved_image_that_has_gone_is_not_built_anew_as_another(place: Place) -> None:
    row = place.row(image="sha256:" + "c" * 64)
    row.operation = replace(row.operation, quorum=1)
    with pytest.raises(Failed, match="no longer in the registry"):
        await place.deploy.run(row)
    assert place.github.dispatched == place.aws.rollouts == []


# ---- cancelling ------------------------------------------------------------------------------------------------------


async def test_a_wish_to_cancel_that_came_before_the_dispatch_dispatches_nothing(place: Place) -> None:
    row = place.row()
    row.cancel_requested.set()
    with pytest.raises(Cancelled):
        await place.deploy.run(row)
    assert place.github.dispatched == []
    assert place.aws.rollouts == []


async def test_a_wish_to_cancel_that_came_before_the_command_sends_none(place: Place) -> None:
    has_image(place)
    row = place.row()
    row.cancel_requested.set()
    with pytest.raises(Cancelled, match="before anything was sent"):
        await place.deploy.run(row)
    assert place.aws.rollouts == []


async def test_a_cancel_while_github_limits_us_starts_nothing(place: Place) -> None:
    place.github.fault = times(99, limited, of=post("/dispatches"))
    row = place.row()
    task = await started(place, row)
    await until(lambda: any("asks us to wait" in wait for wait in row.waits))
    row.cancel_requested.set()
    with pytest.raises(Cancelled, match="before the build was started"):
        await task
    assert place.github.dispatched == []


async def test_a_cancel_during_the_build_is_said_once_github_confirms_it(place: Place) -> None:
    place.github.next_ends = ""
    row = place.row()
    task = await started(place, row)
    await until(lambda: place.github.dispatched)
    place.github.fault = times(2, "cut", of=post("/cancel"))
    row.cancel_requested.set()
    with pytest.raises(Cancelled, match="ended as cancelled"):
        await task
    assert place.github.cancelled == [101]
    assert any("not verified yet" in wait for wait in row.waits)


async def test_a_cancel_during_the_rollout_says_what_still_serves(place: Place) -> None:
    has_image(place)
    place.aws.carry_out = lambda _aws, _command: None
    row = place.row()
    task = await started(place, row)
    await until(lambda: place.aws.rollouts)
    row.cancel_requested.set()
    with pytest.raises(Cancelled, match=f"{OLD[:7]} still serves"):
        await task


async def test_a_cancel_that_meets_a_rollout_that_has_failed_tells_the_failure(place: Place) -> None:
    has_image(place)
    place.aws.carry_out = lambda _aws, _command: None
    row = place.row()
    task = await started(place, row)
    await until(lambda: place.aws.rollouts)
    place.aws.fail(place.aws.rollouts[0], 1, "::failed health it died\n")
    row.cancel_requested.set()
    with pytest.raises(Failed, match="it died"):
        await task


async def test_a_cancel_that_comes_too_late_ends_as_what_it_is(place: Place) -> None:
    has_image(place)

    def switched_but_not_over(aws: Aws, command: Command) -> None:
        aws.serving = {"image": NEW_IMAGE, "commit": NEW}

    place.aws.carry_out = switched_but_not_over
    row = place.row()
    task = await started(place, row)
    await until(lambda: place.aws.rollouts)
    row.cancel_requested.set()
    result = await task
    assert result["commit"] == NEW
    assert result["previous"] == {"image": OLD_IMAGE, "commit": OLD}
    assert any("too late" in note for note in row.notes)


# ---- crashes ---------------------------------------------------------------------------------------------------------


async def test_killed_after_the_dispatch_it_finds_its_run_again(place: Place) -> None:
    row = place.row()
    await row.checkpoint(request_id="f" * 32, dispatch_sent_at=1, deployment_id=None)
    place.github._dispatch({"request": "f" * 32, "tag": TAG})
    assert (await place.deploy.resume(row))["commit"] == NEW  # type: ignore[index]
    assert len(place.github.dispatched) == 1


async def sought(row: Row) -> None:
    """The bot has looked for the trace of the build's request for nearly as long as it does."""
    await row.shown(sought_build_s=LOOKUP_S - 2)


async def test_killed_before_the_dispatch_was_sent_it_asks_a_human_and_never_sends_a_second(place: Place) -> None:
    row = place.row()
    await row.checkpoint(request_id="f" * 32, dispatch_sent_at=1, deployment_id=None)
    await sought(row)
    with pytest.raises(Interrupted, match="no run carries our request id"):
        await place.deploy.resume(row)
    assert place.github.dispatched == []


async def test_a_github_that_is_away_while_a_lost_run_is_looked_for_is_waited_for_in_sight(place: Place) -> None:
    row = place.row()
    await row.checkpoint(request_id="f" * 32, dispatch_sent_at=1, deployment_id=None)
    place.github._dispatch({"request": "f" * 32, "tag": TAG})
    away = [True]
    place.github.fault = lambda request: "cut" if away[0] else None
    task = await started(place, row, resumes=True)
    await until(lambda: row.waits)
    await asyncio.sleep(0.6)  # longer than a run is looked for
    assert not task.done()
    away[0] = False
    assert (await task)["commit"] == NEW


async def test_killed_during_the_rollout_it_needs_no_github_to_go_on(place: Place) -> None:
    place.aws.carry_out = lambda _aws, _command: None
    row = place.row()
    task = await started(place, row)
    await until(lambda: "command_id" in row.operation.checkpoint)
    await killed(task)
    place.github.fault = lambda _request: "cut"
    place.aws.roll_out(place.aws.rollouts[0])
    result = await place.deploy.resume(row.after_a_crash())
    assert result is not None
    assert (result["commit"], result["reused_image"]) == (NEW, False)
    assert len(place.aws.rollouts) == 1


async def test_a_cancel_after_a_crash_during_the_rollout_never_claims_that_nothing_was_rolled_out(place: Place) -> None:
    place.aws.carry_out = lambda _aws, _command: None
    row = place.row()
    task = await started(place, row)
    await until(lambda: "command_id" in row.operation.checkpoint)
    await killed(task)
    place.github.fault = lambda _request: "cut"
    again = row.after_a_crash()
    again.cancel_requested.set()
    with pytest.raises(Cancelled, match="command was stopped"):
        await place.deploy.resume(again)
    assert place.aws.rollouts[0].status == "Cancelled"


async def test_killed_after_the_command_was_sent_it_finds_it_by_its_comment(place: Place) -> None:
    has_image(place)
    place.aws.carry_out = lambda _aws, _command: None
    row = place.row()
    task = await started(place, row)
    await until(lambda: place.aws.rollouts)
    await killed(task)
    kept = {k: v for k, v in row.operation.checkpoint.items() if k != "command_id"}
    again = row.after_a_crash()
    again.operation = place.row().operation
    await again.checkpoint(**kept)
    place.aws.roll_out(place.aws.rollouts[0])
    assert (await place.deploy.resume(again))["commit"] == NEW  # type: ignore[index]
    assert len(place.aws.rollouts) == 1


async def test_killed_on_the_way_back_it_goes_on_back_and_does_not_call_it_a_success(place: Place) -> None:
    has_image(place)
    healthy = [False]
    place.site.answer_with = lambda: {"status": "ok" if healthy[0] else "broken", "commit": place.aws.serving["commit"]}

    def hang_on_the_way_back(aws: Aws, command: Command) -> None:
        if command.parameters["Image"] == NEW_IMAGE:
            aws.roll_out(command)

    place.aws.carry_out = hang_on_the_way_back
    row = place.row()
    task = await started(place, row)
    await until(lambda: len(place.aws.rollouts) == 2)
    await asyncio.sleep(0.1)
    await killed(task)
    healthy[0] = True  # the new version has recovered while nobody looked, and the command back is under way
    task = await started(place, row.after_a_crash(), resumes=True)
    await asyncio.sleep(0.5)
    assert not task.done()
    place.aws.roll_out(place.aws.rollouts[1])
    with pytest.raises(Failed, match=f"{OLD[:7]} serves again"):
        await task
    assert len(place.aws.rollouts) == 2


async def test_killed_while_github_records_the_deployment_it_records_no_second_one(place: Place) -> None:
    has_image(place)
    asked: list[int] = []

    def slow(request: web.Request) -> Any:
        if post("/deployments")(request):
            asked.append(1)
            return "cut"
        return None

    place.github.fault = slow
    row = place.row()
    await row.checkpoint(deployment_id=None)
    assert (await place.deploy.resume(row))["github_deployment_id"] is None  # type: ignore[index]
    assert asked == []


async def test_what_is_not_known_is_no_failure_on_github_either(place: Place) -> None:
    has_image(place)
    place.aws.carry_out = lambda aws, command: aws.fail(command, 2, "::failed switch look at this host\n")
    with pytest.raises(Interrupted):
        await place.deploy.run(place.row())
    assert place.github.statuses == ["in_progress", "error"]


# ---- answers that get lost, and services that are away ---------------------------------------------------------------


async def test_a_dispatch_that_is_answered_with_nonsense_is_not_sent_again(place: Place) -> None:
    sent: list[int] = []

    def nonsense(request: web.Request) -> Any:
        if post("/dispatches")(request) and not sent:
            sent.append(1)
            place.github._dispatch({"request": "", "tag": TAG})
            return web.Response(text="<html>proxy</html>")
        return None

    place.github.fault = nonsense
    row = place.row()
    await sought(row)
    with pytest.raises(Interrupted):
        await place.deploy.run(row)
    assert len(place.github.dispatched) == 1


async def test_a_run_that_github_does_not_show_yet_is_looked_at_again(place: Place) -> None:
    place.github.fault = times(3, not_found, of=_run_page)
    assert (await place.deploy.run(place.row()))["commit"] == NEW


def _run_page(request: web.Request) -> bool:
    return request.method == "GET" and request.path.split("/")[-1].isdecimal()


@pytest.mark.parametrize("code", ["ThrottlingException", "TooManyRequestsException"])
async def test_an_aws_that_throttles_us_is_waited_for(place: Place, code: str) -> None:
    has_image(place)
    place.aws.fault = times(1, code, of=lambda action: action == "SendCommand")
    row = place.row()
    assert (await place.deploy.run(row))["commit"] == NEW
    assert row.waits
    assert len(place.aws.rollouts) == 1


async def test_a_registry_that_refuses_us_fails_before_anything_is_done(place: Place) -> None:
    place.aws.fault = lambda action: "AccessDeniedException" if action == "DescribeImages" else None
    with pytest.raises(Failed, match="Nothing was rolled out"):
        await place.deploy.run(place.row())
    assert place.github.dispatched == []


async def test_a_command_whose_answer_was_lost_is_found_and_not_sent_twice(place: Place) -> None:
    has_image(place)
    place.aws.fault = times(1, "lost", of=lambda action: action == "SendCommand")
    assert (await place.deploy.run(place.row()))["commit"] == NEW
    assert len(place.aws.rollouts) == 1


async def test_an_aws_that_is_away_at_the_check_is_waited_for_and_nothing_is_switched_back(place: Place) -> None:
    has_image(place)
    place.aws.fault = times(12, "cut", of=lambda action: action == "DescribeDocument")
    row = place.row()
    assert (await place.deploy.run(row))["commit"] == NEW
    assert [command.parameters["Image"] for command in place.aws.rollouts] == [NEW_IMAGE]


async def test_a_check_that_can_never_be_made_asks_a_human_and_switches_nothing_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout_module, "SEEN_WITHIN_S", 0.2, raising=False)
    has_image(place)
    place.aws.fault = lambda action: "AccessDeniedException" if action == "DescribeDocument" else None
    with pytest.raises(Interrupted, match="cannot be seen"):
        await place.deploy.run(place.row())
    assert len(place.aws.rollouts) == 1
    assert place.aws.serving["commit"] == NEW


# ---- failures and the way back ---------------------------------------------------------------------------------------


async def test_a_version_that_does_not_answer_is_switched_back_and_that_is_checked(place: Place) -> None:
    has_image(place)
    place.site.answer_with = lambda: None if place.aws.serving["commit"] == NEW else {"status": "ok", "commit": OLD}
    with pytest.raises(Failed, match=f"{OLD[:7]} serves again"):
        await place.deploy.run(place.row())
    assert place.aws.serving["commit"] == OLD
    assert place.github.statuses[-1] == "failure"


async def test_a_way_back_that_the_service_does_not_confirm_is_not_claimed(place: Place) -> None:
    has_image(place)
    place.site.answer_with = lambda: None
    with pytest.raises(Failed, match="does not answer"):
        await place.deploy.run(place.row())


async def test_a_way_back_that_fails_is_said_loudly(place: Place) -> None:
    has_image(place)
    place.site.answer_with = lambda: None

    def only_forward(aws: Aws, command: Command) -> None:
        if command.parameters["Image"] == NEW_IMAGE:
            aws.roll_out(command)
        else:
            aws.fail(command, 1, "::failed health it died\n")

    place.aws.carry_out = only_forward
    with pytest.raises(Failed, match=f"FAILED too, {NEW[:7]} still serves"):
        await place.deploy.run(place.row())


async def test_a_way_back_whose_end_cannot_be_seen_is_not_called_failed(place: Place) -> None:
    has_image(place)
    place.site.answer_with = lambda: None
    lost = times(1, "cut", of=lambda action: action == "GetCommandInvocation" and len(place.aws.rollouts) == 2)
    place.aws.fault = lost
    place.site.answer_with = lambda: None if place.aws.serving["commit"] == NEW else {"status": "ok", "commit": OLD}
    with pytest.raises(Failed, match="serves again"):
        await place.deploy.run(place.row())


async def test_a_cancel_during_the_way_back_does_not_stop_it_halfway(place: Place) -> None:
    has_image(place)
    place.site.answer_with = lambda: None if place.aws.serving["commit"] == NEW else {"status": "ok", "commit": OLD}

    def slowly_back(aws: Aws, command: Command) -> None:
        if command.parameters["Image"] == NEW_IMAGE:
            aws.roll_out(command)

    place.aws.carry_out = slowly_back
    row = place.row()
    task = await started(place, row)
    await until(lambda: len(place.aws.rollouts) == 2)
    row.cancel_requested.set()
    await asyncio.sleep(0.4)
    assert place.aws.rollouts[1].status == "InProgress"
    place.aws.roll_out(place.aws.rollouts[1])
    with pytest.raises(Failed, match="serves again"):
        await task


async def test_a_result_that_was_cut_off_is_asked_of_the_host_instead(place: Place) -> None:
    has_image(place)

    def talkative(aws: Aws, command: Command) -> None:
        aws.roll_out(command)
        command.output = ("x" * 24000) + "--output truncated--"

    place.aws.carry_out = talkative
    result = await place.deploy.run(place.row())
    assert result["commit"] == NEW
    assert result["previous"] == {"image": OLD_IMAGE, "commit": OLD}


async def test_a_time_limit_that_came_after_the_switch_is_no_failure_of_the_new_version(place: Place) -> None:
    has_image(place)

    def too_slow(aws: Aws, command: Command) -> None:
        aws.roll_out(command)
        command.status, command.code, command.output = "TimedOut", -1, ""

    place.aws.carry_out = too_slow
    row = place.row()
    assert (await place.deploy.run(row))["commit"] == NEW
    assert any("TimedOut" in note for note in row.notes)


async def test_a_service_without_an_address_is_checked_on_the_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch, address=False) as place:
        has_image(place)
        result = await place.deploy.run(place.row())
        assert result["commit"] == NEW
        assert len(place.aws.rollouts) == 1
        assert result["health"]["status"] == "not asked"


async def test_an_operation_goes_to_the_host_that_was_approved_whatever_the_configuration_says_now(
    place: Place,
) -> None:
    has_image(place)
    entry = place.catalog.entry("dev", "app")
    other = {**entry, "environment": {**entry["environment"], "instance_id": "i-00000000"}}  # type: ignore[dict-item]
    row = place.row(catalog=other)
    seen: list[Any] = []
    real = place.aws._sent
    place.aws._sent = lambda body: seen.append(body["InstanceIds"]) or real(body)  # type: ignore[method-assign,func-returns-value]
    await place.deploy.run(row)
    assert seen[0] == ["i-00000000"]


async def test_a_rollback_runs_while_github_is_away(place: Place) -> None:
    place.github.fault = lambda _request: "cut"
    row = place.row("rollback")
    result = await place.rollback.run(row)
    assert result["image"] == NEW_IMAGE
    assert any("no deployment record" in note for note in row.notes)

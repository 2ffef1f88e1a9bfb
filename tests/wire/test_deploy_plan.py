"""What a plan shows and binds, and what makes it stale: against the sandbox's GitHub, a scripted AWS and a service."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.errors import Refused, Unavailable
from bot.ops.model import Operation, Plan, Request, Status, canonical
from tests.wire.deploy_room import Place, operation
from tests.wire.deploy_room import opened as opened_place
from tests.wire.sandbox_github import GithubWorld, make_source, opened


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GithubWorld]:
    home: Path = tmp_path_factory.mktemp("plan")
    async with opened(home / "github", make_source(home / "source")) as opened_world:
        yield opened_world


@pytest.fixture
async def place(world: GithubWorld, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    async with opened_place(monkeypatch, world=world) as place:
        place.aws.serving = {"image": image(1), "commit": await world.part.head("main~2")}
        yield place


def image(number: int) -> str:
    return f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/app@sha256:{number:064x}"


async def push(world: GithubWorld, text: str, *, green: bool = True) -> str:
    sha = str((await world.part.push({"files": {"app/CHANGES.md": text}, "message": f"Say {text} (#41)"}))["sha"])
    await world.part.checks({"sha": sha, "conclusion": "success" if green else "failure"})
    return sha


async def planned(
    place: Place, environment: str = "dev", ref: str = "main", kind: str = "deploy", **params: Any
) -> Plan:
    handler = place.deploy if kind == "deploy" else place.rollback
    wanted = {"service": "app", **({"ref": ref} if kind == "deploy" else {}), **params}
    return await handler.plan(Request("key", kind, environment, wanted), "dev")


def asked_for(plan: Plan, *, quorum: int = 0, kind: str = "deploy") -> Operation:
    """The operation of a plan, as it comes back from the database."""
    content = json.loads(canonical(plan.content))
    return operation(kind=kind, environment=plan.environment, plan=content, quorum=quorum)


def succeeded(number: int, commit: str) -> Operation:
    result = {"commit": commit, "image": image(number)}
    return operation(id=number, target=commit[:7], result=result, ended_at=datetime.now(UTC))


async def test_a_plan_shows_the_commits_between_newest_first(world: GithubWorld, place: Place) -> None:
    sha = await push(world, "one")
    plan = await planned(place)
    assert plan.target == sha[:7]
    assert plan.shown["commits"][0] == {"sha": sha[:7], "title": "Say one (#41)", "author": "harbour-dev", "pr": 41}
    assert plan.shown["commits_total"] == len(plan.shown["commits"])
    assert plan.content["replaces"]["commit"] == place.aws.serving["commit"]
    assert plan.shown["image_ready"] is False


async def test_a_plan_is_the_same_content_after_the_database(world: GithubWorld, place: Place) -> None:
    await push(world, "two")
    plan = await planned(place)
    assert canonical(json.loads(canonical(plan.content))) == canonical(plan.content)
    assert await place.deploy.recheck(asked_for(plan)) == ""


async def test_deploying_what_runs_already_asks_first(world: GithubWorld, place: Place) -> None:
    sha = await push(world, "three")
    place.aws.serving = {"image": image(3), "commit": sha}
    assert f"already runs {sha[:7]}" in (await planned(place)).confirm
    place.site.answer_with = lambda: None
    assert (await planned(place)).confirm == "", "what does not answer is worth a deploy"


async def test_prod_takes_what_runs_in_dev_and_only_with_green_checks(world: GithubWorld, place: Place) -> None:
    runs = await push(world, "four")
    place.aws.serving = {"image": image(4), "commit": runs}
    await push(world, "not yet for prod")
    assert (await planned(place, "prod", ref="")).content["commit"] == runs
    red = await push(world, "broken", green=False)
    with pytest.raises(Refused, match="red"):
        await planned(place, "prod", ref=red)
    assert (await planned(place, "dev", ref=red)).content["commit"] == red


async def test_what_runs_and_was_never_in_this_repository_is_compared_with_nothing(
    world: GithubWorld, place: Place
) -> None:
    place.aws.serving = {"image": image(5), "commit": "f" * 40}
    plan = await planned(place)
    assert (plan.shown["commits"], plan.shown["commits_total"]) == ([], 0)


async def test_checks_that_turn_red_make_it_stale_and_checks_that_run_again_are_waited_for(
    world: GithubWorld, place: Place
) -> None:
    sha = await push(world, "five")
    waits = asked_for(await planned(place, "prod"))
    assert await place.deploy.recheck(waits) == ""
    await world.part.checks({"sha": sha, "conclusion": None})
    with pytest.raises(Unavailable, match="still running"):
        await place.deploy.recheck(waits)
    await world.part.checks({"sha": sha, "conclusion": "failure"})
    assert "are red" in await place.deploy.recheck(waits)


async def test_a_commit_that_left_its_branch_makes_it_stale(world: GithubWorld, place: Place) -> None:
    base = await push(world, "six")
    await push(world, "seven")
    waits = asked_for(await planned(place, "prod"))
    await world.part.branch({"name": "main", "sha": base})
    assert "on no branch" in await place.deploy.recheck(waits)


async def test_newer_commits_on_the_branch_do_not_make_it_stale(world: GithubWorld, place: Place) -> None:
    await push(world, "eight")
    waits = asked_for(await planned(place, "prod"), quorum=1)
    await push(world, "nine")
    assert await place.deploy.recheck(waits) == ""


async def test_another_version_in_its_place_makes_an_approved_one_stale_and_not_a_queued_one(
    world: GithubWorld, place: Place
) -> None:
    await push(world, "ten")
    plan = await planned(place)
    place.aws.serving = {"image": image(6), "commit": await world.part.head("main~1")}
    assert "not" in await place.deploy.recheck(asked_for(plan, quorum=1))
    assert await place.deploy.recheck(asked_for(plan, quorum=0)) == ""


async def test_another_build_workflow_makes_an_approved_one_stale_unless_nothing_is_built(
    world: GithubWorld, place: Place
) -> None:
    sha = await push(world, "eleven")
    plan = await planned(place)
    place.aws.images[plan.content["image_tag"]] = image(7).split("@")[1]
    ready = await planned(place, ref=sha)
    text = (await world.part.head("main"), Path(".github/workflows/build-image.yml").read_text(encoding="utf-8"))[1]
    await world.part.push(
        {"files": {".github/workflows/build-image.yml": text + "# changed\n"}, "message": "Change it"}
    )
    assert "workflow" in await place.deploy.recheck(asked_for(plan, quorum=1))
    assert await place.deploy.recheck(asked_for(ready, quorum=1)) == ""


async def test_a_changed_catalog_makes_it_stale(world: GithubWorld, place: Place) -> None:
    waits = asked_for(await planned(place))
    moved = json.loads(json.dumps(waits.plan))
    moved["catalog"]["environment"]["instance_id"] = "i-00000000"
    assert "catalog entry" in await place.deploy.recheck(replace(waits, plan=moved))


async def test_a_github_that_is_away_is_no_reason_to_be_stale(world: GithubWorld, place: Place) -> None:
    waits = asked_for(await planned(place))
    world.faults.add(part="github", kind="refuse")
    try:
        with pytest.raises(Unavailable):
            await place.deploy.recheck(waits)
    finally:
        world.faults.clear()


# ---- rolling back ----------------------------------------------------------------------------------------------------

FIRST, SECOND, THIRD = "1" * 40, "2" * 40, "3" * 40


def with_past(place: Place) -> None:
    place.past.deploys = [succeeded(13, THIRD), succeeded(12, SECOND), succeeded(11, FIRST)]
    place.aws.serving = {"image": image(13), "commit": THIRD}


async def test_a_rollback_goes_to_the_version_before_and_asks_no_github(world: GithubWorld, place: Place) -> None:
    with_past(place)
    world.faults.add(part="github", kind="refuse")
    try:
        plan = await planned(place, kind="rollback")
        assert await place.rollback.recheck(asked_for(plan, kind="rollback")) == ""
    finally:
        world.faults.clear()
    assert (plan.content["commit"], plan.content["image"]) == (SECOND, image(12))


@pytest.mark.parametrize("to", ["11", "#11", FIRST[:7], FIRST])
async def test_a_rollback_goes_where_it_is_told(place: Place, to: str) -> None:
    with_past(place)
    assert (await planned(place, kind="rollback", to=to)).content["commit"] == FIRST


@pytest.mark.parametrize("to", ["99", "4444444", THIRD[:7], "111", "x"])
async def test_a_rollback_to_what_never_served_here_is_refused_with_what_did(place: Place, to: str) -> None:
    with_past(place)
    with pytest.raises(Refused, match="no earlier version") as refusal:
        await planned(place, kind="rollback", to=to)
    assert SECOND[:7] in refusal.value.hint


async def test_without_a_past_there_is_nothing_to_go_back_to(place: Place) -> None:
    with pytest.raises(Refused, match="No earlier version"):
        await planned(place, kind="rollback")


async def test_an_image_that_the_registry_no_longer_has_cannot_be_gone_back_to(place: Place) -> None:
    with_past(place)
    place.aws.fault = lambda action: "ImageNotFoundException" if action == "DescribeImages" else None
    with pytest.raises(Refused, match="no longer in the registry"):
        await planned(place, kind="rollback")


def holding(place: Place, status: Status, *, kind: str = "deploy", commit: str = "4" * 40) -> Operation:
    """An operation that holds the lock of the service."""
    holder = operation(id=14, kind=kind, environment="dev", plan={"commit": commit})
    holder = replace(holder, status=status, locks=("dev/app",), target=commit[:7], reason="No answer.")
    place.past.interrupted = [holder]
    return holder


@pytest.mark.parametrize("serving", [13, 14])
async def test_a_rollback_takes_the_lock_of_an_interrupted_deploy_over_and_shows_what_answers(
    place: Place, serving: int
) -> None:
    """Wherever the deploy of 4444444 stopped, the last verified version is the target, even where it answers."""
    with_past(place)
    place.aws.serving = {"image": image(serving), "commit": {13: THIRD, 14: "4" * 40}[serving]}
    holding(place, Status.INTERRUPTED)
    plan = await planned(place, kind="rollback")
    assert (plan.content["commit"], plan.takes_over, plan.content["takes_over"]) == (THIRD, (14,), [14])
    assert plan.shown["takes_over"][0]["reason"] == "No answer."
    assert plan.shown["answers"] == {"commit": place.aws.serving["commit"], "known": "live", "healthy": True}
    assert "#14 (deploy of app to dev, 4444444) is interrupted" in plan.confirm
    assert f"answers with {place.aws.serving['commit'][:7]}." in plan.confirm
    taken = replace(asked_for(plan, kind="rollback"), takes_over=plan.takes_over)
    assert await place.rollback.recheck(taken) == ""


async def test_a_host_that_is_silent_is_shown_as_such_before_its_lock_is_taken_over(place: Place) -> None:
    with_past(place)
    holding(place, Status.INTERRUPTED)
    place.site.answer_with = lambda: None
    plan = await planned(place, kind="rollback")
    assert plan.content["commit"] == THIRD
    assert plan.shown["answers"] == {"commit": THIRD, "known": "recorded", "healthy": False}
    assert "The service does not answer now." in plan.confirm


async def test_while_a_deploy_runs_the_way_back_is_the_last_verified_version_and_no_lock_is_taken(
    place: Place,
) -> None:
    with_past(place)
    holding(place, Status.RUNNING)
    plan = await planned(place, kind="rollback")
    assert (plan.content["commit"], plan.takes_over, plan.confirm) == (THIRD, (), "")
    assert "takes_over" not in plan.shown
    assert "already runs" in await place.rollback.recheck(asked_for(plan, kind="rollback"))


async def test_after_an_interrupted_rollback_its_own_target_comes_first(place: Place) -> None:
    with_past(place)
    holding(place, Status.INTERRUPTED, kind="rollback", commit=SECOND)
    assert (await planned(place, kind="rollback")).content["commit"] == SECOND


async def test_how_far_the_branch_has_moved_on_is_told_with_its_newest_commit(world: GithubWorld, place: Place) -> None:
    pinned = await push(world, "pinned")
    assert await place.catalog.moved_on("main", pinned) == (0, None)
    await push(world, "one more")
    newest = await push(world, "and another")
    ahead, head = await place.catalog.moved_on("main", pinned)
    assert (ahead, head.sha if head else "") == (2, newest)
    assert await place.catalog.moved_on("no-such-branch", pinned) == (0, None)


async def test_an_approved_rollback_is_stale_once_something_else_runs(place: Place) -> None:
    with_past(place)
    plan = await planned(place, kind="rollback")
    place.aws.serving = {"image": image(14), "commit": "4" * 40}
    assert "not 3333333 as it was shown" in await place.rollback.recheck(asked_for(plan, quorum=1, kind="rollback"))
    assert await place.rollback.recheck(asked_for(plan, kind="rollback")) == ""
    place.aws.serving = {"image": image(12), "commit": SECOND}
    assert "already runs" in await place.rollback.recheck(asked_for(plan, kind="rollback"))

"""The sandbox's GitHub as a sender of webhooks: what is told, how it is signed, and how a wire can misbehave."""

import asyncio
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from bot.sandbox.cast import GITHUB_REPOSITORY
from bot.sandbox.github.hooks import is_local, signatures
from bot.sandbox.wire import Rejected, listen
from tests.wire.sandbox_github import GithubWorld, make_source, opened, until

SECRET = "It's a Secret to Everybody"


@dataclass
class Received:
    event: str
    guid: str
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """A receiver on this machine that answers as it is told."""

    url: str = ""
    got: list[Received] = field(default_factory=list)
    status: int = 204
    delay_s: float = 0.0

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = request.headers
        self.got.append(Received(headers["X-GitHub-Event"], headers["X-GitHub-Delivery"], dict(headers), body))
        await asyncio.sleep(self.delay_s)
        return web.Response(status=self.status, headers={"Location": "/elsewhere"} if self.status == 302 else None)

    def of(self, event: str) -> list[Any]:
        return [one.payload for one in self.got if one.event == event]


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=25 * 2**20)
    app.router.add_post("/hook", receiver.take)
    runner, port = await listen(app)
    receiver.url = f"http://127.0.0.1:{port}/hook"
    yield receiver
    await runner.cleanup()


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[GithubWorld]:
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as opened_world:
        await opened_world.part.token({"permissions": {
            "actions": "write", "contents": "read", "deployments": "write", "checks": "read", "statuses": "write",
            "metadata": "read", "pull_requests": "read", "repository_hooks": "write",
        }})  # fmt: skip
        yield opened_world


async def hooked(world: GithubWorld, receiver: Receiver, **more: Any) -> int:
    """A hook to the receiver, with its ping taken and forgotten."""
    hook = await world.part.webhook({"url": receiver.url, "secret": SECRET, **more})
    await until(lambda: receiver.got)
    receiver.got.clear()
    return int(hook["id"])


async def quiet(world: GithubWorld, hook: int, count: int) -> list[Any]:
    """The hook's deliveries, newest first, once there are so many."""
    await until(lambda: len(world.part.hooks.deliveries(hook)) >= count)
    return list(await world.get(f"/hooks/{hook}/deliveries?per_page=100"))


# ---- what is told ----------------------------------------------------------------------------------------------------


async def test_a_new_hook_is_pinged_and_signed_as_github_signs(world: GithubWorld, receiver: Receiver) -> None:
    hook = await world.part.webhook({"url": receiver.url, "secret": SECRET, "events": ["push"]})
    await until(lambda: receiver.got)
    ping = receiver.got[0]
    assert (ping.event, ping.payload["hook_id"], ping.payload["repository"]["full_name"]) == (
        "ping",
        hook["id"],
        GITHUB_REPOSITORY,
    )
    mac = hmac.new(SECRET.encode(), ping.body, hashlib.sha256).hexdigest()
    assert ping.headers["X-Hub-Signature-256"] == f"sha256={mac}"
    assert ping.headers["X-GitHub-Hook-ID"] == str(hook["id"])
    assert ping.headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert SECRET not in json.dumps(await world.get("/hooks"))


def test_the_signature_is_that_of_githubs_own_example() -> None:
    signed = signatures(SECRET, b"Hello, World!")["X-Hub-Signature-256"]
    assert signed == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signatures("", b"x") == {}


async def test_a_build_is_told_run_by_run_and_job_by_job(world: GithubWorld, receiver: Receiver) -> None:
    await hooked(world, receiver)
    run_id = await world.dispatch(request="told")
    await world.pushed(run_id)
    await until(lambda: len(receiver.of("workflow_run")) == 3 and len(receiver.of("check_run")) == 2)
    told = [(p["action"], p["workflow_run"]["status"], p["workflow_run"]["conclusion"]) for p in
            receiver.of("workflow_run")]  # fmt: skip
    assert told == [
        ("requested", "queued", None),
        ("in_progress", "in_progress", None),
        ("completed", "completed", "success"),
    ]
    jobs = [(p["action"], p["workflow_job"]["status"], p["workflow_job"]["conclusion"]) for p in
            receiver.of("workflow_job")]  # fmt: skip
    assert jobs == [("queued", "queued", None), ("in_progress", "in_progress", None), ("completed",) * 2 + ("success",)]
    checks = [(p["action"], p["check_run"]["conclusion"]) for p in receiver.of("check_run")]
    assert checks == [("created", None), ("completed", "success")]
    assert receiver.of("workflow_run")[0]["workflow_run"]["display_title"].endswith("[told]")


async def test_a_push_a_forced_branch_and_a_removed_one_are_told(world: GithubWorld, receiver: Receiver) -> None:
    await hooked(world, receiver, events=["push"])
    before = await world.part.head("main")
    sha = (await world.part.push({"files": {"app/x": "1", "README.md": None}, "message": "One", "author": "dev"}))[
        "sha"
    ]
    await world.part.branch({"name": "hotfix", "sha": sha})
    await world.part.branch({"name": "hotfix", "sha": before})
    await world.part.branch({"name": "hotfix", "sha": None})
    await until(lambda: len(receiver.got) == 4)
    pushed, made, forced, gone = receiver.of("push")
    assert (pushed["ref"], pushed["before"], pushed["after"]) == ("refs/heads/main", before, sha)
    assert pushed["pusher"]["name"] == "harbour-dev"
    assert [(c["id"], c["added"], c["removed"]) for c in pushed["commits"]] == [(sha, ["app/x"], ["README.md"])]
    assert (made["created"], made["deleted"], made["before"]) == (True, False, "0" * 40)
    assert (forced["forced"], forced["after"]) == (True, before)
    assert (gone["deleted"], gone["head_commit"], gone["after"]) == (True, None, "0" * 40)


async def test_deployments_and_what_becomes_inactive_are_told(world: GithubWorld, receiver: Receiver) -> None:
    await hooked(world, receiver, events=["deployment", "deployment_status"])
    ids = []
    for _ in range(2):
        body = {"ref": "main", "environment": "dev", "required_contexts": []}
        _, made, _ = await world.send("POST", "/deployments", json=body)
        ids.append(made["id"])
        await world.send("POST", f"/deployments/{made['id']}/statuses", json={"state": "success"})
    await until(lambda: len(receiver.got) == 5)
    assert [p["deployment"]["id"] for p in receiver.of("deployment")] == ids
    states = [(p["deployment"]["id"], p["deployment_status"]["state"]) for p in receiver.of("deployment_status")]
    assert states == [(ids[0], "success"), (ids[0], "inactive"), (ids[1], "success")]


async def test_only_what_was_asked_for_is_sent(world: GithubWorld, receiver: Receiver) -> None:
    await hooked(world, receiver, events=["deployment"])
    await world.part.push({"files": {"app/x": "1"}, "message": "One"})
    await world.send("POST", "/deployments", json={"ref": "main", "environment": "dev", "required_contexts": []})
    await until(lambda: receiver.got)
    assert {one.event for one in receiver.got} == {"deployment"}


# ---- deliveries ------------------------------------------------------------------------------------------------------


async def test_a_delivery_that_failed_is_kept_and_can_be_repeated_under_its_guid(
    world: GithubWorld, receiver: Receiver
) -> None:
    hook = await hooked(world, receiver, events=["push"])
    receiver.status = 503
    await world.part.push({"files": {"app/x": "1"}, "message": "One"})
    failed = (await quiet(world, hook, 2))[0]
    assert (failed["status"], failed["status_code"], failed["redelivery"]) == ("Invalid HTTP Response: 503", 503, False)
    assert (await world.get(f"/hooks/{hook}"))["last_response"]["code"] == 503
    receiver.status = 200
    status, body, _ = await world.send("POST", f"/hooks/{hook}/deliveries/{failed['id']}/attempts")
    assert (status, body) == (202, {})
    again = (await quiet(world, hook, 3))[0]
    assert (again["guid"], again["redelivery"], again["status"]) == (failed["guid"], True, "OK")
    assert receiver.got[0].body == receiver.got[1].body
    assert receiver.got[0].guid == receiver.got[1].guid == failed["guid"]
    whole = await world.get(f"/hooks/{hook}/deliveries/{failed['id']}")
    assert whole["request"]["headers"]["X-GitHub-Event"] == "push"
    assert whole["request"]["payload"] == receiver.got[0].payload


async def test_a_receiver_that_takes_too_long_or_is_not_there_is_written_down_so(
    world: GithubWorld, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = await hooked(world, receiver, events=["push"])
    monkeypatch.setattr(world.part.hooks, "_answer_within_s", 0.2)
    receiver.delay_s = 1.0
    await world.part.push({"files": {"app/x": "1"}, "message": "One"})
    assert (await quiet(world, hook, 2))[0]["status"] == "timed out"
    gone = await world.part.webhook({"url": "http://127.0.0.1:1/", "secret": "s", "events": ["push"]})
    found = await quiet(world, gone["id"], 1)
    assert [(one["status"], one["status_code"], one["event"]) for one in found] == [
        ("failed to connect to host", 0, "ping")
    ]


async def test_a_redirect_is_not_followed(world: GithubWorld, receiver: Receiver) -> None:
    hook = await hooked(world, receiver, events=["push"])
    receiver.status = 302
    await world.send("POST", f"/hooks/{hook}/tests")
    assert (await quiet(world, hook, 2))[0]["status_code"] == 302
    assert len(receiver.got) == 1


async def test_lost_deliveries_are_found_in_the_list_and_repeated(world: GithubWorld, receiver: Receiver) -> None:
    hook = await hooked(world, receiver, events=["push"])
    await world.part.deliveries({"lose": 0.5, "seed": 7})
    for number in range(20):
        await world.part.branch({"name": f"b{number}", "sha": "main"})
    listed = await quiet(world, hook, 21)
    lost = [one for one in listed if one["status"] != "OK"]
    assert 0 < len(lost) < 20
    assert len(receiver.got) == 20 - len(lost)
    assert await world.get(f"/hooks/{hook}/deliveries?status=failure&per_page=100") == lost
    await world.part.deliveries({})
    for one in lost:
        await world.send("POST", f"/hooks/{hook}/deliveries/{one['id']}/attempts")
    await until(lambda: len(receiver.got) == 20)
    assert {one.payload["ref"] for one in receiver.got} == {f"refs/heads/b{number}" for number in range(20)}


async def test_doubled_deliveries_come_twice_under_one_guid_and_shuffled_ones_out_of_order(
    world: GithubWorld, receiver: Receiver
) -> None:
    await hooked(world, receiver, events=["push"])
    await world.part.deliveries({"double": 1.0, "shuffle": 12, "seed": 3})
    for number in range(6):
        await world.part.branch({"name": f"b{number}", "sha": "main"})
    await until(lambda: len(receiver.got) == 12)
    assert set(Counter(one.guid for one in receiver.got).values()) == {2}
    order = [one.payload["ref"] for one in receiver.got]
    assert order != sorted(order)


async def test_deliveries_are_listed_in_pages_by_a_cursor(world: GithubWorld, receiver: Receiver) -> None:
    hook = await hooked(world, receiver, events=["push"])
    for number in range(4):
        await world.part.branch({"name": f"b{number}", "sha": "main"})
    whole = [one["id"] for one in await quiet(world, hook, 5)]
    paged, address = [], world.url(f"/hooks/{hook}/deliveries?per_page=2")
    while address:
        _, page, headers = await world.send("GET", address)
        paged += [one["id"] for one in page]
        address = headers.get("Link", "").partition("<")[2].partition(">")[0]
    assert paged == whole


# ---- hooks -----------------------------------------------------------------------------------------------------------


async def test_hooks_are_made_changed_and_removed_over_the_api(world: GithubWorld, receiver: Receiver) -> None:
    config = {"url": receiver.url, "content_type": "form", "secret": SECRET}
    status, hook, _ = await world.send("POST", "/hooks", json={"config": config, "events": ["push"]})
    assert (status, hook["config"]["secret"], hook["active"]) == (201, "********", True)
    await until(lambda: receiver.got)
    assert receiver.got[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert receiver.got[0].body.startswith(b"payload=%7B")
    one = f"/hooks/{hook['id']}"
    change = {"add_events": ["deployment"], "remove_events": ["push"], "active": False}
    _, changed, _ = await world.send("PATCH", one, json=change)
    assert (changed["events"], changed["active"]) == (["deployment"], False)
    assert (await world.send("POST", f"{one}/pings"))[0] == 204
    assert (await world.send("POST", "/hooks", json={"config": config, "events": ["deployment"]}))[0] == 422
    assert (await world.send("DELETE", one))[0] == 204
    assert await world.get("/hooks") == []
    assert (await world.send("GET", one))[0] == 404


async def test_hooks_survive_a_restart_of_the_world(world: GithubWorld, receiver: Receiver, tmp_path: Path) -> None:
    hook = await hooked(world, receiver)
    await world.part.close()
    async with opened(tmp_path / "github", tmp_path / "source") as again:
        await again.part.branch({"name": "after", "sha": "main"})
        await until(lambda: receiver.got)
        assert receiver.got[0].headers["X-GitHub-Hook-ID"] == str(hook)


async def test_what_an_earlier_world_has_told_is_not_told_again(
    world: GithubWorld, receiver: Receiver, tmp_path: Path
) -> None:
    await hooked(world, receiver, events=["workflow_run"])
    over, under_way = await world.dispatch(), await world.dispatch()
    await world.send("POST", f"/actions/runs/{over}/cancel")
    await until(lambda: len(receiver.got) == 4)
    await world.part.close()
    receiver.got.clear()
    async with opened(tmp_path / "github", tmp_path / "source") as again:
        await again.pushed(under_way)
        await until(lambda: len(receiver.got) == 2)
        told = [(p["workflow_run"]["id"], p["action"]) for p in receiver.of("workflow_run")]
        assert told == [(under_way, "in_progress"), (under_way, "completed")]


@pytest.mark.parametrize(
    "url", ["http://example.com/", "http://192.0.2.1/", "http://127.0.0.1.nip.io/", "ftp://127.0.0.1/", "x", "http://["]
)
async def test_deliveries_never_leave_this_machine(world: GithubWorld, url: str) -> None:
    assert not is_local(url)
    with pytest.raises(Rejected, match="loopback only"):
        await world.part.webhook({"url": url})
    assert (await world.send("POST", "/hooks", json={"config": {"url": url}}))[0] == 422
    assert await world.get("/hooks") == []


async def test_what_makes_no_sense_is_refused(world: GithubWorld, receiver: Receiver) -> None:
    for body in ({"config": {}}, {"config": {"url": 5}}, {"config": {"url": receiver.url, "content_type": "xml"}},
                 {"config": {"url": receiver.url}, "events": [5]}, {"surplus": 1},
                 {"name": "email", "config": {"url": receiver.url}}):  # fmt: skip
        assert (await world.send("POST", "/hooks", json=body))[0] == 422, body
    for wrong in ({"lose": 2}, {"double": -1}, {"shuffle": 0.5}, {"seed": True}, {"surplus": 1}):
        with pytest.raises(Rejected):
            await world.part.deliveries(wrong)
    for wrong_hook in ({}, {"url": receiver.url, "events": "push"}, {"url": receiver.url, "surplus": 1}):
        with pytest.raises(Rejected):
            await world.part.webhook(wrong_hook)


async def test_the_bots_own_token_may_not_touch_hooks(world: GithubWorld) -> None:
    await world.part.token({})
    status, body, headers = await world.send("GET", "/hooks")
    assert (status, headers["X-Accepted-GitHub-Permissions"]) == (403, "repository_hooks=read")
    assert body["message"] == "Resource not accessible by personal access token"

"""The GitHub client against a real server that refuses, hangs, cuts and lies."""

import asyncio
import json
import socket
import threading

import pytest
from aiohttp import web

from bot.clients import github as github_module
from bot.clients.github import GithubClient
from bot.clients.http import HttpClient
from bot.clients.threads import DaemonPool, NeverBegan
from bot.errors import NotVisible, Unavailable, Unknown, Unreachable
from tests.wire.scripted_server import scripted_server


@pytest.fixture
async def server():
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def client(server):
    http = HttpClient()
    github = GithubClient(
        repository="harbour/app",
        api_url=server.url,
        token="t0ken",
        http=http,
        write_pause_s=0,
    )
    yield github
    github.close()
    await http.close()


def answering(status, body, headers=None):
    async def answer(_request):
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers or {}, content_type="application/json")

    return answer


async def cutting(request):
    await request.read()
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, Unavailable, "does not accept our token"),
        (403, Unavailable, "refused the request"),
        (404, NotVisible, "no such thing"),
        (409, Unavailable, "409"),
        (422, Unavailable, "422"),
    ],
)
async def test_a_refusal_is_told_in_a_sentence_and_not_asked_again(server, client, status, kind, words):
    server.answer = answering(status, {"message": "because"})
    with pytest.raises(kind, match=words):
        await client.branches()
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [403, 429])
async def test_a_rate_limit_carries_the_seconds_to_wait(server, client, status):
    server.answer = answering(status, {"message": "secondary rate limit"}, {"Retry-After": "37"})
    with pytest.raises(Unavailable) as caught:
        await client.branches()
    assert caught.value.retry_after_s == 37
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_read_is_tried_again_on_server_faults(server, client, status):
    answers = [answering(status, "oops"), answering(status, "oops"), answering(200, [])]

    async def next_answer(request):
        return await answers.pop(0)(request)

    server.answer = next_answer
    assert await client.branches() == []
    assert len(server.seen) == 3


async def test_a_read_gives_up_after_three_tries(server, client):
    server.answer = answering(502, "oops")
    with pytest.raises(Unavailable):
        await client.branches()
    assert len(server.seen) == 3


@pytest.mark.parametrize("body", ["<html>busy</html>", '{"half":'])
async def test_an_answer_that_is_no_json_is_unavailable(server, client, body):
    server.answer = answering(200, body)
    with pytest.raises(Unavailable, match="not JSON"):
        await client.branches()


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_write_is_never_sent_twice_and_its_fate_is_unknown(server, client, status):
    server.answer = answering(status, "oops")
    with pytest.raises(Unknown):
        await client.dispatch("build-image.yml", "main", {"sha": "a" * 40})
    assert len(server.seen) == 1


async def test_a_write_whose_answer_is_cut_is_unknown(server, client):
    server.answer = cutting
    with pytest.raises(Unknown):
        await client.dispatch("build-image.yml", "main", {})
    assert len(server.seen) == 1


async def test_a_write_that_never_connected_was_certainly_not_sent(client):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    http = HttpClient()
    lonely = GithubClient(
        repository="harbour/app",
        api_url=f"http://127.0.0.1:{port}",
        token="t",
        http=http,
        write_pause_s=0,
    )
    with pytest.raises(Unreachable):
        await lonely.dispatch("build-image.yml", "main", {})
    lonely.close()


async def test_a_server_that_hangs_does_not_hang_us(server, client, monkeypatch):
    monkeypatch.setattr(github_module, "READ_DEADLINE_S", 0.3)
    done = asyncio.Event()

    async def hang(_request):
        await done.wait()
        return web.Response()

    server.answer = hang
    with pytest.raises(Unknown):
        await client.dispatch("build-image.yml", "main", {})
    done.set()


async def test_a_rate_limited_dispatch_was_refused_and_may_be_sent_later(server, client):
    server.answer = answering(403, {"message": "secondary rate limit"}, {"Retry-After": "5"})
    with pytest.raises(Unavailable) as caught:
        await client.dispatch("build-image.yml", "main", {})
    assert not isinstance(caught.value, Unknown)
    assert caught.value.retry_after_s == 5


async def test_the_dispatch_tells_the_run_it_started(server, client):
    server.answer = answering(200, {"workflow_run_id": 77, "run_url": "x", "html_url": "y"})
    assert await client.dispatch("build-image.yml", "main", {"sha": "b"}) == 77


async def test_a_dispatch_without_details_leaves_the_run_to_be_found(server, client):
    server.answer = answering(204, "")
    assert await client.dispatch("build-image.yml", "main", {}) is None


async def test_an_unchanged_answer_is_not_sent_again(server, client):
    conditions = []

    async def answer(request):
        conditions.append(request.headers.get("If-None-Match"))
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304)
        return web.json_response([{"name": "main", "commit": {"sha": "c" * 40}}], headers={"ETag": '"v1"'})

    server.answer = answer
    first, second = await client.branches(), await client.branches()
    assert first == second == [("main", "c" * 40)]
    assert conditions == [None, '"v1"']


async def test_a_branch_is_not_confused_with_another_ref_of_the_same_name(server, client):
    server.answer = answering(200, {"ref": "refs/heads/main-2", "object": {"sha": "d" * 40}})
    assert await client.branch_head("main") is None


async def test_a_jobs_log_is_fetched_elsewhere_without_our_token(server, client):
    tokens = []

    async def answer(request):
        tokens.append(request.headers.get("Authorization"))
        if request.path.endswith("/logs"):
            return web.Response(status=302, headers={"Location": f"{server.url}/signed/log.txt"})
        return web.Response(text="line 1\nline 2\n")

    server.answer = answer
    assert await client.job_log(5) == "line 1\nline 2\n"
    assert tokens[0] is not None
    assert tokens[1] is None


async def test_checks_of_actions_and_other_systems_count_together_and_our_own_builds_do_not(server, client):
    async def answer(request):
        if request.path.endswith("/actions/runs"):
            assert request.query["event"] == "workflow_dispatch"
            return web.json_response({"workflow_runs": [{"id": 9, "check_suite_id": 99}]})
        if request.path.endswith("/check-runs"):
            runs = [
                {"name": "app", "status": "completed", "conclusion": "success", "check_suite": {"id": 1}},
                {"name": "bot", "status": "in_progress", "conclusion": None, "check_suite": {"id": 1}},
                {"name": "build", "status": "completed", "conclusion": "failure", "check_suite": {"id": 99}},
            ]
            return web.json_response({"check_runs": runs})
        return web.json_response({"state": "failure", "statuses": [{"context": "legacy", "state": "error"}]})

    server.answer = answer
    checks = await client.checks("e" * 40)
    assert (checks.state, checks.passed, checks.total, checks.failing) == ("failure", 1, 3, ("legacy",))


async def test_a_write_that_is_accepted_with_nonsense_may_have_been_carried_out(server, client):
    server.answer = answering(200, "<html>a proxy's page</html>")
    with pytest.raises(Unknown):
        await client.dispatch("build-image.yml", "main", {})
    assert len(server.seen) == 1


def checking(pages, statuses=()):
    """A GitHub whose check runs come in these pages."""

    async def answer(request):
        page = int(request.query.get("page", 1))
        if request.path.endswith("/actions/runs"):
            return web.json_response({"workflow_runs": []})
        if request.path.endswith("/check-runs"):
            return web.json_response({"check_runs": pages[page - 1] if page <= len(pages) else []})
        return web.json_response({"statuses": list(statuses)})

    return answer


def check(name, conclusion, suite=1):
    return {"name": name, "status": "completed", "conclusion": conclusion, "check_suite": {"id": suite}}


@pytest.mark.parametrize("order", [("failure", "success"), ("success", "failure")])
async def test_of_two_checks_with_one_name_the_red_one_counts(server, client, order):
    server.answer = checking([[check("test", conclusion, suite) for suite, conclusion in enumerate(order)]])
    assert (await client.checks("e" * 40)).state == "failure"


async def test_a_red_check_on_a_later_page_is_seen(server, client):
    server.answer = checking([[check(f"job {n}", "success") for n in range(100)], [check("job 100", "failure")]])
    checks = await client.checks("e" * 40)
    assert (checks.state, checks.total, checks.failing) == ("failure", 101, ("job 100",))


async def test_a_status_by_another_system_that_waits_makes_it_wait(server, client):
    server.answer = checking([[check("test", "success")]], [{"context": "legacy", "state": "pending"}])
    assert (await client.checks("e" * 40)).state == "pending"


async def test_all_branches_are_found_however_many_there_are(server, client):
    async def answer(request):
        page = int(request.query.get("page", 1))
        names = [f"dependabot/{n}" for n in range(150)] + ["main"]
        return web.json_response(
            [{"name": n, "commit": {"sha": "a" * 40}} for n in names[100 * page - 100 : 100 * page]]
        )

    server.answer = answer
    assert [name for name, _ in await client.branches()][-1] == "main"


@pytest.mark.parametrize("ahead", [1, 100, 101, 250, 730])
async def test_a_long_comparison_shows_the_newest_commits(server, client, ahead):
    def commit(number):
        person = {"date": "2026-08-01T12:00:00Z"}
        return {"sha": f"{number:040x}", "author": None, "commit": {"message": f"Change {number}", "committer": person}}

    async def answer(request):
        first, count = (int(request.query.get("page", 1)) - 1) * 100, min(100, int(request.query["per_page"]))
        listed = [commit(number) for number in range(ahead)][first : first + count]
        body = {"status": "ahead", "ahead_by": ahead, "behind_by": 0, "commits": listed}
        return web.json_response(body)

    server.answer = answer
    found = await client.compare("main", "feature")
    newest = [c.title for c in found.commits[-20:]]
    assert newest == [f"Change {number}" for number in range(max(0, ahead - 20), ahead)]
    assert found.ahead_by == ahead


async def test_a_log_that_is_gone_is_told_and_not_shown_as_a_log(server, client):
    server.answer = answering(410, {"message": "Gone"})
    with pytest.raises(Unavailable, match="410"):
        await client.job_log(5)


async def test_a_call_for_which_no_thread_was_free_was_certainly_not_made():
    pool, gate, made = DaemonPool("test", 1), threading.Event(), []
    first = asyncio.create_task(pool.call(lambda: gate.wait(5), deadline_s=5))
    await asyncio.sleep(0)
    with pytest.raises(NeverBegan):
        await pool.call(lambda: made.append(1), deadline_s=0.1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await pool.call(lambda: made.append(2), deadline_s=5)
    gate.set()
    await first
    await pool.call(lambda: made.append(3), deadline_s=5)
    assert made == [3]
    pool.close()


async def test_a_signed_address_is_never_told(server, client):
    async def answer(request):
        if "/logs" not in request.path:
            return web.Response(status=403)
        return web.Response(status=302, headers={"Location": f"{server.url}/blob?sig=s3cret"})

    server.answer = answer
    with pytest.raises(Unavailable) as caught:
        await client.job_log(5)
    assert "/blob answered 403" in str(caught.value)
    assert "s3cret" not in str(caught.value)


class Notes:
    """What a client told of its service."""

    def __init__(self):
        self.told = []

    def heard(self, part):
        self.told.append((part, True))

    def silent(self, part, why):
        self.told.append((part, False))


@pytest.mark.parametrize(
    ("answer", "heard"),
    [(answering(200, {}), True), (answering(404, {"message": "no"}), True),
     (answering(403, {"message": "slow"}, {"Retry-After": "9"}), True),
     (answering(401, {"message": "who"}), False), (answering(503, "oops"), False), (cutting, False)],
)  # fmt: skip
async def test_a_refusal_is_an_answer_and_a_fault_is_none(server, client, answer, heard):
    client._hearing = notes = Notes()
    server.answer = answer
    try:
        await client.probe()
    except Unavailable:
        pass
    assert notes.told == [("github", heard)], "a probe asks once"

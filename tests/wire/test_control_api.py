"""The control API's manners: what it refuses and how, that it never breaks, and that foreign pages get nowhere."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest
import yarl

from tests.story.world_driver import PREFIX, Json, Refusal, World

JSON = {"Content-Type": "application/json"}
BODIES: list[tuple[str, str, Json]] = [
    ("POST", "/commands", {"user": "dev", "channel": "ops", "command": "ping", "options": {}}),
    (
        "POST",
        "/autocomplete",
        {"user": "dev", "channel": "ops", "command": "deploy", "option": "ref", "text": "m", "options": {}},
    ),
    ("POST", "/components", {"user": "dev", "message": "1", "label": "Approve", "custom_id": "x", "values": ["a"]}),
    ("POST", "/modals", {"user": "dev", "interaction": "1", "fields": {"reason": "x"}}),
    ("POST", "/reactions", {"user": "dev", "message": "1", "emoji": "✅", "remove": False}),
    ("PUT", "/discord/guild", {"mfa_level": 1, "invited": True, "roles": {}, "channels": {}, "left": []}),
    ("PUT", "/discord/limits", {"posts": {"requests": 5, "per_s": 5.0}, "answer_s": 3.0, "reset": False}),
    (
        "POST",
        "/faults",
        {"part": "github", "kind": "latency", "match": "nothing-of-this", "seconds": 1, "times": 1, "for_s": 1},
    ),
    ("POST", "/github/push", {"branch": "odd", "files": {"notes.md": "x"}, "message": "m", "author": "dev"}),
    ("POST", "/github/branch", {"name": "odd", "sha": "main"}),
    ("POST", "/github/tag", {"name": "odd-tag", "sha": "main"}),
    (
        "POST",
        "/github/fork-pull",
        {"branch": "odd", "files": {"notes.md": "x"}, "message": "m", "author": "x", "title": "t"},
    ),
    ("POST", "/github/checks", {"sha": "main", "conclusion": "success", "name": "odd"}),
    (
        "POST",
        "/github/outcome",
        {"workflow": "build-image.yml", "job": "", "step": "", "conclusion": "success", "times": 1},
    ),
    ("POST", "/host/outcome", {"document": "nothing-of-this", "exit_code": 0, "seconds": 0, "times": 1}),
    ("POST", "/members/guest/roles", {"roles": []}),
    ("PUT", "/config", {"patch": {}}),
    ("POST", "/bot", {"action": "stop"}),
    ("POST", "/clock", {"speed": 8}),
    ("POST", "/alerts", {"fixture": "x"}),
    ("POST", "/chaos", {"on": False, "for_s": 1.0, "seed": 1}),
]
"""One request of each kind, with every key that it knows."""
ODD: list[object] = [
    None,
    True,
    -1,
    0,
    10**30,
    1e300,
    0.5,
    "",
    "x" * 5000,
    "../x",
    "\u202e\n",
    [],
    {},
    [None],
    {"a": [{}]},
]


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    """A world without a bot: the control API needs none to refuse."""
    async with World(with_bot=False, speed=8) as world:
        yield world


@pytest.fixture(scope="module")
async def wire() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


async def send(wire: aiohttp.ClientSession, method: str, url: str, **more: object) -> tuple[int, Json]:
    """Status and JSON of one request; a body that is no JSON fails the test."""
    async with wire.request(method, url, **more) as answer:  # type: ignore[arg-type]
        assert answer.content_type == "application/json", (answer.status, await answer.text())
        return answer.status, await answer.json()


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
async def test_a_body_that_is_not_sent_as_json_is_415(world: World, wire, method: str, path: str, body: Json) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        headers = {"Content-Type": kind} if kind else {}
        skip = () if kind else ("Content-Type",)
        status, answer = await send(
            wire,
            method,
            world.url + PREFIX + path,
            data=json.dumps(body).encode(),
            headers=headers,
            skip_auto_headers=skip,
        )
        assert (status, "application/json" in answer["error"]) == (415, True)


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
async def test_an_unknown_key_is_400_with_a_sentence_that_names_it(world: World, wire, method, path, body) -> None:
    status, answer = await send(wire, method, world.url + PREFIX + path, json=body | {"surplus": 1})
    assert status == 400
    assert "surplus" in answer["error"] or path == "/alerts"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"speed": NaN}',
        b'{"speed": 1e999}',
        b'{"speed": "\\ud800"}',
        b'{"a\\u0000": 1}',
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"speed": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda data: repr(data[:20]),
)
async def test_a_body_that_is_no_json_object_is_400(world: World, wire, data: bytes) -> None:
    status, answer = await send(wire, "POST", f"{world.url}{PREFIX}/clock", data=data, headers=JSON)
    assert (status, answer["error"] != "") == (400, True)


async def test_a_body_over_the_limit_is_413(world: World, wire) -> None:
    data = b'{"toml": "' + b"x" * (17 * 2**20) + b'"}'
    status, answer = await send(wire, "PUT", f"{world.url}{PREFIX}/config", data=io.BytesIO(data), headers=JSON)
    assert (status, "MiB" in answer["error"]) == (413, True)


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
async def test_no_value_of_any_key_breaks_the_sandbox(world: World, wire, method: str, path: str, body: Json) -> None:
    for key in body:
        for odd in ODD:
            status, answer = await send(wire, method, world.url + PREFIX + path, json=body | {key: odd})
            assert status < 500, (key, odd, answer)
    await world.clear_faults()


@pytest.mark.parametrize(
    "path",
    [
        "/control/v1/../state",
        "/control/v1/%2e%2e/state",
        "/../../etc/passwd",
        "/%2e%2e/world.py",
        "/..%5cworld.py",
        "/.git/config",
        "/control/v1/interactions/..",
        "/js/../../__main__.py",
    ],
)
async def test_paths_with_dots_or_git_are_refused(world: World, wire, path: str) -> None:
    status, answer = await send(wire, "GET", yarl.URL(world.url + path, encoded=True))
    assert (status, ".git" in answer["error"]) == (400, True)


@pytest.mark.parametrize("path", ["../x", "a/../../x", ".git/config", "a/.git/hooks/x", "/etc/passwd", "a\\..\\x", ""])
async def test_a_push_to_a_path_outside_the_tree_is_refused_and_writes_nothing(world: World, path: str) -> None:
    before = await world.github("branch", name="probe", sha="main")
    with pytest.raises(Refusal) as refusal:
        await world.push({path: "x"}, "sneak")
    assert refusal.value.status == 400
    assert await world.github("branch", name="probe", sha="main") == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/faults/999", 404),
        ("/faults/x", 405),
        ("/interactions/999", 404),
        ("/interactions/x", 404),
        ("/messages", 400),
        ("/messages?channel=nowhere", 404),
        ("/messages?channel=ops&limit=0", 400),
        ("/messages?channel=ops&limit=x", 400),
        ("/messages?channel=ops&after=-1", 400),
        ("/messages?channel=ops&surplus=1", 400),
        ("/messages?channel=ops&channel=general", 400),
        ("/messages?channel=ops&user=nobody", 404),
        ("/requests?part=mars", 400),
        ("/requests?after=1e3", 400),
        ("/state?x=1", 400),
        ("/events?after=x", 400),
    ],
)
async def test_what_makes_no_sense_in_a_get_is_refused_with_a_sentence(
    world: World, wire, path: str, status: int
) -> None:
    method = "DELETE" if path == "/faults/999" else "GET"
    found, answer = await send(wire, method, world.url + PREFIX + path)
    assert (found, answer["error"] != "") == (status, True)


async def test_another_method_is_405_and_says_which_are_allowed(world: World, wire) -> None:
    async with wire.patch(f"{world.url}{PREFIX}/state", json={}) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")


def ports_of(state: Json) -> dict[str, str]:
    """An address on every port that the world says it has."""
    urls = {part["name"]: part["url"] for part in state["parts"] if part["url"]}
    return urls | {f"{s['service']} {s['environment']}": s["url"] for s in state["services"]}


async def test_every_port_of_the_world_refuses_a_foreign_host_and_a_foreign_origin(world: World, wire) -> None:
    ports = ports_of(await world.state())
    assert {"page", "discord", "github", "aws", "app dev", "app prod"} <= set(ports)
    for name, url in ports.items():
        port = urlsplit(url).port
        foreign = [{"Host": "evil.example"}, {"Host": f"evil.example:{port}"}, {"Host": "127.0.0.1:1"}, {"Host": ""}]
        foreign += [{"Origin": o} for o in ("https://evil.example", "null", f"http://127.0.0.1:{port + 1}", "file://")]
        for headers in foreign:
            for method in ("GET", "POST", "OPTIONS"):
                async with wire.request(method, url, headers=headers) as answer:
                    assert answer.status == 403, (name, method, headers, await answer.text())
                    assert "Access-Control-Allow-Origin" not in answer.headers, name


async def test_a_foreign_page_changes_nothing(world: World, wire) -> None:
    before = await world.github("branch", name="untouched", sha="main~1")
    body = {"name": "untouched", "sha": "main"}
    for headers in ({"Origin": "https://evil.example"}, {"Host": "rebound.example:80"}):
        status, _ = await send(wire, "POST", f"{world.url}{PREFIX}/github/branch", json=body, headers=headers)
        assert status == 403
    assert await world.github("tag", name="seen", sha="untouched") == before


async def test_the_page_itself_may_ask(world: World, wire) -> None:
    for origin in (world.url, world.url.replace("127.0.0.1", "localhost")):
        status, _ = await send(
            wire, "POST", f"{world.url}{PREFIX}/clock", json={"speed": 8}, headers={"Origin": origin}
        )
        assert status == 200


async def test_the_page_is_served_with_a_policy_that_allows_only_its_own_scripts(world: World, wire) -> None:
    async with wire.get(f"{world.url}/") as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert answer.status == 200
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    async with wire.get(f"{world.url}{PREFIX}/state") as answer:
        assert (answer.headers["X-Content-Type-Options"], answer.headers["Cache-Control"]) == ("nosniff", "no-store")


async def test_only_files_of_the_page_are_served(world: World, wire) -> None:
    for path in ("/__main__.py", "/world.json", "/missing.js", "/control/v2/state", "/js"):
        status, _ = await send(wire, "GET", world.url + path)
        assert status == 404


async def test_a_fault_is_listed_applied_and_removed(world: World, wire) -> None:
    number = await world.fault("github", "status", status=503, match="^GET /user$", times=1)
    github = (await world.part("github"))["url"]
    assert [f["fault"] for f in (await world.get("/faults"))["faults"]] == [number]
    async with wire.get(f"{github}/user") as answer:
        assert answer.status == 503
    async with wire.get(f"{github}/user") as answer:
        assert answer.status == 401
    assert (await world.get("/faults"))["faults"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"part": "mars", "kind": "status"},
        {"part": "github", "kind": "fire"},
        {"part": "github", "kind": "status", "match": "("},
        {"part": "github", "kind": "status", "status": 200},
        {"part": "github", "kind": "drop_gateway"},
        {"part": "github", "kind": "status", "times": 0},
        {"kind": "status"},
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_and_not_kept(world: World, body: Json) -> None:
    with pytest.raises(Refusal) as refusal:
        await world.post("/faults", body)
    assert refusal.value.status == 400
    assert (await world.get("/faults"))["faults"] == []


async def test_the_bots_configuration_can_be_patched_and_replaced(world: World) -> None:
    toml = (await world.get("/config"))["toml"]
    await world.put_config(patch={"github": {"poll_s": 7.5}, "people": None})
    patched = (await world.get("/config"))["toml"]
    assert "poll_s = 7.5" in patched
    assert "[[people]]" not in patched
    await world.put_config(toml="not = = toml")
    with pytest.raises(Refusal, match="not valid TOML"):
        await world.put_config(patch={"github": {"poll_s": 1}})
    await world.put_config(toml=toml)
    assert (await world.get("/config"))["toml"] == toml


@pytest.mark.parametrize("body", [{}, {"toml": "", "patch": {}}, {"toml": None}, {"patch": {"a": None, "b": [None]}}])
async def test_a_configuration_that_cannot_be_written_is_refused(world: World, body: Json) -> None:
    with pytest.raises(Refusal) as refusal:
        await world.send("PUT", "/config", body)
    assert refusal.value.status == 400


@pytest.mark.parametrize("action", ["kill", "reload"])
async def test_a_bot_that_does_not_run_cannot_be_killed_or_reloaded(world: World, action: str) -> None:
    with pytest.raises(Refusal, match="does not run"):
        await world.bot(action)


async def test_alerts_that_nobody_measures_or_takes_are_refused_with_a_sentence(world: World) -> None:
    with pytest.raises(Refusal, match=r"400: There is no fixture 'high-cpu'; there are: firing-single"):
        await world.post("/alerts", {"fixture": "high-cpu"})
    with pytest.raises(Refusal, match="alert listener does not take it"):
        await world.post("/alerts", {"fixture": "firing-single"})
    with pytest.raises(Refusal, match="Nobody reads the hosts' figures here"):
        await world.post("/monitoring", {"lever": "burn_cpu", "on": True})
    assert (await world.get("/monitoring"))["present"] is False


async def read_events(answer: aiohttp.ClientResponse, count: int) -> list[dict[str, str]]:
    """The next events of a stream, as their fields; comments are passed over."""
    events: list[dict[str, str]] = []
    fields: dict[str, str] = {}
    while len(events) < count:
        line = (await asyncio.wait_for(answer.content.readline(), 10)).decode().rstrip("\n")
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            events.append(fields)
            fields = {}
    return events


async def test_events_are_named_numbered_and_resumed_after_the_last_one_seen(world: World, wire) -> None:
    start = (await world.state())["event"]
    await world.clock(5)
    await world.clock(8)
    url = f"{world.url}{PREFIX}/events"
    async with wire.get(url, params={"after": start}) as answer:
        assert answer.content_type == "text/event-stream"
        first, second = await read_events(answer, 2)
    assert [first["event"], second["event"]] == ["clock", "clock"]
    assert (int(first["id"]) > start, int(second["id"])) == (True, int(first["id"]) + 1)
    async with wire.get(url, headers={"Last-Event-ID": first["id"]}) as answer:
        assert await read_events(answer, 1) == [second]
    assert json.loads(second["data"]) == {"speed": 8.0}


async def test_a_stream_without_a_beginning_tells_what_happens_from_now_on(world: World, wire) -> None:
    async with wire.get(f"{world.url}{PREFIX}/events") as answer:
        await answer.content.readline()
        number = await world.fault("aws", "latency", match="nothing-of-this")
        (event,) = await read_events(answer, 1)
    await world.clear_faults()
    assert (event["event"], json.loads(event["data"])["fault"]) == ("fault", number)


async def test_chaos_is_refused_where_there_is_no_bot_to_be_killed(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await world.post("/chaos", {"on": True})
    assert refused.value.status == 400
    told = await world.get("/chaos")
    assert (told["on"], told["killed"], told["lost"], told["doubled"]) == (False, 0, 0, 0)

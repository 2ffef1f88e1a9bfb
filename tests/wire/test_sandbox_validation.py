"""The comparison of the sandbox with others' descriptions: that a break is found and named, that what is well is left
alone, and that the list of the descriptions' own faults holds nothing that is none.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox import cast
from bot.sandbox.__main__ import invocation
from bot.sandbox.discord.guild import Guild
from bot.sandbox.discord.messages import Messages
from bot.sandbox.github.api_actions import ActionsApi
from bot.sandbox.validation import accepted, documents
from bot.sandbox.validation.accepted import ACCEPTED, Document, FaultGone, amend
from bot.sandbox.validation.documents import DescriptionAbsent, load, missing
from bot.sandbox.validation.findings import Findings, Kind
from bot.sandbox.validation.inspector import DISCORD_CUSTOMS, GITHUB_CUSTOMS, Inspector
from bot.sandbox.validation.rest import RestCheck, Seen
from tests.story.world_driver import ROOT
from tests.wire.discord_world import SmallBot, bare_http, discord_part, running
from tests.wire.sandbox_github import make_source, opened
from tests.wire.test_sandbox_process import run_sandbox

Json = dict[str, Any]

CHANNEL = f"/channels/{cast.CHANNELS['general']}"
SEEN = Seen("GET", "/gateway", {}, {}, False, None, "", 200, "application/json", b'{"url": "wss://here"}')
REPOSITORY = f"/repos/{cast.GITHUB_REPOSITORY}"


def test_every_description_is_there() -> None:
    """Without them nothing else here says anything."""
    if sentence := missing():
        pytest.skip(sentence)


# -- breaks in the sandbox ------------------------------------------------------------------------------------------


def broken(monkeypatch: pytest.MonkeyPatch, kind: type, method: str, change: Callable[[Json], Json]) -> None:
    """From now on what that method answers is changed."""
    whole = getattr(kind, method)
    monkeypatch.setattr(kind, method, lambda self, *given, **more: change(whole(self, *given, **more)))


def found(inspector: Inspector) -> set[str]:
    return {f"{m.operation} {m.direction} {m.pointer}: {m.message}" for m in inspector.findings.mismatches}


async def test_a_message_whose_id_is_a_number_is_found(
    tmp_path: Path, own_inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, Messages, "shown", lambda message: message | {"id": int(message["id"])})
    async with discord_part(tmp_path) as part, bare_http(part) as http:
        answer = await http.post(part.api_url + CHANNEL + "/messages", json={"content": "x"})
        assert answer.status == 200
    assert found(own_inspector) == {'create_message response /id: (an id) is not of type "string"'}


async def test_a_sandbox_that_breaks_over_a_request_is_found_and_written_down_as_a_500(
    tmp_path: Path, own_inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(channel: Json) -> Json:
        raise ValueError("a fault of the sandbox's own")

    async with discord_part(tmp_path) as part, bare_http(part) as http:
        broken(monkeypatch, Guild, "channel", breaks)
        assert (await http.get(part.api_url + CHANNEL)).status == 500
        assert [one["status"] for one in part.ledger.requests("discord", 0)] == [500]
    (only,) = found(own_inspector)
    assert only.startswith("get_channel response : the sandbox broke: ValueError(")


async def test_a_deferred_answer_with_a_message_that_is_none_is_found(own_inspector: Inspector) -> None:
    for message, faults in ((None, 0), ({"id": 7, "nonsense": True}, 1)):
        resource: Json = {"type": 5} | ({"message": message} if message else {})
        interaction = {"id": "1", "type": 2, "response_message_ephemeral": True, "response_message_loading": True}
        answer = json.dumps({"interaction": interaction, "resource": resource}).encode()
        seen = replace(
            SEEN, method="POST", path="/interactions/1/token/callback", query={"with_response": "true"},
            has_body=True, body={"type": 5}, media="application/json", answer=answer,
        )  # fmt: skip
        own_inspector.discord.check(seen)
        assert len({m.pointer for m in own_inspector.findings.mismatches if "resource" in m.pointer}) == faults


async def test_a_channel_without_its_type_is_found(
    tmp_path: Path, own_inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with discord_part(tmp_path) as part, bare_http(part) as http:
        assert (await http.get(part.api_url + CHANNEL)).status == 200
        assert found(own_inspector) == set()
        broken(monkeypatch, Guild, "channel", lambda channel: {k: v for k, v in channel.items() if k != "type"})
        assert (await http.get(part.api_url + CHANNEL)).status == 200
    (only,) = found(own_inspector)
    assert only == 'get_channel response : "type" is a required property'


async def test_a_run_whose_number_is_a_text_is_found(
    tmp_path: Path, own_inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ActionsApi.run_body

    async def run_body(self: ActionsApi, view: Any) -> Json:
        body = await whole(self, view)
        return body | {"run_number": str(body["run_number"])}

    monkeypatch.setattr(ActionsApi, "run_body", run_body)
    async with opened(tmp_path / "github", make_source(tmp_path / "source")) as world:
        run = await world.dispatch()
        await world.run(run)
    assert found(own_inspector) == {
        'actions/get-workflow-run response /run_number: "1" is not of type "integer"',
    }


async def test_a_payload_of_the_gateway_that_lost_a_field_is_found(
    tmp_path: Path, own_inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, Guild, "created", lambda guild: {k: v for k, v in guild.items() if k != "nsfw_level"})
    async with discord_part(tmp_path) as part, running(SmallBot(), part):
        pass
    assert found(own_inspector) == {'op 0 GUILD_CREATE to the client /d: "nsfw_level" is a required property'}


# -- single exchanges -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described() -> dict[Document, Json]:
    if sentence := missing():
        pytest.skip(sentence)
    return {document: load(document) for document in Document}


def judged(described: dict[Document, Json], seen: Seen, *, github: bool = False) -> list[str]:
    """What the comparison says of one exchange."""
    document, kind = (Document.GITHUB, Kind.GITHUB) if github else (Document.DISCORD, Kind.DISCORD)
    findings = Findings()
    check = RestCheck(kind, described[document], findings, customs=GITHUB_CUSTOMS if github else DISCORD_CUSTOMS)
    check.check(seen)
    return [f"{m.operation} {m.direction} {m.pointer}: {m.message}" for m in findings.mismatches]


REFUSAL = b'{"message": "Invalid Form Body", "code": 50035}'
POST = replace(SEEN, method="POST", path=CHANNEL + "/messages", has_body=True, media="application/json")


def test_an_exchange_as_described_is_left_alone(described) -> None:
    assert judged(described, SEEN) == []


def test_an_address_that_nobody_describes_may_only_be_refused(described) -> None:
    nowhere = replace(SEEN, path="/gateway/cat")
    assert judged(described, nowhere) == ["GET /gateway/cat response : no such operation, yet it was answered with 200"]
    assert judged(described, replace(nowhere, status=404, answer=b'{"message": "404: Not Found", "code": 0}')) == []


def test_a_wrong_request_may_be_refused_but_not_carried_out(described) -> None:
    wrong = replace(POST, body={"content": 5}, status=400, answer=REFUSAL)
    assert judged(described, wrong) == []
    (first, *_) = judged(described, replace(wrong, status=204, answer=b""))
    assert first.startswith("create_message request /content: 5 is not of type")


def test_a_breakdown_is_forgiven_only_to_a_fault_that_was_asked_for(described) -> None:
    down = replace(SEEN, status=500, answer=b'{"message": "500: Internal Server Error", "code": 0}')
    assert judged(described, down) == ["get_gateway response : the status 500 is not described for this operation"]
    assert judged(described, replace(down, faulted=True)) == []


def test_a_refusal_has_its_service_s_shape(described) -> None:
    refused = replace(POST, status=400, answer=b'{"error": "no"}')
    assert judged(described, refused) != []
    page = replace(refused, answer=b"<html>", answer_media="text/html")
    assert judged(described, page) != []
    assert judged(described, replace(page, path=REPOSITORY + "/deployments"), github=True) != []


def test_github_is_never_told_a_key_that_it_does_not_know(described) -> None:
    body = {"ref": "main", "environment": "dev", "approver": "sre"}
    made = replace(POST, path=REPOSITORY + "/deployments", body=body, status=202, answer=b'{"message": "merged"}')
    assert judged(described, made, github=True) == [
        "repos/create-deployment request : Additional properties are not allowed ('approver' was unexpected)"
    ]


def test_an_unasked_304_is_found(described) -> None:
    same = replace(SEEN, path=REPOSITORY, status=304, answer=b"", answer_media="")
    assert judged(described, same, github=True) != []
    assert judged(described, replace(same, headers={"If-None-Match": 'W/"1"'}), github=True) == []


def test_a_webhook_is_compared_with_its_headers(own_inspector: Inspector) -> None:
    own_inspector.check_webhook("ping", {"X-GitHub-Event": "ping"}, b'{"zen": "Keep it", "hook_id": "1"}')
    texts = found(own_inspector)
    assert "ping sent /headers/X-Hub-Signature-256: this header is required" in texts
    assert 'ping sent /hook_id: "1" is not of type "integer"' in texts
    own_inspector.check_webhook("pong", {}, b"{}")
    assert "pong sent : no such event is described" in found(own_inspector)


# -- the list of accepted faults ------------------------------------------------------------------------------------


def test_the_accepted_faults_are_few_and_each_says_why() -> None:
    assert len(ACCEPTED) <= 15
    assert all(len(fault.reason) > 30 for fault in ACCEPTED)


def test_an_accepted_fault_that_was_mended_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = replace(ACCEPTED[0], document=Document.DISCORD, places=("/components/x",), true={"type": "string"})
    monkeypatch.setattr(accepted, "ACCEPTED", (fault,))
    with pytest.raises(FaultGone, match="/components/x"):
        amend(Document.DISCORD, {"components": {"x": {"type": "string"}}})
    with pytest.raises(FaultGone):
        amend(Document.DISCORD, {"schemas": {}})


# -- where it is on -------------------------------------------------------------------------------------------------


def test_the_demo_compares_only_when_asked() -> None:
    assert not invocation([], {}).validate
    assert invocation([], {"VALIDATE": "1"}).validate
    assert invocation(["--validate"], {}).validate


# -- the end of a run -----------------------------------------------------------------------------------------------

FAULTY = """
from bot.sandbox.validation.findings import Kind, Mismatch
from tests.inspection import totals


def test_that_sees_something_wrong():
    totals().take({"exchanges": {"discord": 7}, "median_ms": 0.1, "mismatches": []})
    totals().note(Mismatch(Kind.DISCORD, "create_message", "response", "/id", "is no text"))
"""


def test_a_mismatch_fails_a_run_whose_tests_all_pass_and_names_the_test(tmp_path: Path) -> None:
    file = tmp_path / "test_faulty.py"
    file.write_text(FAULTY)
    options = ("-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(file)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 1, run.stdout
    assert "1 passed" in run.stdout and "1 unexplained mismatches" in run.stdout
    assert "7 discord" in run.stdout
    assert "MISMATCH discord: create_message, response, at /id: is no text" in run.stdout
    assert "::test_that_sees_something_wrong" in run.stdout


# -- without the descriptions ---------------------------------------------------------------------------------------


def test_an_absent_description_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(documents.SPECS, str(tmp_path))
    with pytest.raises(DescriptionAbsent, match=r"discord-openapi\.json is absent"):
        Inspector()


async def test_a_world_that_cannot_validate_says_what_is_missing(tmp_path: Path) -> None:
    specs = {documents.SPECS: str(tmp_path)}
    code, said = await run_sandbox("--port", "0", "--home", str(tmp_path / "home"), "--validate", **specs)
    assert code == 69
    assert "cannot be validated" in said and "discord-openapi.json" in said

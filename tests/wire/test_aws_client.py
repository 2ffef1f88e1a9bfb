"""The AWS client against a real server that refuses, hangs, cuts and lies."""

import json
import socket

import pytest
from aiohttp import web

from bot.clients import aws as aws_module
from bot.clients.aws import AwsClient, Document
from bot.errors import NotVisible, Unavailable, Unknown, Unreachable
from tests.wire.scripted_server import scripted_server

DOCUMENT = Document("quarterdeck-deploy", "1", "0" * 64)


@pytest.fixture
async def server():
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def client(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(aws_module, "READ_TIMEOUT_S", 0.4)
    aws = AwsClient(region="eu-central-1", account="123456789012", endpoint_url=server.url)
    yield aws
    await aws.close()


def answering(status, body):
    async def answer(_request):
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, content_type="application/x-amz-json-1.1")

    return answer


def refusing(code, status=400):
    return answering(status, {"__type": code, "message": "because"})


async def send(client):
    return await client.send(DOCUMENT, instance_id="i-0a1b2c3d", parameters={"A": "b"}, comment="c", timeout_s=60)


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidParameters", "ThrottlingException"])
async def test_a_refused_command_was_certainly_not_sent(server, client, code):
    server.answer = refusing(code)
    with pytest.raises(Unavailable, match=code) as caught:
        await send(client)
    assert not isinstance(caught.value, Unknown)
    assert len(server.seen) == 1


async def test_an_unknown_document_is_told_as_missing(server, client):
    server.answer = refusing("InvalidDocument")
    with pytest.raises(NotVisible):
        await send(client)


@pytest.mark.parametrize("status", [500, 503])
async def test_a_command_answered_with_a_server_fault_may_have_been_sent_and_is_sent_once(server, client, status):
    server.answer = answering(status, "{}")
    with pytest.raises(Unknown):
        await send(client)
    assert len(server.seen) == 1


async def test_a_command_whose_answer_is_cut_is_sent_once(server, client):
    async def cut(request):
        await request.read()
        request.transport.abort()
        return web.Response()

    server.answer = cut
    with pytest.raises(Unknown):
        await send(client)
    assert len(server.seen) == 1


async def test_a_read_is_tried_again_on_server_faults(server, client):
    answers = [answering(500, "{}"), answering(200, {"Document": {"DocumentVersion": "3", "Hash": "ab"}})]

    async def next_answer(request):
        return await answers.pop(0)(request)

    server.answer = next_answer
    assert await client.document("quarterdeck-deploy") == Document("quarterdeck-deploy", "3", "ab")


async def test_a_missing_image_is_none_and_not_an_error(server, client):
    server.answer = refusing("ImageNotFoundException")
    assert await client.image_by_tag("app", "fp-0000000000000000") is None


async def test_a_missing_repository_is_told(server, client):
    server.answer = refusing("RepositoryNotFoundException")
    with pytest.raises(NotVisible, match="RepositoryNotFoundException"):
        await client.image_by_tag("app", "fp-0000000000000000")


async def test_an_invocation_that_ssm_does_not_know_yet_is_none(server, client):
    server.answer = refusing("InvocationDoesNotExist")
    assert await client.invocation("11111111-2222-3333-4444-555555555555", "i-0a1b2c3d") is None


async def test_a_lost_command_is_found_by_its_exact_comment(server, client):
    rows = [
        {"CommandId": "2" * 36, "Comment": "quarterdeck op 12"},
        {"CommandId": "1" * 36, "Comment": "quarterdeck op 1"},
    ]
    server.answer = answering(200, {"Commands": rows})
    assert await client.find_command(instance_id="i-0a1b2c3d", comment="quarterdeck op 1") == "1" * 36


async def test_a_host_whose_agent_is_lost_is_not_heard(server, client):
    rows = [{"InstanceId": "i-0a1b2c3d", "PingStatus": "ConnectionLost", "LastPingDateTime": 1.7e9}]
    server.answer = answering(200, {"InstanceInformationList": rows})
    assert await client.agent_heard_at("i-0a1b2c3d") is None


@pytest.mark.parametrize("code", ["ThrottlingException", "TooManyRequestsException"])
async def test_a_throttled_command_was_not_sent_and_says_when_to_ask_again(server, client, code):
    server.answer = refusing(code)
    with pytest.raises(Unavailable) as caught:
        await send(client)
    assert not isinstance(caught.value, Unknown)
    assert caught.value.retry_after_s


async def test_a_command_that_never_connected_was_certainly_not_sent(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with socket.socket() as bound:  # bound and not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        aws = AwsClient(region="eu-central-1", account="123456789012", endpoint_url=address)
        with pytest.raises(Unreachable):
            await send(aws)
        await aws.close()


async def test_a_lost_command_is_found_on_a_later_page(server, client):
    async def answer(request):
        wanted = (await request.json()).get("NextToken") == "two"
        command = {"CommandId": "1" * 36, "Comment": "quarterdeck op 1" if wanted else "other"}
        return web.json_response({"Commands": [command], **({} if wanted else {"NextToken": "two"})})

    server.answer = answer
    assert await client.find_command(instance_id="i-0a1b2c3d", comment="quarterdeck op 1") == "1" * 36


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
    [(answering(200, {"InstanceInformationList": []}), True), (refusing("AccessDeniedException"), True),
     (refusing("UnrecognizedClientException"), False), (answering(500, "{}"), False)],
)  # fmt: skip
async def test_a_refusal_is_an_answer_and_a_fault_is_none(server, client, answer, heard):
    client._hearing = notes = Notes()
    server.answer = answer
    try:
        await client.agent_heard_at("i-0a1b2c3d")
    except Unavailable:
        pass
    assert notes.told == [("aws", heard)]

"""The world's AWS from outside: who may ask, what is refused, the faults, and what a restart keeps."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from botocore.exceptions import ClientError, HTTPClientError

from bot.sandbox.images import ImageRecord
from bot.sandbox.wire import Rejected
from tests.wire.sandbox_cloud import ORIGIN, Cloud

STRANGER = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY")
DOCUMENT = """
schemaVersion: "2.2"
parameters: {}
mainSteps:
  - {action: "aws:runShellScript", name: run, inputs: {runCommand: ["echo done"]}}
"""


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    try:
        await cloud.start()
        yield cloud
    finally:
        await cloud.close()


@pytest.fixture(autouse=True)
def no_faults(cloud: Cloud) -> None:
    cloud.faults.clear()


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return str(response["Error"]["Code"]), int(response["ResponseMetadata"]["HTTPStatusCode"])


def send_command(cloud: Cloud, document: str) -> tuple[str, dict[str, str], str]:
    """A raw SendCommand as a page could send it: path, headers, body."""
    key = cloud.aws.bot_key[0]
    headers = {
        "X-Amz-Target": "AmazonSSM.SendCommand",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20260101/eu-central-1/ssm/aws4_request, Signature=0",
    }
    return "/", headers, json.dumps({"DocumentName": document, "InstanceIds": [cloud.host.instance_id("dev")]})


async def test_the_account_begins_with_what_terraform_makes(cloud: Cloud):
    ecr, ssm, ec2 = await cloud.client("ecr"), await cloud.client("ssm"), await cloud.client("ec2")
    repositories = (await ecr.describe_repositories())["repositories"]
    assert {(r["repositoryName"], r["imageTagMutability"]) for r in repositories} == {
        ("app", "IMMUTABLE"),
        ("bot", "IMMUTABLE"),
    }
    found = await ec2.describe_instances(Filters=[{"Name": "tag:Environment", "Values": ["prod"]}])
    (instance,) = found["Reservations"][0]["Instances"]
    assert (instance["InstanceId"], instance["State"]["Name"]) == (cloud.host.instance_id("prod"), "running")
    documents = (await ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}]))["DocumentIdentifiers"]
    assert {d["Name"] for d in documents} >= {"quarterdeck-deploy", "quarterdeck-status"}
    online = (await ssm.describe_instance_information())["InstanceInformationList"]
    assert {(i["InstanceId"], i["PingStatus"]) for i in online} == {
        (cloud.host.instance_id(e), "Online") for e in ("dev", "prod")
    }


async def test_an_image_is_found_by_its_tag_and_a_second_of_that_tag_is_the_first(cloud: Cloud):
    version = await cloud.version()
    ecr = await cloud.client("ecr")
    tag = f"fp-{version.commit[:16]}"
    (found,) = (await ecr.describe_images(repositoryName="app", imageIds=[{"imageTag": tag}]))["imageDetails"]
    assert (found["imageDigest"], found["imageTags"]) == (version.digest, [tag])

    other = ImageRecord("app", tag, f"sha256:{'2' * 64}", version.commit, 1, "2" * 64)
    assert await cloud.aws.register_image(other) == version.digest


async def test_a_key_of_another_world_is_refused_in_the_words_of_aws(cloud: Cloud):
    for service, call, expected in (
        ("ssm", "describe_instance_information", "UnrecognizedClientException"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("ec2", "describe_instances", "InvalidClientTokenId"),
    ):
        client = await cloud.client(service, STRANGER)
        with pytest.raises(ClientError) as error:
            await getattr(client, call)()
        assert code_of(error) == (expected, 403)


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example.org"}, {"Origin": "http://evil.example.org"}, {"Origin": "null"}]
)
async def test_a_foreign_page_runs_nothing_even_with_the_right_key(cloud: Cloud, headers: dict[str, str]):
    before = (await (await cloud.client("ssm")).list_commands())["Commands"]
    path, own, body = send_command(cloud, "quarterdeck-status")
    url = cloud.aws.endpoint_url + path
    async with aiohttp.ClientSession() as session, session.post(url, headers=own | headers, data=body) as answer:
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert (await (await cloud.client("ssm")).list_commands())["Commands"] == before


async def test_motos_own_port_answers_nobody_but_the_door(cloud: Cloud):
    moto = cloud.aws._child.url
    secret = dict([cloud.aws._child.secret_header])
    path, own, body = send_command(cloud, "quarterdeck-status")
    async with aiohttp.ClientSession() as session:
        for headers in (
            {},
            own,
            own | {"X-Quarterdeck-Door": "guessed"},
            own | secret | {"Origin": ORIGIN},
            own | secret | {"Host": "evil"},
        ):
            async with session.post(moto + path, headers=headers, data=body) as answer:
                assert answer.status == 403
        async with session.post(f"{moto}/moto-api/reset", headers=secret) as answer:
            assert answer.status == 404
        async with session.options(moto, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}) as answer:
            assert answer.status == 403
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_request_cannot_name_its_own_caller(cloud: Cloud):
    path, own, _ = send_command(cloud, "x")
    own |= {"X-Amz-Target": "AmazonSSM.UpdateDocument", "X-Quarterdeck-Caller": "demo"}
    body = json.dumps(
        {"Name": "quarterdeck-status", "Content": DOCUMENT, "DocumentFormat": "YAML", "DocumentVersion": "$LATEST"}
    )
    async with (
        aiohttp.ClientSession() as session,
        session.post(cloud.aws.endpoint_url + path, headers=own, data=body) as answer,
    ):
        assert "AccessDenied" in await answer.text()


@pytest.mark.parametrize("holder", ["bot", "host"])
async def test_only_the_demo_makes_documents(cloud: Cloud, holder: str):
    ssm = await cloud.client("ssm", getattr(cloud.aws, f"{holder}_key"))
    with pytest.raises(ClientError) as error:
        await ssm.create_document(Name="mine", Content=DOCUMENT, DocumentType="Command", DocumentFormat="YAML")
    assert code_of(error)[0] == "AccessDeniedException"


async def test_a_host_sends_no_commands(cloud: Cloud):
    ssm = await cloud.client("ssm", cloud.aws.host_key)
    with pytest.raises(ClientError) as error:
        await ssm.send_command(DocumentName="quarterdeck-status", InstanceIds=[cloud.host.instance_id("prod")])
    assert code_of(error)[0] == "AccessDeniedException"
    assert (await ssm.get_parameters_by_path(Path="/quarterdeck/dev/app/", WithDecryption=True))["Parameters"]


async def test_a_documents_way_around_by_cloudformation_is_closed(cloud: Cloud):
    template = {"Resources": {"D": {"Type": "AWS::SSM::Document", "Properties": {"Content": {}, "Name": "mine"}}}}
    cloudformation = await cloud.client("cloudformation")
    with pytest.raises(ClientError) as error:
        await cloudformation.create_stack(StackName="x", TemplateBody=json.dumps(template))
    assert code_of(error)[0] == "AccessDeniedException"


async def test_every_request_is_in_the_ledger_with_action_and_caller(cloud: Cloud):
    start = len(cloud.ledger.requests("aws", 0))
    await (await cloud.client("ssm")).describe_instance_information()
    await (await cloud.client("sts", cloud.aws.host_key)).get_caller_identity()
    await (await cloud.client("ec2", cloud.aws.demo_key)).describe_instances()
    written = cloud.ledger.requests("aws", 0)[start:]
    assert [(one["action"], one["caller"], one["status"]) for one in written] == [
        ("ssm:DescribeInstanceInformation", "bot", 200),
        ("sts:GetCallerIdentity", "host", 200),
        ("ec2:DescribeInstances", "demo", 200),
    ]


async def test_faults_are_matched_by_action(cloud: Cloud):
    ssm, ecr = await cloud.client("ssm"), await cloud.client("ecr")
    cloud.faults.add("aws", "rate_limit", match="ssm:Describe", times=1)
    await ecr.describe_repositories()
    with pytest.raises(ClientError) as error:
        await ssm.describe_instance_information()
    assert code_of(error) == ("ThrottlingException", 400)
    await ssm.describe_instance_information()
    cloud.faults.add("aws", "status", match="ecr:", status=503, times=1)
    with pytest.raises(ClientError) as error:
        await ecr.describe_repositories()
    assert code_of(error) == ("ServiceUnavailable", 503)
    cloud.faults.add("aws", "refuse", match="^POST /$", times=1)
    with pytest.raises(HTTPClientError):
        await ssm.describe_instance_information()


async def test_a_lost_reply_is_lost_after_the_work_was_done(cloud: Cloud):
    ssm = await cloud.client("ssm")
    cloud.faults.add("aws", "lost_reply", match="ssm:SendCommand", times=1)
    before = len((await ssm.list_commands())["Commands"])
    with pytest.raises(HTTPClientError):
        await cloud.send("quarterdeck-status", {"Environment": "dev", "Service": "app"})
    assert len((await ssm.list_commands())["Commands"]) == before + 1


@pytest.mark.parametrize(
    "body",
    [
        {"sleep": 1},
        {"document": ""},
        {"exit_code": 256},
        {"exit_code": True},
        {"seconds": -1},
        {"seconds": "5"},
        {"times": 0},
    ],
)
async def test_a_lever_that_makes_no_sense_is_rejected(cloud: Cloud, body: dict[str, object]):
    with pytest.raises(Rejected):
        await cloud.aws.outcome(body)


async def test_a_restart_keeps_keys_ports_instances_and_images(tmp_path: Path):
    cloud = Cloud(tmp_path)
    await cloud.start()
    version = await cloud.version()
    kept = (cloud.aws.bot_key, cloud.aws.endpoint_url, cloud.host.instance_id("dev"))
    pid = cloud.aws.pid
    await cloud.close()
    assert not Path(f"/proc/{pid}").exists()
    again = Cloud(tmp_path)
    await again.start()
    try:
        assert (again.aws.bot_key, again.aws.endpoint_url, again.host.instance_id("dev")) == kept
        assert (await again.deploy(version)).status == "Success"
    finally:
        await again.close()


async def test_moto_does_not_outlive_its_world(tmp_path: Path):
    cloud = Cloud(tmp_path)
    await cloud.start()
    process = cloud.aws._child._process
    assert process is not None and process.stdin is not None
    process.stdin.close()  # what the kernel does when the world is killed
    assert await asyncio.wait_for(process.wait(), 10) == 0
    await cloud.close()

"""Run Command as the bot meets it: real scripts, real output, and the states, limits and errors of the service."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bot.sandbox.host.processes import started_ticks
from tests.wire.sandbox_cloud import Cloud

TWO_PARAMETERS = """
schemaVersion: "2.2"
parameters:
  Word: {type: String, allowedPattern: "^[a-z]+( [a-z]+)*$", interpolationType: ENV_VAR}
  Mode: {type: String, default: plain, allowedValues: [plain, fancy], interpolationType: ENV_VAR}
mainSteps:
  - {action: "aws:runShellScript", name: run, inputs: {runCommand: ['echo "$SSM_Mode:$SSM_Word"']}}
"""
PASTING = """
schemaVersion: "2.2"
parameters:
  Word: {type: String, interpolationType: ENV_VAR}
mainSteps:
  - {action: "aws:runShellScript", name: run, inputs: {runCommand: ["echo {{ Word }}"]}}
"""
NOT_ENV_VAR = """
schemaVersion: "2.2"
parameters:
  Word: {type: String}
mainSteps:
  - {action: "aws:runShellScript", name: run, inputs: {runCommand: ["true"]}}
"""


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    try:
        await cloud.start()
        yield cloud
    finally:
        await cloud.close()


async def document(cloud: Cloud, content: str) -> str:
    """A new document made with the demo's key; returns its name."""
    name = f"test-{time.monotonic_ns()}"
    ssm = await cloud.client("ssm", cloud.aws.demo_key)
    await ssm.create_document(Name=name, Content=content, DocumentType="Command", DocumentFormat="YAML")
    return name


async def script(cloud: Cloud, *lines: str, timeout_s: int = 60) -> str:
    """A document that runs these lines."""
    text = "".join(f"          {line}\n" for line in lines)
    return await document(
        cloud,
        'schemaVersion: "2.2"\nparameters: {}\nmainSteps:\n  - action: aws:runShellScript\n    name: run\n'
        f'    inputs:\n      timeoutSeconds: "{timeout_s}"\n      runCommand:\n        - |\n{text}',
    )


async def refusal(cloud: Cloud, **request: Any) -> str:
    """The error code with which SendCommand refuses."""
    ssm = await cloud.client("ssm")
    before = len((await ssm.list_commands())["Commands"])
    wanted = {"InstanceIds": [cloud.host.instance_id("dev")]} | request
    with pytest.raises(ClientError) as error:
        await ssm.send_command(**wanted)
    assert len((await ssm.list_commands())["Commands"]) == before
    return str(error.value.response["Error"]["Code"])


async def test_output_exit_code_and_times_are_real(cloud: Cloud):
    name = await script(cloud, "echo out", "echo err >&2", "exit 3")
    ended = await cloud.ended(await cloud.send(name, {}))
    assert (ended.status, ended.code, ended.output, ended.error) == ("Failed", 3, "out\n", "err\n")
    ssm = await cloud.client("ssm")
    found = await ssm.get_command_invocation(CommandId=ended.id, InstanceId=cloud.host.instance_id("dev"))
    assert found["StatusDetails"] == "Failed"
    assert found["Comment"] == "quarterdeck op 1 test"
    assert found["ExecutionElapsedTime"].startswith("PT")
    assert datetime.fromisoformat(found["ExecutionEndDateTime"].replace("Z", "+00:00")) <= datetime.now(UTC)


async def test_a_command_sees_the_machines_environment_and_nothing_of_the_sandboxs(cloud: Cloud):
    os.environ["QUARTERDECK_DISCORD_TOKEN"] = "canary"
    try:
        ended = await cloud.ended(await cloud.send(await script(cloud, "env", "pwd"), {}))
    finally:
        del os.environ["QUARTERDECK_DISCORD_TOKEN"]
    seen = {line.partition("=")[0] for line in ended.output.splitlines() if "=" in line}
    assert seen <= {"PATH", "HOME", "LANG", "QUARTERDECK_HOST_ENV", "PWD", "SHLVL", "_", "OLDPWD"}
    assert ended.output.splitlines()[-1] == str(cloud.host.machines["dev"].home)


async def test_parameters_reach_the_script_as_variables(cloud: Cloud):
    name = await document(cloud, TWO_PARAMETERS)
    ended = await cloud.ended(await cloud.send(name, {"Word": "hello world"}))
    assert ended.output == "plain:hello world\n"


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"Word": ["hello"], "Other": ["x"]},
        {"Word": ["hello; touch /tmp/x"]},
        {"Word": ["hello\n"]},
        {"Word": ["$(id)"]},
        {"Word": ["hello", "world"]},
        {"Word": []},
        {"Word": ["hello"], "Mode": ["other"]},
    ],
)
async def test_parameters_that_the_document_does_not_allow_are_refused(cloud: Cloud, parameters: dict[str, list[str]]):
    name = await document(cloud, TWO_PARAMETERS)
    assert await refusal(cloud, DocumentName=name, Parameters=parameters) == "InvalidParameters"


async def test_only_documents_of_this_world_are_run(cloud: Cloud):
    shell = {"commands": ["touch /tmp/never"]}
    assert await refusal(cloud, DocumentName="AWS-RunShellScript", Parameters=shell) == "InvalidDocument"
    assert await refusal(cloud, DocumentName="no-such-document") == "InvalidDocument"
    name = await script(cloud, "true")
    assert await refusal(cloud, DocumentName=name, DocumentVersion="7") == "InvalidDocumentVersion"
    assert (
        await refusal(cloud, DocumentName=name, DocumentHash="0" * 64, DocumentHashType="Sha256") == "InvalidDocument"
    )


@pytest.mark.parametrize("content", [PASTING, NOT_ENV_VAR])
async def test_documents_that_paste_parameters_into_scripts_are_not_run(cloud: Cloud, content: str):
    name = await document(cloud, content)
    assert await refusal(cloud, DocumentName=name, Parameters={"Word": ["x"]}) == "InvalidDocument"


async def test_an_instance_that_is_unknown_or_stopped_is_refused(cloud: Cloud):
    name = await script(cloud, "true")
    assert await refusal(cloud, DocumentName=name, InstanceIds=["i-0123456789abcdef0"]) == "InvalidInstanceId"
    ec2, prod = await cloud.client("ec2"), cloud.host.instance_id("prod")
    await ec2.stop_instances(InstanceIds=[prod])
    assert await refusal(cloud, DocumentName=name, InstanceIds=[prod]) == "InvalidInstanceId"
    await ec2.start_instances(InstanceIds=[prod])
    assert (await cloud.ended(await cloud.send(name, {}, environment="prod"), environment="prod")).status == "Success"


async def test_the_pinned_version_and_hash_are_accepted(cloud: Cloud):
    ssm = await cloud.client("ssm")
    described = (await ssm.describe_document(Name="quarterdeck-status"))["Document"]
    sent = await ssm.send_command(
        DocumentName="quarterdeck-status",
        DocumentVersion=described["DocumentVersion"],
        DocumentHash=described["Hash"],
        DocumentHashType="Sha256",
        InstanceIds=[cloud.host.instance_id("dev")],
        Parameters={"Environment": ["dev"], "Service": ["app"]},
    )
    assert sent["Command"]["Status"] == "Pending" or sent["Command"]["Status"] in ("InProgress", "Success")
    assert (await cloud.ended(sent["Command"]["CommandId"])).result["commit"] == ""


async def test_output_can_be_read_while_the_command_runs_and_a_cancel_ends_it(cloud: Cloud, tmp_path: Path):
    name = await script(cloud, f"trap 'touch {tmp_path}/told; exit 9' TERM", "echo begun", "sleep 60 & wait")
    sent = await cloud.send(name, {})
    running = await cloud.until_said(sent, "begun")
    assert (running.status, running.code) == ("InProgress", -1)
    await (await cloud.client("ssm")).cancel_command(CommandId=sent)
    ended = await cloud.ended(sent)
    assert (ended.status, ended.code) == ("Cancelled", 9)
    assert (tmp_path / "told").exists()


async def test_a_cancelled_command_leaves_no_process_behind(cloud: Cloud, tmp_path: Path):
    name = await script(cloud, f"(trap '' TERM; echo $BASHPID >{tmp_path}/pid; exec sleep 60) &", "echo begun", "wait")
    sent = await cloud.send(name, {})
    await cloud.until_said(sent, "begun")
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.02)
    await (await cloud.client("ssm")).cancel_command(CommandId=sent)
    assert (await cloud.ended(sent)).status == "Cancelled"
    assert started_ticks(int((tmp_path / "pid").read_text())) == 0


async def test_what_ended_before_the_cancel_stays_as_it_ended(cloud: Cloud):
    sent = await cloud.send(await script(cloud, "true"), {})
    await cloud.ended(sent)
    await (await cloud.client("ssm")).cancel_command(CommandId=sent)
    assert (await cloud.look(sent)).status == "Success"


async def test_a_command_over_its_time_is_timed_out(cloud: Cloud):
    ended = await cloud.ended(await cloud.send(await script(cloud, "echo begun", "sleep 60", timeout_s=1), {}))
    assert (ended.status, ended.output) == ("TimedOut", "begun\n")


async def test_output_is_cut_where_the_service_cuts_it(cloud: Cloud):
    ended = await cloud.ended(await cloud.send(await script(cloud, "head -c 30000 /dev/zero | tr '\\0' x"), {}))
    assert len(ended.output) == 24_000
    assert ended.output.endswith("--output truncated--")
    ssm = await cloud.client("ssm")
    (listed,) = (await ssm.list_command_invocations(CommandId=ended.id, Details=True))["CommandInvocations"]
    assert len(listed["CommandPlugins"][0]["Output"]) == 2_500


async def test_commands_are_listed_newest_first_and_by_filter(cloud: Cloud):
    ssm = await cloud.client("ssm")
    name = await script(cloud, "true")
    began = datetime.now(UTC).isoformat()
    sent = [await cloud.send(name, {}) for _ in range(3)]
    for one in sent:
        await cloud.ended(one)
    filters = [{"key": "DocumentName", "value": name}, {"key": "InvokedAfter", "value": began}]
    found = (await ssm.list_commands(Filters=filters))["Commands"]
    assert [c["CommandId"] for c in found] == sent[::-1]
    assert {(c["Comment"], c["Status"], c["CompletedCount"]) for c in found} == {
        ("quarterdeck op 1 test", "Success", 1)
    }
    page = await ssm.list_commands(Filters=filters, MaxResults=2)
    rest = await ssm.list_commands(Filters=filters, MaxResults=2, NextToken=page["NextToken"])
    assert [c["CommandId"] for c in page["Commands"] + rest["Commands"]] == sent[::-1]
    assert (await ssm.list_commands(InstanceId=cloud.host.instance_id("prod"), Filters=filters))["Commands"] == []
    with pytest.raises(ClientError) as error:
        await ssm.list_commands(Filters=[{"key": "Nonsense", "value": "x"}])
    assert error.value.response["Error"]["Code"] in ("InvalidFilterKey", "ValidationException")


async def test_unknown_commands_and_invocations_have_their_own_errors(cloud: Cloud):
    ssm = await cloud.client("ssm")
    sent = await cloud.send(await script(cloud, "true"), {})
    for call, expected in (
        (ssm.cancel_command(CommandId="0" * 36), "InvalidCommandId"),
        (ssm.get_command_invocation(CommandId="0" * 36, InstanceId=cloud.host.instance_id("dev")), "InvalidCommandId"),
        (
            ssm.get_command_invocation(CommandId=sent, InstanceId=cloud.host.instance_id("prod")),
            "InvocationDoesNotExist",
        ),
    ):
        with pytest.raises(ClientError) as error:
            await call
        assert error.value.response["Error"]["Code"] == expected


async def test_targets_are_found_by_tag(cloud: Cloud):
    ssm = await cloud.client("ssm")
    sent = await ssm.send_command(
        DocumentName=await script(cloud, 'basename "$(dirname "$HOME")"'),
        Targets=[{"Key": "tag:Environment", "Values": ["prod"]}],
    )
    assert (await cloud.ended(sent["Command"]["CommandId"], environment="prod")).output == "prod\n"


async def test_the_lever_fails_the_next_runs_of_a_document_with_a_believable_end(cloud: Cloud):
    await cloud.aws.outcome({"document": "quarterdeck-status", "exit_code": 4, "times": 1})
    parameters = {"Environment": "dev", "Service": "app"}
    bent = await cloud.ended(await cloud.send("quarterdeck-status", parameters))
    assert (bent.status, bent.code) == ("Failed", 4)
    assert bent.failed == "::failed status the container engine on this host ended with code 4"
    assert (await cloud.ended(await cloud.send("quarterdeck-status", parameters))).status == "Success"


async def test_the_lever_can_only_delay_a_run_that_then_is_real(cloud: Cloud):
    await cloud.aws.outcome({"document": "quarterdeck-status", "exit_code": None, "seconds": 0.5})
    sent = await cloud.send("quarterdeck-status", {"Environment": "dev", "Service": "app"})
    assert (await cloud.look(sent)).status in ("Pending", "InProgress")
    assert (await cloud.ended(sent)).result["healthy"] is False


async def test_closing_the_world_ends_what_a_command_runs(tmp_path: Path):
    cloud = Cloud(tmp_path / "home")
    await cloud.start()
    name = await script(cloud, f"echo $$ >{tmp_path}/pid", "echo begun", "exec sleep 60")
    await cloud.until_said(await cloud.send(name, {}), "begun")
    pid = int((tmp_path / "pid").read_text())
    assert started_ticks(pid) != 0
    await cloud.close()
    assert started_ticks(pid) == 0

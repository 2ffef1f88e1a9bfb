"""The SSM documents: their form, and that no value of a parameter is ever run, whatever it is made of.

Values go through the sandbox's Run Command, which judges `allowedPattern` and hands them over as the agent does
(`SSM_<name>`), to the scripts on a stand-in machine. A second time they skip the pattern, as if it were not there.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from bot.sandbox.aws.documents import script_of
from tests.infra.conftest import Stopwatch
from tests.wire.sandbox_cloud import ROOT, Cloud

FOLDER = ROOT / "infra" / "host" / "ssm"
VERBS = {"deploy", "rollback", "restart", "logs", "status", "monitoring", "disk-clean", "run-doctor"}
VALID = {
    "Environment": "dev",
    "Service": "app",
    "Image": f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/app@sha256:{'a' * 64}",
    "Commit": "b" * 40,
    "Operation": "7",
    "Lines": "5",
    "Checksum": "c" * 64,
}
PAYLOADS = (
    "$(touch {canary})",
    "`touch {canary}`",
    "; touch {canary} #",
    "| touch {canary}",
    "|| touch {canary}",
    "&& touch {canary}",
    "& touch {canary} &",
    "\ntouch {canary}\n",
    "\r\ntouch {canary}\r\n",
    "'; touch {canary}; '",
    '"; touch {canary}; "',
    '" $(touch {canary}) "',
    "${{IFS}}$(touch${{IFS}}{canary})",
    "a[$(touch {canary})]",
    "x[0$(touch {canary})]=1",
    ">{canary}",
    "<(touch {canary})",
    "@(touch {canary})",
    "$((`touch {canary}`))",
    "{{{{ssm:x}}}}$(touch {canary})",
    "--operation $(touch {canary})",
    "-x",
    "--help",
    "../../../etc/passwd",
    "*",
    "~root",
    "%s%n",
    "\\$(touch {canary})",
    "‮$(touch {canary})",
    "$'\\x74ouch {canary}'",
    "\n",
    "",
)
"""What a shell would run, glob, expand, take for an option, or stumble over."""
DOCUMENTS: dict[str, dict[str, Any]] = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.yaml"))
}


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("documents"))
    try:
        await cloud.start()
        yield cloud
    finally:
        await cloud.close()


def test_there_is_one_document_for_each_verb():
    assert set(DOCUMENTS) == {f"quarterdeck-{verb}" for verb in VERBS}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_parameter_is_a_variable_with_a_pattern_that_takes_whole_values(name: str):
    content = DOCUMENTS[name]
    assert content["schemaVersion"] == "2.2"
    assert content["parameters"]
    for parameter, rules in content["parameters"].items():
        assert (rules["type"], rules["interpolationType"]) == ("String", "ENV_VAR"), parameter
        pattern = rules["allowedPattern"]
        assert (pattern[0], pattern[-1]) == ("^", "$"), parameter
        assert re.fullmatch(pattern, VALID[parameter])
        assert rules["description"].endswith(".")
        assert re.fullmatch(pattern, rules.get("default", VALID[parameter]))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_script_quotes_its_variables_and_refuses_an_agent_that_does_not_pass_them(name: str):
    (step,) = DOCUMENTS[name]["mainSteps"]
    (text,) = step["inputs"]["runCommand"]
    assert step["action"] == "aws:runShellScript"
    assert 30 <= int(step["inputs"]["timeoutSeconds"]) <= 900
    assert "{{" not in text
    call = text.partition("exec ")[2]
    assert call.startswith(f"{name} ")
    assert set(re.findall(r'"\$SSM_(\w+)"', call)) == set(DOCUMENTS[name]["parameters"])
    assert "$" not in re.sub(r'"\$SSM_\w+"', "", call), "every variable stands in quotes"
    assert re.search(r'if \[ -z "\$\{SSM_\w+\+given\}" \]', text)


def hostile_to(name: str, parameter: str, canary: Path) -> list[str]:
    """Values that must not be taken: each payload behind a good value, and some alone, but for what is itself good."""
    texts = [payload.format(canary=canary) for payload in PAYLOADS]
    found = [*texts[::3], *(f"{VALID[parameter]}{text}" for text in texts)]
    pattern = DOCUMENTS[name]["parameters"][parameter]["allowedPattern"]
    return [text for text in found if re.fullmatch(pattern, text) is None]


async def refused(cloud: Cloud, name: str, parameters: dict[str, str]) -> str:
    """The service's word for the refusal; empty when it took the command, whose end is then awaited."""
    try:
        sent = await cloud.send(name, parameters)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    await cloud.ended(sent)
    return ""


async def test_no_value_of_a_parameter_is_taken_that_a_shell_could_run(
    cloud: Cloud, tmp_path: Path, stopwatch: Stopwatch
):
    canary, tried = tmp_path / "canary", 0
    with stopwatch.step("documents: hostile values through Run Command"):
        for name, content in DOCUMENTS.items():
            valid = {parameter: VALID[parameter] for parameter in content["parameters"]}
            for parameter in valid:
                for hostile in hostile_to(name, parameter, canary):
                    tried += 1
                    assert await refused(cloud, name, {**valid, parameter: hostile}) == "InvalidParameters", hostile
    assert tried > 700
    assert not canary.exists()


async def test_a_value_that_got_past_the_pattern_is_refused_by_the_script_and_not_run(
    cloud: Cloud, tmp_path: Path, stopwatch: Stopwatch
):
    canary = tmp_path / "canary"
    environ = dict(cloud.host.command_environ("dev"))

    async def run(name: str, given: dict[str, str]) -> tuple[int, str]:
        script = script_of(DOCUMENTS[name], {parameter: [VALID[parameter]] for parameter in given})
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", script.text, cwd=tmp_path, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            env={**environ, **{f"SSM_{key}": value for key, value in given.items()}}, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode(errors="replace")

    with stopwatch.step("documents: hostile values to the scripts themselves"):
        for name, content in DOCUMENTS.items():
            valid = {parameter: VALID[parameter] for parameter in content["parameters"]}
            for parameter in valid:
                for hostile in hostile_to(name, parameter, canary)[:: len(valid) + 2]:
                    code, said = await run(name, {**valid, parameter: hostile})
                    assert (code, said.splitlines()[-1].partition(" ")[0]) == (1, "::failed"), (name, hostile, said)
    assert not canary.exists()
    assert list(tmp_path.iterdir()) == []


async def test_a_host_refuses_what_is_meant_for_another(cloud: Cloud):
    for name, content in DOCUMENTS.items():
        valid = {parameter: VALID[parameter] for parameter in content["parameters"]}
        ended = await cloud.ended(await cloud.send(name, {**valid, "Environment": "prod"}))
        assert (ended.status, ended.code) == ("Failed", 1)
        assert "this host belongs to 'dev', not to 'prod'" in ended.failed

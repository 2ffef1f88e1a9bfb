"""`quarterdeck doctor` on the demo's configuration, healthy and with one fault planted at a time."""

import asyncio
import re
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.__main__ import main as quarterdeck
from bot.clients.discord_permissions import NEEDED
from bot.console.environment import read
from bot.doctor.command import AREAS
from bot.doctor.findings import Finding, State
from bot.doctor.visit import examined
from bot.sandbox import cast
from bot.sandbox.botconfig import dumps
from bot.settings import SECRETS, parse
from tests.story.host_console import Console
from tests.story.world_driver import World

Json = dict[str, Any]
ELSEWHERE = 1325000000000009999
NOBODY_THERE = "http://127.0.0.1:9"
BOT = cast.BOT_NAME
CARDS = ["VIEW_CHANNEL", "SEND_MESSAGES", "EMBED_LINKS", "ATTACH_FILES", "READ_MESSAGE_HISTORY", "PIN_MESSAGES"]


@dataclass(frozen=True, slots=True)
class Patient:
    """The configuration and the environment that are examined, and the world around them."""

    world: World
    config: Json
    environ: dict[str, str]
    setenv: Callable[[str, str], None]

    async def guild(self, **rules: object) -> None:
        await self.world.send("PUT", "/discord/guild", rules)

    async def token(self, **rights: object) -> None:
        await self.world.send("PUT", "/github/token", rights)

    async def overwrite(self, channel: str, whose: str, *, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()):
        await self.guild(channels={channel: {"overwrites": {whose: {"allow": list(allow), "deny": list(deny)}}}})

    async def examined(self, *only: str) -> dict[str, Finding]:
        settings = parse(dumps(self.config), Path("quarterdeck.toml"), self.environ)
        found = await asyncio.to_thread(examined, settings, only=only or AREAS)
        return {finding.check: finding for finding in found}


@pytest.fixture
async def patient(unmanned_world: World, monkeypatch: pytest.MonkeyPatch):
    """The demo's own configuration, in good health; whatever a test plants is taken out again."""
    world = unmanned_world
    environ = read(world.home / "quarterdeck.env")
    for name in [name for name in environ if name.startswith("AWS_")]:
        monkeypatch.setenv(name, environ[name])
    config = tomllib.loads((world.home / "quarterdeck.toml").read_text(encoding="utf-8"))
    yield Patient(world, config, environ, monkeypatch.setenv)
    await world.clear_faults()
    await world.send("PUT", "/discord/guild", {"reset": True})
    await world.send("PUT", "/github/token", {})
    for environment in ("dev", "prod"):
        await world.post("/host/agent", {"environment": environment})


async def test_on_the_demos_configuration_everything_is_ok(unmanned_world: World) -> None:
    said = await Console(unmanned_world)("doctor")
    assert said.code == 0, said.out + said.err
    *lines, nothing, summary = said.out.rstrip().split("\n")
    assert nothing == "" and summary == f"{len(lines)} checks: {len(lines)} ok."
    assert all(line.startswith("ok ") for line in lines), said.out
    assert len(lines) >= 40


async def test_it_may_look_while_the_bot_runs(world: World) -> None:
    said = await Console(world)("doctor")
    assert said.code == 0, said.out + said.err
    assert re.search(r"ok +discord commands +\d+ commands are registered", said.out)


async def test_programs_get_the_findings_as_json(unmanned_world: World) -> None:
    said = await Console(unmanned_world)("doctor", "--json")
    assert said.code == 0 and said.json["healthy"] is True
    assert {finding["state"] for finding in said.json["findings"]} == {"ok"}
    assert said.err == ""


async def test_it_changes_nothing_outside(patient: Patient) -> None:
    before = {part: await _last(patient.world, part) for part in ("discord", "github", "aws")}
    await patient.examined()
    for part, last in before.items():
        for request in await patient.world.requests(part, after=last):
            # The two posts name a ref that cannot exist: 422 is the answer that it looks for.
            assert request["method"] == "GET" or part == "aws" or request["status"] == 422, request
            assert not request["action"].startswith(("ssm:Send", "ssm:Cancel", "ecr:Put")), request
    state = await patient.world.send("GET", "/messages", query={"channel": "ops"})
    assert state["messages"] == []


async def _last(world: World, part: str) -> int:
    return max((request["n"] for request in await world.requests(part)), default=0)


# ---- one fault at a time -------------------------------------------------------------------------------------------


def edit(*path: str, to: object) -> Callable[[Patient], Awaitable[None]]:
    """Change one value of the configuration."""

    async def plant(patient: Patient) -> None:
        table = patient.config
        for key in path[:-1]:
            table = table[key]
        table[path[-1]] = to

    return plant


def lever(name: str, *words: object, **more: object) -> Callable[[Patient], Awaitable[None]]:
    """Pull one of the patient's levers."""

    async def plant(patient: Patient) -> None:
        await getattr(patient, name)(*words, **more)

    return plant


def agent(**more: object) -> Callable[[Patient], Awaitable[None]]:
    async def plant(patient: Patient) -> None:
        await patient.world.post("/host/agent", {"environment": "prod", **more})

    return plant


def secret(name: str, value: str) -> Callable[[Patient], Awaitable[None]]:
    async def plant(patient: Patient) -> None:
        patient.environ[name] = value

    return plant


def fault(part: str, kind: str, **more: object) -> Callable[[Patient], Awaitable[None]]:
    async def plant(patient: Patient) -> None:
        await patient.world.fault(part, kind, **more)

    return plant


def variable(name: str, value: str) -> Callable[[Patient], Awaitable[None]]:
    """Change a variable that a vendor's SDK reads by itself."""

    async def plant(patient: Patient) -> None:
        patient.setenv(name, value)

    return plant


async def no_credentials(patient: Patient) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patient.setenv(name, "")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        patient.setenv(name, str(patient.world.home / "nowhere"))


async def people_without_sre(patient: Patient) -> None:
    for person in patient.config["people"]:
        person["duties"] = [duty for duty in person["duties"] if duty != "sre"]


async def two_people_with_one_account(patient: Patient) -> None:
    patient.config["people"][2]["discord_id"] = patient.config["people"][1]["discord_id"]


async def a_duty_that_is_no_role(patient: Patient) -> None:
    patient.config["people"][5]["duties"] = ["chef"]


async def a_folder_that_is_a_file(patient: Patient) -> None:
    patient.config["state_dir"] = str(patient.world.home / "quarterdeck.toml" / "state")


async def a_service_that_is_down(patient: Patient) -> None:
    patient.config["services"]["app"]["urls"]["dev"] = "http://127.0.0.1:9"


async def an_empty_repository(patient: Patient) -> None:
    patient.config["services"]["app"]["image_repository"] = "bot"


async def an_environment_without_policy(patient: Patient) -> None:
    patient.config["environments"]["staging"] = patient.config["environments"]["dev"]


WRONG, WARNING = State.WRONG, State.WARNING
WRITE, READ = "write", "read"
FAULTS = {
    "another token's text": (
        secret("QUARTERDECK_DISCORD_TOKEN", "MTA.SANDBX.other"),
        *("discord token", WRONG, "does not accept the token", "Reset Token"),
    ),
    "another application": (
        edit("discord", "application_id", to=ELSEWHERE),
        *("discord application", WRONG, str(cast.APPLICATION_ID), "discord.application_id"),
    ),
    "a public application": (
        lever("guild", application={"public": True}),
        *("discord application", WARNING, "anybody may invite", "Public Bot"),
    ),
    "privileged intents": (
        lever("guild", application={"flags": 1 << 18}),
        *("discord intents", WARNING, "message content", "Privileged Gateway Intents"),
    ),
    "another guild": (
        edit("discord", "guild_id", to=ELSEWHERE),
        *("discord guild", WRONG, "not in the guild", "oauth2/authorize"),
    ),
    "not invited yet": (
        lever("guild", invited=False),
        *("discord guild", WRONG, "not in the guild", f"permissions={int(NEEDED)}"),
    ),
    "invited without commands": (
        fault("discord", "status", status=403, match="/commands$"),
        *("discord commands", WRONG, "may not register commands", "applications.commands"),
    ),
    "the bot is an administrator": (
        lever("guild", roles={BOT: {"permissions": ["ADMINISTRATOR"]}}),
        *("discord permissions", WARNING, "administrator", "Administrator"),
    ),
    "the bot may manage roles": (
        lever("guild", roles={BOT: {"permissions": [*CARDS, "MANAGE_ROLES"]}}),
        *("discord permissions", WARNING, "Manage Roles", "switch that off"),
    ),
    "no second factor": (lever("guild", mfa_level=0), "discord 2FA", WARNING, "second factor", "require 2FA"),
    "a channel that was deleted": (
        lever("guild", channels={"audit": {"missing": True}}),
        *("discord channel audit", WRONG, "has no channel", "discord.channels.audit"),
    ),
    "the id of something else": (
        edit("discord", "channels", "alerts", to=ELSEWHERE),
        *("discord channel alerts", WRONG, str(ELSEWHERE), "discord.channels.alerts"),
    ),
    "the bot may not post": (
        lever("overwrite", "ops", BOT, deny=("SEND_MESSAGES",)),
        *("discord channel ops", WRONG, "Send Messages", "allow that for the bot's role"),
    ),
    "the bot does not see the channel": (
        lever("overwrite", "audit", BOT, deny=("VIEW_CHANNEL",)),
        *("discord channel audit", WRONG, "View Channels", "Edit Channel"),
    ),
    "the bot may not read what it wrote": (
        lever("overwrite", "ops", BOT, allow=("SEND_MESSAGES",), deny=("READ_MESSAGE_HISTORY",)),
        *("discord channel ops", WRONG, "Read Message History", "Edit Channel"),
    ),
    "the bot may not pin": (
        lever("overwrite", "ops", BOT, allow=("SEND_MESSAGES",), deny=("PIN_MESSAGES",)),
        *("discord pins in ops", WRONG, "may not pin", "Pin Messages"),
    ),
    "everyone may send": (
        lever("overwrite", "ops", "@everyone", allow=("SEND_MESSAGES",)),
        *("discord members in ops", WARNING, "Send Messages", "deny Send Messages to @everyone"),
    ),
    "everyone may use external apps": (
        lever("overwrite", "audit", "@everyone", allow=("USE_EXTERNAL_APPS",), deny=("SEND_MESSAGES",)),
        *("discord members in audit", WARNING, "Use External Apps", "deny Use External Apps"),
    ),
    "developers may create webhooks": (
        lever("guild", roles={"dev": {"permissions": ["MANAGE_WEBHOOKS"]}}),
        *("discord webhooks", WARNING, "dev may Manage Webhooks", "administrators"),
    ),
    "a channel lets everyone create webhooks": (
        lever("overwrite", "ops", "@everyone", allow=("MANAGE_WEBHOOKS",), deny=("SEND_MESSAGES",)),
        *("discord webhooks", WARNING, "@everyone", "Take Manage Webhooks"),
    ),
    "a role that was deleted": (
        edit("discord", "roles", "dev", to=ELSEWHERE),
        *("discord role dev", WRONG, "has no role", "discord.roles.dev"),
    ),
    "approvers who cannot be pinged": (
        lever("guild", roles={"sre": {"mentionable": False}}),
        *("discord role sre", WRONG, "cannot be pinged in #ops", "allow anyone to mention it"),
    ),
    "everyone is an approver": (
        edit("discord", "roles", "sre", to=cast.GUILD_ID),
        *("discord role sre", WRONG, "that is @everyone", "role of its own"),
    ),
    "a person who left": (
        lever("guild", left=["sre2"]),
        *("discord person sre2", WARNING, "is not in the guild", "people table"),
    ),
    "too few approvers": (people_without_sre, "policy prod", WRONG, "too few", "[[policy]]"),
    "two people with one account": (
        two_people_with_one_account,
        *("people", WRONG, "could vote twice", "own discord_id"),
    ),
    "a duty that is no role": (a_duty_that_is_no_role, "people", WRONG, "duty chef", "The roles are owner, sre, dev"),
    "an environment without policy": (
        an_environment_without_policy,
        *("policy staging", WRONG, "no row of the policy", '"staging"'),
    ),
    "a state directory that is none": (a_folder_that_is_a_file, "state directory", WRONG, "no directory", "state_dir"),
    "a service that is down": (a_service_that_is_down, "service app in dev", WARNING, "cannot be reached", "first"),
    "another GitHub token": (
        secret("QUARTERDECK_GITHUB_TOKEN", "gibberish"),
        *("github repository", WRONG, "does not accept the token", "QUARTERDECK_GITHUB_TOKEN"),
    ),
    "another repository": (
        edit("github", "repository", to="harbour-works/elsewhere"),
        *("github repository", WRONG, "no repository harbour-works/elsewhere", "fine-grained"),
    ),
    "a classic token without repo": (
        lever("token", scopes=["read:user"]),
        *("github repository", WRONG, "a classic token with the scopes: read:user", "fine-grained"),
    ),
    "a classic token with everything": (
        lever("token", scopes=["repo", "admin:org", "delete_repo"]),
        *("github token", WARNING, "admin:org, delete_repo", "fine-grained"),
    ),
    "a token that cannot dispatch": (
        lever("token", permissions={"actions": READ, "checks": READ, "contents": READ, "deployments": WRITE,
                                    "metadata": READ, "statuses": READ}),
        *("github Actions: write", WRONG, "lacks Actions: write (GitHub wants actions=write)", "fine-grained"),
    ),
    "a token that cannot read checks": (
        lever("token", permissions={"actions": WRITE, "contents": READ, "deployments": WRITE, "metadata": READ,
                                    "statuses": READ}),
        *("github Checks: read", WRONG, "lacks Checks: read", "fine-grained"),
    ),
    "a token that cannot record deployments": (
        lever("token", permissions={"actions": WRITE, "checks": READ, "contents": READ, "deployments": READ,
                                    "metadata": READ, "statuses": READ}),
        *("github Deployments: write", WRONG, "lacks Deployments: write", "fine-grained"),
    ),
    "a workflow that is not there": (
        edit("github", "workflow", to="no-such.yml"),
        *("github workflow", WRONG, "no workflow no-such.yml", "github.workflow"),
    ),
    "a workflow of another kind": (
        edit("github", "workflow", to="checks.yml"),
        *("github workflow", WRONG, "does not take what the bot gives it", "Take the file"),
    ),
    "another default branch": (
        edit("github", "default_branch", to="trunk"),
        *("github repository", WRONG, "default branch of harbour-works/quarterdeck is main", 'default_branch = "main"'),
    ),
    "a branch that is not there": (
        edit("environments", "dev", "default_ref", to="nowhere"),
        *("github branch nowhere", WRONG, "no branch nowhere", "default_ref"),
    ),
    "no AWS credentials": (no_credentials, "aws identity", WRONG, "no AWS credentials", "AWS_ACCESS_KEY_ID"),
    "AWS credentials that are not accepted": (
        variable("AWS_ACCESS_KEY_ID", "SANDBX0000000000"),
        *("aws identity", WRONG, "does not accept the credentials", "Renew them"),
    ),
    "another AWS account": (
        edit("aws", "account", to="210987654321"),
        *("aws identity", WRONG, f"belong to the account {cast.AWS_ACCOUNT}", "aws.account"),
    ),
    "a document that is not there": (
        edit("aws", "deploy_document", to="quarterdeck-gone"),
        *("aws document quarterdeck-gone", WRONG, "no SSM document", "infra/host/ssm"),
    ),
    "a right that is missing": (
        fault("aws", "status", status=403, match="ssm:ListCommands"),
        *("aws commands", WRONG, "may not ssm:ListCommands", "policy from the README"),
    ),
    "an instance that is not there": (
        edit("environments", "dev", "instance_id", to="i-0000000000000dead"),
        *("aws host dev", WRONG, "does not know i-0000000000000dead", "AmazonSSMManagedInstanceCore"),
    ),
    "an agent that is silent": (
        agent(online=False),
        *("aws host prod", WRONG, "is silent (ConnectionLost", "amazon-ssm-agent"),
    ),
    "an agent that is old": (agent(version="3.3.987.0"), "aws host prod", WRONG, "older than", "AWS-UpdateSSMAgent"),
    "an image repository that is not there": (
        edit("services", "app", "image_repository", to="gone"),
        *("aws images app", WRONG, "no image repository gone", "image_repository"),
    ),
    "an image repository without images": (
        an_empty_repository,
        *("aws images app", WARNING, "is empty", "nothing was deployed yet"),
    ),
    "critical alerts that call nobody": (
        edit("alerts", to={"channel": "ops"}),
        *("monitoring calls in prod", WARNING, "the route default, which calls nobody", "alerts.role"),
    ),
    "an Alertmanager without a heartbeat": (
        edit("alerts", to={"role": "sre", "channel": "ops", "alertmanagers": [NOBODY_THERE]}),
        *("monitoring heartbeat", WARNING, "nobody hears of it", "alerts.heartbeats"),
    ),
    "a heartbeat that calls nobody": (
        edit("alerts", to={"role": "sre", "channel": "ops", "alertmanagers": [NOBODY_THERE], "heartbeats": [{}]}),
        *("monitoring heartbeat", WARNING, "the loss of Watchdog calls nobody", "a role"),
    ),
    "an Alertmanager that is not there": (
        edit("alerts", "alertmanagers", to=[NOBODY_THERE]),
        *(f"monitoring alertmanager {NOBODY_THERE}", WRONG, "cannot be reached", "its address right"),
    ),
    "a Prometheus that is not there": (
        edit("metrics", to={"url": NOBODY_THERE}),
        *("monitoring prometheus", WRONG, "cannot be reached", "its address right"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
async def test_a_planted_fault_gets_its_line_with_the_mend(name: str, patient: Patient) -> None:
    plant, check, state, says, mend = FAULTS[name]
    await plant(patient)
    area, _, _ = check.partition(" ")
    found = await patient.examined(area if area in AREAS else "house")
    verdict = found[check].verdict
    assert verdict.state is state, found[check]
    assert says in verdict.says and mend in verdict.mend, verdict
    for other in found.values():  # whatever else depends on it is left out, and nothing else is called wrong
        assert other.check == check or other.state is not WRONG or _related(check, other.check), other


def _related(check: str, other: str) -> bool:
    """Whether the same fault shows in both lines."""
    alike = {
        "monitoring heartbeat": ("monitoring alertmanager",),
        "github repository": ("github branch trunk",),
    }
    return any(other.startswith(one) for one in alike.get(check, (check.replace("channel", "pins in"),)))


@pytest.mark.parametrize("part", ["discord", "github", "aws"])
async def test_a_part_that_refuses_connections_does_not_hide_the_others(part: str, patient: Patient) -> None:
    await patient.world.fault(part, "refuse")
    found = await patient.examined()
    own = [finding for check, finding in found.items() if check.startswith(part)]
    assert own[0].state is WRONG and "cannot be reached" in own[0].verdict.says
    assert {finding.state for finding in own[1:]} == {State.NOT_EXAMINED}
    assert {finding.state for check, finding in found.items() if not check.startswith(part)} == {State.OK}


async def test_one_wrong_line_makes_the_exit_code_one_and_a_warning_does_not(
    unmanned_world: World, patient: Patient, tmp_path: Path
) -> None:
    config = tmp_path / "quarterdeck.toml"
    patient.config["aws"]["account"] = "210987654321"
    config.write_text(dumps(patient.config), encoding="utf-8")
    said = await Console(unmanned_world, config=config)("doctor")
    assert said.code == 1
    (line,) = [line for line in said.out.split("\n") if line.startswith("WRONG")]
    assert "aws identity" in line and " -> Set aws.account" in line
    patient.config["aws"]["account"] = cast.AWS_ACCOUNT
    config.write_text(dumps(patient.config), encoding="utf-8")
    await patient.guild(mfa_level=0)
    said = await Console(unmanned_world, config=config)("doctor")
    assert said.code == 0 and "1 warning." in said.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not = toml = at all", "is not valid TOML"),
        ('profile = "sandbox"\n', "state_dir"),
        ('discord_token = "x"\n', "is a secret"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_line_and_exit_code_64(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "quarterdeck.toml"
    config.write_text(text, encoding="utf-8")
    for name in SECRETS.values():
        monkeypatch.setenv(name, "unused.SANDBX.unused")
    assert quarterdeck(["doctor", "--config", str(config)]) == 64
    out = capsys.readouterr().out
    assert out.startswith("WRONG") and says in out and " -> " in out

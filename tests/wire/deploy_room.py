"""The services of a deploy against a GitHub, an AWS and a service that do what a test says, over real sockets.

What a well-behaved world hardly ever does is easy here: a rate limit in the middle, an answer that gets lost, a host
that goes quiet. `Row` stands in for the operation's row: it keeps what the handler writes, and can be carried over to
another life after a crash.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from bot.clients import aws as aws_module
from bot.clients.aws import AwsClient
from bot.clients.github import GithubClient
from bot.clients.http import HttpClient
from bot.ops.model import Operation, Status, StepState
from bot.ops.store import Lock
from bot.sandbox import cast
from bot.services import build as build_module
from bot.services import patience
from bot.services import rollout as rollout_module
from bot.services.build import Builder
from bot.services.catalog import Catalog
from bot.services.deploy import DeployHandler
from bot.services.images import Images
from bot.services.release import Release
from bot.services.rollback import RollbackHandler
from bot.services.rollout import Rollout
from bot.services.running import Versions
from bot.settings import Settings
from tests.wire.sandbox_github import TOKEN, GithubWorld
from tests.wire.scripted_server import ScriptedServer, scripted_server

OLD, NEW = "a" * 40, "b" * 40
REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/app@"
OLD_IMAGE, NEW_IMAGE = REGISTRY + "sha256:" + "a" * 64, REGISTRY + "sha256:" + "b" * 64
INSTANCE = "i-0123456789abcdef0"
TAG = "fp-0123456789abcdef"
PATIENCE_S = 10


def settings_for(github: str, aws: str, service: str, repository: str) -> Settings:
    return Settings.model_validate(
        {
            "state_dir": "/nowhere",
            "discord": {"guild_id": 1, "channels": {"ops": 2, "audit": 3}, "roles": {"dev": 4, "sre": 5}},
            "github": {"repository": repository, "api_url": github, "poll_s": 0.2, "write_pause_s": 0},
            "aws": {"region": "eu-central-1", "account": "123456789012", "endpoint_url": aws, "poll_s": 0.2},
            "environments": {
                "dev": {"instance_id": INSTANCE, "refs": ["*"], "require_checks": False},
                "prod": {"instance_id": "i-0123456789abcdef1", "refs": ["main", "release/*"], "follows": "dev"},
            },
            "services": {
                "app": {
                    "paths": ["app"],
                    "image_repository": "app",
                    "urls": {"dev": service, "prod": service} if service else {},
                }
            },
        }
    )


class Row:
    """A `Run` whose row lives in memory."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.cancel_requested = asyncio.Event()
        self.steps: list[tuple[str, str, str]] = []
        self.waits: list[str] = []
        self.notes: list[str] = []

    async def step(self, name: str, state: StepState, text: str = "") -> None:
        self.steps.append((name, state, text))

    async def waiting(self, why: str) -> None:
        if why:
            self.waits.append(why)
        self.operation = replace(self.operation, waiting_for=why)

    async def checkpoint(self, **values: object) -> None:
        merged = {**self.operation.checkpoint, **json.loads(json.dumps(values))}
        self.operation = replace(self.operation, checkpoint=merged)

    async def shown(self, **values: object) -> None:
        self.operation = replace(self.operation, shown={**self.operation.shown, **values})

    async def note(self, text: str) -> None:
        self.notes.append(text)

    def after_a_crash(self) -> "Row":
        """The same row in the next life of the program."""
        return Row(self.operation)


@dataclass
class Command:
    """One SSM command as the test's AWS keeps it."""

    id: str
    document: str
    comment: str
    parameters: dict[str, str]
    status: str = "InProgress"
    code: int | None = -1
    output: str = ""


@dataclass
class Github:
    """A repository with one commit on main; builds end when the test says so."""

    fault: Callable[[web.Request], Any] = lambda _request: None
    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    dispatched: list[dict[str, str]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    next_ends: str = "success"
    """How a dispatched run ends at once; empty: it goes on."""
    built: Callable[[str], None] = lambda _tag: None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        fault = self.fault(request)
        if fault == "cut":
            request.transport.abort()
            return web.Response()
        if fault == "lost":
            await self._real(request)
            request.transport.abort()
            return web.Response()
        return fault if isinstance(fault, web.StreamResponse) else await self._real(request)

    async def _real(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/repos/harbour/app")
        match path.strip("/").split("/"):
            case ["actions", "workflows", _, "dispatches"]:
                return self._dispatch((await request.json())["inputs"])
            case ["actions", "runs"]:
                return web.json_response({"workflow_runs": list(reversed(self.runs.values()))})
            case ["actions", "runs", number]:
                run = self.runs.get(int(number))
                return web.json_response(run if run else {"message": "Not Found"}, status=200 if run else 404)
            case ["actions", "runs", _, "jobs"]:
                return web.json_response({"jobs": []})
            case ["actions", "runs", number, "cancel"]:
                self.cancelled.append(int(number))
                self.runs[int(number)].update(status="completed", conclusion="cancelled")
                return web.json_response({}, status=202)
            case ["deployments"]:
                return web.json_response({"id": 77}, status=201)
            case ["deployments", _, "statuses"]:
                self.statuses.append((await request.json())["state"])
                return web.json_response({"id": 1}, status=201)
        return web.json_response({"message": f"unexpected {path}"}, status=500)

    def _dispatch(self, inputs: dict[str, str]) -> web.StreamResponse:
        self.dispatched.append(inputs)
        number = 100 + len(self.dispatched)
        over = {"status": "completed", "conclusion": self.next_ends}
        self.runs[number] = {
            "id": number,
            "html_url": f"https://github.com/harbour/app/actions/runs/{number}",
            "display_title": f"build app [{inputs['request']}]",
            **(over if self.next_ends else {"status": "in_progress", "conclusion": None}),
        }
        if self.next_ends == "success":
            self.built(inputs["tag"])
        return web.json_response({"workflow_run_id": number})


@dataclass
class Aws:
    """A registry, and a host whose commands end as `carry_out` says; by default a rollout goes well."""

    fault: Callable[[str], Any] = lambda _action: None
    images: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    serving: dict[str, Any] = field(default_factory=lambda: {"image": OLD_IMAGE, "commit": OLD})
    carry_out: Callable[["Aws", Command], None] | None = None
    at_cancel: Callable[["Aws", Command], None] | None = None
    heard: bool = True
    seen: bool = True
    """Whether the status script can tell what serves."""

    @property
    def rollouts(self) -> list[Command]:
        return [command for command in self.commands if command.document == "quarterdeck-deploy"]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        action = request.headers["X-Amz-Target"].split(".")[-1]
        body = await request.json()
        fault = self.fault(action)
        if fault == "cut":
            request.transport.abort()
            return web.Response()
        if fault == "lost":
            self._real(action, body)
            request.transport.abort()
            return web.Response()
        if isinstance(fault, str):
            return web.json_response({"__type": fault, "message": "because"}, status=400)
        found = self._real(action, body)
        return web.json_response(found, status=400 if "__type" in found else 200)

    def _real(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        match action:
            case "DescribeImages":
                (wanted,) = body["imageIds"]
                digest = wanted.get("imageDigest") or self.images.get(wanted["imageTag"])
                if digest is None:
                    return {"__type": "ImageNotFoundException", "message": "no"}
                return {"imageDetails": [{"imageDigest": digest}]}
            case "DescribeDocument":
                return {"Document": {"Name": body["Name"], "DocumentVersion": "1", "Hash": "0" * 64}}
            case "SendCommand":
                return {"Command": {"CommandId": self._sent(body).id}}
            case "DescribeInstanceInformation":
                row = {"PingStatus": "Online" if self.heard else "ConnectionLost", "LastPingDateTime": 1785585600}
                return {"InstanceInformationList": [row]}
            case "ListCommands":
                rows = [{"CommandId": c.id, "Comment": c.comment} for c in reversed(self.commands)]
                return {"Commands": rows}
            case "CancelCommand":
                command = self._command(body["CommandId"])
                if command.status == "InProgress":
                    command.status, command.code = "Cancelled", 3
                    if self.at_cancel is not None:
                        self.at_cancel(self, command)
                return {}
            case "GetCommandInvocation":
                command = self._command(body["CommandId"])
                return {
                    "Status": command.status,
                    "ResponseCode": command.code,
                    "StandardOutputContent": command.output,
                    "StandardErrorContent": "",
                }
        return {"__type": "InvalidAction", "message": action}

    def _command(self, command_id: str) -> Command:
        return next(command for command in self.commands if command.id == command_id)

    def _sent(self, body: dict[str, Any]) -> Command:
        parameters = {name: value for name, (value,) in body["Parameters"].items()}
        number = f"{len(self.commands) + 1:036d}"
        command = Command(number, body["DocumentName"], body["Comment"], parameters)
        self.commands.append(command)
        if command.document == "quarterdeck-status":
            if self.seen:
                self.succeed(command, {"healthy": True, **self.serving})
            else:
                self.fail(command, 1, "::failed status this host's settings cannot be read\n")
        elif self.carry_out is not None:
            self.carry_out(self, command)
        else:
            self.roll_out(command)
        return command

    def succeed(self, command: Command, result: dict[str, Any]) -> None:
        command.status, command.code = "Success", 0
        command.output += f"::result {json.dumps(result)}\n"

    def fail(self, command: Command, code: int, output: str) -> None:
        command.status, command.code = "Failed", code
        command.output += output

    def roll_out(self, command: Command) -> None:
        before = {f"previous_{name}": self.serving.get(name, "") for name in ("image", "commit")}
        self.serving = {"image": command.parameters["Image"], "commit": command.parameters["Commit"]}
        command.output += "::step pull ok x\n::step switch ok y\n"
        self.succeed(command, {**before, **self.serving, "container": "c", "url": "u"})


class Past:
    """The core's memory: what the test puts there, newest first."""

    def __init__(self) -> None:
        self.deploys: list[Operation] = []
        self.interrupted: list[Operation] = []

    async def deployed(self, environment: str, service: str, *, limit: int) -> list[Operation]:
        return self.deploys[:limit]

    async def last_deployed(self, environment: str, service: str) -> Operation | None:
        return self.deploys[0] if self.deploys else None

    async def operations(self, *, statuses: Collection[Status], environment: str, service: str) -> list[Operation]:
        return [operation for operation in self.interrupted if operation.status in statuses]

    async def locks(self) -> list[Lock]:
        held = ((resource, operation) for operation in self.interrupted for resource in operation.locks)
        return [Lock(resource, operation.id, operation.created_at) for resource, operation in held]


@dataclass
class Site:
    """The service itself: `/health` tells what serves on the test's host, unless `answer_with` says otherwise."""

    aws: Aws
    answer_with: Callable[[], dict[str, str] | None] | None = None

    async def answer(self, _request: web.Request) -> web.StreamResponse:
        said = self.answer_with() if self.answer_with else {"status": "ok", "commit": self.aws.serving["commit"]}
        if said is None:
            return web.Response(status=503)
        return web.json_response({"built_from": said["commit"], **said})


@dataclass
class Place:
    """Everything of one test."""

    settings: Settings
    github: Github
    aws: Aws
    site: Site
    past: Past
    catalog: Catalog
    versions: Versions
    deploy: DeployHandler
    rollback: RollbackHandler
    github_client: GithubClient
    aws_client: AwsClient
    servers: dict[str, ScriptedServer]

    def row(self, kind: str = "deploy", *, quorum: int = 0, **plan: Any) -> Row:
        """A started operation that puts NEW where OLD serves."""
        content = {
            "kind": kind,
            "environment": "dev",
            "service": "app",
            "commit": NEW,
            "image_tag": TAG,
            "image": NEW_IMAGE if kind == "rollback" else "",
            "replaces": {"commit": OLD, "image": OLD_IMAGE},
            "workflow_blob": "w" * 40,
            "document": {"name": "quarterdeck-deploy", "version": "1", "hash": "0" * 64},
            "catalog": self.catalog.entry("dev", "app"),
            **plan,
        }
        return Row(operation(kind=kind, plan=content, status=Status.RUNNING, quorum=quorum))


def operation(**values: Any) -> Operation:
    """Operation #7, a deploy of NEW to dev."""
    now = datetime.now(UTC)
    defaults: dict[str, Any] = {
        "id": 7, "kind": "deploy", "environment": "dev", "service": "app", "target": NEW[:7], "params": {}, "plan": {},
        "shown": {}, "locks": ("dev/app",), "digest": "d" * 64, "requester": "dev", "status": Status.SUCCEEDED,
        "quorum": 0, "approver_roles": (), "policy_reason": "", "request_key": "k", "parent_id": None,
        "waiting_for": "", "reason": "", "steps": (), "log_tail": "", "checkpoint": {}, "result": {}, "created_at": now,
        "expires_at": None, "approved_at": now, "started_at": now, "ended_at": None, "cancel_requested_at": None,
        "cancel_requested_by": "", "seeded": False,
    }  # fmt: skip
    return Operation(**{**defaults, **values})


async def until(condition: Callable[[], object]) -> None:
    """Wait for what happens meanwhile; the test fails when it does not."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(
    monkeypatch: pytest.MonkeyPatch, *, address: bool = True, world: GithubWorld | None = None
) -> AsyncIterator[Place]:
    """A place whose clients use real sockets, with short pauses; with a `world`, its GitHub is the sandbox's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(patience, "OUTAGE_PAUSE_S", 0.05)
    monkeypatch.setattr(patience, "LOOKUP_S", 0.3)
    monkeypatch.setattr(patience, "LOOKUP_PAUSE_S", 0.05, raising=False)
    monkeypatch.setattr(rollout_module, "SEEN_PAUSE_S", 0.05)
    monkeypatch.setattr(aws_module, "THROTTLED_PAUSE_S", 0.1)
    monkeypatch.setattr(build_module, "CANCEL_POLL_S", 0.05)
    async with scripted_server() as at_github, scripted_server() as at_aws, scripted_server() as at_site:
        github, aws, past, http = Github(), Aws(), Past(), HttpClient()
        site = Site(aws)
        github.built = lambda tag: aws.images.update({tag: NEW_IMAGE.split("@")[1]})
        at_github.answer, at_aws.answer, at_site.answer = github.answer, aws.answer, site.answer
        api_url = world.part.api_url if world else at_github.url
        settings = settings_for(
            api_url, at_aws.url, at_site.url if address else "", cast.GITHUB_REPOSITORY if world else "harbour/app"
        )
        client = GithubClient(
            repository=settings.github.repository, api_url=api_url, token=TOKEN, http=http, write_pause_s=0
        )
        aws_client = AwsClient(region="eu-central-1", account="123456789012", endpoint_url=at_aws.url)
        catalog, versions = Catalog(settings, client), Versions(settings, http, past)
        images, rollout = Images(client, aws_client), Rollout(settings, aws_client, versions)
        release = Release(client, rollout, versions)
        deploy = DeployHandler(
            settings, github=client, catalog=catalog, images=images, versions=versions,
            builder=Builder(settings.github, client, images), rollout=rollout, release=release,
        )  # fmt: skip
        rollback = RollbackHandler(
            catalog=catalog, aws=aws_client, versions=versions, past=past, rollout=rollout, release=release
        )
        servers = {"github": at_github, "aws": at_aws, "site": at_site}
        try:
            yield Place(
                settings, github, aws, site, past, catalog, versions, deploy, rollback, client, aws_client, servers
            )
        finally:
            client.close()
            await aws_client.close()
            await http.close()

"""The SSM calls that moto fakes or lacks, answered from commands that really run; put into moto's class at start.

Rights are judged here, too: documents are made and changed with the demo's key alone, and only those are run.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response
from moto.ssm.exceptions import SSMException
from moto.ssm.responses import SimpleSystemManagerResponse as SsmResponse

from bot.sandbox.aws.documents import SsmFault, script_of
from bot.sandbox.aws.run_command import (
    ACTIVE,
    LISTED_MAX,
    STDERR_MAX,
    STDOUT_MAX,
    Command,
    Invocation,
    Order,
    RunCommand,
)

PLUGIN = "aws:runShellScript"
DOCUMENT_CALLS = ("create_document", "update_document", "delete_document", "update_document_default_version",
                  "modify_document_permission")  # fmt: skip
PAGE_MAX = 50
Json = dict[str, Any]


class SsmCalls:
    """The calls, bound to one world's commands. `install` replaces moto's."""

    def __init__(self, commands: RunCommand, *, caller_header: str) -> None:
        self._commands = commands
        self._caller_header = caller_header
        self._made_here: set[tuple[str, str]] = set()

    def install(self) -> None:
        calls = (self.send_command, self.list_commands, self.get_command_invocation, self.list_command_invocations,
                 self.cancel_command, self.describe_instance_information)  # fmt: skip
        for call in calls:
            setattr(SsmResponse, call.__name__, _answering(call))
        for name in DOCUMENT_CALLS:
            setattr(SsmResponse, name, self._demo_only(name, getattr(SsmResponse, name)))
        EC2Response.monitor_instances = lambda response: ActionResult({"InstanceMonitorings": []})  # type: ignore[method-assign,assignment,return-value]

    def _demo_only(self, name: str, call: Callable[[SsmResponse], Any]) -> Callable[[SsmResponse], Any]:
        def guarded(response: SsmResponse) -> Any:
            if response.headers.get(self._caller_header) != "demo":
                raise SSMException("AccessDeniedException", f"This key is not authorized to perform: ssm:{name}")
            answer = call(response)
            if name in ("create_document", "update_document"):
                made = answer.result["DocumentDescription"]
                self._made_here.add((str(made["Name"]), str(made["DocumentVersion"])))
            return answer

        return guarded

    # -- the calls --------------------------------------------------------------------------------------------------

    def send_command(self, response: SsmResponse) -> Json:
        content, name, version = self._document(response)
        parameters: Mapping[str, Sequence[str]] = response._get_param("Parameters") or {}
        comment = str(response._get_param("Comment") or "")
        if len(comment) > 100:
            raise SsmFault(
                "ValidationException", "Value at 'comment' failed to satisfy constraint: at most 100 characters"
            )
        if int(response._get_param("TimeoutSeconds") or 600) < 30:
            raise SsmFault("ValidationException", "Value at 'timeoutSeconds' failed to satisfy constraint: 30 or more")
        script = script_of(content, parameters)
        order = Order(name, version, parameters, comment, self._targets(response), script)
        return {"Command": self._command(self._commands.send(order))}

    def list_commands(self, response: SsmResponse) -> Json:
        wanted, instance_id = response._get_param("CommandId"), response._get_param("InstanceId")
        found = [self._commands.find(wanted)] if wanted else self._commands.all()
        if instance_id:
            found = [c for c in found if instance_id in c.order.instance_ids]
        found = [c for c in found if _passes(c, response._get_param("Filters") or [])]
        return _page("Commands", [self._command(c) for c in found], response)

    def get_command_invocation(self, response: SsmResponse) -> Json:
        command = self._commands.find(str(response._get_param("CommandId")))
        invocation = command.on(str(response._get_param("InstanceId")))
        plugin = response._get_param("PluginName")
        if plugin not in (None, PLUGIN, command.order.script.step):
            raise SsmFault("InvalidPluginName", "The plugin name isn't valid.")
        return {
            "CommandId": command.id,
            "InstanceId": invocation.instance_id,
            "Comment": command.order.comment,
            "DocumentName": command.order.document,
            "DocumentVersion": command.order.version,
            "PluginName": PLUGIN,
            "ResponseCode": invocation.code,
            "ExecutionStartDateTime": _text(invocation.started_at),
            "ExecutionElapsedTime": invocation.elapsed(),
            "ExecutionEndDateTime": _text(invocation.ended_at),
            "Status": invocation.status,
            "StatusDetails": invocation.details,
            "StandardOutputContent": invocation.output("stdout", STDOUT_MAX),
            "StandardOutputUrl": "",
            "StandardErrorContent": invocation.output("stderr", STDERR_MAX),
            "StandardErrorUrl": "",
        }

    def list_command_invocations(self, response: SsmResponse) -> Json:
        wanted, instance_id = response._get_param("CommandId"), response._get_param("InstanceId")
        details = response._get_param("Details") in (True, "true")
        commands = [self._commands.find(wanted)] if wanted else self._commands.all()
        found = [
            _listed(command, invocation, details=details)
            for command in commands
            for invocation in command.invocations
            if (not instance_id or invocation.instance_id == instance_id)
            and _passes(command, response._get_param("Filters") or [])
        ]
        return _page("CommandInvocations", found, response)

    def cancel_command(self, response: SsmResponse) -> Json:
        self._commands.cancel(str(response._get_param("CommandId")), response._get_param("InstanceIds") or ())
        return {}

    def describe_instance_information(self, response: SsmResponse) -> Json:
        wanted = {
            value
            for one in (response._get_param("Filters") or [])
            + (response._get_param("InstanceInformationFilterList") or [])
            if (one.get("Key") or one.get("key")) == "InstanceIds"
            for value in (one.get("Values") or one.get("valueSet") or [])
        }
        found = [
            {
                "InstanceId": i,
                "PingStatus": "Online" if self._commands.agent(i).online else "ConnectionLost",
                "LastPingDateTime": time.time(),
                "AgentVersion": self._commands.agent(i).version,
                "IsLatestVersion": True,
                "PlatformType": "Linux",
                "PlatformName": "Amazon Linux",
                "PlatformVersion": "2023",
                "ResourceType": "EC2Instance",
            }
            for i in self._online(response)
            if not wanted or i in wanted
        ]
        return _page("InstanceInformationList", found, response)

    # -- behind them ------------------------------------------------------------------------------------------------

    def _document(self, response: SsmResponse) -> tuple[Mapping[str, Any], str, str]:
        """Content, name and version of the document that is asked for, if it was made in this world."""
        name = str(response._get_param("DocumentName") or "")
        kept = response.ssm_backend._documents.get(name)
        if kept is None:
            raise SsmFault("InvalidDocument", f"Document with name {name} does not exist.")
        asked = str(response._get_param("DocumentVersion") or "$DEFAULT")
        version = {"$DEFAULT": kept.default_version, "$LATEST": kept.latest_version}.get(asked, asked)
        document = kept.versions.get(version)
        if document is None or (name, version) not in self._made_here:
            raise SsmFault("InvalidDocumentVersion", "The document version is not valid or does not exist.")
        digest = response._get_param("DocumentHash")
        if digest and str(digest).lower() != document.hash:
            raise SsmFault("InvalidDocument", f"The hash of version {version} of {name} is not the one that was given.")
        return document.content_json, name, version

    def _online(self, response: SsmResponse) -> list[str]:
        """The instances that run and have a machine behind them."""
        backend = ec2_backends[response.current_account][response.region]
        return [
            instance.id
            for reservation in backend.all_reservations()
            for instance in reservation.instances
            if instance._state.name == "running" and self._commands.has_machine(instance.id)
        ]

    def _targets(self, response: SsmResponse) -> tuple[str, ...]:
        online, given = self._online(response), list(response._get_param("InstanceIds") or [])
        if lost := [i for i in given if i not in online]:
            account = response.current_account
            raise SsmFault(
                "InvalidInstanceId", f"Instances [[{', '.join(lost)}]] not in a valid state for account {account}"
            )
        filters = {one["Key"]: one["Values"] for one in response._get_param("Targets") or []}
        if filters:
            backend = ec2_backends[response.current_account][response.region]
            tagged = {i.id for r in backend.all_reservations(filters=filters) for i in r.instances}
            given += [i for i in online if i in tagged and i not in given]
        if not given and not filters:
            raise SsmFault("ValidationException", "InstanceIds or Targets must be given.")
        return tuple(given)

    def _command(self, command: Command) -> Json:
        ended = [i for i in command.invocations if i.ended_at is not None]
        return {
            "CommandId": command.id,
            "Comment": command.order.comment,
            "DocumentName": command.order.document,
            "DocumentVersion": command.order.version,
            "Parameters": command.order.parameters,
            "InstanceIds": list(command.order.instance_ids),
            "Targets": [],
            "RequestedDateTime": command.requested_at.timestamp(),
            "ExpiresAfter": command.requested_at.timestamp() + command.order.script.timeout_s,
            "Status": command.status,
            "StatusDetails": command.status,
            "TargetCount": len(command.invocations),
            "CompletedCount": len(ended),
            "ErrorCount": len([i for i in ended if i.status in ("Failed", "TimedOut")]),
            "DeliveryTimedOutCount": 0,
            "MaxConcurrency": "50",
            "MaxErrors": "0",
        }


def _answering(call: Callable[[SsmResponse], Json]) -> Callable[[SsmResponse], ActionResult]:
    """A method of moto's class that answers with what the call returns, or with its fault."""

    def method(response: SsmResponse) -> ActionResult:
        try:
            return ActionResult(call(response))
        except SsmFault as fault:
            raise SSMException(fault.code, str(fault)) from fault

    return method


def _listed(command: Command, invocation: Invocation, *, details: bool) -> Json:
    plugin = {
        "Name": PLUGIN,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "ResponseCode": invocation.code,
        "Output": invocation.output("stdout", LISTED_MAX),
    }
    for key, at in (("ResponseStartDateTime", invocation.started_at), ("ResponseFinishDateTime", invocation.ended_at)):
        if at is not None:
            plugin[key] = at.timestamp()
    return {
        "CommandId": command.id,
        "InstanceId": invocation.instance_id,
        "Comment": command.order.comment,
        "DocumentName": command.order.document,
        "DocumentVersion": command.order.version,
        "RequestedDateTime": command.requested_at.timestamp(),
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "CommandPlugins": [plugin] if details else [],
    }


def _passes(command: Command, filters: Sequence[Mapping[str, str]]) -> bool:
    """Whether the command satisfies every filter of ListCommands."""
    tests: Mapping[str, Callable[[str], bool]] = {
        "InvokedAfter": lambda value: command.requested_at >= _when(value),
        "InvokedBefore": lambda value: command.requested_at <= _when(value),
        "Status": lambda value: command.status == value,
        "DocumentName": lambda value: command.order.document == value,
        "ExecutionStage": lambda value: (command.status in ACTIVE) == (value == "Executing"),
    }
    for one in filters:
        key = one.get("key", "")
        if key not in tests:
            raise SsmFault("InvalidFilterKey", f"The filter key {key} is not valid.")
        if not tests[key](one.get("value", "")):
            return False
    return True


def _when(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise SsmFault("ValidationException", f"{text!r} is not a time such as 2026-01-31T00:00:00Z") from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _page(name: str, found: list[Json], response: SsmResponse) -> Json:
    """One page of at most MaxResults; the token is the position of the next."""
    token = str(response._get_param("NextToken") or "0")
    if not token.isdigit():
        raise SsmFault("InvalidNextToken", "The specified token is not valid.")
    size = min(int(response._get_param("MaxResults") or PAGE_MAX), PAGE_MAX)
    start = int(token)
    answer: Json = {name: found[start : start + size]}
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return answer


def _text(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""moto's server as a child process of the world, with the SSM calls replaced by ones that really run (`run_command`).

    python -m bot.sandbox.aws.moto_server

reads one JSON line from stdin (`Config`), prints one JSON line with its port, and ends when stdin closes: it cannot
outlive the world. It answers only requests that carry the door's secret, on its own loopback name, with no Origin.
"""

import hmac
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# moto reads these when it is imported, or first asked: no CORS headers at all, no thousand machine images in memory,
# and the policies that AWS itself keeps in every account.
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

import moto.ec2.models.instances as ec2_instances
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from bot.sandbox.aws import account_calls
from bot.sandbox.aws.child import AGENT_PATH, CALLER_HEADER, ORDERS_PATH, OUTCOME_PATH
from bot.sandbox.aws.run_command import Agent, Machine, Outcome, RunCommand
from bot.sandbox.aws.ssm_calls import SsmCalls

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Environ = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Config:
    """What the world tells its moto. `machines` are by instance id: a command's environment and folder there."""

    secret: str
    machines: Mapping[str, Mapping[str, Any]]
    directory: str


class Door:
    """The WSGI application in front of moto: refuses what did not come through the world's door."""

    def __init__(self, application: Any, *, secret: str, commands: RunCommand) -> None:
        self._application = application
        self._secret = secret.encode()
        self._commands = commands
        self.port = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        given = str(environ.get("HTTP_X_QUARTERDECK_DOOR", "")).encode("latin-1", errors="replace")
        own = environ.get("HTTP_HOST") == f"127.0.0.1:{self.port}" and "HTTP_ORIGIN" not in environ
        if not (own and hmac.compare_digest(given, self._secret)):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"Only the sandbox's own door may ask here.\n"]
        path = environ.get("PATH_INFO")
        if path in (OUTCOME_PATH, AGENT_PATH) and environ.get("REQUEST_METHOD") == "POST":
            body = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            if path == OUTCOME_PATH:
                self._commands.add_outcome(Outcome(**body))
            else:
                self._commands.set_agent(body.pop("instance_id"), Agent(**body))
            start_response("204 No Content", [])
            return []
        if path == ORDERS_PATH:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps([command.order.comment for command in self._commands.all()]).encode()]
        if str(environ.get("PATH_INFO", "")).startswith("/moto-api"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"There is no such page.\n"]
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


class QuietHandler(MotoRequestHandler):
    """Connections are kept open for the door; nothing is written for each request."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        return


def choose_instance_ids(ids: Iterable[str]) -> None:
    """Let the first instances that are run have these ids, so that they are the same after a restart of the world."""
    waiting, by_chance = list(ids), ec2_instances.__dict__["random_instance_id"]
    vars(ec2_instances)["random_instance_id"] = lambda: waiting.pop(0) if waiting else by_chance()


def main() -> None:
    """Serve until stdin closes."""
    config = Config(**json.loads(sys.stdin.readline()))
    machines = {i: Machine(m["environ"], Path(m["directory"])) for i, m in config.machines.items()}
    commands = RunCommand(machines=machines, directory=Path(config.directory))
    SsmCalls(commands, caller_header=CALLER_HEADER).install()
    account_calls.install()
    choose_instance_ids(config.machines)
    door = Door(DomainDispatcherApplication(create_backend_app), secret=config.secret, commands=commands)
    server = make_server("127.0.0.1", 0, door, threaded=True, request_handler=QuietHandler)
    door.port = server.server_port
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)
    sys.stdin.read()
    commands.close()


if __name__ == "__main__":
    main()

"""The `docker` command line of the stand-in: the part that scripts on a host use, with docker's own flags and words.

It reads an argument vector, asks the machine's containers, and returns what docker would print. What it does not know
it refuses with exit code 125, as docker does with a flag that it does not know.
"""

import argparse
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bot.sandbox.host.containers import Container, Containers, EngineError, RunOrder, utc_text

KnowsImage = Callable[[str, str], Awaitable[bool]]
"""Whether the registry has this repository and digest."""
DIGEST_REFERENCE = re.compile(
    r"^(?P<registry>[a-z0-9.:-]+)/(?P<repository>[a-z0-9._/-]+)@(?P<digest>sha256:[0-9a-f]{64})$"
)
FIELD = re.compile(r"\{\{\s*(?P<json>json\s+)?(?:index\s+)?(?P<path>(?:\.\w*)+)(?:\s+\"(?P<key>[^\"]+)\")?\s*\}\}")
HARDENING_WITH_VALUE = ("--cap-drop", "--cap-add", "--security-opt", "--tmpfs", "--memory", "--cpus", "--pids-limit",
                        "--user", "--log-driver", "--log-opt", "--network", "--ulimit", "--platform")  # fmt: skip
HARDENING = ("--read-only", "--init", "--quiet", "-q")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise EngineError(f"{self.prog}: {message}", code=125)


class DockerCli:
    """One machine's `docker`. `logins` are the registries that somebody logged in to; pulls ask `knows_image` first."""

    def __init__(self, *, containers: Containers, knows_image: KnowsImage, logins: set[str]) -> None:
        self._containers = containers
        self._knows_image = knows_image
        self._logins = logins
        self._commands: Mapping[str, Callable[[Sequence[str], str], Awaitable[str]]] = {
            "login": self._login,
            "pull": self._pull,
            "run": self._run,
            "start": self._start,
            "stop": self._stop,
            "rm": self._rm,
            "ps": self._ps,
            "port": self._port,
            "logs": self._logs,
            "inspect": self._inspect,
            "image": self._image,
            "version": self._version,
        }

    async def call(self, argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
        """Run one command; returns exit code, stdout, stderr."""
        name = argv[0] if argv else ""
        command = self._commands.get(name)
        if command is None:
            return (
                1,
                "",
                f"docker: '{name}' is not a docker command of the stand-in.\nIt has: {', '.join(self._commands)}\n",
            )
        try:
            return 0, await command(argv[1:], stdin), ""
        except EngineError as error:
            prefix = "docker: Error response from daemon: " if error.code == 125 else "Error response from daemon: "
            return error.code, "", f"{'' if str(error).startswith('Error') else prefix}{error}\n"

    async def _version(self, argv: Sequence[str], stdin: str) -> str:
        return "stand-in\n"

    async def _login(self, argv: Sequence[str], stdin: str) -> str:
        parser = _Parser(prog="docker login")
        parser.add_argument("-u", "--username", required=True)
        parser.add_argument("--password-stdin", action="store_true", required=True)
        parser.add_argument("registry")
        given = parser.parse_args(argv)
        if given.username != "AWS" or not stdin.strip():
            raise EngineError(f"login attempt to https://{given.registry}/v2/ failed with status: 400 Bad Request")
        self._logins.add(given.registry)
        return "Login Succeeded\n"

    async def _pull(self, argv: Sequence[str], stdin: str) -> str:
        parser = _Parser(prog="docker pull")
        parser.add_argument("reference")
        _accept_hardening(parser)
        reference: str = parser.parse_args(argv).reference
        found = DIGEST_REFERENCE.match(reference)
        if found is None:
            raise EngineError(f"invalid reference format: the stand-in pulls by digest only, not {reference[:200]!r}")
        if found["registry"] not in self._logins:
            raise EngineError(
                f'Head "https://{found["registry"]}/v2/{found["repository"]}/": no basic auth credentials'
            )
        if not await self._knows_image(found["repository"], found["digest"]):
            raise EngineError(f"manifest for {reference} not found: manifest unknown: Requested image not found")
        await self._containers.unpack(found["digest"])
        return (
            f"{found['repository']}: Pulling\nDigest: {found['digest']}\nStatus: Image is up to date for {reference}\n"
        )

    async def _run(self, argv: Sequence[str], stdin: str) -> str:
        parser = _Parser(prog="docker run")
        parser.add_argument("-d", "--detach", action="store_true", required=True)
        parser.add_argument("--name", default=f"container-{secrets.token_hex(4)}")
        parser.add_argument("-l", "--label", action="append", default=[])
        parser.add_argument("-e", "--env", action="append", default=[])
        parser.add_argument("--env-file", action="append", default=[])
        parser.add_argument("-p", "--publish", required=True)
        parser.add_argument("--restart", default="no", choices=("no", "always", "unless-stopped"))
        parser.add_argument("image")
        _accept_hardening(parser)
        given = parser.parse_args(argv)
        address = re.fullmatch(r"127\.0\.0\.1:(\d{1,5}):(\d{1,5})", given.publish)
        if address is None:
            raise EngineError(f"the stand-in publishes as 127.0.0.1:PORT:PORT, not {given.publish!r}", code=125)
        order = RunOrder(
            name=given.name,
            image=given.image,
            labels=_pairs(given.label),
            env=_pairs([*_env_lines(given.env_file), *given.env]),
            port=int(address[1]),
            container_port=int(address[2]),
            restart=given.restart,
        )
        return f"{(await self._containers.run(order)).id}\n"

    async def _start(self, argv: Sequence[str], stdin: str) -> str:
        for name in _names("docker start", argv):
            await self._containers.start(self._containers.find(name))
        return _lines(argv)

    async def _stop(self, argv: Sequence[str], stdin: str) -> str:
        parser = _Parser(prog="docker stop")
        parser.add_argument("-t", "--time", "--timeout", type=float, default=10.0)
        parser.add_argument("names", nargs="+")
        given = parser.parse_args(argv)
        for name in given.names:
            await self._containers.stop(self._containers.find(name), grace_s=given.time)
        return _lines(given.names)

    async def _rm(self, argv: Sequence[str], stdin: str) -> str:
        parser = _Parser(prog="docker rm")
        parser.add_argument("-f", "--force", action="store_true")
        parser.add_argument("names", nargs="+")
        given = parser.parse_args(argv)
        for name in given.names:
            await self._containers.remove(self._containers.find(name), force=given.force)
        return _lines(given.names)

    async def _ps(self, argv: Sequence[str], stdin: str) -> str:
        parser = _Parser(prog="docker ps")
        parser.add_argument("-a", "--all", action="store_true")
        parser.add_argument("-q", "--quiet", action="store_true")
        parser.add_argument("--no-trunc", action="store_true")
        parser.add_argument("-f", "--filter", action="append", default=[])
        parser.add_argument("--format", default="{{.ID}}  {{.Image}}  {{.Status}}  {{.Ports}}  {{.Names}}")
        given = parser.parse_args(argv)
        template = "{{.ID}}" if given.quiet else given.format
        rows = [c for c in self._containers.all() if given.all or c.status in ("running", "restarting")]
        rows = [c for c in rows if all(_passes(c, wanted) for wanted in given.filter)]
        return _lines([render(template, _row(c)) for c in rows])

    async def _port(self, argv: Sequence[str], stdin: str) -> str:
        (name,) = _names("docker port", argv)[:1]
        order = self._containers.find(name).order
        return f"{order.container_port}/tcp -> 127.0.0.1:{order.port}\n"

    async def _logs(self, argv: Sequence[str], stdin: str) -> str:
        parser = _Parser(prog="docker logs")
        parser.add_argument("-n", "--tail", default="all")
        parser.add_argument("name")
        given = parser.parse_args(argv)
        tail = int(given.tail) if given.tail.isdigit() else None
        return self._containers.log(self._containers.find(given.name), tail=tail)

    async def _inspect(self, argv: Sequence[str], stdin: str) -> str:
        parser = _Parser(prog="docker inspect")
        parser.add_argument("-f", "--format", default="")
        parser.add_argument("--type", default="container", choices=("container",))
        parser.add_argument("names", nargs="+")
        given = parser.parse_args(argv)
        found = [describe(self._containers.find(name)) for name in given.names]
        return (
            _lines([render(given.format, one) for one in found]) if given.format else json.dumps(found, indent=4) + "\n"
        )

    async def _image(self, argv: Sequence[str], stdin: str) -> str:
        parser = _Parser(prog="docker image")
        parser.add_argument("command", choices=("inspect",))
        parser.add_argument("-f", "--format", default="")
        parser.add_argument("reference")
        given = parser.parse_args(argv)
        digest = given.reference.rpartition("@")[2]
        if not digest.startswith("sha256:") or not self._containers.has_image(digest):
            raise EngineError(f"Error: No such image: {given.reference}")
        found = {"Id": digest, "RepoDigests": [given.reference], "Created": utc_text()}
        return render(given.format, found) + "\n" if given.format else json.dumps([found], indent=4) + "\n"


def describe(container: Container) -> dict[str, Any]:
    """The container as `docker inspect` writes it."""
    order = container.order
    running = container.status == "running"
    return {
        "Id": container.id,
        "Created": container.created_at,
        "Name": f"/{container.name}",
        "Image": container.digest,
        "RestartCount": container.restarts,
        "State": {
            "Status": container.status,
            "Running": running,
            "Restarting": container.status == "restarting",
            "Pid": container.pid,
            "ExitCode": container.exit_code,
            "StartedAt": container.started_at,
            "FinishedAt": container.finished_at,
        },
        "Config": {"Image": order.image, "Labels": order.labels, "Env": [f"{k}={v}" for k, v in order.env.items()]},
        "HostConfig": {"RestartPolicy": {"Name": order.restart}},
        "NetworkSettings": {
            "Ports": {
                f"{order.container_port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(order.port)}]
                if running
                else None
            }
        },
    }


def _row(container: Container) -> dict[str, Any]:
    order = container.order
    return {
        "ID": container.id[:12],
        "Names": container.name,
        "Image": order.image,
        "State": container.status,
        "Status": {"running": "Up", "exited": f"Exited ({container.exit_code})"}.get(
            container.status, container.status.title()
        ),
        "Ports": f"127.0.0.1:{order.port}->{order.container_port}/tcp",
        "Label": order.labels,
        "CreatedAt": container.created_at,
    }


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill in a Go template of the simple kind: `{{.A.B}}`, `{{index .A "key"}}`, `{{.Label "key"}}`, `{{json .A}}`.

    Raises:
        EngineError: the template names what is not there, or uses more of the language than that.
    """

    def fill(found: "re.Match[str]") -> str:
        value: Any = values
        for part in [p for p in found["path"].split(".") if p]:
            if not isinstance(value, Mapping) or part not in value:
                raise EngineError(f"template parsing error: can't evaluate field {part}", code=64)
            value = value[part]
        if found["key"] is not None:
            value = value.get(found["key"], "") if isinstance(value, Mapping) else ""
        if found["json"]:
            return json.dumps(value)
        return str(value).lower() if isinstance(value, bool) else str(value)

    if "{{" in FIELD.sub("", template):
        raise EngineError(f"template parsing error: the stand-in does not know {template!r}", code=64)
    return FIELD.sub(fill, template)


def _passes(container: Container, wanted: str) -> bool:
    key, _, value = wanted.partition("=")
    if key == "label":
        name, has_value, text = value.partition("=")
        return name in container.order.labels and (not has_value or container.order.labels[name] == text)
    if key == "name":
        return value in container.name
    if key == "status":
        return container.status == value
    raise EngineError(f"invalid filter '{key}'", code=125)


def _accept_hardening(parser: argparse.ArgumentParser) -> None:
    """Flags that fence a container in: taken, and without effect where there is no engine."""
    for flag in HARDENING_WITH_VALUE:
        parser.add_argument(flag, action="append")
    for flag in HARDENING:
        parser.add_argument(flag, action="store_true")


def _env_lines(files: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for file in files:
        try:
            lines += [
                line
                for line in Path(file).read_text(encoding="utf-8").splitlines()
                if line and not line.startswith("#")
            ]
        except OSError as error:
            raise EngineError(f"open {file}: {error.strerror}", code=125) from error
    return lines


def _pairs(words: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _names(prog: str, argv: Sequence[str]) -> list[str]:
    parser = _Parser(prog=prog)
    parser.add_argument("names", nargs="+")
    names: list[str] = parser.parse_args(argv).names
    return names


def _lines(words: Sequence[str]) -> str:
    return "".join(f"{word}\n" for word in words)

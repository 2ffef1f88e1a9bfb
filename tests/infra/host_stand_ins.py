"""`aws`, `docker` and `curl` for a host's scripts that run as they are: quick stand-ins on PATH, with files as memory.

`python host_stand_ins.py PROGRAM ARGUMENTS` is one call. `QUARTERDECK_CLOUD` names the folder that all hosts share (the
parameter store), `QUARTERDECK_MACHINE` the one of this host (its containers and its front). They know the calls that a
rollout and a recovery make, and end with an error on any other.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

CLOUD, MACHINE = (Path(os.environ.get(f"QUARTERDECK_{name}", ".")) for name in ("CLOUD", "MACHINE"))
FAILED = 254
"""The AWS CLI's exit code for a call that the service refused."""


def value_of(argv: Sequence[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def refused(operation: str, code: str) -> int:
    """Say, as the AWS CLI does, that the service refused."""
    sys.stderr.write(f"\nAn error occurred ({code}) when calling the {operation} operation: no\n")
    return FAILED


def aws(argv: Sequence[str]) -> int:
    """ECR's login and the parameter store. `faults` in the cloud's folder has what the next readings end with."""
    if argv[1] in ("get-login-password", "get-parameters-by-path"):
        sys.stdout.write("password\n" if argv[1] == "get-login-password" else '{"Parameters": []}\n')
        return 0
    note = CLOUD / value_of(argv, "--name").strip("/").replace("/", ".")
    with (CLOUD / "calls").open("a", encoding="utf-8") as calls:
        calls.write(f"{argv[1]}\n")
    if argv[1] == "put-parameter":
        if note.exists() and "--overwrite" not in argv:
            return refused("PutParameter", "ParameterAlreadyExists")
        note.write_text(value_of(argv, "--value"), encoding="utf-8")
        return 0
    assert argv[1] == "get-parameter", argv
    faults = (CLOUD / "faults").read_text(encoding="utf-8").split()
    if faults:
        (CLOUD / "faults").write_text("\n".join(faults[1:]), encoding="utf-8")
        return refused("GetParameter", faults[0])
    if not note.exists():
        return refused("GetParameter", "ParameterNotFound")
    sys.stdout.write(note.read_text(encoding="utf-8") + "\n")
    return 0


def containers() -> dict[str, dict[str, str]]:
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in MACHINE.glob("engine/*.json")}


def save(name: str, container: dict[str, str]) -> None:
    (MACHINE / "engine").mkdir(exist_ok=True)
    (MACHINE / "engine" / f"{name}.json").write_text(json.dumps(container), encoding="utf-8")


def docker(argv: Sequence[str]) -> int:
    """The engine: a container is a file, and serves while its status is `running`."""
    match argv[0]:
        case "login":
            sys.stdin.read()
        case "pull" | "logs":
            return 0
        case "image":
            sys.stdout.write(f"{argv[-1]}\n")
        case "ps":
            sys.stdout.write("".join(f"{name}\n" for name in containers()))
        case "run":
            labels = dict(re.findall(r"--label quarterdeck\.(\w+)=(\S+)", " ".join(argv)))
            port = value_of(argv, "--publish").split(":")[1]
            save(value_of(argv, "--name"), {**labels, "port": port, "status": "running"})
        case "start" | "stop":
            save(argv[-1], {**containers()[argv[-1]], "status": "running" if argv[0] == "start" else "exited"})
        case "rm":
            (MACHINE / "engine" / f"{argv[-1]}.json").unlink()
        case "inspect":
            return inspect(argv[-1], value_of(argv, "--format"))
        case _:
            raise AssertionError(argv)
    return 0


def inspect(name: str, template: str) -> int:
    container = containers().get(name)
    if container is None:
        return 1
    label = re.fullmatch(r'\{\{index \.Config\.Labels "quarterdeck\.(\w+)"\}\}', template)
    fields = {"{{.State.Status}}": container["status"], "{{.RestartCount}}": "0", "{{.Image}}": container["image"]}
    for field, text in fields.items():
        template = template.replace(field, text)
    sys.stdout.write(f"{container.get(label[1], '') if label else template}\n")
    return 0


def curl(argv: Sequence[str]) -> int:
    """Answers for the container that listens on the port; the front's port is the one its upstream file names."""
    asked = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/\w+)", argv[-1])
    assert asked is not None, argv
    port, path = asked.groups()
    if port == "80":
        port = re.findall(r"server 127\.0\.0\.1:(\d+);", (MACHINE / "upstream/prod-app.conf").read_text())[0]
    for container in containers().values():
        if (container["port"], container["status"]) == (port, "running"):
            sys.stdout.write(json.dumps({"commit": container["commit"]}) if path == "/health" else "")
            return 0
    return 7


if __name__ == "__main__":
    sys.exit({"aws": aws, "docker": docker, "curl": curl}[sys.argv[1]](sys.argv[2:]))

"""A machine's `docker` when a real engine runs the containers: the engine itself, with the registry's name exchanged.

The scripts name images by the account's registry; here the registry is on loopback. Nothing else is changed, except
that there is nobody to log in to. Standard library only, started with `-I -S`.
"""

import json
import os
import sys
from pathlib import Path


def main() -> int:
    """`engine_shim.py CONFIG ARGUMENT...`; becomes the engine."""
    config = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    argv = sys.argv[2:]
    if argv[:1] == ["login"]:
        sys.stdin.read()
        print("Login Succeeded")
        return 0
    prefix = config["registry"] + "/"
    argv = [f"{config['local']}/{word.removeprefix(prefix)}" if word.startswith(prefix) else word for word in argv]
    if argv[:1] == ["pull"] and config["program"] == "podman":
        argv.insert(1, "--tls-verify=false")
    environ = {**os.environ, **config["environ"]}
    os.execvpe(config["program"], [config["program"], *config["flags"], *argv], environ)  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    sys.exit(main())

"""What the names in a machine's `bin` run: it sends its arguments to the machine over a socket and prints the answer.

Standard library only, and started with `-I -S`: a rollout calls it some twenty times and pays each import each time.
"""

import json
import socket
import sys


def main() -> int:
    """`shim.py SOCKET TOOL ARGUMENT...`; the exit code is the tool's."""
    address, tool, *argv = sys.argv[1:]
    stdin = sys.stdin.read() if "--password-stdin" in argv else ""
    request = json.dumps({"tool": tool, "argv": argv, "stdin": stdin})
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
        except OSError as error:
            sys.stderr.write(f"{tool}: the sandbox is not running ({error.strerror}: {address}).\n")
            return 1
        connection.sendall(request.encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer = json.loads(
                answers.readline() or b'{"code": 1, "stdout": "", "stderr": "the sandbox went away\\n"}'
            )
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"])
    return int(answer["code"])


if __name__ == "__main__":
    sys.exit(main())

"""Which loopback ports a world really listens on, its children's included, read from the kernel (Linux's /proc)."""

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"
"""The state's number in /proc/net/tcp: include/net/tcp_states.h of the kernel."""


def ports_of(root: int) -> set[int]:
    """Every TCP port on which this process or one of its descendants listens."""
    inodes = {inode for pid in family(root) for inode in _sockets(pid)}
    return {port for port, inode in _listening() if inode in inodes}


def family(root: int) -> set[int]:
    """The process and all its descendants that are alive."""
    parents = {int(entry.name): _parent(entry) for entry in PROC.iterdir() if entry.name.isdigit()}
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _parent(entry: Path) -> int:
    try:
        # The name in parentheses may itself hold spaces and parentheses.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def _sockets(pid: int) -> Iterator[str]:
    try:
        links = [link.readlink().name for link in (PROC / str(pid) / "fd").iterdir()]
    except OSError:
        return
    yield from (link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:["))


def _listening() -> Iterator[tuple[int, str]]:
    for name in ("tcp", "tcp6"):
        for line in (PROC / "net" / name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN:
                yield int(fields[1].rpartition(":")[2], 16), fields[9]

"""The exit codes of the command line: one place, so that `--help`, the README and the code say the same."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended. The numbers from 64 on are those of sysexits.h."""

    DONE = 0
    FAILED = 1
    USAGE = 64
    UNAVAILABLE = 69
    SOFTWARE = 70
    NOT_OVER = 75
    REFUSED = 77

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Exit.DONE: "done; with --no-wait: written down, and a living bot carries it out",
    Exit.FAILED: "the operation ended without success (failed, denied, cancelled, expired, stale, interrupted)",
    Exit.USAGE: "the command or the configuration cannot be used, or it needs a yes (--yes)",
    Exit.UNAVAILABLE: "something that is needed is not there; it may be later",
    Exit.SOFTWARE: "a fault of this program",
    Exit.NOT_OVER: "not over yet: it waits for an approval, its turn or a bot; or --timeout or Ctrl-C ended the wait",
    Exit.REFUSED: "refused: the policy, the state of the operation, or an OS user whom the configuration does not name",
}


def table() -> str:
    """All codes, a line each, for `--help`."""
    return "exit codes:\n" + "\n".join(f"  {code.value:>2}  {code.meaning}" for code in Exit)

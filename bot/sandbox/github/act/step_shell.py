"""The shell that steps are run with: the machine's own, which ends in failure only when its last lines have been heard.

act 0.2 gives a step a terminal and copies what is printed there. When the step fails, act does not wait for that copy:
`HostEnvironment.exec` closes the terminal and returns as soon as the shell has ended (after a success it waits). The
last lines, which say why a step failed, then come after its end or never; GitHub always has them. Nothing at the
terminal tells a shell that they were read, so a failing one prints one line more, and waits until the sandbox has found
that line in what act says. Steps with a `shell:` that is not sh or bash are run without this.
"""

import shlex
import shutil

SHELLS = ("bash", "sh")
END = "[end of output of {mark}] "
"""Before the number of the shell. It may stand behind a last line that was not ended."""
SCRIPT = """\
[ -z "$QUARTERDECK_STEP" ] || exec {real} "$@"
QUARTERDECK_STEP=$$ {real} "$@" && exit 0
code=$?
printf '{end}%s\\n' "$QUARTERDECK_RUN" "$$"
{wait} "$$"
exit "$code"
"""
"""Only a step's own shell waits: one that it starts may print into a file or a variable."""


def scripts(*, wait: str) -> dict[str, str]:
    """The shells of the machine by name; `wait` is the command that returns when a shell's output has been heard."""
    found = {name: shutil.which(name) for name in SHELLS}
    end = END.format(mark="%s")
    return {name: SCRIPT.format(real=shlex.quote(real), end=end, wait=wait) for name, real in found.items() if real}


def without_end(text: str, *, mark: str) -> tuple[str, str]:
    """What was printed before the end of a shell's output, and the shell's number; all of it and "" where none ends."""
    before, found, shell = text.rpartition(END.format(mark=mark))
    return (before, shell) if found and shell.isdecimal() else (text, "")

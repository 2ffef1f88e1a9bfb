"""Runs the tests in a few lanes side by side, and prints what each of them said, whole.

A group's lanes wait for different things (containers, Terraform, a browser), so that together they take little longer
than the longest of them; within a lane one thing runs after the other. `python -m tests.lanes` runs every group,
`python -m tests.lanes infra` one of them. What the sandbox was compared with is counted over all lanes.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import inspection
from tests.conftest import STRICT

ROOT = Path(__file__).parent.parent
COVERAGE = ".cache/coverage.json"
CORE = (
    ("pytest", "tests/unit", "--cov", "--cov-report=term", f"--cov-report=json:{COVERAGE}"),
    ("tests.branches", COVERAGE),
)
"""The pure logic, and whether its tests take the branches of the core."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Patterns of test files in their order, and modules that run before them; a file belongs to its first lane."""

    patterns: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()


Lanes = Mapping[str, Lane]
GROUPS: Mapping[str, Lanes] = {
    "infra": {
        "hosts": Lane(("tests/infra/test_host_*.py", "tests/infra/test_packer.py")),
        "plans": Lane(("tests/infra/test_state_bucket.py", "tests/infra/test_least_*.py", "tests/infra/test_iam_*.py")),
        "estate": Lane(("tests/infra/test_bad_values.py", "tests/infra/test_ways_out.py", "tests/infra/test_*.py")),
    },
    "sandbox": {
        "wire": Lane(("tests/wire/test_*.py", "tests/crash/test_*.py", "tests/story/test_alert_*.py"), before=CORE),
        "story": Lane(("tests/story/test_*.py", "tests/page/test_*.py")),
    },
}
"""The estate begins with what need not wait until it stands; the core goes where the time of its lane is shortest."""
SAY_EVERY_S = 30.0
TOLD = ("FAILED ", "ERROR ", "MISMATCH ", "E   ", "FAIL ")
"""How the lines begin that say what failed; the last one is coverage's."""


class Running:
    """A lane on its way: its processes one after the other, what they say in one file."""

    def __init__(self, name: str, commands: Sequence[Sequence[str]], *, log: Path, counted: Path) -> None:
        self.name = name
        self.log = log
        self.codes: list[int] = []
        self._commands = commands
        self._counted = counted
        self._thread = threading.Thread(target=self._run, name=name)
        self._ended = False

    def start(self) -> None:
        self._thread.start()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def end(self) -> None:
        """Begin nothing more, and wait for what is on its way; whoever pressed Ctrl-C has told it to stop."""
        self._ended = True
        self._thread.join()
        if len(self.codes) < len(self._commands):
            self.codes.append(1)

    def _run(self) -> None:
        with self.log.open("wb") as said:
            for number, command in enumerate(self._commands):
                if self._ended:
                    return
                counted = {inspection.COUNTED: str(self._counted / f"{self.name}-{number}")}
                argv = [sys.executable, "-m", *command]
                done = subprocess.run(argv, cwd=ROOT, env=os.environ | counted, stdout=said, stderr=subprocess.STDOUT)
                self.codes.append(done.returncode)


def files(lanes: Lanes) -> dict[str, list[str]]:
    """The files of each lane, every file in exactly one."""
    shares: dict[str, list[str]] = {}
    for name, lane in lanes.items():
        taken = {file for share in shares.values() for file in share}
        found = (str(file.relative_to(ROOT)) for pattern in lane.patterns for file in sorted(ROOT.glob(pattern)))
        shares[name] = [file for file in dict.fromkeys(found) if file not in taken]
    return shares


def run(group: str, counted: Path, failures: list[str]) -> int:
    """Run all lanes of a group to their end; 0 when all is well, else the first code that is not.

    What failed is added to `failures`, to be said once more at the very end.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lanes = [
            Running(
                name, [*GROUPS[group][name].before, ("pytest", *chosen)], log=Path(folder, name), counted=counted
            )
            for name, chosen in files(GROUPS[group]).items()
        ]  # fmt: skip
        for lane in lanes:
            lane.start()
        try:
            _wait(group, lanes, began)
        finally:
            for lane in lanes:
                lane.end()
            for lane in lanes:
                print(f"\n==== {group}, lane {lane.name} ====", flush=True)
                sys.stdout.buffer.write(lane.log.read_bytes())
                sys.stdout.flush()
                failures += filter(_tells_failure, lane.log.read_text(errors="replace").splitlines())
    print(f"{group}, all lanes side by side: {time.monotonic() - began:.0f} s\n", flush=True)
    return next((code for lane in lanes for code in lane.codes if code), 0)


def _wait(group: str, lanes: Sequence[Running], began: float) -> None:
    next_word = began + SAY_EVERY_S
    while not all(lane.over for lane in lanes):
        time.sleep(0.2)
        if time.monotonic() < next_word:
            continue
        next_word += SAY_EVERY_S
        state = ", ".join(f"{lane.name} {_progress(lane.log)}" for lane in lanes)
        print(f"{group}, {time.monotonic() - began:.0f} s: {state}", flush=True)


def _tells_failure(line: str) -> bool:
    return line.startswith(TOLD) or "TOO FEW" in line


def _progress(log: Path) -> str:
    """How far pytest says it is, and whether something has failed."""
    marks = [line for line in log.read_text(errors="replace").splitlines() if line.endswith("%]")]
    failed = sum(line.rpartition(" [")[0].rpartition(" ")[2].count("F") for line in marks)
    return f"{marks[-1][-5:-1].strip(' [') if marks else '0%'}{f' ({failed} failed)' if failed else ''}"


def _compared(counted: Path) -> list[str]:
    """What all lanes together have compared too little of."""
    exchanges: Counter[str] = Counter()
    for file in counted.iterdir():
        exchanges.update(json.loads(file.read_text()))
    print(f"compared with the descriptions of others, all lanes: {dict(exchanges)}", flush=True)
    return inspection.shortfall(exchanges)


def main(groups: list[str]) -> int:
    """Run these groups, or all; the exit code says whether everything was well."""
    unknown = [name for name in groups if name not in GROUPS]
    if unknown:
        print(f"there is no group {unknown[0]!r}; there are: {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as counted:
        try:
            codes = [run(name, Path(counted), failures) for name in groups or GROUPS]
        except KeyboardInterrupt:
            return 130
        if os.environ.get(STRICT) == "1" and (not groups or "sandbox" in groups):
            short = _compared(Path(counted))
            print("\n".join(short), flush=True)
            codes.append(int(bool(short)))
    if failures:
        print("\n".join(["what failed, from all lanes:", *failures]), flush=True)
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

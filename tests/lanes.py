"""Runs tests as a few processes side by side, and prints what each of them said, whole.

A group's lanes wait for different things (containers, Terraform, a browser), so that together they take little longer
than the longest of them. `python -m tests.lanes` runs every group, one after the other; `python -m tests.lanes infra`
one of them. What the sandbox was compared with is counted over all lanes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests import inspection
from tests.conftest import STRICT

ROOT = Path(__file__).parent.parent
Lanes = Mapping[str, tuple[str, ...]]
GROUPS: Mapping[str, Lanes] = {
    "infra": {
        "hosts": ("tests/infra/test_host_*.py", "tests/infra/test_packer.py"),
        "plans": tuple(f"tests/infra/test_{name}.py" for name in ("state_bucket", "least_privilege", "iam_simulator")),
        "estate": ("tests/infra/test_bad_values.py", "tests/infra/test_ways_out.py", "tests/infra/test_*.py"),
    },
    "sandbox": {
        "wire": ("tests/wire/test_*.py", "tests/crash/test_*.py", "tests/story/test_alert_*.py"),
        "story": ("tests/story/test_*.py", "tests/page/test_*.py"),
    },
}
"""Which files the lanes of a group run, in this order; a file belongs to the first lane that names it.

The estate begins with what need not wait until it stands."""
SAY_EVERY_S = 30.0
TOLD = ("FAILED ", "ERROR ", "MISMATCH ", "E   ")
"""How the lines begin that say what failed."""


def files(lanes: Lanes) -> dict[str, list[str]]:
    """The files of each lane, every file in exactly one."""
    shares: dict[str, list[str]] = {}
    for name, patterns in lanes.items():
        taken = {file for share in shares.values() for file in share}
        found = (str(file.relative_to(ROOT)) for pattern in patterns for file in sorted(ROOT.glob(pattern)))
        shares[name] = [file for file in dict.fromkeys(found) if file not in taken]
    return shares


def run(group: str, counted: Path, failures: list[str]) -> int:
    """Run all lanes of a group to their end; 0 when all is well, else the first code that is not.

    What failed is added to `failures`, to be said once more at the very end.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        said = {name: Path(folder, name) for name in GROUPS[group]}
        running = {
            name: subprocess.Popen(
                [sys.executable, "-m", "pytest", *chosen],
                cwd=ROOT, env={**os.environ, inspection.COUNTED: str(counted / name)},
                stdout=said[name].open("wb"), stderr=subprocess.STDOUT,
            )
            for name, chosen in files(GROUPS[group]).items()
        }  # fmt: skip
        try:
            _wait(group, running, said, began)
        except KeyboardInterrupt:
            for process in running.values():
                process.wait()
            raise
        finally:
            for name, log in said.items():
                print(f"\n==== {group}, lane {name} ====", flush=True)
                sys.stdout.buffer.write(log.read_bytes())
                sys.stdout.flush()
                failures += [line for line in log.read_text(errors="replace").splitlines() if line.startswith(TOLD)]
    print(f"{group}, all lanes side by side: {time.monotonic() - began:.0f} s\n", flush=True)
    return next((process.returncode for process in running.values() if process.returncode), 0)


def _wait(group: str, running: Mapping[str, subprocess.Popen[bytes]], said: Mapping[str, Path], began: float) -> None:
    next_word = began + SAY_EVERY_S
    while any(process.poll() is None for process in running.values()):
        time.sleep(0.2)
        if time.monotonic() < next_word:
            continue
        next_word += SAY_EVERY_S
        state = ", ".join(f"{name} {_progress(said[name])}" for name in running)
        print(f"{group}, {time.monotonic() - began:.0f} s: {state}", flush=True)


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

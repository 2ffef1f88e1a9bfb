"""Runs the infrastructure's tests as two processes side by side, and prints what each of them said, whole.

The one half waits for Terraform and moto, the other for containers, so that together they take little longer than the
longer of them. `python -m tests.infra.lanes`; arguments go to both.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
LANES = {"hosts": ("test_host_*.py", "test_packer.py"), "estate": ("test_*.py",)}
"""Which files a lane runs; a file belongs to the first lane that names it."""
SAY_EVERY_S = 30.0
NOTHING_CHOSEN = 5
"""pytest's exit code when no test was chosen, which is well in one lane while another had some."""


def files() -> dict[str, list[str]]:
    """The files of each lane, every file in exactly one."""
    left = sorted(HERE.glob("test_*.py"))
    shares: dict[str, list[str]] = {}
    for name, patterns in LANES.items():
        shares[name] = [str(file) for file in left if any(file.match(pattern) for pattern in patterns)]
        left = [file for file in left if str(file) not in shares[name]]
    assert not left, f"no lane runs {left}"
    return shares


def main(arguments: list[str]) -> int:
    """Run both lanes to their end; 0 when all is well, else the first code that is not."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        said = {name: Path(folder, name) for name in LANES}
        running = {
            name: subprocess.Popen(
                [sys.executable, "-m", "pytest", *chosen, *arguments],
                stdout=said[name].open("wb"), stderr=subprocess.STDOUT,
            )
            for name, chosen in files().items()
        }  # fmt: skip
        try:
            _wait(running, said, began)
        except KeyboardInterrupt:
            for process in running.values():
                process.wait()
        for name, log in said.items():
            print(f"\n==== infra, lane {name} ====", flush=True)
            sys.stdout.buffer.write(log.read_bytes())
            sys.stdout.flush()
    codes = [process.returncode for process in running.values()]
    print(f"the real layers, all lanes side by side: {time.monotonic() - began:.0f} s", flush=True)
    chosen = [code for code in codes if code != NOTHING_CHOSEN]
    return next((code for code in chosen if code), 0 if chosen else NOTHING_CHOSEN)


def _wait(running: dict[str, subprocess.Popen[bytes]], said: dict[str, Path], began: float) -> None:
    next_word = began + SAY_EVERY_S
    while any(process.poll() is None for process in running.values()):
        time.sleep(0.2)
        if time.monotonic() < next_word:
            continue
        next_word += SAY_EVERY_S
        state = ", ".join(f"{name} {_percent(said[name])}" for name in running)
        print(f"infra, {time.monotonic() - began:.0f} s: {state}", flush=True)


def _percent(log: Path) -> str:
    """How far pytest says it is."""
    marks = [line for line in log.read_text(errors="replace").splitlines() if line.endswith("%]")]
    return marks[-1][-5:-1].strip(" [") if marks else "0%"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

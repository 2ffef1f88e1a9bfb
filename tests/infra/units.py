"""What systemd says about the units of a host: whether it understands them, and how exposed each service is."""

import re
import subprocess
import tempfile
from pathlib import Path

EXPOSURE_AT_MOST = 3.0
"""Of ten, as `systemd-analyze security` counts; what it calls OK ends at 5."""
PROGRAM = re.compile(r"/usr/local/bin/quarterdeck-[a-z-]+")


def complaints(host: Path, *, at_most: float = EXPOSURE_AT_MOST) -> list[str]:
    """All that systemd has against the units that `host/install` brings."""
    with tempfile.TemporaryDirectory(prefix="qd-units-") as folder:
        root = Path(folder) / "root"
        installed = _run([str(host / "install"), "--root", str(root)])
        if installed.returncode != 0:
            return [f"install --root: {installed.stderr}"]
        copies = _with_own_programs(root, Path(folder))
        found = _verified(copies)
        for unit in copies:
            if unit.suffix == ".service":
                found += _exposed(unit, at_most)
            if unit.suffix == ".timer":
                found += _calendar(unit)
        return found


def _with_own_programs(root: Path, folder: Path) -> list[Path]:
    """The installed units, with the programs that they name where they are in the folder."""

    def place(match: re.Match[str]) -> str:
        link = root / match[0].lstrip("/")
        return f"{root}{link.readlink()}" if link.is_symlink() else match[0]

    copies = []
    for unit in sorted((root / "etc" / "systemd" / "system").glob("*.*")):
        if unit.is_file():
            copy = folder / unit.name
            copy.write_text(PROGRAM.sub(place, unit.read_text()))
            copies.append(copy)
    return copies


def _verified(units: list[Path]) -> list[str]:
    """What `verify` prints counts, not its exit code: an unknown key alone does not fail it."""
    done = _run(["systemd-analyze", "verify", "--man=no", *map(str, units)])
    ours = {unit.name for unit in units}
    lines = [line for line in done.stderr.splitlines() if any(name in line for name in ours)]
    # Docker is not installed where this runs; ours may still want its client.
    return [line for line in lines if "/usr/bin/docker is not executable" not in line]


def _exposed(unit: Path, at_most: float) -> list[str]:
    argv = [
        "systemd-analyze",
        "security",
        "--offline=true",
        f"--threshold={round(at_most * 10)}",
        "--no-pager",
        str(unit),
    ]
    done = _run(argv)
    if done.returncode == 0:
        return []
    said = f"{done.stdout}{done.stderr}".strip().splitlines()[-1:]
    return [f"{unit.name}: more exposed than {at_most}: {' '.join(said)}"]


def _calendar(unit: Path) -> list[str]:
    found = []
    for moment in re.findall(r"^OnCalendar=(.+)$", unit.read_text(), flags=re.MULTILINE):
        if _run(["systemd-analyze", "calendar", moment]).returncode != 0:
            found.append(f"{unit.name}: systemd does not understand OnCalendar={moment}")
    return found


def _run(argv: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

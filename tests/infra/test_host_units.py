"""What `install` puts on a host, and that systemd can run it: names, links, units, and how much they are fenced in."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.infra.test_host_documents import DOCUMENTS
from tests.wire.sandbox_cloud import ROOT

HOST = ROOT / "infra" / "host"
UNITS = sorted((HOST / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
EXPOSURE_MOST = 3.5
"""By `systemd-analyze security`: 0 is locked up, 10 may do anything. The highest is what has to reload nginx."""
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system on which it was installed, twice."""
    if shutil.which("systemctl") is None:
        pytest.skip("systemctl is not installed")
    root = tmp_path_factory.mktemp("root")
    for _ in range(2):
        done = subprocess.run(
            [HOST / "install", "--root", root], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
    return root


def programs(unit: Path) -> list[str]:
    return re.findall(r"^Exec\w+=-?(\S+)", unit.read_text(), re.MULTILINE)


def test_every_name_that_documents_and_units_call_leads_to_a_script(root: Path):
    called = {f"/usr/local/bin/{name}" for name in DOCUMENTS}
    called |= {program for unit in SERVICES for program in programs(unit) if program.startswith("/usr/local/")}
    for name in called | {"/usr/local/bin/quarterdeck-reload"}:
        link = root / name.lstrip("/")
        script = root / str(link.readlink()).lstrip("/")
        assert script.stat().st_mode & 0o777 == 0o755, name
        assert script.read_text() == (HOST / script.name).read_text()


def test_everything_executable_in_the_folder_is_installed(root: Path):
    ours = {file.name for file in HOST.iterdir() if file.is_file() and file.stat().st_mode & 0o100} - {"install"}
    installed = {file.name for file in (root / "opt/quarterdeck/host").iterdir()}
    assert installed == ours | {"host.sh"}


def test_only_the_target_is_enabled_and_it_wants_the_rest(root: Path):
    wants = root / "etc/systemd/system/multi-user.target.wants"
    assert [link.name for link in wants.iterdir()] == ["quarterdeck.target"]
    wanted = set(
        re.findall(r"quarterdeck-[a-z-]+\.(?:service|timer)", (HOST / "systemd/quarterdeck.target").read_text())
    )
    timed = {unit.with_suffix(".service").name for unit in UNITS if unit.suffix == ".timer"}
    assert wanted | timed | {"quarterdeck.target"} == {unit.name for unit in UNITS}


def test_nothing_runs_before_the_settings_are_there():
    for unit in UNITS:
        if unit.suffix != ".target":
            assert "ConditionPathExists=/etc/quarterdeck/host.env\n" in unit.read_text(), unit.name


def test_install_refuses_what_it_does_not_know():
    done = subprocess.run([HOST / "install", "--prefix"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (64, "usage: install [--root DIR]\n")


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path):
    for unit in UNITS:
        text = re.sub(r"^(Exec\w+=-?)\S+", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    files = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if "quarterdeck" in line]
    assert (done.returncode, ours) == (0, [])


@needs_systemd
def test_every_service_is_fenced_in():
    for unit in SERVICES:
        argv = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MOST * 10:.0f}", str(unit)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{unit.name}: {done.stdout[-200:]}"


def test_the_bots_unit_waits_for_nothing_that_it_fetches_itself():
    unit = (HOST / "systemd" / "quarterdeck-bot.service").read_text()
    assert "quarterdeck.toml" not in unit
    assert "ExecCondition=/usr/bin/grep -qs ^BOT_IMAGE=. /etc/quarterdeck/host.env\n" in unit
    (writable,) = re.findall(r"^ReadWritePaths=(.*)$", unit, re.MULTILINE)
    assert {"/etc/quarterdeck", "/var/lib/quarterdeck-bot"} <= set(writable.split())


def test_the_doctor_sends_nobody_after_what_the_image_has_removed():
    assert "snap" in (ROOT / "infra" / "packer" / "provision" / "programs").read_text()
    assert "snap" not in (HOST / "doctor").read_text()

"""A machine for Packer: systemd as its first process, SSH, a user with sudo. A container of podman's, from a root file
system of this distribution that is made once and kept, as are the packages that its apt has downloaded.
"""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bot.sandbox.host.engine import CONTAINERS_CONF

NEEDED = ("podman", "runc", "mmdebstrap", "ssh-keygen", "gpg", "dpkg-deb")
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quarterdeck"
IMAGE = "localhost/packer-machine"
PROGRAMS = (
    "ca-certificates", "curl", "dbus", "gnupg", "iproute2", "openssh-server", "python3", "sudo",
    "systemd", "systemd-sysv",
)  # fmt: skip
# The copies out of and into apt's cache spare the mirror and a minute; the build itself empties that cache.
FURNISH = """\
set -e
useradd --create-home --shell /bin/bash ubuntu
echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/ubuntu
install -d -m 0700 -o ubuntu -g ubuntu /home/ubuntu/.ssh
install -m 0600 -o ubuntu -g ubuntu /srv/key.pub /home/ubuntu/.ssh/authorized_keys
cp -n /srv/debs/*.deb /var/cache/apt/archives/ 2>/dev/null || true
cat >/etc/apt/apt.conf.d/99keep <<'END'
DPkg::Pre-Invoke { "cp -n /var/cache/apt/archives/*.deb /srv/debs/ 2>/dev/null || true"; };
END
systemd-run --quiet --unit vendors python3 -m http.server 8000 --bind 127.0.0.1 --directory /srv/vendors
for attempt in $(seq 50); do
  if curl -s -o /dev/null http://127.0.0.1:8000/ && systemctl is-active --quiet ssh; then exit 0; fi
  sleep 0.2
done
exit 1
"""


def missing() -> str:
    """What is absent, in a sentence; empty when such a machine can be had."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    absent += [] if os.geteuid() == 0 else ["root"]
    absent += [] if SOURCES.is_file() else [str(SOURCES)]
    return f"a machine for Packer needs {', '.join(absent)}" if absent else ""


class Machine:
    """One machine. `key` is the private key of its user `ubuntu`, `port` its SSH on loopback."""

    def __init__(self, directory: Path, *, vendors: Path) -> None:
        self._directory = directory
        self._vendors = vendors
        # Podman wants this path to be short.
        self._run_root = Path(tempfile.mkdtemp(prefix="qd-packer-"))
        self.key = directory / "key"
        self.port = 0

    def start(self) -> None:
        self._directory.mkdir()
        (self._directory / "containers.conf").write_text(CONTAINERS_CONF)
        debs = CACHE / "packer-debs"
        debs.mkdir(parents=True, exist_ok=True)
        _must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        self.podman("import", str(_root_file_system()), IMAGE)
        mounts = (f"{debs}:/srv/debs", f"{self._vendors}:/srv/vendors:ro", f"{self.key}.pub:/srv/key.pub:ro")
        volumes = [word for mount in mounts for word in ("--volume", mount)]
        may = ("--systemd=always", "--cap-add", "SYS_ADMIN")
        self.podman(
            "run", "--detach", "--name", "machine", *may, "--publish", "127.0.0.1::22", *volumes, IMAGE, "/sbin/init"
        )
        self.await_booted()
        self.run("sh", "-c", FURNISH)
        self.port = int(self.podman("port", "machine", "22/tcp").rpartition(":")[2])

    def await_booted(self) -> None:
        """Wait until systemd has started what it starts at boot, failed units or not."""
        deadline = time.monotonic() + 90
        while self.ask("systemctl", "is-system-running")[1].strip() not in ("running", "degraded"):
            assert time.monotonic() < deadline, "the machine did not boot"
            time.sleep(0.3)

    def reboot(self) -> None:
        self.podman("restart", "--time", "10", "machine")
        self.await_booted()

    def run(self, *argv: str) -> str:
        """What a command on the machine prints.

        Raises:
            AssertionError: it failed; the text has what it said.
        """
        return self.podman("exec", "machine", *argv)

    def ask(self, *argv: str) -> tuple[int, str]:
        """Exit code and output of a command on the machine."""
        done = self._podman("exec", "machine", *argv)
        return done.returncode, done.stdout

    def podman(self, *arguments: str) -> str:
        done = self._podman(*arguments)
        assert done.returncode == 0, f"podman {' '.join(arguments[:3])}: {done.stderr[-2000:]}{done.stdout[-2000:]}"
        return done.stdout.strip()

    def remove(self) -> None:
        self._podman("rm", "--force", "--time", "0", "machine")
        self._podman("rmi", "--all", "--force")
        subprocess.run(["umount", str(self._directory / "root" / "overlay")], capture_output=True, check=False)
        for folder in (self._run_root, self._directory):
            shutil.rmtree(folder, ignore_errors=True)

    def _podman(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        argv = ["podman", "--root", str(self._directory / "root"), "--runroot", str(self._run_root), *arguments]
        environ = {**os.environ, "CONTAINERS_CONF": str(self._directory / "containers.conf")}
        return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=300)


def _root_file_system() -> Path:
    """Made once by mmdebstrap, which takes half a minute and the mirror."""
    file = CACHE / "packer-bookworm.tar"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"packer-{os.getpid()}.tar")
        include = f"--include={','.join(PROGRAMS)}"
        _must("mmdebstrap", "--variant=minbase", include, "bookworm", str(fresh), str(SOURCES))
        fresh.replace(file)
    return file


def _must(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv[0]}: {done.stderr[-2000:]}"

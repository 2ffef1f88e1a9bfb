"""What an image's build downloads, made here: Docker's signed apt repository, the AWS CLI's installer, the SSM agent.

Addresses, names, versions and the order of signatures are the vendors'; the contents are stand-ins that answer for
their version. The engine's service starts only where it finds its configuration.
"""

import hashlib
import os
import re
import subprocess
import zipfile
from email.utils import formatdate
from pathlib import Path

AGENT_VERSION = "3.3.2746.0"
SUITE = "jammy"
UNIT = """\
[Unit]
Description=Stand-in of a service
ConditionPathExists={needs}
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
DOCKER = """\
#!/bin/sh
case "$1" in
--version) echo 'Docker version 28 (stand-in)' ;;
compose) shift && exec /usr/libexec/docker/cli-plugins/docker-compose "$@" ;;
*) exit 125 ;;
esac
"""
COMPOSE = "#!/bin/sh\necho 'Docker Compose version v2 (stand-in)'\n"
CONTENTS = {
    "docker-ce": {"lib/systemd/system/docker.service": UNIT.format(needs="/etc/docker/daemon.json")},
    "docker-ce-cli": {"usr/bin/docker": DOCKER},
    "docker-compose-plugin": {"usr/libexec/docker/cli-plugins/docker-compose": COMPOSE},
    "amazon-ssm-agent": {"lib/systemd/system/amazon-ssm-agent.service": UNIT.format(needs="/etc")},
}
INSTALLER = """\
#!/bin/sh
printf '#!/bin/sh\\necho "aws-cli/{version} Python/3.13 Linux (stand-in)"\\n' >/usr/local/bin/aws
chmod 755 /usr/local/bin/aws
echo 'You can now run: /usr/local/bin/aws --version'
"""


class Vendors:
    """The files of all three under `directory`, to be served as they lie there, and the checksums that pin them."""

    def __init__(self, directory: Path, *, docker_packages: list[str], aws_cli_version: str) -> None:
        self.directory = directory
        directory.mkdir()
        self.docker_key_sha256 = self._docker(dict(p.split("=", 1) for p in docker_packages))
        self.aws_cli_sha256 = self._aws_cli(aws_cli_version)
        self.ssm_agent_sha256 = self._ssm_agent()

    def _docker(self, packages: dict[str, str]) -> str:
        """The repository, signed with a key of its own; returns the checksum of that key."""
        root = self.directory / "docker"
        pool, dists = root / "pool", root / "dists" / SUITE
        index = dists / "stable" / "binary-amd64" / "Packages"
        pool.mkdir(parents=True)
        index.parent.mkdir(parents=True)
        for name, version in packages.items():
            self._deb(pool / f"{name}.deb", name, version)
        index.write_text("".join(_entry(deb, root) for deb in sorted(pool.iterdir())))
        listed = index.read_bytes()
        sums = f" {hashlib.sha256(listed).hexdigest()} {len(listed)} stable/binary-amd64/Packages\n"
        head = f"Date: {formatdate(usegmt=True)}\nSuite: {SUITE}\nCodename: {SUITE}\n"
        release = f"{head}Architectures: amd64\nComponents: stable\nSHA256:\n{sums}"
        (dists / "Release").write_text(release)
        return self._sign(dists / "Release", dists / "InRelease", key=root / "gpg")

    def _sign(self, plain: Path, signed: Path, *, key: Path) -> str:
        home = self.directory.parent / "gnupg"
        home.mkdir(mode=0o700)
        gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
        _run(*gpg, "--quick-generate-key", "Stand-in <stand-in@example.org>", "ed25519", "sign")
        _run(*gpg, "--clearsign", "--output", str(signed), str(plain))
        _run(*gpg, "--armor", "--export", "--output", str(key))
        _run("gpgconf", "--homedir", str(home), "--kill", "all")
        return _sum(key)

    def _aws_cli(self, version: str) -> str:
        file = self.directory / "aws" / f"awscli-exe-linux-x86_64-{version}.zip"
        file.parent.mkdir()
        with zipfile.ZipFile(file, "w") as archive:
            member = zipfile.ZipInfo("aws/install")
            member.external_attr = 0o755 << 16
            archive.writestr(member, INSTALLER.format(version=version))
        return _sum(file)

    def _ssm_agent(self) -> str:
        file = self.directory / "ssm" / AGENT_VERSION / "debian_amd64" / "amazon-ssm-agent.deb"
        file.parent.mkdir(parents=True)
        self._deb(file, "amazon-ssm-agent", f"{AGENT_VERSION}-1")
        return _sum(file)

    def _deb(self, file: Path, name: str, version: str) -> None:
        tree = self.directory.parent / "trees" / name
        for path, text in CONTENTS.get(name, {}).items():
            place = tree / path
            place.parent.mkdir(parents=True)
            place.write_text(text)
            place.chmod(0o755 if text.startswith("#!") else 0o644)
        control = {
            "Package": name,
            "Version": version,
            "Architecture": "amd64",
            "Maintainer": "Stand-in <stand-in@example.org>",
            "Description": f"Stand-in of {name}",
        }
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text("".join(f"{key}: {value}\n" for key, value in control.items()))
        _run("dpkg-deb", "--root-owner-group", "--build", str(tree), str(file))


def defaults(template: Path) -> dict[str, str]:
    """The texts that a Packer template gives its variables by default."""
    blocks = re.findall(r'^variable "(\w+)" \{$(.*?)^\}$', template.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = {name: re.search(r'^  default\s+= "([^"]*)"$', body, flags=re.MULTILINE) for name, body in blocks}
    return {name: match[1] for name, match in found.items() if match}


def default_packages(template: Path) -> list[str]:
    """Docker's packages as a Packer template has them."""
    return re.findall(r'^    "([a-z.-]+=[^"]+)",$', template.read_text(), flags=re.MULTILINE)


def _entry(deb: Path, root: Path) -> str:
    """A package as a repository's index lists it."""
    control = _run("dpkg-deb", "--field", str(deb)).strip()
    where = f"Filename: {deb.relative_to(root)}\nSize: {deb.stat().st_size}\nSHA256: {_sum(deb)}\n"
    return f"{control}\n{where}\n"


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode == 0, f"{argv[0]}: {done.stderr}"
    return done.stdout

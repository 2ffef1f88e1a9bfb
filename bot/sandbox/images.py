"""Images without a registry's weight: a component's files at one commit, archived under the archive's own digest.

A real build makes layers; this one makes a tar of the component's paths and a small `image.json` that says how to start
it. What a digest names is therefore exactly what runs, as with a real image. Registering an image (that ECR knows its
digest and tag) is the AWS part's work and comes in as a callable.
"""

import asyncio
import hashlib
import io
import json
import re
import secrets
import tarfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

IMAGE_FILE = "image.json"
COMMIT = re.compile(r"[0-9a-f]{40}")
TAG = re.compile(r"fp-[0-9a-f]{16}")
ENTRY_MODULE: Mapping[str, tuple[str, ...]] = {"bot": ("python", "-m", "bot", "run")}
"""How a component is started, where it is not simply `python -m COMPONENT`."""


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """What the workflow `build-image.yml` is asked for. `request` is the bot's own id of the request."""

    component: str
    commit: str
    tag: str
    request: str


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image that was built: in which ECR repository, by which tag and digest (`sha256:...`), from which commit.

    `archive` is the hex name of its tar; the digest is the same unless a real engine built the image from it.
    """

    repository: str
    tag: str
    digest: str
    commit: str
    size: int
    archive: str


class BuildFailed(Exception):
    """The build ended without an image; the text is what its log says."""


Register = Callable[[ImageRecord], Awaitable[str]]
"""Makes ECR know an image; returns the digest that its tag names: an older one if the tag exists already."""


class ImageStore:
    """Builds images into `directory`; `repository` is the git directory, `components` the paths of each."""

    def __init__(
        self, *, directory: Path, repository: Path, components: Mapping[str, Sequence[str]], register: Register
    ) -> None:
        self._directory = directory
        self._repository = repository
        self._components = components
        self._register = register

    async def build(self, order: BuildOrder) -> str:
        """Archive and register; returns the digest. Building the same content again returns the first image's digest.

        Raises:
            BuildFailed: the order is malformed, or the commit or all its paths do not exist.
        """
        if order.component not in self._components:
            raise BuildFailed(f"There is no component {order.component!r}.")
        if COMMIT.fullmatch(order.commit) is None or TAG.fullmatch(order.tag) is None:
            raise BuildFailed("The commit or the tag is malformed.")
        paths = await self._paths(order)
        archived = await self._git("archive", "--format=tar", order.commit, "--", *paths)
        record = await asyncio.to_thread(self._keep, order, archived)
        registered = replace(record, digest=await self._register(record))
        await asyncio.to_thread(self._note, registered)
        return registered.digest

    async def _paths(self, order: BuildOrder) -> list[str]:
        """Those of the component's paths that the commit has."""
        wanted = sorted(self._components[order.component])
        listed = await self._git("ls-tree", "-z", "--name-only", order.commit, "--", *wanted)
        found = [name for name in listed.decode().split("\0") if name]
        if not found:
            raise BuildFailed(f"The commit {order.commit[:7]} has none of {', '.join(wanted)}.")
        return found

    async def _git(self, *arguments: str) -> bytes:
        git = await asyncio.create_subprocess_exec(
            "git",
            f"--git-dir={self._repository}",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await git.communicate()
        if git.returncode != 0:
            raise BuildFailed(err.decode(errors="replace").strip()[:500] or f"git ended with {git.returncode}")
        return out

    def _keep(self, order: BuildOrder, archived: bytes) -> ImageRecord:
        """Add how to start it, and write the archive under its digest."""
        command = ENTRY_MODULE.get(order.component, ("python", "-m", order.component))
        image = {"env": {"APP_BUILT_FROM": order.commit}, "command": command}
        content = _with_file(archived, IMAGE_FILE, json.dumps(image, indent=2).encode() + b"\n")
        name = hashlib.sha256(content).hexdigest()
        self._write(f"{name}.tar", content)
        return ImageRecord(order.component, order.tag, f"sha256:{name}", order.commit, len(content), name)

    def _note(self, record: ImageRecord) -> None:
        self._write(f"{record.archive}.json", json.dumps(asdict(record)).encode())

    def _write(self, name: str, content: bytes) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        fresh = self._directory / f".{name}.{secrets.token_hex(4)}"
        fresh.write_bytes(content)
        fresh.replace(self._directory / name)


def known_images(directory: Path) -> list[ImageRecord]:
    """The registered images whose archives are in the directory, oldest first."""
    notes = sorted(directory.glob("*.json"), key=lambda f: f.stat().st_mtime) if directory.is_dir() else []
    records = [
        ImageRecord(**json.loads(note.read_text(encoding="utf-8")))
        for note in notes
        if note.with_suffix(".tar").is_file()
    ]
    return records


def _with_file(archived: bytes, name: str, content: bytes) -> bytes:
    """The archive with one more file; nothing in it depends on when or by whom it is made."""
    buffer = io.BytesIO(archived)
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o644
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()

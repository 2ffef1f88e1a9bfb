"""What stands before anybody does anything: images of the sample's versions, the seeded past, and a service that runs.

dev is brought to `main~2` and prod to `main~4` by the host's own deploy script, through Run Command, exactly as the
bot will do it later. A world that was here before is left as its people made it: only what is missing is brought.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.sandbox.aws.part import AwsPart
from bot.sandbox.botconfig import COMPONENTS, DEPLOYED, ENVIRONMENTS
from bot.sandbox.cast import PEOPLE
from bot.sandbox.github.git import Git
from bot.sandbox.history import ON_DEV, ON_PROD, Version, dump, tell
from bot.sandbox.host.part import HostPart
from bot.sandbox.images import BuildOrder, ImageStore
from bot.sandbox.monitoring import history as alert_history

MEMBERS: Mapping[str, str] = {person.github: person.name for person in PEOPLE}
STRANGER = "dev"
"""Who is said to have deployed a commit whose author is nobody of the cast."""
SEED_FILE, ALERTS_FILE = "seed.jsonl", "alerts.jsonl"
"""The past: operations, and beside them alerts."""
NOTE_FILE = "baseline.json"


@dataclass(frozen=True, slots=True)
class Ground:
    """The version that an environment has at the beginning."""

    commit: str
    image: str


class Baseline:
    """Prepares once, then only repairs."""

    def __init__(
        self,
        *,
        home: Path,
        repository: Path,
        images: ImageStore,
        aws: AwsPart,
        host: HostPart,
        announce: Callable[[str], None],
    ) -> None:
        self._home = home
        self._git = Git(repository)
        self._images = images
        self._aws = aws
        self._host = host
        self._announce = announce
        self._ground: dict[str, Ground] = {}

    async def prepare(self) -> None:
        """Build the images and write the past, if this home has none yet; know what dev and prod begin with."""
        note = self._home / NOTE_FILE
        if note.is_file():
            written = json.loads(note.read_text(encoding="utf-8"))
            self._ground = {name: Ground(**ground) for name, ground in written.items()}
            return
        versions = await self._versions()
        (self._home / SEED_FILE).write_text(dump(tell(versions)), encoding="utf-8")
        alerts = alert_history.dump(alert_history.tell(datetime.now(UTC)))
        (self._home / ALERTS_FILE).write_text(alerts, encoding="utf-8")
        self._ground = {
            name: Ground(versions[back].sha, versions[back].image)
            for name, back in (("dev", ON_DEV), ("prod", ON_PROD))
        }
        note.write_text(json.dumps({name: asdict(ground) for name, ground in self._ground.items()}), encoding="utf-8")

    async def roll_out(self) -> None:
        """Have each environment run something: its beginning, where nothing runs.

        Raises:
            RuntimeError: a rollout failed; the text is what the host said.
        """
        await asyncio.gather(*(self._bring(environment) for environment in ENVIRONMENTS))

    async def _bring(self, environment: str) -> None:
        if not any(found["status"] == "running" for found in self._host.containers(environment)):
            ground = self._ground[environment]
            digest = ground.image.rpartition("@")[2]
            await self._aws.roll_out(environment=environment, service=DEPLOYED, digest=digest, commit=ground.commit)
        self._announce(f"{DEPLOYED} runs in {environment}: {self._host.url(environment, DEPLOYED)}")

    async def _versions(self) -> list[Version]:
        """The main branch's versions, newest first; those that nobody deployed yet have no image."""
        log = await self._git.text("log", "--first-parent", "--format=%H %ct %an %s", "main")
        built: dict[str, tuple[str, str]] = {}
        versions: list[Version] = []
        lines = log.splitlines()
        for back in range(len(lines) - 1, -1, -1):
            sha, seconds, login, title = lines[back].split(" ", 3)
            image, built_from = await self._image(sha, built) if back >= ON_DEV else ("", "")
            at = datetime.fromtimestamp(int(seconds), UTC)
            versions.append(Version(sha, at, title, MEMBERS.get(login, STRANGER), image, built_from))
        return versions[::-1]

    async def _image(self, sha: str, built: dict[str, tuple[str, str]]) -> tuple[str, str]:
        """The image of the component's content at that commit, and the commit that it was built from."""
        tag = await self._tag(sha)
        if tag not in built:
            order = BuildOrder(component=DEPLOYED, commit=sha, tag=tag, request="baseline")
            built[tag] = (f"{self._host.registry}/{DEPLOYED}@{await self._images.build(order)}", sha)
        return built[tag]

    async def _tag(self, sha: str) -> str:
        """The image tag of the component's content at that commit."""
        lines = []
        for path in sorted(COMPONENTS[DEPLOYED]):
            listed = await self._git.text("ls-tree", sha, path)
            lines.append(f"{path} {listed.split()[2] if listed else '-'}\n")
        return f"fp-{hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]}"

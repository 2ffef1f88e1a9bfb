"""The storm of the alert bench: alerts that each bear an id of their own, told to an Alertmanager of the bench's own.

A thousand alerts in a hundred groups, or six groups of awkward sizes; every contender has its own Alertmanager, so that
none of them takes another one's time. Grouped by alertname, group_wait 2 s, group_interval 10 s.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.report import Skipped

PROGRAM = "prometheus-alertmanager"
ID = re.compile(r"storm-\d{5}")
AWKWARD_SIZES = (1, 10, 11, 26, 60, 120)
AT_ONCE = 250
LONG_TEXT = "Long text about what is wrong and what to do now. " * 8
TEXT = "Something is wrong here, and this text says what and why. " * 2
CONFIGURATION = """\
route:
  receiver: bench
  group_by: [alertname]
  group_wait: 2s
  group_interval: 10s
  repeat_interval: 12h
receivers:
  - name: bench
"""
WEBHOOK = """\
    webhook_configs:
      - url: {url}
        send_resolved: true
        max_alerts: 0
        http_config: {{authorization: {{credentials: "{token}"}}}}
"""
DISCORD = """\
    discord_configs:
      - webhook_url: {url}
        send_resolved: true
"""
ONE_LINE = (
    "        message: '{{ range .Alerts }}{{ .Labels.instance }}: {{ .Annotations.summary }} ({{ .Status }})"
    """{{ "\\n" }}{{ end }}'\n"""
)


@dataclass(frozen=True, slots=True)
class Storm:
    """The alerts of one scenario, and when they began."""

    groups: Mapping[str, int]
    """The group of each id."""
    texts: Mapping[str, str]
    began: datetime

    @classmethod
    def of(cls, scenario: str, *, alerts: int = 1000, groups: int = 100) -> "Storm":
        sizes = AWKWARD_SIZES if scenario == "limits" else [alerts // groups] * groups
        names = (f"storm-{number:05d}" for number in range(sum(sizes)))
        group_of = {next(names): group for group, size in enumerate(sizes) for _ in range(size)}
        long = {0: "x" * 1500} if scenario == "limits" else {}
        usual = LONG_TEXT if scenario == "limits" else TEXT
        texts = {name: long.get(group, usual) for name, group in group_of.items()}
        return cls(group_of, texts, datetime.now(UTC))

    @property
    def even(self) -> frozenset[str]:
        """The half of the alerts that resolves while Discord is away."""
        return frozenset(name for name, group in self.groups.items() if group % 2 == 0)

    def told(self, names: Sequence[str], *, ended: bool = False) -> list[dict[str, Any]]:
        """These alerts as Alertmanager's API takes them."""
        now = datetime.now(UTC)
        return [self._one(name, now if ended else self.began + timedelta(hours=6)) for name in names]

    def _one(self, name: str, ends_at: datetime) -> dict[str, Any]:
        group = self.groups[name]
        title = f"StormAlert{group:03d}"
        return {
            "labels": {
                "alertname": title, "severity": ("critical", "warning", "info")[group % 3], "job": "node",
                "environment": "prod", "team": f"team{group % 7}", "instance": name,
            },
            "annotations": {
                "summary": f"Storm alert {group} on {name}", "description": f"{name}: {self.texts[name]}",
                "runbook_url": f"https://runbooks.example.org/{title}",
            },
            "startsAt": self.began.isoformat(), "endsAt": ends_at.isoformat(),
            "generatorURL": "http://127.0.0.1/graph?g0.expr=up",
        }  # fmt: skip


class Alertmanager:
    """A real Alertmanager of the bench's own, known by its address."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self._session = session

    @classmethod
    @asynccontextmanager
    async def running(
        cls, folder: Path, receiver: str, session: aiohttp.ClientSession, *, port: int
    ) -> AsyncIterator["Alertmanager"]:
        """One with this receiver; it ends with the context.

        Raises:
            Skipped: it is not installed here.
        """
        if shutil.which(PROGRAM) is None:
            raise Skipped(f"{PROGRAM} is not installed here.")
        folder.mkdir(parents=True)
        (folder / "alertmanager.yml").write_text(CONFIGURATION + receiver, encoding="utf-8")
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                PROGRAM, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'data'}",
                "--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{port}", stdout=log, stderr=log,
            )  # fmt: skip
        try:
            made = cls(f"http://127.0.0.1:{port}", session)
            await made._until_ready()
            yield made
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def tell(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        for first in range(0, len(alerts), AT_ONCE):
            batch = list(alerts[first : first + AT_ONCE])
            async with self._session.post(f"{self.address}/api/v2/alerts", json=batch) as answer:
                answer.raise_for_status()

    async def _until_ready(self) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    async with self._session.get(f"{self.address}/-/ready") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)

"""Alerts of the past for a demonstration: ended groups from a file of JSON lines, loaded once, without cards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import Connection, insert, select

from bot.alerts.model import State
from bot.alerts.payload import common, fingerprint_of
from bot.db.database import Database
from bot.db.tables import alert_episodes, alert_groups
from bot.errors import Misconfigured

SEED_FILE = "alerts.jsonl"
"""Beside the file of past operations."""


class _Line(BaseModel):
    """A file's line, and nothing that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Episode(_Line):
    labels: dict[str, str]
    starts_at: AwareDatetime
    ends_at: AwareDatetime

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.starts_at < self.ends_at:
            raise ValueError("starts_at is not before ends_at")
        return self


class _Group(_Line):
    """One group that is over. Its environment, service and severity stand in its alerts' labels."""

    name: str = Field(min_length=1)
    route: str
    channel: str
    annotations: dict[str, str]
    episodes: tuple[_Episode, ...] = Field(min_length=1)
    acked_by: str = ""
    acked_at: AwareDatetime | None = None


async def load_seed(database: Database, path: Path) -> int:
    """Write the file's groups unless that has been done before; returns how many were written.

    Raises:
        Misconfigured: the file cannot be read, or a line is not what it should be; nothing was written.
        Unavailable: the database could not store it; nothing was written.
    """
    groups = _read(path)
    return await database.write(lambda connection: _load(connection, groups))


def _read(path: Path) -> list[_Group]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The seed file {path} cannot be read: {error}. Nothing was loaded.") from error
    groups = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            groups.append(_Group.model_validate_json(line))
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"]) or "the line"
            raise Misconfigured(f"{path}, line {number}: {place}: {fault['msg']}. Nothing was loaded.") from error
    return sorted(groups, key=lambda group: group.episodes[0].starts_at)


def _load(connection: Connection, groups: Sequence[_Group]) -> int:
    if connection.execute(select(alert_groups.c.id).where(alert_groups.c.seeded).limit(1)).first() is not None:
        return 0
    for group in groups:
        inserted = connection.execute(insert(alert_groups).values(_group_row(group)).returning(alert_groups.c.id))
        group_id = int(inserted.scalar_one())
        connection.execute(insert(alert_episodes), [_episode_row(group, one, group_id) for one in group.episodes])
    return len(groups)


def _group_row(group: _Group) -> dict[str, Any]:
    labels = common(one.labels for one in group.episodes)
    began, over = group.episodes[0].starts_at, max(one.ends_at for one in group.episodes)
    severity = labels.get("severity", "")
    members = len({fingerprint_of(one.labels) for one in group.episodes})
    return {
        "group_key": f"seeded/{group.name}/{began.isoformat()}",
        "receiver": "quarterdeck",
        "channel": group.channel,
        "route": group.route,
        "environment": labels.get("environment", ""),
        "service": labels.get("service", ""),
        "severity": severity,
        "worst": severity,
        "title": group.name,
        "group_labels": {name: labels[name] for name in ("alertname", "environment", "service") if name in labels},
        "common_labels": labels,
        "common_annotations": group.annotations,
        "external_url": "",
        "opened_at": began,
        "fired_at": group.episodes[-1].starts_at,
        "updated_at": over,
        "closed_at": over,
        "members": members,
        "flaps": len(group.episodes) - members,
        "seeded": True,
    }


def _episode_row(group: _Group, episode: _Episode, group_id: int) -> dict[str, Any]:
    newest = {fingerprint_of(one.labels): one for one in group.episodes}
    held = group.acked_at is not None and episode.starts_at <= group.acked_at <= episode.ends_at
    return {
        "fingerprint": fingerprint_of(episode.labels),
        "starts_at": episode.starts_at.replace(microsecond=0),
        "group_id": group_id,
        "name": group.name,
        "labels": episode.labels,
        "annotations": group.annotations,
        "generator_url": "",
        "severity": episode.labels.get("severity", ""),
        "state": State.RESOLVED.value,
        # What fires from now on has no beginning here: its hosts are others.
        "latest": False,
        "member": episode is newest[fingerprint_of(episode.labels)],
        "confirmed": True,
        "first_seen_at": episode.starts_at,
        "told_at": episode.ends_at,
        "ended_at": episode.ends_at,
        "acked_by": group.acked_by if held else "",
        "acked_at": group.acked_at if held else None,
    }

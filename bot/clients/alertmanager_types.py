"""What Alertmanager's API v2 speaks of: alerts, groups, silences, status; each read from its JSON, all frozen.

Times come with up to nine digits of a second, of which six are kept. `0001-01-01` is Go's word for no time at all.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from bot.matcher import Matcher

_FRACTION = re.compile(r"\.(\d{1,6})\d*")


class AlertState(StrEnum):
    """How Alertmanager holds an alert that fires: `suppressed` is silenced or inhibited."""

    ACTIVE = "active"
    SUPPRESSED = "suppressed"
    UNPROCESSED = "unprocessed"


class SilenceState(StrEnum):
    """Expired silences are listed for five days more (`--data.retention`)."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class LiveAlert:
    """An alert that Alertmanager holds as firing now. Whether it fires is never read from an end time.

    `muted_by` are time intervals of its route; only the alerts of groups have it, and only since 0.28.
    """

    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    updated_at: datetime | None
    generator_url: str
    state: AlertState
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        status = row["status"]
        starts_at = moment(row["startsAt"])
        if starts_at is None:
            raise ValueError("an alert without a start")
        return cls(
            fingerprint=str(row["fingerprint"]),
            labels=_texts(row["labels"]),
            annotations=_texts(row.get("annotations") or {}),
            starts_at=starts_at,
            updated_at=moment(row.get("updatedAt")),
            generator_url=str(row.get("generatorURL") or ""),
            state=AlertState(status["state"]),
            silenced_by=tuple(map(str, status.get("silencedBy") or ())),
            inhibited_by=tuple(map(str, status.get("inhibitedBy") or ())),
            muted_by=tuple(map(str, status.get("mutedBy") or ())),
            receivers=tuple(str(receiver["name"]) for receiver in row.get("receivers") or ()),
        )


@dataclass(frozen=True, slots=True)
class LiveGroup:
    """The alerts that Alertmanager tells of together. The API does not tell the key that the webhooks carry."""

    receiver: str
    labels: Mapping[str, str]
    alerts: tuple[LiveAlert, ...]

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(str(row["receiver"]["name"]), _texts(row["labels"]), tuple(map(LiveAlert.from_json, row["alerts"])))


@dataclass(frozen=True, slots=True)
class LiveSilence:
    """A silence as Alertmanager holds it, whoever made it."""

    id: str
    state: SilenceState
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        starts_at, ends_at = moment(row["startsAt"]), moment(row["endsAt"])
        if starts_at is None or ends_at is None:
            raise ValueError("a silence without a start or an end")
        return cls(
            id=str(row["id"]),
            state=SilenceState(row["status"]["state"]),
            matchers=tuple(map(_matcher, row["matchers"])),
            starts_at=starts_at,
            ends_at=ends_at,
            created_by=str(row.get("createdBy") or ""),
            comment=str(row.get("comment") or ""),
        )


@dataclass(frozen=True, slots=True)
class SilenceWish:
    """A silence to be made, or with `id` to be changed. Alertmanager refuses one whose end has passed."""

    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    id: str = ""

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "matchers": [_as_json(matcher) for matcher in self.matchers],
            "startsAt": written(self.starts_at),
            "endsAt": written(self.ends_at),
            "createdBy": self.created_by,
            "comment": self.comment,
        }
        return {"id": self.id, **body} if self.id else body


@dataclass(frozen=True, slots=True)
class AlertmanagerStatus:
    """One Alertmanager of a cluster: since when it runs, by its own clock, and with how many it speaks."""

    version: str
    started_at: datetime
    uptime_s: float
    cluster: str = ""
    peers: tuple[str, ...] = ()
    config: str = field(default="", repr=False)

    @classmethod
    def from_json(cls, row: Mapping[str, Any], *, told_at: datetime | None = None) -> Self:
        """`told_at`: when it said so by its own clock; without one it counts as just started."""
        started_at = moment(row["uptime"])
        if started_at is None:
            raise ValueError("a status without a start")
        cluster = row.get("cluster") or {}
        return cls(
            version=str((row.get("versionInfo") or {}).get("version") or ""),
            started_at=started_at,
            uptime_s=max(0.0, (told_at - started_at).total_seconds()) if told_at is not None else 0.0,
            cluster=str(cluster.get("status") or ""),
            peers=tuple(str(peer.get("address") or "") for peer in cluster.get("peers") or ()),
            config=str((row.get("config") or {}).get("original") or ""),
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """What one Alertmanager says at one moment. `source` names it, without credentials."""

    source: str
    status: AlertmanagerStatus
    alerts: tuple[LiveAlert, ...]
    silences: tuple[LiveSilence, ...]


def moment(text: object) -> datetime | None:
    """The time that Go wrote; None for its zero time and for nothing at all.

    Raises:
        ValueError: it is no time.
    """
    if not text:
        return None
    value = datetime.fromisoformat(_FRACTION.sub(lambda found: f".{found[1]:0<6}", str(text)))
    if value.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r}")
    return None if value.year <= 1 else value.astimezone(UTC)


def written(value: datetime) -> str:
    """The time as Go reads it, in UTC."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _matcher(row: Mapping[str, Any]) -> Matcher:
    return Matcher(str(row["name"]), str(row["value"]), bool(row["isRegex"]), bool(row.get("isEqual", True)))


def _as_json(matcher: Matcher) -> dict[str, Any]:
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": matcher.is_regex,
        "isEqual": matcher.is_equal,
    }


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in row.items()}


def exactly(labels: Mapping[str, str], names: Iterable[str] | None = None) -> tuple[Matcher, ...]:
    """Matchers that want these labels to be just as they are; `names` chooses among them."""
    chosen = labels if names is None else {name: labels[name] for name in names if name in labels}
    return tuple(Matcher(name, value) for name, value in sorted(chosen.items()))

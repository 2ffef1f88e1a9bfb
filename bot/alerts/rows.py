"""From rows to what alerts are made of."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.alerts.model import (
    OWN,
    AlertGroup,
    Elsewhere,
    Episode,
    Matcher,
    NextCall,
    Override,
    Ping,
    Reason,
    Silence,
    SilenceKind,
    State,
)

Row = Mapping[Any, Any]
GROUP_FIELDS = (
    "id", "group_key", "receiver", "channel", "route", "environment", "service", "severity", "title", "group_labels",
    "common_labels", "common_annotations", "external_url", "opened_at", "fired_at", "updated_at", "closed_at", "firing",
    "members", "suppressed", "truncated", "repeats", "acked_by", "acked_at", "unacked_since", "escalation_step",
    "flaps", "flapping_until", "unconfirmed", "previous_id", "reopened",
)  # fmt: skip
EPISODE_FIELDS = (
    "fingerprint", "starts_at", "group_id", "labels", "annotations", "confirmed", "first_seen_at", "severity",
    "provisional", "inhibited", "ended_at", "acked_by", "acked_at", "generator_url",
    "told_by",
)  # fmt: skip


def group_of(
    row: Row,
    *,
    unseen_since: datetime | None,
    ping: Ping | None = None,
    silences: Iterable[Silence] = (),
    elsewhere: Elsewhere | None = None,
    calls_next: NextCall | None = None,
    episodes: Sequence[Episode] = (),
) -> AlertGroup:
    """The group. `unseen_since` is since when Alertmanager cannot be asked; it is said of what that makes doubtful."""
    doubtful = not row["group_key"].startswith(OWN) and (row["closed_at"] is None or row["unconfirmed"] > 0)
    if elsewhere is not None and elsewhere.certain and elsewhere.many >= row["firing"]:
        doubtful = False  # whoever cannot be asked has never known of it
    return AlertGroup(
        **{name: row[name] for name in GROUP_FIELDS},
        unconfirmed_since=unseen_since if doubtful else None,
        ping=ping,
        silences=tuple(silences),
        elsewhere=elsewhere,
        calls_next=calls_next,
        episodes=tuple(episodes),
    )


def episode_of(row: Row) -> Episode:
    return Episode(
        **{name: row[name] for name in EPISODE_FIELDS},
        state=State(row["state"]),
        silenced_by=tuple(row["silenced_by"]),
    )


def ping_of(row: Row) -> Ping:
    return Ping(
        id=row["id"],
        group_id=row["group_id"],
        reason=Reason(row["reason"]),
        roles=tuple(row["roles"]),
        people=tuple(row["people"]),
        at=row["at"],
        held_until=row["held_until"],
        detail=row["detail"],
    )


def silence_of(row: Row) -> Silence:
    return Silence(
        am_id=row["am_id"],
        person=row["person"],
        kind=SilenceKind(row["kind"]),
        matchers=tuple(Matcher(*one) for one in row["matchers"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        comment=row["comment"],
        group_id=row["group_id"],
        ended_at=row["ended_at"],
    )


def override_of(row: Row) -> Override:
    return Override(
        id=row["id"],
        person=row["person"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        by=row["by"],
        created_at=row["created_at"],
        reason=row["reason"],
    )

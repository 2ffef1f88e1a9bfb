"""The whole schema in one place, portable between SQLite and PostgreSQL. Migrations write it, and a test compares both.

Every invariant stands here as a constraint: one operation a request key, one vote a person, one holder a lock, one run
a schedule's moment. No behaviour lives in this room.
"""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

STATUSES = (
    "pending", "approved", "running", "succeeded", "failed", "denied", "expired", "cancelled", "stale", "interrupted",
)  # fmt: skip


class UtcDateTime(TypeDecorator[datetime]):
    """The one type of every time: aware UTC in and out; a naive time is a programming error and is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value!r}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CanonicalJson(TypeDecorator[Any]):
    """JSON as text with sorted keys and no spaces, so that equal values are equal rows in every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


def _plain(value: object) -> Any:
    """Mappings that are no dicts (read-only views) are written as objects; anything else is no JSON."""
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return {key: value[key] for key in value.keys()}  # noqa: SIM118 - any mapping, not only dict
    raise TypeError(f"{type(value).__name__} is not JSON")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

operations = Table(
    "operations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("params", CanonicalJson, nullable=False),
    Column("plan", CanonicalJson, nullable=False),
    Column("shown", CanonicalJson, nullable=False),
    Column("locks", CanonicalJson, nullable=False),
    Column("digest", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("approver_roles", CanonicalJson, nullable=False),
    Column("policy_reason", Text, nullable=False),
    Column("request_key", Text, nullable=False, unique=True),
    Column("parent_id", Integer, ForeignKey("operations.id")),
    Column("waiting_for", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("steps", CanonicalJson, nullable=False),
    Column("log_tail", Text, nullable=False, server_default=""),
    Column("checkpoint", CanonicalJson, nullable=False),
    Column("result", CanonicalJson, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("reminded_at", UtcDateTime),
    Column("approved_at", UtcDateTime),
    # Since when it could start, or go on after it was taken over, and has not: null while it stands in a queue, so
    # that the queue costs it nothing, and while it runs. Of an interrupted one: it took locks over and has not begun.
    Column("startable_since", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("cancel_requested_at", UtcDateTime),
    Column("cancel_requested_by", Text, nullable=False, server_default=""),
    # Who runs it now. Empty while `running` means: to be resumed by whoever finds it.
    Column("lease_owner", Text, nullable=False, server_default=""),
    Column("lease_until", UtcDateTime),
    Column("seeded", Boolean(create_constraint=False), nullable=False, server_default="0"),
    Column("door", Text, nullable=False, server_default="discord"),
    # False: at the last look Discord could not be asked who holds which role, and the people table spoke alone.
    Column("roles_confirmed", Boolean(create_constraint=False), nullable=False, server_default="1"),
    # The interrupted operations whose locks it may take over; on those, who has taken them.
    Column("takes_over", CanonicalJson, nullable=False, server_default="[]"),
    Column("locks_taken_by", Integer),
    CheckConstraint("status IN ({})".format(", ".join(f"'{status}'" for status in STATUSES)), name="status"),
    CheckConstraint("quorum >= 0", name="quorum"),
    Index(None, "status"),
    Index(None, "environment", "service", "ended_at"),
    Index(None, "service", "id"),
    sqlite_autoincrement=True,
)

votes = Table(
    "votes",
    metadata,
    Column("operation_id", Integer, ForeignKey("operations.id"), primary_key=True),
    Column("person", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    CheckConstraint("verdict IN ('approve', 'deny')", name="verdict"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("operation_id", Integer, ForeignKey("operations.id"), index=True),
    Column("name", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("data", CanonicalJson, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),
    # Events with the same fold are one row that counts; null (nearly always) folds with nothing.
    Column("fold", Text, unique=True),
    Column("at", UtcDateTime, nullable=False),
    # Where somebody was refused whose wish became no operation; empty for the events of operations.
    Column("environment", Text, nullable=False, server_default=""),
    Column("service", Text, nullable=False, server_default=""),
    Index(None, "at"),
    Index(None, "actor", "id"),
    sqlite_autoincrement=True,
)

locks = Table(
    "locks",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("operation_id", Integer, ForeignKey("operations.id"), nullable=False, index=True),
    Column("since", UtcDateTime, nullable=False),
)

cards = Table(
    "cards",
    metadata,
    Column("key", Text, primary_key=True),
    Column("channel_id", BigInteger, nullable=False),
    Column("message_id", BigInteger),
    Column("nonce", Text, nullable=False, server_default=""),
    Column("posted_at", UtcDateTime),
    # A card is dirty while `wanted` is ahead of `shown`; both only grow.
    Column("wanted", Integer, nullable=False, server_default="1"),
    Column("shown", Integer, nullable=False, server_default="0"),
    Column("priority", Integer, nullable=False),
    Column("not_before", UtcDateTime),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("state", CanonicalJson, nullable=False, server_default="{}"),
    Index(None, "channel_id", "priority"),
)

handles = Table(
    "handles",
    metadata,
    Column("handle", Text, primary_key=True),
    Column("operation_id", Integer, ForeignKey("operations.id")),
    Column("card_key", Text, nullable=False, index=True),
    Column("action", Text, nullable=False),
    Column("digest", Text, nullable=False),
    # The card's generation for which it was minted: an older one is superseded.
    Column("generation", Integer, nullable=False),
    Column("guild_id", BigInteger, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("message_id", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("used_by", Text, nullable=False, server_default=""),
    UniqueConstraint("card_key", "action", "generation"),
)

schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("due_at", UtcDateTime, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("outcome", Text, nullable=False, server_default=""),
)

alert_payloads = Table(
    "alert_payloads",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("received_at", UtcDateTime, nullable=False),
    Column("source", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("group_key", Text, nullable=False),
    Column("alerts", Integer, nullable=False),
    Column("applied_at", UtcDateTime),
    Column("outcome", Text, nullable=False, server_default=""),
    Column("group_id", Integer),
    Index(None, "applied_at", "id"),
    sqlite_autoincrement=True,
)

alert_bodies = Table(
    "alert_bodies",
    metadata,
    # As they came, byte by byte. Apart from their payloads, because noting that one is applied would write it all
    # again; gone once it is applied and was the same as the one before.
    Column("payload_id", Integer, ForeignKey("alert_payloads.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

alert_groups = Table(
    "alert_groups",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("group_key", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("severity", Text, nullable=False),
    # The worst severity that fires, or did lately: more than that calls somebody.
    Column("worst", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("group_labels", CanonicalJson, nullable=False),
    Column("common_labels", CanonicalJson, nullable=False),
    Column("common_annotations", CanonicalJson, nullable=False),
    Column("external_url", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("fired_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    # Counted from its episodes, in the transaction that changed them: the newest of each fingerprint.
    Column("firing", Integer, nullable=False, server_default="0"),
    Column("members", Integer, nullable=False, server_default="0"),
    Column("suppressed", Integer, nullable=False, server_default="0"),
    Column("unconfirmed", Integer, nullable=False, server_default="0"),
    Column("truncated", Integer, nullable=False, server_default="0"),
    Column("repeats", Integer, nullable=False, server_default="0"),
    Column("reopened", Integer, nullable=False, server_default="0"),
    Column("acked_by", Text, nullable=False, server_default=""),
    Column("acked_at", UtcDateTime),
    Column("unacked_since", UtcDateTime),
    Column("reminded_at", UtcDateTime),
    Column("escalation_step", Integer, nullable=False, server_default="0"),
    Column("flaps", Integer, nullable=False, server_default="0"),
    Column("flapping_until", UtcDateTime),
    # sha256 of its last payload: the same bytes again are a repeat.
    Column("body_digest", Text, nullable=False, server_default=""),
    Column("previous_id", Integer, ForeignKey("alert_groups.id")),
    Column("seeded", Boolean(create_constraint=False), nullable=False, server_default="0"),
    Index(None, "closed_at"),
    Index(None, "opened_at"),
    Index(None, "receiver"),
    sqlite_autoincrement=True,
)

alert_group_keys = Table(
    "alert_group_keys",
    metadata,
    # sha256 of the group key, which may be longer than an index takes. Several keys may lead to one group: a route was
    # renamed, or two routes tell of the same alerts.
    Column("digest", Text, primary_key=True),
    Column("group_key", Text, nullable=False),
    Column("group_id", Integer, ForeignKey("alert_groups.id"), nullable=False, index=True),
)

alert_episodes = Table(
    "alert_episodes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("fingerprint", Text, nullable=False),
    # Whole seconds: members of a cluster may differ in what is behind the point.
    Column("starts_at", UtcDateTime, nullable=False),
    Column("group_id", Integer, ForeignKey("alert_groups.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("labels", CanonicalJson, nullable=False),
    Column("annotations", CanonicalJson, nullable=False),
    Column("generator_url", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("state", Text, nullable=False),
    # The newest episode of its fingerprint, and the newest of its fingerprint in its group.
    Column("latest", Boolean(create_constraint=False), nullable=False),
    Column("member", Boolean(create_constraint=False), nullable=False),
    Column("confirmed", Boolean(create_constraint=False), nullable=False),
    Column("provisional", Boolean(create_constraint=False), nullable=False, server_default="0"),
    Column("silenced_by", CanonicalJson, nullable=False, server_default="[]"),
    Column("inhibited", Boolean(create_constraint=False), nullable=False, server_default="0"),
    Column("first_seen_at", UtcDateTime, nullable=False),
    # When somebody last told us of it: what was asked before that is older.
    Column("told_at", UtcDateTime, nullable=False),
    # By whose webhook; empty where the API that we ask brought it.
    Column("told_by", Text, nullable=False, server_default=""),
    Column("missing_since", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("acked_by", Text, nullable=False, server_default=""),
    Column("acked_at", UtcDateTime),
    CheckConstraint("state IN ('firing', 'resolved')", name="state"),
    UniqueConstraint("fingerprint", "starts_at"),
    Index(None, "group_id", "member"),
    Index(None, "state", "confirmed"),
    Index(None, "first_seen_at"),
    sqlite_autoincrement=True,
)

alert_pings = Table(
    "alert_pings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("group_id", Integer, ForeignKey("alert_groups.id"), nullable=False, index=True),
    # What it is for, so that it is written once: the group, the reason, and since when.
    Column("key", Text, nullable=False, unique=True),
    Column("reason", Text, nullable=False),
    Column("roles", CanonicalJson, nullable=False),
    Column("people", CanonicalJson, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("at", UtcDateTime, nullable=False),
    # Quiet hours hold it back until then; null once it was let go.
    Column("held_until", UtcDateTime, index=True),
    Index(None, "at"),
    sqlite_autoincrement=True,
)

alert_silences = Table(
    "alert_silences",
    metadata,
    Column("am_id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("matchers", CanonicalJson, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("comment", Text, nullable=False),
    Column("group_id", Integer, ForeignKey("alert_groups.id")),
    Column("noted_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, index=True),
    CheckConstraint("kind IN ('silence', 'until_resolved', 'maintenance', 'foreign')", name="kind"),
)

oncall_overrides = Table(
    "oncall_overrides",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("person", Text, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False, index=True),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

alert_tellers = Table(
    "alert_tellers",
    metadata,
    # Who sends webhooks, and for which cluster it is known that its API speaks for them; until then their newest
    # heartbeat, by which it is found out.
    Column("name", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False, server_default=""),
    Column("starts_at", UtcDateTime),
    Column("cluster", Text, nullable=False, server_default=""),
)

alert_moments = Table(
    "alert_moments",
    metadata,
    # Moments that outlive a restart: `beat:<heartbeat>`, and since when Alertmanager cannot be asked.
    Column("name", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

road_messages = Table(
    "road_messages",
    metadata,
    Column("group_id", Integer, ForeignKey("alert_groups.id"), primary_key=True),
    Column("opening", UtcDateTime, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("claimed_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("outcome", Text, nullable=False, server_default=""),
)

"""Alerts: payloads as they came, groups with their keys, episodes, pings, silences, who is on call, and moments."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KINDS = "'silence', 'until_resolved', 'maintenance', 'foreign'"


def upgrade() -> None:
    """Make every table and index; nothing that stands there changes."""
    _payloads()
    _groups()
    _group_keys()
    _episodes()
    _pings()
    _silences()
    _overrides()
    _tellers()
    _moments()
    _road_messages()


def downgrade() -> None:
    """Drop them; only for development."""
    for table in (
        "road_messages",
        "alert_moments",
        "alert_tellers",
        "oncall_overrides",
        "alert_silences",
        "alert_pings",
        "alert_episodes",
        "alert_group_keys",
        "alert_groups",
        "alert_bodies",
        "alert_payloads",
    ):
        op.drop_table(table)


def _id() -> "sa.Column[int]":
    return sa.Column("id", sa.Integer(), autoincrement=True, nullable=False)


def _time(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, default: str | None = None) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=False, server_default=default)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def _flag(name: str, *, default: str | None = None) -> "sa.Column[bool]":
    return sa.Column(name, sa.Boolean(), server_default=default, nullable=False)


def _of_group(table: str, column: str = "group_id") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["alert_groups.id"], name=op.f(f"fk_{table}_{column}"))


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*(columns or ("id",)), name=op.f(f"pk_{table}"))


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def _payloads() -> None:
    op.create_table(
        "alert_payloads",
        _id(),
        _time("received_at", nullable=False),
        _text("source"),
        _text("receiver"),
        _text("group_key"),
        sa.Column("alerts", sa.Integer(), nullable=False),
        _time("applied_at"),
        _text("outcome", default=""),
        sa.Column("group_id", sa.Integer(), nullable=True),
        _key("alert_payloads"),
        sqlite_autoincrement=True,
    )
    _index("alert_payloads", "applied_at", "id")
    op.create_table(
        "alert_bodies",
        sa.Column("payload_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["payload_id"], ["alert_payloads.id"], name=op.f("fk_alert_bodies_payload_id")),
        _key("alert_bodies", "payload_id"),
    )


def _groups() -> None:
    op.create_table(
        "alert_groups",
        _id(),
        *(_text(name) for name in ("group_key", "receiver", "channel", "route", "environment", "service")),
        *(_text(name) for name in ("severity", "worst", "title")),
        *(_text(name) for name in ("group_labels", "common_labels", "common_annotations", "external_url")),
        _time("opened_at", nullable=False),
        _time("fired_at", nullable=False),
        _time("updated_at", nullable=False),
        _time("closed_at"),
        *(_count(name) for name in ("firing", "members", "suppressed", "unconfirmed")),
        *(_count(name) for name in ("truncated", "repeats", "reopened")),
        _text("acked_by", default=""),
        _time("acked_at"),
        _time("unacked_since"),
        _time("reminded_at"),
        _count("escalation_step"),
        _count("flaps"),
        _time("flapping_until"),
        _text("body_digest", default=""),
        sa.Column("previous_id", sa.Integer(), nullable=True),
        _flag("seeded", default="0"),
        _of_group("alert_groups", "previous_id"),
        _key("alert_groups"),
        sqlite_autoincrement=True,
    )
    for column in ("closed_at", "opened_at", "receiver"):
        _index("alert_groups", column)


def _group_keys() -> None:
    op.create_table(
        "alert_group_keys",
        _text("digest"),
        _text("group_key"),
        sa.Column("group_id", sa.Integer(), nullable=False),
        _of_group("alert_group_keys"),
        _key("alert_group_keys", "digest"),
    )
    _index("alert_group_keys", "group_id")


def _episodes() -> None:
    op.create_table(
        "alert_episodes",
        _id(),
        _text("fingerprint"),
        _time("starts_at", nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        *(_text(name) for name in ("name", "labels", "annotations", "generator_url", "severity", "state")),
        _flag("latest"),
        _flag("member"),
        _flag("confirmed"),
        _flag("provisional", default="0"),
        _text("silenced_by", default="[]"),
        _flag("inhibited", default="0"),
        _time("first_seen_at", nullable=False),
        _time("told_at", nullable=False),
        _text("told_by", default=""),
        _time("missing_since"),
        _time("ended_at"),
        _text("acked_by", default=""),
        _time("acked_at"),
        sa.CheckConstraint("state IN ('firing', 'resolved')", name=op.f("ck_alert_episodes_state")),
        _of_group("alert_episodes"),
        _key("alert_episodes"),
        sa.UniqueConstraint("fingerprint", "starts_at", name=op.f("uq_alert_episodes_fingerprint_starts_at")),
        sqlite_autoincrement=True,
    )
    _index("alert_episodes", "group_id", "member")
    _index("alert_episodes", "state", "confirmed")
    _index("alert_episodes", "first_seen_at")


def _pings() -> None:
    op.create_table(
        "alert_pings",
        _id(),
        sa.Column("group_id", sa.Integer(), nullable=False),
        _text("key"),
        _text("reason"),
        _text("roles"),
        _text("people"),
        _text("detail", default=""),
        _time("at", nullable=False),
        _time("held_until"),
        _of_group("alert_pings"),
        _key("alert_pings"),
        sa.UniqueConstraint("key", name=op.f("uq_alert_pings_key")),
        sqlite_autoincrement=True,
    )
    for column in ("group_id", "held_until", "at"):
        _index("alert_pings", column)


def _silences() -> None:
    op.create_table(
        "alert_silences",
        *(_text(name) for name in ("am_id", "person", "kind", "matchers")),
        _time("starts_at", nullable=False),
        _time("ends_at", nullable=False),
        _text("comment"),
        sa.Column("group_id", sa.Integer(), nullable=True),
        _time("noted_at", nullable=False),
        _time("ended_at"),
        sa.CheckConstraint(f"kind IN ({_KINDS})", name=op.f("ck_alert_silences_kind")),
        _of_group("alert_silences"),
        _key("alert_silences", "am_id"),
    )
    _index("alert_silences", "ended_at")


def _overrides() -> None:
    op.create_table(
        "oncall_overrides",
        _id(),
        _text("person"),
        _time("starts_at", nullable=False),
        _time("ends_at", nullable=False),
        _text("by"),
        _text("reason", default=""),
        _time("created_at", nullable=False),
        _key("oncall_overrides"),
        sqlite_autoincrement=True,
    )
    _index("oncall_overrides", "ends_at")


def _tellers() -> None:
    op.create_table(
        "alert_tellers",
        _text("name"),
        _text("fingerprint", default=""),
        _time("starts_at"),
        _text("cluster", default=""),
        _key("alert_tellers", "name"),
    )


def _moments() -> None:
    op.create_table("alert_moments", _text("name"), _time("at", nullable=False), _key("alert_moments", "name"))


def _road_messages() -> None:
    op.create_table(
        "road_messages",
        sa.Column("group_id", sa.Integer(), nullable=False),
        _time("opening", nullable=False),
        _text("reason"),
        _time("claimed_at", nullable=False),
        _time("sent_at"),
        _text("outcome", default=""),
        _of_group("road_messages"),
        _key("road_messages", "group_id", "opening"),
    )

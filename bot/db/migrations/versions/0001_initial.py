"""The first schema: operations with their votes, events and locks; cards and handles; runs of the schedule."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATUSES = "'pending', 'approved', 'running', 'succeeded', 'failed', 'denied', 'expired', 'cancelled', 'stale', 'interrupted'"


def upgrade() -> None:
    """Make every table and index."""
    _operations()
    _votes()
    _events()
    _locks()
    _cards()
    _handles()
    _schedule_runs()


def downgrade() -> None:
    """Drop everything; only for development."""
    for table in ("schedule_runs", "handles", "cards", "locks", "events", "votes", "operations"):
        op.drop_table(table)


def _time(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False, default: str | None = None) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=nullable, server_default=default)


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        _text("kind"),
        _text("environment"),
        _text("service"),
        _text("target"),
        _text("params"),
        _text("plan"),
        _text("shown"),
        _text("locks"),
        _text("digest"),
        _text("requester"),
        _text("status"),
        sa.Column("quorum", sa.Integer(), nullable=False),
        _text("approver_roles"),
        _text("policy_reason"),
        _text("request_key"),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        _text("waiting_for", default=""),
        _text("reason", default=""),
        _text("steps"),
        _text("log_tail", default=""),
        _text("checkpoint"),
        _text("result"),
        _time("created_at", nullable=False),
        _time("expires_at"),
        _time("reminded_at"),
        _time("approved_at"),
        _time("startable_since"),
        _time("started_at"),
        _time("ended_at"),
        _time("cancel_requested_at"),
        _text("cancel_requested_by", default=""),
        _text("lease_owner", default=""),
        _time("lease_until"),
        sa.Column("seeded", sa.Boolean(), server_default="0", nullable=False),
        sa.CheckConstraint(f"status IN ({_STATUSES})", name=op.f("ck_operations_status")),
        sa.CheckConstraint("quorum >= 0", name=op.f("ck_operations_quorum")),
        sa.ForeignKeyConstraint(["parent_id"], ["operations.id"], name=op.f("fk_operations_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
        sa.UniqueConstraint("request_key", name=op.f("uq_operations_request_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_operations_status"), "operations", ["status"])
    op.create_index(
        op.f("ix_operations_environment_service_ended_at"), "operations", ["environment", "service", "ended_at"]
    )


def _votes() -> None:
    op.create_table(
        "votes",
        sa.Column("operation_id", sa.Integer(), nullable=False),
        _text("person"),
        _text("verdict"),
        _text("digest"),
        _text("reason"),
        _time("at", nullable=False),
        sa.CheckConstraint("verdict IN ('approve', 'deny')", name=op.f("ck_votes_verdict")),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], name=op.f("fk_votes_operation_id")),
        sa.PrimaryKeyConstraint("operation_id", "person", name=op.f("pk_votes")),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("operation_id", sa.Integer(), nullable=True),
        _text("name"),
        _text("actor"),
        _text("text"),
        _text("data"),
        sa.Column("count", sa.Integer(), server_default="1", nullable=False),
        _text("fold", nullable=True),
        _time("at", nullable=False),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], name=op.f("fk_events_operation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("fold", name=op.f("uq_events_fold")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_operation_id"), "events", ["operation_id"])


def _locks() -> None:
    op.create_table(
        "locks",
        _text("resource"),
        sa.Column("operation_id", sa.Integer(), nullable=False),
        _time("since", nullable=False),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], name=op.f("fk_locks_operation_id")),
        sa.PrimaryKeyConstraint("resource", name=op.f("pk_locks")),
    )
    op.create_index(op.f("ix_locks_operation_id"), "locks", ["operation_id"])


def _cards() -> None:
    op.create_table(
        "cards",
        _text("key"),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        _text("nonce", default=""),
        _time("posted_at"),
        sa.Column("wanted", sa.Integer(), server_default="1", nullable=False),
        sa.Column("shown", sa.Integer(), server_default="0", nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        _time("not_before"),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        _text("state", default="{}"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_cards")),
    )
    op.create_index(op.f("ix_cards_channel_id_priority"), "cards", ["channel_id", "priority"])


def _handles() -> None:
    op.create_table(
        "handles",
        _text("handle"),
        sa.Column("operation_id", sa.Integer(), nullable=True),
        _text("card_key"),
        _text("action"),
        _text("digest"),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        _time("created_at", nullable=False),
        _time("used_at"),
        _text("used_by", default=""),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], name=op.f("fk_handles_operation_id")),
        sa.PrimaryKeyConstraint("handle", name=op.f("pk_handles")),
        sa.UniqueConstraint("card_key", "action", "generation", name=op.f("uq_handles_card_key_action_generation")),
    )
    op.create_index(op.f("ix_handles_card_key"), "handles", ["card_key"])


def _schedule_runs() -> None:
    op.create_table(
        "schedule_runs",
        _text("name"),
        _time("due_at", nullable=False),
        _time("started_at", nullable=False),
        _time("ended_at"),
        _text("outcome", default=""),
        sa.PrimaryKeyConstraint("name", "due_at", name=op.f("pk_schedule_runs")),
    )

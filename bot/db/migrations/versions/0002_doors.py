"""The door of each operation, unconfirmed roles, locks that were taken over, and what searching the record needs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and indices; nothing that stands there changes."""
    op.add_column("operations", sa.Column("door", sa.Text(), server_default="discord", nullable=False))
    op.add_column("operations", sa.Column("roles_confirmed", sa.Boolean(), server_default="1", nullable=False))
    op.add_column("operations", sa.Column("takes_over", sa.Text(), server_default="[]", nullable=False))
    op.add_column("operations", sa.Column("locks_taken_by", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_operations_service_id"), "operations", ["service", "id"])
    op.add_column("events", sa.Column("environment", sa.Text(), server_default="", nullable=False))
    op.add_column("events", sa.Column("service", sa.Text(), server_default="", nullable=False))
    op.create_index(op.f("ix_events_at"), "events", ["at"])
    op.create_index(op.f("ix_events_actor_id"), "events", ["actor", "id"])


def downgrade() -> None:
    """Take them away again; only for development."""
    op.drop_index(op.f("ix_events_actor_id"), "events")
    op.drop_index(op.f("ix_events_at"), "events")
    op.drop_index(op.f("ix_operations_service_id"), "operations")
    for table, column in (
        ("events", "service"),
        ("events", "environment"),
        ("operations", "locks_taken_by"),
        ("operations", "takes_over"),
        ("operations", "roles_confirmed"),
        ("operations", "door"),
    ):
        op.drop_column(table, column)

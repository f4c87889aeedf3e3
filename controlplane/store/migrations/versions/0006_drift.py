"""Drift that is on record, orders to undo it, and objects that may be taken over."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("gateway_state", sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "gateway_state", sa.Column("drift_found", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column("gateway_state", sa.Column("heal_asked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("inventory", sa.Column("drift", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_table(
        "adoption",
        sa.Column("gateway_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["gateway.id"], name=op.f("fk_adoption_gateway_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("gateway_id", "kind", "object_id", name=op.f("pk_adoption")),
    )

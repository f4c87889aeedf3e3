"""Texts that keys had before they were rotated, found as the present ones are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "key", sa.Column("old_lookups", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
    )
    op.create_index("ix_key_old_lookups", "key", ["old_lookups"], postgresql_using="gin")

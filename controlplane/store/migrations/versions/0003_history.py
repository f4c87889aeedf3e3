"""Revisions are found by source and author, and what they changed by its name."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_revision_source", "revision", ["source", "id"])
    op.create_index("ix_revision_author", "revision", ["author", "id"])
    op.create_index("ix_revision_change_name", "revision_change", ["kind", "name"])

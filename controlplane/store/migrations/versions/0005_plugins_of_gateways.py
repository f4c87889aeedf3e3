"""What each gateway lists, once it has been asked."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("gateway_state", sa.Column("plugins", postgresql.JSONB(), nullable=True))

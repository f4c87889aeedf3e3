"""Audit rows are chained, and only ever added. What is there already is vouched for by one digest."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_EARLIER = """
    SELECT 1, count(*), encode(sha256(convert_to(coalesce(string_agg(encode(sha256(convert_to(
        jsonb_build_array(id, extract(epoch FROM at), author, address, request_id, action, kind, object_id,
        name, tenant_id, before, after, revision_id)::text, 'UTF8')), 'hex'), ',' ORDER BY id), ''), 'UTF8')),
        'hex')
    FROM audit"""

_STAYS = """
    CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'rows of the audit are neither changed nor removed'
            USING ERRCODE = 'insufficient_privilege';
    END $$"""


def upgrade() -> None:
    op.add_column("audit", sa.Column("previous", sa.Text(), nullable=True))
    op.add_column("audit", sa.Column("digest", sa.Text(), nullable=True))
    op.create_index("ix_audit_author", "audit", ["author", "id"])
    op.create_index("ix_audit_object", "audit", ["kind", "name", "id"])
    op.create_index("ix_audit_revision", "audit", ["revision_id"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.execute(f"INSERT INTO audit_head (id, rows, digest) {_EARLIER}")
    op.execute(_STAYS)
    op.execute(
        "CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION audit_stays()"
    )
    op.execute(
        "CREATE TRIGGER audit_stays_whole BEFORE TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_stays()"
    )

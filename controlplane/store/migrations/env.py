"""Alembic's entry: runs on the connection that `controlplane.store.migrate` hands in."""

import sqlmodel  # noqa: F401 - its types are named in revisions
from alembic import context

from controlplane.store.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()

"""When keys were last used, as gateways tell it: beside what is declared, for nobody declares it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from controlplane.store.database import Connection

_NOTE = """
    INSERT INTO key_use (key_id, last_used_at)
    SELECT id, moment FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, moment) JOIN key USING (id)
    ON CONFLICT (key_id) DO UPDATE SET last_used_at = greatest(key_use.last_used_at, excluded.last_used_at)"""


async def note_uses(connection: Connection, uses: Mapping[UUID, datetime]) -> None:
    """Keep when these keys were used; a key that is gone is left out."""
    await connection.execute(_NOTE, list(uses), list(uses.values()))


async def last_uses(connection: Connection, keys: Collection[UUID]) -> dict[UUID, datetime]:
    """When each of these keys was used last, as far as anybody knows."""
    found = await connection.fetch(
        "SELECT key_id, last_used_at FROM key_use WHERE key_id = ANY($1)", list(keys)
    )
    return {record["key_id"]: record["last_used_at"] for record in found}

"""When keys were last used, as gateways tell it: beside what is declared, for nobody declares it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from controlplane.errors import NotFound
from controlplane.store.database import Connection

_NOTE = """
    INSERT INTO key_use (key_id, last_used_at)
    SELECT id, moment FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, moment) JOIN key USING (id)
    ORDER BY id
    ON CONFLICT (key_id) DO UPDATE SET last_used_at = greatest(key_use.last_used_at, excluded.last_used_at)"""


_TELLS = "SELECT EXISTS (SELECT FROM gateway WHERE id = $1 AND (spec->>'last_used')::boolean)"


async def note_uses(connection: Connection, uses: Mapping[UUID, datetime]) -> None:
    """Keep when these keys were used; a key that is gone is left out."""
    await connection.execute(_NOTE, list(uses), list(uses.values()))


async def note_uses_at(connection: Connection, gateway: UUID, uses: Mapping[UUID, datetime]) -> None:
    """Keep what a gateway tells. Raises NotFound where it is not asked to tell."""
    if not await connection.fetchval(_TELLS, gateway):
        raise NotFound("this gateway tells of no uses", remedy="declare it with `last_used: true`")
    await note_uses(connection, uses)


async def last_uses(connection: Connection, keys: Collection[UUID]) -> dict[UUID, datetime]:
    """When each of these keys was used last, as far as anybody knows."""
    found = await connection.fetch(
        "SELECT key_id, last_used_at FROM key_use WHERE key_id = ANY($1)", list(keys)
    )
    return {record["key_id"]: record["last_used_at"] for record in found}

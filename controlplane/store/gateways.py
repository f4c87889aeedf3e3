"""What the gateways that there are can do."""

from functools import reduce
from uuid import UUID

from controlplane.core.abilities import OURS, STOCK, Abilities
from controlplane.store.database import Connection


async def known_abilities(connection: Connection) -> Abilities:
    """What at least one enabled gateway can do. Whoever has not been asked yet may be able to do anything."""
    found = await connection.fetch(
        "SELECT s.plugins FROM gateway g LEFT JOIN gateway_state s ON s.gateway_id = g.id "
        "WHERE coalesce((g.spec->>'enabled')::boolean, true)"
    )
    if not found or any(record["plugins"] is None for record in found):
        return OURS
    return reduce(Abilities.__or__, (Abilities.of(record["plugins"]) for record in found), STOCK)


async def abilities_of(connection: Connection, gateway: UUID) -> Abilities:
    """What one gateway can do; anything, as long as it has not been asked."""
    plugins = await connection.fetchval("SELECT plugins FROM gateway_state WHERE gateway_id = $1", gateway)
    return OURS if plugins is None else Abilities.of(plugins)

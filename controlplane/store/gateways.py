"""What the gateways that there are serve, and can do."""

from collections.abc import Sequence
from uuid import UUID

from controlplane.core.abilities import OURS, Abilities
from controlplane.core.selection import Site
from controlplane.store.database import Connection

SETTINGS = "sluice"
"""The source of the gateway that comes from the settings; no file has it."""


async def known_sites(connection: Connection) -> Sequence[Site]:
    """Every enabled gateway. One that has not been asked yet may be able to do anything."""
    found = await connection.fetch(
        "SELECT g.name, g.labels, s.plugins FROM gateway g LEFT JOIN gateway_state s ON s.gateway_id = g.id "
        "WHERE coalesce((g.spec->>'enabled')::boolean, true)"
    )
    return [Site(record["labels"], _abilities(record["plugins"]), record["name"]) for record in found]


async def abilities_of(connection: Connection, gateway: UUID) -> Abilities:
    """What one gateway can do; anything, as long as it has not been asked."""
    return _abilities(
        await connection.fetchval("SELECT plugins FROM gateway_state WHERE gateway_id = $1", gateway)
    )


def _abilities(plugins: Sequence[str] | None) -> Abilities:
    return OURS if plugins is None else Abilities.of(plugins)

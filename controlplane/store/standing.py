"""How a gateway and its objects stand, as the reconciler left it."""

from dataclasses import replace
from uuid import UUID

from controlplane.store.database import Connection
from controlplane.store.records import GatewayStatus, HeldObject

_OF_TENANT = """declared_by IN (
    SELECT 'provider ' || name FROM provider WHERE tenant_id = $5
    UNION ALL SELECT 'queue ' || name FROM queue WHERE tenant_id = $5
    UNION ALL SELECT 'rule ' || name FROM rule WHERE tenant_id = $5
    UNION ALL SELECT 'key ' || name FROM key WHERE tenant_id = $5)"""


async def gateway_status(connection: Connection, gateway: UUID) -> GatewayStatus:
    """How a gateway stands; one that is behind the newest revision is pending."""
    state = await connection.fetchrow(
        "SELECT state, last_pass, applied_revision, writes, error, leader, looked_at, drift_found, "
        "heal_asked_at IS NOT NULL AS healing FROM gateway_state "
        "WHERE gateway_id = $1",
        gateway,
    )
    counts = await connection.fetch(
        "SELECT state, count(*) AS number, count(drift) AS drift FROM inventory WHERE gateway_id = $1 "
        "GROUP BY state",
        gateway,
    )
    newest = await connection.fetchval("SELECT coalesce(max(id), 0) FROM revision")
    objects = {record["state"]: record["number"] for record in counts}
    if state is None:
        return GatewayStatus(objects=objects)
    drift = sum(record["drift"] for record in counts)
    status = GatewayStatus(**state, objects=objects, drift=drift)
    behind = status.state in ("converged", "drifted") and status.applied_revision < newest
    return replace(status, state="pending") if behind else status


async def held_objects(
    connection: Connection,
    gateway: UUID,
    after: tuple[str, str] | None,
    limit: int,
    tenant: UUID | None = None,
) -> list[HeldObject]:
    """The objects of ours on a gateway, in the order of their kinds and ids, after one of them."""
    theirs = "true" if tenant is None else _OF_TENANT
    found = await connection.fetch(
        "SELECT kind, object_id AS id, declared_by, hash, state, error, applied_at FROM inventory "
        'WHERE gateway_id = $1 AND (kind COLLATE "C", object_id COLLATE "C") > ($2, $3) '
        f'AND {theirs} ORDER BY kind COLLATE "C", object_id COLLATE "C" LIMIT $4',
        gateway,
        *(after or ("", "")),
        limit,
        *(() if tenant is None else (tenant,)),
    )
    return [HeldObject(**record) for record in found]

"""Drift on record, and what people want done about it: undone, or taken over."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from controlplane.core.diff import FieldChange
from controlplane.core.objects import Kind as ObjectKind
from controlplane.core.objects import ObjectKey
from controlplane.store.database import Connection
from controlplane.store.writes import CHANNEL

NOBODY = "nothing that is declared"


@dataclass(frozen=True, slots=True)
class Orders:
    """What people want of a gateway's next pass."""

    heal_asked_at: datetime | None = None
    """When somebody asked for its drift to be undone, whatever its mode."""
    adopted: frozenset[ObjectKey] = frozenset()
    """Objects without our label that may be taken over."""


@dataclass(frozen=True, slots=True)
class StandingDrift:
    """An object that somebody changed on a gateway, and nobody has put back."""

    key: ObjectKey
    declared_by: str
    hash: str | None
    changes: tuple[FieldChange, ...]


async def orders_of(connection: Connection, gateway: UUID) -> Orders:
    heal = await connection.fetchval("SELECT heal_asked_at FROM gateway_state WHERE gateway_id = $1", gateway)
    found = await connection.fetch("SELECT kind, object_id FROM adoption WHERE gateway_id = $1", gateway)
    return Orders(heal, frozenset(map(_key, found)))


async def standing_drift(connection: Connection, gateway: UUID) -> Sequence[StandingDrift]:
    """The drift of a gateway as it was last seen."""
    found = await connection.fetch(
        "SELECT kind, object_id, declared_by, hash, drift FROM inventory "
        "WHERE gateway_id = $1 AND drift IS NOT NULL ORDER BY kind, object_id",
        gateway,
    )
    return [
        StandingDrift(
            _key(record),
            record["declared_by"],
            record["hash"],
            tuple(FieldChange(item["field"], item["before"], item["after"]) for item in record["drift"]),
        )
        for record in found
    ]


async def record_look(
    connection: Connection,
    gateway: UUID,
    looked_at: datetime,
    standing: Mapping[ObjectKey, tuple[FieldChange, ...]],
    *,
    found: int,
) -> None:
    """Keep what a look at the whole gateway found: the drift that stands, and how much of it is new."""
    await connection.execute(
        "DELETE FROM inventory WHERE gateway_id = $1 AND hash IS NULL AND drift IS NOT NULL", gateway
    )
    await connection.execute(
        "UPDATE inventory SET drift = NULL WHERE gateway_id = $1 AND drift IS NOT NULL", gateway
    )
    await connection.executemany(
        "INSERT INTO inventory (gateway_id, kind, object_id, declared_by, state, drift) "
        "VALUES ($1, $2, $3, $4, 'applied', $5) "
        "ON CONFLICT (gateway_id, kind, object_id) DO UPDATE SET drift = excluded.drift",
        [(gateway, key.kind.value, key.id, NOBODY, _kept(changes)) for key, changes in standing.items()],
    )
    await connection.execute(
        "INSERT INTO gateway_state (gateway_id, state, applied_revision, writes, leader, looked_at, "
        "drift_found) VALUES ($1, 'pending', 0, 0, '', $2, $3) ON CONFLICT (gateway_id) DO UPDATE SET "
        "looked_at = excluded.looked_at, drift_found = gateway_state.drift_found + excluded.drift_found",
        *(gateway, looked_at, found),
    )


async def order_heal(connection: Connection, gateways: Collection[UUID] | None) -> None:
    """Have the drift of these gateways undone, or of all of them, by whichever replica leads each."""
    await connection.execute(
        "UPDATE gateway_state SET heal_asked_at = clock_timestamp() "
        "WHERE $1::uuid[] IS NULL OR gateway_id = ANY($1)",
        None if gateways is None else list(gateways),
    )
    await _tell(connection)


async def healed(connection: Connection, gateway: UUID, asked_at: datetime) -> None:
    """Its drift is undone, as it was asked for then; what was asked for since is still to be done."""
    await connection.execute(
        "UPDATE gateway_state SET heal_asked_at = NULL WHERE gateway_id = $1 AND heal_asked_at = $2",
        *(gateway, asked_at),
    )


async def adopt(connection: Connection, gateway: UUID, keys: Collection[ObjectKey]) -> None:
    """Let objects be taken over once they are declared."""
    await connection.executemany(
        "INSERT INTO adoption (gateway_id, kind, object_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        [(gateway, key.kind.value, key.id) for key in keys],
    )
    await _tell(connection)


async def adoption_ends(connection: Connection, gateway: UUID, keys: Collection[ObjectKey]) -> None:
    """These objects are ours by now."""
    await connection.executemany(
        "DELETE FROM adoption WHERE gateway_id = $1 AND kind = $2 AND object_id = $3",
        [(gateway, key.kind.value, key.id) for key in keys],
    )


async def _tell(connection: Connection) -> None:
    """Wake the loops: nothing is declared anew, and there is something to do."""
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, ORDERS)


ORDERS = "orders"
"""The news that there are orders, rather than another revision."""


def _key(record: Mapping[str, str]) -> ObjectKey:
    return ObjectKey(ObjectKind(record["kind"]), record["object_id"])


def _kept(changes: Sequence[FieldChange]) -> list[dict[str, str]]:
    return [{"field": item.path, "before": item.before, "after": item.after} for item in changes]

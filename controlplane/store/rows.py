"""The SQL of declared objects: one statement a kind that reads whole documents, and what writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from controlplane.core.gateways import GatewaySpec
from controlplane.core.limits import Limit
from controlplane.core.rules import RuleSpec
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec, TenantSpec
from controlplane.store.database import Connection
from controlplane.store.documents import Document, Secrets, document_of, old_lookups
from controlplane.store.records import Kind, Spec

_LIMITS = """coalesce((SELECT jsonb_agg(l.spec ORDER BY l.position) FROM declared_limit l
    WHERE l.owner_id = {owner}), '[]')"""

_MEMBERS = f"""coalesce((
    SELECT jsonb_agg(m.spec || jsonb_build_object(
        'name', m.name, 'provider', p.name, 'limits', {_LIMITS.format(owner="m.id")}) ORDER BY m.position)
    FROM member m JOIN provider p ON p.id = m.provider_id WHERE m.queue_id = o.id), '[]')"""

_NAMES = """coalesce((SELECT jsonb_agg(t.name ORDER BY t.name) FROM {link} k
    JOIN {target} t ON t.id = k.{target}_id WHERE k.key_id = o.id), '[]')"""

_OWN_LIMITS = _LIMITS.format(owner="o.id")
_TENANT = "(SELECT t.name FROM tenant t WHERE t.id = o.tenant_id)"

_PARTS = {
    Kind.PROVIDER: f"'limits', {_OWN_LIMITS}, 'tenant', {_TENANT}",
    Kind.TENANT: f"'limits', {_OWN_LIMITS}",
    Kind.QUEUE: f"'limits', {_OWN_LIMITS}, 'members', {_MEMBERS}, 'tenant', {_TENANT}",
    Kind.KEY: f"'limits', {_OWN_LIMITS}, 'tenant', {_TENANT}, "
    f"'queues', {_NAMES.format(link='key_queue', target='queue')}, "
    f"'providers', {_NAMES.format(link='key_provider', target='provider')}, "
    f"'rules', nullif({_NAMES.format(link='key_rule', target='rule')}, '[]')",
    Kind.RULE: f"'limits', {_OWN_LIMITS}, 'tenant', {_TENANT}",
    Kind.GATEWAY: "",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A declared object as the database has it."""

    id: UUID
    name: str
    source: str
    document: Document
    secrets: Secrets
    version: int
    created_at: datetime
    updated_at: datetime


def select(kind: Kind, where: str = "true", *, tail: str = "") -> str:
    """A statement that reads rows of a kind; `o` is the object's table."""
    parts = _PARTS[kind]
    whole = "o.spec || jsonb_build_object('name', o.name" + (f", {parts})" if parts else ")")
    return (
        f"SELECT o.id, o.name, o.source, jsonb_strip_nulls({whole}) AS document, o.secrets, "
        f'o.version, o.created_at, o.updated_at FROM "{kind}" o WHERE {where} {tail}'
    )


async def fetch(connection: Connection, kind: Kind, where: str, *values: object, tail: str = "") -> list[Row]:
    found = await connection.fetch(select(kind, where, tail=tail), *values)
    return [Row(**record) for record in found]


async def fetch_one(connection: Connection, kind: Kind, where: str, *values: object) -> Row | None:
    rows = await fetch(connection, kind, where, *values)
    return rows[0] if rows else None


@dataclass(frozen=True, slots=True)
class Names:
    """The ids behind the names that a declaration refers to."""

    providers: Mapping[str, UUID]
    tenants: Mapping[str, UUID]
    queues: Mapping[str, UUID]
    rules: Mapping[str, UUID]


async def write(
    connection: Connection,
    kind: Kind,
    object_id: UUID,
    spec: Spec,
    *,
    source: str,
    secrets: Secrets,
    revision: int,
    names: Names,
    lookup: str | None = None,
) -> None:
    """Insert or replace an object with all its rows."""
    columns: dict[str, Any] = {  # Any: column values
        "id": object_id,
        "name": spec.name,
        "source": source,
        "labels": dict(spec.labels),
        "spec": _own_part(kind, spec),
        "secrets": secrets,
        "version": revision,
    }
    if isinstance(spec, TenantSpec):
        columns["subdomain"] = spec.subdomain
    if isinstance(spec, ProviderSpec | QueueSpec | RuleSpec | KeySpec):
        columns["tenant_id"] = names.tenants[spec.tenant] if spec.tenant else None
    if lookup is not None:
        columns["lookup"] = lookup
        columns["old_lookups"] = old_lookups(secrets)
    await connection.execute(_upsert(kind, list(columns)), *columns.values())
    if not isinstance(spec, GatewaySpec):
        await _write_limits(connection, kind, object_id, spec.limits)
    if isinstance(spec, QueueSpec):
        await _write_members(connection, object_id, spec, names)
    if isinstance(spec, KeySpec):
        await _write_links(connection, object_id, spec, names)


async def remove(connection: Connection, kind: Kind, object_id: UUID) -> None:
    """Delete an object with all its rows."""
    await connection.execute(
        "DELETE FROM declared_limit WHERE owner_id = $1 "
        "OR owner_id IN (SELECT id FROM member WHERE queue_id = $1)",
        object_id,
    )
    await connection.execute(f'DELETE FROM "{kind}" WHERE id = $1', object_id)


def _own_part(kind: Kind, spec: Spec) -> Document:
    """What is kept in the object's own row."""
    apart = {"name"}
    if kind is not Kind.GATEWAY:
        apart |= {"limits", "members", "tenant", "queues", "providers", "rules"}
    return {name: value for name, value in document_of(kind, spec).items() if name not in apart}


def _upsert(kind: Kind, columns: Sequence[str]) -> str:
    names = ", ".join(columns)
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
    return (
        f'INSERT INTO "{kind}" ({names}, created_at, updated_at) VALUES ({places}, now(), now()) '
        f"ON CONFLICT (id) DO UPDATE SET {changes}, updated_at = now()"
    )


async def _write_limits(connection: Connection, kind: str, owner: UUID, limits: Sequence[Limit]) -> None:
    await connection.execute("DELETE FROM declared_limit WHERE owner_id = $1", owner)
    await connection.executemany(
        "INSERT INTO declared_limit (owner_kind, owner_id, position, meter, spec) "
        "VALUES ($1, $2, $3, $4, $5)",
        [
            (
                str(kind),
                owner,
                position,
                limit.meter.value,
                limit.model_dump(mode="json", exclude_defaults=True),
            )
            for position, limit in enumerate(limits)
        ],
    )


async def _write_members(connection: Connection, queue: UUID, spec: QueueSpec, names: Names) -> None:
    await connection.execute(
        "DELETE FROM declared_limit WHERE owner_id IN (SELECT id FROM member WHERE queue_id = $1)", queue
    )
    await connection.execute("DELETE FROM member WHERE queue_id = $1", queue)
    apart = {"name", "provider", "limits"}
    for position, member in enumerate(spec.members):
        member_id = uuid4()
        await connection.execute(
            "INSERT INTO member (id, queue_id, provider_id, position, name, spec) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            member_id,
            queue,
            names.providers[member.provider],
            position,
            member.name,
            member.model_dump(mode="json", exclude_defaults=True, exclude=apart),
        )
        if member.limits:
            await _write_limits(connection, "member", member_id, member.limits)


async def _write_links(connection: Connection, key: UUID, spec: KeySpec, names: Names) -> None:
    await connection.execute("DELETE FROM key_queue WHERE key_id = $1", key)
    await connection.execute("DELETE FROM key_provider WHERE key_id = $1", key)
    await connection.execute("DELETE FROM key_rule WHERE key_id = $1", key)
    await connection.executemany(
        "INSERT INTO key_queue (key_id, queue_id) VALUES ($1, $2)",
        [(key, names.queues[name]) for name in spec.queues],
    )
    await connection.executemany(
        "INSERT INTO key_provider (key_id, provider_id) VALUES ($1, $2)",
        [(key, names.providers[name]) for name in spec.providers],
    )
    await connection.executemany(
        "INSERT INTO key_rule (key_id, rule_id) VALUES ($1, $2)",
        [(key, names.rules[name]) for name in spec.rules],
    )

"""The SQL of declared objects: one statement a kind that reads whole documents, and what writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from controlplane.core.gateways import GatewaySpec
from controlplane.core.limits import Limit
from controlplane.core.rules import RuleSpec
from controlplane.core.spec import KeySpec, MemberSpec, ProviderSpec, QueueSpec, TenantSpec
from controlplane.store.database import Connection, insert
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

_LIMIT_COLUMNS = {
    "owner_kind": "text",
    "owner_id": "uuid",
    "position": "integer",
    "meter": "text",
    "spec": "jsonb",
}
_MEMBER_COLUMNS = {
    "id": "uuid",
    "queue_id": "uuid",
    "provider_id": "uuid",
    "position": "integer",
    "name": "text",
    "spec": "jsonb",
}
_OWN_LIMITS = _LIMITS.format(owner="o.id")
_TENANT = "(SELECT t.name FROM tenant t WHERE t.id = o.tenant_id)"

_PARTS = {
    Kind.PROVIDER: f"'limits', {_OWN_LIMITS}, 'tenant', {_TENANT}",
    Kind.TIER: f"'limits', {_OWN_LIMITS}",
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


@dataclass(frozen=True, slots=True)
class Writing:
    """An object that is to be inserted or replaced."""

    id: UUID
    spec: Spec
    secrets: Secrets
    names: Names
    lookup: str | None = None


async def write(
    connection: Connection, kind: Kind, writings: Sequence[Writing], *, source: str, revision: int
) -> None:
    """Insert or replace objects of one kind with all their rows: a few statements for however many."""
    if not writings:
        return
    rows = [_columns(kind, writing, source, revision) for writing in writings]
    await connection.executemany(_upsert(kind, list(rows[0])), [tuple(row.values()) for row in rows])
    if kind is not Kind.GATEWAY:
        await _write_limits(connection, kind, [(one.id, limits_of(one.spec)) for one in writings])
    if kind is Kind.QUEUE:
        await _write_members(connection, writings)
    if kind is Kind.KEY:
        await _write_links(connection, writings)


def limits_of(spec: Spec) -> Sequence[Limit]:
    return () if isinstance(spec, GatewaySpec) else spec.limits


def _columns(kind: Kind, writing: Writing, source: str, revision: int) -> dict[str, Any]:
    """The columns of the object's own row."""
    spec, names = writing.spec, writing.names
    columns: dict[str, Any] = {  # Any: column values
        "id": writing.id,
        "name": spec.name,
        "source": source,
        "labels": dict(spec.labels),
        "spec": _own_part(kind, spec),
        "secrets": writing.secrets,
        "version": revision,
    }
    if isinstance(spec, TenantSpec):
        columns["subdomain"] = spec.subdomain
    if isinstance(spec, ProviderSpec | QueueSpec | RuleSpec | KeySpec):
        columns["tenant_id"] = names.tenants[spec.tenant] if spec.tenant else None
    if writing.lookup is not None:
        columns["lookup"] = writing.lookup
        columns["old_lookups"] = old_lookups(writing.secrets)
    return columns


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


async def _write_limits(
    connection: Connection, kind: str, owners: Sequence[tuple[UUID, Sequence[Limit]]]
) -> None:
    await connection.execute(
        "DELETE FROM declared_limit WHERE owner_id = ANY($1)", [owner for owner, _ in owners]
    )
    rows = [
        (str(kind), owner, position, *_limit_columns(limit))
        for owner, limits in owners
        for position, limit in enumerate(limits)
    ]
    await insert(connection, "declared_limit", _LIMIT_COLUMNS, rows)


@lru_cache(maxsize=1000)
def _limit_columns(limit: Limit) -> tuple[str, Document]:
    """The meter and the spec; the queues of one document have few limits that differ."""
    return limit.meter.value, limit.model_dump(mode="json", exclude_defaults=True)


@lru_cache(maxsize=1000)
def _member_document(member: MemberSpec) -> Document:
    apart = {"name", "provider", "limits"}
    return member.model_dump(mode="json", exclude_defaults=True, exclude=apart)


async def _write_members(connection: Connection, writings: Sequence[Writing]) -> None:
    queues = [one.id for one in writings]
    await connection.execute(
        "DELETE FROM declared_limit WHERE owner_id IN (SELECT id FROM member WHERE queue_id = ANY($1))",
        queues,
    )
    await connection.execute("DELETE FROM member WHERE queue_id = ANY($1)", queues)
    rows: list[tuple[object, ...]] = []
    limits: list[tuple[UUID, Sequence[Limit]]] = []
    for one in writings:
        for position, member in enumerate(one.spec.members if isinstance(one.spec, QueueSpec) else ()):
            member_id = uuid4()
            provider = one.names.providers[member.provider]
            rows.append((member_id, one.id, provider, position, member.name, _member_document(member)))
            if member.limits:
                limits.append((member_id, member.limits))
    await insert(connection, "member", _MEMBER_COLUMNS, rows)
    if limits:
        await _write_limits(connection, "member", limits)


async def _write_links(connection: Connection, writings: Sequence[Writing]) -> None:
    keys = [one.id for one in writings]
    await connection.execute("DELETE FROM key_queue WHERE key_id = ANY($1)", keys)
    await connection.execute("DELETE FROM key_provider WHERE key_id = ANY($1)", keys)
    await connection.execute("DELETE FROM key_rule WHERE key_id = ANY($1)", keys)
    specs = [(one, one.spec) for one in writings if isinstance(one.spec, KeySpec)]
    await connection.executemany(
        "INSERT INTO key_queue (key_id, queue_id) VALUES ($1, $2)",
        [(one.id, one.names.queues[name]) for one, spec in specs for name in spec.queues],
    )
    await connection.executemany(
        "INSERT INTO key_provider (key_id, provider_id) VALUES ($1, $2)",
        [(one.id, one.names.providers[name]) for one, spec in specs for name in spec.providers],
    )
    await connection.executemany(
        "INSERT INTO key_rule (key_id, rule_id) VALUES ($1, $2)",
        [(one.id, one.names.rules[name]) for one, spec in specs for name in spec.rules],
    )

"""The SQL of declared objects: one statement a kind that reads whole documents, and what writes them."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from controlplane.core.gateways import GatewaySpec
from controlplane.core.limits import Limit
from controlplane.core.rules import RuleSpec
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec, TenantSpec
from controlplane.store.database import Connection, insert
from controlplane.store.documents import Document, Secrets, old_lookups
from controlplane.store.records import Kind, Spec

_LIMITS = """coalesce((SELECT jsonb_agg(l.spec ORDER BY l.position) FROM declared_limit l
    WHERE l.owner_id = {owner}), '[]')"""

_MEMBERS = f"""coalesce((
    SELECT jsonb_agg(m.spec || jsonb_build_object(
        'name', m.name, 'provider', p.name, 'limits', {_LIMITS.format(owner="m.id")}) ORDER BY m.position)
    FROM member m JOIN provider p ON p.id = m.provider_id WHERE m.queue_id = o.id), '[]')"""

_NAMES = """coalesce((SELECT jsonb_agg(t.name ORDER BY t.name) FROM {link} k
    JOIN {target} t ON t.id = k.{target}_id WHERE k.key_id = o.id), '[]')"""

_LIMIT_COLUMNS = ("owner_kind", "owner_id", "position", "meter", "spec")
_MEMBER_COLUMNS = ("id", "queue_id", "provider_id", "position", "name", "spec")
_APART = frozenset({"name", "limits", "members", "tenant", "queues", "providers", "rules"})
"""What of a document is not in its object's `spec`; of a gateway's only the name."""
_APART_OF_MEMBERS = frozenset({"name", "provider", "limits"})
_REMOVE_PARTS = {
    Kind.QUEUE: (
        "DELETE FROM declared_limit WHERE owner_id IN (SELECT id FROM member WHERE queue_id = $1)",
        "DELETE FROM member WHERE queue_id = $1",
    ),
    Kind.KEY: (
        "DELETE FROM key_queue WHERE key_id = $1",
        "DELETE FROM key_provider WHERE key_id = $1",
        "DELETE FROM key_rule WHERE key_id = $1",
    ),
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
class Kept:
    """What is declared of an object, as it is kept."""

    id: UUID
    name: str
    source: str
    document: Document
    secrets: Secrets


@dataclass(frozen=True, slots=True)
class Row(Kept):
    """A declared object as the database has it."""

    version: int
    created_at: datetime
    updated_at: datetime


def select(kind: Kind, where: str = "true", *, tail: str = "") -> str:
    """A statement that reads rows of a kind; `o` is the object's table."""
    parts = "'name', o.name" + (f", {_PARTS[kind]}" if _PARTS[kind] else "")
    # What is declared may hold a null that means something: in a JSON Schema.
    whole = f"o.spec || jsonb_strip_nulls(jsonb_build_object({parts}))"
    return (
        f"SELECT o.id, o.name, o.source, {whole} AS document, o.secrets, "
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

    kept: Kept
    spec: Spec
    names: Names
    lookup: str | None = None


async def write(connection: Connection, kind: Kind, writing: Writing, *, revision: int) -> None:
    """Insert or replace an object with all its rows."""
    columns = _columns(kind, writing, revision)
    await connection.execute(_upsert(kind, list(columns)), *columns.values())
    await _remove_parts(connection, kind, writing.kept.id)
    await _add_parts(connection, kind, [writing])


async def add(connection: Connection, kind: Kind, writings: Sequence[Writing], *, revision: int) -> None:
    """Insert objects that are new with all their rows: a few statements for however many."""
    now = await connection.fetchval("SELECT now()")
    rows = [_columns(kind, one, revision) | {"created_at": now, "updated_at": now} for one in writings]
    await insert(connection, kind, list(rows[0]), [tuple(row.values()) for row in rows])
    await _add_parts(connection, kind, writings)


async def remove(connection: Connection, kind: Kind, object_id: UUID) -> None:
    """Delete an object with all its rows."""
    await _remove_parts(connection, kind, object_id)
    await connection.execute(f'DELETE FROM "{kind}" WHERE id = $1', object_id)


def _columns(kind: Kind, writing: Writing, revision: int) -> dict[str, Any]:
    """The columns of the object's own row."""
    kept, spec, names = writing.kept, writing.spec, writing.names
    columns: dict[str, Any] = {  # Any: column values
        "id": kept.id,
        "name": kept.name,
        "source": kept.source,
        "labels": dict(spec.labels),
        "spec": _without(_APART if kind is not Kind.GATEWAY else {"name"}, kept.document),
        "secrets": kept.secrets,
        "version": revision,
    }
    if isinstance(spec, TenantSpec):
        columns["subdomain"] = spec.subdomain
    if isinstance(spec, ProviderSpec | QueueSpec | RuleSpec | KeySpec):
        columns["tenant_id"] = names.tenants[spec.tenant] if spec.tenant else None
    if writing.lookup is not None:
        columns["lookup"] = writing.lookup
        columns["old_lookups"] = old_lookups(kept.secrets)
    return columns


def _without(apart: Set[str], document: Document) -> Document:
    return {name: value for name, value in document.items() if name not in apart}


def _upsert(kind: Kind, columns: Sequence[str]) -> str:
    names = ", ".join(columns)
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
    return (
        f'INSERT INTO "{kind}" ({names}, created_at, updated_at) VALUES ({places}, now(), now()) '
        f"ON CONFLICT (id) DO UPDATE SET {changes}, updated_at = now()"
    )


async def _remove_parts(connection: Connection, kind: Kind, object_id: UUID) -> None:
    for statement in _REMOVE_PARTS.get(kind, ()):
        await connection.execute(statement, object_id)
    await connection.execute("DELETE FROM declared_limit WHERE owner_id = $1", object_id)


async def _add_parts(connection: Connection, kind: Kind, writings: Sequence[Writing]) -> None:
    """Insert what has tables of its own: limits, members, and what keys open."""
    limits: list[tuple[object, ...]] = []
    members: list[tuple[object, ...]] = []
    for one in writings:
        kept, spec = one.kept, one.spec
        if not isinstance(spec, GatewaySpec):
            limits += _limit_rows(kind, kept.id, spec.limits, kept.document)
        if isinstance(spec, QueueSpec):
            for position, member in enumerate(spec.members):
                member_id, document = uuid4(), kept.document["members"][position]
                provider, own = one.names.providers[member.provider], _without(_APART_OF_MEMBERS, document)
                members.append((member_id, kept.id, provider, position, member.name, own))
                limits += _limit_rows("member", member_id, member.limits, document)
    await insert(connection, "member", _MEMBER_COLUMNS, members)
    await insert(connection, "declared_limit", _LIMIT_COLUMNS, limits)
    if kind is Kind.KEY:
        await _add_links(connection, writings)


def _limit_rows(
    kind: str, owner: UUID, limits: Sequence[Limit], document: Document
) -> Iterator[tuple[object, ...]]:
    for position, (limit, own) in enumerate(zip(limits, document["limits"], strict=True)):
        yield str(kind), owner, position, limit.meter.value, own


async def _add_links(connection: Connection, writings: Sequence[Writing]) -> None:
    specs = [(one.kept.id, one.names, one.spec) for one in writings if isinstance(one.spec, KeySpec)]
    queues = [(key, names.queues[name]) for key, names, spec in specs for name in spec.queues]
    providers = [(key, names.providers[name]) for key, names, spec in specs for name in spec.providers]
    rules = [(key, names.rules[name]) for key, names, spec in specs for name in spec.rules]
    await insert(connection, "key_queue", ("key_id", "queue_id"), queues)
    await insert(connection, "key_provider", ("key_id", "provider_id"), providers)
    await insert(connection, "key_rule", ("key_id", "rule_id"), rules)

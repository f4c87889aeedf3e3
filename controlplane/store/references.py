"""What refers to what: checked before a write, and told before a delete would break it."""

from collections.abc import Collection, Iterable, Iterator
from uuid import UUID

from controlplane.core.rules import RuleSpec
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec
from controlplane.errors import Problem
from controlplane.store.database import Connection
from controlplane.store.records import Kind, Spec
from controlplane.store.rows import Names

_REFERRERS = {
    Kind.PROVIDER: """
        SELECT 'queue ' || q.name FROM member m JOIN queue q ON q.id = m.queue_id
        WHERE m.provider_id = $1
        UNION SELECT 'key ' || k.name FROM key_provider l JOIN key k ON k.id = l.key_id
        WHERE l.provider_id = $1
        ORDER BY 1""",
    Kind.TENANT: """
        SELECT 'queue ' || name FROM queue WHERE tenant_id = $1
        UNION SELECT 'provider ' || name FROM provider WHERE tenant_id = $1
        UNION SELECT 'key ' || name FROM key WHERE tenant_id = $1
        UNION SELECT 'rule ' || name FROM rule WHERE tenant_id = $1
        UNION SELECT 'account ' || name FROM account WHERE tenant_id = $1 ORDER BY 1""",
    Kind.TIER: "SELECT 'tenant ' || t.name FROM tenant t JOIN tier o ON o.name = t.spec->>'tier' "
    "WHERE o.id = $1 ORDER BY 1",
    Kind.QUEUE: "SELECT 'key ' || k.name FROM key_queue l JOIN key k ON k.id = l.key_id "
    "WHERE l.queue_id = $1 ORDER BY 1",
    Kind.RULE: "SELECT 'key ' || k.name FROM key_rule l JOIN key k ON k.id = l.key_id "
    "WHERE l.rule_id = $1 ORDER BY 1",
}


async def names_for(connection: Connection, spec: Spec) -> Names:
    """The ids of everything that the declaration refers to, as far as it exists."""
    return await names_for_all(connection, [spec])


async def names_for_all(connection: Connection, specs: Iterable[Spec]) -> Names:
    """The ids of everything that these declarations refer to, as far as it exists."""
    every = [referred(spec) for spec in specs]
    kinds = (Kind.PROVIDER, Kind.TENANT, Kind.QUEUE, Kind.RULE)
    wanted = {kind: {name for each in every for name in each[kind]} for kind in kinds}
    return Names(
        providers=await _ids(connection, Kind.PROVIDER, wanted[Kind.PROVIDER]),
        tenants=await _ids(connection, Kind.TENANT, wanted[Kind.TENANT]),
        queues=await _ids(connection, Kind.QUEUE, wanted[Kind.QUEUE]),
        rules=await _ids(connection, Kind.RULE, wanted[Kind.RULE]),
    )


def referred(spec: Spec) -> dict[Kind, set[str]]:
    """The names that a declaration refers to."""
    providers: set[str] = set()
    tenants: set[str] = set()
    queues: set[str] = set()
    rules: set[str] = set()
    if isinstance(spec, ProviderSpec | QueueSpec | RuleSpec | KeySpec) and spec.tenant:
        tenants.add(spec.tenant)
    if isinstance(spec, QueueSpec):
        providers |= {member.provider for member in spec.members}
    if isinstance(spec, KeySpec):
        queues |= set(spec.queues)
        providers |= set(spec.providers)
        rules |= set(spec.rules)
    return {Kind.PROVIDER: providers, Kind.TENANT: tenants, Kind.QUEUE: queues, Kind.RULE: rules}


def dangling(spec: Spec, names: Names) -> Iterator[Problem]:
    """References that lead nowhere, each with its field."""
    tenant = spec.tenant if isinstance(spec, ProviderSpec | QueueSpec | RuleSpec | KeySpec) else None
    if tenant and tenant not in names.tenants:
        yield _missing("tenant", "tenant", tenant)
    if isinstance(spec, QueueSpec):
        for position, member in enumerate(spec.members):
            if member.provider not in names.providers:
                yield _missing(f"members[{position}].provider", "provider", member.provider)
    if isinstance(spec, KeySpec):
        for position, name in enumerate(spec.queues):
            if name not in names.queues:
                yield _missing(f"queues[{position}]", "queue", name)
        for position, name in enumerate(spec.providers):
            if name not in names.providers:
                yield _missing(f"providers[{position}]", "provider", name)
        for position, name in enumerate(spec.rules):
            if name not in names.rules:
                yield _missing(f"rules[{position}]", "rule", name)


async def referrers(connection: Connection, kind: Kind, object_id: UUID) -> list[str]:
    """What would break if the object went away."""
    statement = _REFERRERS.get(kind)
    return [] if statement is None else [record[0] for record in await connection.fetch(statement, object_id)]


def _missing(field: str, kind: str, name: str) -> Problem:
    return Problem(field, f"there is no {kind} {name!r}", f"declare the {kind} first, or correct the name")


async def _ids(connection: Connection, kind: Kind, names: Collection[str]) -> dict[str, UUID]:
    if not names:
        return {}
    found = await connection.fetch(f'SELECT name, id FROM "{kind}" WHERE name = ANY($1)', list(names))
    return {record["name"]: record["id"] for record in found}

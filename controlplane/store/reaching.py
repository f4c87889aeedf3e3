"""How far a caller reaches: everything, or one tenant. What lies beyond is as if it were not there."""

from uuid import UUID

from controlplane.core.access import Reach
from controlplane.core.rules import RuleSpec
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec
from controlplane.errors import Forbidden, InvalidSpec, Problem
from controlplane.store.database import Connection
from controlplane.store.records import Kind, Spec
from controlplane.store.rows import Names

_OWN = "o.tenant_id = $1"
_OWN_OR_SHARED = "o.tenant_id = $1 OR o.spec->'shared' = 'true'"
_OWNED = (Kind.PROVIDER, Kind.QUEUE, Kind.RULE, Kind.KEY)
_READ = {
    Kind.TIER: "o.name = (SELECT spec->>'tier' FROM tenant WHERE id = $1)",
    Kind.TENANT: "o.id = $1",
    Kind.PROVIDER: _OWN_OR_SHARED,
    Kind.QUEUE: _OWN,
    Kind.RULE: _OWN,
    Kind.KEY: _OWN,
    Kind.GATEWAY: "$1::uuid IS NOT NULL",  # all of them; the API shows their names and states only
}


def found_by(kind: Kind, reach: Reach | None, *, to_write: bool = False) -> tuple[str, list[object]]:
    """The condition under which somebody finds a row, to read it or to write it, and its first value.

    Raises Forbidden where there is nothing of the kind that they could write.
    """
    if reach is None:
        return "true", []
    if to_write and kind not in _OWNED:
        raise _not_theirs(kind)
    return f"({_OWN if to_write else _READ[kind]})", [reach.tenant_id]


def writable(kind: Kind, reach: Reach | None, spec: Spec) -> Spec:
    """The declaration, as somebody with that reach may make it: of their own tenant. Raises Forbidden."""
    if reach is None:
        return spec
    if not isinstance(spec, ProviderSpec | QueueSpec | RuleSpec | KeySpec):
        raise _not_theirs(kind)
    problems = list(reach.refused.problems(spec))
    if spec.tenant not in (None, reach.tenant):
        problems.append(Problem("tenant", "is not yours", f"leave it out, or write {reach.tenant}"))
    if isinstance(spec, RuleSpec) and spec.hosts:
        remedy = "leave them out: your subdomain serves the rule"
        problems.append(Problem("hosts", "are for the platform's people to give", remedy))
    if isinstance(spec, ProviderSpec) and spec.shared:
        problems.append(Problem("shared", "is for the platform's own providers", "leave it out"))
    if problems:
        raise InvalidSpec(f"{kind} {spec.name!r} cannot be accepted", problems=problems)
    return spec.model_copy(update={"tenant": reach.tenant})


def no_host(reach: Reach, field: str = "tenant") -> Problem:
    """What stands against a rule of a tenant that has no subdomain."""
    message = f"{reach.tenant} has no subdomain, so the rule would answer for everybody's hosts"
    return Problem(field, message, "ask the platform's people for a subdomain")


async def is_theirs(connection: Connection, kind: Kind, reach: Reach | None, object_id: UUID) -> bool:
    """Whether somebody with that reach may write the object."""
    where, values = found_by(kind, reach, to_write=True)
    if reach is None:
        return True
    statement = f'SELECT true FROM "{kind}" o WHERE {where} AND o.id = $2'
    return await connection.fetchval(statement, *values, object_id) is True


async def within(connection: Connection, reach: Reach | None, spec: Spec, names: Names) -> Names:
    """Of what a declaration refers to, that which somebody with this reach may use."""
    if reach is None:
        return names
    # A queue may use what the platform shares; a key may not, for it would go past every limit.
    usable = _OWN_OR_SHARED if isinstance(spec, QueueSpec) else _OWN
    providers = await connection.fetch(
        f"SELECT o.name, o.id FROM provider o WHERE ({usable}) AND o.id = ANY($2)",
        *(reach.tenant_id, list(names.providers.values())),
    )
    queues = await connection.fetch(
        f"SELECT o.name, o.id FROM queue o WHERE {_OWN} AND o.id = ANY($2)",
        *(reach.tenant_id, list(names.queues.values())),
    )
    rules = await connection.fetch(
        f"SELECT o.name, o.id FROM rule o WHERE {_OWN} AND o.id = ANY($2)",
        *(reach.tenant_id, list(names.rules.values())),
    )
    tenants = {name: found for name, found in names.tenants.items() if found == reach.tenant_id}
    return Names(dict(providers), tenants, dict(queues), dict(rules))


def _not_theirs(kind: Kind) -> Forbidden:
    return Forbidden(f"a {kind} is for the platform's own people to declare", remedy="ask one of them")

"""A declaration among those that it is enforced together with: as much of the desired state as that takes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast
from uuid import UUID

from controlplane.core.abilities import Abilities
from controlplane.core.countable import platform_problems
from controlplane.core.desired import DesiredState, Provider, Queue, Rule, Tenant, Tier
from controlplane.core.desired import Key as DesiredKey
from controlplane.core.forwarding import Forwarding, forwarding_of
from controlplane.core.gateways import GatewaySpec
from controlplane.core.placing import unenforceable
from controlplane.core.rules import RuleSpec
from controlplane.core.secrets import SecretRef
from controlplane.core.selection import served_at
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec, TenantSpec, TierSpec
from controlplane.errors import NotFound, Problem
from controlplane.store import documents, rows
from controlplane.store.database import Connection
from controlplane.store.records import Kind, Spec
from controlplane.store.rows import Row

_OPENERS = "o.id IN (SELECT key_id FROM key_queue WHERE queue_id = $1)"
_USERS = "o.id IN (SELECT queue_id FROM member WHERE provider_id = $1)"
_TENANT_S = """o.tenant_id = $1 OR o.id IN (
    SELECT l.queue_id FROM key_queue l JOIN key k ON k.id = l.key_id WHERE k.tenant_id = $1)"""
_SAME_PATH = "o.spec->>'path' = $1"
_NAMED = "o.name = ANY($1)"


async def among_neighbours(connection: Connection, spec: Spec, object_id: UUID) -> DesiredState:
    """The declaration as it is to be, with what its limits meet."""
    state = await _among(connection, spec, object_id)
    tiers = await _tiers(connection)
    if isinstance(spec, TierSpec):
        beside = {name: tier for name, tier in tiers.items() if tier.id != object_id}
        tiers = {**beside, spec.name: Tier(object_id, spec)}
    return replace(state, tiers=tiers)


async def _among(connection: Connection, spec: Spec, object_id: UUID) -> DesiredState:
    if isinstance(spec, QueueSpec):
        used = [member.provider for member in spec.members]
        keys = await rows.fetch(connection, Kind.KEY, _OPENERS, object_id)
        tenants = {spec.tenant, *(row.document.get("tenant") for row in keys)}
        return DesiredState(
            providers=_providers(await rows.fetch(connection, Kind.PROVIDER, _NAMED, used)),
            tenants=await _tenants(connection, tenants),
            queues={spec.name: Queue(object_id, spec)},
            keys=_keys(keys),
        )
    if isinstance(spec, ProviderSpec):
        found = await rows.fetch(connection, Kind.QUEUE, _USERS, object_id)
        return DesiredState(providers={spec.name: Provider(object_id, spec, None)}, queues=_queues(found))
    if isinstance(spec, RuleSpec):
        rules = _rules(await rows.fetch(connection, Kind.RULE, _SAME_PATH, spec.path))
        beside = {name: rule for name, rule in rules.items() if rule.id != object_id}
        owners = {spec.tenant, *(rule.spec.tenant for rule in beside.values())}
        return DesiredState(
            tenants=await _tenants(connection, owners), rules={**beside, spec.name: Rule(object_id, spec)}
        )
    if isinstance(spec, TenantSpec):
        own = {spec.name: Tenant(object_id, spec)}
        rules = _rules(await rows.fetch(connection, Kind.RULE, "o.tenant_id = $1", object_id))
        if not spec.limits and not spec.tier:
            return DesiredState(tenants=own, rules=rules)
        found = await rows.fetch(connection, Kind.QUEUE, _TENANT_S, object_id)
        keys = await rows.fetch(connection, Kind.KEY, "o.tenant_id = $1", object_id)
        return DesiredState(tenants=own, queues=_queues(found), keys=_keys(keys), rules=rules)
    if isinstance(spec, KeySpec):
        found = await rows.fetch(connection, Kind.QUEUE, _NAMED, list(spec.queues))
        return DesiredState(
            tenants=await _tenants(connection, {spec.tenant}),
            queues=_queues(found),
            keys={spec.name: DesiredKey(object_id, spec, SecretRef("", ""))},
        )
    if isinstance(spec, GatewaySpec) and not spec.platform:
        return DesiredState()
    return DesiredState(
        providers=_providers(await rows.fetch(connection, Kind.PROVIDER, "true")),
        tenants=_tenants_of(await rows.fetch(connection, Kind.TENANT, "true")),
        queues=_queues(await rows.fetch(connection, Kind.QUEUE, "true")),
        keys=_keys(await rows.fetch(connection, Kind.KEY, "true")),
    )


async def new_among_neighbours(connection: Connection, queues: Mapping[str, Queue]) -> DesiredState:
    """Queues that are new, with what their limits meet: no key opens them yet."""
    used = {member.provider for queue in queues.values() for member in queue.spec.members}
    return DesiredState(
        providers=_providers(await rows.fetch(connection, Kind.PROVIDER, _NAMED, list(used))),
        tenants=await _tenants(connection, {queue.spec.tenant for queue in queues.values()}),
        queues=queues,
        tiers=await _tiers(connection),
    )


async def forwarding_in(connection: Connection, rule: UUID) -> Forwarding:
    """A rule with what its tenant requires. Raises NotFound."""
    found = _rules(await rows.fetch(connection, Kind.RULE, "o.id = $1", rule))
    if not found:
        raise NotFound(f"there is no rule {rule}", remedy="`ctl get rules` lists them")
    (one,) = found.values()
    return forwarding_of(one, DesiredState(tenants=await _tenants(connection, {one.spec.tenant})))


def unenforced_by(spec: GatewaySpec, state: DesiredState, abilities: Abilities) -> tuple[Problem, ...]:
    """What a gateway's own limits would keep it from enforcing, beside what is declared."""
    if not spec.platform:
        return ()
    state = served_at(state, spec.labels)
    own = tuple(platform_problems(spec.platform, abilities))
    before = set(unenforceable(state, None, abilities))
    return own or tuple(
        item for item in unenforceable(state, None, abilities, spec.platform) if item not in before
    )


async def _tiers(connection: Connection) -> dict[str, Tier]:
    found = await rows.fetch(connection, Kind.TIER, "true")
    return {row.name: Tier(row.id, cast(TierSpec, _bare(Kind.TIER, row))) for row in found}


async def _tenants(connection: Connection, names: Iterable[str | None]) -> dict[str, Tenant]:
    wanted = [name for name in names if name]
    return _tenants_of(await rows.fetch(connection, Kind.TENANT, _NAMED, wanted) if wanted else [])


def _tenants_of(found: Iterable[Row]) -> dict[str, Tenant]:
    return {row.name: Tenant(row.id, cast(TenantSpec, _bare(Kind.TENANT, row))) for row in found}


def _providers(found: Iterable[Row]) -> dict[str, Provider]:
    return {row.name: Provider(row.id, cast(ProviderSpec, _bare(Kind.PROVIDER, row)), None) for row in found}


def _queues(found: Iterable[Row]) -> dict[str, Queue]:
    return {row.name: Queue(row.id, cast(QueueSpec, _bare(Kind.QUEUE, row))) for row in found}


def _keys(found: Iterable[Row]) -> dict[str, DesiredKey]:
    return {
        row.name: DesiredKey(row.id, cast(KeySpec, _bare(Kind.KEY, row)), SecretRef("", "")) for row in found
    }


def _rules(found: Iterable[Row]) -> dict[str, Rule]:
    return {row.name: Rule(row.id, cast(RuleSpec, _bare(Kind.RULE, row))) for row in found}


def _bare(kind: Kind, row: Row) -> Spec:
    return documents.bare_spec_of(kind, row.document, row.id)

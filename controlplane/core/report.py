"""The enforcement report: for each limit where it is held, how exactly, and what an edit costs."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from controlplane.core.abilities import STOCK, Abilities
from controlplane.core.accounts import Account
from controlplane.core.declaring import DeclaredChange
from controlplane.core.desired import Key, Provider, Queue, Tenant, Tier
from controlplane.core.enforcement import Enforcement, Mechanism, Placement, Placements
from controlplane.core.forwarding import Forwarding
from controlplane.core.levels import service_id
from controlplane.core.limits import Limit, Meter
from controlplane.core.objects import Kind
from controlplane.core.rule_contexts import counted_as, rule_policy_id
from controlplane.core.rule_contexts import placements as rule_placements
from controlplane.core.spec import EVERYTHING
from controlplane.core.standing import Standing

_RESERVED = "reserved before the call, settled after it"
_AFTER = "checked before the call, charged after it"
_OVERSHOOT = "calls in flight × the largest call"
_ESTIMATES = "calls in flight × what the estimate of a call was short of"
_COUNTED_AT_ONCE = (Meter.REQUESTS, Meter.CONCURRENCY)
_KEEPS = "keeps what was used; another window starts a fresh counter"


def enforcement_report(queue: Queue, placements: Placements, policy_id: str) -> Iterator[Enforcement]:
    """A line for each limit of the queue, in the order of its declaration."""
    for placement in placements.placed:
        where, exactness, overshoot, edit = _facts(placement, placements, policy_id)
        yield Enforcement(
            queue=queue.spec.name,
            path=placement.path,
            limit=str(placement.limit),
            mechanism=placement.mechanism,
            object=where,
            shared_with=_shared_with(
                placement.limit, f"queue {queue.spec.name}", by_member=placement.member is not None
            ),
            exactness=exactness,
            worst_overshoot=overshoot,
            edit=edit,
        )


def above_report(queue: Queue, standings: Iterable[Standing], *, whole: bool = True) -> Iterator[Enforcement]:
    """A line for each limit above the queue, whoever calls; keys' own limits are theirs.

    Without `whole` nobody is named whom a tier or a gateway singles out: it may be another tenant's.
    """
    for standing in standings:
        if standing.value and not whole and not standing.path.startswith("tenants."):
            continue
        yield _spanning(queue.spec.name, standing.path, standing.limit, _of_whom(standing))


def account_report(queue: Queue, accounts: Iterable[Account], policy_id: str) -> Iterator[Enforcement]:
    """A line for each limit of an account that is counted with the queue's own."""
    for account in accounts:
        of_them = f"; of this queue the calls to {', '.join(account.members)}" if account.members else ""
        for line in _of_account(account.provider, policy_id):
            yield replace(line, queue=queue.spec.name, shared_with=line.shared_with + of_them)


def _of_account(provider: Provider, policy_id: str) -> Iterator[Enforcement]:
    name = provider.spec.name
    for index, limit in enumerate(provider.spec.limits):
        held = Placement(f"providers.{name}.limits[{index}]", limit, Mechanism.BUDGET)
        where, exactness, overshoot, edit = _facts(held, Placements(), policy_id)
        yield Enforcement(
            queue=None,
            path=held.path,
            limit=str(limit),
            mechanism=held.mechanism,
            object=where,
            shared_with=f"every queue with members of provider {name}, and its own address",
            exactness=exactness,
            worst_overshoot=overshoot,
            edit=edit,
        )


def _spanning(queue: str | None, path: str, limit: Limit, shared_with: str) -> Enforcement:
    refills = limit.refill_per_s is not None
    return Enforcement(
        queue=queue,
        path=path,
        limit=str(limit),
        mechanism=Mechanism.BUDGET if refills else Mechanism.LEVEL,
        object=f"{Kind.SERVICE}/{service_id(Meter.TOKENS)}",
        shared_with=shared_with,
        exactness=_RESERVED if refills else _AFTER,
        worst_overshoot=_ESTIMATES if refills else _OVERSHOOT,
        edit=_KEEPS,
    )


def _of_whom(standing: Standing) -> str:
    whom = "every queue that it stands above"
    if standing.value:
        return f"{whom}, one counter for {standing.value} in {standing.attribute}"
    return whom + (f", one counter for each value of {standing.attribute}" if standing.attribute else "")


def owner_report(changes: Iterable[DeclaredChange], abilities: Abilities = STOCK) -> Iterator[Enforcement]:
    """A line for each limit that spans queues and is declared by what comes or changes."""
    for change in changes:
        item = change.after
        if not isinstance(item, Key | Tenant | Provider | Tier):
            continue
        if isinstance(item, Provider) and abilities.token_budget:
            yield from _of_account(item, f"p.{item.spec.name}")
            continue
        for index, limit in enumerate(item.spec.limits):
            path = f"{change.kind}s.{change.name}.limits[{index}]"
            yield _spanning(None, path, limit, _spans(item) + _divided(limit))


def _divided(limit: Limit) -> str:
    if limit.value:
        return f", one counter for {limit.by} {limit.value}"
    return f", one counter for each {limit.by}" if limit.by else ""


def _spans(item: Key | Tenant | Provider | Tier) -> str:
    name = item.spec.name
    match item:
        case Key():
            return f"every call with key {name}"
        case Tenant():
            return f"every queue and every key of tenant {name}"
        case Provider():
            return f"every queue whose members are all of provider {name}, and its own address"
        case Tier():
            return (
                "every call through the gateway"
                if name == EVERYTHING
                else f"each tenant of tier {name} without limits of its own"
            )


def rule_report(forwarding: Forwarding) -> Iterator[Enforcement]:
    """A line for each limit of a rule and of its rate limiters, in the order in which they count."""
    rule = forwarding.rule.spec.name
    placed = rule_placements(forwarding)
    for declared, limit in forwarding.limits:
        held = next(item for item in placed if _counts_the_same(item.limit, limit))
        where, exactness, overshoot, edit = _facts(held, Placements(), rule_policy_id(rule))
        shared_with = _shared_with(limit, f"rule {rule}", by_member=False)
        if held.path != declared:
            shared_with = f"the counter of {_in_full(held.path, forwarding)}, whose limit is no larger"
        yield Enforcement(
            queue=None,
            path=_in_full(declared, forwarding),
            limit=str(limit),
            mechanism=held.mechanism,
            object=where,
            shared_with=shared_with,
            exactness=exactness,
            worst_overshoot=overshoot,
            edit=edit,
            rule=rule,
        )


def _counts_the_same(one: Limit, other: Limit) -> bool:
    return counted_as(one) == counted_as(other)


def _in_full(path: str, forwarding: Forwarding) -> str:
    """A place in a rule; what its tenant requires is declared at the tenant."""
    required = forwarding.tenant is not None and path.startswith("required_plugins")
    return f"tenants.{forwarding.rule.spec.tenant}.{path}" if required else path


def _facts(placement: Placement, placements: Placements, policy_id: str) -> tuple[str, str, str, str]:
    policy = f"{Kind.PLUGIN_CONFIG}/{policy_id}"
    match placement.mechanism:
        case Mechanism.LEVEL:
            service = f"{Kind.SERVICE}/{service_id(placements.strategy)}"
            return service, _AFTER, _OVERSHOOT, _KEEPS
        case Mechanism.MEMBER:
            return policy, _AFTER, _OVERSHOOT, _KEEPS
        case Mechanism.COUNT:
            edit = "keeps what was used; adding or removing a requests limit starts their windows anew"
            return policy, "exact", "none", edit
        case Mechanism.BUCKET:
            return policy, "exact", "none", "starts with a full bucket"
        case Mechanism.BUDGET if placement.limit.meter is not Meter.CONCURRENCY:
            strict = placement.limit.strict or placement.limit.meter in _COUNTED_AT_ONCE
            return policy, _RESERVED, "none" if strict else _ESTIMATES, _KEEPS
        case Mechanism.BUDGET | Mechanism.CONCURRENCY:
            return policy, "exact, held to the end of a stream", "none", "calls in flight go on"


def _shared_with(limit: Limit, owner: str, *, by_member: bool) -> str:
    if by_member:
        return f"all callers of {owner}"
    if limit.by == "key":
        return f"one counter for each key of {owner}"
    if limit.header:
        return f"one counter for each value of {limit.header}; calls without it share one"
    return f"all callers of {owner}, by every address"

"""The limits above a queue: of its tenant and the tenant's teams, roles and users, of keys and of accounts.

They are counted on the shared service, in one counter over all queues. The routes of a queue set the headers
of what stands above it. A key that belongs to another tenant, pins claims or has limits of its own brings a
function along that sets them anew for its calls.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from controlplane.core.claims import ATTRIBUTES, Claims
from controlplane.core.desired import DesiredState, Key, Provider, Queue, Tenant
from controlplane.core.levels import (
    GLOBAL,
    KEY,
    LEVELS_HEADER,
    PROVIDER,
    ROLE,
    ROLEGROUP,
    TEAM,
    TENANT,
    USER,
    Slot,
)
from controlplane.core.limits import Limit, Meter, Mode, Then
from controlplane.core.platform import NO_PLATFORM, Platform
from controlplane.core.spec import EVERYTHING
from controlplane.errors import Problem

_OF_TENANT: Mapping[str | None, Sequence[Slot]] = {
    None: TENANT,
    "team": TEAM,
    "rolegroup": ROLEGROUP,
    "role": ROLE,
    "user": USER,
}
"""The slots of a tenant's limits, by what divides them."""
_OF_EVERYTHING: Mapping[str | None, Sequence[Slot]] = {None: GLOBAL}

_NO_CLAIMS = Claims()
_ON_QUEUES = "declare it on the queues"


@dataclass(frozen=True, slots=True)
class Standing:
    """A limit that stands above queues, and the slot that counts it."""

    path: str
    """Where it is declared, such as `tenants.acme.limits[0]`."""
    slot: Slot
    limit: Limit
    scope: str
    """The counter's name, up to the value of the attribute."""
    attribute: str | None = None
    """The header whose value ends the counter's name."""

    @property
    def amounts(self) -> dict[str, str]:
        """The headers of how much and how long."""
        return {
            self.slot.limit_header: str(self.limit.amount),
            self.slot.window_header: str(self.limit.window_s),
        }

    @property
    def variable(self) -> str | None:
        """The gateway's variable that holds the attribute."""
        return self.attribute and "http_" + self.attribute.replace("-", "_")


@dataclass(frozen=True, slots=True)
class KeyLevels:
    """What a key changes of the levels of its calls."""

    set_headers: Mapping[str, str]
    variables: Mapping[str, str]
    """By header: the variable whose value is added to the text."""
    remove_headers: Sequence[str]


def level_headers(standings: Iterable[Standing]) -> dict[str, str]:
    """The headers that a route sets for what stands above it."""
    headers: dict[str, str] = {}
    for standing in standings:
        variable = standing.variable
        headers[standing.slot.scope_header] = standing.scope + (f"${variable}" if variable else "")
        headers |= standing.amounts
    return headers | {LEVELS_HEADER: "1"} if headers else {}


@dataclass(frozen=True)
class Above:
    """What stands above the queues of a desired state."""

    desired: DesiredState
    platform: Platform = NO_PLATFORM

    def of_queue(self, queue: Queue) -> list[Standing]:
        """What counts the calls of a queue's routes, whoever calls."""
        accounts = {member.provider for member in queue.spec.members}
        found = self._of_everything() + self._of_tenant(queue.spec.tenant)
        if len(accounts) == 1:
            found += self._of_account(accounts.pop())
        return found

    def of_provider(self, provider: Provider) -> list[Standing]:
        """What counts the calls of a provider's own address."""
        own = self._of_account(provider.spec.name)
        return self._of_everything() + self._of_tenant(provider.spec.tenant) + own

    def of_key(self, key: Key) -> KeyLevels | None:
        """What a key changes, or None where its calls are counted as its queues say."""
        if not (key.spec.tenant or key.spec.limits) and key.spec.claims == _NO_CLAIMS:
            return None
        tenants = self._opened_tenants(key)
        tenant = key.spec.tenant or (next(iter(tenants)) if len(tenants) == 1 else None)
        moves = key.spec.claims != _NO_CLAIMS or (key.spec.tenant is not None and tenants - {tenant})
        standings = self._of_tenant(tenant, key.spec.claims) if moves else []
        own = [
            Standing(f"keys.{key.spec.name}.limits[{index}]", slot, limit, _scope("key", key, limit))
            for index, (limit, slot) in enumerate(zip(key.spec.limits, KEY, strict=False))
        ]
        if not moves and not own:
            return None
        used = {standing.slot for standing in standings}
        unused = [slot.scope_header for slots in _OF_TENANT.values() for slot in slots if slot not in used]
        values: dict[str, str] = {}
        for standing in (*standings, *own):
            values |= {standing.slot.scope_header: standing.scope, **standing.amounts}
        return KeyLevels(
            values | ({LEVELS_HEADER: "1"} if values else {}),
            {item.slot.scope_header: item.variable for item in standings if item.variable},
            unused if moves else [],
        )

    def counts(self, queue: Queue) -> bool:
        """Whether anything above the queue counts its calls: its own limits must count the same tokens."""
        return bool(self.of_queue(queue)) or self.limits_keys_of(queue.spec.name)

    def limits_keys_of(self, queue: str) -> bool:
        """Whether a key that opens the queue is limited itself."""
        return queue in self._queues_of_limited_keys

    @cached_property
    def _queues_of_limited_keys(self) -> frozenset[str]:
        limited = (key for key in self.desired.keys.values() if self._is_limited(key))
        return frozenset(name for key in limited for name in key.spec.queues)

    def _is_limited(self, key: Key) -> bool:
        return bool(key.spec.limits) or bool(key.spec.tenant and self._of_tenant(key.spec.tenant))

    def queues_under(self, kind: str, name: str) -> set[str]:
        """The queues whose calls the limits of a tenant, a key or a provider count."""
        queues, keys = self.desired.queues.values(), self.desired.keys.values()
        if kind == "tier":
            tenants = self.desired.tenants.values()
            owners = {item.spec.name for item in tenants if name in (EVERYTHING, item.spec.tier)}
            every = set(self.desired.queues) if name == EVERYTHING else set[str]()
            return every.union(*(self.queues_under("tenant", owner) for owner in owners))
        if kind == "provider":
            using = (queue for queue in queues if any(m.provider == name for m in queue.spec.members))
            return {queue.spec.name for queue in using}
        opening = [key for key in keys if name == (key.spec.name if kind == "key" else key.spec.tenant)]
        found = {queue for key in opening for queue in key.spec.queues if queue in self.desired.queues}
        if kind == "tenant":
            found |= {queue.spec.name for queue in queues if queue.spec.tenant == name}
        return found

    def problems(self) -> Iterator[Problem]:
        """Limits that cannot stand above a queue; fields are named from the document's top."""
        for tier in self.desired.tiers.values():
            slots = _OF_EVERYTHING if tier.spec.name == EVERYTHING else _OF_TENANT
            yield from owner_problems(f"tiers.{tier.spec.name}", tier.spec.limits, slots)
        for tenant in self.desired.tenants.values():
            yield from owner_problems(f"tenants.{tenant.spec.name}", tenant.spec.limits, _OF_TENANT)
        for key in self.desired.keys.values():
            yield from owner_problems(f"keys.{key.spec.name}", key.spec.limits, {None: KEY})
            yield from self._ambiguous(key)
        for provider in self.desired.providers.values():
            yield from owner_problems(
                f"providers.{provider.spec.name}", provider.spec.limits, {None: PROVIDER}
            )

    def _ambiguous(self, key: Key) -> Iterator[Problem]:
        if key.spec.tenant is None and key.spec.claims != _NO_CLAIMS and len(self._opened_tenants(key)) > 1:
            message = "pins claims and opens queues of several tenants; nobody could say whose team it means"
            yield Problem(f"keys.{key.spec.name}.claims", message, "give the key a `tenant`")

    def queue_problems(self, queue: Queue) -> Iterator[Problem]:
        """Limits of accounts that a queue would slip past; fields are named from the queue's top."""
        accounts = {member.provider for member in queue.spec.members}
        for position, member in enumerate(queue.spec.members):
            provider = self.desired.providers.get(member.provider)
            if provider is not None and provider.spec.limits and len(accounts) > 1:
                message = f"provider {member.provider} has limits, and this queue calls others beside it"
                remedy = "use the members of one provider for each queue, or set the limits on the members"
                yield Problem(f"members[{position}].provider", message, remedy)

    def _opened_tenants(self, key: Key) -> set[str | None]:
        queues = (self.desired.queues.get(name) for name in key.spec.queues)
        providers = (self.desired.providers.get(name) for name in key.spec.providers)
        found: set[str | None] = {item.spec.tenant for item in queues if item}
        return found | {item.spec.tenant for item in providers if item}

    def _of_everything(self) -> list[Standing]:
        limits, owner = self.platform.limits, "gateway"
        if not limits and EVERYTHING in self.desired.tiers:
            limits, owner = self.desired.tiers[EVERYTHING].spec.limits, f"tiers.{EVERYTHING}"
        return [
            Standing(f"{owner}.limits[{index}]", slot, limit, f"global.{limit.window_s}")
            for index, (limit, slot) in enumerate(zip(limits, GLOBAL, strict=False))
        ]

    def _of_tier(self, name: str) -> tuple[Sequence[Limit], str]:
        """The limits of a tier's tenants and where they are declared; a gateway's own go first."""
        if name in self.platform.tiers:
            return self.platform.tiers[name], f"gateway.tiers.{name}"
        tier = self.desired.tiers.get(name)
        return (tier.spec.limits if tier else ()), f"tiers.{name}"

    def _of_tenant(self, name: str | None, claims: Claims | None = None) -> list[Standing]:
        tenant = self.desired.tenants.get(name) if name else None
        if tenant is None:
            return []
        limits: Sequence[Limit] = tenant.spec.limits
        owner = f"tenants.{tenant.spec.name}"
        if not limits and tenant.spec.tier is not None:
            limits, owner = self._of_tier(tenant.spec.tier)
        taken: dict[str | None, int] = {}
        found = []
        for index, limit in enumerate(limits):
            slots = _OF_TENANT.get(limit.by, ())
            number = taken[limit.by] = taken.get(limit.by, -1) + 1
            if number >= len(slots):
                continue  # told as a problem
            path = f"{owner}.limits[{index}]"
            scope = _scope(limit.by or "tenant", tenant, limit)
            if limit.by is None:
                found.append(Standing(path, slots[number], limit, scope))
                continue
            pinned = claims.of(limit.by) if claims else None
            attribute = None if pinned else ATTRIBUTES[limit.by]
            found.append(Standing(path, slots[number], limit, f"{scope}.{pinned or ''}", attribute))
        return found

    def _of_account(self, name: str) -> list[Standing]:
        provider = self.desired.providers.get(name)
        if provider is None:
            return []
        return [
            Standing(f"providers.{name}.limits[{index}]", slot, limit, _scope("provider", provider, limit))
            for index, (limit, slot) in enumerate(zip(provider.spec.limits, PROVIDER, strict=False))
        ]


def _scope(level: str, owner: Tenant | Key | Provider, limit: Limit) -> str:
    return f"{level}.{owner.id.hex}.{limit.window_s}"


def platform_problems(platform: Platform) -> Iterator[Problem]:
    """What of a gateway's own limits it could not count; fields are named from the gateway's top."""
    found = [*owner_problems("", platform.limits, _OF_EVERYTHING)]
    for tier, limits in platform.tiers.items():
        found += owner_problems(f"tiers.{tier}", limits, _OF_TENANT)
    for item in found:
        yield Problem(item.field.removeprefix(".").replace(".limits[", "["), item.message, item.remedy)


def owner_problems(
    owner: str, limits: Sequence[Limit], slots: Mapping[str | None, Sequence[Slot]]
) -> Iterator[Problem]:
    """What of an owner's limits the shared service cannot count."""
    taken: dict[str | None, int] = {}
    seen: dict[tuple[str | None, int | None], str] = {}
    for index, limit in enumerate(limits):
        path = f"{owner}.limits[{index}]"
        if problem := _uncountable(path, limit, slots):
            yield problem
            continue
        taken[limit.by] = taken.get(limit.by, 0) + 1
        if taken[limit.by] > len(slots[limit.by]):
            most = len(slots[limit.by])
            what = f"with `by: {limit.by}`" if limit.by else "without `by`"
            yield Problem(
                f"{path}.tokens", f"at most {most} of these limits are counted {what}", "remove one"
            )
        elif twin := seen.get((limit.by, limit.window_s)):
            yield Problem(f"{path}.tokens", f"counts the same as {twin}", "keep the smaller one")
        seen[limit.by, limit.window_s] = f"limits[{index}]"


def _uncountable(path: str, limit: Limit, slots: Mapping[str | None, Sequence[Slot]]) -> Problem | None:
    if limit.meter is not Meter.TOKENS:
        message = f"a limit that spans queues counts tokens, and no {str(limit.meter).replace('_', ' ')}"
        return Problem(f"{path}.{limit.meter}", message, _ON_QUEUES)
    if limit.by not in slots:
        known = " or ".join(name for name in slots if name)
        remedy = f"remove `by`, or write {known}" if known else "remove `by`"
        return Problem(f"{path}.by", f"this limit cannot be divided by {limit.by}", remedy)
    if limit.per is None or limit.is_calendar or limit.mode is not Mode.FIXED or limit.strict:
        field_name = "strict" if limit.strict else "mode" if limit.mode is not Mode.FIXED else "per"
        message = "a limit that spans queues has a fixed window, such as `per: 1h`"
        return Problem(f"{path}.{field_name}", message, f"use one, or {_ON_QUEUES}")
    if limit.then is not Then.REJECT:
        return Problem(f"{path}.then", "a limit that spans queues rejects", "remove `then`")
    return None

"""The limits above a queue: of its tenant and the tenant's teams, roles and users, of keys and of accounts.

They are counted on the shared service, in one counter over all queues. The routes of a queue set the headers
of what stands above it. A key that belongs to another tenant, pins claims or has limits of its own brings a
function along that sets them anew for its calls. Accounts are counted so only where there is no token-budget.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

from controlplane.core.abilities import STOCK, WITH_BUDGETS, Abilities
from controlplane.core.accounts import Account, account_problems, accounts_of
from controlplane.core.attributes import ATTRIBUTES
from controlplane.core.claims import Claims
from controlplane.core.countable import owner_problems, platform_problems
from controlplane.core.desired import DesiredState, Key, Provider, Queue, Tenant
from controlplane.core.levels import (
    GLOBAL,
    KEY,
    OF_ATTRIBUTES,
    OF_EVERYTHING,
    OF_KEY,
    OF_PROVIDER,
    OF_TENANT,
    PROVIDER,
    TENANT,
    Level,
    Place,
    Slot,
)
from controlplane.core.limits import Limit
from controlplane.core.platform import NO_PLATFORM, Platform
from controlplane.core.spec import EVERYTHING
from controlplane.core.standing import KeyLevels, Standing, choices, unchosen
from controlplane.errors import Problem

Declarations = Sequence[tuple[str, Limit]]
"""Limits, with the place where each is declared."""

_NO_CLAIMS = Claims()


@dataclass(frozen=True)
class Above:
    """What stands above the queues of a desired state."""

    desired: DesiredState
    platform: Platform = NO_PLATFORM
    abilities: Abilities = STOCK

    def of_queue(self, queue: Queue) -> list[Standing]:
        """What of the shared service counts the calls of a queue's routes, whoever calls."""
        accounts = {member.provider for member in queue.spec.members}
        found = self._of_calls(queue.spec.tenant)
        if len(accounts) == 1:
            found += self._of_account(accounts.pop())
        return found

    def of_provider(self, provider: Provider) -> list[Standing]:
        """What of the shared service counts the calls of a provider's own address."""
        own = self._of_account(provider.spec.name)
        return self._of_calls(provider.spec.tenant) + own

    def accounts(self, queue: Queue) -> tuple[Account, ...]:
        """The accounts whose limits token-budget counts with the queue's own."""
        return accounts_of(queue, self.desired.providers) if self.abilities.token_budget else ()

    def account(self, provider: Provider) -> tuple[Account, ...]:
        """What token-budget counts of the calls of a provider's own address."""
        limited = self.abilities.token_budget and bool(provider.spec.limits)
        return (Account(provider),) if limited else ()

    def of_key(self, key: Key) -> KeyLevels | None:
        """What a key changes, or None where its calls are counted as its queues say."""
        if not (key.spec.tenant or key.spec.limits) and key.spec.claims == _NO_CLAIMS:
            return None
        tenants = self._opened_tenants(key)
        tenant = key.spec.tenant or (next(iter(tenants)) if len(tenants) == 1 else None)
        moves = key.spec.claims != _NO_CLAIMS or (key.spec.tenant is not None and tenants - {tenant})
        standings = self._of_caller(tenant, key.spec.claims) if moves else []
        own = _placed(KEY, _declared(f"keys.{key.spec.name}", key.spec.limits), _scope("key", key))
        if not moves and not own:
            return None
        settled = unchosen(standings)
        used = {standing.place for standing in settled}
        unused = [place.scope_header for place in self._places_of_callers if place not in used]
        values: dict[str, str] = {}
        for standing in (*settled, *own):
            values |= standing.headers
        return KeyLevels(
            values,
            {item.place.scope_header: item.variable for item in settled if item.variable},
            unused if moves else [],
            choices(standings),
        )

    @property
    def _places_of_callers(self) -> list[Place]:
        """What counts the calls of a tenant, or of one of its teams, roles or users."""
        found = chain.from_iterable(level.places for level in OF_TENANT.values())
        return [place for place in found if isinstance(place, Slot) or self.has_buckets]

    @cached_property
    def has_buckets(self) -> bool:
        """Whether the gateway holds a bucket above a queue, of anybody."""
        state = self.desired
        owners = (state.tiers, state.tenants, state.keys)
        specs = chain.from_iterable((item.spec for item in kind.values()) for kind in owners)
        of_all = chain.from_iterable(spec.limits for spec in specs)
        own = chain(self.platform.limits, *self.platform.tiers.values())
        return self.abilities.token_budget and any(limit.refill_per_s for limit in chain(of_all, own))

    def counts(self, queue: Queue) -> bool:
        """Whether anything above the queue counts its calls: its own limits must count the same tokens."""
        above = _has_windows(self.of_queue(queue)) or bool(self.accounts(queue))
        return above or self.limits_keys_of(queue.spec.name)

    def limits_keys_of(self, queue: str) -> bool:
        """Whether a key that opens the queue is limited itself."""
        return queue in self._queues_of_limited_keys

    @cached_property
    def _queues_of_limited_keys(self) -> frozenset[str]:
        limited = (key for key in self.desired.keys.values() if self._is_limited(key))
        return frozenset(name for key in limited for name in key.spec.queues)

    def _is_limited(self, key: Key) -> bool:
        return key.spec.tenant in self._counted_tenants or any(limit.per for limit in key.spec.limits)

    @cached_property
    def _counted_tenants(self) -> frozenset[str]:
        """The tenants whose calls are counted in windows."""
        return frozenset(name for name in self.desired.tenants if _has_windows(self._of_caller(name)))

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
        able, state = self.abilities, self.desired
        for item in platform_problems(self.platform, able):
            yield Problem(f"gateway.{item.field}", item.message, item.remedy)
        for tier in self._tiers_in_use():
            levels = OF_EVERYTHING if tier == EVERYTHING else OF_TENANT
            yield from owner_problems(f"tiers.{tier}", state.tiers[tier].spec.limits, levels, able)
        for tenant in state.tenants.values():
            yield from owner_problems(f"tenants.{tenant.spec.name}", tenant.spec.limits, OF_TENANT, able)
        for key in state.keys.values():
            yield from owner_problems(f"keys.{key.spec.name}", key.spec.limits, OF_KEY, able)
            yield from self._ambiguous(key)
        for provider in state.providers.values():
            if able.token_budget:
                yield from account_problems(provider)
            else:
                owner = f"providers.{provider.spec.name}"
                yield from owner_problems(owner, provider.spec.limits, OF_PROVIDER, able)

    def _tiers_in_use(self) -> Iterator[str]:
        """The declared tiers that the gateway has no limits of its own in place of."""
        for name in self.desired.tiers:
            if not (self.platform.limits if name == EVERYTHING else name in self.platform.tiers):
                yield name

    def _ambiguous(self, key: Key) -> Iterator[Problem]:
        if key.spec.tenant is None and key.spec.claims != _NO_CLAIMS and len(self._opened_tenants(key)) > 1:
            message = "pins claims and opens queues of several tenants; nobody could say whose team it means"
            yield Problem(f"keys.{key.spec.name}.claims", message, "give the key a `tenant`")

    def queue_problems(self, queue: Queue) -> Iterator[Problem]:
        """Limits of accounts that a queue would slip past; fields are named from the queue's top."""
        if self.abilities.token_budget:
            return
        accounts = {member.provider for member in queue.spec.members}
        for position, member in enumerate(queue.spec.members):
            provider = self.desired.providers.get(member.provider)
            if provider is not None and provider.spec.limits and len(accounts) > 1:
                message = f"provider {member.provider} has limits, and this queue calls others beside it"
                remedy = (
                    "use the members of one provider for each queue, set the limits on the members, "
                    f"or use {WITH_BUDGETS}"
                )
                yield Problem(f"members[{position}].provider", message, remedy)

    def _opened_tenants(self, key: Key) -> set[str | None]:
        queues = (self.desired.queues.get(name) for name in key.spec.queues)
        providers = (self.desired.providers.get(name) for name in key.spec.providers)
        found: set[str | None] = {item.spec.tenant for item in queues if item}
        return found | {item.spec.tenant for item in providers if item}

    def _everything(self) -> Declarations:
        """What counts everybody's calls; a gateway's own go first."""
        if self.platform.limits:
            return _declared("gateway", self.platform.limits)
        tier = self.desired.tiers.get(EVERYTHING)
        return _declared(f"tiers.{EVERYTHING}", tier.spec.limits) if tier else ()

    def _own(self, tenant: Tenant) -> Declarations:
        """What a tenant declares, or else its tier."""
        name = tenant.spec.tier
        if tenant.spec.limits or name is None:
            return _declared(f"tenants.{tenant.spec.name}", tenant.spec.limits)
        if name in self.platform.tiers:
            return _declared(f"gateway.tiers.{name}", self.platform.tiers[name])
        tier = self.desired.tiers.get(name)
        return _declared(f"tiers.{name}", tier.spec.limits) if tier else ()

    def _of_calls(self, tenant: str | None) -> list[Standing]:
        """What counts calls of a tenant's queues and accounts, where their key pins nothing."""
        if tenant not in self._of_calls_known:
            self._of_calls_known[tenant] = self._of_everything() + self._of_caller(tenant)
        return list(self._of_calls_known[tenant])

    @cached_property
    def _of_calls_known(self) -> dict[str | None, list[Standing]]:
        """By tenants, of which there are far fewer than queues."""
        return {}

    def _of_everything(self) -> list[Standing]:
        return _placed(GLOBAL, _divided(self._everything(), None), "global")

    def _of_caller(self, name: str | None, claims: Claims = _NO_CLAIMS) -> list[Standing]:
        """What counts the calls of a tenant, or of nobody's, and of each of its teams, roles and users."""
        tenant = self.desired.tenants.get(name) if name else None
        own = self._own(tenant) if tenant else ()
        found = _placed(TENANT, _divided(own, None), _scope("tenant", tenant)) if tenant else []
        everything = self._everything()
        for by in ATTRIBUTES:
            limits = _before(_divided(own, by), _divided(everything, by))
            scope = _scope(by, tenant) if tenant else f"{by}.nobody"
            found += _of_attribute(by, limits, scope, claims.of(by))
        return found

    def _of_account(self, name: str) -> list[Standing]:
        provider = self.desired.providers.get(name)
        if provider is None or self.abilities.token_budget:
            return []
        limits = _declared(f"providers.{name}", provider.spec.limits)
        return _placed(PROVIDER, limits, _scope("provider", provider))


def _declared(owner: str, limits: Sequence[Limit]) -> Declarations:
    return [(f"{owner}.limits[{index}]", limit) for index, limit in enumerate(limits)]


def _divided(limits: Declarations, by: str | None) -> Declarations:
    return [(path, limit) for path, limit in limits if limit.by == by]


def _before(own: Declarations, common: Declarations) -> Declarations:
    """A tenant's own limits, and those over everything that they leave in force."""
    if any(limit.value is None for _, limit in own):
        return own
    named = {limit.value for _, limit in own}
    return [*own, *((path, limit) for path, limit in common if limit.value not in named)]


def _placed(level: Level, limits: Declarations, scope: str) -> list[Standing]:
    """What has a place to be counted in; what has none is told as a problem."""
    found: list[Standing] = []
    for path, limit in limits:
        taken = sum((item.limit.per is None) == (limit.per is None) for item in found)
        place = level.place(limit, taken)
        if place is not None:
            found.append(Standing(path, place, limit, f"{scope}.{limit.window_s or 'bucket'}"))
    return found


def _of_attribute(by: str, limits: Declarations, scope: str, pinned: str | None) -> list[Standing]:
    """What counts each team, role or user; of a key that pins which, only what counts that one."""
    values: list[str | None] = list(dict.fromkeys(limit.value for _, limit in limits))
    if pinned is not None:
        values = [pinned if pinned in values else None]
    found = []
    for value in values:
        same = [(path, limit) for path, limit in limits if limit.value == value]
        for item in _placed(OF_ATTRIBUTES[by], same, scope):
            if pinned is not None:
                found.append(replace(item, scope=f"{item.scope}.{pinned}"))
            else:
                found.append(replace(item, scope=f"{item.scope}.", attribute=ATTRIBUTES[by], value=value))
    return found


def _has_windows(standings: Sequence[Standing]) -> bool:
    return any(isinstance(standing.place, Slot) for standing in standings)


def _scope(level: str, owner: Tenant | Key | Provider) -> str:
    return f"{level}.{owner.id.hex}"

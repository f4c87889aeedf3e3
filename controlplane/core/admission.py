"""Who is let in where: keys that are usable, queues that are open, and what closes them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import UUID

from controlplane.core.desired import DesiredState, Key, Provider, Queue, Rule
from controlplane.core.rules import RuleAccess
from controlplane.core.spec import EVERYTHING, Access, ProviderType
from controlplane.errors import Problem


@dataclass(frozen=True)
class Admission:
    """Whom a gateway lets in, as of a moment (keys expire).

    What cannot be enforced is closed, not unlimited; so is what belongs to a suspended tenant.
    """

    desired: DesiredState
    problems: Iterable[Problem]
    moment: datetime

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The keys that the gateway knows. Those of a suspended tenant are known, and open nothing."""
        found = (key for _, key in sorted(self.desired.keys.items()) if key.usable_at(self.moment))
        return tuple(key for key in found if ("keys", key.spec.name) not in self._refused)

    def queues(self) -> Iterator[Queue]:
        """The queues that the gateway is given."""
        for name in sorted(self.desired.queues):
            queue = self.desired.queues[name]
            if not self._refused:
                yield queue
                continue
            owners = {("queues", name), *self._above(queue.spec.tenant)}
            owners |= {("providers", member.provider) for member in queue.spec.members}
            if not owners & self._refused:
                yield queue

    def providers(self) -> Iterator[Provider]:
        """The providers that are given an address of their own."""
        for name, provider in sorted(self.desired.providers.items()):
            owners = {("providers", name), *self._above(provider.spec.tenant)}
            # The protocol of bedrock is none that an address of ours offers.
            if provider.spec.type is not ProviderType.BEDROCK and not owners & self._refused:
                yield provider

    def rules(self) -> Iterator[Rule]:
        """The forwarding rules that the gateway is given."""
        for name, rule in sorted(self.desired.rules.items()):
            owners = {("rules", name), ("tenants", rule.spec.tenant)}
            if rule.spec.enabled and not owners & self._refused:
                yield rule

    def openers(self, queue: Queue) -> list[str] | None:
        """The consumers that a queue lets in; None where it lets in everybody."""
        if self._is_suspended(queue.spec.tenant):
            return []
        if queue.spec.access is Access.OPEN:
            return None
        return self._opening.get(("queues", queue.spec.name), [])

    def callers(self, provider: Provider) -> list[str]:
        """The consumers that may call a provider directly."""
        if self._is_suspended(provider.spec.tenant):
            return []
        return self._opening.get(("providers", provider.spec.name), [])

    def rule_callers(self, rule: Rule) -> list[str] | None:
        """The consumers that may call a rule; None where everybody may."""
        spec = rule.spec
        if self._is_suspended(spec.tenant):
            return []
        if spec.access is RuleAccess.OPEN:
            return None
        listed = self._opening.get(("rules", spec.name), [])
        if spec.access is RuleAccess.KEYS:
            return listed
        return list(dict.fromkeys([*self._of_tenant.get(spec.tenant, []), *listed]))

    @cached_property
    def _of_tenant(self) -> dict[str | None, list[str]]:
        found: dict[str | None, list[str]] = {}
        for key in self.keys:
            found.setdefault(key.spec.tenant, []).append(consumer_name(key))
        return found

    @cached_property
    def _opening(self) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for key in self.keys:
            if self._is_suspended(key.spec.tenant):
                continue
            for name in key.spec.queues:
                found.setdefault(("queues", name), []).append(consumer_name(key))
            for name in key.spec.providers:
                found.setdefault(("providers", name), []).append(consumer_name(key))
            for name in key.spec.rules:
                found.setdefault(("rules", name), []).append(consumer_name(key))
        return found

    def _is_suspended(self, tenant: str | None) -> bool:
        found = self.desired.tenants.get(tenant) if tenant else None
        return found is not None and found.spec.suspended

    def _above(self, tenant: str | None) -> set[tuple[str, str | None]]:
        """Whose limits count the calls of what a tenant owns."""
        found = self.desired.tenants.get(tenant) if tenant else None
        tier = found.spec.tier if found else None
        return {("tenants", tenant), ("tiers", tier), ("tiers", EVERYTHING), ("gateway", "")}

    @cached_property
    def _refused(self) -> frozenset[tuple[str, str | None]]:
        """The objects with a problem, by section and name."""
        parts = (problem.field.split(".") for problem in self.problems)
        named = ((part[0], "" if part[0] == "gateway" else part[1]) for part in parts if len(part) > 1)
        return frozenset(named)


def consumer_name(key: Key) -> str:
    """What the gateway calls a key: opaque, because a provider may come to see it."""
    return f"key-{key.id.hex}"


def key_of_consumer(name: str) -> UUID | None:
    """The key that a gateway calls so; None for a consumer of others."""
    try:
        return UUID(name.removeprefix("key-")) if name.startswith("key-") else None
    except ValueError:
        return None

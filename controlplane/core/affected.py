"""The part of two states that a few changes can touch, so that the rest need not be compiled."""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.core.declaring import DeclaredChange
from controlplane.core.desired import DesiredState, Key
from controlplane.core.rules import RuleAccess

_KINDS = ("queue", "key")
_MOST = 500
"""With more changes than this, compiling everything is no slower."""


@dataclass(frozen=True, slots=True)
class Part:
    """The same part of the state before and after."""

    before: DesiredState
    after: DesiredState
    declared: frozenset[str]
    """What the part's objects are for, such as `queue support`: those of anything else are not whole here."""

    def tells_of(self, declared_by: str) -> bool:
        """Whether an object that serves this is compiled from the part as it is from the whole."""
        return declared_by in self.declared or not declared_by.startswith(
            ("queue ", "key ", "provider ", "rule ", "every rule")
        )


def part_of(before: DesiredState, after: DesiredState, changes: Iterable[DeclaredChange]) -> Part | None:
    """The part that changes of queues and keys can touch; None where they may touch anything.

    A queue's objects depend on its providers, on the tenants and on the keys that open it; a key's on the
    tenants of the queues that it opens; a provider's and a rule's on the keys that open it.
    """
    changed: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    for number, change in enumerate(changes):
        if change.kind not in changed or number == _MOST:
            return None
        changed[change.kind].add(change.name)
    states = (before, after)
    queues, keys, providers = set(changed["queue"]), set(changed["key"]), set[str]()
    rules: set[str] = set()
    for state in states:
        for name in changed["key"] & state.keys.keys():
            queues |= set(state.keys[name].spec.queues)
            providers |= set(state.keys[name].spec.providers)
            rules |= {rule for rule in state.rules if _opens(state.keys[name], rule, state)}
        keys |= {name for name, key in state.keys.items() if changed["queue"] & set(key.spec.queues)}
    declared = {f"queue {name}" for name in queues} | {f"key {name}" for name in keys}
    declared |= {f"provider {name}" for name in providers} | {f"rule {name}" for name in rules}
    old, new = (_restricted(state, queues, keys, providers, rules) for state in states)
    return Part(old, new, frozenset(declared))


def _opens(key: Key, rule: str, state: DesiredState) -> bool:
    spec = state.rules[rule].spec
    by_tenant = spec.access is RuleAccess.TENANT and spec.tenant == key.spec.tenant
    return by_tenant or rule in key.spec.rules


def _restricted(
    state: DesiredState, queues: set[str], keys: set[str], providers: set[str], rules: set[str]
) -> DesiredState:
    """The state with everything that these depend on."""
    needed_keys = keys | {
        name
        for name, key in state.keys.items()
        if queues & set(key.spec.queues)
        or providers & set(key.spec.providers)
        or any(_opens(key, rule, state) for rule in rules & state.rules.keys())
    }
    opened = {queue for name in needed_keys & state.keys.keys() for queue in state.keys[name].spec.queues}
    needed_queues = (queues | opened) & state.queues.keys()
    listed = {name for key in needed_keys & state.keys.keys() for name in state.keys[key].spec.providers}
    used = {member.provider for name in needed_queues for member in state.queues[name].spec.members}
    return DesiredState(
        state.revision,
        {name: state.providers[name] for name in (providers | used | listed) & state.providers.keys()},
        state.tenants,
        {name: state.queues[name] for name in needed_queues},
        {name: state.keys[name] for name in needed_keys & state.keys.keys()},
        {name: state.rules[name] for name in rules & state.rules.keys()},
        state.tiers,
    )

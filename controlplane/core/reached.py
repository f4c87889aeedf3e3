"""A state as far as somebody reaches: one tenant's own things, apart from what it may only use."""

from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.core.access import Reach
from controlplane.core.declaring import Item, Wanted, named
from controlplane.core.desired import DesiredState
from controlplane.core.plan import Action

KINDS = ("provider", "tenant", "queue", "key", "rule", "tier")


@dataclass(frozen=True, slots=True)
class Reached:
    """What somebody may change, and what they may refer to beside it."""

    whole: DesiredState
    own: DesiredState
    beside: DesiredState

    def hides(self, kind: str, name: str) -> bool:
        """Whether the name is taken by something that they cannot change."""
        return name in named(self.whole, kind) and name not in named(self.own, kind)

    def put_back(self, wanted: Wanted) -> DesiredState:
        """The whole state with what they want of their own."""
        gone = {(change.kind, change.name) for change in wanted.changes if change.action is Action.DELETE}

        def all_of(kind: str) -> dict[str, Item]:
            kept = {name: item for name, item in named(self.whole, kind).items() if (kind, name) not in gone}
            return kept | dict(named(wanted.state, kind))

        if not wanted.changes:
            return self.whole
        return DesiredState(self.whole.revision, *map(all_of, KINDS))  # type: ignore[arg-type]

    def serves(self, declared_by: str, wanted: Wanted) -> bool:
        """Whether a gateway object is there for something of theirs."""
        kind, _, name = declared_by.partition(" ")
        if kind not in KINDS:
            return False
        return name in named(self.own, kind) or name in named(wanted.state, kind)


def reached(state: DesiredState, reach: Reach) -> Reached:
    """What of a state somebody with this reach may change and use."""

    def of_tenant(items: Mapping[str, Item]) -> dict[str, Item]:
        return {name: item for name, item in items.items() if _tenant(item) == reach.tenant}

    own = DesiredState(
        state.revision,
        of_tenant(state.providers),  # type: ignore[arg-type]
        {},
        of_tenant(state.queues),  # type: ignore[arg-type]
        of_tenant(state.keys),  # type: ignore[arg-type]
        of_tenant(state.rules),  # type: ignore[arg-type]
    )
    shared = {name: item for name, item in state.providers.items() if item.spec.shared}
    tenants = {name: item for name, item in state.tenants.items() if name == reach.tenant}
    return Reached(state, own, DesiredState(state.revision, shared, tenants))


def _tenant(item: Item) -> str | None:
    found: str | None = getattr(item.spec, "tenant", None)
    return found

"""What the handlers share: the store, and the news of a write for this replica's reconciler."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from controlplane.api.bodies import AnyRequest
from controlplane.core.access import Principal
from controlplane.reconciler.ended import EndedPasses
from controlplane.reconciler.planning import Planner
from controlplane.store.api import DeclaredStore


@dataclass(frozen=True, slots=True)
class Service:
    """Kept on the application's state."""

    store: DeclaredStore
    wake: Callable[[], None]
    planner: Planner | None = None
    ended: EndedPasses = field(default_factory=EndedPasses)
    """The passes of this replica's reconciler."""


def service_of(request: AnyRequest) -> Service:
    """The service as far as the caller reaches: a tenant's own people find their tenant and nothing else."""
    found: Service = request.app.state.service
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None or principal.reach is None:
        return found
    return replace(found, store=found.store.within(principal.reach))

"""What the handlers share: the store, and the news of a write for this replica's reconciler."""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.api.bodies import AnyRequest
from controlplane.store.api import DeclaredStore


@dataclass(frozen=True, slots=True)
class Service:
    """Kept on the application's state."""

    store: DeclaredStore
    wake: Callable[[], None]


def service_of(request: AnyRequest) -> Service:
    found: Service = request.app.state.service
    return found

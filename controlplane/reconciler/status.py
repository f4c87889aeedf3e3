"""How a gateway stands after a pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from controlplane.core.contexts import CounterStore
from controlplane.core.desired import DesiredState
from controlplane.core.objects import ObjectKey
from controlplane.core.plan import Action
from controlplane.errors import SluiceError


class State(StrEnum):
    """Where a gateway stands."""

    CONVERGED = "converged"
    PENDING = "pending"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class GatewayRecord:
    """A gateway as it is declared, with its secrets as plain text: for the reconciler alone."""

    id: UUID
    name: str
    admin_url: str
    admin_key: str = field(repr=False)
    counters: CounterStore
    version: int
    """Grows with every edit: a loop that holds another version starts anew."""


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """What became of one object in a pass."""

    key: ObjectKey
    action: Action
    hash: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class PassReport:
    """What a pass leaves behind."""

    gateway: UUID
    state: State
    revision: int
    finished_at: datetime
    writes: int = 0
    error: str | None = None
    leader: str = ""


class ReconcilerStore(Protocol):
    """What the reconciler needs of the store. Raises StoreUnavailable."""

    async def gateways(self) -> Sequence[GatewayRecord]:
        """Every enabled gateway."""

    async def desired(self) -> DesiredState:
        """Everything declared, as of the newest revision; cheap when little has changed."""

    async def unseal(self, names: Sequence[str]) -> Mapping[str, str]:
        """The texts of secrets."""

    async def applied(self, gateway: UUID) -> Mapping[ObjectKey, str]:
        """The hash of what was last written of each object, for those whose last write succeeded."""

    async def record(self, report: PassReport, results: Sequence[ObjectResult]) -> None:
        """Keep what became of the objects, and how the gateway stands."""


class LeadershipLost(SluiceError):
    """Another replica leads this gateway now, or the database that says who leads is gone."""

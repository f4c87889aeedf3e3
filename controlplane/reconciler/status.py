"""How a gateway stands after a pass."""

from enum import StrEnum

from controlplane.errors import SluiceError


class State(StrEnum):
    """Where a gateway stands."""

    CONVERGED = "converged"
    PENDING = "pending"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"


class LeadershipLost(SluiceError):
    """Another replica leads this gateway now, or the database that says who leads is gone."""

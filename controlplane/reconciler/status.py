"""How a gateway stands after a pass."""

from enum import StrEnum

from controlplane.errors import SluiceError


class State(StrEnum):
    """Where a gateway stands."""

    CONVERGED = "converged"
    DRIFTED = "drifted"
    """Everything declared is there, beside edits by hand that are only to be reported."""
    PENDING = "pending"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"


class LeadershipLost(SluiceError):
    """Another replica leads this gateway now, or the database that says who leads is gone."""

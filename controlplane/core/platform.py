"""Limits that a gateway's owners set for everything that goes through it, and for tenants by their tier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.core.limits import Limit


@dataclass(frozen=True, slots=True)
class Platform:
    """What stands above every tenant on one gateway."""

    limits: Sequence[Limit] = ()
    """Over all calls."""
    tiers: Mapping[str, Sequence[Limit]] = field(default_factory=dict)
    """By tier: the limits of each tenant that declares none of its own."""

    def __bool__(self) -> bool:
        return bool(self.limits or self.tiers)


NO_PLATFORM = Platform()

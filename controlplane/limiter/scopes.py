"""Who a request is charged to: from everybody down to one user, and by anything else that it carries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from controlplane.limiter.limits import Charge, Limit

HIERARCHY = ("tenant", "team", "rolegroup", "role", "user")
"""From the widest to the narrowest. Everybody together is the scope without attributes."""

_LONGEST_VALUE = 128
_ONE_EACH = frozenset({"requests", "concurrency"})


@dataclass(frozen=True, slots=True)
class ScopedLimit:
    """A limit with one counter for each value of the attributes in `by`; without any, one counter for all.

    A request that lacks the last attribute is not charged if that belongs to the hierarchy: it is of no team.
    If it does not, all such requests share one counter: leaving a header out must not be a way around.
    """

    limit: Limit
    by: tuple[str, ...] = ()

    @classmethod
    def at(cls, limit: Limit, level: str) -> "ScopedLimit":
        """One counter for each tenant, team, …, as they nest: team `red` of one tenant is not another's."""
        return cls(limit, HIERARCHY[: HIERARCHY.index(level) + 1])

    def key(self, request: Mapping[str, str]) -> str | None:
        """The counter's key for a request with those attributes; None if it is not charged."""
        parts = []
        for name in self.by:
            value = request.get(name)
            if value is None:
                if name == self.by[-1] and name in HIERARCHY:
                    return None
                continue
            parts.append(f"{name}={_escaped(value)}")
        return "/".join(parts)


def charges(
    limits: Iterable[ScopedLimit], request: Mapping[str, str], amounts: Mapping[str, int]
) -> tuple[Charge, ...]:
    """What a request is charged: for each limit that applies to it, the amount of that limit's meter.

    Requests and concurrency are 1 where `amounts` does not name them.
    """
    made = []
    for scoped in limits:
        key = scoped.key(request)
        if key is not None:
            meter = scoped.limit.meter
            amount = amounts.get(meter, 1) if meter in _ONE_EACH else amounts[meter]
            made.append(Charge(scoped.limit, key, amount))
    return tuple(made)


def _escaped(value: str) -> str:
    """So that no value can pretend to be another scope, and none is longer than a name should be."""
    if len(value) > _LONGEST_VALUE:
        value = value[:32] + "~" + blake2b(value.encode(), digest_size=16).hexdigest()
    return value.replace("%", "%25").replace("/", "%2F").replace("=", "%3D")

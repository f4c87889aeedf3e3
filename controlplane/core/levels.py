"""The slots of the shared service that count tokens per window.

One `ai-rate-limiting` on a service holds a rule for every slot, each reading its scope, amount and
window from headers that a route sets. A gateway keys a counter by the text of the whole plugin, so
this list is part of every running counter: a slot added, renamed or moved starts all of them anew.
The counter itself is named by the scope alone, so a limit may change its slot without losing a count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.core.limits import Limit, Meter
from controlplane.core.objects import Json


@dataclass(frozen=True, slots=True)
class Slot:
    """One rule of the shared service."""

    name: str

    @property
    def scope_header(self) -> str:
        return f"X-Sluice-Scope-{self.name.title()}"

    @property
    def limit_header(self) -> str:
        return f"X-Sluice-Limit-{self.name.title()}"

    @property
    def window_header(self) -> str:
        return f"X-Sluice-Window-{self.name.title()}"

    def headers(self, limit: Limit) -> dict[str, str]:
        """How much, and in what time."""
        return {self.limit_header: str(limit.amount), self.window_header: str(limit.window_s)}

    @property
    def rule(self) -> dict[str, str]:
        """The rule's text: the same for ever, whatever the limits are."""
        variable = self.name.replace("-", "_")
        return {
            "count": f"${{http_x_sluice_limit_{variable} ?? 1}}",
            "time_window": f"${{http_x_sluice_window_{variable} ?? 60}}",
            "key": f"scope:${{http_x_sluice_scope_{variable}}}",
            "header_prefix": self.name,
        }


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit of token-budget that refills, over all queues: it reads headers as a slot does."""

    name: str

    @property
    def scope_header(self) -> str:
        return f"X-Sluice-Bucket-{self.name.title()}"

    @property
    def limit_header(self) -> str:
        return f"X-Sluice-Capacity-{self.name.title()}"

    @property
    def refill_header(self) -> str:
        return f"X-Sluice-Refill-{self.name.title()}"

    def headers(self, limit: Limit) -> dict[str, str]:
        """How much, and how fast it comes back."""
        return {self.limit_header: str(limit.amount), self.refill_header: repr(limit.refill_per_s)}

    @property
    def budget(self) -> dict[str, Json]:
        """The limit of token-budget: the same for ever, whatever is declared."""
        return {
            "name": f"above/{self.name}",
            "title": f"{self.name} bucket",
            "meter": Meter.TOKENS.value,
            "amount": f"${{http_x_sluice_capacity_{self.name} ?? 1}}",
            "refill_per_s": f"${{http_x_sluice_refill_{self.name} ?? 1}}",
            "by": [f"$http_x_sluice_bucket_{self.name}"],
            "absent": "skip",
        }


Place = Slot | Bucket
"""Where a limit above queues is counted."""


@dataclass(frozen=True, slots=True)
class Level:
    """What counts the limits of one owner that are divided in one way: so many windows, maybe a bucket."""

    windows: Sequence[Slot]
    bucket: Bucket | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        return (*self.windows, *self._buckets)

    @property
    def _buckets(self) -> tuple[Bucket, ...]:
        return () if self.bucket is None else (self.bucket,)

    def place(self, limit: Limit, taken: int) -> Place | None:
        """The next place, where so many of the same kind have one; None if there is none left."""
        same: Sequence[Place] = self.windows if limit.refill_per_s is None else self._buckets
        return same[taken] if taken < len(same) else None


def _slots(name: str, count: int) -> tuple[Slot, ...]:
    return tuple(Slot(name if number == 1 else f"{name}-{number}") for number in range(1, count + 1))


def _level(name: str, windows: int) -> Level:
    return Level(_slots(name, windows), Bucket(name))


GLOBAL = _level("global", 2)
TENANT = _level("tenant", 2)
TEAM = _level("team", 1)
ROLEGROUP = _level("rolegroup", 1)
ROLE = _level("role", 1)
USER = _level("user", 1)
QUEUE = _slots("queue", 3)
QUEUE_KEY = _slots("queue-key", 2)
QUEUE_HEADER = _slots("queue-header", 3)
KEY = _level("key", 2)
PROVIDER = Level(_slots("provider", 2))
"""Only where no token-budget is: see core/accounts.py."""

OF_ATTRIBUTES: Mapping[str | None, Level] = {"team": TEAM, "rolegroup": ROLEGROUP, "role": ROLE, "user": USER}
OF_TENANT: Mapping[str | None, Level] = {None: TENANT, **OF_ATTRIBUTES}
"""The levels of a tenant's limits, by what divides them."""
OF_EVERYTHING: Mapping[str | None, Level] = {None: GLOBAL, **OF_ATTRIBUTES}
OF_KEY: Mapping[str | None, Level] = {None: KEY}
OF_PROVIDER: Mapping[str | None, Level] = {None: PROVIDER}

SLOTS = (
    *GLOBAL.windows,
    *TENANT.windows,
    *(slot for level in OF_ATTRIBUTES.values() for slot in level.windows),
    *QUEUE,
    *QUEUE_KEY,
    *QUEUE_HEADER,
    *KEY.windows,
    *PROVIDER.windows,
)
_REFILLED = (GLOBAL, TENANT, TEAM, ROLEGROUP, ROLE, USER, KEY)
BUCKETS = tuple(level.bucket for level in _REFILLED if level.bucket is not None)

STRATEGIES = {
    Meter.TOKENS: "total_tokens",
    Meter.PROMPT_TOKENS: "prompt_tokens",
    Meter.COMPLETION_TOKENS: "completion_tokens",
}
"""The meters of tokens, and what `ai-rate-limiting` calls them; each has a shared service of its own."""

LEVELS_HEADER = "X-Sluice-Levels"
"""Set by a route with at least one level in use: the gateway answers 500 when no rule applies."""


def service_id(meter: Meter) -> str:
    return f"sluice.{meter.replace('_', '-')}"

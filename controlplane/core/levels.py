"""The slots of the shared service that count tokens per window.

One `ai-rate-limiting` on a service holds a rule for every slot, each reading its scope, amount and
window from headers that a route sets. A gateway keys a counter by the text of the whole plugin, so
this list is part of every running counter: a slot added, renamed or moved starts all of them anew.
The counter itself is named by the scope alone, so a limit may change its slot without losing a count.
"""

from dataclasses import dataclass

from controlplane.core.limits import Meter


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


def _slots(name: str, count: int) -> tuple[Slot, ...]:
    return tuple(Slot(name if number == 1 else f"{name}-{number}") for number in range(1, count + 1))


GLOBAL = _slots("global", 2)
TENANT = _slots("tenant", 2)
TEAM = _slots("team", 1)
ROLEGROUP = _slots("rolegroup", 1)
ROLE = _slots("role", 1)
USER = _slots("user", 1)
QUEUE = _slots("queue", 3)
QUEUE_KEY = _slots("queue-key", 2)
QUEUE_HEADER = _slots("queue-header", 3)
KEY = _slots("key", 2)
PROVIDER = _slots("provider", 2)

SLOTS = GLOBAL + TENANT + TEAM + ROLEGROUP + ROLE + USER + QUEUE + QUEUE_KEY + QUEUE_HEADER + KEY + PROVIDER

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

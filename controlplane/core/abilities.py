"""What of a gateway decides which limits it can hold."""

from collections.abc import Collection
from dataclasses import dataclass

TOKEN_BUDGET = "token-budget"  # noqa: S105 - the name of a plugin
WITH_BUDGETS = "a gateway with the plugin token-budget, such as the fallback gateway"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a gateway can do beyond a stock APISIX."""

    token_budget: bool = False

    @classmethod
    def of(cls, plugins: Collection[str]) -> "Abilities":
        """The abilities of a gateway that lists these plugins."""
        return cls(token_budget=TOKEN_BUDGET in plugins)

    def __or__(self, other: "Abilities") -> "Abilities":
        """What at least one of two gateways can do."""
        return Abilities(self.token_budget or other.token_budget)


STOCK = Abilities()
OURS = Abilities(token_budget=True)
"""The fallback gateway's."""

"""What a pass left that had nothing more to do: the next one may find that nothing has changed since."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controlplane.core.abilities import Abilities
from controlplane.core.desired import DesiredState
from controlplane.core.objects import GatewayObject

Made = Mapping[str, tuple[GatewayObject, ...]]
"""Gateway objects, by what they serve."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A gateway that holds everything that was compiled for it."""

    revision: int
    abilities: Abilities
    made: Made = field(repr=False)
    until: datetime | None
    """When a key ends, so that something else would be compiled."""
    stamp: str | None
    """Of the gateway's whole content, where it was read and left as it was."""

    def covers(self, desired: DesiredState, abilities: Abilities, moment: datetime) -> bool:
        """Whether the same would be compiled again."""
        ends = self.until is not None and moment >= self.until
        return self.revision == desired.revision and self.abilities == abilities and not ends

    def differing(self, made: Made) -> tuple[list[GatewayObject], list[GatewayObject]]:
        """The objects of everything that is not what it was: as they are now, and as they were."""
        news = [item for name, new in made.items() if self.made.get(name) is not new for item in new]
        olds = [item for name, old in self.made.items() if made.get(name) is not old for item in old]
        return news, olds

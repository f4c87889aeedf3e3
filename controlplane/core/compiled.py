"""What comes out of the compiler."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from controlplane.core.enforcement import Enforcement
from controlplane.core.objects import GatewayObject
from controlplane.core.placing import Placed
from controlplane.core.policies import policy_id
from controlplane.core.report import above_report, enforcement_report
from controlplane.errors import Problem

EVERY_QUEUE = "every queue"
"""What the shared services serve."""

EVERY_RULE = "every rule"
"""What the service that forwarding rules share serves."""


@dataclass(frozen=True)
class Compiled:
    """The objects that a desired state needs on a gateway, and how its limits are held there."""

    made: Mapping[str, tuple[GatewayObject, ...]]
    """By what they serve, such as `queue support`."""
    placed: Mapping[str, Placed]
    """The limits of every queue, by its name."""
    problems: tuple[Problem, ...]
    """What cannot be enforced. A queue with a problem has no objects: it is closed, not unlimited."""

    @cached_property
    def objects(self) -> tuple[GatewayObject, ...]:
        """All of them, parents first."""
        every = [item for made in self.made.values() for item in made]
        return tuple(sorted(every, key=lambda item: (item.key.kind.rank, item.key.id)))

    @property
    def report(self) -> tuple[Enforcement, ...]:
        """How every limit of every queue is held."""
        return tuple(line for name in sorted(self.placed) for line in self.report_of(name))

    def report_of(self, queue: str) -> Iterator[Enforcement]:
        """How the limits of one queue are held, and those above it."""
        placed = self.placed.get(queue)
        if placed is not None and f"queue {queue}" in self.made:
            yield from enforcement_report(placed.queue, placed.placements, policy_id(queue))
            yield from above_report(placed.queue, placed.above)

    def only(self, wanted: Callable[[str], bool]) -> "Compiled":
        """The part that serves what is wanted."""
        return replace(self, made={name: made for name, made in self.made.items() if wanted(name)})


def report_of(queue: str, compiled: Iterable[Compiled]) -> tuple[Enforcement, ...]:
    """How the limits of a queue are held by the first gateway that serves it."""
    return next(filter(None, (tuple(each.report_of(queue)) for each in compiled)), ())

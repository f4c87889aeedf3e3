"""What comes out of the compiler."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from controlplane.core.enforcement import Enforcement
from controlplane.core.forwarding import Forwarding
from controlplane.core.objects import GatewayObject
from controlplane.core.placing import Placed
from controlplane.core.policies import policy_id
from controlplane.core.report import above_report, account_report, enforcement_report, rule_report
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
    rules: Mapping[str, Forwarding] = field(default_factory=dict)
    """The rules that have objects, by name."""

    @cached_property
    def objects(self) -> tuple[GatewayObject, ...]:
        """All of them, parents first."""
        every = [item for made in self.made.values() for item in made]
        return tuple(sorted(every, key=lambda item: (item.key.kind.rank, item.key.id)))

    @property
    def report(self) -> tuple[Enforcement, ...]:
        """How every limit of every queue and of every rule is held."""
        owners = [("queue", name) for name in sorted(self.placed)]
        owners += [("rule", name) for name in sorted(self.rules)]
        return tuple(line for owner in owners for line in self.report_of(*owner))

    def report_of(self, kind: str, name: str, *, whole: bool = True) -> Iterator[Enforcement]:
        """How the limits of one queue are held, and those above it; or those of one rule."""
        if f"{kind} {name}" not in self.made:
            return
        if kind == "rule":
            yield from rule_report(self.rules[name])
        elif (placed := self.placed.get(name)) is not None:
            yield from enforcement_report(placed.queue, placed.placements, policy_id(name))
            yield from account_report(placed.queue, placed.accounts, policy_id(name))
            yield from above_report(placed.queue, placed.above, whole=whole)

    def only(self, wanted: Callable[[str], bool]) -> "Compiled":
        """The part that serves what is wanted."""
        return replace(self, made={name: made for name, made in self.made.items() if wanted(name)})


def report_of(
    kind: str, name: str, compiled: Iterable[Compiled], *, whole: bool = True
) -> tuple[Enforcement, ...]:
    """How the limits of a queue or of a rule are held by the first gateway that serves it."""
    return next(filter(None, (tuple(each.report_of(kind, name, whole=whole)) for each in compiled)), ())

"""Plans as values: what would be declared, what every gateway would be told, and what stands against it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from controlplane.core.declaring import Wanted
from controlplane.core.enforcement import Enforcement
from controlplane.core.objects import ObjectKey
from controlplane.core.safety import Refusal
from controlplane.core.verdicts import GatewaySteps, Verdict
from controlplane.errors import Problem
from controlplane.store.records import GatewayStatus

Serves = Callable[[str], bool]
"""Whether an object that is there for `queue NAME`, `key NAME` and so on is somebody's business."""


def everything(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a plan is made."""

    prune: bool = False
    """Remove what the document's source declared before and no longer does."""
    allow_mass_delete: bool = False
    allow_leftovers: bool = False
    """Let a prune take gateways out that still hold our objects, which stay on them."""
    refresh: bool = False
    """Read every gateway now, instead of only what is to be written."""
    validate_on_gateway: bool = False
    """Ask every gateway whether it would take what is to be written."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An object that a gateway would not take."""

    key: ObjectKey
    declared_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """What is to be done on one gateway."""

    name: str
    status: GatewayStatus
    steps: GatewaySteps = field(default_factory=GatewaySteps)
    looked: bool = False
    """Whether the gateway was asked for the objects that the steps are about."""
    trouble: str | None = None
    """Why it could not be asked."""
    problems: tuple[Problem, ...] = ()
    """What this gateway cannot enforce."""
    stood: frozenset[Problem] = frozenset()
    """What it could not enforce before the plan either."""
    rejections: tuple[Rejection, ...] = ()
    """What this gateway would not take, where it was asked."""
    unasked: str | None = None
    """Why it could not be asked what it would take."""
    unvalidated: str | None = None
    """Why there is nobody to ask what it would take."""

    def of_others(self) -> GatewaySteps:
        """What somebody else did on the gateway; the other steps follow from what is declared."""
        steps = tuple(step for step in self.steps.steps if step.verdict is not Verdict.YOURS)
        return GatewaySteps(steps, self.steps.collisions)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan: what would be declared, what every gateway would be told, and what stands against it."""

    source: str
    options: PlanOptions
    made_at: datetime
    wanted: Wanted
    refusals: tuple[Refusal, ...]
    gateways: tuple[GatewayPlan, ...]
    enforcement: Iterable[Enforcement]
    """How the limits of what comes or changes are held; put into words for whoever reads it."""
    served_nowhere: Mapping[str, str] = field(default_factory=dict)
    """The queues that select no gateway, with the labels that they ask for."""
    beside: tuple[Refusal, ...] = ()
    """What stands against others' declarations, whatever becomes of this plan."""
    undeclared_tiers: tuple[Problem, ...] = ()
    """The tenants that come or change and name a tier that nobody has declared."""

    @property
    def revision(self) -> int:
        """The revision that the plan starts from."""
        return self.wanted.state.revision

    def to_be_agreed_to(self) -> "Planned":
        """The plan without what is only to be looked at: it may be held for a while."""
        changes = tuple(replace(change, differing=()) for change in self.wanted.changes)
        gateways = tuple(replace(plan, steps=plan.of_others()) for plan in self.gateways)
        wanted = replace(self.wanted, changes=changes)
        return replace(self, wanted=wanted, gateways=gateways, enforcement=())


def told(plan: GatewayPlan, serves: Serves) -> GatewayPlan:
    """The plan of a gateway without the objects that are somebody else's business."""
    if serves is everything:
        return plan
    steps = tuple(step for step in plan.steps.steps if serves(step.declared_by))
    collisions = tuple(item for item in plan.steps.collisions if serves(item.declared_by))
    problems = tuple(
        problem for problem in plan.problems if serves(problem.field.replace("s.", " ", 1).split(".")[0])
    )
    trouble = plan.trouble and "it does not answer"
    return replace(
        plan,
        steps=GatewaySteps(steps, collisions),
        problems=problems,
        trouble=trouble,
        rejections=tuple(item for item in plan.rejections if serves(item.declared_by)),
        unasked=plan.unasked and "it does not answer",
    )

"""What every handler needs that makes plans."""

from controlplane.api.bodies import AnyRequest
from controlplane.api.queries import flag, only
from controlplane.api.service import service_of
from controlplane.errors import Unavailable
from controlplane.reconciler.planned import PlanOptions
from controlplane.reconciler.planning import Planner

FLAGS = ("prune", "allow_mass_delete", "allow_leftovers", "refresh", "validate_on_gateway")


def planner_of(request: AnyRequest) -> Planner:
    """What makes plans here. Raises Unavailable."""
    planner = service_of(request).planner
    if planner is None:
        raise Unavailable("this service makes no plans", remedy="start it with a reconciler")
    return planner


def options_of(request: AnyRequest, *others: str) -> PlanOptions:
    """How the plan is to be made; the query may hold these others beside it."""
    values = only(request, (*others, *FLAGS))
    return PlanOptions(**{name: flag(values.get(name, "false"), name) for name in FLAGS})

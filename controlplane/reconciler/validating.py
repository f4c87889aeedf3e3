"""Plans with the gateway's own opinion of what they would write."""

from collections.abc import Mapping
from dataclasses import replace

from controlplane.core.objects import GatewayObject, ObjectKey
from controlplane.core.plan import Action
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.driver import Gateway
from controlplane.reconciler.planned import GatewayPlan, Rejection


async def validated(
    plan: GatewayPlan, wanted: Mapping[ObjectKey, GatewayObject], gateway: Gateway
) -> GatewayPlan:
    """The plan with what the gateway would not take of its writes. Nothing is written."""
    writes = [step.key for step in plan.steps.steps if step.action is not Action.DELETE]
    objects = {key: wanted[key] for key in writes if key in wanted}
    if not objects:
        return plan
    try:
        found = await gateway.validate(objects.values())
    except (GatewayRefused, GatewayUnavailable) as error:
        return replace(plan, unasked=f"it could not be asked what it would take: {error.message}")
    if found is None:
        return replace(plan, unvalidated="it is a file, and whatever reads it cannot be asked")
    rejections = tuple(Rejection(key, objects[key].declared_by, reason) for key, reason in found.items())
    return replace(plan, rejections=rejections)

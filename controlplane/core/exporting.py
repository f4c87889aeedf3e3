"""What is declared as a document again: what is as it would be anyway is left out, and secrets stay kept."""

from typing import Any
from uuid import UUID

from controlplane.core.desired import derived_id
from controlplane.core.gateways import GatewaySpec
from controlplane.core.rules import RuleSpec
from controlplane.core.secrets import MASK
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec, TenantSpec, TierSpec

Value = dict[str, Any]  # Any: a declaration as JSON

_SECRETS = ("admin_key", "redis_url", "api_key", "key")


def declaration_of(
    spec: GatewaySpec | TierSpec | ProviderSpec | TenantSpec | QueueSpec | RuleSpec | KeySpec, object_id: UUID
) -> Value:
    """The declaration of one object, its fields in the order of the grammar.

    A stored secret is `***`, which stands for itself when it is applied again; a reference that a gateway
    resolves is written out.
    """
    values = spec.model_dump(mode="json", exclude_defaults=True, exclude={*_SECRETS, "id"})
    if isinstance(spec, QueueSpec) and object_id != derived_id("queue", spec.name):
        values["id"] = str(object_id)
    for name in _SECRETS:
        held = getattr(spec, name, None)
        if held is not None:
            values[name] = held.get_secret_value() or MASK
    order = list(type(spec).model_fields)
    return {name: values[name] for name in sorted(values, key=order.index)}

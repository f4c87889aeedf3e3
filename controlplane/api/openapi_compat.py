"""Older request shapes in the OpenAPI document."""

from controlplane.api.compat.shapes import OlderTenant
from controlplane.api.openapi_parts import ETAG, WRITE, body, operation, parameter
from controlplane.api.openapi_schemas import Part, ref, view_name
from controlplane.api.resources import PREFIX
from controlplane.store.records import Kind

_RULE = {"path": "/weather", "target": "https://weather.example", "methods": ["GET"], "strip_path": True}
_BUDGET = {"scope": "team", "id": "data-science", "tenant": "acme", "capacity": 5000, "per": "200s"}


def with_older_tenants(paths: Part) -> Part:
    """The paths, with the older shape of a tenant where tenants are declared."""
    create = paths[f"{PREFIX}/tenants"]["post"]
    sent = create["requestBody"]["content"]["application/json"]
    given = create["responses"]["201"]["content"]["application/json"]
    sent["schema"] = {"anyOf": [sent["schema"], ref(OlderTenant.__name__)]}
    given["schema"] = {"anyOf": [given["schema"], ref("TenantWithKey")]}
    return paths


def compat_paths() -> Part:
    tenant = parameter("ref", "path", {"type": "string", "minLength": 1}, "the tenant's name or UUID")
    limits = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object"}}}
    return {
        f"{PREFIX}/tenants/{{ref}}/rules": {
            "parameters": [tenant],
            "post": operation(
                "declare a rule in the older shape",
                Kind.TENANT,
                ref(view_name(Kind.RULE)),
                (*WRITE, 404),
                201,
                body=body(ref("OlderRule"), _RULE),
                headers=ETAG,
            ),
        },
        "/config/budget": {
            "post": operation(
                "declare a budget in the older shape",
                Kind.TENANT,
                {"type": "object", "required": ["limits"], "properties": {"limits": limits}},
                (*WRITE, 404, 412),
                body=body(ref("OlderBudget"), _BUDGET),
                description="A bucket of tokens, or as many in the window `per`: in place of the one before.",
            )
        },
    }

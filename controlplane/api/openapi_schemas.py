"""The schemas of the OpenAPI document, made of the models and records that are really read and given."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from controlplane.api.compat.shapes import OlderBudget, OlderRule, OlderTenant
from controlplane.api.keys import Rotation
from controlplane.api.openapi_plans import APPLIED_PLAN, PLAN
from controlplane.core.access import AccountSpec, Permission, Role, TokenSpec
from controlplane.core.audit import AuditRow
from controlplane.core.enforcement import Enforcement
from controlplane.core.spec import Document
from controlplane.store.accounts import Account, Token
from controlplane.store.audit import AuditCheck
from controlplane.store.records import (
    AppliedChange,
    GatewayStatus,
    HeldObject,
    Kind,
    ObjectStatus,
    Revision,
    RevisionChange,
)

# Any: parts of a JSON document.
Part = dict[str, Any]

_TEMPLATE = "#/components/schemas/{model}"
_RECORDS = (
    Account,
    AppliedChange,
    Enforcement,
    GatewayStatus,
    HeldObject,
    AuditCheck,
    AuditRow,
    ObjectStatus,
    Revision,
    RevisionChange,
    Token,
)
_SENT = (Document, AccountSpec, TokenSpec, Rotation, OlderTenant, OlderRule, OlderBudget)
_ADDED: Mapping[str, Part] = {
    "id": {"type": "string", "format": "uuid"},
    "source": {"type": "string", "description": "who owns the object"},
    "version": {"type": "integer", "description": "grows with every write; quoted, it is the ETag"},
    "created_at": {"type": "string", "format": "date-time"},
    "updated_at": {"type": "string", "format": "date-time"},
}
_MASKED: Part = {"type": ["string", "null"], "description": "`***` where it is set, or a reference"}
_NEW_KEY: Part = {
    "type": ["string", "null"],
    "description": "`***`; the text of a key that was made just now, this once",
}
_LAST_USED: Part = {
    "type": ["string", "null"],
    "format": "date-time",
    "description": "when a gateway last let it in, as far as one has told",
}
_OLD_TEXTS: Part = {
    "type": "array",
    "description": "when each text that it had before it was rotated ceases to work, or has ceased",
    "items": {"type": "string", "format": "date-time"},
}


def ref(name: str) -> Part:
    """A reference to a schema of the document."""
    return {"$ref": _TEMPLATE.format(model=name)}


def view_name(kind: Kind) -> str:
    return f"{kind.title()}View"


def page_of(item: Part) -> Part:
    """A page of a list."""
    properties = {
        "items": {"type": "array", "items": item},
        "next_cursor": {
            "type": ["string", "null"],
            "description": "`cursor` of the next page",
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def all_of(item: Part) -> Part:
    """A list that comes whole."""
    items = {"type": "array", "items": item}
    return {"type": "object", "required": ["items"], "properties": {"items": items}}


def schemas() -> Part:
    """Every schema that the document refers to, by name."""
    adapters: list[tuple[str, Any, TypeAdapter[Any]]] = [
        (model.__name__, "validation", TypeAdapter(model)) for model in (*_SENT, *(k.model for k in Kind))
    ]
    adapters += [(record.__name__, "validation", TypeAdapter(record)) for record in _RECORDS]
    _, found = TypeAdapter.json_schemas(adapters, ref_template=_TEMPLATE)
    made: Part = {**found["$defs"], "Problem": _PROBLEM, "Applied": _APPLIED}
    made |= {"Plan": PLAN, "AppliedPlan": APPLIED_PLAN}
    for kind in Kind:
        made[view_name(kind)] = _view(kind, made[kind.model.__name__])
    made["TenantWithKey"] = _TENANT_WITH_KEY
    head = made["Revision"]
    token = made["Token"]
    made["NewToken"] = token | {
        "required": [*token["required"], "text"],
        "properties": token["properties"] | {"text": {"type": "string", "description": "shown this once"}},
    }
    made["Caller"] = _CALLER
    changes = {"type": "array", "items": ref("RevisionChange")}
    made["RevisionWithChanges"] = head | {
        "required": [*head["required"], "changes"],
        "properties": head["properties"] | {"changes": changes},
    }
    number = {"type": "integer"}
    made["Export"] = {
        "type": "object",
        "required": ["revision", "documents"],
        "properties": {"revision": number, "documents": {"type": "array", "items": _EXPORTED}},
    }
    made["Comparison"] = {
        "type": "object",
        "required": ["from", "to", "changes"],
        "properties": {"from": number, "to": number, "changes": changes},
    }
    return made


def _view(kind: Kind, spec: Part) -> Part:
    """An object as it is read: what was declared, and what the service adds."""
    properties = {**spec["properties"], **_ADDED}
    for name in kind.secret_fields:
        properties[name] = _NEW_KEY if kind is Kind.KEY else _MASKED
    if kind is Kind.GATEWAY:
        properties["status"] = ref("GatewayStatus")
    if kind is Kind.KEY:
        properties["old_texts_until"] = _OLD_TEXTS
        properties["last_used_at"] = _LAST_USED
    return {
        "type": "object",
        "description": f"a {kind} as it was declared, with its secrets masked",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


_TENANT_WITH_KEY: Part = {
    "type": "object",
    "description": "a tenant of the older shape, and its first key",
    "required": ["tenant", "api_key"],
    "properties": {"tenant": ref(view_name(Kind.TENANT)), "api_key": {"type": "string"}},
}
_EXPORTED: Part = {
    "type": "object",
    "description": "a Document; `***` stands for a secret that is stored",
    "required": ["version", "source"],
    "properties": {"version": {"type": "integer"}, "source": {"type": "string"}},
    "additionalProperties": {"type": "array", "items": {"type": "object"}},
}
_CALLER: Part = {
    "type": "object",
    "required": ["name", "role", "tenant", "permissions", "csrf_token"],
    "properties": {
        "name": {"type": "string"},
        "role": {"enum": [role.value for role in Role]},
        "tenant": {
            "type": ["string", "null"],
            "description": "the one tenant that is seen; null: everything",
        },
        "permissions": {"type": "array", "items": {"enum": [item.value for item in Permission]}},
        "csrf_token": {
            "type": ["string", "null"],
            "description": "what a page sends as X-CSRF-Token with every change; null without a session",
        },
    },
}
_FIELD_PROBLEM: Mapping[str, Part] = {
    "field": {"type": "string", "examples": ["members[0].provider"]},
    "message": {"type": "string"},
    "remedy": {"type": ["string", "null"]},
}
_PROBLEM: Part = {
    "type": "object",
    "description": "What went wrong, and what to do about it (RFC 9457).",
    "required": ["type", "title", "status", "detail", "remedy", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what happened, to which object"},
        "remedy": {"type": ["string", "null"], "description": "what to do about it"},
        "errors": {
            "type": "array",
            "description": "what is wrong with which field",
            "items": {"type": "object", "required": list(_FIELD_PROBLEM), "properties": dict(_FIELD_PROBLEM)},
        },
    },
    "examples": [
        {
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "this is no valid queue",
            "remedy": None,
            "errors": [
                {
                    "field": "members[0].wieght",
                    "message": "is no field that we know",
                    "remedy": "did you mean weight?",
                }
            ],
        }
    ],
}
_APPLIED: Part = {
    "type": "object",
    "required": ["revision", "changes", "keys"],
    "properties": {
        "revision": {"type": "integer"},
        "changes": {"type": "array", "items": ref("AppliedChange")},
        "keys": {
            "type": "array",
            "description": "keys that were made just now, with their text, this once",
            "items": {
                "type": "object",
                "required": ["name", "key"],
                "properties": {"name": {"type": "string"}, "key": {"type": "string"}},
            },
        },
        "plan": ref("AppliedPlan"),
    },
}

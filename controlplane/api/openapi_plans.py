"""What the OpenAPI document says about plans."""

from typing import Any

Part = dict[str, Any]  # Any: JSON


def _object(**properties: Part) -> Part:
    return {"type": "object", "required": list(properties), "properties": properties}


def _all(item: Part) -> Part:
    return {"type": "array", "items": item}


_TEXT: Part = {"type": "string"}
_MAYBE: Part = {"type": ["string", "null"]}
_NUMBER: Part = {"type": "integer"}
_YES_OR_NO: Part = {"type": "boolean"}
_ACTION: Part = {"type": "string", "enum": ["create", "update", "delete"]}
_FIELDS = _all(_object(field=_TEXT, before=_TEXT, after=_TEXT))
_STEP = _object(
    action=_ACTION,
    object=_TEXT,
    kind=_TEXT,
    id=_TEXT,
    declared_by=_TEXT,
    verdict={"type": "string", "enum": ["you changed it", "drift", "both"]},
    reason=_TEXT,
    fields=_FIELDS,
    drift=_FIELDS,
    warnings=_all(_TEXT),
    hash=_MAYBE,
)
_COLLISION = _object(object=_TEXT, kind=_TEXT, id=_TEXT, declared_by=_TEXT, fields=_FIELDS)
_GATEWAY = _object(
    name=_TEXT,
    state=_TEXT,
    revision=_NUMBER,
    last_pass=_MAYBE,
    looked_at=_MAYBE,
    writes=_NUMBER,
    looked=_YES_OR_NO,
    trouble=_MAYBE,
    steps=_all(_STEP),
    collisions=_all(_COLLISION),
    rejections=_all(_object(object=_TEXT, kind=_TEXT, id=_TEXT, declared_by=_TEXT, reason=_TEXT)),
    unvalidated=_MAYBE,
)

PLAN: Part = {
    **_object(
        format_version={"const": 1},
        source=_TEXT,
        revision=_NUMBER,
        made_at=_TEXT,
        options=_object(
            prune=_YES_OR_NO,
            allow_mass_delete=_YES_OR_NO,
            allow_leftovers=_YES_OR_NO,
            refresh=_YES_OR_NO,
            validate_on_gateway=_YES_OR_NO,
        ),
        summary=_object(create=_NUMBER, update=_NUMBER, delete=_NUMBER, writes=_NUMBER, drift=_NUMBER),
        changes=_all(_object(action=_ACTION, kind=_TEXT, name=_TEXT, fields=_FIELDS, warnings=_all(_TEXT))),
        gateways=_all(_GATEWAY),
        enforcement=_all({"$ref": "#/components/schemas/Enforcement"}),
        warnings=_all(_TEXT),
        refusals=_all(_object(about=_TEXT, message=_TEXT, remedy=_TEXT)),
        protected=_all(_TEXT),
        document=_MAYBE,
        fingerprint=_TEXT,
    ),
    "description": "what would change, here and on every gateway; nothing in it shows a secret",
}

APPLIED_PLAN: Part = {
    "type": "object",
    "required": [name for name in PLAN["required"] if name != "fingerprint"],
    "properties": {**PLAN["properties"], "enforcement_goes_on": _YES_OR_NO},
    "description": "what was carried out, where it was asked for. In brief it has no fingerprint; of many "
    "changes 200 have their fields, those with warnings before others, and of many limits 200 are told: "
    "enforcement_goes_on says whether there are more",
}

OPTIONS = {
    "prune": "remove what the document's source declared before and no longer does",
    "allow_mass_delete": "agree to a prune that removes at least 10 objects and over 30 % of its source",
    "allow_leftovers": "agree to a prune of gateways whose objects then stay on them",
    "refresh": "read every gateway now, instead of only what is to be written",
    "validate_on_gateway": "ask every gateway whether it would take what is to be written",
}

_OBJECTS: Part = {
    "type": "array",
    "minItems": 1,
    "maxItems": 500,
    "items": {
        "type": "string",
        "pattern": "^(services|plugin_configs|routes|consumers)/[A-Za-z0-9._-]{1,128}$",
    },
}
ADOPT: Part = {
    "type": "object",
    "required": ["objects"],
    "properties": {"objects": _OBJECTS},
    "additionalProperties": False,
}
ADOPTED: Part = {"type": "object", "required": ["adopted"], "properties": {"adopted": _all(_TEXT)}}

DIGEST: Part = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
KNOWN: Part = {
    "type": "object",
    "required": ["digest"],
    "properties": {"digest": DIGEST},
    "additionalProperties": False,
}
METRICS: Part = {
    "summary": "state, drift and writes of every gateway, for Prometheus",
    "operationId": "metrics",
    "tags": ["service"],
    "parameters": [],
    "responses": {"200": {"description": "OK", "content": {"text/plain": {"schema": _TEXT}}}},
}
PASSES: Part = {
    "summary": "wait until a pass over a gateway ends",
    "operationId": "passes",
    "description": "The mark is another one once a pass has ended in the replica that answers.",
    "tags": ["gateway"],
    "parameters": [
        {
            "name": "after",
            "in": "query",
            "schema": _TEXT,
            "description": "the mark of an earlier answer; without it nobody waits",
        },
        {
            "name": "within_ms",
            "in": "query",
            "schema": {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000},
            "description": "how long to wait at most",
        },
    ],
    "responses": {
        "200": {"description": "OK", "content": {"application/json": {"schema": _object(mark=_TEXT)}}}
    },
}

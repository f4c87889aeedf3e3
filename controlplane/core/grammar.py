"""The grammar of a declaration as a JSON Schema, as people write it, references and all."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from controlplane.core.attributes import ATTRIBUTES
from controlplane.core.field_paths import NAMED
from controlplane.core.limits import Meter
from controlplane.core.spec import Document

Part = dict[str, Any]  # Any: parts of a JSON Schema

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Part = {
    "description": "`${env:NAME}`, `${env:NAME:-default}` or `${file:PATH}`, resolved where ctl runs",
    "type": "string",
    "pattern": r"\$\{(env|file):",
}
_NULL: Part = {"type": "null"}
_HEADER = "[A-Za-z0-9]([A-Za-z0-9-]{0,126}[A-Za-z0-9])?"
_PATTERNS: Mapping[tuple[str, str], str] = {
    ("Limit", "per"): "^([1-9][0-9]{0,6}[smhd]|day|week|month)$",
    ("Limit", "by"): f"^(key|tenant|model|{'|'.join(ATTRIBUTES)}|header:{_HEADER})$",
    ("ProviderSpec", "endpoint"): "^[hH][tT][tT][pP][sS]?://",
    ("QueueSpec", "hash_on"): f"^{_HEADER}$",
}
"""What the models check by code, as far as a pattern can say it."""


def grammar() -> Part:
    """The JSON Schema of a declaration. Some mistakes only Sluice itself can tell."""
    made = Document.model_json_schema(mode="validation")
    parts: Part = made.pop("$defs")
    for (owner, name), pattern in _PATTERNS.items():
        _text_of(parts[owner]["properties"][name])["pattern"] = pattern
    parts["Limit"]["oneOf"] = [_one_meter(meter) for meter in Meter]
    for name in NAMED:
        made["properties"][name] = {"anyOf": [made["properties"][name], _NULL]}
    made["title"] = "A declaration of Sluice, version 1"
    whole = {"$schema": _DIALECT, **_each(made, _as_written)}
    described = {name: _each(part, _as_written) for name, part in sorted(parts.items())}
    return {**whole, "$defs": {**described, "Reference": _REFERENCE}}


def grammar_text() -> str:
    """The JSON Schema as a file; the same grammar always gives the same text."""
    return json.dumps(grammar(), indent=2, ensure_ascii=False) + "\n"


def _one_meter(meter: Meter) -> Part:
    """A limit of this meter, and of no other, with what its amount comes back by."""
    others: Part = {other.value: _NULL for other in Meter if other is not meter}
    alone: Part = {"required": [meter.value], "properties": {meter.value: {"type": "number"}, **others}}
    if meter is Meter.CONCURRENCY:
        return alone | {"properties": alone["properties"] | {"per": _NULL, "refill_per_s": _NULL}}
    window: Part = {"required": ["per"], "properties": {"per": {"type": "string"}, "refill_per_s": _NULL}}
    bucket: Part = {
        "required": ["refill_per_s"],
        "properties": {"refill_per_s": {"type": "number"}, "per": _NULL},
    }
    return alone | {"oneOf": [window, bucket]}


def _text_of(part: Part) -> Part:
    """The branch for texts, of a field that may be left out."""
    return next((branch for branch in part.get("anyOf", ()) if branch.get("type") == "string"), part)


def _each(part: Part, change: Callable[[Part], Part]) -> Part:
    """The schema with every schema in it changed, from the leaves up."""
    made = dict(part)
    for word in ("properties", "patternProperties"):
        if word in made:
            made[word] = {name: _each(item, change) for name, item in made[word].items()}
    for word in ("items", "additionalProperties"):
        if isinstance(made.get(word), dict):
            made[word] = _each(made[word], change)
    if "anyOf" in made:
        made["anyOf"] = [_each(branch, change) for branch in made["anyOf"]]
    if "discriminator" in made:
        made["oneOf"] = [_each(branch, change) for branch in made["oneOf"]]
    return change(made)


def _as_written(part: Part) -> Part:
    """A text may be a reference; titles made of field names say nothing."""
    bare = {word: value for word, value in part.items() if word != "title" or "properties" in part}
    ruled = {"pattern", "minLength", "maxLength", "format", "enum"} & bare.keys()
    if bare.get("type") != "string" or not ruled:
        return bare
    about: Part = {word: bare.pop(word) for word in ("description", "default", "examples") if word in bare}
    return {**about, "anyOf": [bare, {"$ref": "#/$defs/Reference"}]}

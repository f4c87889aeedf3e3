"""JSON Schemas that users declare for bodies: only what every gateway understands in the same way."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import jsonschema_rs
from pydantic import AfterValidator, Field

Value = dict[str, Any]  # Any: a JSON Schema

_LARGEST = 32_768
_DEEPEST = 24
_UNKNOWN = ("$ref", "$id", "propertyNames")
_ONE = ("not", "if", "then", "else", "additionalProperties", "additionalItems", "contains")
_SEVERAL = ("allOf", "anyOf", "oneOf")
_NAMED = ("properties", "patternProperties", "dependencies", "definitions")


def _schema(value: Value) -> Value:
    if len(json.dumps(value)) > _LARGEST:
        raise ValueError(f"is too large for a gateway; keep it under {_LARGEST} characters")
    _check(value, 0)
    try:
        jsonschema_rs.Draft7Validator(value)
    except (ValueError, jsonschema_rs.ValidationError):
        raise ValueError("is no JSON Schema of draft 7; correct it") from None
    return value


def _check(schema: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("is nested too deeply; flatten it")
    if not isinstance(schema, dict):
        return
    for name in _UNKNOWN:
        if name in schema:
            raise ValueError(f"uses {name}, which a gateway does not know; write the schema out")
    for inner in _inner(schema):
        _check(inner, depth + 1)


def _inner(schema: Value) -> Iterator[object]:
    items = schema.get("items")
    yield from items if isinstance(items, list) else [items]
    yield from (schema.get(name) for name in _ONE)
    for name in _SEVERAL:
        found = schema.get(name)
        yield from found if isinstance(found, list) else ()
    for name in _NAMED:
        found = schema.get(name)
        yield from found.values() if isinstance(found, dict) else ()


JsonSchema = Annotated[
    Value, Field(description="a JSON Schema (draft 7) without references"), AfterValidator(_schema)
]

"""JSON Schema as APISIX understands it."""

from typing import Any

import pytest

from controlplane.fallback.schema.validator import check


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        ({"type": "object"}, [], None),
        ({"type": "array"}, {}, None),
        ({"type": "integer"}, 1.0, None),
        ({"type": "integer"}, 1.5, "wrong type: expected integer, got number"),
        ({"type": "number"}, True, "wrong type: expected number, got boolean"),
        ({"type": "string"}, 1, "wrong type: expected string, got number"),
        ({"type": "object"}, None, "wrong type: expected object, got userdata"),
        ({"required": ["a"]}, {}, 'property "a" is required'),
        ({"properties": {"a": {"type": "string"}}}, {"a": 1}, 'property "a" validation failed: wrong type:'),
        ({"additionalProperties": False}, {"a": 1}, "additional properties forbidden, found a"),
        (
            {"patternProperties": {"^a": {"type": "string"}}},
            {"ab": 1},
            'failed to validate ab (matching "^a")',
        ),
        ({"minProperties": 1}, {}, "expect object to have at least 1 properties"),
        ({"maxProperties": 1}, {"a": 1, "b": 2}, "expect object to have at most 1 properties"),
        ({"minItems": 2}, [1], "expect array to have at least 2 items"),
        ({"maxItems": 1}, [1, 2], "expect array to have at most 1 items"),
        ({"items": {"type": "string"}}, ["a", 1], "failed to validate item 2: wrong type"),
        ({"uniqueItems": True}, [1, 2, 1], "expected unique items but items 1 and 3 are equal"),
        ({"uniqueItems": True}, [{"a": 1}, {"a": 1}], "expected unique items but items 1 and 2"),
        ({"minLength": 2}, "a", "string too short, expected at least 2, got 1"),
        ({"maxLength": 1}, "ab", "string too long, expected at most 1, got 2"),
        ({"pattern": "^a"}, "b", 'failed to match pattern "^a" with "b"'),
        ({"minimum": 1}, 0, "expected 0 to be at least 1"),
        ({"maximum": 1}, 2, "expected 2 to be at most 1"),
        ({"exclusiveMinimum": 0}, 0, "expected 0 to be greater than 0"),
        ({"exclusiveMaximum": 0}, 0, "expected 0 to be smaller than 0"),
        ({"enum": ["a"]}, "b", "matches none of the enum values"),
        ({"enum": [1]}, True, "matches none of the enum values"),
        ({"allOf": [{}, {"type": "string"}]}, 1, "allOf 2 failed: wrong type"),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, 'none of the required: ["a"] or ["b"]'),
        ({"oneOf": [{"type": "string"}]}, 1, "value should match only one schema, but matches none"),
        ({"oneOf": [{}, {}]}, 1, "value should match only one schema, but matches both schemas 1 and 2"),
        ({"not": {"type": "string"}}, "a", "value wasn't supposed to match schema"),
        ({"dependencies": {"a": ["b"]}}, {"a": 1}, 'property "b" is required when "a" is set'),
        ({"dependencies": {"a": {"required": ["b"]}}}, {"a": 1}, "failed to validate dependent schema"),
        ({"if": {"type": "string"}, "then": {"minLength": 2}}, "a", "then clause did not match"),
        ({"if": {"type": "string"}, "else": {"minimum": 2}}, 1, "else clause did not match"),
        ({"format": "ipv4"}, "1.2.3", "expect valid ipv4 format but got: 1.2.3"),
        ({"format": "ipv6"}, "::1", None),
    ],
)
def test_what_is_wrong_is_said_as_apisix_says_it(
    schema: dict[str, Any], value: Any, problem: str | None
) -> None:
    found = check(schema, value)
    assert (found is None) == (problem is None)
    assert problem is None or problem in str(found)


def test_defaults_are_filled_in_where_an_object_is() -> None:
    schema: dict[str, Any] = {
        "properties": {
            "a": {"default": {"x": []}},
            "b": {"properties": {"c": {"default": 1}}},
            "d": {"properties": {"e": {"default": 1}}},
        }
    }
    value: dict[str, Any] = {"b": {}}
    assert check(schema, value) is None
    assert value == {"a": {"x": []}, "b": {"c": 1}}
    value["a"]["x"].append(1)
    assert schema["properties"]["a"]["default"] == {"x": []}

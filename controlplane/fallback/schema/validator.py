"""JSON Schema as APISIX's validator understands it: the same subset, the same messages, defaults filled in.

Two of its habits matter: an empty table is both an object and an array, and a check fills in the defaults of
the value that it is given. Whoever wants the value as it was sent checks a copy.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any

from controlplane.fallback.cjson import encode
from controlplane.fallback.lua_values import tostring
from controlplane.fallback.schema import rarer

Schema = Mapping[str, Any]

_BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
    ("minimum", operator.lt, "at least"),
    ("exclusiveMinimum", operator.le, "greater than"),
    ("maximum", operator.gt, "at most"),
    ("exclusiveMaximum", operator.ge, "smaller than"),
)


def check(schema: Schema | bool, value: Any) -> str | None:  # any JSON value
    """What is wrong with the value, or None. Defaults of objects inside the value are filled in."""
    if isinstance(schema, bool):
        return None if schema else "expect false always"
    for part in (_type, _object, _array, _string, _number, _enum, _combined, _conditional, _rarer):
        problem = part(schema, value)
        if problem is not None:
            return problem
    return None


def lua_type(value: Any) -> str:  # any JSON value
    """The name of a value's type in Lua."""
    match value:
        case None:
            return "userdata"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case _:
            return "table"


def quoted(text: str) -> str:
    """A text as Lua's %q writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict) or value == []
        case "array":
            return isinstance(value, list) or value == {}
        case "integer":
            return _is_number(value) and (isinstance(value, int) or value.is_integer())
        case "number":
            return _is_number(value)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return value is None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _type(schema: Schema, value: Any) -> str | None:
    wanted = schema.get("type")
    if wanted is None:
        return None
    if isinstance(wanted, list):
        if any(_is(kind, value) for kind in wanted):
            return None
        return f"wrong type: expected one of {', '.join(wanted)}, got {lua_type(value)}"
    if _is(wanted, value):
        return None
    return f"wrong type: expected {wanted}, got {lua_type(value)}"


def _object(schema: Schema, value: Any) -> str | None:
    if value == []:
        value = {}
    if not isinstance(value, dict):
        return None
    return (
        _properties(schema, value)
        or _required(schema, value)
        or _dependencies(schema, value)
        or _other_properties(schema, value)
        or _property_count(schema, value)
    )


def _properties(schema: Schema, value: dict[str, Any]) -> str | None:
    properties: Mapping[str, Schema | bool] = schema.get("properties", {})
    required = schema.get("required", ())
    for name, inner in properties.items():
        if name in value:
            problem = check(inner, value[name])
            if problem is not None:
                return f"property {quoted(name)} validation failed: {problem}"
        elif name in required:
            return f"property {quoted(name)} is required"
        elif not isinstance(inner, bool) and inner.get("default") is not None:
            value[name] = deepcopy(inner["default"])
    return None


def _required(schema: Schema, value: dict[str, Any]) -> str | None:
    for name in schema.get("required", ()):
        if name not in value:
            return f"property {quoted(name)} is required"
    return None


def _dependencies(schema: Schema, value: dict[str, Any]) -> str | None:
    for name, needed in schema.get("dependencies", {}).items():
        if name not in value:
            continue
        if isinstance(needed, Mapping):
            problem = check(needed, value)
            if problem is not None:
                return f"failed to validate dependent schema for {quoted(name)}: {problem}"
            continue
        for other in needed:
            if other not in value:
                return f"property {quoted(other)} is required when {quoted(name)} is set"
    return None


def _other_properties(schema: Schema, value: dict[str, Any]) -> str | None:
    patterns: Mapping[str, Schema] = schema.get("patternProperties", {})
    others = schema.get("additionalProperties", True)
    if not patterns and others is True:
        return None
    known = schema.get("properties", {})
    for name, inner in value.items():
        matched = False
        for pattern, pattern_schema in patterns.items():
            if _pattern(pattern).search(name):
                matched = True
                problem = check(pattern_schema, inner)
                if problem is not None:
                    return f"failed to validate {name} (matching {quoted(pattern)}): {problem}"
        if matched or name in known:
            continue
        if others is False:
            return f"additional properties forbidden, found {name}"
        if isinstance(others, Mapping):
            problem = check(others, inner)
            if problem is not None:
                return f"failed to validate additional property {name}: {problem}"
    return None


def _property_count(schema: Schema, value: dict[str, Any]) -> str | None:
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if least is not None and len(value) < least:
        return f"expect object to have at least {least} properties"
    if most is not None and len(value) > most:
        return f"expect object to have at most {most} properties"
    return None


def _array(schema: Schema, value: Any) -> str | None:
    if value == {}:
        value = []
    if not isinstance(value, list):
        return None
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        return f"expect array to have at least {least} items"
    if most is not None and len(value) > most:
        return f"expect array to have at most {most} items"
    items = schema.get("items")
    if isinstance(items, list):
        problem = rarer.tuple_problem(schema, value, check)
        if problem is not None:
            return problem
    elif items is not None:
        for index, item in enumerate(value, 1):
            problem = check(items, item)
            if problem is not None:
                return f"failed to validate item {index}: {problem}"
    return _unique(value) if schema.get("uniqueItems") else None


def _unique(value: Sequence[Any]) -> str | None:
    seen: dict[bytes, int] = {}
    for index, item in enumerate(value, 1):
        key = encode(item)
        if key in seen:
            return f"expected unique items but items {seen[key]} and {index} are equal"
        seen[key] = index
    return None


def _string(schema: Schema, value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    least, most, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    if least is not None and len(value) < least:
        return f"string too short, expected at least {least}, got {len(value)}"
    if most is not None and len(value) > most:
        return f"string too long, expected at most {most}, got {len(value)}"
    if pattern is not None and not _pattern(pattern).search(value):
        return f"failed to match pattern {quoted(pattern)} with {quoted(value)}"
    return None


def _number(schema: Schema, value: Any) -> str | None:
    if not _is_number(value):
        return None
    for name, breaks, words in _BOUNDS:
        bound = schema.get(name)
        if bound is not None and breaks(value, bound):
            return f"expected {tostring(value)} to be {words} {tostring(bound)}"
    return rarer.multiple_problem(schema, value)


def _enum(schema: Schema, value: Any) -> str | None:
    allowed = schema.get("enum")
    if allowed is None or any(rarer.equal(value, one) for one in allowed):
        return None
    return "matches none of the enum values"


def _combined(schema: Schema, value: Any) -> str | None:
    for number, inner in enumerate(schema.get("allOf", ()), 1):
        problem = check(inner, value)
        if problem is not None:
            return f"allOf {number} failed: {problem}"
    if "anyOf" in schema and all(check(inner, value) is not None for inner in schema["anyOf"]):
        needed = [
            encode(list(inner["required"])).decode()
            for inner in schema["anyOf"]
            if not isinstance(inner, bool) and "required" in inner
        ]
        return "object matches none of the required" + (": " + " or ".join(needed) if needed else "")
    if "oneOf" in schema:
        matching = [number for number, inner in enumerate(schema["oneOf"], 1) if check(inner, value) is None]
        if not matching:
            return "value should match only one schema, but matches none"
        if len(matching) > 1:
            return (
                "value should match only one schema, but matches both schemas "
                f"{matching[0]} and {matching[1]}"
            )
    if "not" in schema and check(schema["not"], value) is None:
        return "value wasn't supposed to match schema"
    return None


def _conditional(schema: Schema, value: Any) -> str | None:
    if "if" not in schema:
        return None
    branch = "then" if check(schema["if"], value) is None else "else"
    if branch in schema and check(schema[branch], value) is not None:
        return f"{branch} clause did not match"
    return None


def _rarer(schema: Schema, value: Any) -> str | None:
    return (
        rarer.format_problem(schema, value)
        or rarer.const_problem(schema, value)
        or rarer.contains_problem(schema, value, check)
    )


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)

"""The keywords of JSON Schema that only schemas of users have, as APISIX understands them."""

import ipaddress
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controlplane.fallback.lua_values import tostring

Schema = Mapping[str, Any]
Check = Callable[[Any, Any], str | None]

_FORMATS: Mapping[str, re.Pattern[str]] = {
    "email": re.compile(r"^[A-Za-z0-9_\-.]+@[A-Za-z0-9_\-.]+\.[A-Za-z]{2,4}$"),
    "hostname": re.compile(r"^[a-zA-Z0-9\-.]+$"),
    "uuid": re.compile(r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"),
    "date": re.compile(r"^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$"),
    "date-time": re.compile(
        r"^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?"
        r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$"
    ),
    "uri": re.compile(r"^[a-zA-Z][a-zA-Z0-9+\-.]*:[^\s]*$"),
}
_ADDRESSES: Mapping[str, Callable[[str], object]] = {
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
}


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; a boolean is no number, and an empty list is an empty object."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other) or (one in ([], {}) and other in ([], {}))


def tuple_problem(schema: Schema, value: Sequence[Any], check: Check) -> str | None:
    """Whether a list meets `items` that has one schema for each place."""
    places: Sequence[Any] = schema["items"]
    for index, (inner, item) in enumerate(zip(places, value, strict=False), 1):
        problem = check(inner, item)
        if problem is not None:
            return f"failed to validate item {index}: {problem}"
    more = schema.get("additionalItems", True)
    if len(value) <= len(places) or more is True:
        return None
    if more is False:
        return "found unexpected extra items in array"
    for index, item in enumerate(value[len(places) :], len(places) + 1):
        problem = check(more, item)
        if problem is not None:
            return f"failed to validate additional item {index}: {problem}"
    return None


def multiple_problem(schema: Schema, value: float) -> str | None:
    """Whether a number meets `multipleOf`; what a computer cannot write exactly is near enough."""
    unit = schema.get("multipleOf")
    if not unit:
        return None
    parts = value / unit
    whole = math.floor(parts + 0.5)
    exact = value % unit == 0 if float(unit).is_integer() else abs(parts - whole) <= 1e-12 * (abs(whole) or 1)
    return None if exact else f"expected {tostring(value)} to be a multiple of {tostring(unit)}"


def format_problem(schema: Schema, value: Any) -> str | None:
    """Whether a text meets `format`; a format that nobody knows is met by all."""
    wanted = schema.get("format")
    if not isinstance(value, str) or not isinstance(wanted, str):
        return None
    if wanted in _ADDRESSES:
        try:
            _ADDRESSES[wanted](value)
        except ValueError:
            return f"expect valid {wanted} format but got: {value}"
        return None
    pattern = _FORMATS.get(wanted)
    if pattern is None or pattern.search(value):
        return None
    return f"expect valid {wanted} format but got: {value}"


def const_problem(schema: Schema, value: Any) -> str | None:
    if "const" not in schema or equal(schema["const"], value):
        return None
    return "failed to check const value"


def contains_problem(schema: Schema, value: Any, check: Check) -> str | None:
    """Whether a list has an item that meets `contains`."""
    if "contains" not in schema or not isinstance(value, list | dict):
        return None
    if not value:
        return "check contains: empty array is invalid"
    if isinstance(value, list) and all(check(schema["contains"], item) is not None for item in value):
        return "failed to check contains"
    return None

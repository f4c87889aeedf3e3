"""JSON with sorted keys, to the byte as APISIX writes it before it takes a checksum.

Counters in Redis are named by such a checksum, so that gateways of both kinds share them.
"""

import re
from typing import Any

from controlplane.fallback.lua_values import tostring

_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def stable_json(value: Any) -> str:  # any JSON value
    """Compact JSON; an empty object is written as an empty array, as Lua cannot tell them apart."""
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return tostring(value)
        case str():
            return '"' + _ESCAPED.sub(_escape, value) + '"'
        case dict() if value:
            pairs = (f"{stable_json(name)}:{stable_json(value[name])}" for name in sorted(value))
            return "{" + ",".join(pairs) + "}"
        case list():
            return "[" + ",".join(stable_json(item) for item in value) + "]"
        case _:
            return "[]"


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    return _SHORT.get(character) or f"\\u{ord(character):04x}"

"""PATCH: one value laid over another."""

from typing import Any

from controlplane.fallback.admin.answers import Refused

Json = dict[str, Any]


def merge(old: Json, new: Json) -> Json:
    """Lay `new` over `old`, which is changed: objects go into objects, null removes, all else replaces."""
    for name, value in new.items():
        if value is None:
            old.pop(name, None)
        elif isinstance(value, dict) and isinstance(old.get(name), dict):
            merge(old[name], value)
        else:
            old[name] = value
    return old


def put_at(old: Json, path: str, value: Any) -> Json:
    """Put a value at a path inside `old`, which is changed."""
    parts = path.split("/")
    place: Any = old
    for index, part in enumerate(parts[:-1], 1):
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise Refused.saying("invalid sub-path: /" + "/".join(parts[:index]))
    if parts[-1]:
        place[parts[-1]] = value
        return old
    if not isinstance(value, dict):
        raise Refused.saying("invalid configuration")
    return value

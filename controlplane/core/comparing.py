"""What differs between two declarations, field by field, in the words of the grammar and without secrets.

A declaration is compared as its JSON. History keeps those of earlier releases, with fields that the grammar
may no longer know, so none is read back into a model as a whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from controlplane.core.diff import ABSENT, FieldChange, both_shown, shown, shown_as
from controlplane.core.limits import Limit
from controlplane.core.secrets import MASK, Secret

# Any: the JSON of declarations.
_NAMED = ("members", "models")
_LIMITS = "limits"
_LEFT_OUT_OF_WORDS = ("then", "mode", "strict", "time_zone")
ANOTHER_SECRET = f"{MASK} (another secret)"

Held = Mapping[str, Secret | None]
"""The handles of what a declaration's secret fields hold, by the names of the fields."""


def first_fields(spec: BaseModel, secrets: Held) -> tuple[FieldChange, ...]:
    """The fields of a declaration that is new."""
    changes = [FieldChange(name, ABSENT, _text(value)) for name, value in _values(spec).items()]
    changes += [FieldChange(name, ABSENT, str(held)) for name, held in secrets.items() if held is not None]
    return tuple(changes)


def spec_differences(before: BaseModel, after: BaseModel, old: Held, new: Held) -> tuple[FieldChange, ...]:
    """Every field in which a declaration changes."""
    changes = [*document_differences(_values(before), _values(after))]
    for name in [name for name in new if name in old and old[name] != new[name]]:
        was, now = (ABSENT if held is None else str(held) for held in (old[name], new[name]))
        changes.append(FieldChange(name, was, f"{now} (another secret)" if was == now else now))
    return tuple(changes)


def document_differences(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[FieldChange, ...]:
    """Every field that differs; None is an object that is not there. Members are called by their names."""
    return tuple(_mappings("", before or {}, after or {}))


def secret_differences(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> tuple[FieldChange, ...]:
    """Every secret that differs, told by fingerprints and references; no secret is shown."""
    changes = []
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, {}), after.get(name, {})
        if _identity(old) != _identity(new):
            was, now = _secret(old), _secret(new)
            changes.append(FieldChange(name, was, ANOTHER_SECRET if was == now else now))
    return tuple(changes)


def _identity(secret: Mapping[str, str]) -> tuple[str | None, str | None]:
    return secret.get("reference"), secret.get("fingerprint")


def _secret(secret: Mapping[str, str]) -> str:
    return secret.get("reference", MASK) if secret else ABSENT


def _values(spec: BaseModel) -> dict[str, Any]:
    values = spec.model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in values.items() if name not in ("name", "id")}


def _mappings(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in dict.fromkeys([*before, *after]):
        where = f"{path}.{name}" if path else name
        old, new = _meant(before.get(name)), _meant(after.get(name))
        if name in _NAMED and _are_named(old or []) and _are_named(new or []):
            yield from _named(where, old or [], new or [])
        else:
            yield from _compare(where, old, new)


def _compare(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if before == after and isinstance(before, bool) == isinstance(after, bool):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _mappings(path, before, after)
    elif _holds_objects(before) or _holds_objects(after):
        old, new = before or [], after or []
        for index in range(max(len(old), len(new))):
            was, now = (side[index] if index < len(side) else None for side in (old, new))
            if was != now:
                yield FieldChange(f"{path}[{index}]", _object(was), _object(now))
    else:
        yield FieldChange(path, *_sides(path, before, after))


def _named(
    path: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[FieldChange]:
    old = {str(item["name"]): item for item in before}
    new = {str(item["name"]): item for item in after}
    for name in dict.fromkeys([*old, *new]):
        if name in old and name in new:
            yield from _compare(f"{path}.{name}", old[name], new[name])
        else:
            yield FieldChange(f"{path}.{name}", _object(old.get(name)), _object(new.get(name)))
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield FieldChange(f"{path} (order)", ", ".join(old), ", ".join(new))


def _meant(value: Any) -> Any:
    """Left out, empty and null mean the same in a declaration."""
    return None if value in ([], {}) else value


def _are_named(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, Mapping) and "name" in item for item in items)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def _sides(path: str, before: Any, after: Any) -> tuple[str, str]:
    if before is None or after is None:
        was, now = (ABSENT if side is None else shown_as(path, side) for side in (before, after))
        return was, now
    return both_shown(path, before, after)


def _text(value: Any) -> str:
    if value is None:
        return ABSENT
    return "; ".join(map(_object, value)) if _holds_objects(value) else shown(value)


def _object(value: Any) -> str:
    """What stands in a list, in words: members by their names, and limits as people say them."""
    if not isinstance(value, Mapping):
        return _text(value)
    return _item(value) if "name" in value else _limit(value)


def _item(item: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in item.items() if name not in ("name", _LIMITS)}
    limits = [_object(limit) for limit in item.get(_LIMITS) or ()]
    details = [f"{name}: {shown(value)}" for name, value in rest.items()] + limits
    return f"{item['name']} ({', '.join(details)})" if details else str(item["name"])


def _limit(value: Mapping[str, Any]) -> str:
    return _in_words(orjson.dumps(value))


@lru_cache(maxsize=1000)
def _in_words(limit: bytes) -> str:
    """A limit in words, with whatever the words leave out; anything else as it is."""
    value = orjson.loads(limit)
    try:
        declared = Limit.model_validate(value)
    except ValidationError:
        return shown(value)
    more = [f"{name}: {value[name]}" for name in _LEFT_OUT_OF_WORDS if name in value]
    return str(declared) + (f" ({', '.join(more)})" if more else "")

"""What differs between two declarations, field by field, in the words of the grammar and without secrets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from controlplane.core.diff import ABSENT, FieldChange, shown
from controlplane.core.limits import Limit
from controlplane.core.secrets import Secret

# Any: the JSON of declarations.
_NAMED_LISTS = ("members", "models")
_LIMITS = "limits"

Held = tuple[str, Secret | None] | None
"""The name of a declaration's secret field, and the handle of what it holds."""


def first_fields(spec: BaseModel, secret: Held) -> tuple[FieldChange, ...]:
    """The fields of a declaration that is new."""
    values = _values(spec)
    changes = [FieldChange(name, ABSENT, _text(name, value)) for name, value in values.items()]
    if secret and secret[1] is not None:
        changes.append(FieldChange(secret[0], ABSENT, str(secret[1])))
    return tuple(changes)


def spec_differences(before: BaseModel, after: BaseModel, old: Held, new: Held) -> tuple[FieldChange, ...]:
    """Every field in which a declaration changes; members are called by their names."""
    changes = list(_compare("", _values(before), _values(after)))
    if old and new and old[1] != new[1]:
        was = str(old[1]) if old[1] is not None else ABSENT
        now = str(new[1]) if new[1] is not None else ABSENT
        changes.append(FieldChange(new[0], was, f"{now} (another secret)" if was == now else now))
    return tuple(changes)


def _values(spec: BaseModel) -> dict[str, Any]:
    values = spec.model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in values.items() if name not in ("name", "id")}


def _compare(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from _field(f"{path}.{name}" if path else name, name, before, after)
    elif before != after:
        name = path.rpartition(".")[2]
        yield FieldChange(path, _text(name, before), _text(name, after))


def _field(
    path: str, name: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[FieldChange]:
    old, new = before.get(name), after.get(name)
    if _are_named(name, old, new):
        yield from _compare_named(path, old or [], new or [])
    elif name == _LIMITS:
        yield from _compare_limits(path, old or [], new or [])
    elif name not in before:
        yield FieldChange(path, ABSENT, _text(name, new))
    elif name not in after:
        yield FieldChange(path, _text(name, old), ABSENT)
    else:
        yield from _compare(path, old, new)


def _are_named(field: str, *lists: Any) -> bool:
    """Whether these are members or models with names; elsewhere a field of that name may hold texts."""
    items = [item for each in lists for item in each or ()] if field in _NAMED_LISTS else []
    return bool(items) and all(isinstance(item, Mapping) and "name" in item for item in items)


def _compare_named(
    path: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[FieldChange]:
    old = {item["name"]: item for item in before}
    new = {item["name"]: item for item in after}
    for name in dict.fromkeys([*old, *new]):
        where = f"{path}.{name}"
        if name not in new:
            yield FieldChange(where, _item(old[name]), ABSENT)
        elif name not in old:
            yield FieldChange(where, ABSENT, _item(new[name]))
        else:
            yield from _compare(where, old[name], new[name])
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield FieldChange(f"{path} (order)", ", ".join(old), ", ".join(new))


def _compare_limits(
    path: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[FieldChange]:
    for position in range(max(len(before), len(after))):
        old = before[position] if position < len(before) else None
        new = after[position] if position < len(after) else None
        if old != new:
            yield FieldChange(f"{path}[{position}]", _limit(old), _limit(new))


def _text(name: str, value: Any) -> str:
    if name == _LIMITS and isinstance(value, list):
        return "; ".join(map(_limit, value))
    if isinstance(value, list) and _are_named(name, value):
        return "; ".join(_item(item) for item in value)
    return shown(value)


def _item(item: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in item.items() if name not in ("name", _LIMITS)}
    limits = [_limit(limit) for limit in item.get(_LIMITS, ())]
    details = [f"{name}: {shown(value)}" for name, value in rest.items()] + limits
    return f"{item['name']} ({', '.join(details)})" if details else str(item["name"])


def _limit(limit: Mapping[str, Any] | None) -> str:
    """A limit in words, with whatever the words leave out."""
    if limit is None:
        return ABSENT
    declared = Limit.model_validate(limit)
    more = [f"{name}: {limit[name]}" for name in ("then", "mode", "strict", "time_zone") if name in limit]
    return str(declared) + (f" ({', '.join(more)})" if more else "")

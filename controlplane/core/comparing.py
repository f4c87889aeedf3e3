"""What differs between two documents of one object, field by field, fit to be shown.

A document is a declaration as JSON, as history keeps it: one of an earlier release may hold fields that the
grammar no longer knows, so it is compared as it is and never read back into a model.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controlplane.core.diff import ABSENT, FieldChange, shown
from controlplane.core.secrets import MASK

# Any: the JSON of declarations.
_NAMED = ("members", "models")
ANOTHER_SECRET = f"{MASK} (another secret)"


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


def _mappings(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in dict.fromkeys([*before, *after]):
        where = f"{path}.{name}" if path else name
        old, new = _meant(before.get(name)), _meant(after.get(name))
        if name in _NAMED and _are_named(old or []) and _are_named(new or []):
            yield from _named(where, old or [], new or [])
        else:
            yield from _values(where, old, new)


def _values(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if before == after and isinstance(before, bool) == isinstance(after, bool):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _mappings(path, before, after)
    elif _holds_objects(before) or _holds_objects(after):
        old, new = before or [], after or []
        for index in range(max(len(old), len(new))):
            sides = (side[index] if index < len(side) else None for side in (old, new))
            yield from _values(f"{path}[{index}]", *sides)
    else:
        yield FieldChange(path, _text(before), _text(after))


def _named(
    path: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[FieldChange]:
    old = {str(item["name"]): item for item in before}
    new = {str(item["name"]): item for item in after}
    for name in dict.fromkeys([*old, *new]):
        yield from _values(f"{path}.{name}", old.get(name), new.get(name))
    if old.keys() == new.keys() and list(old) != list(new):
        yield FieldChange(f"{path} (order)", ", ".join(old), ", ".join(new))


def _meant(value: Any) -> Any:
    """Left out, empty and null mean the same in a declaration."""
    return None if value in ([], {}) else value


def _are_named(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, Mapping) and "name" in item for item in items)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def _text(value: Any) -> str:
    return ABSENT if value is None else shown(value)

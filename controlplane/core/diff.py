"""What differs between an object as it should be and as it is on the gateway.

The comparison is of meaning: what the gateway adds by itself is no difference, and a secret is
compared by its fingerprint, so that a change of it is seen and never shown.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from controlplane.core.objects import HASH_LABEL, OWNER_LABEL, Body, Json, ObjectKey
from controlplane.core.secrets import MASK, GatewaySecret, SecretRef
from controlplane.core.sounding import sounds_secret, without_query

Digest = Callable[[str], str]
"""The fingerprint of a secret's text."""

ADDED_BY_GATEWAY = frozenset({"id", "create_time", "update_time", "modifiedIndex", "createdIndex"})
ABSENT = "(absent)"
_MATCHING = frozenset({"uri", "uris", "host", "hosts", "methods", "priority", "status"})
"""What says which requests an object is for, by which people know it."""
_LONGEST_SHOWN = 200
_SHOWN_BEFORE = 30
"""How much of what two long values have in common is shown before they differ."""


@dataclass(frozen=True, slots=True)
class LiveObject:
    """An object as a gateway holds it, secrets and all: it never leaves the planner."""

    key: ObjectKey
    body: Body

    def __repr__(self) -> str:
        return f"LiveObject({self.key})"

    @property
    def owner(self) -> str | None:
        labels = self.body.get("labels")
        return labels.get(OWNER_LABEL) if isinstance(labels, Mapping) else None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that is to become another; both sides are fit to be shown."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}: {self.before} → {self.after}"


def differences(desired: Body, live: Body, digest: Digest) -> tuple[FieldChange, ...]:
    """Every field in which an object is not as it should be: a live one, or an earlier wish with handles."""
    comparable = {name: value for name, value in live.items() if name not in ADDED_BY_GATEWAY}
    return tuple(_compare("", desired, comparable, digest))


def _compare(path: str, desired: Json, live: Json, digest: Digest) -> Iterator[FieldChange]:
    if isinstance(desired, SecretRef):
        yield from _compare_secret(path, desired, live, digest)
    elif isinstance(desired, GatewaySecret):
        if live != desired and live != str(desired):
            yield FieldChange(path, MASK, str(desired))
    elif isinstance(desired, Mapping) and isinstance(live, Mapping):
        for name in sorted({*desired, *live}):
            if path == "labels" and name == HASH_LABEL:
                continue  # follows from the other fields
            yield from _compare_field(_join(path, name), name, desired, live, digest)
    elif isinstance(desired, (list, tuple)) and isinstance(live, list) and len(desired) == len(live):
        for index, (wanted, found) in enumerate(zip(desired, live, strict=True)):
            yield from _compare(f"{path}[{index}]", wanted, found, digest)
    elif not _equal(desired, live):
        yield FieldChange(path, *both_shown(path, live, desired))


def _compare_field(
    path: str, name: str, desired: Mapping[str, Json], live: Mapping[str, Json], digest: Digest
) -> Iterator[FieldChange]:
    if name not in live:
        yield FieldChange(path, ABSENT, shown_as(name, desired[name]))
    elif name not in desired:
        # The value may be a secret that somebody put there by hand, so it is shown only where none can be.
        yield FieldChange(path, shown(live[name]) if path in _MATCHING else MASK, ABSENT)
    else:
        yield from _compare(path, desired[name], live[name], digest)


def _compare_secret(path: str, desired: SecretRef, live: Json, digest: Digest) -> Iterator[FieldChange]:
    if isinstance(live, SecretRef):
        same = (live.fingerprint, live.prefix) == (desired.fingerprint, desired.prefix)
    else:
        same = (
            isinstance(live, str)
            and live.startswith(desired.prefix)
            and digest(live.removeprefix(desired.prefix)) == desired.fingerprint
        )
    if not same:
        yield FieldChange(path, f"{MASK} (another secret)", str(desired))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _equal(desired: Json, live: Json) -> bool:
    if desired == live:
        # In JSON true is no 1.
        return isinstance(desired, bool) == isinstance(live, bool)
    # A gateway written in Lua does not tell an empty list from an empty object.
    return desired in ({}, [], ()) and live in ({}, [])


def shown(value: Json) -> str:
    """A value as text that may be printed; of a long one the beginning."""
    return _cut(_whole(value))


def shown_as(name: str, value: Json) -> str:
    """The value of what is called so, as text that may be printed."""
    return MASK if isinstance(value, str) and sounds_secret(name) else shown(value)


def both_shown(path: str, live: Json, desired: Json) -> tuple[str, str]:
    """Two values that differ, of long ones the part where they do; a live one may have to be masked."""
    if sounds_secret(path):
        return shown_as(path, live), f"{shown_as(path, desired)} (another secret)"
    before, after = MASK if _holds_secret(desired) else _whole(live), _whole(desired)
    unlike = (index for index, (was, now) in enumerate(zip(before, after, strict=False)) if was != now)
    alike = next(unlike, min(len(before), len(after)))
    start = alike - _SHOWN_BEFORE if alike > _LONGEST_SHOWN - 2 * _SHOWN_BEFORE else 0
    return _cut(before, start), _cut(after, start)


def _cut(text: str, start: int = 0) -> str:
    if start:
        text = f"…{text[start:]}"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _whole(value: Json) -> str:
    if isinstance(value, (SecretRef, GatewaySecret)):
        return str(value)
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{name}: {_named(name, item)}" for name, item in value.items()) + "}"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(map(_whole, value)) + "]"
    elif isinstance(value, str):
        text = f'"{without_query(value)}"'
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = "null" if value is None else str(value)
    return text


def _named(name: str, value: Json) -> str:
    return MASK if isinstance(value, str) and sounds_secret(name) else _whole(value)


def _holds_secret(value: Json) -> bool:
    if isinstance(value, (SecretRef, GatewaySecret)):
        return True
    if isinstance(value, Mapping):
        return any(map(_holds_secret, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_holds_secret, value))

"""All objects of a gateway in one document, in sections, as a standalone APISIX takes and gives them."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from controlplane.core.diff import LiveObject, differences
from controlplane.core.objects import Body, Json, Kind, ObjectKey
from controlplane.gateway.driver import Write

Raw = TypeVar("Raw")

_CONSUMERS = Kind.CONSUMER.value
_CREDENTIALS = "/credentials/"
_BY_ID = (Kind.SERVICE, Kind.PLUGIN_CONFIG, Kind.ROUTE)
_REFERENCES = {"service_id": Kind.SERVICE, "plugin_config_id": Kind.PLUGIN_CONFIG}


def section_of(key: ObjectKey) -> str:
    """Where an object stands; credentials stand among the consumers."""
    return _CONSUMERS if key.kind is Kind.CREDENTIAL else key.kind.value


def placed(key: ObjectKey, body: Body) -> dict[str, Json]:
    """An object as it stands in its section, which says which it is."""
    if key.kind is Kind.CONSUMER:
        return dict(body)
    consumer, _, credential = key.id.partition("/")
    own_id = f"{consumer}{_CREDENTIALS}{credential}" if key.kind is Kind.CREDENTIAL else key.id
    return {"id": own_id, **body}


def key_of(section: str, entry: Json) -> ObjectKey | None:
    """Which object stands there; None for a kind that we do not make."""
    if not isinstance(entry, Mapping):
        return None
    own_id = entry.get("id")
    if section == _CONSUMERS:
        consumer, found, credential = str(own_id or "").partition(_CREDENTIALS)
        if found:
            return ObjectKey(Kind.CREDENTIAL, f"{consumer}/{credential}")
        name = entry.get("username")
        return None if name is None else ObjectKey(Kind.CONSUMER, str(name))
    return ObjectKey(Kind(section), str(own_id)) if section in _BY_ID and own_id is not None else None


@dataclass(frozen=True, slots=True)
class Entry(Generic[Raw]):
    """An object of any kind, ours or not, and as the gateway gave it."""

    key: ObjectKey | None
    body: Body
    raw: Raw


Sections = Mapping[str, Sequence[Entry[Raw]]]


@dataclass(frozen=True, slots=True)
class Rewritten(Generic[Raw]):
    """A document after some writes."""

    sections: Sections[Raw]
    changed: frozenset[str]
    """The sections that are not as they were."""
    left_out: Mapping[ObjectKey, str]
    """What stays because something else needs it, and what that is."""


def live(sections: Sections[Raw]) -> dict[ObjectKey, LiveObject]:
    """Every object of the kinds that we make."""
    return {entry.key: LiveObject(entry.key, entry.body) for entry in _known(sections) if entry.key}


def rewritten(
    sections: Sections[Raw], writes: Sequence[Write], pack: Callable[[ObjectKey, Body], Entry[Raw]]
) -> Rewritten[Raw]:
    """The document with these written and everything else as it is; new objects come last."""
    left_out = _still_used(sections, writes)
    wanted = {write.key: write.body for write in writes if write.key not in left_out}
    made: dict[str, Sequence[Entry[Raw]]] = dict(sections)
    changed = set()
    for section in {section_of(key) for key in wanted}:
        new = {key: body for key, body in wanted.items() if section_of(key) == section}
        before = sections.get(section, ())
        entries = list(_replaced(before, new, pack))
        as_before = len(entries) == len(before) and all(map(operator.is_, entries, before))
        if not as_before:
            made[section] = entries
            changed.add(section)
    return Rewritten(made, frozenset(changed), left_out)


def is_done(write: Write, found: Mapping[ObjectKey, LiveObject]) -> bool:
    """Whether the gateway holds what was to be written."""
    there = found.get(write.key)
    if there is None or write.body is None:
        return there is None and write.body is None
    return not differences(write.body, there.body, str)


def _replaced(
    entries: Sequence[Entry[Raw]],
    wanted: dict[ObjectKey, Body | None],
    pack: Callable[[ObjectKey, Body], Entry[Raw]],
) -> Iterator[Entry[Raw]]:
    left = dict(wanted)
    for entry in entries:
        if entry.key is None or entry.key not in wanted:
            yield entry
            continue
        body = left.pop(entry.key, None)  # one that stands there twice is there once afterwards
        if body is not None:
            yield entry if entry.body == placed(entry.key, body) else pack(entry.key, body)
    for key, body in left.items():
        if body is not None:
            yield pack(key, body)


def _still_used(sections: Sections[Raw], writes: Sequence[Write]) -> dict[ObjectKey, str]:
    """What is to go but is needed by something that stays: an Admin API would refuse to remove it."""
    bodies = {write.key: write.body for write in writes}
    going = {key for key, body in bodies.items() if body is None and key.kind in _HELD_BY}
    found: dict[ObjectKey, str] = {}
    if not going:
        return found
    staying = [(key, body) for key, body in bodies.items() if body is not None]
    for section, entries in sections.items():
        for entry in entries:
            if entry.key is None or entry.key not in bodies:
                for needed in going & set(_needs(entry.key, entry.body)):
                    found[needed] = f"{_name(section, entry)} still needs it"
    for key, body in staying:
        for needed in going & set(_needs(key, body)):
            found[needed] = f"{key} still needs it"
    return found


_HELD_BY = (Kind.SERVICE, Kind.PLUGIN_CONFIG, Kind.CONSUMER)


def _needs(key: ObjectKey | None, body: Body) -> Iterator[ObjectKey]:
    if key is not None and key.kind is Kind.CREDENTIAL:
        yield ObjectKey(Kind.CONSUMER, key.id.partition("/")[0])
    elif isinstance(body, Mapping):
        for name, kind in _REFERENCES.items():
            if (reference := body.get(name)) is not None:
                yield ObjectKey(kind, str(reference))


def _known(sections: Sections[Raw]) -> Iterator[Entry[Raw]]:
    return (entry for entries in sections.values() for entry in entries if entry.key is not None)


def _name(section: str, entry: Entry[Raw]) -> str:
    return str(entry.key) if entry.key else f"an object among {section}"

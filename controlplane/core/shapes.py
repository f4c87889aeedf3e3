"""Objects of one shape: a text with gaps, into which each context puts its own values.

The objects of thousands of queues are alike but for names, amounts and addresses. Contexts that agree in all
that a template does more with than to place it give the same text around what it places. So it is rendered
once for all of them, and parsed and packed once; what is left for each is to fill the gaps. Gaps are for the
few fields in which contexts differ that are alike otherwise: what the others hold is a part of the shape.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import attrgetter
from typing import Any

import orjson
from jinja2 import BaseLoader, Environment

from controlplane.core.contexts import Context, CounterStore, Instance, Pins
from controlplane.core.objects import (
    HASH_LABEL,
    GatewayObject,
    Json,
    canonical,
    digest_of,
    found_at,
    packed,
    unpacked,
)
from controlplane.core.secrets import GatewaySecret, SecretRef
from controlplane.core.template_uses import MARK, MarkingLoader, Path, Uses

_MARK = MARK.encode()
_GAP = re.compile(rf'"{re.escape(MARK)}([^"]+)"')
_LABELS: Path = "labels"
_HASHED_LABELS: Path = "labels.with.hash"
_MOST_KEPT = 2000
_PARTS: Mapping[type[object], Callable[[object], tuple[Json, ...]]] = {
    kind: attrgetter(*kind.__slots__) for kind in (Instance, CounterStore, SecretRef, GatewaySecret)
}


class Shapes:
    """The shapes that a renderer has met."""

    # Any: whatever a template places.
    def __init__(self, environment: Environment, loader: BaseLoader, tojson: Callable[[Any], str]) -> None:
        self._loader = MarkingLoader(loader)
        self._environment = environment.overlay(loader=self._loader)
        self._tojson = tojson
        self._looks: dict[str, _Look] = {}
        self._kept: dict[bytes, _Shape | None] = {}

    def render(self, context: Context) -> GatewayObject | None:
        """The object of a context; None where it has to be rendered alone, be it to say what is wrong."""
        template = context.template
        look = self._looks.get(template)
        if look is None:
            look = self._looks[template] = _Look.of(self._loader.uses(self._environment, template))
        key = self._key(template, context, look) if look.uses.known else None
        if key is None:
            return None
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            text = self._environment.get_template(template).render(context=context)
            self._kept[key] = _Shape.of(text, look.uses)
        shape = self._kept[key]
        return None if shape is None else self._filled(shape, context)

    def _key(self, template: str, context: Context, look: "_Look") -> bytes | None:
        """What contexts of one shape have in common."""
        values = self._values(context, look.fields)
        parts = (
            template,
            list(map(bool, values[: look.tested])),
            [value is None for value in values[look.tested : look.asked]],
            values[look.asked :],
        )
        try:
            key = orjson.dumps(parts, default=_parts, option=orjson.OPT_PASSTHROUGH_DATACLASS)
        except TypeError:
            return None
        return None if _MARK in key else key

    def _values(self, context: Context, fields: "_Fields") -> Sequence[Any]:  # Any: values of fields
        try:
            return fields.of(context)
        except AttributeError:
            # What is no attribute may be an item, as templates have it.
            return [reduce(self._environment.getattr, path.split("."), context) for path in fields.paths]

    def _filled(self, shape: "_Shape", context: Context) -> GatewayObject | None:
        values = dict(zip(shape.fields.paths, self._values(context, shape.fields), strict=True))
        if not shape.holds(context.pins, values):
            return None
        texts = {path: self._tojson(value) for path, value in values.items()}
        canonical_texts = {path: _canonical(value, texts[path]) for path, value in values.items()}
        digest = digest_of(shape.canonical.filled(canonical_texts))
        texts[_HASHED_LABELS] = self._tojson({**context.labels, HASH_LABEL: digest})
        text = shape.packed.filled(texts).encode()
        return GatewayObject(context.key, text, digest, context.declared_by)


@dataclass(frozen=True, slots=True)
class _Fields:
    """Fields of a context, which are read all at once."""

    paths: tuple[Path, ...]
    of: Callable[[Context], tuple[Any, ...]]  # Any: values of fields

    @classmethod
    def named(cls, paths: Iterable[Path]) -> "_Fields":
        names = tuple(paths)
        if len(names) < 2:
            # Of fewer than two, no tuple would be read.
            few = attrgetter("key", "key", *names)
            return cls(names, lambda context: few(context)[2:])
        return cls(names, attrgetter(*names))


@dataclass(frozen=True, slots=True)
class _Look:
    """What is to be looked at in a context, to tell its shape."""

    uses: Uses
    fields: _Fields
    tested: int
    """So many of the fields, the first of them, are asked whether they hold anything;"""
    asked: int
    """and those from there up to here, whether they are none."""

    @classmethod
    def of(cls, uses: Uses) -> "_Look":
        fields = _Fields.named((*sorted(uses.tested), *sorted(uses.asked), *sorted(uses.read)))
        return cls(uses, fields, len(uses.tested), len(uses.tested) + len(uses.asked))


@dataclass(frozen=True, slots=True)
class _Gaps:
    """A text with gaps."""

    pieces: list[str]
    """Every other one stands in a gap, and is the path of what belongs there."""

    @classmethod
    def of(cls, text: str) -> "_Gaps":
        return cls(_GAP.split(text))

    def filled(self, texts: Mapping[Path, str]) -> str:
        pieces = self.pieces.copy()
        pieces[1::2] = map(texts.__getitem__, self.pieces[1::2])
        return "".join(pieces)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path leads to in a shape."""

    value: Json
    rest: Sequence[str | int]
    """The steps that are left, into what a mark stands for."""
    marked: bool
    """Whether there are marks in the value."""

    @classmethod
    def of(cls, body: Mapping[str, Json], path: Sequence[str | int]) -> "_Place":
        for end in range(len(path)):
            value = found_at(body, path[:end])
            if _is_mark(value):
                return cls(value, path[end:], marked=True)
        value = found_at(body, path)
        return cls(value, (), marked=any(_marked_paths(value)))

    def found(self, values: Mapping[Path, Json]) -> Json:
        """What is there in an object of these values."""
        return found_at(_unmarked(self.value, values), self.rest) if self.marked else self.value


@dataclass(frozen=True, slots=True)
class _Shape:
    body: Mapping[str, Json]
    """With marks in place of values."""
    fields: _Fields
    packed: _Gaps
    canonical: _Gaps
    """What is hashed."""
    places: dict[Sequence[str | int], _Place] = field(default_factory=dict)
    """Of what contexts pin, as far as any was looked for."""

    @classmethod
    def of(cls, text: str, uses: Uses) -> "_Shape | None":
        """The shape of a text with marks; None where one of them does not stand for a whole value."""
        try:
            body = unpacked(text.encode())
        except ValueError:
            return None
        paths = list(_marked_paths(body))
        whole = len(paths) == text.count(MARK) and uses.placed.issuperset(paths)
        if not whole or not isinstance(body, dict) or body.get("labels") != _mark(_LABELS):
            return None
        with_hash = packed({**body, "labels": _mark(_HASHED_LABELS)}).decode()
        return cls(body, _Fields.named(sorted(set(paths))), _Gaps.of(with_hash), _Gaps.of(canonical(body)))

    def holds(self, pins: Pins, values: Mapping[Path, Json]) -> bool:
        """Whether an object of these values has what is pinned."""
        for path, wanted in pins.items():
            place = self.places.get(path)
            if place is None:
                place = self.places[path] = _Place.of(self.body, path)
            found = place.found(values)
            if found is not wanted and found != wanted and unpacked(packed(found)) != wanted:
                return False
        return True


def _mark(path: Path) -> str:
    return MARK + path


def _is_mark(value: Json) -> bool:
    return isinstance(value, str) and value.startswith(MARK)


def _marked_paths(value: Json) -> Iterator[Path]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _marked_paths(item)
    elif _is_mark(value):
        yield value.removeprefix(MARK)


def _unmarked(value: Json, values: Mapping[Path, Json]) -> Json:
    """The value with what marks stand for."""
    if _is_mark(value):
        return values[value.removeprefix(MARK)]
    if isinstance(value, dict):
        return {name: _unmarked(item, values) for name, item in value.items()}
    return [_unmarked(item, values) for item in value] if isinstance(value, list) else value


def _canonical(value: Json, text: str) -> str:
    """The canonical form of what was packed as this text: of texts in ASCII, their names in order at most."""
    if text.isascii():
        kind = type(value)
        if kind is str or (kind is list and {*map(type, value)} <= {str}):
            return text
        if kind is dict and {*map(type, value.values())} <= {str}:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return canonical(unpacked(text.encode()))


def _parts(value: object) -> list[Json]:
    of = _PARTS.get(type(value))
    if of is None:
        raise TypeError(f"a {type(value).__name__} does not tell shapes apart")
    return [type(value).__name__, of(value)]

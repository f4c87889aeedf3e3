"""Objects of one shape: a text with gaps, into which each context puts its own values.

The objects of thousands of queues are alike but for names, amounts and addresses. Contexts that agree in all
that a template does more with than to place it give the same text around what it places. So it is rendered
once for all of them, and parsed and packed once; what is left for each is to fill the gaps.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import attrgetter
from typing import Any

import orjson
from jinja2 import BaseLoader, Environment

from controlplane.core.contexts import Context, CounterStore, Instance
from controlplane.core.objects import HASH_LABEL, GatewayObject, Json, canonical, digest_of, packed, unpacked
from controlplane.core.secrets import GatewaySecret, SecretRef
from controlplane.core.template_uses import MARK, MarkingLoader, Path, Uses

_GAP = re.compile(rf'"{re.escape(MARK)}([^"]+)"')
_TEXTS = re.compile(r'".*"|\[(?:"[^"\\]*"(?:,"[^"\\]*")*)?\]')
_LABELS: Path = ("labels",)
_HASHED_LABELS: Path = ("labels", "with", "hash")
_MOST_KEPT = 2000
_VALUES = (Instance, CounterStore, SecretRef, GatewaySecret)


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
        look = self._looks.get(context.template)
        if look is None:
            look = _Look.of(self._loader.uses(self._environment, context.template))
            self._looks[context.template] = look
        key = self._key(context, look) if look.uses.known else None
        if key is None:
            return None
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            text = self._environment.get_template(context.template).render(context=context)
            self._kept[key] = _Shape.of(text, look.uses)
        shape = self._kept[key]
        return None if shape is None else self._filled(shape, context)

    def _key(self, context: Context, look: "_Look") -> bytes | None:
        """What contexts of one shape have in common."""
        parts = [
            context.template,
            *map(bool, self._values(context, look.tested)),
            *(value is None for value in self._values(context, look.asked)),
            *self._values(context, look.read),
        ]
        try:
            key = orjson.dumps(parts, default=_parts, option=orjson.OPT_PASSTHROUGH_DATACLASS)
        except TypeError:
            return None
        return None if MARK.encode() in key else key

    def _values(self, context: Context, fields: "_Fields") -> Sequence[Any]:  # Any: values of fields
        try:
            return fields.of(context)
        except AttributeError:
            # What is no attribute may be an item, as templates have it.
            return [reduce(self._environment.getattr, path, context) for path in fields.paths]

    def _filled(self, shape: "_Shape", context: Context) -> GatewayObject | None:
        values = dict(zip(shape.fields.paths, self._values(context, shape.fields), strict=True))
        texts = {path: self._tojson(value) for path, value in values.items()}
        if not shape.holds(context, values):
            return None
        digest = digest_of(shape.canonical.filled({path: _canonical(text) for path, text in texts.items()}))
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
        names = sorted(paths)
        # Two more than there are: of fewer than two, no tuple would be read.
        read = attrgetter("key", "key", *(".".join(path) for path in names))
        return cls(tuple(names), lambda context: read(context)[2:])


@dataclass(frozen=True, slots=True)
class _Look:
    """What is to be looked at in a context, to tell its shape."""

    uses: Uses
    tested: _Fields
    asked: _Fields
    read: _Fields

    @classmethod
    def of(cls, uses: Uses) -> "_Look":
        return cls(uses, _Fields.named(uses.tested), _Fields.named(uses.asked), _Fields.named(uses.read))


@dataclass(frozen=True, slots=True)
class _Gaps:
    """A text with gaps: what stands before the first, and what after each of them."""

    start: str
    rest: tuple[tuple[Path, str], ...]

    @classmethod
    def of(cls, text: str) -> "_Gaps":
        start, *rest = _GAP.split(text)
        return cls(
            start,
            tuple((tuple(path.split(".")), after) for path, after in zip(rest[::2], rest[1::2], strict=True)),
        )

    def filled(self, texts: Mapping[Path, str]) -> str:
        found = [self.start]
        for path, after in self.rest:
            found += (texts[path], after)
        return "".join(found)


@dataclass(frozen=True, slots=True)
class _Shape:
    body: Mapping[str, Json]
    """With marks in place of values."""
    fields: _Fields
    packed: _Gaps
    canonical: _Gaps
    """What is hashed."""

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
        return cls(body, _Fields.named(set(paths)), _Gaps.of(with_hash), _Gaps.of(canonical(body)))

    def holds(self, context: Context, values: Mapping[Path, Json]) -> bool:
        """Whether an object of these values has what its context pins."""
        for path, wanted in context.pins.items():
            found = self._at(path, values)
            if found is not wanted and found != wanted and unpacked(packed(found)) != wanted:
                return False
        return True

    def _at(self, path: tuple[str | int, ...], values: Mapping[Path, Json]) -> Json:
        value: Json = self.body
        for step in path:
            try:
                value = _unmarked(value, values)[step] if isinstance(value, str) else value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return _unmarked(value, values)


def _mark(path: Path) -> str:
    return MARK + ".".join(path)


def _marked_paths(value: Json) -> Iterator[Path]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _marked_paths(item)
    elif isinstance(value, str) and value.startswith(MARK):
        yield tuple(value.removeprefix(MARK).split("."))


def _unmarked(value: Json, values: Mapping[Path, Json]) -> Json:
    """The value with what marks stand for."""
    if isinstance(value, str) and value.startswith(MARK):
        return values[tuple(value.removeprefix(MARK).split("."))]
    if isinstance(value, dict):
        return {name: _unmarked(item, values) for name, item in value.items()}
    return [_unmarked(item, values) for item in value] if isinstance(value, list) else value


@lru_cache(maxsize=1000)
def _canonical(text: str) -> str:
    """The canonical form of JSON that was packed; a text in ASCII or a list of such is that already."""
    return text if text.isascii() and _TEXTS.fullmatch(text) else canonical(unpacked(text.encode()))


def _parts(value: object) -> list[Json]:
    if isinstance(value, _VALUES):
        return [type(value).__name__, *(getattr(value, name) for name in value.__slots__)]
    raise TypeError(f"a {type(value).__name__} does not tell shapes apart")

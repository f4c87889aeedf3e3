"""A declaration with mistakes, as far as it can be known: what is wrong in one field hides nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from controlplane.core.annotations import Loc, element_of, model_of, tagged_model
from controlplane.core.checked import Check, Checked
from controlplane.core.field_paths import Step
from controlplane.core.wrong_field import WrongField

_HERE = None
_JUDGED = -1
_Wrong = dict[Step | None, Any]
"""Steps to what is wrong; Any: more of them. `_HERE`: the value itself cannot be read; `_JUDGED`: it can, and
what does not go together in it is told already."""


class Unknown:
    """Stands in a list for an entry that is wrong: it has nothing that could be read."""


@dataclass
class Partly:
    """What can be known of a declaration, some places of which are wrong."""

    mistakes: list[tuple[Loc, WrongField]] = field(default_factory=list)
    """What does not go together in objects that have such places, by the place of the object."""
    known: BaseModel | None = None
    """What is declared without them: reading a field that is wrong raises AttributeError."""

    @classmethod
    def of(
        cls, model: type[BaseModel], data: object, wrong: Iterable[Loc], judged: Iterable[Loc]
    ) -> "Partly":
        """What `data` declares without the places that are `wrong`.

        Of objects that are `judged` already the mistakes are known.
        """
        tree: _Wrong = {}
        _mark(tree, wrong, _HERE)
        _mark(tree, judged, _JUDGED)
        made = cls()
        made.known = made._object(model, data, tree, ())
        return made

    def _object(
        self, model: type[BaseModel] | None, data: object, wrong: _Wrong, at: Loc
    ) -> BaseModel | None:
        if model is None or not isinstance(data, dict) or _HERE in wrong:
            return None
        values: dict[str, Any] = {}  # Any: a field may be anything
        for name, described in model.model_fields.items():
            if name in wrong or name in data:
                value = self._field(model, name, data.get(name), wrong.get(name, {}), (*at, name))
                if not isinstance(value, Unknown):
                    values[name] = value
            elif not described.is_required():
                values[name] = described.get_default(call_default_factory=True)
        made = model.model_construct(**values)
        for name in model.model_fields.keys() - values.keys():
            made.__dict__.pop(name, None)
        if isinstance(made, Checked) and _JUDGED not in wrong:
            self.mistakes += [(at, found) for one in made.checks for found in _judged(one, made)]
        return made

    def _field(self, model: type[BaseModel], name: str, data: object, wrong: _Wrong, at: Loc) -> object:
        annotation = model.model_fields[name].annotation
        if not wrong:
            return _read(model, name, data)
        if _HERE in wrong or not isinstance(data, list | tuple):
            return self._object(model_of(annotation), data, wrong, at) or Unknown()
        element = element_of(annotation)
        return tuple(
            self._entry(element, item, wrong[index], (*at, index))
            if index in wrong
            else _entry_of(_read(model, name, [item]))
            for index, item in enumerate(data)
        )

    def _entry(self, annotation: Any, data: object, wrong: _Wrong, at: Loc) -> object:
        """An entry of a list. Any: an annotation may be anything."""
        found = model_of(annotation)
        tag = next(iter(wrong))
        if found is None and tag is not _HERE:
            found, wrong, at = tagged_model(annotation, tag), wrong[tag], (*at, tag)
        return self._object(found, data, wrong, at) or Unknown()


def _mark(tree: _Wrong, places: Iterable[Loc], how: int | None) -> None:
    for loc in places:
        node = tree
        for step in loc:
            node = node.setdefault(step, {})
        node[how] = {}


def _judged(check: Check[Any], made: Checked) -> Iterator[WrongField]:
    """What a check finds before it reads something that cannot be known; Any: it is for what was made."""
    try:
        yield from check(made)
    except AttributeError:
        return


def _read(model: type[BaseModel], name: str, data: object) -> object:
    """The value of a field with which nothing is wrong."""
    try:
        return _adapter(model, name).validate_python(data)
    except ValidationError:
        return Unknown()


def _entry_of(entries: object) -> object:
    return entries[0] if isinstance(entries, tuple) else Unknown()


@cache
def _adapter(model: type[BaseModel], name: str) -> TypeAdapter[Any]:  # Any: a field may be anything
    return TypeAdapter(model.model_fields[name].rebuild_annotation())

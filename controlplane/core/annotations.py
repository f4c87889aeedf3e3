"""The way into a declaration: from the place of a value to what describes it, and to the value."""

from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from controlplane.core.field_paths import Step, is_tag

Loc = tuple[Step, ...]
"""A place as pydantic has it; where a value is one of several models, the name of one of them is a step."""


def model_at(model: type[BaseModel], loc: Sequence[Step]) -> type[BaseModel] | None:
    """The model that describes the place `loc` inside a value of `model`."""
    current: Any = model  # Any: an annotation may be anything
    for step in loc:
        current = _within(current, step)
    return model_of(current)


def model_of(annotation: Any) -> type[BaseModel] | None:  # Any: an annotation may be anything
    """The one model that describes a value; None where there is none, or several."""
    found = _alternatives(annotation)
    return found[0] if len(found) == 1 else None


def tagged_model(annotation: Any, tag: Step) -> type[BaseModel] | None:  # Any: an annotation may be anything
    """The one of several models that goes by this name."""
    return next((one for one in _alternatives(annotation) if tag in _tags(one)), None)


def element_of(annotation: Any) -> Any:  # Any: an annotation may be anything
    """What describes the entries of a list."""
    return next(iter(get_args(_bare(annotation))), None)


def value_at(loc: Sequence[Step], data: object) -> object:
    """What is written at a place; None where nothing is."""
    for step in loc:
        if isinstance(data, dict):
            data = data.get(step, data if is_tag(step, data) else None)
        elif isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _within(annotation: Any, step: Step) -> Any:  # Any: an annotation may be anything
    found = _alternatives(annotation)
    if len(found) > 1:
        return tagged_model(annotation, step)
    if found:
        fields = found[0].model_fields
        return fields[step].annotation if isinstance(step, str) and step in fields else None
    if isinstance(step, int):
        return element_of(annotation)
    bare = _bare(annotation)
    return get_args(bare)[1] if get_origin(bare) is dict else None


def _alternatives(annotation: Any) -> tuple[Any, ...]:  # Any: an annotation may be anything
    """The models of which a value is one."""
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    parts = get_args(bare) if get_origin(bare) in (Union, UnionType) else (bare,)
    return tuple(part for part in parts if _is_model(part))


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """The names by which a value is taken for this model."""
    return get_args(model.model_fields["name"].annotation)


def _bare(annotation: Any) -> Any:  # Any: an annotation may be anything
    """The annotation without `Annotated[…]` and `| None`."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, UnionType):
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation


def _is_model(annotation: Any) -> bool:  # Any: an annotation may be anything
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)

"""What is wrong with a declaration, in the words of the person who wrote it.

Pydantic says `('queues', 3, 'limits', 0, 'tokns')`; we say `queues.support.limits[0].tokns`, and that
`tokens` was probably meant. An input is never repeated, for it may be a secret in the wrong place.
"""

import difflib
import re
from collections.abc import Collection, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from controlplane.core.text import NAME_PATTERN, visible
from controlplane.core.wrong_field import WrongField
from controlplane.errors import Problem

_NAME = re.compile(NAME_PATTERN)
NAMED = ("gateways", "tiers", "providers", "tenants", "queues", "rules", "keys")
_QUOTED = re.compile("'([^']*)'")
_CHOICES = ("enum", "literal_error")
_ANY_REMEDY = "change it so that this holds"

# What pydantic calls it -> what is wrong, and how to mend it; braces are filled from the error's context.
_WORDS = {
    "missing": ("is missing", "add it"),
    "enum": ("must be {expected}", "write one of those"),
    "literal_error": ("must be {expected}", "write one of those"),
    "string_pattern_mismatch": ("must match {pattern}", "use only what this pattern allows"),
    "string_too_short": ("must have at least {min_length} characters", "write a longer text"),
    "string_too_long": ("must have at most {max_length} characters", "write a shorter text"),
    "string_unicode": ("is no valid Unicode", "remove lone surrogates"),
    "string_type": ("must be a text", "put it into quotes"),
    "too_short": ("is too short, at least {min_length} needed", "add what is missing"),
    "too_long": ("is too long, at most {max_length} allowed", "remove some"),
    "greater_than": ("must be greater than {gt}", "write a greater number"),
    "greater_than_equal": ("must be at least {ge}", "write a greater number"),
    "less_than": ("must be less than {lt}", "write a smaller number"),
    "less_than_equal": ("must be at most {le}", "write a smaller number"),
    "finite_number": ("must be a finite number", "write a smaller number"),
    "int_type": ("must be a whole number", "write it without quotes and without a fraction"),
    "int_parsing": ("must be a whole number", "write it without quotes and without a fraction"),
    "int_parsing_size": ("is too large", "write a smaller number"),
    "int_from_float": ("must be a whole number", "write it without a fraction"),
    "float_type": ("must be a number", "write it without quotes"),
    "float_parsing": ("must be a number", "write it without quotes"),
    "bool_type": ("must be true or false", "write true or false"),
    "bool_parsing": ("must be true or false", "write true or false"),
    "tuple_type": ("must be a list", "write its entries between [ and ]"),
    "dict_type": ("must be an object", "write names and values between { and }"),
    "model_type": ("must be an object", "write names and values between { and }"),
    "uuid_type": ("must be a UUID", "write one such as 2f1c1e1e-6f0e-4d5a-9d5a-51c1ce000001"),
    "uuid_parsing": ("must be a UUID", "write one such as 2f1c1e1e-6f0e-4d5a-9d5a-51c1ce000001"),
    "union_tag_invalid": ("must have a `name` that is one of {expected_tags}", "write one of those"),
    "union_tag_not_found": ("has no `name`, which says what it is", "add it"),
    "timezone_aware": ("must name its time zone", "write a time such as 2030-01-31T12:00:00Z"),
}


def problems_of(error: ValidationError, model: type[BaseModel], data: object) -> tuple[Problem, ...]:
    """Every problem that validating `data` against `model` found."""
    details = error.errors(include_input=False, include_url=False)
    return tuple(_problem(detail, model, data) for detail in details if not _only_follows(detail, data))


def meant_by(word: str, known: Collection[str], otherwise: str) -> str:
    """A remedy: the known word that was probably meant, or something else."""
    meant = nearest(word, known)
    return f"did you mean {meant}?" if meant else otherwise


def field_path(loc: Sequence[int | str], data: object) -> str:
    """A place in `data`; a declared object is called by its name: `queues.support.limits[0].tokens`."""
    path = ""
    for depth, step in enumerate(loc):
        if step == "[key]":
            continue
        if isinstance(step, int):
            data = data[step] if isinstance(data, list | tuple) and step < len(data) else None
            name = data.get("name") if isinstance(data, dict) and depth == 1 and loc[0] in NAMED else None
            path += f".{name}" if isinstance(name, str) and _NAME.fullmatch(name) else f"[{step}]"
        elif _is_tag(step, data):
            continue
        else:
            data = data.get(step) if isinstance(data, dict) else None
            path += f".{visible(step)}"
    return path.removeprefix(".")


def _is_tag(step: str, data: object) -> bool:
    """Whether the step only says which of several models a value was taken for: its name says so, too."""
    return isinstance(data, dict) and step not in data and data.get("name") == step


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was probably meant."""
    written = word[:64]
    if (lower := written.lower()) in known:
        return lower
    found = difflib.get_close_matches(written, known, n=1, cutoff=0.6)
    found = found or difflib.get_close_matches(lower, known, n=1, cutoff=0.6)
    return found[0] if found else None


def _only_follows(detail: ErrorDetails, data: object) -> bool:
    """Whether a list is called too short only because entries of it are wrong, which is told already."""
    if detail["type"] != "too_short":
        return False
    written = _at(detail["loc"], data)
    return isinstance(written, list | tuple) and len(written) >= detail["ctx"]["min_length"]


def _at(loc: Sequence[int | str], data: object) -> object:
    """What is written at a place; None where nothing is."""
    for step in loc:
        if isinstance(data, dict):
            data = data.get(step, data if _is_tag(str(step), data) else None)
        elif isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _problem(detail: ErrorDetails, model: type[BaseModel], data: object) -> Problem:
    field = field_path(detail["loc"], data)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return Problem(field, "is no field that we know", _unknown_field(detail["loc"], model))
    if kind == "value_error":
        wrong = detail.get("ctx", {}).get("error")
        if isinstance(wrong, WrongField):
            field = f"{field}.{wrong.field}".removeprefix(".")
        message, _, remedy = detail["msg"].removeprefix("Value error, ").partition("; ")
        return Problem(field, message, remedy or _ANY_REMEDY)
    if kind in _WORDS:
        message, remedy = _WORDS[kind]
        if kind in _CHOICES and isinstance(written := _at(detail["loc"], data), str):
            remedy = meant_by(written, _QUOTED.findall(detail["ctx"]["expected"]), remedy)
        return Problem(field, message.format(**detail.get("ctx", {})), remedy)
    return Problem(field, detail["msg"][:1].lower() + detail["msg"][1:], _ANY_REMEDY)


def _unknown_field(loc: Sequence[int | str], model: type[BaseModel]) -> str:
    owner = _model_at(model, loc[:-1])
    if owner is None:
        return "remove it"
    known = sorted(owner.model_fields)
    return meant_by(str(loc[-1]), known, f"remove it; known are {', '.join(known)}")


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that describes the place `loc` inside a value of `model`."""
    current: Any = model  # Any: an annotation may be anything
    for step in loc:
        if isinstance(step, int):
            current = next(iter(get_args(current)), None)
            current = current if len(_alternatives(current)) > 1 else _bare(current)
            continue
        if len(found := _alternatives(current)) > 1:
            current = next((one for one in found if step in _tags(one)), None)
        else:
            fields = current.model_fields if _is_model(current) else {}
            current = fields[step].annotation if step in fields else None
        current = _bare(current)
    return current if _is_model(current) else None


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

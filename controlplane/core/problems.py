"""What is wrong with a declaration, in the words of the person who wrote it.

Pydantic says `('queues', 3, 'limits', 0, 'tokns')`; we say `queues.support.limits[0].tokns`, and that
`tokens` was probably meant. An input is never repeated, for it may be a secret in the wrong place.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from controlplane.core.annotations import Loc, model_at, value_at
from controlplane.core.field_paths import field_path
from controlplane.core.partly import Partly
from controlplane.core.wrong_field import WrongField, WrongFields
from controlplane.errors import Problem

_QUOTED = re.compile("'([^']*)'")
_CHOICES = ("enum", "literal_error")
_TIME = "write a time such as 2030-01-31T12:00:00Z"
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
    "datetime_type": ("must be a time", _TIME),
    "datetime_parsing": ("must be a time", _TIME),
    "datetime_from_date_parsing": ("must be a time", _TIME),
    "timezone_aware": ("must name its time zone", _TIME),
}


def problems_of(error: ValidationError, model: type[BaseModel], data: object) -> tuple[Problem, ...]:
    """Every problem of `data`, which validating it against `model` found, or did not come to."""
    return all_of(error, model, data)[0]


def all_of(
    error: ValidationError, model: type[BaseModel], data: object
) -> tuple[tuple[Problem, ...], BaseModel | None]:
    """Every problem of `data`, and what can be known of what it declares."""
    found = error.errors(include_input=False, include_url=False)
    details = [detail for detail in found if not _only_follows(detail, data)]
    problems = [each for detail in details for each in _problems(detail, model, data)]
    judged = [detail["loc"] for detail in details if _mistakes(detail)]
    wrong = (loc for detail in details if not _mistakes(detail) for loc in _wrong_places(detail, model))
    partly = Partly.of(model, data, wrong, judged)
    problems += [_of_fields(loc, wrong, data) for loc, wrong in partly.mistakes]
    return tuple(problems), partly.known


def meant_by(word: str, known: Collection[str], otherwise: str) -> str:
    """A remedy: the known word that was probably meant, or something else."""
    meant = nearest(word, known)
    return f"did you mean {meant}?" if meant else otherwise


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
    written = value_at(detail["loc"], data)
    return isinstance(written, list | tuple) and len(written) >= detail["ctx"]["min_length"]


def _problems(detail: ErrorDetails, model: type[BaseModel], data: object) -> Iterator[Problem]:
    if mistakes := _mistakes(detail):
        yield from (_of_fields(detail["loc"], found, data) for found in mistakes)
    else:
        yield _problem(detail, model, data)


def _mistakes(detail: ErrorDetails) -> tuple[WrongField, ...]:
    """What does not go together in an object, where that is all that is wrong with it."""
    error = detail.get("ctx", {}).get("error")
    return error.found if isinstance(error, WrongFields) else ()


def _wrong_places(detail: ErrorDetails, model: type[BaseModel]) -> Iterator[Loc]:
    """What cannot be known for this: of an unknown field, the one that was probably meant, too."""
    loc = detail["loc"]
    yield loc
    owner = model_at(model, loc[:-1]) if detail["type"] == "extra_forbidden" else None
    if owner and (meant := nearest(str(loc[-1]), owner.model_fields)):
        yield (*loc[:-1], meant)


def _of_fields(loc: Sequence[int | str], wrong: WrongField, data: object) -> Problem:
    """What does not go together in the object at this place."""
    top = field_path(loc, data)
    field = f"{top}.{wrong.field}".strip(".") if wrong.field else top
    return _in_words(field, str(wrong))


def _in_words(field: str, text: str) -> Problem:
    message, _, remedy = text.partition("; ")
    return Problem(field, message, remedy or _ANY_REMEDY)


def _problem(detail: ErrorDetails, model: type[BaseModel], data: object) -> Problem:
    field = field_path(detail["loc"], data)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return Problem(field, "is no field that we know", _unknown_field(detail["loc"], model))
    if kind == "value_error":
        return _in_words(field, detail["msg"].removeprefix("Value error, "))
    if kind in _WORDS:
        message, remedy = _WORDS[kind]
        if kind in _CHOICES and isinstance(written := value_at(detail["loc"], data), str):
            remedy = meant_by(written, _QUOTED.findall(detail["ctx"]["expected"]), remedy)
        return Problem(field, message.format(**detail.get("ctx", {})), remedy)
    return Problem(field, detail["msg"][:1].lower() + detail["msg"][1:], _ANY_REMEDY)


def _unknown_field(loc: Sequence[int | str], model: type[BaseModel]) -> str:
    owner = model_at(model, loc[:-1])
    if owner is None:
        return "remove it"
    known = sorted(owner.model_fields)
    return meant_by(str(loc[-1]), known, f"remove it; known are {', '.join(known)}")

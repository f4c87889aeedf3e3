"""Declarations as callers send them: accepted, or answered with all that is wrong with them at once."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from controlplane.api.access import principal_of
from controlplane.api.bodies import AnyRequest
from controlplane.api.service import service_of
from controlplane.core.pointing import Names, declared_in, names_in
from controlplane.core.problems import all_of
from controlplane.core.spec import Document
from controlplane.errors import InvalidSpec, Problem
from controlplane.store.records import Kind, Spec

Values = Mapping[str, Any]  # Any: JSON


async def accepted_document(request: AnyRequest, values: Values) -> Document:
    """The document of these values. Raises InvalidSpec."""
    try:
        return Document.model_validate(values)
    except ValidationError as error:
        problems, known = all_of(error, Document, values)
        if known is not None:
            problems += await _leading_nowhere(request, declared_in(known), names_in(known))
        raise InvalidSpec("the document cannot be accepted", problems=problems) from None


async def accepted(request: AnyRequest, kind: Kind, values: Values) -> Spec:
    """The declaration of one object. Raises InvalidSpec."""
    try:
        return kind.model.model_validate(values)
    except ValidationError as error:
        problems, known = all_of(error, kind.model, values)
        if known is not None:
            problems += await _leading_nowhere(request, [("", known)], {})
        raise InvalidSpec(f"this is no valid {kind}", problems=problems) from None


async def _leading_nowhere(
    request: AnyRequest, declared: Iterable[tuple[str, BaseModel]], names: Names
) -> tuple[Problem, ...]:
    planner = service_of(request).planner
    return () if planner is None else await planner.astray(declared, names, principal_of(request).reach)

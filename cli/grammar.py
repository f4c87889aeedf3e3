"""The parts of a declaration by the grammar: documents, or everything that is wrong with them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from cli.part import Part
from controlplane.core.field_paths import NAMED, field_path
from controlplane.core.pointing import declared_in, leading_nowhere
from controlplane.core.problems import all_of
from controlplane.core.spec import Document
from controlplane.errors import Problem


def wrong_with(parts: Sequence[Part], clashes: Sequence[Problem] = ()) -> list[Problem]:
    """All that is wrong with any part and among them; the document of a part that has no mistake is set."""
    for part in parts:
        if part.document is None and (part.data or not part.problems):
            _check(part)
    if clashes or any(part.problems for part in parts):
        _complain_of_references(parts)
    return [*(problem for part in parts for problem in part.told()), *clashes]


def merged(parts: Sequence[Part], data: Mapping[str, Any]) -> Document:
    """The parts as one, which need no other check: names are told apart over all of them."""
    documents = [part.document for part in parts if part.document is not None]
    if len(documents) == 1:
        return documents[0]
    lists = {name: tuple(item for each in documents for item in getattr(each, name)) for name in NAMED}
    alike = {name: data[name] for name in ("version", "source") if name in data}
    return Document(**alike, **lists)


def elsewhere(problem: Problem) -> Problem:
    """Of a reference to what the files themselves do not have: a service may know it."""
    meant = problem.remedy if problem.remedy and problem.remedy.startswith("did you mean") else None
    known = "the service must know it by then"
    remedy = f"{meant} otherwise {known}" if meant else known
    return Problem(problem.field, f"{problem.message} here", remedy)


def _check(part: Part) -> None:
    """The grammar; values that could not be read have been told already."""
    try:
        part.known = part.document = Document.model_validate(part.data)
    except ValidationError as error:
        problems, part.known = all_of(error, Document, part.data)
        told = {field_path(loc, part.data) for loc in part.broken} | _declared_again(part)
        for problem in problems:
            if problem.field not in told:
                part.complain_of(problem)


def _declared_again(part: Part) -> set[str]:
    """What a file declares twice, which is told with both places where all files are looked at."""
    seen: set[tuple[str, str]] = set()
    found: set[str] = set()
    for kind, index, name in part.names():
        found |= {f"{kind}[{index}]"} if (kind, name) in seen else set()
        seen.add((kind, name))
    return found


def _complain_of_references(parts: Sequence[Part]) -> None:
    """Tell of those that lead nowhere here: with other mistakes, the service is not asked."""
    if any(part.known is None for part in parts):
        return  # whoever could not be read may declare what they lead to
    names: dict[str, set[str]] = {kind: set() for kind in NAMED}
    for kind, _, name in (found for part in parts for found in part.names()):
        names[kind].add(name)
    for part in parts:
        found = leading_nowhere(
            declared_in(part.known) if part.known else (),
            lambda kind, name: name in names[f"{kind}s"],
            lambda kind: names[f"{kind}s"],
        )
        for problem in found:
            part.complain_of(elsewhere(problem))

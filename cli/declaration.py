"""A declaration on its way to the service: read, resolved, merged and checked, a place for every problem."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.part import Part, Place, enclosing, placed, read_part
from cli.sources import label_of, sources
from controlplane.core.pointing import declared_in, leading_nowhere
from controlplane.core.problems import NAMED
from controlplane.core.redact import redacted
from controlplane.core.spec import Document
from controlplane.errors import InvalidSpec, Problem


@dataclass(frozen=True)
class Declaration:
    """One or several files as one: what is sent to the service, and where each field is written."""

    file: str
    data: dict[str, Any] = field(repr=False)  # Any: checked against Document, and holds plain secrets
    document: Document = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)

    def placed(self, problem: Problem) -> Problem:
        """The problem, led by file, line and column of its field or of what encloses it."""
        hidden = {text for part in self.parts for text in part.hidden}
        message = redacted(problem.message, hidden)
        remedy = None if problem.remedy is None else redacted(problem.remedy, hidden)
        return placed(Problem(problem.field, message, remedy), self._place(problem.field))

    @property
    def references(self) -> set[str]:
        """Every reference in it, as it is written."""
        return {text for part in self.parts for text in part.references}

    def unnamed_keys(self) -> frozenset[str]:
        """The names of keys that have no text of their own, which the service would make up."""
        return frozenset(key.name for key in self.document.keys if key.key is None)

    def _place(self, path: str) -> Place:
        for each in enclosing(path):
            for part in self.parts:
                if each in part.places:
                    return Place(part.file, part.places[each])
        return self.parts[0].place()


def read_declaration(
    files: Sequence[str], environ: Mapping[str, str], *, literal_secrets: bool = False
) -> Declaration:
    """Read, merge and check files, folders and `-`, which is stdin.

    Raises InvalidSpec with every problem of every file, each with file:line:column.
    """
    if not files:
        raise InvalidSpec("no file is named", remedy="-f names one, such as queues.yaml")
    label = label_of(files)
    parts = [read_part(source, environ, literal_secrets=literal_secrets) for source in sources(files)]
    clashes = list(_clashes(parts))
    if clashes or any(part.problems for part in parts):
        _complain_of_references(parts)
        problems = [problem for part in parts for problem in part.told()] + clashes
        raise InvalidSpec(f"{label} cannot be used", problems=problems)
    data, document = _merged(parts)
    return Declaration(label, data, document, tuple(parts))


def elsewhere(problem: Problem) -> Problem:
    """Of a reference to what the files themselves do not have: a service may know it."""
    meant = problem.remedy if problem.remedy and problem.remedy.startswith("did you mean") else None
    known = "the service must know it by then"
    remedy = f"{meant} otherwise {known}" if meant else known
    return Problem(problem.field, f"{problem.message} here", remedy)


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


def _merged(parts: Sequence[Part]) -> tuple[dict[str, Any], Document]:
    """The parts as one, which need no other check: names are told apart over all of them."""
    documents = [part.document for part in parts if part.document is not None]
    if len(documents) == 1:
        return parts[0].data, documents[0]
    data: dict[str, Any] = {}
    for part in parts:
        for name, value in part.data.items():
            data[name] = [*data.get(name, ()), *(value or ())] if name in NAMED else value
    lists = {name: tuple(item for each in documents for item in getattr(each, name)) for name in NAMED}
    alike = {name: data[name] for name in ("version", "source") if name in data}
    return data, Document(**alike, **lists)


def _clashes(parts: Iterable[Part]) -> Iterator[Problem]:
    """What is declared twice, with both places."""
    first: dict[tuple[str, str], Place] = {}
    source: tuple[str, Place] | None = None
    for part in parts:
        owner = part.data.get("source")
        if isinstance(owner, str) and owner:
            place = part.place("source")
            if source is not None and source[0] != owner:
                message = f"is {owner!r} here and {source[0]!r} at {source[1]}"
                yield placed(Problem("source", message, "apply the files of each source alone"), place)
            source = source or (owner, place)
        for kind, index, name in part.names():
            if (kind, name) in first:
                place = part.place(kind, index, "name")
                message = f"is declared here and at {first[kind, name]}"
                yield placed(Problem(f"{kind}.{name}", message, "keep one of the two"), place)
            else:
                first[kind, name] = part.place(kind, index, "name")

"""A declaration on its way to the service: read, resolved and merged, with a place for every problem."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cli.part import Part, Place, enclosing, placed, read_part
from cli.sources import label_of, sources
from controlplane.core.field_paths import NAMED
from controlplane.core.redact import redacted
from controlplane.errors import InvalidSpec, Problem

if TYPE_CHECKING:
    from controlplane.core.spec import Document


@dataclass(frozen=True)
class Declaration:
    """One or several files as one: what is sent to the service, and where each field is written."""

    file: str
    data: dict[str, Any] = field(repr=False)  # Any: as people wrote it, with plain secrets
    parts: tuple[Part, ...] = field(repr=False)

    @cached_property
    def document(self) -> "Document":
        """What it declares. Raises InvalidSpec with everything that the grammar says against it."""
        from cli.grammar import merged

        self.check()
        return merged(self.parts, self.data)

    def check(self) -> None:
        """Hold it to the grammar. Raises InvalidSpec with every problem, each with file:line:column."""
        from cli.grammar import wrong_with

        _refuse(self.file, wrong_with(self.parts))

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
        return frozenset(key["name"] for key in self.data.get("keys") or () if key.get("key") is None)

    def makes_up_keys(self) -> bool:
        """Whether keys may be made up for it; the grammar may not have seen it yet."""
        keys = self.data.get("keys")
        written = isinstance(keys, list) and all(isinstance(key, dict) and key.get("key") for key in keys)
        return bool(keys) and not written

    def place_of(self, path: str) -> Place | None:
        """Where exactly this is written; None for what is not."""
        return next((Place(part.file, part.places[path]) for part in self.parts if path in part.places), None)

    def _place(self, path: str) -> Place:
        found = (place for each in enclosing(path) if (place := self.place_of(each)))
        return next(found, self.parts[0].place())


def read_declaration(
    files: Sequence[str], environ: Mapping[str, str], *, literal_secrets: bool = False
) -> Declaration:
    """Read and merge files, folders and `-`, which is stdin.

    One file is not held to the grammar yet: its models take longer to import than a thousand queues to read,
    and the service looks at it in any case. Raises InvalidSpec where a mistake is seen without, and then with
    every problem of every file, those by the grammar too, each with file:line:column.
    """
    if not files:
        raise InvalidSpec("no file is named", remedy="-f names one, such as queues.yaml")
    label = label_of(files)
    parts = [read_part(source, environ, literal_secrets=literal_secrets) for source in sources(files)]
    clashes = list(_clashes(parts))
    if len(parts) > 1 or clashes or parts[0].problems:
        from cli.grammar import wrong_with

        _refuse(label, wrong_with(parts, clashes))
    return Declaration(label, _merged(parts), tuple(parts))


def _refuse(label: str, problems: Sequence[Problem]) -> None:
    if problems:
        raise InvalidSpec(f"{label} cannot be used", problems=problems)


def _merged(parts: Sequence[Part]) -> dict[str, Any]:
    """The values of all parts; those of several have been held to the grammar."""
    if len(parts) == 1:
        return parts[0].data
    data: dict[str, Any] = {}
    for part in parts:
        for name, value in part.data.items():
            data[name] = [*data.get(name, ()), *(value or ())] if name in NAMED else value
    return data


def _clashes(parts: Iterable[Part]) -> Iterator[Problem]:
    """What is declared twice, with both places."""
    first: dict[tuple[str, str], tuple[Part, int]] = {}
    source: tuple[str, Part] | None = None
    for part in parts:
        owner = part.data.get("source")
        if isinstance(owner, str) and owner:
            if source is not None and source[0] != owner:
                message = f"is {owner!r} here and {source[0]!r} at {source[1].place('source')}"
                problem = Problem("source", message, "apply the files of each source alone")
                yield placed(problem, part.place("source"))
            source = source or (owner, part)
        for kind, index, name in part.names():
            earlier, number = first.setdefault((kind, name), (part, index))
            if (earlier, number) != (part, index):
                message = f"is declared here and at {earlier.place(kind, number, 'name')}"
                problem = Problem(f"{kind}.{name}", message, "keep one of the two")
                yield placed(problem, part.place(kind, index, "name"))

"""One file of a declaration: its values with every reference resolved, and what is wrong with them.

The grammar is not known here, as its models take long to import: `cli.grammar` looks at a part by it. The
reader of YAML is imported where there is some.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from cli.json_text import json_values
from cli.reading import Loc, Mark, Position
from cli.references import References, UnresolvedReference, has_reference, references_in
from cli.sources import Source
from controlplane.core.field_paths import NAMED, field_path
from controlplane.core.redact import redacted
from controlplane.core.secrets import MASK, is_gateway_reference
from controlplane.errors import InvalidSpec, Problem

if TYPE_CHECKING:
    from pydantic import BaseModel

    from controlplane.core.spec import Document

_SECRETS = {
    "gateways": ("admin_key", "redis_url"),
    "providers": ("api_key",),
    "rules": ("api_key",),
    "keys": ("key",),
}
_LITERAL = "write ${env:NAME} or ${file:PATH}, or allow it with --allow-literal-secrets"
_MEND = "mend it"
_REDIS_WITHOUT_PASSWORD = re.compile(r"rediss?://[^@/]+(/\d*)?")
_LONG = 12
"""A text of this length that a reference stands for may be a secret, wherever it was put."""


@dataclass(frozen=True)
class Place:
    """Where something is written."""

    file: str
    position: Position

    def __str__(self) -> str:
        return f"{self.file}:{self.position.line}:{self.position.column}"


@dataclass
class Part:
    """One file, as far as it can be read."""

    file: str
    data: dict[str, Any] = field(repr=False, default_factory=dict)  # Any: checked against Document
    document: "Document | None" = field(repr=False, default=None)
    """What it is by the grammar, once that has been looked at and found nothing wrong."""
    known: "BaseModel | None" = field(repr=False, default=None)
    """The document, and where it has mistakes, what can be known of it."""
    find_marks: Callable[[], Mapping[Loc, Mark]] = field(repr=False, default=dict)
    """Looks where each value stands."""
    hidden: set[str] = field(repr=False, default_factory=set)
    """What references stand for, and secrets that are written out: never repeated in a message."""
    references: set[str] = field(default_factory=set)
    """Every reference, as it is written."""
    problems: list[tuple[Position, Problem]] = field(default_factory=list)
    broken: set[Loc] = field(default_factory=set)
    """Where another value stands for one that could not be read, which is told already."""

    @cached_property
    def marks(self) -> Mapping[Loc, Mark]:
        """Where each value stands."""
        return self.find_marks()

    @cached_property
    def places(self) -> Mapping[str, Position]:
        """Where each field stands, by its path."""
        found: dict[str, Position] = {}
        for loc, mark in self.marks.items():
            found.setdefault(field_path(loc, self.data), Position.of(mark))
        return found

    def place(self, *loc: str | int) -> Place:
        return Place(self.file, Position.of(self.marks[loc]) if loc in self.marks else Position(1, 1))

    def complain(self, position: Position, problem: Problem) -> None:
        """Keep a problem; the same one twice, as aliases make them, is told once."""
        if (position, problem) not in self.problems:
            self.problems.append((position, problem))

    def complain_of(self, problem: Problem) -> None:
        """Keep a problem of a field, at the place of the field or of what encloses it."""
        nearest = next((path for path in enclosing(problem.field) if path in self.places), "")
        self.complain(self.places.get(nearest, Position(1, 1)), _without(problem, self.hidden))

    def names(self) -> Iterator[tuple[str, int, str]]:
        """Kind, number and name of everything that is declared."""
        for kind in NAMED:
            items = self.data.get(kind)
            for index, item in enumerate(items if isinstance(items, list) else ()):
                name = item.get("name") if isinstance(item, dict) else None
                if isinstance(name, str) and name:
                    yield kind, index, name

    def told(self) -> Iterator[Problem]:
        """Every problem, led by file, line and column, in the order of the file."""
        for position, problem in sorted(self.problems, key=lambda each: (each[0].line, each[0].column)):
            yield placed(problem, Place(self.file, position))


def placed(problem: Problem, place: Place) -> Problem:
    where = f"{place}: {problem.field}" if problem.field else str(place)
    return Problem(where, problem.message, problem.remedy)


def enclosing(path: str) -> Iterator[str]:
    """A field's path and those of what it lies in, the nearest first."""
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]


def read_part(source: Source, environ: Mapping[str, str], *, literal_secrets: bool) -> Part:
    """Read one file. What is wrong with it, as far as that is seen without the grammar, is in `problems`."""
    references = References(environ, source.folder)
    try:
        text = source.text()
    except InvalidSpec as error:
        problem = Problem("", error.message, error.remedy or _MEND)
        return Part(source.label, problems=[(Position(1, 1), problem)])
    part = _plain(Part(source.label), text, references, literal_secrets=literal_secrets)
    return part or _by_nodes(Part(source.label), text, references, literal_secrets=literal_secrets)


def _plain(part: Part, text: str, references: References, *, literal_secrets: bool) -> Part | None:
    """The part, if its text is plain JSON or YAML without a mistake."""
    replacing = _Replacing(part, references, literal_secrets)
    data = json_values(text, replacing)
    if data is None and not part.problems:
        from cli.plain_yaml import yaml_values

        data = yaml_values(text, replacing)
    if data is None or part.problems:
        return None
    part.data = data
    part.find_marks = partial(_marks_of, text)
    return part


def _marks_of(text: str) -> Mapping[Loc, Mark]:
    from cli.yaml_nodes import marks_of

    return marks_of(text)


def _by_nodes(part: Part, text: str, references: References, *, literal_secrets: bool) -> Part:
    from cli.yaml_nodes import Reader, YamlProblem

    reader = Reader(_Replacing(part, references, literal_secrets))
    part.find_marks = lambda: reader.marks
    try:
        data = reader.read(text)
    except YamlProblem as error:
        reader.problems.append(error)
        data = None
    for problem in reader.problems:
        part.complain(problem.position, Problem("", problem.message, problem.remedy))
    if isinstance(data, dict):
        part.data = data
        part.broken |= reader.broken
    elif not part.problems:
        part.complain(Position(1, 1), Problem("", "must be names and values", "begin with `version: 1`"))
    return part


def _without(problem: Problem, hidden: set[str]) -> Problem:
    """A message may quote a value, and the value may be what a reference stands for."""
    remedy = None if problem.remedy is None else redacted(problem.remedy, hidden)
    return Problem(problem.field, redacted(problem.message, hidden), remedy)


@dataclass(frozen=True)
class _Replacing:
    """Puts what references stand for in their place."""

    part: Part
    references: References
    literal_secrets: bool

    def __call__(self, loc: Loc, value: str, mark: Mark) -> str:
        if "$" not in value and len(loc) != 3:
            return value  # as most texts, of which there may be hundreds of thousands
        secret = len(loc) == 3 and loc[2] in _SECRETS.get(str(loc[0]), ())
        if secret and not self.literal_secrets and not _may_stand(value):
            self.part.complain(
                Position.of(mark), Problem("", f"{loc[-1]} is written out in the file", _LITERAL)
            )
        self.part.references |= references_in(value)
        try:
            text = self.references.resolve(value)
        except UnresolvedReference as error:
            self.part.complain(Position.of(mark), Problem("", error.message, error.remedy))
            self.part.broken.add(loc)
            return ""
        if not is_gateway_reference(text) and (secret or (text != value and len(text) >= _LONG)):
            self.part.hidden.add(text)
        return text


def _may_stand(text: str) -> bool:
    if text == MASK or not text or is_gateway_reference(text) or has_reference(text):
        return True
    return _REDIS_WITHOUT_PASSWORD.fullmatch(text) is not None

"""A `queues.yaml` on its way to the service: read, resolved, and checked, with a place for every problem."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.references import References, UnresolvedReference, has_reference
from cli.yaml_nodes import LARGEST_FILE, Loc, Position, Reader, YamlProblem
from controlplane.core.problems import field_path, problems_of
from controlplane.core.secrets import MASK, is_gateway_reference
from controlplane.core.spec import Document
from controlplane.errors import InvalidSpec, Problem

STDIN = "-"
_SECRETS = {"providers": "api_key", "keys": "key"}
_LITERAL = "write ${env:NAME} or ${file:PATH}, or allow it with --allow-literal-secrets"


@dataclass(frozen=True)
class Declaration:
    """One file: what is sent to the service, and where in the file each field stands."""

    file: str
    data: dict[str, Any] = field(repr=False)  # Any: checked against Document, and holds plain secrets
    document: Document = field(repr=False)
    places: Mapping[str, Position] = field(repr=False)

    def placed(self, problem: Problem) -> Problem:
        """The problem, led by file, line and column of its field or of what encloses it."""
        return _placed(problem, self.file, self.places)

    def unnamed_keys(self) -> frozenset[str]:
        """The names of keys that have no text of their own, which the service would make up."""
        return frozenset(key.name for key in self.document.keys if key.key is None)


def read_declaration(file: str, environ: Mapping[str, str], *, literal_secrets: bool = False) -> Declaration:
    """Read and check one file (`-` is stdin). Raises InvalidSpec, whose problems carry file:line:column."""
    text, folder = _text(file)
    label = "<stdin>" if file == STDIN else file
    problems: list[Problem] = []
    references = References(environ, folder)

    def replace(loc: Loc, value: str, here: Position) -> str:
        if not literal_secrets and _is_secret(loc) and not _may_stand(value):
            problems.append(_at(label, here, f"{loc[-1]} is written out in the file", _LITERAL))
        try:
            return references.resolve(value)
        except UnresolvedReference as error:
            problems.append(_at(label, here, error.message, error.remedy))
            return ""

    reader = Reader(replace)
    try:
        data = reader.read(text)
    except YamlProblem as error:
        problems.append(_at(label, error.position, error.message, error.remedy))
    if not problems and not isinstance(data, dict):
        problems.append(_at(label, Position(1, 1), "must be names and values", "begin with `version: 1`"))
    if problems:
        raise InvalidSpec(f"{label} cannot be used", problems=problems)
    places: dict[str, Position] = {}
    for loc, position in reader.positions.items():
        places.setdefault(field_path(loc, data), position)
    try:
        document = Document.model_validate(data)
    except ValidationError as error:
        found = [_placed(problem, label, places) for problem in problems_of(error, Document, data)]
        raise InvalidSpec(f"{label} cannot be used", problems=found) from None
    return Declaration(label, data, document, places)


def _text(file: str) -> tuple[str, Path]:
    try:
        raw = sys.stdin.buffer.read(LARGEST_FILE + 1) if file == STDIN else _start_of(Path(file))
    except OSError as error:
        raise InvalidSpec(f"{file} cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST_FILE:
        raise InvalidSpec(f"{file} is over {LARGEST_FILE // 1_000_000} MB", remedy="split it")
    try:
        return raw.decode("utf-8-sig"), Path.cwd() if file == STDIN else Path(file).absolute().parent
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidSpec(f"{file}:{line}: is no UTF-8 text", remedy="save it as UTF-8") from None


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_FILE + 1)


def _is_secret(loc: Loc) -> bool:
    return len(loc) == 3 and _SECRETS.get(str(loc[0])) == loc[2]


def _may_stand(text: str) -> bool:
    return text == MASK or not text or is_gateway_reference(text) or has_reference(text)


def _at(file: str, position: Position, message: str, remedy: str) -> Problem:
    return Problem(f"{file}:{position.line}:{position.column}", message, remedy)


def _placed(problem: Problem, file: str, places: Mapping[str, Position]) -> Problem:
    enclosing = problem.field
    while enclosing and enclosing not in places:
        enclosing = enclosing[: max(enclosing.rfind("."), enclosing.rfind("["), 0)]
    position = places.get(enclosing, Position(1, 1))
    where = f"{file}:{position.line}:{position.column}"
    return Problem(f"{where}: {problem.field}" if problem.field else where, problem.message, problem.remedy)

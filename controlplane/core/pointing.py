"""What declarations refer to, and references that lead nowhere.

A declaration may have mistakes elsewhere: then what can be known of it refers to something.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from pydantic import BaseModel

from controlplane.core.problems import meant_by
from controlplane.core.rules import RuleSpec
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec
from controlplane.errors import Problem

_LOOKED_FOR = 20
"""How many names that nobody knows are compared with all that are known, of which there may be thousands."""
_POINTING = ("provider", "queue", "rule", "key")
_OPENED = ("queue", "provider", "rule")

Names = Mapping[str, Collection[str]]
"""By kind, the names of what is declared."""


def references(spec: BaseModel) -> Iterator[tuple[str, str, str]]:
    """What a declaration refers to: the field, the kind and the name."""
    if isinstance(spec, ProviderSpec | QueueSpec | KeySpec | RuleSpec) and (tenant := _read(spec, "tenant")):
        yield "tenant", "tenant", tenant
    if isinstance(spec, QueueSpec):
        for position, member in enumerate(getattr(spec, "members", ())):
            if provider := _read(member, "provider"):
                yield f"members[{position}].provider", "provider", provider
    if isinstance(spec, KeySpec):
        for kind in _OPENED:
            for position, name in enumerate(getattr(spec, f"{kind}s", ())):
                yield f"{kind}s[{position}]", kind, name


def leading_nowhere(
    declared: Iterable[tuple[str, BaseModel]],
    there: Callable[[str, str], bool],
    names: Callable[[str], Collection[str]],
) -> Iterator[Problem]:
    """The references of what is declared at these paths, by kind and name, behind which there is nothing.

    `names` are all that are known of a kind, for whoever meant one of them.
    """
    told = 0
    for path, spec in declared:
        for where, kind, name in references(spec):
            if there(kind, name):
                continue
            remedy = f"declare the {kind} first, or correct the name"
            if told < _LOOKED_FOR:
                remedy = meant_by(name, names(kind), remedy)
            told += 1
            yield Problem(f"{path}.{where}".removeprefix("."), f"there is no {kind} {name!r}", remedy)


def declared_in(document: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    """What a document declares that may refer to something, and its path."""
    for kind in _POINTING:
        found: Sequence[BaseModel] = getattr(document, f"{kind}s", ())
        for index, spec in enumerate(found):
            name = _read(spec, "name")
            yield f"{kind}s.{name}" if name else f"{kind}s[{index}]", spec


def names_in(document: BaseModel) -> Names:
    """What a document declares that may be referred to."""
    kinds = ("provider", "tenant", "queue", "rule")
    return {kind: {_read(spec, "name") or "" for spec in getattr(document, f"{kind}s", ())} for kind in kinds}


def _read(value: object, name: str) -> str | None:
    """A field; None where it is left out, or wrong."""
    found: str | None = getattr(value, name, None)
    return found

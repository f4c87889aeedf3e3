"""What readers of YAML and of JSON have in common: how much they take, and how they name what they read.

Most declarations are plain. They are read without a look at where each value stands, twice to ten times as
quickly; whoever has something to say against one reads it again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

MOST_VALUES = 500_000
DEEPEST = 64

Loc: TypeAlias = tuple[str | int, ...]
"""Where a value lies in what was read."""

Mark: TypeAlias = Any  # Any: the C and the Python parser of YAML have marks of their own, and JSON has None
"""Where a value stands in its text."""

Replace: TypeAlias = Callable[[Loc, str, Mark], str]
"""Says what stands in the place of a text value."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file, both from 1 as editors count."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: Mark) -> "Position":
        return cls(mark.line + 1, mark.column + 1) if mark else cls(1, 1)


class NotPlain(Exception):
    """Something that only the reader of whole YAML judges."""


def replace_texts(values: dict[str, Any] | list[Any], replace: Replace, loc: Loc = ()) -> None:
    """Put something else in the place of texts that may have a reference or be a secret. Raises NotPlain."""
    if len(loc) >= DEEPEST and values:
        raise NotPlain
    items: Iterable[tuple[Any, Any]] = values.items() if isinstance(values, dict) else enumerate(values)
    for name, value in items:
        kind = type(value)
        if kind is str:
            if "$" in value or len(loc) == 2:
                values[name] = replace((*loc, name), value, None)
        elif kind is dict or kind is list:
            replace_texts(value, replace, (*loc, name))

"""What readers of YAML and of JSON have in common: how much they take, and how they name what they read."""

from collections.abc import Callable
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

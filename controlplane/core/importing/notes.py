"""What an import leaves behind, and how it reads what others have written."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.core.field_paths import visible

Json = Any  # Any: what others have put on a gateway, in whatever shape
_ODD = re.compile(r"[^A-Za-z0-9_-]+")
_UUID = re.compile(r"[0-9a-fA-F-]{32,36}")
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is on the gateway and not in the document."""

    about: str
    """The object on the gateway, such as `routes/chat`."""
    message: str

    def __str__(self) -> str:
        return f"{self.about}: {self.message}"


@dataclass
class Notes:
    """Notes as they come up; the same thing is noted once. No value is repeated, for it may be a secret."""

    found: list[Note] = field(default_factory=list)

    def add(self, about: str, message: str) -> None:
        note = Note(visible(about), visible(message, 300))
        if note not in self.found:
            self.found.append(note)

    def unknown(self, about: str, where: str, found: Mapping[str, Json], known: Collection[str]) -> None:
        """Note every field that nobody reads."""
        for name in found:
            if name not in known:
                self.add(about, f"{where}{name} is not carried over")


def mapping(value: Json) -> Mapping[str, Json]:
    """The value where it is an object, and an empty one otherwise."""
    return value if isinstance(value, Mapping) else {}


def items(value: Json) -> list[Mapping[str, Json]]:
    """The objects of a list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def whole(value: Json) -> int | None:
    """The value where it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def free_name(wanted: Json, taken: Collection[str], otherwise: str) -> str:
    """A name of ours, near the one that is wanted, that nothing has yet."""
    base = _ODD.sub("-", str(wanted or ""))[:_LONGEST].strip("-_") or otherwise
    if _UUID.fullmatch(base):
        base = f"{otherwise}-{base}"  # a UUID addresses objects of ours
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name

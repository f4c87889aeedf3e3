"""Request and response headers, with nginx's idea of what a name is."""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import lru_cache
from typing import Any

Value = str | list[str]
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Headers:
    """Request headers: names in lower case, a repeated header is a list of values."""

    __slots__ = ("_fields", "_underscored")

    def __init__(self) -> None:
        self._fields: dict[str, Value] = {}
        self._underscored = False

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "Headers":
        """Headers from (name, value) pairs in the order of arrival."""
        headers = cls()
        for name, value in pairs:
            headers.add(name.lower(), value)
        return headers

    def add(self, name: str, value: str) -> None:
        """Append a value; `name` is in lower case."""
        fields = self._fields
        if name not in fields:
            fields[name] = value
            if "_" in name:
                self._underscored = True
            return
        present = fields[name]
        if isinstance(present, list):
            present.append(value)
        else:
            fields[name] = [present, value]

    def set(self, name: str, value: Value | None) -> None:
        """Replace every value of a header; None or an empty one removes it. `name` is in lower case."""
        if not value:
            self._fields.pop(name, None)
            return
        self._fields[name] = value
        if "_" in name:
            self._underscored = True

    def put(self, fields: Mapping[str, str]) -> None:
        """Replace headers by values that are not empty; names are in lower case, without underscores."""
        self._fields.update(fields)

    def remove(self, names: frozenset[str]) -> None:
        """Remove headers; names are in lower case."""
        if not names.isdisjoint(self._fields):
            for name in names:
                self._fields.pop(name, None)

    def get(self, name: str) -> str | None:
        """The first value; `name` is in lower case."""
        value = self._fields.get(name)
        return value[0] if isinstance(value, list) else value

    def value(self, name: str) -> Value | None:
        """The value, or all of them where there are several; `name` is in lower case."""
        return self._fields.get(name)

    def variable(self, name: str, dashed: str) -> str | None:
        """What nginx's `$http_NAME` is: a dash and an underscore are the same, several values are joined.

        The name is given with underscores and with dashes.
        """
        if not self._underscored:
            value = self._fields.get(dashed)
            return ", ".join(value) if isinstance(value, list) else value
        found: list[str] = []
        for field, value in self._fields.items():
            if field.replace("-", "_") == name:
                found.extend(value if isinstance(value, list) else [value])
        return ", ".join(found) if found else None

    def possible(self, dashed: frozenset[str]) -> Set[str]:
        """Of some headers, written with dashes, all that may be there under one of their spellings."""
        return dashed if self._underscored else dashed & self._fields.keys()

    def any_named(self, prefix: str) -> bool:
        """False only if no name begins like that, and no name has an underscore where that has a dash."""
        if self._underscored:
            return True
        for name in self._fields:  # noqa: SIM110  any() would make a generator of its own for each request
            if name.startswith(prefix):
                return True
        return False

    def items(self) -> Iterable[tuple[str, Value]]:
        return self._fields.items()

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every single (name, value)."""
        for name, value in self._fields.items():
            if isinstance(value, list):
                for one in value:
                    yield name, one
            else:
                yield name, value

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __len__(self) -> int:
        return len(self._fields)


class ResponseHeaders:
    """Response headers: found by any spelling, sent with the spelling of whoever set them last."""

    __slots__ = ("_fields", "_repeats")

    def __init__(self) -> None:
        self._fields: dict[str, tuple[str, Value]] = {}
        self._repeats = False
        """Whether a header may have several values."""

    def set(self, name: str, value: Value | None) -> None:
        """Replace a header; None removes it. An underscore in a name counts as a dash."""
        key, sent = _names(name)
        if value is None or value == []:
            self._fields.pop(key, None)
        elif isinstance(value, list):
            self._repeats = True
            self._fields[key] = (sent, [one_line(one) for one in value])
        else:
            self._fields[key] = (sent, one_line(value))

    def put(self, fields: Iterable[tuple[str, tuple[str, str]]]) -> None:
        """Replace headers whose names and values are known to be good: name in lower case, (name, value)."""
        self._fields.update(fields)

    def add(self, name: str, value: str) -> None:
        key, sent = _names(name)
        present = self._fields.get(key)
        if present is None:
            self._fields[key] = (sent, one_line(value))
        else:
            self._repeats = True
            values = present[1] if isinstance(present[1], list) else [present[1]]
            self._fields[key] = (present[0], [*values, one_line(value)])

    def get(self, name: str) -> Value | None:
        present = self._fields.get(_names(name)[0])
        return present[1] if present else None

    def first(self, name: str) -> str | None:
        value = self.get(name)
        return value[0] if isinstance(value, list) else value

    def __contains__(self, name: str) -> bool:
        """Whether the header, in lower case, is there."""
        return name in self._fields

    def items(self) -> Iterable[tuple[str, Value]]:
        """(name as it will be sent, value)."""
        return self._fields.values()

    def pairs(self) -> list[tuple[str, str]]:
        """Every single (name as it will be sent, value)."""
        if not self._repeats:
            plain: list[Any] = list(self._fields.values())
            return plain
        return [
            (name, one)
            for name, value in self._fields.values()
            for one in (value if isinstance(value, list) else [value])
        ]


@lru_cache(maxsize=4096)
def _names(name: str) -> tuple[str, str]:
    """A header's name as it is looked up, and as it is sent."""
    dashed = name.replace("_", "-")
    return dashed.lower(), one_line(dashed)


def one_line(text: str) -> str:
    """The text as a header's value: what ends a line is escaped, or its author could write the rest."""
    return text if text.isprintable() else _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return f"%{ord(found.group()):02X}"

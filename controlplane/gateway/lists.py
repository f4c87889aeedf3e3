"""Long lists of a gateway, taken item by item: the whole of one is never unpacked at once."""

import json
import re
from collections.abc import ItemsView, Iterator, Mapping
from typing import Any

import orjson

from controlplane.core.objects import Json

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class PackedBody(Mapping[str, Json]):
    """An object as the gateway wrote it, unpacked whenever it is looked into."""

    __slots__ = ("_item",)

    def __init__(self, item: bytes) -> None:
        self._item = item

    def _body(self) -> dict[str, Json]:
        body: dict[str, Json] = unpacked(self._item)["value"]
        return body

    def __getitem__(self, name: str) -> Json:
        return self._body()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._body())

    def __len__(self) -> int:
        return len(self._body())

    def items(self) -> ItemsView[str, Json]:
        return self._body().items()


class PackedEntry(PackedBody):
    """An object that is packed alone."""

    __slots__ = ()

    def _body(self) -> dict[str, Json]:
        body: dict[str, Json] = unpacked(self._item)
        return body


def unpacked(text: bytes) -> Any:  # Any: JSON of the gateway
    """What a gateway wrote. Raises ValueError for what is no JSON."""
    try:
        return orjson.loads(text)
    except ValueError:  # what only a more patient reader takes, such as half of a surrogate pair
        return json.loads(text)


def listed(content: bytes) -> Iterator[tuple[dict[str, Any], PackedBody]]:  # Any: JSON of the gateway
    """Each item's value, and the same packed. Raises ValueError, KeyError or TypeError for no list."""
    text = content.decode()
    for start, item, end in _items(text):
        yield dict(item["value"]), PackedBody(text[start:end].encode())


def _items(text: str) -> Iterator[tuple[int, Any, int]]:
    """The items of the field `list` of an object, each with where it begins and ends."""
    at = _sign(text, 0, "{")
    there = False
    while text[at : at + 1] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _sign(text, at, ":")
        there = there or name == "list"
        if name == "list" and text[at : at + 1] == "[":
            at = _space(text, at + 1)
            while text[at : at + 1] != "]":
                item, end = _DECODER.raw_decode(text, at)
                yield at, item, end
                at = _next(text, end, "]")
            at += 1
        else:
            value, at = _DECODER.raw_decode(text, at)
            if name == "list" and value:  # Lua writes an empty list as an empty object
                raise TypeError("the list is none")
        at = _next(text, at, "}")
    if not there:
        raise KeyError("list")  # something else than an Admin API says that all is well


def _next(text: str, at: int, end: str) -> int:
    """Past a comma, or at the end."""
    at = _space(text, at)
    return at if text[at : at + 1] == end else _sign(text, at, ",")


def _sign(text: str, at: int, sign: str) -> int:
    at = _space(text, at)
    if text[at : at + 1] != sign:
        raise ValueError(f"there is no {sign} where it should be")
    return _space(text, at + 1)


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at

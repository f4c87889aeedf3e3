"""Long lists of a gateway, taken item by item: the whole of one is never unpacked at once."""

import json
import re
from codecs import getincrementaldecoder
from collections.abc import AsyncIterator, ItemsView, Iterator, Mapping
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


async def listed(
    chunks: AsyncIterator[bytes],
) -> AsyncIterator[tuple[dict[str, Any], PackedBody]]:  # Any: JSON of the gateway
    """Each item's value, and the same packed, while the list comes in; all of it is taken in.

    An empty array in the place of an object, which APISIX takes from anybody, names nothing, and is passed
    over.
    Raises ValueError, KeyError or TypeError for no list.
    """
    text = _Incoming(chunks)
    if await text.sign() != "{":
        await text.value()
        raise TypeError("what was written is no object")
    async for item, packed in _items(text):
        if item["value"] == []:
            continue
        yield item["value"], PackedBody(packed.encode())
    while await text.more():
        pass


async def _items(text: "_Incoming") -> AsyncIterator[tuple[Any, str]]:
    """The items of the field `list` of an object, each with how it is written."""
    text.skip()
    there = False
    while await text.sign() != "}":
        name, _ = await text.value()
        await text.past(":")
        there = there or name == "list"
        if name == "list" and await text.sign() == "[":
            text.skip()
            while await text.sign() != "]":
                yield await text.value()
                await text.past_comma_or("]")
            text.skip()
        else:
            value, _ = await text.value()
            if name == "list" and value:  # Lua writes an empty list as an empty object
                raise TypeError("the list is none")
        await text.past_comma_or("}")
    if not there:
        raise KeyError("list")  # something else than an Admin API says that all is well


class _Incoming:
    """JSON that comes in bit by bit, of which no more is kept than the value that is being read."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._decoder = getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0

    async def more(self, wanted: int = 1) -> bool:
        """Take in so many characters more, or what is left; whether there was anything."""
        parts, length = [self._text[self._at :]], 0
        while length < wanted:
            chunk = await anext(self._chunks, None)
            parts.append(self._decoder.decode(chunk or b"", final=chunk is None))
            length += len(parts[-1])
            if chunk is None:
                break
        self._text, self._at = "".join(parts), 0
        return length > 0

    async def value(self) -> tuple[Any, str]:
        """The value that comes next, and how it is written. Raises ValueError."""
        await self.sign()
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._at)
            except ValueError:
                # Twice as much each time: a long value is not read over and over.
                if await self.more(len(self._text) - self._at + 1):
                    continue
                raise
            if end == len(self._text) and await self.more():
                continue  # a number may go on
            begin, self._at = self._at, end
            return found, self._text[begin:end]

    async def sign(self) -> str:
        """What comes next but for space; nothing at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not await self.more():
                return self._text[self._at : self._at + 1]

    def skip(self) -> None:
        """Past the sign that was seen."""
        self._at += 1

    async def past(self, wanted: str) -> None:
        if await self.sign() != wanted:
            raise ValueError(f"there is no {wanted} where it should be")
        self.skip()

    async def past_comma_or(self, end: str) -> None:
        """Past a comma, or at the end."""
        if await self.sign() != end:
            await self.past(",")

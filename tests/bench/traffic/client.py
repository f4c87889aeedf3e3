"""Calls over one connection, for callers that have to look at what they are answered."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

# Any: JSON.


@dataclass(frozen=True)
class Answer:
    """A status and a body; of a stream all of it."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to a port of this machine, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    async def call(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        """Call and read the whole answer."""
        reader = await self.begin(path, body, headers)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(None, 2)[1])
        if b"transfer-encoding: chunked" in head:
            return Answer(status, await _chunks(reader))
        length = int(head.partition(b"content-length:")[2].split(None, 1)[0])
        return Answer(status, await reader.readexactly(length))

    async def begin(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> asyncio.StreamReader:
        """Call, and leave the answer to be read."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        data = json.dumps(body, separators=(",", ":")).encode()
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(data)}", "", ""]
        writer.write("\r\n".join(lines).encode() + data)
        return reader

    def leave(self) -> None:
        """Close the connection, whatever is on its way."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)

"""The floor: a proxy that limits nothing, `python -m tests.bench.traffic.floor PROVIDER_PORT`.

It parses requests and passes bytes on, with one connection to the provider for each client's. Nothing in
Python that is a proxy at all can be much faster. The port is printed once it listens.
"""

import asyncio
import sys
from typing import cast

import httptools
import uvloop


class Client(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._parser = httptools.HttpRequestParser(self)
        self._upstream: asyncio.Transport | None = None
        self._received: list[bytes] = []
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connecting = asyncio.create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._upstream is not None:
            self._upstream.close()

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser hands out headers; a proxy of any use would look at them."""

    def on_message_complete(self) -> None:
        request, self._received = b"".join(self._received), []
        if self._upstream is None:
            self._body.append(request)
        else:
            self._upstream.write(request)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._upstream, _ = await loop.create_connection(
            lambda: Upstream(self._transport), "127.0.0.1", self._port
        )
        for request in self._body:
            self._upstream.write(request)


class Upstream(asyncio.Protocol):
    """The connection to the provider that belongs to a client's."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.write(data)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(port), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))

"""An Admin API that takes 5 ms for a write and keeps what it is given.

`python -m tests.bench.traffic.admin_api` prints its port once it listens.
"""

import asyncio
import gc
import json
import sys
from typing import Any, cast

import uvloop

WRITE_S = 0.005
_PREFIX = "/apisix/admin/"
_PLUGINS = [
    *("ai-proxy-multi", "ai-rate-limiting", "limit-conn", "limit-count", "limit-req", "key-auth"),
    *("multi-auth", "consumer-restriction", "proxy-rewrite", "response-rewrite", "request-id"),
    *("serverless-pre-function", "serverless-post-function"),
]

# Any: JSON.


class AdminApi(asyncio.Protocol):
    """One connection; requests come one after another."""

    def __init__(self, objects: dict[str, dict[str, Any]]) -> None:
        self._objects = objects
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lower = head.lower()
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if len(rest) < length:
            return
        body, self._buffer = rest[:length], rest[length:]
        method, target = head.decode().split(" ", 2)[:2]
        path = target.removeprefix(_PREFIX).partition("?")[0].strip("/")
        if method in ("PUT", "DELETE"):
            status, value = self._write(method, path, body)
            self._loop.call_later(WRITE_S, self._answer, status, value)
        else:
            self._answer(*self._read(path))

    def _write(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if method == "DELETE":
            found = self._objects.pop(path, None)
            return (404 if found is None else 200), {}
        value = json.loads(body)
        if path == "consumers":
            path = f"consumers/{value['username']}"
        known = path in self._objects
        self._objects[path] = {"id": path.rpartition("/")[2], **value}
        return (200 if known else 201), {"key": f"/apisix/{path}", "value": self._objects[path]}

    def _read(self, path: str) -> tuple[int, Any]:
        if path == "plugins/list":
            return 200, _PLUGINS
        if path == "plugins":
            return 200, {name: {"schema": {}} for name in _PLUGINS}
        if path.startswith("schema/"):
            return 200, {}
        if path in self._objects:
            return 200, {"value": self._objects[path]}
        below = [
            {"value": value}
            for name, value in self._objects.items()
            if name.startswith(f"{path}/") and "/" not in name[len(path) + 1 :]
        ]
        collection = path.count("/") in (0, 2)
        return (
            (200, {"list": below, "total": len(below)}) if collection else (404, {"message": "Key not found"})
        )

    def _answer(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} OK\r\nServer: APISIX/3.18.0\r\nContent-Type: application/json\r\n"
        self._transport.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)


async def _serve() -> None:
    objects: dict[str, dict[str, Any]] = {}
    loop = asyncio.get_running_loop()
    # What it is given stays: a collector that looks through all of it would only make its callers wait.
    gc.disable()
    server = await loop.create_server(lambda: AdminApi(objects), "127.0.0.1", 0, backlog=256)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())

"""A load: so many connections, each of which calls again as soon as it is answered.

`python -m tests.bench.traffic.load '<JSON of a Load>'` prints the JSON of what came of it.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

_END_OF_STREAM = b"\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What is called, over how many connections, and for how long. They begin within `spread_s`."""

    port: int
    path: str
    connections: int
    seconds: float
    streams: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    spread_s: float = 0.0

    def request(self) -> bytes:
        body = json.dumps(
            {
                "model": "gpt-4o-mini",
                "messages": [{"role": "user", "content": "Tell me about the quick brown fox."}],
                **({"stream": True} if self.streams else {}),
            },
            separators=(",", ":"),
        ).encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "User-Agent: OpenAI/Python 3.52.0",
            "Accept: application/json",
            "Content-Type: application/json",
            *(f"{name}: {value}" for name, value in self.headers.items()),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Outcome:
    """What a load found. Times are in milliseconds; `first` is the time to the first byte."""

    calls: int
    failed: int
    per_second: float
    p50: float
    p99: float
    first: float


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, request: bytes, until: float) -> None:
        self._request = request
        self._streams = load.streams
        self._until = until
        self._answer = b""
        self.times: list[float] = []
        self.firsts: list[float] = []
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._call()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.failed += 1
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        if not self._answer:
            self.firsts.append(time.perf_counter() - self._began)
        self._answer += data
        if self._is_complete():
            now = time.perf_counter()
            self.times.append(now - self._began)
            if not self._answer.startswith(b"HTTP/1.1 200"):
                self.failed += 1
            if now < self._until:
                self._call()
            else:
                self.done.set_result(None)
                self._transport.close()

    def _is_complete(self) -> bool:
        answer = self._answer
        if self._streams and answer.startswith(b"HTTP/1.1 200"):
            return answer.endswith(_END_OF_STREAM)
        end = answer.find(b"\r\n\r\n")
        start = answer.lower().find(b"content-length:", 0, end)
        if end < 0 or start < 0:
            return False
        return len(answer) >= end + 4 + int(answer[start + 15 : answer.find(b"\r\n", start)])

    def _call(self) -> None:
        self._answer = b""
        self._began = time.perf_counter()
        self._transport.write(self._request)


async def _run(load: Load) -> Outcome:
    loop = asyncio.get_running_loop()
    request, began = load.request(), time.perf_counter()

    async def call_from(number: int) -> Caller:
        await asyncio.sleep(load.spread_s * number / load.connections)
        _, caller = await loop.create_connection(
            lambda: Caller(load, request, began + load.seconds), "127.0.0.1", load.port
        )
        return caller

    callers = await asyncio.gather(*map(call_from, range(load.connections)))
    await asyncio.gather(*(caller.done for caller in callers))
    took = time.perf_counter() - began
    times = sorted(one for caller in callers for one in caller.times)
    firsts = sorted(one for caller in callers for one in caller.firsts)
    return Outcome(
        calls=len(times),
        failed=sum(caller.failed for caller in callers),
        per_second=len(times) / took,
        p50=_quantile(times, 0.5),
        p99=_quantile(times, 0.99),
        first=_quantile(firsts, 0.5),
    )


def _quantile(times: list[float], share: float) -> float:
    return times[min(int(len(times) * share), len(times) - 1)] * 1000 if times else float("nan")


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_run(Load(**json.loads(sys.argv[1])))))))

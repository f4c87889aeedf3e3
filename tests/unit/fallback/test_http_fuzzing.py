"""Whatever clients and providers send, a connection answers, refuses or closes, and keeps nothing."""

import asyncio
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.fallback.http.answers import Answer, Origin, Patience, UpstreamFailed
from controlplane.fallback.http.connection import Connection
from controlplane.fallback.http.exchange import Exchange
from controlplane.fallback.http.limits import Limits
from controlplane.fallback.http.server import Server
from controlplane.fallback.http.upstream import Pool
from controlplane.fallback.http.upstream_connection import UpstreamConnection
from tests.fixtures.effort import examples

SNIPPETS = [
    b"GET / HTTP/1.1\r\n",
    b"POST /x HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Type: text/event-stream\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"abc",
    b"\x00\xff",
]
BYTES = st.lists(st.sampled_from(SNIPPETS) | st.binary(max_size=12), max_size=14).map(b"".join)
FEW = Limits(header_bytes=2000, header_count=20, target_bytes=200, body_bytes=1000)


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Answering:
    """A server that answers every request at once."""

    limits = FEW
    draining = False
    port = 1

    def __init__(self) -> None:
        self.answered = 0
        self.later: list[Any] = []

    def now(self) -> float:
        return 0.0

    def soon(self, call: Any) -> None:
        self.later.append(call)

    def admit(self, connection: Connection) -> bool:
        return True

    def forget(self, connection: Connection) -> None: ...

    def answer(self, exchange: Exchange) -> None:
        self.answered += 1
        exchange.respond(200, [("X-A", "b")], b"ok")


def serve(parts: list[bytes]) -> tuple[Answering, Transport]:
    server, transport = Answering(), Transport()
    connection = Connection(cast(Server, server))
    connection.connection_made(transport)
    for part in parts:
        connection.data_received(part)
        while server.later:
            server.later.pop(0)()
    connection.connection_lost(None)
    return server, transport


@given(BYTES, st.integers(1, 40))
@settings(max_examples=examples(150))
def test_any_bytes_of_a_client_are_answered_or_refused(data: bytes, step: int) -> None:
    _, transport = serve([data[start : start + step] for start in range(0, len(data), step)])
    text = transport.written
    while text:
        head, _, rest = text.partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.1 100"))
        length = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
        text = rest[int(length[0][16:]) :] if length else rest


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=6), st.booleans(), st.integers(1, 60))
def test_requests_are_answered_one_by_one_however_they_are_cut(
    bodies: list[bytes], chunked: bool, step: int
) -> None:
    data = b""
    for body in bodies:
        if chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            data += (
                b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
            )
        else:
            data += b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    server, transport = serve([data[start : start + step] for start in range(0, len(data), step)])
    # A server that answers before it has a body closes, for what follows could be anything.
    assert 1 <= server.answered <= len(bodies)
    assert transport.written.count(b"HTTP/1.1 200") == server.answered
    if step >= len(data):
        assert server.answered == len(bodies)


@given(BYTES, st.integers(1, 40))
@settings(max_examples=examples(80))
def test_any_bytes_of_a_provider_are_an_answer_or_a_failure(data: bytes, step: int) -> None:
    async def ask() -> None:
        pool = Pool()
        connection = UpstreamConnection(pool, Origin("http", "h", 1))
        connection.connection_made(Transport())
        patience = Patience(timeout_s=5, max_bytes=10_000)
        asked = asyncio.ensure_future(connection.exchange(b"GET / HTTP/1.1\r\n\r\n", patience, ("text/e",)))
        await asyncio.sleep(0)
        for start in range(0, len(data), step):
            if not connection.closed:
                connection.data_received(data[start : start + step])
        connection.connection_lost(None)
        try:
            answer = await asked
        except UpstreamFailed:
            return
        assert isinstance(answer, Answer)
        assert 200 <= answer.status <= 999
        if answer.body is None:
            heard = Heard()
            answer.attach(heard)
            assert heard.over
        assert pool.open_connections == 0

    asyncio.run(ask())


class Heard:
    """A sink that remembers whether the stream is over."""

    def __init__(self) -> None:
        self.over = False

    def data(self, data: bytes) -> None:
        assert not self.over

    def end(self) -> None:
        assert not self.over
        self.over = True

    def failed(self, error: UpstreamFailed) -> None:
        assert not self.over
        self.over = True

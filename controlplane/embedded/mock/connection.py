"""One client's connection: HTTP/1.1 on a bare asyncio protocol, so that the mock never limits a test."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools
import orjson

from controlplane.embedded.mock import control_api
from controlplane.embedded.mock.controls import HEADER_PREFIX, Controls
from controlplane.embedded.mock.dialects import error_body, reply_to, reply_to_get
from controlplane.embedded.mock.journal import Disconnect, Seen
from controlplane.embedded.mock.reply import Answer, Stream
from controlplane.errors import InvalidSpec

if TYPE_CHECKING:
    from controlplane.embedded.mock.provider import MockProvider

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
MOST_AT_ONCE = 256


@dataclass(slots=True)
class _Sending:
    """A stream that is under way."""

    path: str
    controls: Controls
    answer: Answer
    stream: Stream
    sent: int = 0

    @property
    def produced(self) -> int:
        """The completion tokens of the pieces sent so far."""
        pieces = len(self.stream.chunks)
        return self.answer.completion_tokens * self.sent // pieces if pieces else 0


class Connection(asyncio.Protocol):
    """Answers requests one after another, in the order in which they came."""

    def __init__(self, mock: "MockProvider") -> None:
        self._mock = mock
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Seen, bool]] = deque()
        self._answering: str | None = None
        self._keep_alive = True
        self._timer: asyncio.TimerHandle | None = None
        self._sending: _Sending | None = None
        self._paused = False

    @property
    def saturated(self) -> bool:
        """The client does not read as fast as it is written to."""
        return self._paused

    def abort(self) -> None:
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._mock.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._mock.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._answering is not None:
            self._client_left(self._answering)

    def eof_received(self) -> None:
        """The client wants no more: what is sent by now is all that is produced."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keep_alive = False
            self._send(400, error_body(400, "this is not HTTP/1.1"))

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._sending is not None and self._timer is None:
            self._pump(self._sending)

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._path = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers.append((name, value))
        if name == b"expect":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        seen = Seen(
            self._parser.get_method().decode("latin-1"),
            self._path.decode("latin-1"),
            self._headers,
            b"".join(self._body),
        )
        self._waiting.append((seen, self._parser.should_keep_alive()))
        if self._answering is None:
            self._next()

    # Answering.

    def _next(self) -> None:
        while self._waiting and self._answering is None and not self._transport.is_closing():
            seen, self._keep_alive = self._waiting.popleft()
            self._answering = seen.path
            self._begin(seen)

    def _begin(self, seen: Seen) -> None:
        path = seen.path.partition("?")[0]
        if path.startswith(control_api.PREFIX):
            status, value = control_api.handle(self._mock, seen.method, path, seen.raw_body)
            self._send(status, orjson.dumps(value))
            return
        self._mock.journal.saw(seen)
        request = seen.body if seen.raw_body else {}
        if not isinstance(request, dict):
            self._fail(400, "the body is not a JSON object")
            return
        mocked = [header for header in seen.raw_headers if header[0].startswith(HEADER_PREFIX)]
        try:
            controls = self._mock.controls(path, str(request.get("model", "")), mocked)
        except InvalidSpec as error:
            self._fail(400, str(error))
            return
        if controls.refuse:
            self._mock.journal.counters.refused += 1
            self._answering = None
            self._transport.abort()
        elif controls.latency_ms:
            self._later(controls.latency_ms, lambda: self._respond(seen, path, request, controls))
        else:
            self._respond(seen, path, request, controls)

    def _respond(self, seen: Seen, path: str, request: dict[str, object], controls: Controls) -> None:
        now = int(self._mock.clock.now())
        if controls.status != HTTPStatus.OK:
            self._fail(controls.status, retry_after=controls.retry_after)
        elif seen.method != "POST":
            self._mock.journal.answered(200)
            self._send(200, reply_to_get(path, now))
        else:
            answer, reply = reply_to(request, path, controls, now)
            if isinstance(reply, Stream):
                self._start_stream(_Sending(seen.path, controls, answer, reply))
            else:
                completion = 0 if path.endswith("/embeddings") else answer.completion_tokens
                self._mock.journal.answered(200, answer.prompt_tokens, completion)
                self._send(200, reply)

    def _fail(self, status: int, message: str | None = None, *, retry_after: int = 1) -> None:
        self._mock.journal.answered(status)
        extra = b"retry-after: %d\r\n" % retry_after if status == HTTPStatus.TOO_MANY_REQUESTS else b""
        self._send(status, error_body(status, message), extra)

    def _send(self, status: int, body: bytes, extra: bytes = b"") -> None:
        self._transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
            % (status, _reason(status), extra, len(body), body)
        )
        self._answered()

    def _answered(self) -> None:
        self._answering = None
        if not self._keep_alive:
            self._transport.close()
        elif self._waiting:
            self._loop.call_soon(self._next)

    # Streaming.

    def _start_stream(self, sending: _Sending) -> None:
        self._sending = sending
        self._mock.journal.answered(200, sending.answer.prompt_tokens)
        counters = self._mock.journal.counters
        counters.streams += 1
        counters.streams_open += 1
        opening = _chunk(sending.stream.opening) if sending.stream.opening else b""
        pieces = sending.stream.chunks
        at_once = not sending.controls.chunk_delay_ms and sending.controls.cut is None
        if at_once and len(pieces) <= MOST_AT_ONCE:
            sending.sent = len(pieces)
            self._transport.write(STREAM_HEAD + opening + b"".join(map(_chunk, pieces)))
            self._end_stream(sending)
        else:
            self._transport.write(STREAM_HEAD + opening)
            self._pump(sending)

    def _pump(self, sending: _Sending) -> None:
        """Send piece after piece until it is time to wait, the client is too slow, or all is sent."""
        self._timer = None
        pieces, controls = sending.stream.chunks, sending.controls
        while sending.sent < len(pieces):
            if sending.sent == controls.cut:
                self._cut(sending)
                return
            if self._paused:
                return
            self._transport.write(_chunk(pieces[sending.sent]))
            sending.sent += 1
            if controls.chunk_delay_ms:
                self._later(controls.chunk_delay_ms, lambda: self._pump(sending))
                return
        self._end_stream(sending)

    def _end_stream(self, sending: _Sending) -> None:
        self._transport.write(_chunk(sending.stream.closing) + b"0\r\n\r\n")
        self._mock.journal.counters.streams_completed += 1
        self._stream_over(sending)
        self._answered()

    def _cut(self, sending: _Sending) -> None:
        self._stream_over(sending)
        self._answering = None
        self._transport.close()

    def _stream_over(self, sending: _Sending) -> None:
        counters = self._mock.journal.counters
        counters.streams_open -= 1
        counters.completion_tokens += sending.produced
        self._sending = None

    def _client_left(self, path: str) -> None:
        sending = self._sending
        if sending is None:
            self._mock.journal.left(Disconnect(path, 0, 0, 0))
            return
        self._mock.journal.left(
            Disconnect(path, sending.sent, sending.answer.prompt_tokens, sending.produced)
        )
        self._stream_over(sending)

    def _later(self, milliseconds: float, then: Callable[[], None]) -> None:
        def run() -> None:
            self._timer = None
            then()

        self._timer = self._loop.call_later(milliseconds / 1000, run)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Mocked"

"""What comes back from a provider, and what goes wrong."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from controlplane.fallback.http.headers import Headers


class UpstreamFailed(Exception):
    """No usable answer could be had. `timed_out` tells a time-out from everything else; `sent` says whether
    the other side may have seen the request.
    """

    def __init__(
        self, message: str, *, timed_out: bool = False, answered: bool = False, sent: bool = True
    ) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.answered = answered
        self.sent = sent


class TooMuch(UpstreamFailed):
    """The answer is larger than was allowed."""


class ClosedWhileIdle(Exception):
    """A kept connection had been closed by the other side before it was used again."""


class Origin(NamedTuple):
    """Where a connection goes to, and how; connections of one origin are interchangeable."""

    scheme: str
    host: str
    port: int
    server_name: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, and how many connections to keep.

    `connect_s` is `timeout_s` where it is not said.
    """

    timeout_s: float = 30.0
    connect_s: float | None = None
    keep: int = 30
    keep_s: float = 60.0
    max_bytes: int | None = None


class Sink(Protocol):
    """Takes an answer's body as it arrives."""

    def data(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def failed(self, error: UpstreamFailed) -> None: ...


class Source(Protocol):
    """The connection that an answer flows from."""

    def attach(self, sink: Sink) -> None: ...

    def abort(self) -> None: ...

    def stop(self, grace_s: float) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Answer:
    """A provider's answer: the head, and either the whole body or a stream to be attached to a sink."""

    __slots__ = ("_source", "body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes | None, source: Source) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._source = source

    def attach(self, sink: Sink) -> None:
        """Let the rest of the body flow into the sink, starting with what is already here."""
        self._source.attach(sink)

    def abort(self) -> None:
        """Close the connection at once; the sink hears no more."""
        self._source.abort()

    def stop(self, grace_s: float) -> None:
        """Tell the provider to stop, and take in what it had sent by then, for at most `grace_s` seconds.

        The sink hears the end of it, or that it failed.
        """
        self._source.stop(grace_s)

    def pause(self) -> None:
        self._source.pause()

    def resume(self) -> None:
        self._source.resume()

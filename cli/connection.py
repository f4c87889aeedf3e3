"""One connection to the service, and what is asked over it.

httpx takes as long to import as a thousand queues to be planned. It is left to do what is rare: proxies.
"""

import select
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlencode, urlsplit

import httptools

from cli.finding import CallerSettings, is_local, service_url, token_for

if TYPE_CHECKING:
    from ssl import SSLContext

TIMEOUT_S = 30.0
_PIECE = 262_144
_PLAIN = "/%:@!$&'()*+,;=~"
_PORTS = {"http": 80, "https": 443}


class Unanswered(Exception):
    """Nothing came back that is an answer; the message says why."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        """Whether all of the request had gone out, so that it may be done although nobody says so."""

    @classmethod
    def because(cls, error: Exception, *, sent: bool = False) -> "Unanswered":
        return cls(str(error) or type(error).__name__, sent=sent)


@dataclass(frozen=True)
class Request:
    """What is asked, below the address of the service's API."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S
    """For each sign of life."""


@dataclass(frozen=True)
class Answer:
    """The status, and the body as it comes in. Taking a piece raises Unanswered where it breaks off."""

    status: int
    pieces: Iterable[bytes]


class Connection(Protocol):
    """Whatever carries requests to a service, one at a time."""

    def ask(self, request: Request) -> AbstractContextManager[Answer]:
        """The answer, for as long as its body is read. Raises Unanswered."""


@contextmanager
def connection_to(settings: CallerSettings, *, connect_s: float | None = None) -> Iterator[Connection]:
    """A connection to the service that the settings name, or that runs on this machine, as who they say."""
    url = service_url(settings)
    local = is_local(url)
    base = f"{url.rstrip('/')}/api/v1/"
    headers = {"authorization": f"Bearer {token_for(settings, local=local)}", "user-agent": "ctl"}
    if not local and _by_proxy(urlsplit(url).scheme):
        from cli.proxied import proxied

        with proxied(base, headers) as connection:
            yield connection
        return
    direct = _Direct(base, headers, connect_s, own_authorities=not local)
    try:
        yield direct
    finally:
        direct.close()


def _by_proxy(scheme: str) -> bool:
    from urllib.request import getproxies

    return not {scheme, "all"}.isdisjoint(getproxies())


class _Direct:
    """Without a proxy: HTTP/1.1 on a socket that is kept for the next request, parsed by httptools."""

    def __init__(
        self, base: str, headers: Mapping[str, str], connect_s: float | None, *, own_authorities: bool
    ) -> None:
        self._url = urlsplit(base)
        self._headers = headers
        self._connect_s = connect_s
        self._own_authorities = own_authorities
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @contextmanager
    def ask(self, request: Request) -> Iterator[Answer]:
        reply = _Reply()
        try:
            with _unanswered(sent=False):
                sent = self._send(request)
            with _unanswered(sent=sent):
                while not reply.begun:
                    self._receive(reply)
            yield Answer(reply.status, self._pieces(reply))
        finally:
            if not reply.leaves_open:
                self.close()

    def _send(self, request: Request) -> bool:
        """Whether the whole of it went out."""
        data = self._head(request) + request.content
        open_socket = self._opened(request.timeout_s)
        # A service may refuse what it has not read to its end: its answer is there all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            open_socket.sendall(data)
            return True
        return False

    def _head(self, request: Request) -> bytes:
        query = f"?{urlencode(request.query)}" if request.query else ""
        target = quote(self._url.path + request.path, safe=_PLAIN) + query
        headers = {"host": self._host(), **self._headers, **request.headers}
        if request.content or request.method not in ("GET", "DELETE"):
            headers["content-length"] = str(len(request.content))
        if any(not (value.isascii() and value.isprintable()) for value in headers.values()):
            raise ValueError("the token, or another header, is no single line of ASCII")
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{request.method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("ascii")

    def _host(self) -> str:
        name = (self._url.hostname or "").encode("idna").decode()
        name = f"[{name}]" if ":" in name else name
        return name if self._url.port is None else f"{name}:{self._url.port}"

    def _opened(self, timeout_s: float) -> socket.socket:
        # One that was kept has nothing to say before it is asked, except that it has ended.
        if self._socket is not None and select.select([self._socket], [], [], 0)[0]:
            self.close()
        if self._socket is None:
            self._socket = self._connected(self._connect_s or timeout_s)
        self._socket.settimeout(timeout_s)
        return self._socket

    def _connected(self, timeout_s: float) -> socket.socket:
        scheme, host = self._url.scheme, self._url.hostname
        if scheme not in _PORTS or not host:
            raise ValueError("its address does not begin with http:// or https:// and a name")
        plain = socket.create_connection((host, self._url.port or _PORTS[scheme]), timeout_s)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "http":
                return plain
            return _tls(own_authorities=self._own_authorities).wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def _pieces(self, reply: "_Reply") -> Iterator[bytes]:
        while True:
            yield from reply.taken()
            if reply.whole:
                return
            with _unanswered(sent=True):
                self._receive(reply)

    def _receive(self, reply: "_Reply") -> None:
        if self._socket is None:
            raise ConnectionError("the connection is closed")
        reply.feed(self._socket.recv(_PIECE))


class _Reply:
    """An answer, as far as it has come."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._sized = False
        self.begun = False
        self.whole = False
        self.leaves_open = False
        """Whether the connection can be used again."""

    @property
    def status(self) -> int:
        return int(self._parser.get_status_code())

    def feed(self, data: bytes) -> None:
        if data:
            self._parser.feed_data(data)
        elif self.begun and not self._sized:
            self.whole = True  # an answer that does not say where it ends, ends with its connection
        else:
            raise ConnectionError("it hung up before its answer was complete")

    def taken(self) -> list[bytes]:
        """What has come of the body since this was asked."""
        body, self._body = self._body, []
        return body

    def on_header(self, name: bytes, value: bytes) -> None:
        self._sized |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.begun = self.status >= 200  # what comes before is not the answer yet

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.whole = self.begun
        self.leaves_open = self.begun and self._parser.should_keep_alive()


@contextmanager
def _unanswered(*, sent: bool) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise Unanswered.because(error, sent=sent) from error


def _tls(*, own_authorities: bool) -> "SSLContext":
    """Trusts whom browsers trust; with `own_authorities`, those of SSL_CERT_FILE or SSL_CERT_DIR instead."""
    import os
    import ssl

    import certifi

    file = os.environ.get("SSL_CERT_FILE") if own_authorities else None
    folder = os.environ.get("SSL_CERT_DIR") if own_authorities else None
    if file or folder:
        return ssl.create_default_context(cafile=file, capath=None if file else folder)
    return ssl.create_default_context(cafile=certifi.where())

"""One request on its way: everything that plugins read and change."""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controlplane.clock import Clock
from controlplane.fallback import cjson
from controlplane.fallback.http.exchange import BodyTooLarge, Exchange
from controlplane.fallback.http.headers import ResponseHeaders
from controlplane.fallback.runtime.address import Address, client_address, query_arguments, query_text

if TYPE_CHECKING:
    from controlplane.fallback.llm.call import Call
    from controlplane.fallback.llm.relay import Relay
    from controlplane.fallback.runtime.consumers import Identity
    from controlplane.fallback.runtime.plan import Plan

Body = str | bytes | dict[str, Any] | None

JSON_TYPE = "application/json"
# About how long the lines are that every answer has: its status, the server, the length of the body.
_STATUS_LINE_AND_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Reply:
    """A plugin's own answer. An object goes out as JSON; without a body nginx's page goes out."""

    status: int
    body: Body = None


@dataclass(frozen=True, slots=True)
class Passed(Reply):
    """A provider's whole answer; no plugin refused anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed(Reply):
    """A provider's answer that is still arriving."""

    relay: "Relay"


class BodyUnavailable(Exception):
    """The request's body cannot be used; the message is APISIX's. `too_large` says that it is its size."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class Context:
    """The state of one request. Its plugins share it, and nothing of it outlives it.

    `values` holds the variables that plugins have set; `notes` what a plugin keeps for its own later phases;
    `limiting` the key, limit, rest and reset of the window that was looked at last.
    """

    __slots__ = (
        "_arguments",
        "_body",
        "_json",
        "_json_changed",
        "_query",
        "_request_id",
        "address",
        "bytes_sent",
        "call",
        "client_ip",
        "clock",
        "consumer",
        "exchange",
        "from_upstream",
        "headers",
        "host",
        "limiting",
        "matched_host",
        "matched_uri",
        "method",
        "notes",
        "plan",
        "response_body",
        "response_headers",
        "started",
        "status",
        "upstream_addresses",
        "upstream_statuses",
        "upstream_uri",
        "values",
    )

    def __init__(self, exchange: Exchange, address: Address, host: str, clock: Clock) -> None:
        self.exchange = exchange
        self.address = address
        self.headers = exchange.headers
        self.method = exchange.method
        self.host = host
        self.client_ip = client_address(exchange.peer[0], exchange.headers)
        self.clock = clock
        self.started = clock.monotonic()
        self.plan: Plan | None = None
        self.consumer: Identity | None = None
        self.call: Call | None = None
        self.status = 0
        self.response_headers = ResponseHeaders()
        self.response_body: bytes | None = None
        self.upstream_uri: str | None = None
        self.upstream_statuses: list[str] = []
        self.upstream_addresses: list[str] = []
        self.bytes_sent = 0
        self.from_upstream = False
        self.matched_host = ""
        self.matched_uri = ""
        self.values: dict[str, Any] = {}
        self.notes: dict[Any, Any] = {}
        self.limiting: tuple[str, int, int, int] | None = None
        self._query = address.query
        self._arguments: dict[str, str | list[str]] | None = None
        self._body: bytes | None = None
        self._json: Any = None
        self._json_changed = False
        self._request_id: str | None = None

    @property
    def request_id(self) -> str:
        """What the request-id plugin chose, or 32 hexadecimal digits of our own."""
        if self._request_id is None:
            self._request_id = secrets.token_hex(16)
        return self._request_id

    @request_id.setter
    def request_id(self, value: str) -> None:
        self._request_id = value

    @property
    def elapsed(self) -> float:
        """Seconds since the request's headers were complete."""
        return self.clock.monotonic() - self.started

    @property
    def request_bytes(self) -> int:
        """The size of the request, its head included."""
        return self.exchange.head_bytes + self.exchange.body_received

    @property
    def answer_bytes(self) -> int:
        """The size of the answer, its head included; of one that is about to be sent, what it will be."""
        if self.exchange.started:
            return self.exchange.bytes_sent
        fields = sum(len(name) + len(value) + 4 for name, value in self.response_headers.pairs())
        return _STATUS_LINE_AND_LENGTH + fields + self.bytes_sent

    def attach(self, consumer: "Identity") -> None:
        """The caller is known: from here on plugins, variables and the provider see who it is."""
        self.consumer = consumer
        self.headers.set("x-consumer-username", consumer.username)
        self.headers.set("x-credential-identifier", consumer.credential)
        self.headers.set("x-consumer-custom-id", consumer.custom_id)

    # The query.

    @property
    def query(self) -> str:
        return self._query

    @property
    def arguments(self) -> dict[str, str | list[str]]:
        """The query's arguments; one that is repeated is a list."""
        if self._arguments is None:
            self._arguments = query_arguments(self._query)
        return self._arguments

    def set_arguments(self, arguments: dict[str, str | list[str]]) -> None:
        self._arguments = arguments
        self._query = query_text(arguments)

    # The body.

    @property
    def body(self) -> bytes | None:
        """The body if it has been read."""
        if self._json_changed:
            self._body = cjson.encode(self._json)
            self._json_changed = False
        return self._body

    def keep_body(self, limit: int) -> None:
        """Take the body if all of it has arrived and it is within the limit."""
        if self._body is None and self.exchange.body_complete and self.exchange.body_received <= limit:
            self._body = self.exchange.body_so_far()

    async def read_body(self, limit: int) -> bytes:
        """The whole body; BodyUnavailable if it is over the limit."""
        if self._body is None:
            try:
                self._body = await self.exchange.body(limit)
            except BodyTooLarge as error:
                raise BodyUnavailable(f"could not get body: {error}", too_large=True) from None
        elif len(self._body) > limit:
            message = f"could not get body: {BodyTooLarge(len(self._body), limit)}"
            raise BodyUnavailable(message, too_large=True)
        return self.body or b""

    def replace_body(self, value: Any) -> None:  # any JSON value
        """From here on the request's body is this value."""
        self._json = value
        self._body = cjson.encode(value)

    def set_body(self, data: bytes) -> None:
        """From here on that is the request's body."""
        if data != self.body:
            self._body, self._json = data, None

    def changed_json(self) -> None:
        """Somebody has changed what `parsed_body` gave: that is the body from here on."""
        self._json_changed = True

    def parsed_body(self) -> Any:  # any JSON value
        """The JSON of a body that has been read; parsed once, changes to it are seen by everyone after."""
        if self._json is None:
            if not self._body:
                raise BodyUnavailable("could not get body: request body is empty")
            try:
                self._json = cjson.decode(self._body)
            except cjson.InvalidJson as error:
                raise BodyUnavailable(f"could not parse JSON request body: {error}") from None
        return self._json

    def json_or_none(self) -> Any:  # any JSON value
        """The body's JSON where the request says that it is JSON and it is, otherwise None."""
        if JSON_TYPE not in (self.headers.get("content-type") or ""):
            return None
        try:
            return self.parsed_body()
        except BodyUnavailable:
            return None

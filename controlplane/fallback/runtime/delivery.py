"""Delivers a stream to a client: every part as it arrives, and the end of it exactly once."""

from collections.abc import Callable

from controlplane.fallback.llm.estimates import produced
from controlplane.fallback.llm.relay import Relay
from controlplane.fallback.llm.usage import Usage
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.meta import BodyFilter


class StreamDelivery:
    """The outlet of a relay.

    `finish` runs once: when all is sent, when the provider breaks off, or when the client leaves. By then the
    call knows what it cost.
    """

    def __init__(
        self,
        context: Context,
        relay: Relay,
        headers: list[tuple[str, str]],
        filters: tuple[BodyFilter, ...],
        finish: Callable[[], None],
    ) -> None:
        self._context = context
        self._exchange = context.exchange
        self._relay = relay
        self._headers = headers
        self._filters = filters
        self._finish: Callable[[], None] | None = finish
        self._started = False

    def start(self) -> None:
        """Let the relay flow."""
        if self._exchange.closed:
            self._client_left()
            return
        self._exchange.on_closed = self._client_left
        self._exchange.on_writable = self._relay.client_reads
        self._relay.open(self)

    # What the relay calls.

    def data(self, data: bytes) -> None:
        for step in self._filters:
            data = step(self._context, data, False)
        self._send(data)

    def end(self) -> None:
        data = b""
        for step in self._filters:
            data = step(self._context, data, True)
        if data:
            self._send(data)
        elif not self._started:
            self._send(b"")
        self._settle(self._relay.meter.usage)
        self._exchange.finish()

    def broken(self) -> None:
        self._settle(self._relay.meter.usage)
        self._exchange.break_off()

    @property
    def saturated(self) -> bool:
        return self._exchange.saturated

    # Ours.

    def _send(self, data: bytes) -> None:
        if not self._started:
            self._started = True
            self._exchange.start(self._context.status, self._headers, data)
        elif data:
            self._exchange.write(data)
        self._context.bytes_sent += len(data)

    def _client_left(self) -> None:
        if self._finish is not None:
            self._relay.client_left(self._settle_what_was_produced)

    def _settle_what_was_produced(self) -> None:
        """The client has left: it is charged what the provider made for it until then."""
        meter = self._relay.meter
        if self._context.call is None or meter.done:
            self._settle(meter.usage)
        else:
            self._settle(produced(meter, self._context.parsed_body()))

    def _settle(self, usage: Usage | None) -> None:
        """Write down what the stream cost and run what runs at the end of a request."""
        finish, self._finish = self._finish, None
        if finish is None:
            return
        call = self._context.call
        if call is not None:
            call.set_usage(usage, self._context.values)
        finish()

"""The mock as one thing that can be started, told what to do, and looked at."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from controlplane.clock import Clock, SystemClock
from controlplane.embedded.mock.connection import Connection
from controlplane.embedded.mock.controls import (
    PLAIN,
    Controls,
    Defaults,
    apply_headers,
    apply_model,
    apply_values,
)
from controlplane.embedded.mock.journal import Counters, Disconnect, Journal, Seen
from controlplane.errors import Unavailable


class MockProvider:
    """An LLM provider on a local port."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.journal = Journal()
        self.connections: set[Connection] = set()
        self.base_url = ""
        self._defaults: list[Defaults] = []

    @classmethod
    @asynccontextmanager
    async def start(
        cls, *, host: str = "127.0.0.1", port: int = 0, clock: Clock | None = None
    ) -> AsyncIterator["MockProvider"]:
        """Serve until the block ends; port 0 takes a free one, `base_url` says which."""
        mock = cls(clock or SystemClock())
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(lambda: Connection(mock), host, port, backlog=4096)
        except OSError as error:
            raise Unavailable(
                f"the mock provider cannot listen on {host}:{port}: {error.strerror or error}",
                remedy="stop what uses this port, or choose another with SLUICE_MOCK_PORT",
            ) from error
        mock.base_url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield mock
        finally:
            server.close()
            for connection in list(mock.connections):
                connection.abort()
            await server.wait_closed()

    @property
    def requests(self) -> Sequence[Seen]:
        """The requests since the last `forget`, oldest first (the last 2,000)."""
        return tuple(self.journal.requests)

    @property
    def disconnects(self) -> Sequence[Disconnect]:
        """The clients that left before their answer was complete."""
        return tuple(self.journal.disconnects)

    @property
    def counters(self) -> Counters:
        return self.journal.counters

    @property
    def defaults(self) -> Sequence[Defaults]:
        return tuple(self._defaults)

    def forget(self) -> None:
        """Forget requests, disconnects and totals."""
        self.journal.forget()

    def set_defaults(self, *, prefix: str = "", times: int | None = None, **values: Any) -> None:
        """Answer requests under `prefix` so from now on (`status=500`, `usage=10`, …), `times` times if set.

        The values are those of the X-Mock-* headers. Earlier defaults of the same prefix are replaced.
        """
        chosen = Defaults(prefix, apply_values(PLAIN, values), times)
        kept = [defaults for defaults in self._defaults if defaults.prefix != prefix]
        self._defaults = sorted([*kept, chosen], key=lambda defaults: -len(defaults.prefix))

    def clear_defaults(self) -> None:
        self._defaults = []

    def controls(self, path: str, model: str, headers: Sequence[tuple[bytes, bytes]]) -> Controls:
        """How to answer one request; counts down defaults that hold only a number of times."""
        controls = self._default(path) if self._defaults else PLAIN
        controls = apply_model(controls, model)
        return apply_headers(controls, headers) if headers else controls

    def _default(self, path: str) -> Controls:
        for index, defaults in enumerate(self._defaults):
            if path.startswith(defaults.prefix) and defaults.times != 0:
                if defaults.times is not None:
                    self._defaults[index] = replace(defaults, times=defaults.times - 1)
                return defaults.controls
        return PLAIN

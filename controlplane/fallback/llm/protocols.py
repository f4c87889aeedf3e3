"""What is the same about all protocols, and how the one that a client speaks is recognized."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from controlplane.fallback.llm.sse import Event, EventReader
from controlplane.fallback.llm.usage import Usage

Json = dict[str, Any]


class Meter(Protocol):
    """Watches a stream go by, for what it costs."""

    def feed(self, data: bytes) -> None: ...

    @property
    def usage(self) -> Usage | None:
        """What has been reported so far."""

    @property
    def pieces(self) -> int:
        """How many pieces of an answer have gone by."""

    @property
    def done(self) -> bool:
        """The stream has said that it is complete."""


class LlmProtocol(Protocol):
    """One protocol, as a client speaks it and as a provider answers it."""

    name: str

    def matches(self, body: Json, path: str) -> bool:
        """Whether a client's request is in this protocol."""

    def is_streaming(self, body: Json) -> bool: ...

    def prepare(self, body: Json) -> bool:
        """Add what a stream needs in order to report its usage; True if the body was changed."""

    def usage(self, answer: Json) -> Usage | None:
        """What a whole answer reports."""

    def end_user(self, body: Json) -> str | None:
        """For whom a client says that it asks."""

    def calls_tools(self, answer: Json) -> bool:
        """Whether a whole answer calls tools."""

    def meter(self) -> Meter: ...


class EventMeter:
    """A meter that looks at each event of some types."""

    __slots__ = ("_look", "_reader", "_types", "done", "pieces", "usage")

    def __init__(self, types: Mapping[str, bytes], look: Callable[["EventMeter", Event, Json], None]) -> None:
        self._reader = EventReader()
        self._types = tuple(types.values())
        self._look = look
        self.usage: Usage | None = None
        self.pieces = 0
        self.done = False

    def feed(self, data: bytes) -> None:
        complete = self._reader.complete(data)
        if not complete:
            return
        for block in complete.split(b"\n\n"):
            if not any(marker in block for marker in self._types):
                continue
            for event in EventReader().feed(block + b"\n\n"):
                value = parse(event.data)
                if value is not None:
                    self._look(self, event, value)

    def report(self, usage: Usage) -> None:
        if self.usage is None:
            self.usage = usage
        else:
            self.usage.merge(usage)


def user_of(body: Json) -> str | None:
    """For whom a client of OpenAI says that it asks."""
    for name in ("safety_identifier", "user"):
        if isinstance(body.get(name), str):
            return str(body[name])
    return None


def parse(data: bytes) -> Json | None:
    """The JSON object of an event, or None where it is none."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None

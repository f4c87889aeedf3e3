"""Server-sent events: found in a stream that arrives in pieces of any size."""

from dataclasses import dataclass

MOST_UNFINISHED = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One event; without a name it is a `message`."""

    type: str
    data: bytes


class EventReader:
    """Cuts a stream into events. What has no end yet is kept, up to a megabyte."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def complete(self, data: bytes) -> bytes:
        """Everything up to the end of the last event that is complete, with plain line ends."""
        buffer = self._rest + data if self._rest else data
        if b"\r" in buffer:
            # A carriage return at the very end may be half of a line end.
            held = b"\r" if buffer.endswith(b"\r") else b""
            buffer = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n") + held
        end = buffer.rfind(b"\n\n")
        if end < 0:
            self._rest = buffer if len(buffer) <= MOST_UNFINISHED else b""
            return b""
        rest = buffer[end + 2 :]
        self._rest = rest if len(rest) <= MOST_UNFINISHED else b""
        return buffer[: end + 2]

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        return events(self.complete(data))


def events(text: bytes) -> list[Event]:
    """The events of a text with plain line ends; comments and empty blocks are no events."""
    found = []
    for block in text.split(b"\n\n"):
        event = _parse(block)
        if event is not None:
            found.append(event)
    return found


def encode(event_type: str, data: bytes) -> bytes:
    """An event as it is sent."""
    name = f"event: {event_type}\n".encode() if event_type != "message" else b""
    return name + b"".join(b"data: %b\n" % line for line in data.split(b"\n")) + b"\n"


def _parse(block: bytes) -> Event | None:
    kind, data, has_field = "message", [], False
    for line in block.split(b"\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name:
            continue
        has_field = True
        value = value.removeprefix(b" ")
        name = name.lower()
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
    return Event(kind, b"\n".join(data)) if has_field else None

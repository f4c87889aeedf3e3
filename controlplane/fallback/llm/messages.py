"""Anthropic messages."""

from controlplane.fallback.llm.protocols import EventMeter, Json
from controlplane.fallback.llm.sse import Event
from controlplane.fallback.llm.usage import Usage, count, part

_WATCHED = {"message_start": b"message_start", "message_delta": b"message_delta", "stop": b"message_stop"}


class Messages:
    """Any JSON sent to a path that ends with /v1/messages."""

    name = "anthropic-messages"

    def matches(self, body: Json, path: str) -> bool:
        return path.endswith("/v1/messages")

    def is_streaming(self, body: Json) -> bool:
        return body.get("stream") is True

    def prepare(self, body: Json) -> bool:
        return False

    def usage(self, answer: Json) -> Usage | None:
        return usage_of(answer)

    def end_user(self, body: Json) -> str | None:
        user = part(body, "metadata").get("user_id")
        return user if isinstance(user, str) else None

    def calls_tools(self, answer: Json) -> bool:
        blocks = answer.get("content")
        return any(
            isinstance(block, dict) and block.get("type") == "tool_use"
            for block in (blocks if isinstance(blocks, list) else [])
        )

    def meter(self) -> EventMeter:
        return MessagesMeter()


class MessagesMeter(EventMeter):
    """The input is reported when the message starts, the output when it ends."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_WATCHED, _look)

    def feed(self, data: bytes) -> None:
        self.pieces += data.count(b'"content_block_delta"')
        super().feed(data)


def usage_of(answer: Json) -> Usage | None:
    """The usage of a message or of an event."""
    raw = answer.get("usage")
    if not isinstance(raw, dict):
        return None
    prompt, completion = count(raw.get("input_tokens")), count(raw.get("output_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        cache_read_input_tokens=count(raw.get("cache_read_input_tokens")),
        cache_creation_input_tokens=count(raw.get("cache_creation_input_tokens")),
        raw=raw,
    )


def _look(meter: EventMeter, event: Event, value: Json) -> None:
    if event.type == "message_stop":
        meter.done = True
        return
    message = value.get("message") if event.type == "message_start" else value
    found = usage_of(message) if isinstance(message, dict) else None
    if found is not None:
        meter.report(found)

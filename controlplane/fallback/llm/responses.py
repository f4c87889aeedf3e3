"""OpenAI responses."""

from controlplane.fallback.llm.protocols import EventMeter, Json, user_of
from controlplane.fallback.llm.sse import Event
from controlplane.fallback.llm.usage import Usage, count, part

_WATCHED = {
    "completed": b"response.completed",
    "failed": b"response.failed",
    "incomplete": b"response.incomplete",
}


class Responses:
    """A body with `input` sent to a path that ends with /v1/responses."""

    name = "openai-responses"

    def matches(self, body: Json, path: str) -> bool:
        return path.endswith("/v1/responses") and body.get("input") is not None

    def is_streaming(self, body: Json) -> bool:
        return body.get("stream") is True

    def prepare(self, body: Json) -> bool:
        return False

    def usage(self, answer: Json) -> Usage | None:
        return usage_of(answer)

    def end_user(self, body: Json) -> str | None:
        return user_of(body)

    def calls_tools(self, answer: Json) -> bool:
        items = answer.get("output")
        return any(
            isinstance(item, dict) and item.get("type") == "function_call"
            for item in (items if isinstance(items, list) else [])
        )

    def meter(self) -> EventMeter:
        return ResponsesMeter()


class ResponsesMeter(EventMeter):
    """The usage comes with the event that completes the response."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_WATCHED, _look)

    def feed(self, data: bytes) -> None:
        self.pieces += data.count(b'"response.output_text.delta"')
        super().feed(data)


def usage_of(answer: Json) -> Usage | None:
    """The usage of a response object."""
    raw = answer.get("usage")
    if not isinstance(raw, dict):
        return None
    prompt, completion = count(raw.get("input_tokens")), count(raw.get("output_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=count(raw["total_tokens"]) if "total_tokens" in raw else prompt + completion,
        cache_read_input_tokens=count(part(raw, "input_tokens_details").get("cached_tokens")),
        reasoning_tokens=count(part(raw, "output_tokens_details").get("reasoning_tokens")),
        raw=raw,
    )


def _look(meter: EventMeter, event: Event, value: Json) -> None:
    if event.type not in ("response.completed", "response.failed", "response.incomplete"):
        return
    meter.done = True
    found = usage_of(part(value, "response"))
    if found is not None:
        meter.report(found)

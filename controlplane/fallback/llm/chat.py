"""OpenAI chat completions."""

import re

from controlplane.fallback.llm.protocols import Json, parse, user_of
from controlplane.fallback.llm.sse import EventReader, events
from controlplane.fallback.llm.usage import Usage, count, part

# Most events of a stream say `"usage": null`; only the last has an object.
_USAGE = re.compile(rb'"usage"\s*:\s*\{')


class Chat:
    """`{"messages": [...]}` on any path that is no other protocol's."""

    name = "openai-chat"

    def matches(self, body: Json, path: str) -> bool:
        return isinstance(body.get("messages"), list | dict)

    def is_streaming(self, body: Json) -> bool:
        return body.get("stream") is True

    def prepare(self, body: Json) -> bool:
        if not body.get("stream"):
            return False
        body["stream_options"] = {"include_usage": True}
        return True

    def usage(self, answer: Json) -> Usage | None:
        return usage_of(answer)

    def end_user(self, body: Json) -> str | None:
        return user_of(body)

    def calls_tools(self, answer: Json) -> bool:
        choices = answer.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            calls = part(choice, "message").get("tool_calls")
            if isinstance(calls, list) and calls:
                return True
        return False

    def meter(self) -> "ChatMeter":
        return ChatMeter()


class ChatMeter:
    """Counts the pieces of a stream and finds its usage, parsing no more than the events that have one."""

    __slots__ = ("_reader", "done", "pieces", "usage")

    def __init__(self) -> None:
        self._reader = EventReader()
        self.usage: Usage | None = None
        self.pieces = 0
        self.done = False

    def feed(self, data: bytes) -> None:
        complete = self._reader.complete(data)
        if not complete:
            return
        self.pieces += complete.count(b'"content"')
        if b"[DONE]" in complete:
            self.done = True
        if _USAGE.search(complete) is None:
            return
        for event in events(complete):
            value = parse(event.data) if _USAGE.search(event.data) else None
            found = usage_of(value) if value is not None else None
            if found is not None and self.usage is not None:
                self.usage.merge(found)
            elif found is not None:
                self.usage = found


def usage_of(answer: Json) -> Usage | None:
    """The usage of an answer or of an event."""
    raw = answer.get("usage")
    if not isinstance(raw, dict):
        return None
    prompt, completion = count(raw.get("prompt_tokens")), count(raw.get("completion_tokens"))
    inputs, outputs = part(raw, "prompt_tokens_details"), part(raw, "completion_tokens_details")
    cached = inputs.get("cached_tokens", raw.get("prompt_cache_hit_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=count(raw["total_tokens"]) if "total_tokens" in raw else prompt + completion,
        cache_read_input_tokens=count(cached) if cached else 0,
        cache_creation_input_tokens=count(inputs.get("cache_creation_input_tokens")) if inputs else 0,
        reasoning_tokens=count(outputs.get("reasoning_tokens")) if outputs else 0,
        raw=raw,
    )

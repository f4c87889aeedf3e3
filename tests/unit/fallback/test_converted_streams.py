"""Streams of OpenAI chat that are turned into streams of Anthropic messages."""

from typing import Any

import orjson
import pytest

from controlplane.fallback.llm.anthropic_requests import ToolNames
from controlplane.fallback.llm.anthropic_stream import AnthropicStream

ENDS = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def converted(*chunks: dict[str, Any]) -> list[dict[str, Any]]:
    """The events that come of these chunks, up to the end of the stream."""
    stream = AnthropicStream(ToolNames())
    sent = [stream.feed(b"data: " + orjson.dumps(chunk) + b"\n\n") for chunk in chunks]
    sent.append(stream.feed(b"data: [DONE]\n\n"))
    lines = b"".join(sent).split(b"\n")
    return [orjson.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]


@pytest.mark.parametrize(
    ("first", "named"),
    [
        ({"id": "c-1", "model": "m"}, {"id": "c-1", "model": "m"}),
        ({"id": None, "model": None}, {}),
        ({}, {}),
        ({"id": "c-1", "model": ""}, {"id": "c-1", "model": ""}),
    ],
)
def test_what_the_provider_leaves_null_is_left_out_as_on_apisix(
    first: dict[str, Any], named: dict[str, Any]
) -> None:
    started, *_ = converted({**first, "choices": [{"delta": {"content": "a"}}]}, ENDS)
    message = started["message"]
    assert {name: message[name] for name in ("id", "model") if name in message} == named
    assert message["role"] == "assistant"


def test_the_model_of_a_later_chunk_changes_nothing() -> None:
    events = converted({"model": None, "choices": []}, {"model": "late", **ENDS})
    assert [event["type"] for event in events] == ["message_start", "message_delta", "message_stop"]
    assert "model" not in events[0]["message"]

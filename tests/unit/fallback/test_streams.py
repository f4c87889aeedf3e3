"""Server-sent events, and what a stream costs."""

import orjson
import pytest

from controlplane.fallback.llm.chat import Chat
from controlplane.fallback.llm.detection import BY_NAME, detect
from controlplane.fallback.llm.estimates import estimate_prompt, produced
from controlplane.fallback.llm.prompts import append, prepend, texts_of
from controlplane.fallback.llm.sse import MOST_UNFINISHED, EventReader


def chunk(**fields: object) -> bytes:
    return b"data: " + orjson.dumps(fields) + b"\n\n"


def test_events_are_found_whatever_the_line_ends_and_fields_are() -> None:
    reader = EventReader()
    text = b": comment\n\nevent: a\ndata: 1\ndata: 2\n\r\ndata:3\r\n\r\nid: 7\nDATA: x\n\n"
    events = [event for byte in text for event in reader.feed(bytes([byte]))]
    assert [(event.type, event.data) for event in events] == [
        ("a", b"1\n2"),
        ("message", b"3"),
        ("message", b"x"),
    ]


def test_an_event_without_an_end_is_not_kept_for_ever() -> None:
    reader = EventReader()
    for _ in range(40):
        reader.feed(b"data: " + b"x" * (MOST_UNFINISHED // 20))
    assert [event.data for event in reader.feed(b"\n\ndata: good\n\n")][-1] == b"good"


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_the_usage_of_a_chat_is_found_in_pieces_of_any_size(size: int) -> None:
    text = b"".join(
        [
            chunk(choices=[{"delta": {"content": "a"}}], usage=None),
            chunk(choices=[{"delta": {"content": 'a "usage": {'}}]),
            chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}),
            b"data: [DONE]\n\n",
        ]
    )
    meter = Chat().meter()
    for start in range(0, len(text), size):
        meter.feed(text[start : start + size])
    assert meter.usage is not None
    assert (meter.usage.prompt_tokens, meter.usage.completion_tokens, meter.usage.total_tokens) == (3, 4, 7)
    assert meter.done
    assert meter.pieces == 2


def test_reports_of_anthropic_and_of_responses_are_put_together() -> None:
    meter = BY_NAME["anthropic-messages"].meter()
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
    delta = {"type": "message_delta", "usage": {"output_tokens": 5}}
    for name, value in (("message_start", start), ("message_delta", delta), ("message_stop", {})):
        meter.feed(f"event: {name}\n".encode() + b"data: " + orjson.dumps(value) + b"\n\n")
    assert meter.usage is not None
    assert (meter.usage.prompt_tokens, meter.usage.completion_tokens, meter.usage.total_tokens) == (9, 5, 14)
    meter = BY_NAME["openai-responses"].meter()
    done = {"type": "response.completed", "response": {"usage": {"input_tokens": 2, "output_tokens": 3}}}
    meter.feed(b"event: response.completed\ndata: " + orjson.dumps(done) + b"\n\n")
    assert meter.usage is not None
    assert meter.usage.total_tokens == 5


@pytest.mark.parametrize(
    "usage", [None, 3, [], {"prompt_tokens": "many"}, {"prompt_tokens": -4, "completion_tokens": 1e300}]
)
def test_a_usage_that_makes_no_sense_costs_nothing(usage: object) -> None:
    found = Chat().usage({"usage": usage})
    assert found is None or found.total_tokens == 0


def test_a_stream_that_was_left_costs_its_pieces_and_its_prompt() -> None:
    meter = Chat().meter()
    for _ in range(5):
        meter.feed(chunk(choices=[{"delta": {"content": "x"}}]))
    request = {"messages": [{"role": "user", "content": "a" * 9}], "model": "not counted"}
    usage = produced(meter, request)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (3, 5, 8)
    assert usage.raw["total_tokens"] == 8
    assert estimate_prompt({"input": ["abcd", [1, 2, 3]]}) == 4
    assert estimate_prompt(None) == 0


@pytest.mark.parametrize(
    ("body", "path", "name"),
    [
        ({"messages": []}, "/v1/messages", "anthropic-messages"),
        ({"messages": []}, "/any", "openai-chat"),
        ({"input": "x"}, "/v1/responses", "openai-responses"),
        ({"input": "x"}, "/any", "openai-embeddings"),
        ({"other": 1}, "/any", "passthrough"),
        ({}, "/any", None),
        ([1], "/any", None),
        (None, "/any", None),
    ],
)
def test_the_protocol_is_recognized(body: object, path: str, name: str | None) -> None:
    found = detect(body, path)
    assert (found.name if found else None) == name


def test_texts_are_read_and_added_in_every_protocol() -> None:
    prompt = [{"role": "system", "content": "be kind"}]
    body = {
        "instructions": "first",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "function_call_output", "output": "b"},
            "c",
        ],
    }
    texts = [(one.role, one.content) for one in texts_of("openai-responses", body)]
    assert texts == [("system", "first"), ("user", "a"), ("user", "b"), ("user", "c")]
    append("openai-responses", body, prompt)
    assert body["input"][-1] == {"type": "message", "role": "user", "content": "be kind"}
    message = {"system": "s", "messages": [{"role": "user", "content": "x"}]}
    prepend("anthropic-messages", message, prompt)
    assert [one.content for one in texts_of("anthropic-messages", message)] == ["s", "be kind", "x"]
    assert texts_of("passthrough", {"messages": ["x"]}) == []

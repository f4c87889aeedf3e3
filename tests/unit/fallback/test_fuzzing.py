"""Whatever bytes arrive, the parsers answer with a value or an error of their own, and never otherwise."""

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.fallback import cjson
from controlplane.fallback.admin.merging import merge
from controlplane.fallback.http.headers import Headers, ResponseHeaders
from controlplane.fallback.llm.anthropic_answers import UnusableAnswer, to_message
from controlplane.fallback.llm.anthropic_requests import InvalidMessages, ToolNames, to_chat
from controlplane.fallback.llm.anthropic_stream import AnthropicStream
from controlplane.fallback.llm.detection import PROTOCOLS, detect
from controlplane.fallback.llm.estimates import estimate_prompt, produced
from controlplane.fallback.llm.prompts import texts_of
from controlplane.fallback.llm.sse import EventReader, encode
from controlplane.fallback.runtime.address import InvalidAddress, parse, query_arguments
from controlplane.fallback.runtime.expressions import InvalidExpression, compile_expression
from controlplane.fallback.runtime.stable_json import stable_json
from controlplane.fallback.runtime.templates import template
from controlplane.fallback.schema.kinds import ROUTE
from controlplane.fallback.schema.validator import check
from tests.fixtures.effort import examples
from tests.unit.fallback.requests import request

SOMETHING = (
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)


def nested(leaves: st.SearchStrategy[Any], most: int = 12) -> st.SearchStrategy[Any]:
    """JSON values made of these."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=most,
    )


JSON = nested(st.none() | SOMETHING)
WORDS = st.sampled_from(
    [
        *("messages", "role", "content", "type", "text", "input", "usage", "choices", "delta", "system"),
        *("tool_calls", "tools", "tool_use", "tool_result", "function", "name", "id", "index", "stream"),
        *("user", "assistant", "prompt_tokens", "completion_tokens", "input_tokens", "message", "arguments"),
    ]
)
# JSON with the words that the protocols look for in every place where they do not expect them.
SHAPED = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**60) | WORDS | st.just(""),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=25,
)


@given(st.binary(max_size=200))
def test_any_body_is_json_or_an_error(data: bytes) -> None:
    with suppress(cjson.InvalidJson):
        assert cjson.decode(data) == json.loads(data.decode())


@given(JSON)
def test_json_survives_being_written(value: Any) -> None:
    assert cjson.decode(cjson.encode(value)) == value
    stable_json(value)


@given(
    st.lists(st.tuples(st.sampled_from(["message", "a", "b"]), st.text(max_size=30)), max_size=8), st.data()
)
def test_events_arrive_whole_however_a_stream_is_cut(
    events: list[tuple[str, str]], data: st.DataObject
) -> None:
    clean = [(name, text.replace("\r", " ").encode("utf-8", "replace")) for name, text in events]
    stream = b"".join(encode(name, text) for name, text in clean)
    reader, found, position = EventReader(), [], 0
    while position < len(stream):
        step = data.draw(st.integers(1, 20))
        found += reader.feed(stream[position : position + step])
        position += step
    assert [(event.type, event.data) for event in found] == clean


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_stream_can_be_watched_and_converted(parts: list[bytes]) -> None:
    meters = [protocol.meter() for protocol in PROTOCOLS]
    converter = AnthropicStream(ToolNames())
    for part in parts:
        for meter in meters:
            meter.feed(part)
        assert isinstance(converter.feed(part), bytes)


@given(st.lists(SHAPED, max_size=6), WORDS)
def test_any_events_can_be_watched_and_converted(values: list[Any], name: str) -> None:
    meters = [protocol.meter() for protocol in PROTOCOLS]
    converter = AnthropicStream(ToolNames())
    for value in values:
        for kind in ("message", "message_start", "message_delta", "response.completed", name):
            event = encode(kind, orjson.dumps(value))
            for meter in meters:
                meter.feed(event)
                assert produced(meter, value).total_tokens >= 0
            assert isinstance(converter.feed(event), bytes)


@given(SHAPED, st.sampled_from(["/v1/messages", "/v1/responses", "/any"]))
def test_any_body_has_a_protocol_texts_and_a_cost_or_none(body: Any, path: str) -> None:
    protocol = detect(body, path)
    assert estimate_prompt(body) >= 0
    if protocol is not None:
        texts_of(protocol.name, body)
        usage = protocol.usage(body)
        assert usage is None or usage.total_tokens >= 0
        protocol.prepare(body)


@given(st.dictionaries(WORDS, SHAPED, max_size=8))
@settings(max_examples=examples(100))
def test_any_message_is_converted_or_refused(body: dict[str, Any]) -> None:
    names = ToolNames()
    with suppress(InvalidMessages):
        orjson.dumps(to_chat(body, names))
    with suppress(UnusableAnswer):
        orjson.dumps(to_message(body, names, "model"))


@given(st.text(max_size=60))
def test_any_target_is_an_address_or_refused(target: str) -> None:
    try:
        address = parse(target.encode("utf-8", "replace").decode("latin-1"))
    except InvalidAddress:
        return
    assert address.path.startswith("/")
    assert "/../" not in address.path
    assert "//" not in address.path
    query_arguments(address.query)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=10), st.text(max_size=10)), max_size=8))
def test_any_headers_can_be_kept_and_looked_up(pairs: list[tuple[str, str]]) -> None:
    headers = Headers.of(pairs)
    assert len(list(headers.pairs())) == len(pairs)
    answer = ResponseHeaders()
    for name, value in pairs:
        headers.variable(name.lower().replace("-", "_"), name.lower().replace("_", "-"))
        answer.add(name, value)
    assert not any("\n" in text or "\r" in text for pair in answer.pairs() for text in pair)


@given(st.text(max_size=40))
def test_any_text_is_a_template(text: str) -> None:
    template(text).resolve(request("/a?b=c", x_one="1"))


@given(SHAPED)
def test_any_rules_are_a_condition_or_refused(rules: Any) -> None:
    with suppress(InvalidExpression):
        compile_expression(rules)(request("/a"))


@given(JSON)
def test_any_value_is_checked_against_a_schema(value: Any) -> None:
    problem = check(ROUTE, value)
    assert problem is None or problem


OBJECTS = st.dictionaries(st.text(max_size=4), nested(SOMETHING, most=6), max_size=4)


@given(OBJECTS, OBJECTS)
def test_a_change_that_is_merged_a_second_time_changes_nothing(
    target: dict[str, Any], change: dict[str, Any]
) -> None:
    merge(target, change)
    once = json.dumps(target, sort_keys=True)
    merge(target, json.loads(json.dumps(change)))
    assert json.dumps(target, sort_keys=True) == once
    merge(target, dict.fromkeys(target))
    assert target == {}


@pytest.mark.parametrize("depth", [500, 1_100, 100_000])
def test_a_deep_body_is_refused_and_does_no_harm(depth: int) -> None:
    data = b"[" * depth + b"]" * depth
    if depth < 1000:
        assert cjson.decode(data)
        return
    with pytest.raises(cjson.InvalidJson):
        cjson.decode(data)

"""Anthropic messages."""

from typing import Any

import orjson

from controlplane.embedded.mock.reply import Answer, Stream, event

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}


def whole(answer: Answer) -> bytes:
    """A message object."""
    message = _message(answer)
    message["content"] = [{"type": "text", "text": answer.text}]
    message["stop_reason"] = _STOP_REASONS[answer.finish]
    if answer.show_usage:
        message["usage"] = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens}
    return orjson.dumps(message)


def stream(answer: Answer) -> Stream:
    """message_start to message_stop; the output tokens come with message_delta."""
    started = _message(answer)
    if answer.show_usage:
        started["usage"] = {"input_tokens": answer.prompt_tokens, "output_tokens": 1}
    block = {"type": "text", "text": ""}
    opening = event("message_start", {"type": "message_start", "message": started}) + event(
        "content_block_start", {"type": "content_block_start", "index": 0, "content_block": block}
    )
    chunks = [
        event(
            "content_block_delta",
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}},
        )
        for piece in answer.pieces
    ]
    ended: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": _STOP_REASONS[answer.finish], "stop_sequence": None},
    }
    if answer.show_usage:
        ended["usage"] = {"output_tokens": answer.completion_tokens}
    closing = (
        event("content_block_stop", {"type": "content_block_stop", "index": 0})
        + event("message_delta", ended)
        + event("message_stop", {"type": "message_stop"})
    )
    return Stream(opening, chunks, closing)


def _message(answer: Answer) -> dict[str, Any]:
    return {
        "id": "msg_mock",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }

"""OpenAI responses."""

from typing import Any

import orjson

from controlplane.embedded.mock.reply import Answer, Stream, event

_MESSAGE_ID = "msg_mock"


def whole(answer: Answer) -> bytes:
    """A completed response object."""
    return orjson.dumps(_response(answer, "completed"))


def stream(answer: Answer) -> Stream:
    """response.created to response.completed, numbered."""
    where = {"item_id": _MESSAGE_ID, "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    opening = [
        _event("response.created", 0, response=_response(answer, "in_progress")),
        _event("response.in_progress", 1, response=_response(answer, "in_progress")),
        _event("response.output_item.added", 2, output_index=0, item=_message("in_progress", [])),
        _event("response.content_part.added", 3, **where, part=part),
    ]
    number = len(opening)
    chunks = [
        _event("response.output_text.delta", number + index, **where, delta=piece, logprobs=[])
        for index, piece in enumerate(answer.pieces)
    ]
    number += len(chunks)
    spoken = {**part, "text": answer.text}
    closing = [
        _event("response.output_text.done", number, **where, text=answer.text, logprobs=[]),
        _event("response.content_part.done", number + 1, **where, part=spoken),
        _event("response.output_item.done", number + 2, output_index=0, item=_message("completed", [spoken])),
        _event("response.completed", number + 3, response=_response(answer, "completed")),
    ]
    return Stream(b"".join(opening), chunks, b"".join(closing))


def _event(kind: str, number: int, **fields: Any) -> bytes:  # the fields of any event
    return event(kind, {"type": kind, "sequence_number": number, **fields})


def _message(status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": _MESSAGE_ID, "type": "message", "role": "assistant", "status": status, "content": content}


def _response(answer: Answer, status: str) -> dict[str, Any]:
    done = status == "completed"
    spoken = [{"type": "output_text", "text": answer.text, "annotations": []}]
    usage = {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.total_tokens,
    }
    return {
        "id": "resp_mock",
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "model": answer.model,
        "output": [_message("completed", spoken)] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "usage": usage if done and answer.show_usage else None,
    }

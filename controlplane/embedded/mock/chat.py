"""OpenAI chat completions (and, for anything unknown, the same)."""

import json

from controlplane.embedded.mock.reply import Answer, Stream

DONE = b"data: [DONE]\n\n"


def whole(answer: Answer) -> bytes:
    """A chat.completion object."""
    usage = b', "usage": ' + _usage(answer) if answer.show_usage else b""
    return (
        b'{"id": "chatcmpl-mock", "created": %d, "model": %b, "object": "chat.completion", "choices": '
        b'[{"index": 0, "message": {"role": "assistant", "content": %b}, "finish_reason": "%b"}]%b}'
        % (answer.created, _text(answer.model), _text(answer.text), answer.finish.encode(), usage)
    )


def stream(answer: Answer, *, include_usage: bool) -> Stream:
    """chat.completion.chunk events; the usage comes last and only where it was asked for."""
    head = (
        b'data: {"id": "chatcmpl-mock", "created": %d, "model": %b, "object": "chat.completion.chunk", '
        % (
            answer.created,
            _text(answer.model),
        )
    )
    chunks = [
        b'%b"choices": [{"index": 0, "delta": {"content": %b}, "finish_reason": null}]}\n\n'
        % (head, _text(piece))
        for piece in answer.pieces
    ]
    closing = b'%b"choices": [{"index": 0, "delta": {}, "finish_reason": "%b"}]}\n\n' % (
        head,
        answer.finish.encode(),
    )
    if include_usage and answer.show_usage:
        closing += b'%b"choices": [], "usage": %b}\n\n' % (head, _usage(answer))
    return Stream(b"", chunks, closing + DONE)


def _usage(answer: Answer) -> bytes:
    return b'{"prompt_tokens": %d, "completion_tokens": %d, "total_tokens": %d}' % (
        answer.prompt_tokens,
        answer.completion_tokens,
        answer.total_tokens,
    )


def _text(value: str) -> bytes:
    return json.dumps(value).encode()

"""Which dialect a path speaks, and the reply in it."""

from typing import Any

import orjson

from controlplane.embedded.mock import chat, embeddings, messages, responses
from controlplane.embedded.mock.controls import Controls
from controlplane.embedded.mock.reply import Answer, Stream, compose

MODELS = ("mock", "m-tok10", "m-tok100")


def reply_to(
    request: dict[str, Any], path: str, controls: Controls, created: int
) -> tuple[Answer, bytes | Stream]:
    """The answer to a POST, whole or as a stream; any path that is no other dialect's is chat.

    `path` has no query. The shape `chat` speaks chat completions everywhere.
    """
    answer = compose(request, controls, created)
    streamed = request.get("stream") is True
    if controls.shape == "native":
        if path.endswith("/embeddings"):
            return answer, embeddings.whole(request, answer)
        if path.endswith("/responses"):
            return answer, responses.stream(answer) if streamed else responses.whole(answer)
        if path.endswith("/messages"):
            return answer, messages.stream(answer) if streamed else messages.whole(answer)
    if not streamed:
        return answer, chat.whole(answer)
    options = request.get("stream_options")
    include_usage = isinstance(options, dict) and options.get("include_usage") is True
    return answer, chat.stream(answer, include_usage=include_usage)


def reply_to_get(path: str, created: int) -> bytes:
    """The list of models, or a sign of life for health checks."""
    if path.endswith("/models"):
        listed = [{"id": name, "object": "model", "created": created, "owned_by": "mock"} for name in MODELS]
        return orjson.dumps({"object": "list", "data": listed})
    return b'{"status": "ok"}'


def error_body(status: int, message: str | None = None) -> bytes:
    """The body of an error, in the shape of OpenAI's."""
    text = orjson.dumps(message or f"mock {status}")
    return b'{"error": {"message": %b, "type": "mock_error", "code": %d}}' % (text, status)

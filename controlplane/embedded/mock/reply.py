"""What a dialect makes of a request: the pieces of text, what they cost, and the bytes to send."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from controlplane.embedded.mock.controls import Controls

ANSWER_WORDS = ("Hello", " from", " mock")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said, before it is put into a dialect's shape."""

    model: str
    pieces: Sequence[str]
    prompt_tokens: int
    completion_tokens: int
    show_usage: bool
    finish: str
    created: int

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream in order: what opens it, one element for each piece of text, what closes it."""

    opening: bytes
    chunks: Sequence[bytes]
    closing: bytes


def compose(request: dict[str, Any], controls: Controls, created: int) -> Answer:
    """Decide the text and its cost; without controls the cost is a count of the words."""
    model = request.get("model")
    limit = (
        request.get("max_completion_tokens") or request.get("max_tokens") or request.get("max_output_tokens")
    )
    wanted = controls.chunks if controls.chunks is not None else len(ANSWER_WORDS)
    finish = "stop"
    if controls.chunks is None and isinstance(limit, int) and 0 < limit < wanted:
        wanted, finish = limit, "length"
    pieces = ANSWER_WORDS if wanted == len(ANSWER_WORDS) else [_piece(index) for index in range(wanted)]
    prompt, completion = controls.prompt_tokens, controls.completion_tokens
    return Answer(
        model=model if isinstance(model, str) else "mock",
        pieces=pieces,
        prompt_tokens=prompt if prompt is not None else count_words(request),
        completion_tokens=completion if completion is not None else wanted,
        show_usage=not controls.no_usage,
        finish=finish,
        created=created,
    )


def count_words(request: dict[str, Any]) -> int:
    """The words of everything in the request that a model would read."""
    read = ("messages", "input", "prompt", "system", "instructions")
    return sum(_words(request[name]) for name in read if name in request)


def event(name: str, data: dict[str, Any]) -> bytes:
    """One named server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


def _words(value: Any) -> int:  # any JSON value
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, int):
        return 1
    if isinstance(value, list):
        return sum(_words(item) for item in value)
    if isinstance(value, dict):
        return sum(_words(value[name]) for name in ("content", "text", "input") if name in value)
    return 0


def _piece(index: int) -> str:
    word = ANSWER_WORDS[index % len(ANSWER_WORDS)].strip()
    return word if index == 0 else f" {word}"

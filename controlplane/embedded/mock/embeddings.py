"""OpenAI embeddings: a short vector made of the text, so that equal texts get equal vectors."""

import base64
import hashlib
import struct
from typing import Any

import orjson

from controlplane.embedded.mock.reply import Answer

DIMENSIONS = 8
MOST_DIMENSIONS = 4096


def whole(request: dict[str, Any], answer: Answer) -> bytes:
    """A list of embeddings, one for each input."""
    given = request.get("input", "")
    # A list of numbers is one text given as tokens, not many texts.
    many = isinstance(given, list) and not all(isinstance(item, int) for item in given)
    inputs = given if many else [given]
    asked = request.get("dimensions")
    dimensions = min(asked, MOST_DIMENSIONS) if isinstance(asked, int) and asked > 0 else DIMENSIONS
    as_text = request.get("encoding_format") == "base64"
    reply: dict[str, Any] = {
        "object": "list",
        "model": answer.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(_vector(item, dimensions), as_text)}
            for index, item in enumerate(inputs)
        ],
    }
    if answer.show_usage:
        reply["usage"] = {"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens}
    return orjson.dumps(reply)


def _vector(text: Any, dimensions: int) -> list[float]:  # a text, or its tokens
    seed = orjson.dumps(text)
    digest = hashlib.shake_256(seed).digest(2 * dimensions)
    return [(number - 32768) / 32768 for (number,) in struct.iter_unpack("<H", digest)]


def _encoded(vector: list[float], as_text: bool) -> list[float] | str:
    if not as_text:
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()

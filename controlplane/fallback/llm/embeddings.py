"""OpenAI embeddings."""

from controlplane.fallback.llm.chat import ChatMeter
from controlplane.fallback.llm.protocols import Json
from controlplane.fallback.llm.usage import Usage, count


class Embeddings:
    """A body with `input` on any path that is no other protocol's. There are no streams."""

    name = "openai-embeddings"

    def matches(self, body: Json, path: str) -> bool:
        return body.get("input") is not None

    def is_streaming(self, body: Json) -> bool:
        return False

    def prepare(self, body: Json) -> bool:
        return False

    def usage(self, answer: Json) -> Usage | None:
        raw = answer.get("usage")
        if not isinstance(raw, dict):
            return None
        return Usage(
            prompt_tokens=count(raw.get("prompt_tokens")),
            total_tokens=count(raw.get("total_tokens")),
            raw=raw,
        )

    def end_user(self, body: Json) -> str | None:
        return None

    def calls_tools(self, answer: Json) -> bool:
        return False

    def meter(self) -> ChatMeter:
        return ChatMeter()

"""Any other JSON: passed on as it is, at no known cost."""

from controlplane.fallback.llm.protocols import Json
from controlplane.fallback.llm.usage import Usage


class Passthrough:
    """A body that is not empty and in no protocol that we know."""

    name = "passthrough"

    def matches(self, body: Json, path: str) -> bool:
        return bool(body)

    def is_streaming(self, body: Json) -> bool:
        return body.get("stream") is True

    def prepare(self, body: Json) -> bool:
        return False

    def usage(self, answer: Json) -> Usage | None:
        return None

    def end_user(self, body: Json) -> str | None:
        return None

    def calls_tools(self, answer: Json) -> bool:
        return False

    def meter(self) -> "NoMeter":
        return NoMeter()


class NoMeter:
    """Knows nothing about the stream that it watches."""

    __slots__ = ()

    usage: Usage | None = None
    pieces = 0
    done = False

    def feed(self, data: bytes) -> None:
        """Nothing to be learnt."""

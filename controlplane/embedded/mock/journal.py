"""What the mock has seen and produced, for tests to look at."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import orjson

KEPT_REQUESTS = 2000
KEPT_DISCONNECTS = 20_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    raw_headers: list[tuple[bytes, bytes]]
    raw_body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case; values of a repeated header are joined with a comma."""
        joined: dict[str, str] = {}
        for name, value in self.raw_headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            joined[key] = f"{joined[key]}, {text}" if key in joined else text
        return joined

    @property
    def body(self) -> Any:  # whatever JSON the client sent
        """The parsed JSON body, or its text where it is not JSON, or None where there is none."""
        if not self.raw_body:
            return None
        try:
            return orjson.loads(self.raw_body)
        except orjson.JSONDecodeError:
            return self.raw_body.decode("utf-8", "replace")

    def as_json(self) -> dict[str, Any]:
        return {"method": self.method, "path": self.path, "headers": self.headers, "body": self.body}


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A client that left before its answer was complete, and what had been produced for it by then."""

    path: str
    chunks: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(slots=True)
class Counters:
    """Totals since the start, or since the last DELETE /_mock/requests."""

    requests: int = 0
    streams: int = 0
    streams_completed: int = 0
    streams_open: int = 0
    disconnects: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "streams": self.streams,
            "streams_completed": self.streams_completed,
            "streams_open": self.streams_open,
            "disconnects": self.disconnects,
            "refused": self.refused,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
        }


class Journal:
    """The last requests, the last disconnects, and the totals."""

    def __init__(self) -> None:
        self.requests: deque[Seen] = deque(maxlen=KEPT_REQUESTS)
        self.disconnects: deque[Disconnect] = deque(maxlen=KEPT_DISCONNECTS)
        self.counters = Counters()

    def saw(self, request: Seen) -> None:
        self.requests.append(request)
        self.counters.requests += 1

    def answered(self, status: int, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        counters = self.counters
        counters.statuses[status] += 1
        counters.prompt_tokens += prompt_tokens
        counters.completion_tokens += completion_tokens

    def left(self, disconnect: Disconnect) -> None:
        self.disconnects.append(disconnect)
        self.counters.disconnects += 1

    def forget(self) -> None:
        """Start again from nothing; streams that are open stay counted as open."""
        self.requests.clear()
        self.disconnects.clear()
        self.counters = Counters(streams_open=self.counters.streams_open)

"""What the mock is asked to do: by request headers, by the model's name, or by defaults for a path.

A header wins over the model's name, which wins over the defaults of the longest matching path prefix.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from controlplane.errors import InvalidSpec

HEADER_PREFIX = b"x-mock-"
SHAPES = ("native", "chat")

_MODEL_TOKENS = re.compile(r"(?:^|-)tok(\d{1,9})\b")


@dataclass(frozen=True, slots=True)
class Controls:
    """How one request is to be answered. `None` means: what a plausible provider would do."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    no_usage: bool = False
    latency_ms: float = 0.0
    chunks: int | None = None
    chunk_delay_ms: float = 0.0
    cut: int | None = None
    status: int = 200
    retry_after: int = 1
    refuse: bool = False
    shape: str = "native"


PLAIN = Controls()


@dataclass(frozen=True, slots=True)
class Defaults:
    """Controls for every request whose path starts with `prefix`, at most `times` times if that is set."""

    prefix: str = ""
    controls: Controls = PLAIN
    times: int | None = None


def apply_model(controls: Controls, model: str) -> Controls:
    """A model named `m-tok10` answers with 10 tokens, half of them prompt, unless a header says otherwise."""
    found = _MODEL_TOKENS.search(model) if "tok" in model else None
    if found is None:
        return controls
    prompt, completion = split_total(int(found.group(1)))
    return replace(controls, prompt_tokens=prompt, completion_tokens=completion)


def apply_headers(controls: Controls, headers: Iterable[tuple[bytes, bytes]]) -> Controls:
    """Read the X-Mock-* headers; InvalidSpec names one that cannot be used."""
    wanted = {
        name[len(HEADER_PREFIX) :].decode("latin-1").replace("-", "_"): value.decode("latin-1")
        for name, value in headers
    }
    return apply_values(controls, wanted)


def apply_values(controls: Controls, wanted: Mapping[str, Any]) -> Controls:
    """Read control values by name (`usage`, `chunk_delay_ms`, …), as text or as JSON values."""
    changes: dict[str, Any] = {}
    for name, value in wanted.items():
        if name == "usage":
            changes["prompt_tokens"], changes["completion_tokens"] = _usage(value)
        elif name in _READERS:
            changes[name] = _read(name, value)
        else:
            known = ", ".join(["usage", *_READERS])
            raise InvalidSpec(f"unknown mock control {name!r}", remedy=f"known are: {known}")
    # Usage is the coarser of the two ways to say it, whatever the order of the headers.
    for name in ("prompt_tokens", "completion_tokens"):
        if name in wanted:
            changes[name] = _read(name, wanted[name])
    return replace(controls, **changes)


def split_total(total: int) -> tuple[int, int]:
    """Half prompt, half completion; an odd token goes to the completion."""
    prompt = total // 2
    return prompt, total - prompt


def _usage(value: Any) -> tuple[int, int]:
    """`10` is a total, `7,20` is prompt and completion."""
    prompt, comma, completion = str(value).partition(",")
    if comma:
        return _read("prompt_tokens", prompt), _read("completion_tokens", completion)
    return split_total(_read("usage", prompt))


def _read(name: str, value: Any) -> Any:
    try:
        return _READERS[name](value)
    except (ValueError, TypeError):
        raise InvalidSpec(f"mock control {name}: {value!r} cannot be used") from None


def _count(value: Any) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(number)
    return number


def _milliseconds(value: Any) -> float:
    number = float(value)
    if not 0 <= number < 3_600_000:
        raise ValueError(number)
    return number


def _status(value: Any) -> int:
    number = int(value)
    if not 200 <= number <= 599:
        raise ValueError(number)
    return number


def _flag(value: Any) -> bool:
    return str(value).lower() not in ("", "0", "false", "no")


def _shape(value: Any) -> str:
    if value not in SHAPES:
        raise ValueError(value)
    return str(value)


_READERS = {
    "prompt_tokens": _count,
    "completion_tokens": _count,
    "no_usage": _flag,
    "latency_ms": _milliseconds,
    "chunks": _count,
    "chunk_delay_ms": _milliseconds,
    "cut": _count,
    "status": _status,
    "retry_after": _count,
    "refuse": _flag,
    "shape": _shape,
    "usage": _count,
}

"""What a call has cost so far, where nobody says: counted from what went by."""

from collections.abc import Mapping
from typing import Any

from controlplane.fallback.llm.protocols import Meter
from controlplane.fallback.llm.usage import Usage

BYTES_PER_TOKEN = 4

_READ = ("messages", "input", "prompt", "system", "instructions")
_INSIDE = ("content", "text", "input")


def produced(meter: Meter, request: Any) -> Usage:  # any JSON value
    """The usage of a stream that was left before its end.

    A provider sends a token, seldom more, with each piece. The prompt is what the provider has reported,
    otherwise an estimate.
    """
    reported = meter.usage or Usage()
    prompt = reported.prompt_tokens or estimate_prompt(request)
    completion = max(reported.completion_tokens, meter.pieces)
    raw = {
        "prompt_tokens": prompt,
        "input_tokens": prompt,
        "completion_tokens": completion,
        "output_tokens": completion,
        "total_tokens": prompt + completion,
    }
    return Usage(prompt, completion, prompt + completion, raw={**reported.raw, **raw})


def estimate_prompt(request: Any) -> int:  # any JSON value
    """The tokens of what a model reads of a request, by the length of its texts."""
    if not isinstance(request, Mapping):
        return 0
    return sum(_tokens(request[name]) for name in _READ if name in request)


def _tokens(value: Any) -> int:
    if isinstance(value, str):
        return -(-len(value.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
    if isinstance(value, list):
        return sum(_tokens(item) for item in value)
    if isinstance(value, Mapping):
        return sum(_tokens(value[name]) for name in _INSIDE if name in value)
    return 1 if isinstance(value, int) else 0

"""What a call has cost: the tokens that a provider reports, in one shape for all of them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Usage:
    """Tokens in the gateway's terms, and the provider's own report in `raw`.

    `total_tokens` is None where a provider reports usage without saying how much.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    reasoning_tokens: int = 0
    raw: dict[str, Any] = field(default_factory=dict)

    def merge(self, later: "Usage") -> None:
        """Take over what a later report of the same stream says; streams may report in parts."""
        for name in COUNTS:
            value = getattr(later, name)
            if value > 0:
                setattr(self, name, value)
        self.total_tokens = max(self.total_tokens, self.prompt_tokens + self.completion_tokens)
        for key, value in later.raw.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
                self.raw[key] = value


COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "reasoning_tokens",
)


def count(value: Any) -> int:  # whatever a provider put there
    """A token count; anything but a sensible number is none."""
    if type(value) not in (int, float) or not 0 <= value < 2**53:
        return 0
    return int(value)


def part(value: Any, name: str) -> dict[str, Any]:  # whatever a provider put there
    """An object inside an object, or an empty one."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}

"""What a limit may say."""

from typing import Any

import pytest
from pydantic import ValidationError

from controlplane.core.limits import Limit

# Any: limits as users write them.


@pytest.mark.parametrize(
    "declared",
    [
        {"tokens": 5},
        {"tokens": 5, "per": "1m", "refill_per_s": 1},
        {"tokens": 5, "requests": 5, "per": "1m"},
        {"per": "1m"},
        {"tokens": 0, "per": "1m"},
        {"tokens": 2**53, "per": "1m"},
        {"tokens": "5", "per": "1m"},
        {"tokens": 5.5, "per": "1m"},
        {"tokens": True, "per": "1m"},
        {"tokens": 5, "per": "0s"},
        {"tokens": 5, "per": "1y"},
        {"tokens": 5, "per": "1m\n"},
        {"tokens": 5, "per": "9999999d"},
        {"tokens": 5, "per": "1m", "by": "nobody"},
        {"tokens": 5, "per": "1m", "by": "header:"},
        {"tokens": 5, "per": "1m", "by": "header:x-sluice-queue"},
        {"tokens": 5, "per": "1m", "by": "header:X_Sluice_Queue"},
        {"tokens": 5, "per": "day", "mode": "sliding"},
        {"tokens": 5, "per": "day", "time_zone": "Mars/Olympus"},
        {"concurrency": 5, "per": "1m"},
        {"usd": float("inf"), "per": "day"},
        {"tokens": 5, "per": "1m", "burst": 3},
    ],
)
def test_nonsense_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limit.model_validate(declared)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"tokens": 5, "per": "1m"}, "5 tokens per 1m"),
        ({"prompt_tokens": 5, "per": "1h", "by": "header:X-Team"}, "5 prompt tokens per 1h by header:x-team"),
        ({"requests": 5, "refill_per_s": 0.5}, "5 requests, refilled by 0.5/s"),
        ({"usd": 2.5, "per": "month", "time_zone": "Europe/Berlin"}, "2.5 USD per month"),
        ({"concurrency": 3, "by": "key"}, "3 concurrency by key"),
    ],
)
def test_a_limit_says_what_it_is(declared: dict[str, Any], words: str) -> None:
    assert str(Limit.model_validate(declared)) == words

"""What only token-budget can hold is held on a gateway that lists it, as it was declared."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.declared import Declared, declared_on, unique
from tests.fixtures.specs import member

# Any: JSON.

TOKENS = "/v1/chat/completions/queue/support"
MINUTE = {"tokens": 20, "per": "1m"}


@pytest.fixture
async def declared(tmp_path: Path, valkey_url: str) -> AsyncIterator[Declared]:
    async with declared_on("twin", tmp_path / "gateway", valkey_url) as made:
        yield made


async def statuses(declared: Declared, times: int, **headers: str) -> list[int]:
    return [(await declared.call(TOKENS, **headers)).status_code for _ in range(times)]


@pytest.mark.parametrize(
    "limit",
    [
        {"tokens": 20, "refill_per_s": 0.001},
        {"tokens": 20, "per": "1h", "mode": "sliding"},
        {"tokens": 20, "per": "month", "time_zone": "Europe/Berlin"},
        {"prompt_tokens": 10, "per": "1h", "mode": "sliding"},
        {"requests": 2, "per": "1h", "mode": "sliding"},
    ],
    ids=["bucket", "sliding", "calendar", "prompts", "requests"],
)
async def test_a_limit_that_stock_plugins_cannot_hold_is_held(
    declared: Declared, limit: dict[str, Any]
) -> None:
    await declared.declare(unique([limit]))
    await declared.ready(TOKENS)
    assert await statuses(declared, 3) == [200, 200, 429]


async def test_a_refusal_names_the_limit_in_the_words_of_its_declaration(declared: Declared) -> None:
    await declared.declare(unique([{"tokens": 10, "per": "1h", "mode": "sliding"}]))
    await declared.ready(TOKENS)
    await declared.call(TOKENS)
    refused = await declared.call(TOKENS)
    error = refused.json()["error"]
    assert (error["scope"], error["used"]) == ("queue support: 10 tokens per 1h", 10)
    assert int(refused.headers["retry-after"]) > 60
    assert refused.headers["retry-after-ms"]


async def test_members_limits_and_the_queues_own_are_held_together(declared: Declared) -> None:
    limit = [{"tokens": 10, "per": "1h"}]
    members = [member(name="first", priority=5, limits=limit), member(name="second", limits=limit)]
    await declared.declare(
        unique([{"tokens": 1000, "per": "1h"}], members=members, fallback=["rate_limiting"])
    )
    await declared.ready(TOKENS)
    assert await statuses(declared, 3) == [200, 200, 429]


async def test_a_raised_limit_keeps_what_was_used(declared: Declared) -> None:
    known = str(uuid4())
    for amount, expected in ((20, [200, 200, 429]), (30, [200, 429])):
        await declared.declare(unique([{"tokens": amount, "per": "1h", "mode": "sliding"}]) | {"id": known})
        await declared.ready(TOKENS)
        assert await statuses(declared, len(expected)) == expected


async def test_each_key_and_each_team_has_a_counter_of_its_own(declared: Declared) -> None:
    by_team = {"tokens": 10, "refill_per_s": 0.001, "by": "header:x-team-id"}
    await declared.declare(unique([by_team]))
    await declared.ready(TOKENS)
    assert await statuses(declared, 2, x_team_id="red") == [200, 429]
    assert await statuses(declared, 2, x_team_id="blue") == [200, 429]
    assert await statuses(declared, 2) == [200, 429], "calls without the header share one"


async def test_a_strict_limit_caps_answers_and_refuses_what_can_never_fit(declared: Declared) -> None:
    strict = {"tokens": 5000, "per": "1h", "strict": True}
    await declared.declare(unique([strict]))
    await declared.ready(TOKENS)
    assert (await declared.call(TOKENS)).status_code == 200
    body = {"messages": [{"role": "user", "content": "x" * 6000}]}
    refused = await declared.call(TOKENS, body)
    assert (refused.status_code, refused.json()["error"]["retry"]) == (400, False)


async def test_slots_are_held_with_the_tokens_and_freed_at_the_end_of_a_call(declared: Declared) -> None:
    await declared.declare(unique([{"tokens": 100_000, "refill_per_s": 1}, {"concurrency": 2}]))
    await declared.ready(TOKENS)
    slow = [declared.call(TOKENS, X_Mock_Latency_Ms="800") for _ in range(4)]
    replies = await asyncio.gather(*slow)
    assert sorted(reply.status_code for reply in replies) == [200, 200, 429, 429]
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert (refused.headers["retry-after"], refused.json()["error"]["meter"]) == ("1", "concurrency")
    assert await statuses(declared, 1) == [200]

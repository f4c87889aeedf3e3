"""What an account at a provider allows is shared by all queues that call it, also beside other accounts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.declared import CHAT, Declared, declared_on, unique
from tests.contract.test_levels import OTHER_CHAT, codes, key
from tests.fixtures.services import until
from tests.fixtures.specs import member

# Any: declarations.

DIRECT = "/v1/chat/completions/openai-main"
MIXED = [member(priority=5), member(name="spare", provider="deep", model="spare")]


@pytest.fixture
async def declared(tmp_path: Path, valkey_url: str) -> AsyncIterator[Declared]:
    """Only a gateway with token-budget can hold these."""
    async with declared_on("twin", tmp_path / "gateway", valkey_url) as made:
        yield made


async def declare(
    declared: Declared, *limits: dict[str, Any], members: list[dict[str, Any]] = MIXED, **parts: Any
) -> None:
    """An account with these limits, a queue that calls another one beside it, and a queue that does not."""
    endpoint = f"http://{declared.target.mock_address}"
    providers = [
        {"name": "openai-main", "type": "openai", "endpoint": endpoint, "limits": list(limits)},
        {"name": "deep", "type": "deepseek", "endpoint": endpoint},
    ]
    keys = [key("web", queues=["support", "other"], providers=["openai-main"]), key("other")]
    queues = [unique([], members=members, **parts), unique([], name="other")]
    await declared.declare(*queues, providers=providers, keys=keys)
    await declared.ready(OTHER_CHAT)
    declared.target.mock.forget()


def answered(declared: Declared) -> list[str]:
    """The models that answered."""
    return [request.body["model"] for request in declared.target.mock.requests]


async def test_queues_share_an_account_also_beside_members_of_another(declared: Declared) -> None:
    await declare(declared, {"tokens": 30, "per": "1h"})
    assert await codes(declared, {}) == [200]
    assert await codes(declared, {}, path=OTHER_CHAT) == [200]
    assert await codes(declared, {}, {}, path=DIRECT) == [200, 429]
    assert await codes(declared, {}, path=OTHER_CHAT) == [429]
    refused = await declared.call(CHAT)
    assert refused.status_code == 429
    assert refused.json()["error"]["scope"] == "provider openai-main: 30 tokens per 1h"
    assert int(refused.headers["retry-after"]) > 3500


async def test_a_queue_that_falls_back_goes_on_to_a_member_of_another_account(declared: Declared) -> None:
    members = [*MIXED, member(name="second", priority=4, model="second")]
    await declare(declared, {"tokens": 20, "per": "1h"}, members=members, fallback=["rate_limiting"])
    assert await codes(declared, {}, {}, {}, path=OTHER_CHAT) == [200, 200, 429]
    assert await codes(declared, {}, {}) == [200, 200]
    assert answered(declared) == ["gpt-4o-mini", "gpt-4o-mini", "spare", "spare"]


async def test_members_limits_and_those_of_their_account_are_taken_together(declared: Declared) -> None:
    hour = {"tokens": 10, "per": "1h"}
    members = [
        member(priority=5, limits=[hour]),
        member(name="spare", provider="deep", model="spare", limits=[hour]),
    ]
    await declare(declared, {"tokens": 20, "per": "1h"}, members=members, fallback=["rate_limiting"])
    assert await codes(declared, {}, {}, {}) == [200, 200, 429]
    assert answered(declared) == ["gpt-4o-mini", "spare"]
    assert await codes(declared, {}, {}, path=OTHER_CHAT) == [200, 429], "main has left so much"


async def test_calls_in_flight_hold_their_part_of_the_account_for_every_queue(declared: Declared) -> None:
    await declare(declared, {"tokens": 1000, "per": "1h"})
    large = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 900}
    slow = asyncio.create_task(declared.call(CHAT, large, X_Mock_Latency_Ms="60000"))
    try:
        await until(lambda: _asked(declared), "the provider has the first call")
        refused = await declared.call(OTHER_CHAT, large)
        error = refused.json()["error"]
        assert (refused.status_code, error["used"], error["retry"]) == (429, 0, True)
        assert error["reserved"] >= 900
    finally:
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)


async def _asked(declared: Declared) -> bool:
    return bool(declared.target.mock.requests)


async def test_an_account_s_limit_is_edited_without_losing_what_was_used(declared: Declared) -> None:
    await declare(declared, {"tokens": 20, "per": "1h"})
    assert await codes(declared, {}, {}, {}) == [200, 200, 429]
    await declare(declared, {"tokens": 30, "per": "1h"})
    assert await codes(declared, {}, path=OTHER_CHAT) == [200]
    assert await codes(declared, {}) == [429]


async def test_the_requests_of_an_account_are_counted_over_its_queues(declared: Declared) -> None:
    await declare(declared, {"requests": 2, "per": "1h"})
    assert await codes(declared, {}) == [200]
    assert await codes(declared, {}, {}, path=OTHER_CHAT) == [200, 429]
    assert await codes(declared, {}) == [429]

"""Counters that a gateway starts anew, as the compiled objects of two declarations tell it."""

from typing import Any

import pytest

from controlplane.core.abilities import OURS, STOCK
from controlplane.core.contexts import CounterStore
from controlplane.core.diff import differences
from controlplane.core.fresh_counters import resets
from controlplane.core.objects import Kind, ObjectKey
from tests.fixtures.specs import compiled, document, member, queue

BUCKET = {"tokens": 900, "refill_per_s": 5}
WINDOW = {"tokens": 500, "per": "1m"}
PACE = "resets the token-budget counters of queue support whose window or kind of pace changes"

# Any: limits as users write them.


def told(
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    store: CounterStore | None = None,
    **parts: Any,
) -> tuple[str, ...]:
    """What a change of the queue's limits resets on a gateway with token-budget."""
    policy = ObjectKey(Kind.PLUGIN_CONFIG, "q.support")
    sides = [
        {item.key: item.body for item in compiled(document(queues=[made]), where, OURS).objects}[policy]
        for made, where in ((queue(limits=before, **parts), None), (queue(limits=after, **parts), store))
    ]
    return resets("queue support", differences(sides[1], sides[0], str))


@pytest.mark.parametrize(
    "after",
    [
        [BUCKET | {"tokens": 100}, WINDOW],
        [BUCKET | {"refill_per_s": 50}, WINDOW],
        [BUCKET, WINDOW | {"tokens": 7}],
        [BUCKET, WINDOW | {"mode": "sliding"}],
        [BUCKET, WINDOW | {"strict": True}],
        [WINDOW, BUCKET],
        [BUCKET, WINDOW, {"requests": 5, "per": "1m"}],
    ],
)
def test_an_amount_a_pace_a_mode_and_the_order_keep_what_was_used(after: list[dict[str, Any]]) -> None:
    assert not any("token" in line for line in told([BUCKET, WINDOW], after))


@pytest.mark.parametrize("after", [WINDOW | {"per": "1h"}, {"tokens": 500, "per": "day"}])
def test_another_window_is_another_counter(after: dict[str, Any]) -> None:
    assert told([BUCKET, WINDOW], [BUCKET, after]) == (PACE,)


def test_a_bucket_that_becomes_a_window_is_another_counter() -> None:
    sliding = {"tokens": 900, "per": "1m", "mode": "sliding"}
    assert told([BUCKET], [sliding]) == (PACE,)


def test_a_limit_that_is_replaced_by_one_of_something_else_resets_nothing() -> None:
    by_team = {"tokens": 900, "refill_per_s": 5, "by": "header:x-team"}
    assert told([BUCKET], [by_team]) == ()


def test_limits_that_come_to_token_budget_or_leave_it_start_anew() -> None:
    line = "moves token limits of queue support {}, which resets their counters"
    assert told([WINDOW], [WINDOW, BUCKET]) == (line.format("to token-budget"),)
    assert told([WINDOW, BUCKET], [WINDOW]) == (line.format("from token-budget to stock plugins"),)
    assert told([], [BUCKET]) == ()


def test_an_account_s_limits_start_anew_on_a_gateway_that_gets_token_budget() -> None:
    providers = [{"name": "openai-main", "type": "openai", "limits": [WINDOW]}]
    tenants = [{"name": "acme", "limits": [WINDOW]}]
    values = document(providers=providers, tenants=tenants, queues=[queue(tenant="acme")])
    policy = ObjectKey(Kind.PLUGIN_CONFIG, "q.support")
    old, new = (
        {item.key: item.body for item in compiled(values, abilities=able).objects}[policy]
        for able in (STOCK, OURS)
    )
    line = "moves token limits of queue support to token-budget, which resets their counters"
    assert resets("queue support", differences(new, old, str)) == (line,)


def test_another_redis_has_other_counters() -> None:
    store = CounterStore("redis.internal", 6380, 2)
    (line,) = told([BUCKET], [BUCKET], store)
    assert "kept elsewhere" in line


def test_members_limits_are_told_apart() -> None:
    members = [member(limits=[{"tokens": 5, "per": "1m"}])]
    assert told([WINDOW], [WINDOW | {"per": "1h"}], members=members) == (PACE,)

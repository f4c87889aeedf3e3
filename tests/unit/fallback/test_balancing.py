"""Whose turn it is among servers."""

import random
from collections import Counter

from controlplane.fallback.health.cooling import CoolDowns
from controlplane.fallback.health.rules import health_rules
from controlplane.fallback.health.watching import Health
from controlplane.fallback.runtime.balancing import Server, Turn, priorities


def servers(*weights: int) -> list[Server]:
    return [Server(f"s{number}", weight, 0) for number, weight in enumerate(weights)]


def test_turns_follow_the_weights() -> None:
    balancer = priorities(servers(5, 3, 2), hashed=False, chance=random.Random(1))
    turns = Counter(balancer.next(Turn()) for _ in range(1000))
    assert turns == {"s0": 500, "s1": 300, "s2": 200}


def test_a_weight_of_zero_has_no_turn_while_others_have_one() -> None:
    balancer = priorities(servers(1, 0), hashed=False, chance=random.Random(1))
    assert {balancer.next(Turn()) for _ in range(20)} == {"s0"}


def test_one_call_never_meets_the_same_server_twice() -> None:
    for hashed in (False, True):
        balancer = priorities(servers(5, 1, 1), hashed=hashed, chance=random.Random(3))
        turn = Turn("key")
        met = []
        while (name := balancer.next(turn)) is not None:
            met.append(name)
            turn.tried.add(name)
        assert sorted(met) == ["s0", "s1", "s2"]


def test_lower_priorities_and_last_resorts_come_later() -> None:
    balancer = priorities(
        [Server("low", 1, -1), Server("last", 1, 9, last_resort=True), Server("high", 1, 3)],
        hashed=False,
        chance=random.Random(1),
    )
    turn, met = Turn(), []
    while (name := balancer.next(turn)) is not None:
        met.append(name)
        turn.tried.add(name)
    assert met == ["high", "low", "last"]


def test_a_server_that_leaves_a_consistent_hash_moves_only_its_own_keys() -> None:
    keys = [f"key-{number}" for number in range(2000)]
    chance = random.Random(1)
    all_three = priorities(servers(1, 1, 1), hashed=True, chance=chance)
    without = priorities(servers(1, 1), hashed=True, chance=chance)
    before = {key: all_three.next(Turn(key)) for key in keys}
    after = {key: without.next(Turn(key)) for key in keys}
    assert all(after[key] == before[key] for key in keys if before[key] != "s2")
    assert all(400 < count < 1000 for count in Counter(before.values()).values())


def test_a_member_cools_down_after_failures_in_a_row_only() -> None:
    now = 0.0
    downs = CoolDowns(lambda: now)

    def fail() -> None:
        downs.failed("m", most=2, seconds=10, retry_after_s=None)

    fail()
    downs.succeeded("m")
    fail()
    assert downs.cooling() == frozenset()
    fail()
    assert downs.cooling() == {"m"}
    now = 10.0
    assert downs.cooling() == frozenset()


def test_nobody_is_kept_away_for_as_long_as_a_provider_likes() -> None:
    now = 0.0
    downs = CoolDowns(lambda: now)
    downs.failed("m", most=99, seconds=1, retry_after_s=1e9)
    assert downs.cooling() == {"m"}
    now = 600.0
    assert downs.cooling() == frozenset()


def test_health_changes_when_enough_has_happened_in_a_row() -> None:
    rules = health_rules(
        {"active": {"healthy": {"successes": 2}, "unhealthy": {"http_failures": 2, "timeouts": 1}}}
    ).active
    health = Health()
    for status, healthy in ((500, True), (200, True), (500, True), (500, False), (418, False)):
        health.answered(status, rules)
        assert health.healthy is healthy
    for status, healthy in ((200, False), (500, False), (200, False), (302, True)):
        health.answered(status, rules)
        assert health.healthy is healthy
    health.failed(rules, timed_out=True)
    assert not health.healthy

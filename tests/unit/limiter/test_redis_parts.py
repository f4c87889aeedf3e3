"""The parts of the Redis limiter that need no Redis."""

import random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.clock import ManualClock
from controlplane.errors import InvalidSettings
from controlplane.limiter import (
    CalendarWindow,
    Concurrency,
    FixedWindow,
    Limit,
    Period,
    SlidingWindow,
    TokenBucket,
)
from controlplane.limiter.limits import Rule
from controlplane.limiter.redis.address import Address, RedisUrl
from controlplane.limiter.redis.keys import Keys
from controlplane.limiter.redis.link import Link
from controlplane.limiter.redis.record import granted, read_member, write_record
from controlplane.limiter.redis.script import load_script

RULES: tuple[Rule, ...] = (
    FixedWindow(100, per=60),
    SlidingWindow(7, per=0.5),
    TokenBucket(100, refill_per_s=1 / 3),
    CalendarWindow(5, Period.WEEK, ZoneInfo("Europe/Berlin")),
    Concurrency(3),
)


@pytest.mark.parametrize(
    ("url", "addresses", "rest"),
    [
        ("redis://localhost", (Address("localhost", 6379),), (None, None, 0, None)),
        ("redis://:p%40ss@10.0.0.1:7000/3", (Address("10.0.0.1", 7000),), (None, "p@ss", 3, None)),
        ("redis://u:p@a:1,b:2/0", (Address("a", 1), Address("b", 2)), ("u", "p", 0, None)),
        ("redis://[::1]:6380/0", (Address("::1", 6380),), (None, None, 0, None)),
        ("redis://[::1]", (Address("::1", 6379),), (None, None, 0, None)),
        ("unix:///run/redis.sock?db=2", (Address("/run/redis.sock"),), (None, None, 2, None)),
        (
            "redis+sentinel://s1:26379,s2/0?master=m",
            (Address("s1", 26379), Address("s2")),
            (None, None, 0, "m"),
        ),
    ],
)
def test_a_redis_url_says_where_and_how(
    url: str, addresses: tuple[Address, ...], rest: tuple[object, ...]
) -> None:
    parsed = RedisUrl.parse(url)
    assert parsed.addresses == addresses
    assert (parsed.username, parsed.password, parsed.database, parsed.master) == rest
    assert parsed.tls is None


def test_rediss_is_encrypted() -> None:
    assert RedisUrl.parse("rediss://h").tls is not None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://h",
        "redis://",
        "redis://h:port",
        "redis://h/x",
        "redis+sentinel://h",
        "unix:",
        "redis://:x@",
    ],
)
def test_what_is_no_redis_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidSettings, match="write redis://") as caught:
        RedisUrl.parse(url)
    assert "x@" not in str(caught.value).replace("user:password@", "")


def test_the_password_is_in_no_text_of_a_url() -> None:
    assert "secret" not in repr(RedisUrl.parse("redis://:secret@h"))


@given(
    charges=st.lists(
        st.tuples(
            st.text(min_size=1, max_size=20),
            st.sampled_from(RULES),
            st.text(max_size=20),
            st.integers(0, 2**53),
        )
    ),
    time=st.floats(0, 4e9),
    data=st.data(),
)
def test_any_process_can_read_what_another_holds(
    charges: list[tuple[str, Rule, str, int]], time: float, data: st.DataObject
) -> None:
    held = tuple((Limit(name, rule), key, amount) for name, rule, key, amount in charges)
    buckets = sum(isinstance(rule, TokenBucket) for _, rule, _, _ in charges)
    marks = [data.draw(st.floats(0, 1e12)) for _ in range(buckets)]
    made = granted(
        write_record("id", held, Keys("n", lambda: 0.0)),
        held,
        60.0,
        repr(time).encode(),
        b"".join(b" %r" % mark for mark in marks),
    )
    read = read_member(made.member)
    assert (read.member, read.since, read.marks) == (made.member, time, made.marks)
    assert [(limit.name, limit.rule, key, amount) for limit, key, amount in read.charges] == charges
    assert [
        mark for mark, charge in zip(read.marks, charges, strict=True) if isinstance(charge[1], TokenBucket)
    ] == marks


@given(names=st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), unique=True, max_size=20))
def test_no_two_counters_share_a_name_and_all_share_a_hash_tag(names: list[tuple[str, str]]) -> None:
    keys = Keys("team", lambda: 0.0)
    counters = [keys.counter(Limit(name or "-", RULES[0]), key) for name, key in names]
    assert len(set(counters)) == len({(name or "-", key) for name, key in names})
    assert all(counter.startswith(b"{team}:") for counter in counters)
    assert not {keys.open_leases, keys.ended_leases} & set(counters)


def test_a_calendar_rule_follows_the_day() -> None:
    clock = ManualClock(now=86400.0 * 3 + 5)
    keys = Keys("n", clock.now)
    limit = Limit("day", CalendarWindow(5, Period.DAY))
    keys.counter(limit, "")
    today = keys.rule(limit)
    assert keys.rule(limit) is today
    clock.advance(86400)
    assert keys.rule(limit) != today


def test_the_servers_clock_is_learnt_from_the_quickest_answers_and_followed_when_it_is_set_back() -> None:
    clock = ManualClock(now=500.0)
    link = Link(
        RedisUrl.parse("redis://h"),
        load_script(),
        changed=lambda: None,
        clock=clock,
        jitter=random.Random(1),
    )
    assert link.server_time() == 500.0
    link.learn_time(9000.0)
    clock.advance(10)
    link.learn_time(9009.8)
    assert link.server_time() == 9010.0
    link.learn_time(9010.1)
    assert link.server_time() == 9010.1
    link.learn_time(7000.0)
    assert link.server_time() == 7000.0


def test_the_script_is_the_same_every_time() -> None:
    assert load_script() == load_script()
    assert len(load_script().sha) == 40

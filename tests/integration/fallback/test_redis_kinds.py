"""Counters in a Redis cluster and in a Redis behind a sentinel."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.crc import key_slot

from controlplane.embedded.valkey import wheel_server
from tests.fixtures.free_ports import free_ports
from tests.fixtures.services import until
from tests.integration.fallback.conftest import CHAT, Bench

SLOTS = 16384
COUNT: dict[str, Any] = {"count": 3, "time_window": 3600, "key": "http_who", "rejected_code": 429}
CALLS: dict[str, Any] = {"name": "calls", "meter": "requests", "amount": 3, "window_s": 3600}
BUDGET: dict[str, Any] = {
    "limits": [{**CALLS, "by": ["${http_who ?? nobody}"], "on_outage": "fail_closed"}],
}


@asynccontextmanager
async def valkey(folder: Path, port: int, *options: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A server of its own, ended with the block."""
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        str(wheel_server()),
        *options,
        *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""),
        stdout=asyncio.subprocess.DEVNULL,
    )
    client = redis.asyncio.Redis(host="127.0.0.1", port=port, decode_responses=True)

    async def answers() -> bool:
        try:
            return bool(await client.ping())
        except redis.ConnectionError:
            assert process.returncode is None
            return False

    try:
        await until(answers, f"the server on port {port}")
        yield client
    finally:
        await client.aclose()
        process.kill()
        await process.wait()


async def say(node: redis.asyncio.Redis, command: str) -> Any:
    """Send a command as it is."""
    return await node.execute_command(command)  # type: ignore[no-untyped-call]


class Cluster:
    """Nodes that share all slots."""

    def __init__(self, nodes: Sequence[redis.asyncio.Redis], ports: Sequence[int]) -> None:
        self.nodes = nodes
        self.options = {
            "policy": "redis-cluster",
            "redis_cluster_name": "ours",
            "redis_cluster_nodes": [f"127.0.0.1:{ports[0]}"],
        }

    async def keys(self) -> list[set[str]]:
        """Which counters each node holds."""
        return [{str(key) for key in await node.keys("*")} for node in self.nodes]

    async def hand_over(self, slot: int) -> None:
        """Give an empty slot of one node to the other."""
        names = [await say(node, "CLUSTER MYID") for node in self.nodes]
        target = 1 if slot < SLOTS // 2 else 0
        for node in (self.nodes[target], self.nodes[1 - target]):
            await say(node, f"CLUSTER SETSLOT {slot} NODE {names[target]}")


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    ports = free_ports(4)
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(
                valkey(tmp_path / f"node{number}", port, *("--cluster-enabled", "yes", "--cluster-port", bus))
            )
            for number, (port, bus) in enumerate(zip(ports[:2], map(str, ports[2:]), strict=True))
        ]
        half = SLOTS // 2
        await say(nodes[0], f"CLUSTER ADDSLOTSRANGE 0 {half - 1}")
        await say(nodes[1], f"CLUSTER ADDSLOTSRANGE {half} {SLOTS - 1}")
        await say(nodes[0], f"CLUSTER MEET 127.0.0.1 {ports[1]} {ports[3]}")

        async def agreed() -> bool:
            states = [await say(node, "CLUSTER INFO") for node in nodes]
            return all(state["cluster_state"] == "ok" for state in states)

        await until(agreed, "the cluster")
        yield Cluster(nodes, ports)


async def statuses(bench: Bench, times: int, **headers: str) -> list[int]:
    return [(await bench.call(**headers)).status_code for _ in range(times)]


async def test_each_caller_is_counted_on_the_node_of_its_key(bench: Bench, cluster: Cluster) -> None:
    await bench.route({"limit-count": {**COUNT, **cluster.options}})
    for who in "abcdefgh":
        assert await statuses(bench, 4, who=who) == [200, 200, 200, 429]
    first, second = await cluster.keys()
    assert len(first) + len(second) == 8
    assert first
    assert second


async def test_rules_tokens_and_places_are_counted_on_a_cluster_too(bench: Bench, cluster: Cluster) -> None:
    rules = [
        {"count": 30, "time_window": 3600, "key": "a:${http_who}"},
        {"count": 20, "time_window": 3600, "key": "b:${http_who}"},
    ]
    place = {"conn": 1, "burst": 0, "default_conn_delay": 0.1, "key": "http_who"}
    pace = {"rate": 1000, "burst": 1000, "key": "http_who", "nodelay": True}
    await bench.route(
        {
            "ai-rate-limiting": {"rules": rules, "rejected_code": 429, **cluster.options},
            "limit-conn": {**place, **cluster.options},
            "limit-req": {**pace, **cluster.options},
        }
    )
    for who in ("x", "y", "z"):

        async def charged(who: str = who) -> bool:
            # What a call costs is counted after it.
            return (await bench.call(who=who)).status_code == 429

        await until(charged, "the end of the budget")
    held = set().union(*await cluster.keys())
    assert len([key for key in held if key.startswith("plugin-ai-rate-limiting")]) == 6


async def test_a_sliding_window_may_have_its_parts_on_different_nodes(bench: Bench, cluster: Cluster) -> None:
    await bench.route({"limit-count": {**COUNT, "window_type": "sliding", **cluster.options}})
    for who in "abcd":
        assert await statuses(bench, 4, who=who) == [200, 200, 200, 429]


async def test_a_slot_that_has_moved_is_followed(bench: Bench, cluster: Cluster) -> None:
    await bench.route({"limit-count": {**COUNT, "group": "moved", **cluster.options}})
    assert await statuses(bench, 1, who="first") == [200]
    key = next(iter(set().union(*await cluster.keys())))
    other = key.replace("first", "second")
    assert other != key
    await cluster.hand_over(key_slot(other.encode()))
    assert await statuses(bench, 4, who="second") == [200, 200, 200, 429]


async def test_a_cluster_that_cannot_be_reached_is_an_error_unless_calls_may_pass(bench: Bench) -> None:
    options = {"policy": "redis-cluster", "redis_cluster_name": "c", "redis_cluster_nodes": ["127.0.0.1:1"]}
    await bench.route({"limit-count": {**COUNT, **options}})
    assert await statuses(bench, 1) == [500]
    await bench.route({"limit-count": {**COUNT, **options, "allow_degradation": True}})
    assert await statuses(bench, 1) == [200]


async def test_all_limits_of_token_budget_are_on_one_node_of_a_cluster(
    bench: Bench, cluster: Cluster
) -> None:
    await bench.route({"token-budget": {**BUDGET, **cluster.options}})
    for who in "abcdefgh":
        assert await statuses(bench, 4, who=who) == [200, 200, 200, 429]
    first, second = await cluster.keys()
    assert bool(first) != bool(second)


@pytest.mark.parametrize(
    "plugin", [{"limit-count": COUNT}, {"token-budget": BUDGET}], ids=lambda one: next(iter(one))
)
async def test_the_master_that_a_sentinel_names_is_counted_in(
    bench: Bench, tmp_path: Path, plugin: dict[str, dict[str, Any]]
) -> None:
    ((name, conf),) = plugin.items()
    one, two, watch = free_ports(3)
    (tmp_path / "sentinel.conf").write_text(f"sentinel monitor ours 127.0.0.1 {one} 1\n")
    options = {
        "policy": "redis-sentinel",
        "redis_sentinels": [{"host": "127.0.0.1", "port": 1}, {"host": "127.0.0.1", "port": watch}],
        "redis_master_name": "ours",
    }
    async with (
        valkey(tmp_path / "two", two) as second,
        valkey(tmp_path / "sentinel", watch, str(tmp_path / "sentinel.conf"), "--sentinel") as sentinel,
    ):
        async with valkey(tmp_path / "one", one) as first:
            await bench.route({name: {**conf, **options}})
            assert await statuses(bench, 4) == [200, 200, 200, 429]
            assert await first.dbsize() >= 1
        await say(sentinel, "SENTINEL REMOVE ours")
        await say(sentinel, f"SENTINEL MONITOR ours 127.0.0.1 {two} 1")

        async def counted_anew() -> bool:
            return (await bench.call()).status_code == 200

        await until(counted_anew, "the other master")
        assert await second.dbsize() >= 1


async def test_token_budget_cannot_count_in_a_replica(bench: Bench) -> None:
    options = {
        "policy": "redis-sentinel",
        "redis_sentinels": [{"host": "127.0.0.1", "port": 1}],
        "redis_master_name": "ours",
        "redis_role": "slave",
    }
    plugins = {"token-budget": {**BUDGET, **options}}
    answer = await bench.put("routes/r", {"uri": "/x", "plugins": plugins}, status=400)
    assert "redis_role slave takes no writes" in answer.text


async def test_a_name_that_no_sentinel_knows_is_an_error(bench: Bench, tmp_path: Path) -> None:
    (watch,) = free_ports(1)
    (tmp_path / "sentinel.conf").write_text("")
    async with valkey(tmp_path / "sentinel", watch, str(tmp_path / "sentinel.conf"), "--sentinel"):
        options = {
            "policy": "redis-sentinel",
            "redis_sentinels": [{"host": "127.0.0.1", "port": watch}],
            "redis_master_name": "nobody",
        }
        plugins = {"limit-count": {**COUNT, **options}}
        await bench.route(plugins, uri=CHAT)
        assert await statuses(bench, 1) == [500]

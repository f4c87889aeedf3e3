"""A Redis cluster: every key on the node that serves its slot, also while slots move."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from redis.crc import key_slot

from controlplane.fallback.counters.owed import Owed
from controlplane.fallback.counters.redis import RedisClient
from controlplane.fallback.counters.redis_connection import Argument, RedisAddress
from controlplane.fallback.counters.redis_sentinel import ask_once
from controlplane.fallback.counters.scripts import Script
from controlplane.fallback.counters.windows import CountersGone

_MOST_REDIRECTS = 5

Send = Callable[[RedisClient], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Nodes that know the whole cluster; all of its nodes are spoken to in the same way."""

    seeds: tuple[RedisAddress, ...]


class ClusterClient:
    """One cluster. Each command is about one key; where that is, the cluster itself says.

    What is posted for one key is done in the order of the calls while its slot stays where it is.
    """

    one_key_at_a_time = True

    def __init__(self, address: ClusterAddress, client: Callable[[RedisAddress], RedisClient]) -> None:
        self._address = address
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._nodes: dict[int, RedisAddress] = {}
        self._learning: asyncio.Task[None] | None = None
        self._posted: set[asyncio.Task[None]] = set()
        self._owed = Owed(self.command)
        self._log = structlog.get_logger("gateway.redis")

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script about one key and return its reply."""
        return await self._follow(
            keys[0],
            lambda node: node.run(script, keys, arguments),
            lambda node: node.command("SCRIPT", "LOAD", script.text),
        )

    async def command(self, *parts: Argument) -> Any:
        """Send a command about the key that is its first argument."""
        return await self._follow(
            str(parts[1]), lambda node: node.command(*parts), lambda node: node.command("PING")
        )

    def post(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> None:
        """Run a script without waiting for its reply."""
        self._later(self.run(script, keys, arguments))

    def owe(self, *parts: Argument) -> None:
        """Post a command that may be done twice, and again until it is done where the cluster is away."""
        self._later(self._send_or_owe(parts))

    async def close(self) -> None:
        """Let what was posted reach the cluster."""
        if self._posted:
            await asyncio.wait(self._posted, timeout=self._address.seeds[0].timeout_s)
        await self._owed.close()
        tasks = [*self._posted, *([self._learning] if self._learning else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, key: str, send: Send, prepare: Send) -> Any:
        """Send to the node of a key, or to where it says that the key is now; a slot that is on its way is
        asked for where it goes to.
        """
        slot = key_slot(key.encode("utf-8", "surrogateescape"))
        if slot not in self._nodes:
            await self._learn()
        for _ in range(_MOST_REDIRECTS):
            node = self._nodes.get(slot)
            if node is None:
                raise CountersGone(f"no node of the cluster serves slot {slot}")
            try:
                return await send(self._client(node))
            except CountersGone as error:
                if not error.refused:
                    # The node is gone, and another may have taken its place.
                    self._nodes.clear()
                    raise
                kind, address = _redirect(str(error), node)
                if address is None:
                    raise
                if kind == "ASK":
                    there = self._client(address)
                    await prepare(there)
                    there.post_command("ASKING")
                    return await send(there)
                self._nodes[slot] = address
        raise CountersGone("the cluster sends us round in circles")

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(self._report(work))
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)

    async def _send_or_owe(self, parts: tuple[Argument, ...]) -> None:
        try:
            await self.command(*parts)
        except CountersGone:
            self._owed.add(parts)

    async def _report(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except CountersGone as error:
            self._log.warning("a charge was lost", redis=self._address.seeds[0].host, reason=str(error))

    async def _learn(self) -> None:
        """Everyone who needs to know where the slots are waits for the same answer."""
        if self._learning is None:
            self._learning = self._loop.create_task(self._ask_for_slots())
            self._learning.add_done_callback(self._learnt)
        await asyncio.shield(self._learning)

    def _learnt(self, task: asyncio.Task[None]) -> None:
        self._learning = None

    async def _ask_for_slots(self) -> None:
        reasons = []
        for seed in self._address.seeds:
            try:
                reply = await ask_once(seed, ("CLUSTER", "SLOTS"))
            except CountersGone as error:
                reasons.append(str(error))
                continue
            for first, last, master, *_ in reply:
                address = replace(seed, host=str(master[0] or seed.host), port=int(master[1]))
                for slot in range(int(first), int(last) + 1):
                    self._nodes[slot] = address
            return
        raise CountersGone(f"no node of the cluster answers: {'; '.join(reasons)}")


def _redirect(refusal: str, node: RedisAddress) -> tuple[str, RedisAddress | None]:
    """Where a key has moved to, or is on its way to: `MOVED 3999 127.0.0.1:6381`, `ASK …`."""
    kind, _, rest = refusal.partition(" ")
    host, colon, port = rest.rpartition(" ")[2].rpartition(":")
    if kind not in ("MOVED", "ASK") or not colon or not port.isdigit():
        return kind, None
    return kind, replace(node, host=host or node.host, port=int(port))

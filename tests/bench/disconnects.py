"""What clients leave behind that go away in the middle of a stream: `make bench-disconnects`.

Ten thousand of them, on a queue that stock plugins hold and on one of token-budget. In the end no slot
and no reservation may be left, and the charge has to be what the provider produced for them.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import redis.asyncio
import uvloop

from controlplane.embedded.mock import MockProvider
from controlplane.fallback.budgets.limiters import NAMESPACE
from controlplane.limiter import RedisLimiter
from tests.bench.traffic import rig
from tests.bench.traffic.client import Client

CLIENTS = 10_000
AT_ONCE = 100
PLENTY = 10**12
_SETTLED_WITHIN_S = 120.0

# Any: documents as users write them.
QUEUES: Mapping[str, dict[str, Any]] = {
    "stock plugins": {"limits": [{"tokens": PLENTY, "per": "1d"}, {"concurrency": 1000}]},
    "token-budget": {"limits": [{"tokens": PLENTY, "per": "1d", "mode": "sliding"}, {"concurrency": 1000}]},
}


async def leave_early(port: int, chance: random.Random) -> None:
    """Read a little of a stream and go."""
    async with Client(port) as client:
        body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
        headers = {
            "Authorization": f"Bearer {rig.KEY}",
            "X-Mock-Chunks": "2000",
            "X-Mock-Chunk-Delay-Ms": "3",
        }
        reader = await client.begin(rig.CHAT, body, headers)
        await reader.read(chance.randrange(300, 3000))


async def left_over(counters: rig.Counters) -> tuple[int, int]:
    """The slots and reservations that are held, and the tokens that are charged."""
    url = f"redis://:{counters.password}@127.0.0.1:{counters.port}/0"
    async with RedisLimiter(url, namespace=NAMESPACE) as limiter:
        held = await limiter.outstanding()
    charged = 0
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        async for key in client.scan_iter("limit_conn:*"):
            held += int(await client.zcard(key))
        async for key in client.scan_iter("plugin-ai-rate-limiting:*"):
            charged += int(await client.get(key) or 0)
    return held, charged


async def charged_by_budget(port: int) -> int:
    """What the first limit's headers say is used, apart from the call that asks."""
    async with Client(port) as client:
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        headers = {"Authorization": f"Bearer {rig.KEY}", "X-Mock-Usage": "0,0"}
        reader = await client.begin(rig.CHAT, body, headers)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    left = int(head.partition("x-ai-1-ratelimit-remaining:")[2].split(None, 1)[0])
    return PLENTY - left


async def main(clients: int) -> int:
    failed = False
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mock = await stack.enter_async_context(MockProvider.start())
        provider = int(mock.base_url.rpartition(":")[2])
        for name, parts in QUEUES.items():
            counters = await stack.enter_async_context(rig.valkey(folder / f"valkey-{name}"))
            gateway = await stack.enter_async_context(rig.governed(name, parts, folder, provider, counters))
            chance, gate = random.Random(7), asyncio.Semaphore(AT_ONCE)

            async def one(
                port: int = gateway.port, chance: random.Random = chance, gate: asyncio.Semaphore = gate
            ) -> None:
                async with gate:
                    await leave_early(port, chance)

            mock.forget()
            before = await charged_by_budget(gateway.port) if name == "token-budget" else 0
            await asyncio.gather(*(one() for _ in range(clients)))
            held = await _settled(mock, counters)
            produced = sum(left.prompt_tokens + left.completion_tokens for left in mock.disconnects)
            _, charged = await left_over(counters)
            if name == "token-budget":
                charged = await charged_by_budget(gateway.port) - before
            print(
                f"  {name:<14} {len(mock.disconnects)} clients left; {held} slots and reservations are held; "
                f"produced {produced} tokens, charged {charged}"
            )
            failed |= held != 0 or charged != produced or len(mock.disconnects) != clients
    print("something was left behind" if failed else "nothing was left behind")
    return int(failed)


async def _settled(mock: MockProvider, counters: rig.Counters) -> int:
    """What is still held once every stream is over, and some time has passed."""
    deadline = asyncio.get_running_loop().time() + _SETTLED_WITHIN_S
    while True:
        held, _ = await left_over(counters)
        if (not held and not mock.counters.streams_open) or asyncio.get_running_loop().time() > deadline:
            return held
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else CLIENTS)))

"""Ten minutes of mixed traffic through one gateway process: `make soak`.

Calls, streams, calls that are refused and clients that leave, on stock plugins and on token-budget. The
gateway's memory after the first fifth is compared with that at the end: it has to stay flat.
"""

import asyncio
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop

from tests.bench.disconnects import leave_early
from tests.bench.traffic import rig
from tests.bench.traffic.client import Client

SECONDS = 600.0
CALLERS = 16
GROWTH = 0.05
_LOOK_S = 15.0

# Any: documents as users write them.
QUEUE: dict[str, Any] = {
    "limits": [
        {"tokens": 2_000_000, "per": "1m", "mode": "sliding"},
        {"tokens": 10**12, "per": "1h", "by": "header:x-caller"},
        {"requests": 10**9, "per": "1m"},
        {"concurrency": 12},
    ]
}


async def _call(port: int, until: float, chance: random.Random) -> dict[int, int]:
    """One caller after another, each with a header value of its own; the statuses that they got."""
    seen: dict[int, int] = {}
    while time.monotonic() < until:
        headers = {
            "Authorization": f"Bearer {rig.KEY}",
            "X-Caller": f"caller-{chance.randrange(10**6)}",
            "X-Mock-Chunks": "20",
        }
        if chance.random() < 0.1:
            await leave_early(port, chance)
            continue
        async with Client(port) as client:
            for _ in range(chance.randrange(1, 50)):
                words = "word " * chance.randrange(1, 400)
                body = {"messages": [{"role": "user", "content": words}], "stream": chance.random() < 0.3}
                status = (await client.call(rig.CHAT, body, headers)).status
                seen[status] = seen.get(status, 0) + 1
    return seen


async def main(seconds: float) -> int:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = await stack.enter_async_context(rig.provider())
        counters = await stack.enter_async_context(rig.valkey(folder / "valkey"))
        gateway = await stack.enter_async_context(rig.governed("soak", QUEUE, folder, provider, counters))
        began = time.monotonic()
        callers = asyncio.gather(
            *(_call(gateway.port, began + seconds, random.Random(number)) for number in range(CALLERS))
        )
        sizes: list[tuple[float, float]] = []
        while not callers.done():
            await asyncio.wait([callers], timeout=min(_LOOK_S, seconds / 20))
            sizes.append((time.monotonic() - began, gateway.megabytes))
            print(f"  {sizes[-1][0]:5.0f} s  {sizes[-1][1]:6.1f} MB", flush=True)
        statuses: dict[int, int] = {}
        for seen in await callers:
            for status, count in seen.items():
                statuses[status] = statuses.get(status, 0) + count
    settled = max(size for at, size in sizes if at <= max(seconds / 5, sizes[0][0]))
    growth = sizes[-1][1] / settled - 1
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    print(f"{answers}; memory grew by {growth:.1%} after the first fifth")
    return int(growth > GROWTH or not set(statuses) <= {200, 429})


if __name__ == "__main__":
    sys.exit(uvloop.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)))

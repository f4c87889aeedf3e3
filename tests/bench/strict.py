"""Whether a strict limit holds: `make bench-strict`.

Two gateway processes share one Valkey; 256 callers keep trying until a window is used up, and then go on to
the next. A window here is a value of the header that divides the limit's counter, so that what was admitted
in it can be added up without asking a clock. The provider reports for each call what the case says.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from controlplane.embedded.mock import MockProvider
from tests.bench.traffic import rig
from tests.bench.traffic.client import Client

WINDOWS = 100
CALLERS = 256
CAP = 64
LIMIT = 60_000
LEAST = 0.98
_PAUSE_S = 0.005

# Any: JSON.


@dataclass(frozen=True)
class Case:
    """Calls of one kind, and what each of them really costs."""

    name: str
    prompt: str
    prompt_tokens: int
    completion_tokens: int
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


# A usual estimate takes four bytes for a token; the second case's prompt has a token for every byte.
CASES = (
    Case("the usual estimate is right", "word " * 80, 100, CAP, {"max_tokens": CAP}),
    Case("prompts of a token a byte", "\N{BLACK STAR}" * 100, 300, CAP, {"max_tokens": CAP}),
    Case("no max_tokens", "word " * 80, 100, CAP),
    Case("streams", "word " * 80, 100, CAP, {"stream": True}),
)


def declared(limit: int) -> dict[str, Any]:
    """A queue with one strict limit, a counter for each window."""
    strict = {"tokens": limit, "per": "1h", "strict": True, "by": "header:x-window"}
    return {"limits": [strict], "guards": {"max_output_tokens": CAP}}


async def admitted(ports: Sequence[int], case: Case, windows: int, callers: int) -> list[int]:
    """The tokens that were let through in each window."""
    counts = [0] * windows

    async def one(number: int) -> None:
        async with Client(ports[number % len(ports)]) as client:
            for window in range(windows):
                spent = await _spend(client, case, f"{case.name} {window}".replace(" ", "-"))
                counts[window] += spent

    await asyncio.gather(*map(one, range(callers)))
    return counts


async def _spend(client: Client, case: Case, window: str) -> int:
    """Call until nothing fits into the window any more, and nothing will be given back to it."""
    spent = 0
    headers = {
        "Authorization": f"Bearer {rig.KEY}",
        "X-Window": window,
        "X-Mock-Usage": f"{case.prompt_tokens},{case.completion_tokens}",
    }
    body = {"messages": [{"role": "user", "content": case.prompt}], **case.more}
    while True:
        answer = await client.call(rig.CHAT, body, headers)
        if answer.status == 200:
            spent += case.tokens
        elif answer.status == 429 and answer.json["error"]["reserved"] == 0:
            return spent
        elif answer.status == 429:
            await asyncio.sleep(_PAUSE_S)
        else:
            raise SystemExit(f"{case.name}: the gateway answered {answer.status} {answer.body[:200]!r}")


async def main(windows: int) -> int:
    failed = False
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mock = await stack.enter_async_context(MockProvider.start())
        counters = await stack.enter_async_context(rig.valkey(folder / "valkey"))
        provider = int(mock.base_url.rpartition(":")[2])
        gateways = [
            await stack.enter_async_context(rig.governed(name, declared(LIMIT), folder, provider, counters))
            for name in ("first", "second")
        ]
        print(f"{windows} windows of {LIMIT} tokens, {CALLERS} callers, two gateways, one Valkey")
        for case in CASES:
            counts = await admitted([gateway.port for gateway in gateways], case, windows, CALLERS)
            mock.forget()
            most, mean = max(counts) / LIMIT, sum(counts) / len(counts) / LIMIT
            failed |= most > 1 or mean < LEAST
            print(f"  {case.name:<28} admitted {mean:.3f} of the limit, {most:.3f} in the fullest window")
    print("a strict limit was overshot, or left unused" if failed else "no window was overshot")
    return int(failed)


if __name__ == "__main__":
    sys.exit(uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else WINDOWS)))

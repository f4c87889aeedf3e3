"""From a REST write to traffic that obeys it: `make bench-converge`.

The whole stack runs, a queue's limit is set so low that a call is refused and so high that it passes, in
turn. The clock runs from the moment the write is sent to the first answer that obeys it.
"""

import statistics
import tempfile
import time
from pathlib import Path

import httpx

from tests.fixtures.whole_stack import WholeStack, whole_stack

ROUNDS = 40
TARGET_MS = 300.0
CHAT = "/queues/support/v1/chat/completions"
CALL = {"messages": [{"role": "user", "content": "hi"}]}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, whole_stack(Path(folder) / "home") as stack:
        key = stack.declare(limits=[{"tokens": 10**9, "per": "1h"}])
        stack.wait_until_converged(stack.newest_revision())
        times = sorted(measure(stack, key))
    median, slowest = statistics.median(times), times[-1]
    p95 = times[int(len(times) * 0.95) - 1]
    print(f"REST write to traffic obeying it, {len(times)} writes on the embedded stack")
    print(
        f"  median {median:.0f} ms   p95 {p95:.0f} ms   slowest {slowest:.0f} ms   target {TARGET_MS:.0f} ms"
    )


def measure(stack: WholeStack, key: str) -> list[float]:
    times = []
    with stack.api() as api, stack.traffic(key) as client:
        assert client.post(CHAT, json=CALL, headers={"X-Mock-Usage": "100"}).status_code == httpx.codes.OK
        for number in range(ROUNDS):
            tokens, wanted = (10, 429) if number % 2 == 0 else (10**9, 200)
            started = time.monotonic()
            api.patch(
                "/queues/support", json={"limits": [{"tokens": tokens, "per": "1h"}]}
            ).raise_for_status()
            while client.post(CHAT, json=CALL).status_code != wanted:
                if time.monotonic() - started > 30:
                    raise SystemExit("the gateway does not obey")
            times.append((time.monotonic() - started) * 1000)
    return times


if __name__ == "__main__":
    main()

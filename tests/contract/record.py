"""Records stories on the APISIX that SLUICE_TEST_APISIX_ADMIN_URL names.

`python -m tests.contract.record NAME…` sends the requests of `transcripts/NAME.json`, and what comes back
takes the place of what was there before. A new story is a file with requests alone.
"""

import asyncio
import json
import sys
from typing import Any

import httpx

from tests.contract.compare import COMPARED, parsed
from tests.contract.replay import (
    FOLDER,
    RECORDED_MOCK,
    RECORDED_TRAFFIC,
    Player,
    Reply,
    load,
    port_of,
)
from tests.contract.targets import Target, emptied, real_apisix

# What says more about our client than about APISIX.
_NOT_SEEN = {"accept", "accept-encoding", "user-agent", "connection", "content-length"}


async def record(story: str, target: Target) -> None:
    """Play a story and write down what came of it."""
    document = load(story)
    async with emptied(target), httpx.AsyncClient(timeout=30, headers={"Accept": "*/*"}) as client:
        player = Player(target, client)
        for step in document["steps"]:
            _note(step, await player.play(step), target)
        if "concurrent" in document:
            document["concurrent"]["statuses"] = await player.play_together(document["concurrent"])
    (FOLDER / f"{story}.json").write_text(json.dumps(document, indent=1) + "\n")


def _note(step: dict[str, Any], reply: Reply, target: Target) -> None:
    body = parsed(reply.text)
    if step["to"] == "admin":
        kind = reply.headers.get("content-type", "").partition(";")[0]
        response = {"status": reply.status, "content_type": kind, "body": body}
    else:
        headers = {name: value for name, value in reply.headers.items() if name.startswith(COMPARED)}
        response = {"status": reply.status, "headers": headers, "body": body}
        saw = [
            {**seen, "headers": {k: v for k, v in seen["headers"].items() if k not in _NOT_SEEN}}
            for seen in reply.upstream_saw
        ]
        step["upstream_saw"] = _neutral(saw, target)
    step["response"] = _neutral(response, target)


def _neutral(value: Any, target: Target) -> Any:
    """A value with the addresses that all recordings have."""
    if isinstance(value, dict):
        return {_neutral(name, target): _neutral(item, target) for name, item in value.items()}
    if isinstance(value, list):
        return [_neutral(item, target) for item in value]
    if value == port_of(target.traffic_address):
        return port_of(RECORDED_TRAFFIC)
    if isinstance(value, str):
        value = value.replace(target.mock_address, RECORDED_MOCK)
        return value.replace(target.traffic_address, RECORDED_TRAFFIC)
    return value


async def main(stories: list[str]) -> None:
    """Record each story in its turn."""
    for story in stories:
        async with real_apisix() as target:
            await record(story, target)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

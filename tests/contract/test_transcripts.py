"""The fallback gateway answers as a real APISIX 3.18 was recorded to answer.

The same recordings are replayed against the APISIX that SLUICE_TEST_APISIX_ADMIN_URL names. It must hold
nothing, and what it has counted in its own memory must be over: a minute after an earlier run it is.
"""

import os
from pathlib import Path

import httpx
import pytest

from tests.contract.compare import admin_differences, traffic_differences
from tests.contract.replay import Player, load, stories
from tests.contract.targets import Target, emptied, real_apisix, twin


async def replay(story: str, target: Target) -> None:
    """Play a story and say everything that is not as recorded."""
    document = load(story)
    problems = []
    async with httpx.AsyncClient(timeout=30, headers={"Accept": "*/*"}) as client:
        player = Player(target, client)
        for index, step in enumerate(document["steps"]):
            reply = await player.play(step)
            compare = admin_differences if step["to"] == "admin" else traffic_differences
            found = compare(step, reply, player.rewrite)
            request = step["request"]
            problems += [f"step {index} {request['method']} {request['path']}: {one}" for one in found]
        if "concurrent" in document:
            statuses = await player.play_together(document["concurrent"])
            if statuses != document["concurrent"]["statuses"]:
                problems.append(f"concurrent: {statuses}")
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize("story", stories())
async def test_the_fallback_gateway_tells_the_recorded_story(
    story: str, tmp_path: Path, valkey_url: str
) -> None:
    async with twin(tmp_path / "gateway", valkey_url) as target:
        await replay(story, target)


@pytest.mark.skipif(
    "SLUICE_TEST_APISIX_ADMIN_URL" not in os.environ, reason="SLUICE_TEST_APISIX_ADMIN_URL names no APISIX"
)
@pytest.mark.parametrize("story", stories())
async def test_a_real_apisix_tells_the_recorded_story(story: str) -> None:
    async with real_apisix() as target, emptied(target):
        await replay(story, target)

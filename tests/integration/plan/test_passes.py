"""Whoever waits for a gateway is told when a pass over one has ended."""

import asyncio

import httpx
import pytest

from controlplane.reconciler.ended import EndedPasses
from tests.fixtures.worlds import World

MARKS = "/api/v1/passes"
_PATIENCE_S = 30


async def test_without_a_mark_nobody_waits(api: httpx.AsyncClient) -> None:
    first, second = [(await api.get(MARKS)).raise_for_status().json()["mark"] for _ in range(2)]
    assert first == second


async def test_after_so_long_the_mark_is_still_the_same(api: httpx.AsyncClient) -> None:
    mark = (await api.get(MARKS)).json()["mark"]
    assert (await api.get(MARKS, params={"after": mark, "within_ms": "1"})).json() == {"mark": mark}


@pytest.mark.parametrize(
    ("query", "field"),
    [({"within_ms": "0"}, "within_ms"), ({"within_ms": "10001"}, "within_ms"), ({"since": "a"}, "since")],
)
async def test_a_query_that_nobody_understands_is_refused(
    api: httpx.AsyncClient, query: dict[str, str], field: str
) -> None:
    answer = await api.get(MARKS, params=query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


async def test_a_pass_that_ends_is_told_at_once_to_everybody_who_waits() -> None:
    ended = EndedPasses()
    waiting = [asyncio.create_task(ended.after(ended.mark, _PATIENCE_S)) for _ in range(3)]
    await asyncio.sleep(0)
    ended.note()
    assert set(await asyncio.gather(*waiting)) == {ended.mark}


async def test_a_pass_that_ended_between_two_questions_is_not_missed() -> None:
    ended = EndedPasses()
    before = ended.mark
    ended.note()
    async with asyncio.timeout(_PATIENCE_S):
        assert await ended.after(before, 2 * _PATIENCE_S) == ended.mark != before


async def test_a_mark_of_another_replica_waits_for_the_next_pass_here() -> None:
    here, there = EndedPasses(), EndedPasses()
    there.note()
    waiting = asyncio.create_task(here.after(there.mark, _PATIENCE_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    here.note()
    assert await waiting == here.mark


@pytest.mark.usefixtures("ctl")
async def test_the_loops_tell_when_their_passes_end(world: World) -> None:
    async with world.api() as api, asyncio.timeout(_PATIENCE_S):
        mark = (await api.get(MARKS)).json()["mark"]
        provider = {"name": "mock", "type": "openai", "api_key": "sk-canary"}
        (await api.post("/api/v1/providers", json=provider)).raise_for_status()
        while (await api.get(MARKS, params={"after": mark, "within_ms": "1000"})).json()["mark"] == mark:
            pass
